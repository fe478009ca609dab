//! Puts a code state into a work tree: the only room that changes the user's repository, run by the client
//! as the user.
//!
//! [`Restoring::plan`] looks at everything and decides, [`Prepared::apply`] carries it out, [`undo`] takes
//! it back. What stood in the work tree is recorded first; nothing is written outside of the
//! work tree, through a link, or in the git directory but objects, the index, the refs that must move, and
//! git's files about an unfinished merge. What is captured is `capture`'s matter; `docs/code-state.md` says
//! what is restored of each state.

mod apply;
mod aside;
mod before;
mod begun;
mod bounds;
mod branch;
mod error;
mod facts;
mod fetch;
mod index;
mod links;
mod lock;
mod met;
mod objects;
mod old;
mod onward;
mod opened;
mod own_work;
mod plan;
mod programs;
mod record;
mod spelling;
mod step;
mod submodules;
mod together;
mod verify;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use error::{CheckoutError, Refusal};
pub use fetch::Route;
pub use met::{Apart, Change, Met};
pub use old::{Gone, Stored, stored};
pub use onward::{Merged, Pulled};
pub use opened::Opened;
pub use programs::runs_programs;
pub use step::{Fetching, Step, Tell};
pub use submodules::SubmoduleAt;
pub use together::{Member, Together, Undoing, bind_planned, bind_undo, changed, together};

use crate::code::{Guard, Limits, RepoPath, State};
use crate::git::Git;
use crate::id::SessionId;
use crate::project::Project;

/// How many records of one work tree are kept, however old they are.
pub const RECORDS_KEPT: usize = 10;
/// How many bytes these may have together: what a work tree of some size has untracked, a few times.
pub const RECORDS_SIZE: u64 = 4 << 30;
/// Records of a work tree that take more are worth a word: for a week nothing but the disk bounds them.
pub const RECORDS_TOLD: u64 = 1 << 30;

/// So many new commits are counted: beyond that nobody looks at the number.
pub const COMMITS_COUNTED_MAX: usize = 1000;

/// What is to be done, and where.
#[derive(Debug, Clone, Copy)]
pub struct Restoring<'a> {
    /// The saved state.
    pub opened: &'a Opened,
    /// Where it goes: the work tree that matches, or a new one ([`new_work_tree`]).
    pub place: Place<'a>,
    /// Whose state it is: names the branch that is made where the state's own cannot be moved.
    pub session: &'a SessionId,
    /// How much may come in.
    pub limits: Limits,
    /// Whether changes that stand here may be replaced. They are recorded either way.
    pub replace: bool,
    /// Whether the saved branch may be moved though it has commits of its own here, as long as git's reflog keeps
    /// them.
    pub take: bool,
    /// What the work tree was at when it was last saved: what still stands as it was then may be replaced
    /// unasked.
    pub known: Option<&'a State>,
    /// How missing commits may be fetched, or why they are not.
    pub fetch: Result<Route<'a>, &'a str>,
}

/// A work tree with what is needed to work on it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The work tree's repository.
    pub project: &'a Project,
    /// The git program.
    pub git: &'a Git,
    /// What is left exactly as it stands here.
    pub guard: &'a Guard,
    /// Where records are kept: `<state_dir>/undo`.
    pub records: &'a Path,
    /// Who hears how far it is, where nothing can be stopped.
    pub tell: Tell<'a>,
    /// The time.
    pub now_ms: i64,
}

/// What applying will do, for people and programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Whether everything stands as it was saved already, so that nothing will be done.
    pub is_here: bool,
    /// The branch HEAD will be on; `None` when it will be detached.
    pub branch: Option<String>,
    /// The commit HEAD will be at.
    pub commit: Option<String>,
    /// How many commits HEAD will have that it has not now; at most [`COMMITS_COUNTED_MAX`] are counted.
    #[serde(default)]
    pub commits: usize,
    /// Set when the saved branch could not be moved there, and a new one is made: the saved one's name.
    pub instead_of: Option<String>,
    /// Whether that is because it is checked out in another work tree, and not because of commits of its own.
    #[serde(default)]
    pub is_elsewhere: bool,
    /// Files that will be written.
    pub written: usize,
    /// Files that will be removed.
    pub removed: usize,
    /// Files that git ignores here and that will be set aside.
    pub set_aside: Vec<String>,
    /// Paths that stay as they are here, though the saved state has something to say about them, and why.
    pub left: Vec<(String, String)>,
    /// Files to be written that make programs run.
    pub programs: Vec<String>,
    /// Submodules that stood at another commit than the index says.
    pub submodules: Vec<SubmoduleAt>,
    /// What else is not brought along.
    pub notes: Vec<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was done.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// Paths (or `HEAD`) that differ from what was saved, found by looking again afterwards.
    pub differences: Vec<String>,
    /// Submodules of this clone that stand at another commit than the code now has them: they are never moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<String>,
    /// Files whose filter could not run here: they hold what git stores.
    pub unfiltered: Vec<String>,
    /// What was set aside and could not be brought back by this undo.
    #[serde(default)]
    pub not_back: Vec<NotBack>,
    /// Where the record lies that `undo` takes.
    pub record: PathBuf,
    /// Older records that were taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
    /// Whether one more `undo` brings back what stood here until now.
    pub again: bool,
    /// Whether an earlier restore, which was interrupted too, is still to be ended by one more `undo`.
    pub unfinished: bool,
    /// Whether nothing was done but that the lock of a restore was taken away that was killed before its first
    /// change, or after its last.
    pub unlocked: bool,
    /// Whether nothing was done but that the lock of a restore was taken away whose record is gone: what stands
    /// here is half of it, and stays ([`forsake`]).
    #[serde(default)]
    pub forsaken: bool,
}

/// A file or link that was set aside and could not be brought back. Nothing of it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotBack {
    /// Where it stood.
    pub path: String,
    /// What stands in the way.
    pub why: String,
    /// Where its bytes are.
    pub kept: PathBuf,
}

/// A plan with everything that was looked at for it.
#[derive(Debug)]
pub struct Prepared<'a> {
    place: Place<'a>,
    opened: &'a Opened,
    objects: objects::Objects<'a>,
    facts: facts::Facts,
    plan: plan::Plan,
    record: record::Record,
    outlook: Outlook,
    past: Option<Box<record::Record>>,
    is_ending: bool,
    /// Whether what was done since an interrupted restore stands here.
    has_own_work: bool,
    _lock: crate::disk::FileLock,
}

impl<'a> Restoring<'a> {
    /// Looks at everything and decides. Nothing of the user's changes but that missing commits may be fetched.
    ///
    /// # Errors
    /// [`CheckoutError::Refused`] with the reason, or what could not be read.
    pub fn plan(&self) -> Result<Prepared<'a>, CheckoutError> {
        prepare(self.place, self.opened, Purpose::Resume(*self))
    }
}

/// What an undo of a work tree takes back: its newest record, opened.
#[derive(Debug)]
pub struct Past {
    record: record::Record,
    opened: Opened,
}

impl Past {
    /// Opens the newest record of a work tree.
    ///
    /// # Errors
    /// [`CheckoutError::Refused`] when there is none, or it is damaged.
    pub fn newest(place: Place<'_>) -> Result<Self, CheckoutError> {
        let record = record::newest(place)?.ok_or(Refusal::NothingToUndo)?;
        let opened = record.opened().and_then(|opened| record.check_aside().map(|()| opened));
        let opened = opened.map_err(|error| record.damaged(&error))?;
        Ok(Self { record, opened })
    }

    /// Looks at everything and decides; nothing is changed.
    ///
    /// # Errors
    /// [`CheckoutError::Refused`] when a branch has moved on since.
    pub fn plan<'a>(&'a self, place: Place<'a>) -> Result<Prepared<'a>, CheckoutError> {
        prepare(place, &self.opened, Purpose::Undo(Box::new(self.record.again())))
    }
}

/// Takes away the lock of a restore that was killed before it changed anything, or after everything was done;
/// says whether there was one.
///
/// # Errors
/// When the lock cannot be taken away.
pub fn unlock(place: Place<'_>) -> Result<bool, CheckoutError> {
    if record::is_unfinished(place)? {
        return Ok(false);
    }
    let _lock = record::lock(place)?;
    lock::release(place)
}

/// Takes the newest record of this work tree back; what stands there now is recorded in turn, so that a
/// second undo takes back the first. Also ends a restore that was interrupted.
///
/// # Errors
/// [`CheckoutError::Refused`] when there is nothing to undo, or a branch has moved on since.
pub fn undo(
    place: Place<'_>,
    progress: &dyn Fn(Step) -> Result<(), CheckoutError>,
) -> Result<Report, CheckoutError> {
    if unlock(place)? {
        return Ok(Report { unlocked: true, ..Report::default() });
    }
    Past::newest(place)?.plan(place)?.apply(progress)
}

/// Takes away the lock of a restore that was interrupted and whose record is gone, so that no undo can end it.
/// Every file stays as it is.
///
/// # Errors
/// [`CheckoutError::Refused`] when there is no such lock, or the record is only elsewhere.
pub fn forsake(place: Place<'_>) -> Result<Report, CheckoutError> {
    let _lock = record::lock(place)?;
    match lock::forsake(place)? {
        true => Ok(Report { forsaken: true, ..Report::default() }),
        false => Err(Refusal::NothingToUndo.into()),
    }
}

/// Makes a new work tree of the project's repository at `dir`, with nothing in it yet.
///
/// # Errors
/// When git refuses.
pub fn new_work_tree(project: &Project, git: &Git, dir: &Path) -> Result<(), CheckoutError> {
    let command = git.command().dir(&project.root);
    let command = command.args(["worktree", "add", "--detach", "--no-checkout"]).arg("--").arg(dir);
    objects::told(command.run(), "make the work tree").map(drop)
}

/// Takes away a work tree that [`new_work_tree`] made and that nothing was put into.
///
/// # Errors
/// When git refuses.
pub fn remove_work_tree(project: &Project, git: &Git, dir: &Path) -> Result<(), CheckoutError> {
    let command = git.command().dir(&project.root);
    // Forced: what was never checked out counts as deleted.
    let command = command.args(["worktree", "remove", "--force"]).arg("--").arg(dir);
    objects::told(command.run(), "take the work tree away").map(drop)
}

/// Why a state is put in place.
#[derive(Debug)]
enum Purpose<'a> {
    Resume(Restoring<'a>),
    Undo(Box<record::Record>),
}

impl Purpose<'_> {
    /// Whether this ends what was interrupted.
    fn is_ending(&self) -> bool {
        matches!(self, Self::Undo(past) if !past.deeds.is_done)
    }

    /// What the restore that is undone had written: git may ignore it here, and not know it.
    fn written(&self) -> BTreeSet<RepoPath> {
        match self {
            Self::Resume(_) => BTreeSet::new(),
            Self::Undo(past) => past.deeds.written.iter().map(|path| path.0.clone()).collect(),
        }
    }

    /// What cannot be read of a saved state cannot be read of a record.
    fn explained(&self, error: CheckoutError) -> CheckoutError {
        use Refusal::{BadContent, BadPack};
        match (self, &error) {
            (
                Self::Undo(past),
                CheckoutError::Code(_) | CheckoutError::Refused(BadContent(_) | BadPack(_)),
            ) => past.damaged(&error),
            _ => error,
        }
    }

    fn fetch(&self) -> Result<Route<'_>, &str> {
        match self {
            Self::Resume(restoring) => restoring.fetch,
            Self::Undo(_) => Err(before::RECORDED),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Resume(restoring) => restoring.limits,
            Self::Undo(_) => Limits::NONE,
        }
    }
}

fn prepare<'a>(
    place: Place<'a>,
    opened: &'a Opened,
    purpose: Purpose<'_>,
) -> Result<Prepared<'a>, CheckoutError> {
    opened.check_size(purpose.limits())?;
    let held = record::lock(place)?;
    if !purpose.is_ending() && record::newest(place)?.is_some_and(|past| !past.deeds.is_done) {
        return Err(Refusal::Interrupted.into());
    }
    if !purpose.is_ending() {
        lock::check_elsewhere(place)?;
    }
    record::sweep(place);
    let objects = objects::Objects::take(place, opened, purpose.limits(), purpose.fetch())
        .and_then(|objects| opened.check_contents(&objects).map(|()| objects))
        .map_err(|error| purpose.explained(error))?;
    let mut record = record::Record::begin(place)?;
    let is_ending = purpose.is_ending();
    let facts = facts::gather(place, &opened.state, &objects, &mut record, &purpose)?;
    let plan = plan::plan(&opened.state, &facts, place.guard, &purpose)?;
    let mut outlook = plan.outlook(&opened.state);
    outlook.is_elsewhere =
        outlook.instead_of.as_ref().is_some_and(|branch| facts.branches.elsewhere.contains(branch));
    let is_resume = matches!(purpose, Purpose::Resume(_));
    if let (Some(to), true) = (plan.head.as_ref().and_then(|to| to.head.commit), is_resume) {
        outlook.commits = objects.count_new(to, facts.here.head.commit)?;
    }
    outlook.is_here = is_resume && !is_ending && plan.is_nothing(&opened.state, &facts.here);
    objects.fetch_blobs(&plan.check_out.values().copied().collect(), purpose.fetch())?;
    let has_own_work = match &purpose {
        Purpose::Undo(past) if is_ending => {
            own_work::is_there(&facts, &opened.state, past, &objects, place)?
        }
        _ => false,
    };
    bounds::check(&purpose, &opened.state, &facts, &plan, &objects)?;
    links::check(&purpose, &opened.state, &facts, &plan, &objects)?;
    outlook.programs = programs::named(&opened.state, &facts, &plan, &objects)?;
    let past = match purpose {
        Purpose::Resume(_) => None,
        Purpose::Undo(past) => Some(past),
    };
    let prepared = Prepared {
        place,
        opened,
        objects,
        facts,
        plan,
        record,
        outlook,
        past,
        is_ending,
        has_own_work,
        _lock: held,
    };
    prepared.check_blobs()?;
    Ok(prepared)
}

impl Prepared<'_> {
    /// What applying will do.
    pub fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// Carries the plan out and looks whether everything stands as it should. `progress` hears of every step
    /// before it is done, and may stop there.
    ///
    /// # Errors
    /// [`CheckoutError::Halfway`] when something failed after the first change: [`undo`] takes it back.
    pub fn apply(
        mut self,
        progress: &dyn Fn(Step) -> Result<(), CheckoutError>,
    ) -> Result<Report, CheckoutError> {
        if self.outlook.is_here {
            // No record either: the one before it is the one to be undone.
            return Ok(Report { outlook: self.outlook.clone(), ..Report::default() });
        }
        let done = apply::apply(&mut self, progress)?;
        let (differences, behind) = verify::verify(&self, &done)?;
        // All is done; what stays too long costs room only.
        let cleaned = self.let_go_of_past(&differences).and_then(|()| self.record.thin_out());
        let gone = cleaned.unwrap_or_else(|error| {
            tracing::warn!(error = crate::cause::with_causes(&error), "old records stay");
            Vec::new()
        });
        Ok(Report {
            outlook: self.outlook,
            differences,
            behind,
            unfiltered: done.unfiltered.iter().map(RepoPath::shown).collect(),
            not_back: done.not_back,
            record: self.record.dir().to_owned(),
            gone,
            again: !self.record.deeds.is_rest,
            unfinished: done.is_unfinished,
            unlocked: false,
            forsaken: false,
        })
    }

    /// Takes the record away that was undone, if all it holds was seen to stand here again. What did not come
    /// back lies there alone, or is kept by it alone.
    fn let_go_of_past(&self, differences: &[String]) -> Result<(), CheckoutError> {
        let head = self.plan.head.as_ref();
        let has_head_back = head.is_none_or(|to| to.head == self.opened.state.head);
        let is_whole = differences.is_empty() && self.plan.left.is_empty() && has_head_back;
        match &self.past {
            Some(past) if is_whole && past.git_files().next().is_none() => past.remove(),
            _ => Ok(()),
        }
    }

    /// Whether a path stays as it is here.
    fn is_left(&self, path: &RepoPath) -> bool {
        let states = [&self.opened.state, &self.facts.here];
        let mut above = std::iter::successors(Some(path.clone()), RepoPath::parent);
        self.plan.left.contains_key(path)
            || self.place.guard.covers(path)
            || above.any(|path| states.iter().any(|state| state.omitted.contains_key(&path)))
    }
}
