//! Carries a state from one clone to another, as the two programs would.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use convosync_core::capture::{Memory, Scope, Spool, capture};
use convosync_core::checkout::{self, CheckoutError, Opened, Report, Restoring, Route};
use convosync_core::code::{Guard, Limits, Withheld};
use convosync_core::git::Git;
use convosync_core::id::SessionId;
use convosync_core::project::{self, Project};
use convosync_tests::files;

use super::observer::{LATER_MS, git_of, scope_of};
use super::states::Place;

/// A clone with what is needed to restore into it.
pub(crate) struct Device {
    /// The git program.
    pub(crate) git: Git,
    /// The clone.
    pub(crate) project: Project,
    /// What is guarded in it.
    pub(crate) guard: Guard,
    /// Where its records lie.
    pub(crate) records: PathBuf,
    /// How much is taken.
    pub(crate) limits: Limits,
    /// The time.
    pub(crate) now_ms: i64,
    session: SessionId,
}

/// Lets so many steps pass, and stops the next one.
pub(crate) fn stop_at(at: u32) -> impl Fn(checkout::Step) -> Result<(), CheckoutError> {
    let left = Cell::new(at);
    move |_| match left.replace(left.get().wrapping_sub(1)) {
        0 => Err(CheckoutError::GitSaid { deed: "test", why: "stopped".to_owned() }),
        _ => Ok(()),
    }
}

/// Lets every step pass.
pub(crate) fn onward(_: checkout::Step) -> Result<(), CheckoutError> {
    Ok(())
}

impl Device {
    /// Looks at a clone of the place.
    pub(crate) fn new(place: &Place, clone: &str) -> Self {
        Self::below(&place.home(), clone)
    }

    /// Looks at a clone below a home.
    pub(crate) fn below(home: &Path, clone: &str) -> Self {
        let git = git_of(home);
        let project = project::discover(&home.join(clone), &git).unwrap();
        let guard = Guard::new(&project.root, home, &[], &[]);
        let records = home.join("state/undo");
        files::make_dir(&home.join("state"));
        let session = "01234567-89ab-4cde-8f01-23456789abcd".parse().unwrap();
        Self { git, project, guard, records, limits: Limits::default(), now_ms: LATER_MS, session }
    }

    /// Captures the clone into a code log.
    pub(crate) fn try_save(&self, log: &Path) -> Result<Opened, Withheld> {
        let scope =
            Scope { limits: self.limits, ..scope_of(&self.project, &self.git, &self.guard) };
        let mut spool = Spool::open(log).unwrap();
        capture(&scope, &mut spool, &mut Memory::default()).unwrap()?;
        Ok(Opened::read(log).unwrap())
    }

    /// Captures the clone, which can be, into a code log.
    #[track_caller]
    pub(crate) fn save(&self, log: &Path) -> Opened {
        self.try_save(log).unwrap()
    }

    /// The work tree as `checkout` wants it.
    pub(crate) fn place(&self) -> checkout::Place<'_> {
        checkout::Place {
            project: &self.project,
            git: &self.git,
            guard: &self.guard,
            records: &self.records,
            tell: checkout::Tell::NOBODY,
            now_ms: self.now_ms,
        }
    }

    /// How its remote is reached.
    fn route(&self) -> Result<Route<'_>, &str> {
        let url = self.project.push_url.as_deref().ok_or("there is no remote")?;
        Ok(Route { url, protocols: "file", ssh: None })
    }

    /// What is restored.
    pub(crate) fn restoring<'a>(&'a self, opened: &'a Opened, replace: bool) -> Restoring<'a> {
        Restoring {
            opened,
            place: self.place(),
            session: &self.session,
            limits: self.limits,
            replace,
            take: false,
            known: None,
            fetch: self.route(),
        }
    }

    /// Puts a state into the clone.
    pub(crate) fn restore(&self, opened: &Opened, replace: bool) -> Result<Report, CheckoutError> {
        self.restoring(opened, replace).plan()?.apply(&onward)
    }

    /// Takes the newest restore back.
    pub(crate) fn undo(&self) -> Result<Report, CheckoutError> {
        checkout::undo(self.place(), &onward)
    }
}
