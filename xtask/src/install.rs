//! Puts the programs where a shell finds them, and removes exactly these again.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::{print, shell};

/// The programs, as Cargo names them.
const PROGRAMS: [&str; 2] = ["convosyncd", "convosyncctl"];

/// The client's short name, a link.
const ALIAS: &str = "convosync";

/// Builds both programs and puts them, with the alias, into `prefix`/bin, or ~/.local/bin.
///
/// # Errors
/// When they do not build, or a file of another program is in the way.
pub(crate) fn install(prefix: Option<PathBuf>) -> Result<(), Failure> {
    let bin = bin_dir(prefix)?;
    refuse_foreign_alias(&bin)?;
    shell::step(
        "build",
        &mut shell::cargo(&[
            "build",
            "--release",
            "--bins",
            "-p",
            "convosyncd",
            "-p",
            "convosyncctl",
        ]),
    )?;
    fs::create_dir_all(&bin).map_err(|source| Failure::File {
        deed: "make",
        path: bin.clone(),
        source,
    })?;
    for name in PROGRAMS {
        put(&release_dir().join(name), &bin.join(name))?;
    }
    remove(&bin.join(ALIAS))?;
    let alias = bin.join(ALIAS);
    symlink("convosyncctl", &alias).map_err(|source| Failure::File {
        deed: "link",
        path: alias,
        source,
    })?;
    print::heading("installed");
    for name in PROGRAMS.iter().chain([&ALIAS]) {
        print::line(&format!("    {}", bin.join(name).display()));
    }
    if !is_on_path(&bin) {
        print::line(&format!("\n{} is not on your PATH yet.", bin.display()));
    }
    print::line("\nNext, in a project with a git remote: convosyncctl init");
    print::line("Then, to keep the daemon running:      convosyncctl service install");
    Ok(())
}

/// Removes what [`install`] put there.
///
/// # Errors
/// When a file cannot be removed.
pub(crate) fn uninstall(prefix: Option<PathBuf>) -> Result<(), Failure> {
    let bin = bin_dir(prefix)?;
    refuse_foreign_alias(&bin)?;
    let mut removed = 0;
    for name in PROGRAMS.iter().chain([&ALIAS]) {
        if remove(&bin.join(name))? {
            print::line(&format!("removed {}", bin.join(name).display()));
            removed += 1;
        }
    }
    if removed == 0 {
        print::line(&format!("nothing of ConvoSync is in {}", bin.display()));
    }
    print::line(
        "\nKeys, configuration and the local store stay. A service that was installed before still names the",
    );
    print::line(
        "programs: `convosyncctl service uninstall` removes it, and is best run before this.",
    );
    Ok(())
}

fn bin_dir(prefix: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let local = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local"));
    prefix.or_else(local).map(|prefix| prefix.join("bin")).ok_or(Failure::NoHome)
}

fn release_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell::root().join("target"), PathBuf::from);
    target.join("release")
}

fn is_on_path(bin: &Path) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir == bin))
}

/// A running program cannot be written over, so the new one is put beside it and renamed.
fn put(from: &Path, to: &Path) -> Result<(), Failure> {
    let beside = to.with_extension("new");
    fs::copy(from, &beside).map_err(|source| Failure::File {
        deed: "copy",
        path: from.to_owned(),
        source,
    })?;
    fs::rename(&beside, to).map_err(|source| Failure::File {
        deed: "replace",
        path: to.to_owned(),
        source,
    })
}

fn remove(path: &Path) -> Result<bool, Failure> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Failure::File { deed: "remove", path: path.to_owned(), source }),
    }
}

/// Somebody else's `convosync` is not ours to replace.
fn refuse_foreign_alias(bin: &Path) -> Result<(), Failure> {
    let alias = bin.join(ALIAS);
    let is_ours = || fs::read_link(&alias).is_ok_and(|target| target == Path::new("convosyncctl"));
    if fs::symlink_metadata(&alias).is_ok() && !is_ours() {
        Err(Failure::NotOurs(alias))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_somebody_else_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let bin = place.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        assert!(refuse_foreign_alias(&bin).is_ok());

        symlink("convosyncctl", bin.join(ALIAS)).unwrap();
        assert!(refuse_foreign_alias(&bin).is_ok());

        fs::remove_file(bin.join(ALIAS)).unwrap();
        fs::copy("/bin/sh", bin.join(ALIAS)).unwrap();
        assert!(uninstall(Some(place.path().to_owned())).is_err());
        assert!(bin.join(ALIAS).exists());
    }

    #[test]
    fn uninstalling_removes_exactly_what_was_installed() {
        let place = tempfile::tempdir().unwrap();
        let bin = place.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        for name in PROGRAMS.iter().chain([&"other"]) {
            fs::copy("/bin/sh", bin.join(name)).unwrap();
        }
        symlink("convosyncctl", bin.join(ALIAS)).unwrap();

        uninstall(Some(place.path().to_owned())).unwrap();

        let left: Vec<_> =
            fs::read_dir(&bin).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["other"]);
    }
}
