//! Changes that stood here before other code came, and where they are now.

use super::commit::Commit;
use super::stash::Stash;
use crate::call::Call;
use crate::error::CtlError;

/// Where they are.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Aside {
    /// In `git stash`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stashed: Vec<Stash>,
    /// In commits that were made for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) committed: Vec<Commit>,
}

impl Aside {
    /// Each with how it comes back.
    fn each(&self) -> impl Iterator<Item = (String, String)> {
        let stashed = self.stashed.iter().map(|stash| (stash.said(), stash.way_back()));
        stashed.chain(self.committed.iter().map(|commit| (commit.said(), commit.way_back())))
    }

    /// Says where they are.
    pub(super) fn tell(&self, call: &mut Call<'_>) -> Result<(), CtlError> {
        self.each().try_for_each(|(said, way_back)| Ok(call.print.note(&said, Some(&way_back))?))
    }

    /// Adds to what failed where they are, and how to get them back.
    pub(super) fn with_way_back(&self, error: CtlError) -> CtlError {
        let ways: Vec<_> =
            self.each().map(|(said, way_back)| format!("{said}: {way_back}")).collect();
        if ways.is_empty() {
            return error;
        }
        CtlError::PutAside { cause: Box::new(error), way_back: ways.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::exit::ExitCode;

    fn failed() -> CtlError {
        CtlError::refused(ExitCode::NeedsDecision, "it failed", "mend it")
    }

    #[test]
    fn what_fails_after_stashing_says_where_the_changes_are() {
        assert_eq!(Aside::default().with_way_back(failed()).hint().as_deref(), Some("mend it"));
        let (root, commit) = (PathBuf::from("/work tree/shop"), "1a2b3c4d5e6f7a8b".repeat(3));
        let aside = Aside { stashed: vec![Stash { root, commit }], ..Aside::default() };
        let error = aside.with_way_back(failed());
        assert_eq!(error.message(), "it failed");
        assert_eq!(error.exit_code(), ExitCode::NeedsDecision);
        assert_eq!(
            error.hint().as_deref(),
            Some(
                "mend it; your changes of `/work tree/shop` are in `git stash`: \
                 `git stash apply --index 1a2b3c4d5e6f` there brings them back"
            )
        );
    }

    #[test]
    fn what_fails_after_a_commit_says_that_it_stands() {
        let commit = |is_first| Commit {
            root: PathBuf::from("/shop"),
            branch: "main".to_owned(),
            commit: "1a2b3c4d5e6f7a8b".repeat(3),
            is_first,
        };
        let hint = |is_first| {
            let aside = Aside { committed: vec![commit(is_first)], ..Aside::default() };
            aside.with_way_back(failed()).hint().unwrap_or_default()
        };
        assert_eq!(
            hint(false),
            "mend it; your changes of `/shop` are in commit 1a2b3c4d5e6f of `main`, which is not pushed: \
             `git reset 1a2b3c4d5e6f~` there, on `main`, makes them uncommitted again"
        );
        assert!(hint(true).contains("`git update-ref -d HEAD` there, on `main`, makes"));
    }
}
