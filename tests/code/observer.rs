//! One clone that is looked at again and again, its code log, and what a captured state must hold.

use std::collections::BTreeMap;
use std::path::Path;

use convosync_core::capture::{Captured, Memory, NONE_GONE, Objects, Scope, Spool, capture};
use convosync_core::code::{Content, Guard, Limits, Mode, Node, Part, State, Withheld};
use convosync_core::git::Git;
use convosync_core::id::Digest;
use convosync_core::project::{self, Project};
use convosync_tests::files;

use crate::look::{Thing, walk};
use crate::states::Place;

/// A time long after everything that a test does: every stamp tells.
pub(crate) const LATER_MS: i64 = 4_000_000_000_000;

/// Git with the settings of this home, and none of the system's.
pub(crate) fn git_of(home: &Path) -> Git {
    let git = Git::find(None, &|name| match name {
        "PATH" => std::env::var_os(name),
        "HOME" => Some(home.as_os_str().to_owned()),
        "GIT_CONFIG_NOSYSTEM" => Some("1".into()),
        _ => None,
    });
    git.unwrap()
}

/// How the daemon looks at a clone, long after anything in it was written.
pub(crate) fn scope_of<'a>(project: &'a Project, git: &'a Git, guard: &'a Guard) -> Scope<'a> {
    Scope {
        project,
        git,
        guard,
        limits: Limits::default(),
        room: None,
        objects: Objects::Unpushed,
        gone: NONE_GONE,
        passed_over: None,
        heard: None,
        now_ms: LATER_MS,
    }
}

/// One clone with its code log, and what the last look learned.
pub(crate) struct Observer<'a> {
    pub(crate) place: &'a Place,
    pub(crate) clone: String,
    pub(crate) git: Git,
    pub(crate) project: Project,
    pub(crate) guard: Guard,
    pub(crate) limits: Limits,
    pub(crate) objects: Objects,
    pub(crate) spool: Spool,
    pub(crate) memory: Memory,
    pub(crate) now_ms: i64,
}

impl<'a> Observer<'a> {
    pub(crate) fn new(place: &'a Place, clone: &str) -> Self {
        let home = place.home();
        let git = git_of(&home);
        let project = project::discover(&place.path(clone), &git).unwrap();
        let spool = Spool::open(&place.path(&format!("{}.log", clone.replace('/', "_")))).unwrap();
        Self {
            place,
            clone: clone.to_owned(),
            guard: Guard::new(&project.root, &home, &[], &[]),
            git,
            project,
            limits: Limits::default(),
            objects: Objects::Unpushed,
            spool,
            memory: Memory::default(),
            now_ms: LATER_MS,
        }
    }

    pub(crate) fn try_capture(&mut self) -> Result<Captured, Withheld> {
        let scope = Scope {
            limits: self.limits,
            objects: self.objects,
            now_ms: self.now_ms,
            ..scope_of(&self.project, &self.git, &self.guard)
        };
        capture(&scope, &mut self.spool, &mut self.memory).unwrap()
    }

    #[track_caller]
    pub(crate) fn capture(&mut self) -> Captured {
        self.try_capture().unwrap()
    }

    /// Reads a content from the log and the clone's blobs.
    pub(crate) fn bytes(&self, content: &Content) -> Vec<u8> {
        self.bytes_in(&self.clone, content)
    }

    /// Reads a content from the log and another clone's blobs.
    #[track_caller]
    pub(crate) fn bytes_in(&self, clone: &str, content: &Content) -> Vec<u8> {
        let log = files::read(self.spool.path());
        let blob = content
            .rope
            .blob
            .map(|id| self.place.git(clone, &["cat-file", "blob", &id.to_string()]));
        let blob = blob.unwrap_or_default();
        let piece = |part: &Part| {
            let range = part.range().start as usize..part.range().end as usize;
            match part {
                Part::Log(_) => log[range].to_vec(),
                Part::Blob(_) => blob[range].to_vec(),
            }
        };
        let bytes: Vec<u8> = content.rope.parts.iter().flat_map(piece).collect();
        assert_eq!(Digest::of(&bytes), content.digest);
        bytes
    }
}

/// Puts a captured state over a fresh checkout of its commit, in the plainest way, and compares what
/// stands in the two work trees.
#[track_caller]
pub(crate) fn check_tree(device: &Observer<'_>, state: &State) {
    let place = device.place;
    let mut expected = BTreeMap::new();
    walk(&place.path(&device.clone), Path::new(""), &mut expected);
    for (path, node) in &state.tree {
        let found = expected.get(&path.as_bytes().escape_ascii().to_string());
        match (node, found) {
            (Node::Gone, None) | (Node::EmptyDirectory, Some(Thing::Empty)) => {}
            (Node::Link(target), Some(Thing::Link(other))) => {
                assert_eq!(target, other, "{path:?}");
            }
            (Node::File { executable, content }, Some(Thing::File(is_executable, bytes))) => {
                assert_eq!(executable, is_executable, "{path:?}");
                assert_eq!(&device.bytes(content), bytes, "{path:?}");
            }
            other => panic!("{path:?}: {other:?}"),
        }
    }
}

/// Makes a clone that has nothing but what the remote has and the packs of a state. Returns its place.
#[track_caller]
pub(crate) fn fresh_clone(device: &Observer<'_>, state: &State) -> String {
    let place = device.place;
    place.run("", &["clone", "-q", "--bare", "remote.git", "fresh.git"]);
    let log = files::read(device.spool.path());
    for pack in &state.packs {
        let bytes = &log[pack.start as usize..(pack.start + pack.length) as usize];
        place.feed("fresh.git", &["index-pack", "--stdin", "--strict"], bytes).ok();
    }
    "fresh.git".to_owned()
}

/// Checks that the commit of a state and all blobs of its index can be read in a clone that has nothing but
/// what the remote has and the packs.
#[track_caller]
pub(crate) fn check_objects(device: &Observer<'_>, state: &State) {
    let place = device.place;
    fresh_clone(device, state);
    for base in &state.bases {
        let id = base.commit.to_string();
        place.run("fresh.git", &["cat-file", "-e", &id]);
        assert!(!base.reference.is_empty(), "the remote's branch of {id} is known");
        place.run("fresh.git", &["merge-base", "--is-ancestor", &id, &base.reference]);
    }
    if let Some(commit) = state.head.commit {
        place.run("fresh.git", &["rev-list", "--objects", "--quiet", &commit.to_string()]);
    }
    for entry in &state.index {
        if let Some((_, id)) = entry.entry.filter(|(mode, _)| *mode != Mode::Module)
            && !entry.flags.intent_to_add
        {
            place.run("fresh.git", &["cat-file", "-e", &id.to_string()]);
        }
    }
    files::remove_tree(&place.path("fresh.git"));
}

/// Every file below a folder with its bytes and times.
pub(crate) fn files_below(
    place: &Place,
    folder: &str,
) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut open = vec![place.path(folder)];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                let time = entry.metadata().unwrap().modified().unwrap();
                found.insert(entry.path().display().to_string(), (Vec::new(), time));
                open.push(entry.path());
            } else {
                let time = entry.metadata().unwrap().modified().unwrap();
                let bytes = files::read(&entry.path());
                found.insert(entry.path().display().to_string(), (bytes, time));
            }
        }
    }
    found
}
