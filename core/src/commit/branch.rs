//! Goes to another branch with everything that is not committed, or not at all.

use std::ffi::OsString;

use super::{CommitError, Hands};
use crate::code::Head;

/// What came of going to a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// It was the branch already.
    Already,
    /// HEAD is on it now.
    Here {
        /// Whether there was no such branch before.
        is_new: bool,
    },
    /// Git refused, because something would be lost or the name is none: nothing has changed.
    Refused,
}

/// Where a branch is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// In this clone.
    Here,
    /// On the remote.
    There,
    /// Nowhere.
    Nowhere,
}

impl Hands<'_> {
    /// Where a branch is known, as far as this clone can tell.
    ///
    /// # Errors
    /// [`CommitError`] when git cannot be asked.
    pub fn known(&self, branch: &str, remote: Option<&str>) -> Result<Known, CommitError> {
        let has = |name: String| -> Result<bool, CommitError> {
            let args = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
            Ok(self.ask().args(args).arg(name).run()?.success())
        };
        if has(format!("refs/heads/{branch}^{{commit}}"))? {
            return Ok(Known::Here);
        }
        let there = remote.map(|remote| has(format!("refs/remotes/{remote}/{branch}^{{commit}}")));
        Ok(if there.transpose()?.unwrap_or(false) { Known::There } else { Known::Nowhere })
    }

    /// Goes to a branch as the user would, with what is not committed; makes it where there is none.
    ///
    /// # Errors
    /// [`CommitError`] when git cannot be asked.
    pub fn switch(
        &self,
        branch: &str,
        from: &Head,
        remote: Option<&str>,
    ) -> Result<Switched, CommitError> {
        if from.branch.as_deref() == Some(branch) {
            return Ok(Switched::Already);
        }
        if branch.starts_with('-') {
            return Ok(Switched::Refused);
        }
        let known = self.known(branch, remote)?;
        let args: Vec<OsString> = match (known, remote) {
            (Known::Here, _) => {
                vec!["switch".into(), "--quiet".into(), "--no-guess".into(), branch.into()]
            }
            (Known::There, Some(remote)) => {
                let there = format!("{remote}/{branch}");
                vec![
                    "switch".into(),
                    "--quiet".into(),
                    "--create".into(),
                    branch.into(),
                    "--track".into(),
                    there.into(),
                ]
            }
            _ => vec!["switch".into(), "--quiet".into(), "--create".into(), branch.into()],
        };
        // A hook that runs afterwards may fail: what counts is where HEAD is.
        self.user().run(&args)?;
        let name = self.ask().args(["symbolic-ref", "--quiet", "HEAD"]).run()?;
        let is_there = name.stdout.trim_ascii() == format!("refs/heads/{branch}").as_bytes();
        Ok(if is_there {
            Switched::Here { is_new: known != Known::Here }
        } else {
            Switched::Refused
        })
    }

    /// Goes back to where HEAD was, and forgets a branch that was made for nothing.
    ///
    /// # Errors
    /// [`CommitError`] when git cannot be asked, or refuses.
    pub fn switch_back(&self, branch: &str, is_new: bool, to: &Head) -> Result<(), CommitError> {
        let args: Vec<OsString> = match (&to.branch, to.commit) {
            (Some(before), Some(_)) => vec!["switch".into(), "--quiet".into(), before.into()],
            (None, Some(commit)) => {
                vec![
                    "switch".into(),
                    "--quiet".into(),
                    "--detach".into(),
                    commit.to_string().into(),
                ]
            }
            // There is no commit yet: only the name changes.
            (before, None) => {
                let name = format!("refs/heads/{}", before.as_deref().unwrap_or("main"));
                vec!["symbolic-ref".into(), "HEAD".into(), name.into()]
            }
        };
        self.user().run(&args)?;
        if is_new && to.commit.is_some() {
            let args = ["branch", "--quiet", "--delete", "--force", "--", branch];
            let output = self.ask().args(args).run()?;
            self.site.done("forget a branch", output)?;
        }
        Ok(())
    }
}
