//! A hundred code states from a device that is not itself any more: each is refused before a byte of the
//! user's changes.

use std::collections::BTreeMap;
use std::path::Path;

use convosync_core::checkout::{CheckoutError, Opened};
use convosync_core::code::{self, Content, Head, Node, Pack, Part, RepoPath, Rope, State};
use convosync_core::id::{Digest, Oid};
use convosync_core::wire::Writer;
use convosync_tests::files;

use super::look::{Thing, walk};
use super::states::Place;
use super::trip::Device;
use super::{costs, forge};

/// The fields of a manifest, as `core::code` numbers them.
mod tag {
    pub(super) const HEAD: u8 = 1;
    pub(super) const BASE: u8 = 3;
    pub(super) const PACK: u8 = 4;
    pub(super) const INDEX: u8 = 5;
    pub(super) const TREE: u8 = 6;
    pub(super) const OPERATION: u8 = 7;
    pub(super) const OMITTED: u8 = 8;
    pub(super) const SUBMODULE: u8 = 9;
}

/// A record made of fields.
fn record(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new();
    for (tag, bytes) in fields {
        writer.bytes(*tag, bytes);
    }
    writer.finish()
}

fn number(value: u64) -> Vec<u8> {
    // A number stands in a field as the writer writes it, less the tag and the length.
    let mut writer = Writer::new();
    writer.number(1, value);
    let bytes = writer.finish();
    if bytes.is_empty() { bytes } else { bytes[2..].to_vec() }
}

/// A log that holds nothing but a manifest of these fields after HEAD.
fn manifest(head: &[u8], fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut all = vec![(tag::HEAD, head)];
    all.extend_from_slice(fields);
    all.sort_by_key(|(tag, _)| *tag);
    close(&record(&all))
}

fn close(manifest: &[u8]) -> Vec<u8> {
    let length = (manifest.len() as u64).to_le_bytes();
    [manifest, &length, b"cvsycode"].concat()
}

fn shelf(entry: &[u8]) -> Vec<u8> {
    record(&[(1, entry)])
}

fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

/// What a case is made from.
struct Ground {
    head: Oid,
    blob: Oid,
}

type Cases = Vec<(String, Vec<u8>)>;

/// Paths that lead elsewhere, in each place where a manifest has paths.
fn bad_paths(ground: &Ground) -> Cases {
    const PATHS: [&[u8]; 17] = [
        b"..",
        b"../out",
        b"a/../../out",
        b"/tmp/out",
        b"//out",
        b".",
        b"a/./b",
        b".git",
        b".git/hooks/post-checkout",
        b".GIT/config",
        b"sub/.git/config",
        b"git~1/config",
        b".git /config",
        b".git::$INDEX_ALLOCATION/config",
        b".g\xe2\x80\x8cit/config",
        b"a\\..\\.git\\config",
        b"a\0b",
    ];
    paths_in_every_place(ground, &PATHS)
}

fn paths_in_every_place(ground: &Ground, paths: &[&[u8]]) -> Cases {
    let mut cases = Cases::new();
    let head = record(&[(1, b"main"), (2, &ground.head.0)]);
    let mut add = |what: &str, path: &[u8], tag: u8, entry: Vec<u8>| {
        let name = format!("{what} at {}", path.escape_ascii());
        cases.push((name, manifest(&head, &[(tag, &shelf(&entry))])));
    };
    for path in paths {
        let file = record(&[(1, path), (2, &number(1)), (5, &Digest::of(b"").0)]);
        add("a file", path, tag::TREE, file);
        add("a link", path, tag::TREE, record(&[(1, path), (2, &number(3)), (3, b"x")]));
        let entry = record(&[(1, path), (3, &number(0o100_644)), (4, &ground.blob.0)]);
        add("an index entry", path, tag::INDEX, entry);
    }
    for path in &paths[..4] {
        add("an omission", path, tag::OMITTED, record(&[(1, path), (2, &number(1))]));
        add("a submodule", path, tag::SUBMODULE, record(&[(1, path)]));
        add("a directory", path, tag::TREE, record(&[(1, path), (2, &number(4))]));
    }
    cases
}

/// Names of branches that are options, or refs of something else.
fn bad_refs(ground: &Ground) -> Cases {
    let mut cases = Cases::new();
    for name in [
        "../../HEAD",
        "-d",
        "--upload-pack=x",
        "HEAD",
        "a..b",
        "a b",
        "a.lock",
        "x/.y",
        "@{-1}",
        "a\u{1}",
    ] {
        let head = record(&[(1, name.as_bytes()), (2, &ground.head.0)]);
        cases.push((format!("a branch {name:?}"), manifest(&head, &[])));
    }
    let head = record(&[(1, b"main"), (2, &ground.head.0)]);
    for name in [
        "--upload-pack=touch x",
        "main",
        "refs/heads/-x",
        "refs/heads/a..b",
        "+refs/heads/a:refs/heads/b",
    ] {
        let base = record(&[(1, &ground.head.0), (2, name.as_bytes())]);
        cases.push((format!("a base {name:?}"), manifest(&head, &[(tag::BASE, &base)])));
    }
    cases
}

/// A node of a file that is empty, with more fields.
fn file(name: &[u8], more: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let digest = Digest::of(b"").0;
    let mut fields: Vec<(u8, &[u8])> = vec![(1, name)];
    fields.extend(more.iter().map(|(tag, bytes)| (*tag, bytes.as_slice())));
    fields.push((5, &digest));
    fields.sort_by_key(|(tag, _)| *tag);
    record(&fields)
}

/// Manifests whose parts do not fit.
fn bad_forms(ground: &Ground) -> Cases {
    let head = record(&[(1, b"main"), (2, &ground.head.0)]);
    let mut cases: Cases = vec![
        ("nothing".to_owned(), Vec::new()),
        ("no trailer".to_owned(), vec![7; 4000]),
        (
            "a manifest longer than the log".to_owned(),
            [&u64::MAX.to_le_bytes()[..], b"cvsycode"].concat(),
        ),
        ("a manifest that is none".to_owned(), close(&[0xff; 100])),
        ("no head".to_owned(), close(&record(&[]))),
    ];
    let mut add = |what: &str, fields: &[(u8, &[u8])]| {
        cases.push((what.to_owned(), manifest(&head, fields)));
    };
    let one = [(2, number(1))];
    let link = |name: &[u8]| record(&[(1, name), (2, &number(3)), (3, b"/tmp")]);
    let two = |a: &[u8], b: &[u8]| record(&[(1, a), (1, b)]);
    add("a file twice", &[(tag::TREE, &two(&file(b"a", &one), &file(b"a", &one)))]);
    add("files out of order", &[(tag::TREE, &two(&file(b"b", &one), &file(b"a", &one)))]);
    add("a link with a file behind it", &[(tag::TREE, &two(&link(b"a"), &file(b"a/b", &one)))]);
    add(
        "a link with a file behind it in other letters",
        &[(tag::TREE, &two(&link(b"A"), &file(b"a/b", &one)))],
    );
    add(
        "a file with a file below it",
        &[(tag::TREE, &two(&file(b"a", &one), &file(b"a/b", &one)))],
    );
    add("a link to nothing", &[(tag::TREE, &shelf(&record(&[(1, b"a"), (2, &number(3))])))]);
    add("a device", &[(tag::TREE, &shelf(&record(&[(1, b"a"), (2, &number(9))])))]);
    cases
}

/// Manifests with values that stand for nothing.
fn bad_values(ground: &Ground) -> Cases {
    let head = record(&[(1, b"main"), (2, &ground.head.0)]);
    let one = [(2, number(1))];
    let mut cases = Cases::new();
    let mut add = |what: &str, fields: &[(u8, &[u8])]| {
        cases.push((what.to_owned(), manifest(&head, fields)));
    };
    add(
        "a content outside of the log",
        &[(
            tag::TREE,
            &shelf(&file(
                b"a",
                &[one[0].clone(), (4, number(64)), (7, vec![0x80, 1, 0x80, 0x80, 4])],
            )),
        )],
    );
    add(
        "a content of another length",
        &[(tag::TREE, &shelf(&file(b"a", &[one[0].clone(), (4, number(1 << 40))])))],
    );
    add(
        "a piece of no blob",
        &[(tag::TREE, &shelf(&file(b"a", &[one[0].clone(), (4, number(1)), (7, vec![3, 0])])))],
    );
    add(
        "a mode that means nothing",
        &[(
            tag::INDEX,
            &shelf(&record(&[(1, b"a"), (3, &number(0o106_755)), (4, &ground.blob.0)])),
        )],
    );
    add(
        "a stage that means nothing",
        &[(
            tag::INDEX,
            &shelf(&record(&[
                (1, b"a"),
                (2, &number(4)),
                (3, &number(0o100_644)),
                (4, &ground.blob.0),
            ])),
        )],
    );
    add(
        "a pack outside of the log",
        &[(tag::PACK, &record(&[(1, &number(5)), (2, &number(u64::MAX))]))],
    );
    for name in
        ["../config", "config", "hooks/post-merge", "ORIG_HEAD", "rebase-merge/git-rebase-todo"]
    {
        let file = record(&[(1, name.as_bytes()), (2, b"x")]);
        add(
            &format!("an operation's file {name}"),
            &[(tag::OPERATION, &record(&[(1, &number(1)), (2, &file)]))],
        );
    }
    let head_file = record(&[(1, b"MERGE_HEAD"), (2, b"; touch x")]);
    add("a merge of no commit", &[(tag::OPERATION, &record(&[(1, &number(1)), (2, &head_file)]))]);
    cases
}

fn whole(state: &State, log: &[u8]) -> Vec<u8> {
    [log, &code::write(state)].concat()
}

/// States whose form is right.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn states(ground: &Ground) -> Cases {
    let head = Head { branch: Some("main".to_owned()), commit: Some(ground.head) };
    let file = |length: u64, digest: Digest, rope: Rope| Node::File {
        executable: false,
        content: Content { length, digest, rope },
    };
    let tree = |entries: Vec<(&str, Node)>| State {
        head: head.clone(),
        tree: entries.into_iter().map(|(name, node)| (path(name), node)).collect(),
        ..State::default()
    };
    let part = |range| Rope { blob: None, parts: vec![Part::Log(range)] };
    let repeat =
        |count: usize, size: u64| Rope { blob: None, parts: vec![Part::Log(0..size); count] };
    let cases: Cases = vec![
        (
            "a damaged content".to_owned(),
            whole(&tree(vec![("a", file(4, Digest::of(b"good"), part(0..4)))]), b"evil"),
        ),
        (
            "a bomb of pieces".to_owned(),
            whole(
                &tree(vec![("a", file(4096 << 20, Digest::of(b""), repeat(4096, 1 << 20)))]),
                &vec![0; 1 << 20],
            ),
        ),
        (
            "a piece beyond its blob".to_owned(),
            whole(
                &tree(vec![(
                    "a",
                    file(
                        1 << 20,
                        Digest::of(b""),
                        Rope { blob: Some(ground.blob), parts: vec![Part::Blob(0..1 << 20)] },
                    ),
                )]),
                b"",
            ),
        ),
        (
            "a blob that is not there".to_owned(),
            whole(
                &tree(vec![(
                    "a",
                    file(
                        1,
                        Digest::of(b"x"),
                        Rope { blob: Some(Oid([9; 20])), parts: vec![Part::Blob(0..1)] },
                    ),
                )]),
                b"",
            ),
        ),
        (
            "a blob that is a commit".to_owned(),
            whole(
                &tree(vec![(
                    "a",
                    file(
                        1,
                        Digest::of(b"x"),
                        Rope { blob: Some(ground.head), parts: vec![Part::Blob(0..1)] },
                    ),
                )]),
                b"",
            ),
        ),
        (
            "a file below a tracked file".to_owned(),
            whole(&tree(vec![("README/x", file(1, Digest::of(b"x"), part(0..1)))]), b"x"),
        ),
        (
            "a file behind a tracked link".to_owned(),
            whole(&tree(vec![("link/x", file(1, Digest::of(b"x"), part(0..1)))]), b"x"),
        ),
    ];
    cases
}

/// States that do not fit the clone, or are too large.
fn unfit(ground: &Ground) -> Cases {
    let head = Head { branch: Some("main".to_owned()), commit: Some(ground.head) };
    let mut cases = Cases::new();
    let many = (0..20_000).map(|n| (path(&format!("many/{n:05}")), Node::EmptyDirectory));
    let mut state = State { head: head.clone(), tree: many.collect(), ..State::default() };
    let content = Content { length: 0, digest: Digest::of(b""), rope: Rope::default() };
    let empty = Node::File { executable: false, content };
    state.tree.values_mut().for_each(|node| *node = empty.clone());
    cases.push(("twenty thousand files".to_owned(), whole(&state, b"")));
    let link_above = State {
        tree: BTreeMap::from([(path("src"), Node::Link(b"/tmp".to_vec()))]),
        head: head.clone(),
        ..State::default()
    };
    cases.push(("a link with tracked files behind it".to_owned(), whole(&link_above, b"")));
    for (name, id) in
        [("a commit that is not there", Oid([5; 20])), ("a commit that is a blob", ground.blob)]
    {
        let head = Head { branch: Some("main".to_owned()), commit: Some(id) };
        cases.push((name.to_owned(), whole(&State { head, ..State::default() }, b"")));
    }
    cases
}

/// States with packs that must not be taken in.
fn packs(place: &Place) -> Cases {
    let mut cases = Cases::new();
    let packs = [
        ("a pack of rubbish", b"PACKxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_vec(), Oid([5; 20])),
        (
            "a pack of four thousand million objects",
            [b"PACK\0\0\0\x02\xff\xff\xff\xff".to_vec(), vec![0; 200]].concat(),
            Oid([5; 20]),
        ),
    ];
    let crafted = forge::commits(place);
    for (name, pack, commit) in packs
        .into_iter()
        .chain(crafted.iter().map(|(name, pack, commit)| (*name, pack.clone(), *commit)))
    {
        let pack_of = Pack { start: 0, length: pack.len() as u64, tips: vec![commit] };
        let head = Head { branch: Some("main".to_owned()), commit: Some(commit) };
        let state = State { head, packs: vec![pack_of], ..State::default() };
        cases.push((name.to_owned(), whole(&state, &pack)));
    }
    cases
}

/// Everything of a clone and around it, its git directory too.
fn everything(place: &Place) -> BTreeMap<String, Thing> {
    let mut seen = BTreeMap::new();
    for folder in ["b", "b/.git"] {
        let mut tree = BTreeMap::new();
        walk(&place.path(folder), Path::new(""), &mut tree);
        seen.extend(tree.into_iter().map(|(path, thing)| (format!("{folder}/{path}"), thing)));
    }
    seen
}

#[test]
fn a_hundred_hostile_states_are_refused_before_a_byte_is_written() {
    let place = Place::new();
    let ground = Ground {
        head: place.run("b", &["rev-parse", "HEAD"]).parse().unwrap(),
        blob: place.run("b", &["rev-parse", "HEAD:README"]).parse().unwrap(),
    };
    let cases = [
        bad_paths(&ground),
        bad_refs(&ground),
        bad_forms(&ground),
        bad_values(&ground),
        states(&ground),
        unfit(&ground),
        packs(&place),
    ];
    let cases: Cases = cases.into_iter().flatten().collect();
    assert!(cases.len() >= 100, "{}", cases.len());
    let b = Device::new(&place, "b");
    let before = everything(&place);
    for (name, log) in &paths_in_every_place(&ground, &[&b"fine/name"[..]; 4]) {
        files::write(&place.path("fine.log"), log);
        assert!(Opened::read(&place.path("fine.log")).is_ok(), "{name}: only the path is at fault");
    }
    let mut taken = Vec::new();
    for (name, log) in &cases {
        let path = place.path(costs::LOG);
        files::write(&path, log);
        costs::measure(&place.home(), name);
        let refused = Opened::read(&path).and_then(|opened| b.restore(&opened, true));
        let is_refused = matches!(refused, Err(CheckoutError::Refused(_) | CheckoutError::Code(_)));
        if !is_refused {
            taken.push(format!("{name}: {refused:?}"));
            b.undo().ok();
        } else {
            assert_eq!(everything(&place), before, "{name}");
        }
    }
    assert_eq!(taken, Vec::<String>::new());
}
