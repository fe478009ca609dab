//! Keeps freed memory from staying with the daemon: glibc is told so in the environment, which it reads once,
//! when a program begins. Other C libraries need nothing of the kind.

use std::ffi::OsString;

/// By default glibc makes an arena for each of many threads at a time and keeps in each what was freed there;
/// and once a large piece was freed it takes the next ones from an arena, too. A daemon that was busy for a
/// minute would hold several megabytes of nothing for weeks.
pub const LIMITS: &[(&str, &str)] = &[
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// Begins the program anew with these limits, as the same process, unless the environment has them, or others.
/// Returns when that is done, or cannot be.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(clippy::disallowed_methods, reason = "no process is started: this one goes on as itself")]
pub fn begin_with_limits(env: &dyn Fn(&str) -> Option<OsString>) {
    use std::os::unix::process::CommandExt as _;

    let is_told = LIMITS.iter().any(|(name, _)| env(name).is_some());
    let Ok(program) = std::env::current_exe() else { return };
    if is_told {
        return;
    }
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // It comes back only with an error. Then more memory is held, and all else is as good.
    drop(again.args(arguments).envs(LIMITS.iter().copied()).exec());
}

/// Only glibc needs to be told.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn begin_with_limits(_env: &dyn Fn(&str) -> Option<OsString>) {}
