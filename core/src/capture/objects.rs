//! Commits and staged blobs that the user's remote is not known to hold, as self-contained packs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::blobs::sizes;
use super::contents::Memory;
use super::repository::Repository;
use super::{Draft, Objects, Scope, Spool, Stop, answer, oid, said, unfolded};
use crate::code::{Base, Guard, Pack, RepoPath, State, Withheld};
use crate::git::{GitCommand, GitError};
use crate::id::{Digest, Oid};
use crate::project;

/// How much a walk through the history may print: 40 bytes for each of 400 000 commits or objects.
const WALK_MAX: usize = 16 << 20;
/// How many packs a log collects before they become one.
const PACKS_MAX: usize = 64;
/// How many commits may bound what is not pushed: as many as a manifest names.
const BASES_MAX: usize = 256;

/// What keeps packing from taking a multiple of the largest objects: what is larger is streamed, and neither
/// compared nor held.
const LEAN: &[(&str, &str)] = &[
    ("core.bigFileThreshold", "4m"),
    ("pack.deltaCacheSize", "16m"),
    ("pack.threads", "1"),
    ("pack.windowMemory", "16m"),
];
/// How long packing may take: 100 MiB need some seconds.
const PACK_DEADLINE: Duration = Duration::from_secs(120);

/// Commits of the remote, by the name of their branch there.
pub(super) type Known = Vec<(Oid, String)>;

/// What decides which objects a state needs.
pub(super) struct Needed {
    /// The blobs of the index that HEAD does not have.
    pub(super) blobs: BTreeSet<Oid>,
    pub(super) known: Known,
}

/// Gathers the objects that `state` needs and the remote does not have: into the log go those that are
/// not in it yet. Returns what stands for all that this depended on.
pub(super) fn take(
    scope: &Scope<'_>,
    repository: &Repository,
    needed: Needed,
    spool: &Spool,
    memory: &Memory,
    state: &mut State,
    draft: &mut Draft,
) -> Result<Digest, Stop> {
    let tips = tips(scope, state);
    let Needed { blobs, known } = needed;
    let reach = digest(&tips, &blobs, &known, scope.guard);
    if let Some(last) = spool.state()
        && memory.reach == Some(reach)
    {
        state.bases.clone_from(&last.bases);
        state.packs.clone_from(&last.packs);
        return Ok(reach);
    }
    let above = above(scope, repository, &tips, &known)?;
    state.bases = bases(scope, &above, &known, state)?;
    let last = spool.state().filter(|last| last.packs.len() < PACKS_MAX);
    let last = match last {
        Some(last) if is_still_below(scope, &last.bases, &state.bases)? => Some(last),
        _ => None,
    };
    if above.commits.is_empty() && blobs.is_empty() {
        return Ok(reach);
    }
    if scope.objects == Objects::Unpushed {
        guard(scope, &above.commits)?;
    }
    let length = draft.length();
    let fresh = Fresh { tips: &above.tips, blobs: &blobs };
    match add(scope, repository, &fresh, last, spool, state, draft) {
        // Packs of the past may be full of what nobody needs any more.
        Err(Stop::Withheld(Withheld::CommitsTooLarge { .. })) if last.is_some() => {
            draft.cut(length)?;
            add(scope, repository, &fresh, None, spool, state, draft)?;
        }
        added => added?,
    }
    Ok(reach)
}

/// What the packs have to hold.
struct Fresh<'a> {
    tips: &'a [Oid],
    blobs: &'a BTreeSet<Oid>,
}

/// Packs what is not in the packs of `last`, which stay.
fn add(
    scope: &Scope<'_>,
    repository: &Repository,
    fresh: &Fresh<'_>,
    last: Option<&State>,
    spool: &Spool,
    state: &mut State,
    draft: &mut Draft,
) -> Result<(), Stop> {
    state.packs = last.map(|last| last.packs.clone()).unwrap_or_default();
    // What an index of the past needed is in a pack, or in the history that the packs stand on.
    let had = last.iter().flat_map(|last| &last.index);
    // The empty blob of a file that was only meant to be added is in none.
    let had = had.filter(|entry| !entry.flags.intent_to_add).filter_map(|entry| entry.entry);
    let has: BTreeSet<Oid> = had.map(|(_, id)| id).collect();
    let packed: Vec<Oid> = state.packs.iter().flat_map(|pack| pack.tips.clone()).collect();
    let below = state.bases.iter().map(|base| base.commit).chain(packed);
    let wanted: Vec<Oid> = fresh.tips.iter().chain(fresh.blobs.difference(&has)).copied().collect();
    let objects = objects(scope, repository, &wanted, below)?;
    if !objects.is_empty() && !draft.is_dry() {
        let start = draft.end();
        pack(scope, objects, draft)?;
        let length = draft.end() - start;
        state.packs.push(Pack { start, length, tips: fresh.tips.to_vec() });
    }
    let total: u64 = state.packs.iter().map(|pack| pack.length).sum();
    if total > scope.limits.total {
        return Err(Withheld::CommitsTooLarge { size: total, limit: scope.limits.total }.into());
    }
    unfolded::check_packs(scope, spool, draft, state)
}

/// The commits whose history has to be there.
fn tips(scope: &Scope<'_>, state: &State) -> Vec<Oid> {
    // A record stays in the clone, where a branch keeps its commits; of a detached HEAD nothing may.
    if scope.objects == Objects::Staged && state.head.branch.is_some() {
        return Vec::new();
    }
    let heads = state.operation.iter().flat_map(|operation| operation.heads());
    let mut tips: Vec<Oid> = state.head.commit.into_iter().chain(heads).collect();
    let mut seen = BTreeSet::new();
    tips.retain(|tip| seen.insert(*tip));
    tips
}

/// A guard that says something else looks at the commits again.
fn digest(tips: &[Oid], blobs: &BTreeSet<Oid>, known: &Known, guard: &Guard) -> Digest {
    let mut bytes = guard.digest().0.to_vec();
    for id in tips.iter().chain(blobs) {
        bytes.extend(id.0);
    }
    bytes.push(0);
    for (id, name) in known {
        bytes.extend(id.0);
        bytes.extend(name.as_bytes());
        bytes.push(0);
    }
    Digest::of(&bytes)
}

/// The commits that the push remote was seen to hold.
pub(super) fn known(
    scope: &Scope<'_>,
    repository: &Repository,
    branch: Option<&str>,
) -> Result<Known, Stop> {
    if scope.objects == Objects::Staged {
        return if branch.is_some() { Ok(Known::new()) } else { kept_by_refs(scope) };
    }
    let remote = project::push_remote(scope.project, &repository.settings, branch);
    let Some(remote) = remote else { return Ok(Known::new()) };
    let format = "--format=%(objectname) %(refname)";
    let refs = format!("refs/remotes/{remote}/");
    let listed = scope.ask().args(["for-each-ref", format]).arg(refs).stdout_limit(WALK_MAX);
    let rules = rules(repository, &remote);
    let line = |line: &[u8]| {
        let text = std::str::from_utf8(line).ok()?;
        let (id, name) = text.split_once(' ')?;
        Some((id.parse().ok()?, there(&rules, name).unwrap_or_default()))
    };
    let bytes = answer(listed)?;
    let known = bytes.split(|byte| *byte == b'\n').filter_map(line);
    Ok(known.filter(|(_, name)| !scope.gone.contains(name)).collect())
}

/// What any ref of the clone keeps from being cleaned up.
fn kept_by_refs(scope: &Scope<'_>) -> Result<Known, Stop> {
    let ids = places_of_refs(scope, &[])?;
    Ok(ids.into_iter().map(|id| (id, String::new())).collect())
}

/// How names at the remote become names here.
fn rules(repository: &Repository, remote: &str) -> Vec<(String, String)> {
    let key = format!("remote.{remote}.fetch");
    let specs = repository.settings.iter().filter(|(name, _)| *name == key);
    let rule = |(_, spec): &(String, String)| {
        let (there, here) = spec.trim_start_matches('+').split_once(':')?;
        Some((there.to_owned(), here.to_owned()))
    };
    specs.filter_map(rule).collect()
}

/// What a branch is called at the remote.
fn there(rules: &[(String, String)], name: &str) -> Option<String> {
    let found = rules.iter().find_map(|(there, here)| match here.split_once('*') {
        None => (here == name).then(|| there.clone()),
        Some((before, after)) => {
            let middle = name.strip_prefix(before)?.strip_suffix(after)?;
            Some(there.replacen('*', middle, 1))
        }
    })?;
    let is_branch = found.starts_with("refs/heads/") && found != "refs/heads/HEAD";
    is_branch.then_some(found)
}

/// What lies above the commits of the remote.
#[derive(Default)]
struct Above {
    commits: BTreeSet<Oid>,
    /// Which of the tips do.
    tips: Vec<Oid>,
    /// The commits right below, and the tips that the remote holds.
    bounds: BTreeSet<Oid>,
}

fn above(
    scope: &Scope<'_>,
    repository: &Repository,
    tips: &[Oid],
    known: &Known,
) -> Result<Above, Stop> {
    let mut above = Above::default();
    if tips.is_empty() {
        return Ok(above);
    }
    let below = known.iter().map(|(id, _)| *id);
    let walk = scope.ask().watched().args(["rev-list", "--boundary", "--stdin"]);
    let bytes = walked(walk.stdin(ends(tips, below)).stdout_limit(WALK_MAX))?;
    for line in bytes.split(|byte| *byte == b'\n') {
        match line {
            [b'-', id @ ..] => above.bounds.extend(oid(id)),
            id => above.commits.extend(oid(id)),
        }
    }
    let (over, under): (Vec<Oid>, Vec<Oid>) =
        tips.iter().partition(|tip| above.commits.contains(tip));
    above.tips = over;
    above.bounds.extend(under);
    let is_for_others = scope.objects == Objects::Unpushed;
    if is_for_others && repository.cuts()?.iter().any(|cut| above.commits.contains(cut)) {
        return Err(Withheld::Shallow.into());
    }
    if above.bounds.len() > BASES_MAX {
        let why = format!("what is not pushed begins at more than {BASES_MAX} commits");
        return Err(Withheld::Unreadable(why).into());
    }
    Ok(above)
}

/// Where a walk begins and ends, as git reads it from standard input.
fn ends<'a>(
    from: impl IntoIterator<Item = &'a Oid>,
    below: impl IntoIterator<Item = Oid>,
) -> Vec<u8> {
    let from: String = from.into_iter().map(|id| format!("{id}\n")).collect();
    let below: String = below.into_iter().map(|id| format!("^{id}\n")).collect();
    (from + &below).into_bytes()
}

/// The commits that bound what is not pushed, each with a branch of the remote that has it.
fn bases(
    scope: &Scope<'_>,
    above: &Above,
    known: &Known,
    state: &State,
) -> Result<Vec<Base>, Stop> {
    let mut bases = Vec::new();
    for commit in &above.bounds {
        let reference = match known.iter().find(|(id, name)| id == commit && !name.is_empty()) {
            Some(_) => best(known.iter().filter(|(id, _)| id == commit), state),
            None => {
                let holding = holding(scope, *commit)?;
                best(known.iter().filter(|(id, _)| holding.contains(id)), state)
            }
        };
        bases.push(Base { commit: *commit, reference });
    }
    Ok(bases)
}

/// Which of the remote's commits have `commit` in their history.
fn holding(scope: &Scope<'_>, commit: Oid) -> Result<BTreeSet<Oid>, Stop> {
    places_of_refs(scope, &["--contains", &commit.to_string(), "refs/remotes/"])
}

/// Where the refs stand that git chooses by `words`.
fn places_of_refs(scope: &Scope<'_>, words: &[&str]) -> Result<BTreeSet<Oid>, Stop> {
    let listed = scope.ask().args(["for-each-ref", "--format=%(objectname)"]).args(words);
    let bytes = answer(listed.stdout_limit(WALK_MAX))?;
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(oid).collect())
}

/// The branch that is most likely to stay: that of the same name, then the usual ones.
fn best<'a>(names: impl Iterator<Item = &'a (Oid, String)>, state: &State) -> String {
    let own = state.head.branch.as_ref().map(|branch| format!("refs/heads/{branch}"));
    let rank = |name: &str| match name {
        "refs/heads/main" => 1,
        "refs/heads/master" => 2,
        name if own.as_deref() == Some(name) => 0,
        _ => 3,
    };
    let names = names.map(|(_, name)| name.as_str()).filter(|name| !name.is_empty());
    names.min_by_key(|name| (rank(name), *name)).unwrap_or_default().to_owned()
}

/// Whether packs made above `old` are good above `new`: all of `old` is in the history of `new`.
fn is_still_below(scope: &Scope<'_>, old: &[Base], new: &[Base]) -> Result<bool, Stop> {
    if old == new {
        return Ok(true);
    }
    let (old, new) = (old.iter().map(|base| base.commit), new.iter().map(|base| base.commit));
    let old: Vec<Oid> = old.collect();
    let walk = scope.ask().args(["rev-list", "--max-count=1", "--stdin"]).stdin(ends(&old, new));
    // A commit that is gone says no.
    let output = walk.run()?;
    Ok(output.success() && output.stdout.is_empty())
}

/// Refuses commits that touch a guarded path.
fn guard(scope: &Scope<'_>, commits: &BTreeSet<Oid>) -> Result<(), Stop> {
    if commits.is_empty() {
        return Ok(());
    }
    let args = ["diff-tree", "--stdin", "-r", "-m", "--root", "--no-commit-id", "--name-only"];
    let walk = scope.ask().watched().args(args).args(["--no-renames", "--no-ext-diff", "-z"]);
    let names = walked(walk.stdin(ends(commits, [])).stdout_limit(4 * WALK_MAX))?;
    let paths = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths: BTreeSet<&[u8]> = paths.collect();
    let paths = paths.into_iter().filter_map(|path| RepoPath::new(path).ok());
    let paths: Vec<RepoPath> = paths.filter(|path| scope.guard.covers(path)).collect();
    if paths.is_empty() { Ok(()) } else { Err(Withheld::GuardedCommits { paths }.into()) }
}

/// Walks through the history, unless that has no end.
fn walked(command: GitCommand) -> Result<Vec<u8>, Stop> {
    match command.run() {
        Err(GitError::TooMuchOutput { .. } | GitError::Deadline { .. }) => {
            Err(Withheld::TooManyCommits.into())
        }
        output => said(output?),
    }
}

/// All objects of a state's commits that the remote is not known to hold.
pub(super) fn own_objects(
    scope: &Scope<'_>,
    repository: &Repository,
    state: &State,
) -> Result<Vec<Oid>, Stop> {
    let wanted = tips(scope, state);
    let below = state.bases.iter().map(|base| base.commit);
    let lines = objects(scope, repository, &wanted, below)?;
    let id = |line: &[u8]| oid(line.get(..40).unwrap_or_default());
    Ok(lines.split(|byte| *byte == b'\n').filter_map(id).collect())
}

/// Lists what the tips reach and `below` does not, one a line.
fn objects(
    scope: &Scope<'_>,
    repository: &Repository,
    tips: &[Oid],
    below: impl Iterator<Item = Oid>,
) -> Result<Vec<u8>, Stop> {
    if tips.is_empty() {
        return Ok(Vec::new());
    }
    let mut walk =
        scope.ask().watched().args(["rev-list", "--objects", "--ignore-missing", "--stdin"]);
    let is_partial = repository.notes().partial;
    // What is missing in a partial clone can be had from the remote.
    walk = walk.arg(if is_partial { "--missing=allow-promisor" } else { "--missing=print" });
    let lines = walked(walk.stdin(ends(tips, below)).stdout_limit(4 * WALK_MAX))?;
    let absent = lines.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"?"));
    if let Some(missing) = absent.and_then(|line| oid(line.get(..40)?)) {
        return Err(Withheld::Missing(missing).into());
    }
    let id = |line: &[u8]| oid(line.get(..40).unwrap_or_default());
    let ids: Vec<Oid> = lines.split(|byte| *byte == b'\n').filter_map(id).collect();
    // Of a partial clone, what is staged may have to be had from the remote too.
    let asked = ids.iter().chain(tips.iter().filter(|_| !is_partial));
    let asked: Vec<Oid> = asked.copied().collect();
    let sizes: BTreeMap<Oid, Option<u64>> = sizes(scope, &asked, "%(objectsize:disk)")?;
    if let Some((missing, _)) = sizes.iter().find(|(_, size)| size.is_none()) {
        return Err(Withheld::Missing(*missing).into());
    }
    let size: u64 = ids.iter().filter_map(|id| sizes.get(id).copied().flatten()).sum();
    if size > scope.limits.total {
        return Err(Withheld::CommitsTooLarge { size, limit: scope.limits.total }.into());
    }
    Ok(lines)
}

/// Packs objects into the draft: none of them as a difference to one outside.
fn pack(scope: &Scope<'_>, objects: Vec<u8>, draft: &mut Draft) -> Result<(), Stop> {
    let limit = scope.limits.total;
    let command = scope.ask().watched().lean().args(["pack-objects", "--stdout", "-q"]);
    let command = LEAN.iter().fold(command, |command, (key, value)| command.config(*key, *value));
    let command = command.deadline(PACK_DEADLINE);
    match draft.put_output(command.stdin(objects), limit)? {
        Some(_) => Ok(()),
        None => Err(Withheld::CommitsTooLarge { size: limit.saturating_add(1), limit }.into()),
    }
}
