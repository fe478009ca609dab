//! Every command against a daemon of canned answers: what it asks, prints, and ends with.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../support/fake.rs"]
#[expect(dead_code, reason = "shared with the tests of the real program")]
mod fake;
mod samples;
mod saving;

mod documents;
mod hostile;
mod keys;
mod reading;
mod resuming;
mod service;
mod wire;

use std::path::Path;

use fake::Ran;

/// Compares a run with its file; `CONVOSYNC_BLESS=1` writes the file anew. `homes` are folders of this
/// run that have another name every time.
#[expect(clippy::disallowed_methods, reason = "tests write their expectations on demand")]
fn check_text(name: &str, ran: &Ran, home: &Path) {
    let text = format!("{}--- errors\n{}--- {:?}\n", ran.out, ran.err, ran.code);
    let text = text.replace(&*home.to_string_lossy(), "HOME");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/expected");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("CONVOSYNC_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}");
}
