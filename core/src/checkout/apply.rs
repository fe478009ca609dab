//! Carries a plan out: the record first, then files, then refs and the index.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::aside::{self, remove_empty};
use super::branch::{Move, RefMove};
use super::facts::{Entry, Index};
use super::index::Draft;
use super::objects::{release, told};
use super::opened::Contents;
use super::step::Step;
use super::{CheckoutError, NotBack, Prepared, Refusal, record};
use crate::code::{Node, OperationKind, RepoPath};
use crate::disk::{Access, Beneath, Found};
use crate::id::Oid;

/// What is written into the reflog.
const MESSAGE: &str = "convosync: restore";

/// What applying found.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) unfiltered: Vec<RepoPath>,
    /// Files that are as they should be, whatever git says of them without their filters.
    pub(super) made: BTreeMap<RepoPath, Found>,
    /// What was set aside once and could not be brought back: it stays in the record.
    pub(super) not_back: Vec<NotBack>,
    /// Whether an earlier restore is still to be ended.
    pub(super) is_unfinished: bool,
}

struct Applier<'p, 'a> {
    prepared: &'p mut Prepared<'a>,
    beneath: Beneath,
}

pub(super) fn apply(
    prepared: &mut Prepared<'_>,
    progress: &dyn Fn(Step) -> Result<(), CheckoutError>,
) -> Result<Done, CheckoutError> {
    let place = prepared.place;
    let beneath = Beneath::open(&place.project.root)?;
    let draft_path = prepared.record.dir().join("index");
    let mut draft = Draft::begin(place, draft_path)?;
    prepared.check_standing(&beneath)?;
    prepared.record_all(&beneath)?;
    prepared.check_record()?;
    prepared.record.keep(&prepared.opened.state)?;
    if let Err(error) = draft.hold() {
        // Nothing was changed, and there is nothing to undo.
        prepared.record.remove()?;
        return Err(error);
    }
    let record = prepared.record.dir().to_owned();
    let mut applier = Applier { prepared: &mut *prepared, beneath };
    let done = applier.steps(&mut draft, progress);
    done.map_err(|source| CheckoutError::Halfway { record, source: Box::new(source) })
}

impl Applier<'_, '_> {
    fn steps(
        &mut self,
        draft: &mut Draft<'_>,
        progress: &dyn Fn(Step) -> Result<(), CheckoutError>,
    ) -> Result<Done, CheckoutError> {
        let plan = &self.prepared.plan;
        let (removed, checked_out, written) =
            (plan.remove.len(), plan.check_out.len(), plan.write.len());
        progress(Step::Objects)?;
        let kept = self.prepared.objects.settle()?;
        self.check_objects()?;
        let mut index = self.prepared.plan.index.clone();
        let raw = self.raw();
        index.extend(raw.clone());
        draft.change(&index)?;
        progress(Step::Remove { files: removed })?;
        self.remove()?;
        progress(Step::CheckOut { files: checked_out })?;
        let paths = self.prepared.plan.check_out.keys();
        let paths = paths.filter(|path| !raw.contains_key(*path)).collect();
        let unfiltered = draft.check_out(&self.beneath, &paths, &self.prepared.plan.check_out);
        let unfiltered = unfiltered.map_err(|error| self.or_full_disk(error))?;
        let mut made = draft.filtered(&self.beneath, &paths)?;
        progress(Step::Write { files: written })?;
        self.write()?;
        progress(Step::Directories)?;
        self.prune()?;
        made.extend(aside::bring_back(self.prepared, &self.beneath)?);
        self.make_directories()?;
        progress(Step::Index)?;
        draft.flag(&index)?;
        draft.refresh()?;
        self.beneath.settle();
        progress(Step::Refs)?;
        self.refs()?;
        release(&kept)?;
        progress(Step::Operation)?;
        self.operation()?;
        progress(Step::Finish)?;
        draft.put()?;
        // On the disk before the record says that it is done.
        self.beneath.settle();
        let not_back = self.finish()?;
        let is_unfinished = record::is_unfinished(self.prepared.place)?;
        if !is_unfinished {
            draft.release()?;
        }
        Ok(Done { unfiltered, made, not_back, is_unfinished })
    }

    /// Files that git is not asked to check out, because the restore that is undone set them aside as they
    /// stood. Their entries are made anew, so that git reads them again and does not go by their size.
    fn raw(&self) -> BTreeMap<RepoPath, Vec<Entry>> {
        let Some(past) = &self.prepared.past else { return BTreeMap::new() };
        let index = Index::new(&self.prepared.opened.state, &self.prepared.facts.there_listing);
        let aside = past.deeds.aside.iter().map(|aside| &aside.path.0);
        let aside = aside.filter(|path| self.prepared.plan.check_out.contains_key(*path));
        let entries = |path: &RepoPath| {
            let changed = self.prepared.plan.index.get(path).cloned();
            changed.unwrap_or_else(|| index.entries(path))
        };
        aside.map(|path| (path.clone(), entries(path))).collect()
    }

    /// Git does not say that a disk is full when it cannot write a file.
    fn or_full_disk(&self, error: CheckoutError) -> CheckoutError {
        let blobs = self.prepared.plan.check_out.values().copied().collect();
        let sizes = self.prepared.objects.sizes(&blobs).unwrap_or_default();
        let needed = sizes.values().fold(0_u64, |sum, size| sum.saturating_add(*size));
        let is_full = self.beneath.room().is_some_and(|room| room < needed);
        if is_full && matches!(error, CheckoutError::GitSaid { .. }) {
            let full = rustix::io::Errno::NOSPC.into();
            return record::io_failed("check files out into", self.beneath.root(), full);
        }
        error
    }

    /// The commit must be there, in the clone itself, and so must what git will check out.
    fn check_objects(&self) -> Result<(), CheckoutError> {
        let tip = self.prepared.opened.state.head.commit;
        let tips: Vec<Oid> = tip.into_iter().collect();
        let objects = &self.prepared.objects;
        if !objects.is_connected(&tips)? {
            return Err(Refusal::MissingCommits { commit: tip, why: None }.into());
        }
        self.prepared.check_blobs()
    }

    fn remove(&self) -> Result<(), CheckoutError> {
        let facts = &self.prepared.facts;
        // The deepest first: a link goes before nothing that lies behind it, for nothing does.
        for path in self.prepared.plan.remove.iter().rev() {
            let found = facts.standing.get(path).copied().unwrap_or(Found::Nothing);
            self.beneath.remove(path.as_path(), found)?;
        }
        for path in &self.prepared.plan.prune {
            remove_empty(&self.beneath, path)?;
        }
        Ok(())
    }

    /// Writes files, then links: no file is ever written while a link of the state is there.
    fn write(&self) -> Result<(), CheckoutError> {
        let opened = self.prepared.opened;
        let contents = Contents::open(opened, &self.prepared.objects)?;
        let nodes = || {
            let paths = self.prepared.plan.write.iter();
            paths.filter_map(|path| Some((path, opened.state.tree.get(path)?)))
        };
        for (path, node) in nodes() {
            if let Node::File { executable, content } = node {
                let access =
                    Access { executable: *executable, permissions: self.permissions(path) };
                let fill = &mut |to: &mut dyn io::Write| contents.copy(content, to);
                self.beneath.write(path.as_path(), access, Found::Nothing, fill)?;
            }
        }
        for (path, node) in nodes() {
            if let Node::Link(target) = node {
                self.beneath.link(path.as_path(), target, Found::Nothing)?;
            }
        }
        Ok(())
    }

    /// The permissions a file has or had here.
    fn permissions(&self, path: &RepoPath) -> Option<u32> {
        let past = self.prepared.past.as_ref();
        let recorded = past.and_then(|past| past.permissions(path));
        recorded.or_else(|| match self.prepared.facts.standing.get(path)? {
            Found::File(stamp) => Some(stamp.permissions),
            _ => None,
        })
    }

    /// Takes directories away that were left empty.
    fn prune(&self) -> Result<(), CheckoutError> {
        for path in self.prepared.plan.remove.iter().chain(&self.prepared.plan.prune) {
            let above = std::iter::successors(path.parent(), RepoPath::parent);
            for folder in above {
                if !self.beneath.remove_empty_dir(folder.as_path())? {
                    break;
                }
            }
        }
        // Those below come later.
        let made = self.prepared.past.iter().flat_map(|past| past.deeds.made.iter().rev());
        for path in made.map(|path| &path.0).filter(|path| !self.prepared.plan.make.contains(*path))
        {
            self.beneath.remove_empty_dir(path.as_path())?;
        }
        Ok(())
    }

    /// Makes the directories that the state has, and those that only the restore which is undone took away.
    fn make_directories(&self) -> Result<(), CheckoutError> {
        for path in &self.prepared.plan.make {
            self.beneath.make_dir(path.as_path())?;
        }
        aside::make_again(self.prepared, &self.beneath)
    }

    /// Moves the branch, then HEAD; a branch that goes goes after HEAD has left it.
    fn refs(&self) -> Result<(), CheckoutError> {
        let Some(to) = &self.prepared.plan.head else { return Ok(()) };
        let goes = to.branch.as_ref().filter(|moved| moved.to.is_none());
        if let (Some(moved), None) = (&to.branch, goes) {
            self.move_ref(moved)?;
        }
        self.move_head(to)?;
        goes.map_or(Ok(()), |moved| self.move_ref(moved))
    }

    fn move_ref(&self, moved: &RefMove) -> Result<(), CheckoutError> {
        let nothing = Oid([0; 20]);
        let from = moved.from.unwrap_or(nothing).to_string();
        let command = self.prepared.objects.in_the_clone().args(["update-ref", "-m", MESSAGE]);
        let command = match moved.to {
            Some(to) => command.arg(&moved.name).arg(to.to_string()).arg(from),
            None => command.arg("-d").arg(&moved.name).arg(from),
        };
        told(command.run(), "move the branch").map(drop)
    }

    fn move_head(&self, to: &Move) -> Result<(), CheckoutError> {
        let here = &self.prepared.facts.here.head;
        let command = self.prepared.objects.in_the_clone();
        let command = match (&to.head.branch, to.head.commit) {
            (branch, _) if branch.is_some() && *branch == here.branch => return Ok(()),
            (None, commit) if here.branch.is_none() && commit == here.commit => return Ok(()),
            (Some(branch), _) => command
                .args(["symbolic-ref", "-m", MESSAGE, "HEAD"])
                .arg(format!("refs/heads/{branch}")),
            (None, Some(commit)) => command
                .args(["update-ref", "--no-deref", "-m", MESSAGE, "HEAD"])
                .arg(commit.to_string()),
            (None, None) => return Ok(()),
        };
        told(command.run(), "move HEAD").map(drop)
    }

    /// Writes git's own files about an unfinished merge, and takes away those of one that was restored.
    fn operation(&self) -> Result<(), CheckoutError> {
        let git_dir = self.prepared.place.project.git_dir.as_ref().ok_or(Refusal::NoWorkTree)?;
        let beneath = Beneath::open(git_dir)?;
        let files = |kind: OperationKind| kind.files().iter().copied();
        let saved = self.prepared.opened.state.operation.as_ref();
        let here = self.prepared.facts.here.operation.as_ref();
        for name in here.into_iter().flat_map(|operation| files(operation.kind)) {
            let found = beneath.look(Path::new(name))?;
            let stays = saved.is_some_and(|saved| saved.files.contains_key(name));
            if matches!(found, Found::File(_)) && !stays {
                beneath.remove(Path::new(name), found)?;
            }
        }
        for (name, bytes) in saved.into_iter().flat_map(|operation| &operation.files) {
            let name = Path::new(name);
            let found = beneath.look(name)?;
            let access = Access { executable: false, permissions: None };
            beneath.write(name, access, found, &mut |to| to.write_all(bytes))?;
        }
        let past = self.prepared.past.iter().flat_map(|past| past.git_files());
        for (name, bytes) in past {
            let stays = saved.is_some_and(|saved| saved.files.contains_key(&name));
            let (name, access) =
                (Path::new(&name), Access { executable: false, permissions: None });
            let found = beneath.look(name)?;
            if !stays && found == Found::Nothing {
                beneath.write(name, access, found, &mut |to| to.write_all(&bytes))?;
            }
        }
        Ok(())
    }

    /// Writes down that everything is done, and returns what could not be brought back.
    fn finish(&mut self) -> Result<Vec<NotBack>, CheckoutError> {
        let not_back = aside::not_back(self.prepared, &self.beneath)?;
        let Prepared { record, past, is_ending, .. } = &mut *self.prepared;
        record.deeds.is_done = true;
        record.write_deeds()?;
        if let (Some(past), true) = (past, *is_ending) {
            // Until it was seen that all of it is back, it lies there for somebody to look into.
            past.deeds.is_done = true;
            past.deeds.is_rest = true;
            past.write_deeds()?;
        }
        Ok(not_back)
    }
}
