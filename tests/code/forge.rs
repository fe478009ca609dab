//! Commits that no git would make.

use convosync_core::id::Oid;

use super::states::Place;

/// Packs with commits that git itself was told not to look at.
pub(crate) fn commits(place: &Place) -> Vec<(&'static str, Vec<u8>, Oid)> {
    place.run("", &["init", "-q", "forge"]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    let blob = text(place.feed("forge", &["hash-object", "-w", "--stdin"], b"x").ok().stdout);
    let raw = |id: &str| -> Vec<u8> {
        id.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let tree = |entries: &[(&str, &[u8], &str)]| {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend(raw(id));
        }
        let args = ["hash-object", "-w", "-t", "tree", "--literally", "--stdin"];
        text(place.feed("forge", &args, &bytes).ok().stdout)
    };
    let commit =
        |tree: &str| text(place.feed("forge", &["commit-tree", tree, "-m", "x"], b"").ok().stdout);
    let packed = |commit: &str| {
        let args = ["pack-objects", "--stdout", "--revs", "-q"];
        place.feed("forge", &args, format!("{commit}\n").as_bytes()).ok().stdout
    };
    let inner = tree(&[("100644", b"config", &blob)]);
    let mut bomb = tree(&[("100644", b"f", &blob)]);
    for _ in 0..10 {
        let names: Vec<String> = (0..10).map(|n| format!("d{n}")).collect();
        let entries: Vec<(&str, &[u8], &str)> =
            names.iter().map(|name| ("40000", name.as_bytes(), bomb.as_str())).collect();
        bomb = tree(&entries);
    }
    let zeros = text(
        place.feed("forge", &["hash-object", "-w", "--stdin"], &vec![0; 300 << 20]).ok().stdout,
    );
    let trees = [
        ("a commit with .git", tree(&[("40000", b".git", &inner)])),
        ("a commit with .GIT", tree(&[("40000", b".GIT", &inner)])),
        ("a commit with ..", tree(&[("40000", b"..", &inner)])),
        ("a commit with a slash in a name", tree(&[("100644", b"a/b", &blob)])),
        (
            "a commit with a link and a folder of one name",
            tree(&[("120000", b"a", &blob), ("40000", b"a", &inner)]),
        ),
        ("a commit with git~1", tree(&[("40000", b"git~1", &inner)])),
        ("a commit of ten thousand million files", bomb),
        ("a commit with three hundred million zeros", tree(&[("100644", b"zeros", &zeros)])),
    ];
    let made = trees.map(|(name, tree)| {
        let commit = commit(&tree);
        (name, packed(&commit), commit.parse().unwrap())
    });
    made.into_iter().collect()
}
