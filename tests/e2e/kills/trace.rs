//! Starts the daemon under `strace`, which strikes at one of its calls, and reads what was written down: the
//! daemon itself knows nothing of it.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use convosync_tests::{Device, files, program};
use rustix::process::Pid;

/// Calls that change something on the disk, or make it last.
const CALLS: &str = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,fsync,fdatasync,write,pwrite64,ftruncate,openat";
/// Calls that name what they are done to by a descriptor.
const BY_DESCRIPTOR: [&str; 5] = ["fsync", "fdatasync", "write", "pwrite64", "ftruncate"];

/// What is to be struck: the so manyth call of this name that one of the daemon's threads makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) call: String,
    pub(super) number: usize,
    /// Only calls that are made to this path count.
    pub(super) path: Option<String>,
}

/// Whether neither the path nor the number leads to what was done: a temporary file has another name each
/// time, and the threads of a pool take turns. What is done with it next, a link or a rename, has a path.
pub(super) fn is_elusive(effect: &str) -> bool {
    let is_temporary = effect.ends_with("/tmp_object") || effect.ends_with("/.convosync-TEMP");
    is_temporary && ["openat ", "write ", "fsync "].iter().any(|call| effect.starts_with(call))
}

impl Target {
    pub(super) fn new(call: &str, number: usize) -> Self {
        Self { call: call.to_owned(), number, path: None }
    }

    /// Whether this is the call that was struck.
    pub(super) fn is(&self, call: &Call) -> bool {
        (&self.call, self.number) == (&call.target.call, call.target.number)
    }
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) target: Target,
    /// The call, and what it was done to below the device's folder: `fsync own.git/objects/XX/ID`. Nothing
    /// for pipes, sockets, and what is only read.
    pub(super) effect: Option<String>,
    /// The path it was done to, or the one that it made.
    pub(super) path: String,
}

/// A daemon under `strace`. Both end with this value; when a test fails, it says what was struck.
pub(super) struct Traced {
    strace: Child,
    log: PathBuf,
    trace: PathBuf,
}

impl Traced {
    pub(super) fn has_ended(&mut self) -> bool {
        self.strace.try_wait().expect("a child can be asked").is_some()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        program::kill_group(Pid::from_child(&self.strace));
        // One that has ended already is what was wanted.
        self.strace.wait().map(drop).unwrap_or_default();
        if std::thread::panicking() {
            let trace = std::fs::read(&self.trace).unwrap_or_default();
            let trace = String::from_utf8_lossy(&trace).into_owned();
            let struck = trace.lines().filter(|line| line.contains("INJECTED"));
            struck.for_each(|line| println!("{line}"));
            println!("{}", String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()));
        }
    }
}

/// Starts the daemon under `strace`; its children are let alone. `blow` is done to it at the target:
/// `signal=KILL`, `error=ENOSPC`.
pub(super) fn traced(device: &Device, blow: Option<(&Target, &str)>, trace: &Path) -> Traced {
    let mut strace = device.home.command("strace");
    // It would begin anew with these limits, and be taken for one of its own children.
    strace.env("MALLOC_ARENA_MAX", "1");
    strace.args(["-f", "-b", "execve", "-y", "-qq", "-e"]).arg(format!("trace={CALLS}"));
    if let Some((Target { call, number, path }, blow)) = blow {
        strace.args(path.iter().flat_map(|path| ["-P", path]));
        strace.arg("-e").arg(format!("inject={call}:{blow}:when={number}"));
    }
    strace.arg("-o").arg(trace).arg(program::binary("convosyncd"));
    let log = device.log_file();
    let again = log.try_clone().expect("a file can be opened twice");
    strace.process_group(0).stdin(Stdio::null()).stdout(log).stderr(again);
    Traced {
        strace: strace.spawn().expect("strace is installed"),
        log: device.log_path(),
        trace: trace.to_owned(),
    }
}

/// The calls in a trace, in order.
pub(super) fn calls_in(trace: &Path) -> Vec<Call> {
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    let text = String::from_utf8_lossy(&files::read(trace)).into_owned();
    let calls = text.lines().filter_map(|line| {
        let (thread, rest) = line.trim_start().split_once(char::is_whitespace)?;
        let call = rest.trim_start().split_once('(')?.0;
        let is_call = call.chars().all(|c| c.is_ascii_alphanumeric());
        is_call.then(|| {
            let number = counted.entry((thread.to_owned(), call.to_owned())).or_default();
            *number += 1;
            let target = Target::new(call, *number);
            Call { target, effect: effect_of(call, rest), path: path_of(call, rest) }
        })
    });
    calls.collect()
}

/// What a call did, as [`Call::effect`] says.
fn effect_of(call: &str, line: &str) -> Option<String> {
    if call == "openat" && !line.contains("O_CREAT") {
        return None;
    }
    let line = if BY_DESCRIPTOR.contains(&call) { line.split_once('>')?.0 } else { line };
    let from = line.find("/cs/").map(|at| &line[at + "/cs/".len()..]).or_else(|| {
        let at = line.find("/.claude/")?;
        Some(&line[at + "/.".len()..])
    })?;
    let path: String = from.chars().take_while(|c| !['"', '>', ','].contains(c)).collect();
    let parts: Vec<String> =
        path.split('/').skip_while(|part| *part == "state").map(part).collect();
    Some(format!("{call} {}", parts.join("/")))
}

/// What the call was done to; of two paths the second, which is where something gets its place. Of a `rename`
/// `strace` looks at the first one only.
fn path_of(call: &str, line: &str) -> String {
    let path = if call == "rename" {
        line.split('"').nth(1)
    } else if BY_DESCRIPTOR.contains(&call) {
        line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path)
    } else {
        line.rsplit('"').nth(1)
    };
    path.unwrap_or_default().to_owned()
}

/// A part of a path without what is different every time.
fn part(part: &str) -> String {
    let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let (stem, ending) = part
        .split_once('.')
        .map_or((part, String::new()), |(stem, ending)| (stem, format!(".{ending}")));
    match stem.len() {
        2 if is_hex(stem) => "XX".to_owned(),
        45 if stem.starts_with("pack-") => format!("pack-ID{ending}"),
        16.. if is_hex(stem) => format!("ID{ending}"),
        _ if part.starts_with("tmp_object") => "tmp_object".to_owned(),
        _ if part.starts_with(".convosync-") => ".convosync-TEMP".to_owned(),
        36 => format!("SESSION{ending}"),
        _ => part.to_owned(),
    }
}

#[test]
fn effects_are_named_by_what_they_are_done_to() {
    for (line, name) in [
        (
            "link(\"/tmp/x/ada/cs/state/stores/da930599fe107802/own.git/objects/tmp_object_git2_9d\", \"/y\") = 0",
            Some("link stores/ID/own.git/objects/tmp_object"),
        ),
        (
            "fsync(16</tmp/x/ada/cs/state/stores/da930599fe107802/own.git/objects/b0>) = ?",
            Some("fsync stores/ID/own.git/objects/XX"),
        ),
        ("write(4<anon_inode:[eventfd]>, \"\\1\", 8) = 8", None),
        ("write(4<socket:[7]>, \"{/tmp/x/ada/cs/state}\", 8) = 8", None),
        ("openat(AT_FDCWD</>, \"/tmp/x/ada/cs/state/a\", O_RDONLY) = 8", None),
        ("openat(AT_FDCWD</>, \"/tmp/x/ada/cs/a\", O_WRONLY|O_CREAT) = 8", Some("openat a")),
    ] {
        let call = line.split_once('(').map_or("", |(call, _)| call);
        assert_eq!(effect_of(call, line).as_deref(), name, "{line}");
    }
}

#[test]
fn calls_are_counted_by_thread_and_name() {
    let dir = tempfile::tempdir().expect("a folder for the trace");
    let trace = dir.path().join("trace");
    files::write(
        &trace,
        "7 fsync(3</x/cs/a>) = 0\n8 fsync(3</x/cs/b>) = 0\n7 link(\"/x/cs/c\", \"/x/cs/d\" <unfinished ...>\n7 <... link resumed>) = 0\n7 fsync(3</x/cs/c>) = ?\n8 +++ killed by SIGKILL +++\n",
    );
    let found: Vec<_> = calls_in(&trace)
        .into_iter()
        .map(|call| (call.target.number, call.effect.unwrap_or_default()))
        .collect();
    let wanted = [(1, "fsync a"), (1, "fsync b"), (1, "link c"), (2, "fsync c")];
    assert_eq!(found, wanted.map(|(number, effect)| (number, effect.to_owned())));
}
