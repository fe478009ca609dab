//! Tests of the manifest: what comes back, and what is refused.

use super::*;
use crate::code::{Content, Flags, IndexEntry, Mode, Node, Part, Rope};
use crate::id::Digest;

const ID: Oid = Oid([0x11; 20]);
const LOG: u64 = 10_000;

fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

fn file(parts: Vec<Part>, blob: Option<Oid>) -> Node {
    let rope = Rope { blob, parts };
    let length = rope.length().unwrap();
    Node::File { executable: false, content: Content { length, digest: Digest::of(b"x"), rope } }
}

/// A state with something of everything.
fn full() -> State {
    let index = |text: &str, stage, entry| IndexEntry {
        path: path(text),
        stage,
        entry,
        flags: Flags::default(),
    };
    let mut add = index("new", 0, Some((Mode::File, ID)));
    add.flags.intent_to_add = true;
    State {
        head: Head { branch: Some("feature/x".to_owned()), commit: Some(ID) },
        upstream: Some(Upstream { name: "origin/feature/x".to_owned(), ahead: 3, behind: 0 }),
        bases: vec![Base { commit: Oid([2; 20]), reference: "refs/heads/main".to_owned() }],
        packs: vec![Pack { start: 0, length: 500, tips: vec![ID] }],
        index: vec![
            index("conflict", 1, Some((Mode::File, ID))),
            index("conflict", 2, Some((Mode::Executable, ID))),
            index("gone", 0, None),
            add,
        ],
        tree: BTreeMap::from([
            (path("a/b c"), file(vec![Part::Log(500..600), Part::Blob(7..90)], Some(ID))),
            (RepoPath::new(b"a/\xff".to_vec()).unwrap(), file(Vec::new(), None)),
            (path("dir"), Node::EmptyDirectory),
            (path("gone"), Node::Gone),
            (path("link"), Node::Link(b"../elsewhere".to_vec())),
        ]),
        operation: Some(Operation {
            kind: OperationKind::Merge,
            files: BTreeMap::from([
                ("MERGE_HEAD".to_owned(), format!("{ID}\n").into_bytes()),
                ("MERGE_MSG".to_owned(), b"Merge x".to_vec()),
            ]),
        }),
        omitted: BTreeMap::from([
            (path(".env"), Omission { why: Why::Guarded, size: Some(0) }),
            (path("big"), Omission { why: Why::TooLarge, size: None }),
        ]),
        submodules: BTreeMap::from([(path("sub"), Submodule { commit: None })]),
        notes: Notes { shallow: true, partial: false, sparse: true, linked: false },
    }
}

fn manifest(state: &State) -> Vec<u8> {
    let mut bytes = write(state);
    bytes.truncate(bytes.len() - usize::try_from(TRAILER).unwrap());
    bytes
}

fn check_refused(state: &State, part: &str) {
    let error = read(&manifest(state), LOG).unwrap_err();
    let text = format!("{error}: {error:?}");
    assert!(text.contains(part), "{text}");
}

#[test]
fn a_state_is_read_as_it_was_written() {
    for state in [
        full(),
        State { head: Head { branch: Some("main".to_owned()), commit: None }, ..State::default() },
    ] {
        assert_eq!(read(&manifest(&state), LOG).unwrap(), state);
    }
}

/// A manifest as it was first written must open for ever. With `CONVOSYNC_WRITE_VECTORS` a missing one is made.
#[test]
fn the_first_manifest_that_was_ever_written_still_opens() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../tests/fixtures/code/v1/manifest");
    if std::env::var_os("CONVOSYNC_WRITE_VECTORS").is_some() && !path.exists() {
        crate::disk::make_dirs(path.parent().unwrap()).unwrap();
        crate::disk::create_new(&path, &write(&full())).unwrap();
    }
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, write(&full()), "it would be written differently today");
    let end = bytes.len() - usize::try_from(TRAILER).unwrap();
    assert_eq!(manifest_length(&bytes[end..], LOG), Ok(end as u64));
    assert_eq!(read(&bytes[..end], LOG).unwrap(), full());
}

#[test]
fn ten_thousand_files_are_read_as_they_were_written() {
    let tree = (0..10_000)
        .map(|n| (path(&format!("folder/{n}")), file(vec![Part::Log(n..n + 1)], None)))
        .collect();
    let state = State { tree, ..full() };
    let bytes = manifest(&state);
    assert!((bytes.len() as u64) < MANIFEST_MAX, "{}", bytes.len());
    assert_eq!(read(&bytes, 20_000).unwrap(), state);
}

#[test]
fn the_trailer_says_where_the_manifest_begins() {
    let bytes = write(&full());
    let trailer = &bytes[bytes.len() - 16..];
    assert_eq!(manifest_length(trailer, LOG), Ok(bytes.len() as u64 - TRAILER));
    assert_eq!(manifest_length(trailer, 20), Err(CodeError::NoManifest));
    assert_eq!(manifest_length(&[0; 16], LOG), Err(CodeError::NoManifest));
    assert_eq!(manifest_length(&[0; 7], LOG), Err(CodeError::NoManifest));
    let huge = [&(MANIFEST_MAX + 1).to_le_bytes()[..], &MAGIC].concat();
    assert_eq!(manifest_length(&huge, u64::MAX), Err(CodeError::TooMuch("its manifest")));
}

#[test]
fn what_lies_below_a_file_or_link_is_refused_in_any_letters() {
    let with = |extra: &[(&str, Node)]| {
        let mut state = full();
        state.tree.extend(extra.iter().map(|(text, node)| (path(text), node.clone())));
        state
    };
    check_refused(&with(&[("link/x", file(Vec::new(), None))]), "Clash");
    check_refused(&with(&[("Link/x", file(Vec::new(), None))]), "Clash");
    check_refused(&with(&[("dir/x", Node::Link(b"/".to_vec()))]), "Clash");
    let swapped = with(&[("gone/x", file(Vec::new(), None))]);
    assert_eq!(read(&manifest(&swapped), LOG).unwrap(), swapped);
}

#[test]
fn pieces_outside_of_what_there_is_are_refused() {
    let with = |node| {
        let mut state = full();
        state.tree.insert(path("x"), node);
        state
    };
    check_refused(&with(file(vec![Part::Log(LOG - 1..LOG + 1)], None)), "Outside");
    check_refused(&with(file(vec![Part::Blob(0..1)], None)), "Outside");
    let mut state = full();
    state.packs[0].length = LOG;
    state.packs[0].start = 1;
    check_refused(&state, "Outside");
    state.packs[0].start = u64::MAX;
    check_refused(&state, "Outside");
    let Node::File { content, .. } = file(vec![Part::Log(0..5)], None) else { unreachable!() };
    check_refused(
        &with(Node::File { executable: false, content: Content { length: 6, ..content } }),
        "Outside",
    );
}

#[test]
fn names_of_branches_and_files_that_git_would_not_take_are_refused() {
    for name in [
        "-f", "a..b", "a b", "x.lock", "a/.b", "", "@", "HEAD", "a@{1}", "a\\b", "a:b", "a/",
        "\u{7f}", "a\nb",
    ] {
        let mut state = full();
        state.bases[0].reference = format!("refs/heads/{name}");
        check_refused(&state, "Meaningless");
        if !name.is_empty() {
            let head = Head { branch: Some(name.to_owned()), commit: Some(ID) };
            check_refused(&State { head, ..full() }, "Meaningless");
        }
    }
    for (name, bytes) in [
        ("MERGE_HEAD", "ref: refs/heads/x"),
        ("config", ""),
        ("MERGE_HEAD", ""),
        ("../hooks/x", ""),
    ] {
        let files = BTreeMap::from([(name.to_owned(), bytes.as_bytes().to_vec())]);
        check_refused(
            &State { operation: Some(Operation { kind: OperationKind::Merge, files }), ..full() },
            "Meaningless",
        );
    }
}

#[test]
fn entries_twice_or_out_of_order_are_refused() {
    let mut state = full();
    state.index.swap(0, 1);
    check_refused(&state, "Clash");
    let mut state = full();
    state.index[1].stage = 1;
    check_refused(&state, "Clash");
    let mut state = full();
    state.index[1].stage = 4;
    check_refused(&state, "Meaningless");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes: Vec<u8>, at in 0_usize..2000, flip: u8) {
        drop(read(&bytes, LOG));
        let mut damaged = manifest(&full());
        let at = at % damaged.len();
        damaged[at] ^= flip;
        drop(read(&damaged, LOG));
    }
}
