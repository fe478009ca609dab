//! Unfinished work in a device's clone, and what a person sees of a clone.

use std::path::Path;

use crate::{Device, files};

/// Writes a file of the project.
pub fn write(device: &Device, path: &str, text: &str) {
    let path = device.home.project().join(path);
    files::make_dir(path.parent().expect("a file lies in a folder"));
    files::write(&path, text);
}

/// Leaves unfinished work of every common kind: a commit that is not pushed, staged and changed files, an
/// untracked one, and a secret.
pub fn leave(device: &Device) {
    write(device, "pushed-later.txt", "a commit that only this device has\n");
    device.home.git(&["add", "."]).ok();
    device.home.git(&["commit", "-q", "-m", "not pushed"]).ok();
    write(device, "staged.txt", "staged\n");
    device.home.git(&["add", "staged.txt"]).ok();
    write(device, "staged.txt", "staged, then changed\n");
    write(device, "README.md", "changed, not staged\n");
    write(device, "new/untracked file.txt", "nobody added it\n");
    write(device, ".env", "TOKEN=canary\n");
}

/// What a person sees of a clone: HEAD, branch, index, status, both diffs, and untracked files with their
/// contents. Secrets by name are left out: each device has its own.
pub fn seen(device: &Device) -> Vec<String> {
    seen_in(device, device.home.project())
}

/// The same of another clone.
pub fn seen_in(device: &Device, clone: &Path) -> Vec<String> {
    let place = clone.to_str().expect("the tests' paths are text");
    let git =
        |arguments: &[&str]| device.home.git(&[&["-C", place], arguments].concat()).ok().text();
    let untracked = git(&["ls-files", "--others", "--exclude-standard", "--exclude=.env"]);
    let contents = untracked.lines().map(|path| {
        let bytes = files::read(&clone.join(path));
        format!("{path}: {}", String::from_utf8_lossy(&bytes))
    });
    let status = git(&["status", "--porcelain=v2", "--untracked-files=all"]);
    let status: Vec<&str> = status.lines().filter(|line| *line != "? .env").collect();
    let mut seen = vec![
        git(&["rev-parse", "HEAD"]),
        git(&["rev-parse", "--abbrev-ref", "HEAD"]),
        git(&["ls-files", "--stage"]),
        status.join("\n"),
        git(&["diff"]),
        git(&["diff", "--cached"]),
    ];
    seen.extend(contents);
    seen
}
