//! Git objects of a saved state: looked at in quarantine, and only then put into the clone.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::record::{self, io_failed};
use super::{COMMITS_COUNTED_MAX, CheckoutError, Opened, Place, Refusal, Route};
use crate::code::{self, Limits, Mode, RepoPath};
use crate::disk::{self, NewFile};
use crate::git::{GitCommand, GitError, Output, Version};
use crate::id::Oid;

/// How long looking at objects may take: a pack of 100 MiB needs some seconds.
const DEADLINE: Duration = Duration::from_secs(10 * 60);
/// How much memory a child has that reads a pack from elsewhere.
const PACK_MEMORY_MAX: u64 = 256 << 20;
/// The git from which on `index-pack` can be told what it need not find.
const SAYS_WHAT_TO_IGNORE: Version = Version { major: 2, minor: 45 };
/// Blobs beyond this many bytes are streamed.
const STREAMED: &str = "1m";
/// The longest list of a commit's files in bytes: half a million of them.
const LISTING_MAX: usize = 64 << 20;
/// How many bytes of blobs are laid out to read contents from.
const BLOBS_MAX: u64 = 8 << 30;
/// How much room there is for the names and sizes of objects.
const SIZES_MAX: usize = 64 << 20;

/// The files of a commit: mode and id by path.
pub(super) type Listing = BTreeMap<RepoPath, (Mode, Oid)>;

/// The objects a state needs.
#[derive(Debug)]
pub(super) struct Objects<'a> {
    pub(super) place: Place<'a>,
    common: PathBuf,
    scratch: TempDir,
    packs: Vec<PathBuf>,
    blobs: BTreeMap<Oid, Range<u64>>,
    blobs_path: PathBuf,
    /// Whether the packs are in the clone by now, so that the quarantine counts no more.
    is_settled: Cell<bool>,
}

impl<'a> Objects<'a> {
    /// Looks at all objects the state needs, those of its packs in quarantine.
    pub(super) fn take(
        place: Place<'a>,
        opened: &Opened,
        limits: Limits,
        fetch: Result<Route<'_>, &str>,
    ) -> Result<Self, CheckoutError> {
        let common = place.project.common_dir.clone().ok_or(Refusal::NoWorkTree)?;
        disk::private_dir(place.records)?;
        let scratch = tempfile::Builder::new().prefix(disk::TEMP_PREFIX).tempdir_in(place.records);
        let scratch =
            scratch.map_err(|source| io_failed("make a folder in", place.records, source))?;
        // A repository of its own: outside of any, `index-pack` dies where it looks for an object.
        disk::make_dirs(&scratch.path().join("objects/pack"))?;
        disk::make_dirs(&scratch.path().join("refs"))?;
        disk::create_new(&scratch.path().join("HEAD"), b"ref: refs/heads/none\n")?;
        let blobs_path = scratch.path().join("blobs");
        let mut objects = Self {
            place,
            common,
            scratch,
            packs: Vec::new(),
            blobs: BTreeMap::new(),
            blobs_path,
            is_settled: Cell::new(false),
        };
        if !objects.has_all(opened)? {
            objects.take_packs(opened, limits)?;
        }
        let mut why = None;
        if !objects.has_all(opened)? {
            why = objects.fetch(opened, fetch)?;
        }
        if !objects.has_all(opened)? {
            why = objects.fetch_blobs(&needed(opened), fetch)?.or(why);
        }
        objects.check_all(opened, why)?;
        objects.take_trees(opened, fetch)?;
        objects.lay_out_blobs(opened)?;
        Ok(objects)
    }

    /// A git child in the work tree that reads the clone's objects and those in quarantine.
    pub(super) fn git(&self) -> GitCommand {
        let command = self.place.git.command().dir(&self.place.project.root).deadline(DEADLINE);
        if self.packs.is_empty() || self.is_settled.get() {
            command
        } else {
            command.objects(&self.scratch.path().join("objects")).more_objects(&self.common)
        }
    }

    /// Where the blobs were laid out.
    pub(super) fn blobs_path(&self) -> &Path {
        &self.blobs_path
    }

    /// Where a blob's bytes lie.
    pub(super) fn blob(&self, id: &Oid) -> Option<Range<u64>> {
        self.blobs.get(id).cloned()
    }

    /// Whether every commit and staged blob is there, with all it needs.
    fn has_all(&self, opened: &Opened) -> Result<bool, CheckoutError> {
        match self.check_all(opened, None) {
            Err(CheckoutError::Refused(_)) => Ok(false),
            found => found.map(|()| true),
        }
    }

    /// Refuses where a commit or a blob is missing.
    fn check_all(&self, opened: &Opened, why: Option<String>) -> Result<(), CheckoutError> {
        let state = &opened.state;
        let mut tips: Vec<Oid> = state.head.commit.into_iter().collect();
        tips.extend(state.operation.iter().flat_map(|operation| operation.heads()));
        let commit = state.head.commit;
        if !self.is_connected(&tips)? {
            return Err(Refusal::MissingCommits { commit, why }.into());
        }
        let missing: BTreeSet<Oid> = self.missing(&needed(opened))?.into_iter().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let contents = opened.contents().filter_map(|(path, content)| {
            content.rope.blob.filter(|id| missing.contains(id)).map(|_| path)
        });
        let staged = state
            .index
            .iter()
            .filter(|entry| entry.entry.is_some_and(|(_, id)| missing.contains(&id)));
        let paths: BTreeSet<&RepoPath> = contents.chain(staged.map(|entry| &entry.path)).collect();
        match paths.first() {
            Some(first) if self.is_partial()? => {
                Err(Refusal::MissingFiles { count: paths.len(), first: first.shown(), why }.into())
            }
            _ => Err(Refusal::MissingCommits { commit, why }.into()),
        }
    }

    /// Whether commits are there with everything they reach.
    pub(super) fn is_connected(&self, tips: &[Oid]) -> Result<bool, CheckoutError> {
        if tips.is_empty() {
            return Ok(true);
        }
        let commits = tips.iter().map(|id| format!("{id}^{{commit}}"));
        let depth = if self.is_partial()? { "--no-walk" } else { "--objects" };
        let command = self.git().args(["rev-list", "--quiet", depth]).args(commits);
        Ok(command.args(["--not", "--all"]).run()?.success())
    }

    /// How many commits `tip` has that `here` has not, up to a limit.
    pub(super) fn count_new(&self, tip: Oid, here: Option<Oid>) -> Result<usize, CheckoutError> {
        if Some(tip) == here {
            return Ok(0);
        }
        let limit = format!("--max-count={COMMITS_COUNTED_MAX}");
        let command = self.git().args(["rev-list", "--count", &limit]).arg(tip.to_string());
        let command = here.iter().fold(command, |command, id| command.arg(format!("^{id}")));
        // A number to be shown: that it cannot be had keeps nothing back.
        let output = command.run()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_default())
    }

    /// Whether the clone fetches objects when they are needed: not all it reaches is there.
    pub(super) fn is_partial(&self) -> Result<bool, CheckoutError> {
        let asked =
            ["config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"];
        Ok(self.git().args(asked).run()?.success())
    }

    /// Which blobs are not there, or are no blobs.
    pub(super) fn missing(&self, ids: &BTreeSet<Oid>) -> Result<Vec<Oid>, CheckoutError> {
        let sizes = self.sizes(ids)?;
        Ok(ids.iter().filter(|id| !sizes.contains_key(id)).copied().collect())
    }

    /// How large each blob is.
    pub(super) fn sizes(&self, ids: &BTreeSet<Oid>) -> Result<BTreeMap<Oid, u64>, CheckoutError> {
        Self::sizes_seen_by(self.git(), ids)
    }

    /// Which blobs only the saved packs have.
    pub(super) fn not_in_the_clone(
        &self,
        ids: &BTreeSet<Oid>,
    ) -> Result<BTreeSet<Oid>, CheckoutError> {
        if self.packs.is_empty() {
            return Ok(BTreeSet::new());
        }
        let sizes = Self::sizes_seen_by(self.in_the_clone(), ids)?;
        Ok(ids.iter().filter(|id| !sizes.contains_key(id)).copied().collect())
    }

    fn sizes_seen_by(
        command: GitCommand,
        ids: &BTreeSet<Oid>,
    ) -> Result<BTreeMap<Oid, u64>, CheckoutError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let command = command.args(["cat-file", "--batch-check"]).stdin(lines(ids));
        let output = told(command.stdout_limit(SIZES_MAX).run(), "look at the blobs")?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .filter_map(|line| {
                let (id, rest) = line.split_once(' ')?;
                Some((id.parse().ok()?, rest.strip_prefix("blob ")?.parse().ok()?))
            })
            .collect())
    }

    /// Reads blobs, each of at most `most` bytes; others are left out.
    pub(super) fn small(
        &self,
        ids: &BTreeSet<Oid>,
        most: u64,
    ) -> Result<BTreeMap<Oid, Vec<u8>>, CheckoutError> {
        let sizes = self.sizes(ids)?;
        let asked: BTreeSet<Oid> = ids
            .iter()
            .filter(|id| sizes.get(id).is_some_and(|size| *size <= most))
            .copied()
            .collect();
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let command = self.git().args(["cat-file", "--batch", "--buffer"]).stdin(lines(&asked));
        let output = told(command.stdout_limit(SIZES_MAX).run(), "read the links")?;
        let (mut found, mut rest) = (BTreeMap::new(), &output.stdout[..]);
        // They come as they were asked for, each after a line, with one byte behind it.
        for id in asked {
            let size = sizes.get(&id).copied().and_then(|size| usize::try_from(size).ok());
            let start = rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let (Some(start), Some(size)) = (start, size) else { break };
            let Some(bytes) = rest.get(start..start + size) else { break };
            found.insert(id, bytes.to_vec());
            rest = rest.get(start + size + 1..).unwrap_or_default();
        }
        Ok(found)
    }

    fn take_packs(&mut self, opened: &Opened, limits: Limits) -> Result<(), CheckoutError> {
        let folder = self.scratch.path().join("objects/pack");
        let mut size = 0_u64;
        for (number, pack) in opened.state.packs.iter().enumerate() {
            let path = folder.join(format!("pack-{number}.pack"));
            let mut file = NewFile::create(&path)?;
            opened.copy_pack(pack, &mut file)?;
            file.finish()?;
            let read = BufReader::new(disk::open_regular(&path)?);
            let read = code::unfolded(read, limits.total - size);
            size = size.saturating_add(*read.as_ref().unwrap_or(&0));
            if size > limits.total {
                return Err(Refusal::TooLarge { size, files: 0, limit: limits.total }.into());
            }
            self.check_pack(&path)?;
            // Git says better what is wrong with it.
            read.map_err(|error| Refusal::BadPack(error.to_string()))?;
            self.packs.push(path);
        }
        Ok(())
    }

    /// Reads a whole pack by itself: every object of it must be there and be what its id says, and no
    /// tree may hold what must not stand in a work tree. The attributes and submodules of a tree may lie
    /// below the pack, in the clone: git looks for them, and an older one must find them.
    fn check_pack(&self, path: &Path) -> Result<(), CheckoutError> {
        let git = self.place.git;
        let mut command = git.command().dir(self.scratch.path()).git_dir(self.scratch.path());
        command = if git.version() >= SAYS_WHAT_TO_IGNORE {
            command.args([
                "index-pack",
                "--fsck-objects=gitmodulesMissing=ignore,gitattributesMissing=ignore",
            ])
        } else {
            command.more_objects(&self.common).args(["index-pack", "--fsck-objects"])
        };
        let command = command.args(["--threads=1", "-o"]);
        let command = command.arg(path.with_extension("idx")).arg(path).deadline(DEADLINE);
        let command = command.config("core.packedGitWindowSize", STREAMED);
        let command =
            command.config("core.bigFileThreshold", STREAMED).memory_limit(PACK_MEMORY_MAX);
        let output = command.watched().run()?;
        if output.success() { Ok(()) } else { Err(Refusal::BadPack(output.said()).into()) }
    }

    /// Writes the blobs that contents are made of into one file.
    fn lay_out_blobs(&mut self, opened: &Opened) -> Result<(), CheckoutError> {
        let ids: BTreeSet<Oid> =
            opened.contents().filter_map(|(_, content)| content.rope.blob).collect();
        let size = self.sizes(&ids)?.values().fold(0_u64, |sum, size| sum.saturating_add(*size));
        if size > BLOBS_MAX {
            return Err(Refusal::TooLarge { size, files: ids.len(), limit: BLOBS_MAX }.into());
        }
        disk::create_new(&self.blobs_path, b"")?;
        if ids.is_empty() {
            return Ok(());
        }
        let file = disk::open_to_fill(&self.blobs_path)?;
        let command = self.git().args(["cat-file", "--batch", "--buffer"]).stdin(lines(&ids));
        told(command.stdout_file(file).run(), "read the blobs")?;
        self.find_blobs().map_err(|source| io_failed("read", &self.blobs_path, source))
    }

    fn find_blobs(&mut self) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(&self.blobs_path)?);
        let (mut at, mut line) = (0_u64, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split_whitespace();
            let (id, size) = (words.next(), words.nth(1));
            let invalid = io::ErrorKind::InvalidData;
            let id: Oid = id.and_then(|id| id.parse().ok()).ok_or(invalid)?;
            let size: u64 = size.and_then(|size| size.parse().ok()).ok_or(invalid)?;
            let start = at + line.len() as u64;
            self.blobs.insert(id, start..start + size);
            at = start + size + 1;
            reader.seek_relative(i64::try_from(size + 1).map_err(|_| invalid)?)?;
        }
    }

    /// Lists the files of a commit; none for an unborn branch.
    pub(super) fn listing(&self, commit: Option<Oid>) -> Result<Listing, CheckoutError> {
        let Some(commit) = commit else { return Ok(Listing::new()) };
        let command =
            self.git().args(["ls-tree", "-r", "-z", "--full-tree"]).arg(commit.to_string());
        let output = match command.stdout_limit(LISTING_MAX).run() {
            Err(GitError::TooMuchOutput { .. }) => {
                let limit = LISTING_MAX as u64;
                return Err(Refusal::TooLarge { size: limit, files: usize::MAX, limit }.into());
            }
            other => told(other, "list the files of the commit")?,
        };
        let mut listing = Listing::new();
        for record in output.stdout.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
            let (path, mode, id) = read_listed(record)?;
            listing.insert(path, (mode, id));
        }
        Ok(listing)
    }

    /// Puts the packs into the clone, kept from its clean-up until they are released.
    pub(super) fn settle(&self) -> Result<Vec<PathBuf>, CheckoutError> {
        let mark = format!("convosync {}", record::name(self.place));
        let mut kept = left_behind(&self.common.join("objects/pack"), &mark);
        for pack in &self.packs {
            let command = self.place.git.command().dir(&self.place.project.root).deadline(DEADLINE);
            let command = command.args(["index-pack", "--stdin", "--threads=1"]);
            let command = command.arg(format!("--keep={mark}"));
            let command = command.config("core.bigFileThreshold", STREAMED);
            let command = command.stdin_file(disk::open_regular(pack)?).watched();
            let output = told(command.run(), "put the saved commits into the clone")?;
            let answer = String::from_utf8_lossy(&output.stdout);
            if let Some(("keep", id)) = answer.trim().split_once('\t') {
                kept.push(self.common.join(format!("objects/pack/pack-{id}.keep")));
            }
        }
        self.is_settled.set(true);
        Ok(kept)
    }

    /// A git child that sees only what is in the clone.
    pub(super) fn in_the_clone(&self) -> GitCommand {
        in_the_clone(self.place)
    }
}

/// A git child in the work tree that may work for long.
pub(super) fn in_the_clone(place: Place<'_>) -> GitCommand {
    place.git.command().dir(&place.project.root).deadline(DEADLINE)
}

/// The blobs that the index and the contents of a state are made of.
fn needed(opened: &Opened) -> BTreeSet<Oid> {
    let staged = opened.state.index.iter().filter(|entry| !entry.flags.intent_to_add);
    let staged = staged.filter_map(|entry| match entry.entry {
        Some((Mode::Module, _)) | None => None,
        Some((_, id)) => Some(id),
    });
    staged.chain(opened.contents().filter_map(|(_, content)| content.rope.blob)).collect()
}

/// What a restore of this work tree that was killed keeps git from cleaning up.
fn left_behind(packs: &Path, mark: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(packs).into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        let is_keep = path.extension().is_some_and(|extension| extension == "keep");
        is_keep && std::fs::read(path).is_ok_and(|bytes| bytes.trim_ascii() == mark.as_bytes())
    };
    entries.map(|entry| entry.path()).filter(is_ours).collect()
}

/// Lets git clean up packs again that are now reachable.
pub(super) fn release(kept: &[PathBuf]) -> Result<(), CheckoutError> {
    Ok(kept.iter().try_for_each(|path| disk::remove_file(path))?)
}

/// Reads `<mode> <type> <id>\t<path>`.
fn read_listed(record: &[u8]) -> Result<(RepoPath, Mode, Oid), CheckoutError> {
    let strange = || Refusal::BadPack("a tree lists what is no file".to_owned());
    let tab = record.iter().position(|byte| *byte == b'\t').ok_or_else(strange)?;
    let text = std::str::from_utf8(&record[..tab]).map_err(|_| strange())?;
    let mut words = text.split(' ');
    let bits =
        words.next().and_then(|word| u32::from_str_radix(word, 8).ok()).ok_or_else(strange)?;
    // Old repositories hold 100664, which git takes for 100644.
    let mode = Mode::from_bits(if bits == 0o100_664 { 0o100_644 } else { bits });
    let id = words.nth(1).and_then(|id| id.parse().ok()).ok_or_else(strange)?;
    let path = RepoPath::new(&record[tab + 1..]).map_err(crate::code::CodeError::from)?;
    Ok((path, mode.ok_or_else(strange)?, id))
}

pub(super) fn lines(ids: &BTreeSet<Oid>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in ids {
        // Writing to memory does not fail.
        writeln!(bytes, "{id}").ok();
    }
    bytes
}

/// Takes an exit code other than 0 for an error.
pub(super) fn told(
    output: Result<Output, GitError>,
    deed: &'static str,
) -> Result<Output, CheckoutError> {
    let output = output?;
    if output.success() {
        Ok(output)
    } else {
        Err(CheckoutError::GitSaid { deed, why: output.said() })
    }
}
