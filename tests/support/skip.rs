//! Tests that need a program which may be missing say so by name instead of passing in silence.
//!
//! `CONVOSYNC_SKIPPED` names a file that collects the names (the test runner hides what passing
//! tests print); `CONVOSYNC_REQUIRE_ALL=1` turns every skip into a failure, as the gate does.

use std::path::{Path, PathBuf};

use crate::{files, program};

/// Turns skips into failures when set.
pub const REQUIRE_ALL: &str = "CONVOSYNC_REQUIRE_ALL";

/// Names the file that collects the names of skipped tests.
pub const SKIPPED_FILE: &str = "CONVOSYNC_SKIPPED";

/// Returns where `name` lies on `PATH`, or reports the running test as skipped.
pub fn unless_on_path(name: &str) -> Option<PathBuf> {
    let found = program::on_path(name);
    if found.is_none() {
        report(&format!("`{name}` is not installed"));
    }
    found
}

/// Reports the running test as skipped; its caller then returns.
///
/// # Panics
/// When `CONVOSYNC_REQUIRE_ALL` is set.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn report(why: &str) {
    let line = format!("skipped: {}: {why}", running_test());
    eprintln!("{line}");
    if let Some(file) = std::env::var_os(SKIPPED_FILE) {
        files::append(Path::new(&file), format!("{line}\n").as_bytes());
    }
    assert!(std::env::var_os(REQUIRE_ALL).is_none(), "{line}");
}

/// Returns the name of the running test: its thread's, or, where a runner starts one process a test and
/// the test has the main thread, what the runner asked for.
fn running_test() -> String {
    let thread = std::thread::current();
    let asked = || std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => asked().unwrap_or_else(|| "unnamed".to_owned()),
    }
}
