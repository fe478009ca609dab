//! The code of the further repositories that a conversation worked in. None of them keeps the conversation and
//! its own repository from coming back: one that cannot be put in place stays as it is here, and is named.

use std::path::PathBuf;

use convosync_core::checkout::{Opened, Prepared, Report};
use convosync_core::id::SessionId;
use convosync_core::protocol::{CloneReach, FurtherCode, SavedCode, Warning};

use super::aside::Aside;
use super::code::{opened, restoring};
use super::preflight::{self, Onward, Planned};
use crate::args;
use crate::call::Call;
use crate::clone::Clone;
use crate::error::CtlError;

/// The code of a further repository, as the daemon opened it.
pub(super) struct Further {
    /// What people call the repository.
    pub(super) name: String,
    root: Option<PathBuf>,
    reach: CloneReach,
    opened: Option<Opened>,
    known: Option<Opened>,
    missing: Option<Warning>,
    onward: Onward,
}

/// What is to be done to one, and where.
type Placed<'a> = (Prepared<'a>, &'a Clone);

/// What was done to one.
#[derive(Debug, serde::Serialize)]
pub(super) struct FurtherReport {
    /// What people call the repository.
    name: String,
    /// Where it lies.
    root: PathBuf,
    #[serde(flatten)]
    report: Report,
}

/// The clones the code goes into, where there are any.
pub(super) fn clones(call: &Call<'_>, further: &[Further]) -> Vec<Option<Result<Clone, CtlError>>> {
    let clone = |further: &Further| {
        let clone = Clone::of(call, further.root.as_ref()?);
        Some(clone.map(|clone| clone.reached_by(&further.reach)))
    };
    further.iter().map(clone).collect()
}

impl Further {
    /// Reads what the daemon opened.
    pub(super) fn of(code: &FurtherCode) -> Self {
        let FurtherCode { name, root, .. } = code;
        let (found, unreadable) = match opened(&code.code) {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error.message())),
        };
        let nothing = || match &code.code {
            SavedCode::Nothing { why: Some(why) } => why.clone(),
            _ => "no code was saved of it".to_owned(),
        };
        let mut further = Self {
            name: name.clone(),
            root: root.clone(),
            reach: code.reach.clone(),
            known: opened(&code.known).ok().flatten(),
            missing: code.missing.clone(),
            opened: found,
            onward: Onward::default(),
        };
        if further.opened.is_none() && further.missing.is_none() {
            let why = unreadable.unwrap_or_else(nothing);
            further.missing = Some(further.left(&why, None));
        }
        further
    }

    /// Says that it stays as it is here, and why.
    pub(super) fn left(&self, why: &str, hint: Option<String>) -> Warning {
        let place = self.root.as_ref().map(|root| format!(" ({})", root.display()));
        let place = place.unwrap_or_default();
        let message = format!(
            "the conversation worked in `{}`{place} too, and it stays as it is here: {why}",
            self.name
        );
        Warning { loud: true, message, hint }
    }

    /// What is said where the conversation goes on in a work tree of its own.
    pub(super) fn left_for_work_tree(&self) -> Warning {
        let hint = "resume without `--worktree` to have the code of all repositories put in place";
        let why = "`--worktree` is for the repository of the conversation";
        self.missing.clone().unwrap_or_else(|| self.left(why, Some(hint.to_owned())))
    }

    /// Looks at everything and decides; nothing is planned where there is nothing to put in place.
    pub(super) fn plan<'a>(
        &'a self,
        call: &mut Call<'_>,
        args: &args::Resume,
        session: &'a SessionId,
        clone: &'a Option<Result<Clone, CtlError>>,
        aside: &mut Aside,
    ) -> Result<Result<Option<Placed<'a>>, Warning>, CtlError> {
        if let Some(missing) = &self.missing {
            return Ok(Err(missing.clone()));
        }
        let (Some(opened), Some(clone)) = (&self.opened, clone) else { return Ok(Ok(None)) };
        let clone = match clone {
            Ok(clone) => clone,
            Err(error) => return Ok(Err(self.left(&error.message(), error.hint()))),
        };
        let restoring = restoring(opened, self.known.as_ref(), session, clone, args);
        Ok(
            match preflight::plan(
                call,
                args,
                Some(&self.name),
                (clone, restoring, &self.onward),
                aside,
            ) {
                Ok(Planned::Ready(prepared)) => Ok(Some((*prepared, clone))),
                Ok(Planned::Stays(finding)) => Err(self.left(&finding.message(), None)),
                Ok(Planned::Undecided(message, hint)) => {
                    Err(self.left(&message, Some(format!("resume again with an option: {hint}"))))
                }
                Ok(Planned::Cancelled) => Err(self.left("you left it so", None)),
                Err(error @ CtlError::Ask(_)) => return Err(error),
                Err(error) => Err(self.left(&error.message(), error.hint())),
            },
        )
    }

    /// What was done to it.
    pub(super) fn report(&self, report: Report) -> FurtherReport {
        let (name, root) = (self.name.clone(), self.root.clone().unwrap_or_default());
        FurtherReport { name, root, report }
    }
}
