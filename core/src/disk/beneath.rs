//! Files below one directory that belong to somebody else: reached name by name, so that no link, however
//! it came there, leads a step out of it.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::{DiskError, TEMP_PREFIX};

/// The bits of a mode that say who may execute.
const EXECUTE: u32 = 0o111;
/// The bits of a mode that say who may read.
const READ: u32 = 0o444;
/// The bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o777;

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or something stands where a directory of the path would be.
    Nothing,
    /// A regular file.
    File(Stamp),
    /// A symbolic link.
    Link(Stamp),
    /// A directory.
    Directory,
    /// A pipe, a socket or a device.
    Other,
}

/// When a file was changed last, and which it is: two alike mean the same content, unless it was changed
/// just before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its permissions.
    pub permissions: u32,
    /// How many bytes it has.
    pub size: u64,
    place: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

/// How long a file must have been left alone for its stamp to tell: the coarsest clock of a file system
/// ticks every two seconds.
const SETTLES_MS: i64 = 2_500;

impl Stamp {
    /// That of what was looked at.
    pub fn of(found: &Metadata) -> Self {
        Self {
            permissions: found.mode() & PERMISSIONS,
            size: found.size(),
            place: (found.dev(), found.ino()),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    // The types of these fields differ between systems.
    #[expect(clippy::unnecessary_cast, reason = "not on every system")]
    fn of_stat(stat: &Stat) -> Self {
        Self {
            permissions: stat.st_mode as u32 & PERMISSIONS,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            place: (stat.st_dev as u64, stat.st_ino as u64),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether a change after this look would have another stamp.
    pub fn is_settled(&self, now_ms: i64) -> bool {
        let newest = self.modified.0.max(self.changed.0).saturating_mul(1000);
        newest.saturating_add(SETTLES_MS) < now_ms
    }
}

/// A directory whose files are read and written without leaving it.
#[derive(Debug)]
pub struct Beneath {
    root: PathBuf,
    top: OwnedFd,
}

/// What a file is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Whether those who may read it may execute it.
    pub executable: bool,
    /// Its permissions, but for that; `None` leaves them to the user's mask.
    pub permissions: Option<u32>,
}

impl Access {
    fn mode(self) -> Option<u32> {
        let bits = self.permissions? & PERMISSIONS & !EXECUTE;
        Some(if self.executable { bits | (bits & READ) >> 2 } else { bits })
    }
}

impl Beneath {
    /// Opens the directory, which may itself be reached through links: it is the user's.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn open(root: &Path) -> Result<Self, DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|error| io_error("open", root, error))?;
        Ok(Self { root: root.to_owned(), top })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Looks at what lies at a path, itself not followed.
    ///
    /// # Errors
    /// What the operating system says; that nothing is there is none.
    pub fn look(&self, path: &Path) -> Result<Found, DiskError> {
        match self.parent_of(path) {
            Ok((dir, name)) => {
                look_at(&dir, name).map_err(|error| self.failed("look at", path, error))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(Found::Nothing),
            Err(error) => Err(self.failed("look at", path, error)),
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// When it is no regular file or cannot be read.
    pub fn read(&self, path: &Path) -> Result<File, DiskError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || {
            let (dir, name) = self.parent_of(path)?;
            rustix::fs::openat(&dir, name, flags, Mode::empty())
        };
        let file = File::from(open().map_err(|error| self.failed("open", path, error))?);
        let is_file = file.metadata().is_ok_and(|found| found.is_file());
        if is_file { Ok(file) } else { Err(DiskError::NotAFile(self.root.join(path))) }
    }

    /// Returns where a link leads.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_link(&self, path: &Path) -> Result<Vec<u8>, DiskError> {
        let read = || {
            let (dir, name) = self.parent_of(path)?;
            rustix::fs::readlinkat(&dir, name, Vec::new())
        };
        Ok(read().map_err(|error| self.failed("read", path, error))?.into_bytes())
    }

    /// Lists the names in a directory.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn list(&self, path: &Path) -> Result<Vec<Vec<u8>>, DiskError> {
        let list = || {
            let dir = self.directory(path)?;
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&dir)? {
                let name = entry?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    names.push(name);
                }
            }
            Ok(names)
        };
        list().map_err(|error| self.failed("list", path, error))
    }

    /// Puts a file in its place, whole, instead of what `expected` says lies there. The directories above
    /// it are made.
    ///
    /// # Errors
    /// [`DiskError::Changed`] when something else lies there by now; it is left as it is.
    pub fn write(
        &self,
        path: &Path,
        access: Access,
        expected: Found,
        fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DiskError> {
        let failed = |error| self.failed("write", path, error);
        let (dir, name) = self.make_parent_of(path).map_err(failed)?;
        let mode = if access.executable { 0o777 } else { 0o666 };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (temp, file) =
            with_new_name(|temp| rustix::fs::openat(&dir, temp, flags, Mode::from_raw_mode(mode)))
                .map_err(failed)?;
        let mut file = io::BufWriter::with_capacity(1 << 16, File::from(file));
        let mut put = || {
            fill(&mut file)?;
            file.flush()?;
            if let Some(mode) = access.mode() {
                match rustix::fs::fchmod(file.get_ref(), Mode::from_bits_truncate(mode as _)) {
                    // The file is ours, so it is the file system that knows no permissions.
                    Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {}
                    done => done?,
                }
            }
            Ok(())
        };
        let done: io::Result<()> = put();
        let done = done
            .map_err(|source| DiskError::Io { deed: "write", path: self.root.join(path), source })
            .and_then(|()| self.place(&dir, &temp, path, name, expected));
        self.or_discard(&dir, &temp, done)
    }

    /// Puts a symbolic link in its place, instead of what `expected` says lies there.
    ///
    /// # Errors
    /// [`DiskError::Changed`] when something else lies there by now; it is left as it is.
    pub fn link(&self, path: &Path, target: &[u8], expected: Found) -> Result<(), DiskError> {
        let failed = |error| self.failed("make the link", path, error);
        let (dir, name) = self.make_parent_of(path).map_err(failed)?;
        let target = OsStr::from_bytes(target);
        let (temp, ()) =
            with_new_name(|temp| rustix::fs::symlinkat(target, &dir, temp)).map_err(failed)?;
        let done = self.place(&dir, &temp, path, name, expected);
        self.or_discard(&dir, &temp, done)
    }

    /// Whether links can be made in the directory: tried, and taken away again.
    ///
    /// # Errors
    /// What the operating system says, if it is not that.
    pub fn has_links(&self) -> Result<bool, DiskError> {
        let failed = |error| self.failed("make a link in", Path::new(""), error);
        match with_new_name(|temp| rustix::fs::symlinkat("nowhere", &self.top, temp)) {
            Ok((temp, ())) => {
                let removed = rustix::fs::unlinkat(&self.top, &temp, AtFlags::empty());
                removed.map(|()| true).map_err(failed)
            }
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes a directory with those above it.
    ///
    /// # Errors
    /// When something else is in the way.
    pub fn make_dir(&self, path: &Path) -> Result<(), DiskError> {
        let make = || {
            let (dir, name) = self.make_parent_of(path)?;
            enter_or_make(&dir, name).map(drop)
        };
        make().map_err(|error| self.failed("make directory", path, error))
    }

    /// Removes a file or link that `expected` says lies there.
    ///
    /// # Errors
    /// [`DiskError::Changed`] when something else lies there by now; it is left as it is.
    pub fn remove(&self, path: &Path, expected: Found) -> Result<(), DiskError> {
        let failed = |error| self.failed("remove", path, error);
        let (dir, name) = self.parent_of(path).map_err(failed)?;
        if look_at(&dir, name).map_err(failed)? != expected {
            return Err(DiskError::Changed(self.root.join(path)));
        }
        rustix::fs::unlinkat(&dir, name, AtFlags::empty()).map_err(failed)
    }

    /// Removes a directory if nothing is in it; returns whether it is gone.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn remove_empty_dir(&self, path: &Path) -> Result<bool, DiskError> {
        let remove = || {
            let (dir, name) = self.parent_of(path)?;
            rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)
        };
        match remove() {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::LOOP | Errno::BUSY) => {
                Ok(false)
            }
            Err(error) => Err(self.failed("remove", path, error)),
        }
    }

    /// Makes everything written so far durable, which for many files is faster than one by one.
    pub fn settle(&self) {
        #[cfg(target_os = "linux")]
        if rustix::fs::syncfs(&self.top).is_ok() {
            return;
        }
        rustix::fs::sync();
    }

    /// How many bytes may still be written to the disk it lies on, where that can be known.
    pub fn room(&self) -> Option<u64> {
        rustix::fs::fstatvfs(&self.top).ok().map(|found| super::available(&found))
    }

    fn place(
        &self,
        dir: &OwnedFd,
        temp: &str,
        path: &Path,
        name: &OsStr,
        expected: Found,
    ) -> Result<(), DiskError> {
        let failed = |error| self.failed("write", path, error);
        if look_at(dir, name).map_err(failed)? != expected {
            return Err(DiskError::Changed(self.root.join(path)));
        }
        if expected != Found::Nothing {
            return rustix::fs::renameat(dir, temp, dir, name).map_err(failed);
        }
        match rustix::fs::renameat_with(dir, temp, dir, name, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => Err(DiskError::Changed(self.root.join(path))),
            // Some file systems cannot promise it; we have looked a moment ago.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::renameat(dir, temp, dir, name).map_err(failed)
            }
            done => done.map_err(failed),
        }
    }

    fn or_discard<T>(
        &self,
        dir: &OwnedFd,
        temp: &str,
        done: Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        if done.is_err() {
            // What stays if this fails too carries our prefix.
            rustix::fs::unlinkat(dir, temp, AtFlags::empty()).ok();
        }
        done
    }

    /// Opens the directory a path lies in.
    fn parent_of<'a>(&self, path: &'a Path) -> Result<(OwnedFd, &'a OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        Ok((self.directory(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut dir = self.top.try_clone().map_err(|_| Errno::MFILE)?;
        for name in names(path)? {
            dir = enter(&dir, name)?;
        }
        if path.as_os_str().is_empty() {
            // A list reads from where the last one ended, unless it has a descriptor of its own.
            dir = enter(&dir, OsStr::new("."))?;
        }
        Ok(dir)
    }

    fn make_parent_of<'a>(&self, path: &'a Path) -> Result<(OwnedFd, &'a OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let mut dir = self.top.try_clone().map_err(|_| Errno::MFILE)?;
        for name in names(path.parent().unwrap_or(Path::new("")))? {
            dir = enter_or_make(&dir, name)?;
        }
        Ok((dir, name))
    }

    fn failed(&self, deed: &'static str, path: &Path, error: Errno) -> DiskError {
        let path = self.root.join(path);
        if error == Errno::LOOP {
            DiskError::SymbolicLink(path)
        } else {
            io_error(deed, &path, error)
        }
    }
}

fn io_error(deed: &'static str, path: &Path, error: Errno) -> DiskError {
    DiskError::Io { deed, path: path.to_owned(), source: error.into() }
}

/// The names of a relative path; anything that could lead up or to the root is refused.
fn names(path: &Path) -> Result<Vec<&OsStr>, Errno> {
    let name = |part| match part {
        Component::Normal(name) => Ok(name),
        _ => Err(Errno::INVAL),
    };
    path.components().map(name).collect()
}

fn enter(dir: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

fn enter_or_make(dir: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => enter(dir, name),
        Err(error) => Err(error),
    }
}

fn look_at(dir: impl AsFd, name: &OsStr) -> Result<Found, Errno> {
    let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Found::Nothing),
        other => other?,
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Found::File(Stamp::of_stat(&stat)),
        FileType::Symlink => Found::Link(Stamp::of_stat(&stat)),
        FileType::Directory => Found::Directory,
        _ => Found::Other,
    })
}

/// Makes something under a name nobody has yet.
fn with_new_name<T>(make: impl Fn(&str) -> Result<T, Errno>) -> Result<(String, T), Errno> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    /// Far more than an earlier process of the same id can have left.
    const TRIES: usize = 10_000;
    for _ in 0..TRIES {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TEMP_PREFIX}{}-{count}", std::process::id());
        match make(&name) {
            Err(Errno::EXIST) => {}
            made => return Ok((name, made?)),
        }
    }
    Err(Errno::EXIST)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const PLAIN: Access = Access { executable: false, permissions: None };

    fn put(beneath: &Beneath, path: &str, expected: Found, bytes: &[u8]) -> Result<(), DiskError> {
        beneath.write(Path::new(path), PLAIN, expected, &mut |file| file.write_all(bytes))
    }

    #[test]
    fn no_link_leads_out_of_the_directory() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), inside.path().join("out")).unwrap();
        symlink(outside.path().join("file"), inside.path().join("link")).unwrap();
        fs::create_dir(inside.path().join("dir")).unwrap();
        symlink("..", inside.path().join("dir/up")).unwrap();
        let beneath = Beneath::open(inside.path()).unwrap();

        for path in ["out/x", "out/a/b", "dir/up/x", "../x", "/tmp/x", "dir/../../x"] {
            assert!(put(&beneath, path, Found::Nothing, b"bad").is_err(), "{path}");
            assert!(beneath.make_dir(Path::new(path)).is_err(), "{path}");
            assert!(beneath.link(Path::new(path), b"bad", Found::Nothing).is_err(), "{path}");
        }
        let link = beneath.look(Path::new("link")).unwrap();
        put(&beneath, "link", link, b"good").unwrap();

        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!inside.path().join("x").exists());
        assert!(fs::symlink_metadata(inside.path().join("link")).unwrap().is_file());
        assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 3, "nothing unfinished is left");
    }

    #[test]
    fn what_changed_since_it_was_looked_at_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let beneath = Beneath::open(dir.path()).unwrap();
        put(&beneath, "a/b", Found::Nothing, b"one").unwrap();
        let seen = beneath.look(Path::new("a/b")).unwrap();
        super::super::write_atomic(&dir.path().join("a/b"), b"the user's").unwrap();

        for expected in [seen, Found::Nothing] {
            let refused = put(&beneath, "a/b", expected, b"two");
            assert!(matches!(refused, Err(DiskError::Changed(_))), "{refused:?}");
            let refused = beneath.remove(Path::new("a/b"), expected);
            assert!(matches!(refused, Err(DiskError::Changed(_))), "{refused:?}");
        }
        assert_eq!(fs::read(dir.path().join("a/b")).unwrap(), b"the user's");
        assert!(!beneath.remove_empty_dir(Path::new("a")).unwrap());
    }

    #[test]
    fn permissions_stay_and_only_the_right_to_execute_changes() {
        let dir = tempfile::tempdir().unwrap();
        let beneath = Beneath::open(dir.path()).unwrap();
        let mode =
            |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        for (name, executable, permissions, expected) in [
            ("a", false, Some(0o600), 0o600),
            ("b", true, Some(0o640), 0o750),
            ("c", false, Some(0o755), 0o644),
        ] {
            let access = Access { executable, permissions };
            beneath.write(Path::new(name), access, Found::Nothing, &mut |_| Ok(())).unwrap();
            assert_eq!(mode(name), expected, "{name}");
        }
    }
}
