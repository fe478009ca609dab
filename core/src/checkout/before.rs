//! What comes before the first change: a last look, and the record of all that is needed to take it back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use super::objects::Objects;
use super::record::PathBytes;
use super::spelling::Eyes;
use super::step::Recorded;
use super::{CheckoutError, Prepared, Refusal};
use crate::code::{Limits, RepoPath};
use crate::disk::{Beneath, Found};
use crate::id::{Oid, hex};

/// The largest of git's own files that is set aside for one of an operation.
const GIT_FILE_MAX: u64 = 1 << 20;
/// Why nothing is fetched for what was recorded here.
pub(super) const RECORDED: &str = "what is recorded was all here";

impl Prepared<'_> {
    /// Makes sure that nothing changed since it was looked at.
    pub(super) fn check_standing(&self, beneath: &Beneath) -> Result<(), CheckoutError> {
        let eyes = Eyes::new(beneath, self.facts.folds);
        for (path, found) in &self.facts.standing {
            if eyes.look(path)? != *found {
                return Err(Refusal::Changing.into());
            }
        }
        if self.record.is_current(self.place)? { Ok(()) } else { Err(Refusal::Changing.into()) }
    }

    /// Writes down all that is needed to take back what follows.
    pub(super) fn record_all(&mut self, beneath: &Beneath) -> Result<(), CheckoutError> {
        self.record_git_files()?;
        self.record_directories(beneath)?;
        let mut aside: BTreeMap<&RepoPath, u64> = BTreeMap::new();
        for path in &self.plan.aside {
            let size = match self.facts.standing.get(path) {
                Some(Found::File(stamp)) => stamp.size,
                _ => 0,
            };
            aside.insert(path, size);
        }
        // What git would not check out with the same bytes (other line ends, a filter) is copied as it stands.
        let sizes = self.objects.sizes(&self.plan.tracked.values().copied().collect())?;
        let asked = self.objects.in_the_clone().arg("check-attr");
        let filters = super::index::filters(asked, self.plan.tracked.keys())?;
        for (path, id) in &self.plan.tracked {
            let Some(Found::File(stamp)) = self.facts.standing.get(path) else { continue };
            let is_converted = self.facts.converts
                || filters.contains_key(path)
                || sizes.get(id) != Some(&stamp.size);
            if is_converted {
                aside.insert(path, stamp.size);
            }
        }
        self.record
            .check_room(&aside.iter().map(|(path, size)| (*path, *size)).collect::<Vec<_>>())?;
        let all = aside.values().copied().fold(0, u64::saturating_add);
        let mut recorded = Recorded::of(self.place.tell, all);
        for path in aside.into_keys() {
            self.record.set_aside(beneath, path, &mut recorded)?;
        }
        let permissions =
            self.plan.remove.iter().filter_map(|path| match self.facts.standing.get(path)? {
                Found::File(stamp) => Some((PathBytes(path.clone()), stamp.permissions)),
                _ => None,
            });
        let permissions = permissions.collect();
        let deeds = &mut self.record.deeds;
        deeds.permissions = permissions;
        // All that may stand here afterwards though git does not know it: ignored here, or brought back.
        let past = self.past.iter().flat_map(|past| &past.deeds.aside).map(|aside| &aside.path.0);
        let plan = &self.plan;
        let placed = plan.write.iter().chain(plan.check_out.keys()).chain(&plan.aside).chain(past);
        let placed: BTreeSet<&RepoPath> = placed.collect();
        let checked_out = plan.check_out.iter();
        deeds.checked_out = checked_out.map(|(path, id)| (PathBytes(path.clone()), *id)).collect();
        deeds.written = placed.into_iter().cloned().map(PathBytes).collect();
        deeds.moved = self.plan.head.as_ref().and_then(|head| head.branch.clone());
        deeds.is_rest = self.is_ending && !self.has_own_work;
        let operation = self.opened.state.operation.as_ref();
        deeds.operation = operation.map(|operation| format!("{:?}", operation.kind));
        Ok(())
    }

    /// Writes down which directories come and go that git may not know.
    fn record_directories(&mut self, beneath: &Beneath) -> Result<(), CheckoutError> {
        let (mut made, mut pruned) = (BTreeSet::new(), BTreeSet::new());
        let before = self.past.iter().flat_map(|past| &past.deeds.pruned).map(|path| &path.0);
        for path in self.plan.make.iter().chain(before) {
            for folder in std::iter::successors(Some(path.clone()), RepoPath::parent) {
                if beneath.look(folder.as_path())? == Found::Directory {
                    break;
                }
                made.insert(folder);
            }
        }
        for path in self.past.iter().flat_map(|past| &past.deeds.made).map(|path| &path.0) {
            if beneath.look(path.as_path())? == Found::Directory {
                pruned.insert(path.clone());
            }
        }
        let listed = |paths: BTreeSet<RepoPath>| paths.into_iter().map(PathBytes).collect();
        (self.record.deeds.made, self.record.deeds.pruned) = (listed(made), listed(pruned));
        Ok(())
    }

    /// Writes down git's own files that those of an operation will replace: a prepared message, say.
    fn record_git_files(&mut self) -> Result<(), CheckoutError> {
        let git_dir = self.place.project.git_dir.as_ref().ok_or(Refusal::NoWorkTree)?;
        let beneath = Beneath::open(git_dir)?;
        let saved = self.opened.state.operation.as_ref();
        let here = self.facts.here.operation.as_ref();
        for name in saved.into_iter().flat_map(|operation| operation.files.keys()) {
            let path = Path::new(name);
            // Those of an operation that runs here are in the state.
            let is_recorded = here.is_some_and(|here| here.files.contains_key(name));
            if is_recorded || !matches!(beneath.look(path)?, Found::File(_)) {
                continue;
            }
            let mut bytes = Vec::new();
            let read = beneath.read(path)?.take(GIT_FILE_MAX + 1).read_to_end(&mut bytes);
            read.map_err(|source| super::record::io_failed("read", path, source))?;
            if bytes.len() as u64 > GIT_FILE_MAX {
                return Err(Refusal::InTheWay { paths: vec![format!(".git/{name}")] }.into());
            }
            self.record.deeds.git_files.push((name.clone(), hex(&bytes)));
        }
        Ok(())
    }

    /// Refuses where git could not check a file out, because its blob is not there. What was set aside by the
    /// restore that is undone is not git's matter.
    pub(super) fn check_blobs(&self) -> Result<(), CheckoutError> {
        let past = self.past.as_ref();
        let aside = past.into_iter().flat_map(|past| &past.deeds.aside);
        let aside: BTreeSet<&RepoPath> = aside.map(|aside| &aside.path.0).collect();
        let files = || self.plan.check_out.iter().filter(|(path, _)| !aside.contains(path));
        let missing = self.objects.missing(&files().map(|(_, id)| *id).collect())?;
        let missing: BTreeSet<Oid> = missing.into_iter().collect();
        let mut absent = files().filter(|(_, id)| missing.contains(id)).map(|(path, _)| path);
        match absent.next() {
            None => Ok(()),
            Some(first) => {
                let count = absent.count() + 1;
                Err(Refusal::MissingFiles { count, first: first.shown(), why: None }.into())
            }
        }
    }

    /// Reads the record as an undo would, before anything depends on it.
    pub(super) fn check_record(&self) -> Result<(), CheckoutError> {
        let recorded = self.record.opened()?;
        if recorded.state != self.facts.here {
            return Err(Refusal::Changing.into());
        }
        recorded.check_contents(&Objects::take(self.place, &recorded, Limits::NONE, Err(RECORDED))?)
    }
}
