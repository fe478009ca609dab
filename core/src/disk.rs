//! Writes files: whole or not at all, for our eyes only, and durable before anyone is told.
//!
//! The only room that writes, apart from git's children and the store's objects. It also opens files
//! for reading where a link or a pipe in the wrong place must not be followed. It does not know what
//! the bytes mean.

mod append;
mod beneath;
mod moving;
mod names;
mod reading;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

pub use append::{append_from, append_verified};
pub use beneath::{Access, Beneath, Found, Stamp};
pub use moving::move_dir;
pub use names::is_taken_for_git;
pub use reading::{read_at_most, read_end};

/// What our unfinished files are called: whoever lists a directory passes over them.
pub const TEMP_PREFIX: &str = ".convosync-";

/// Mode of every file we make: conversations and keys are nobody else's business.
const FILE_MODE: u32 = 0o600;
/// Mode of every directory we make.
const DIR_MODE: u32 = 0o700;
/// What the system counts the room in that a file takes.
const BLOCK_SIZE: u64 = 512;
/// The bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// What went wrong with a file or a directory.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system refused.
    #[error("{deed} `{}`", path.display())]
    Io {
        /// What was being done.
        deed: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something else lies where a directory must be.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A directory, a pipe or a socket lies where a file must be.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A link lies where it could lead elsewhere.
    #[error("`{}` is a symbolic link", .0.display())]
    SymbolicLink(PathBuf),
    /// The directory is another user's.
    #[error("`{}` belongs to user {owner}", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may read or write the directory.
    #[error("`{}` is open to other users (mode {mode:o})", path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that must be new is there already.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// Something else lies there than a moment ago; it was left as it is.
    #[error("`{}` changed in the meantime", .0.display())]
    Changed(PathBuf),
    /// The file is not as long as it was: somebody else wrote to it.
    #[error("`{}` has {found} bytes, not {expected}", path.display())]
    OtherLength {
        /// The file.
        path: PathBuf,
        /// Its length when it was looked at.
        expected: u64,
        /// Its length now.
        found: u64,
    },
    /// Somebody else appended at the same moment; their bytes stand before ours.
    #[error("bytes meant for offset {expected} of `{}` landed at {landed}", path.display())]
    Landed {
        /// The file.
        path: PathBuf,
        /// Where the bytes should have gone.
        expected: u64,
        /// Where they went.
        landed: u64,
    },
    /// The disk took only a part of an append, which was taken back if nobody had written after it.
    #[error("only {written} of {wanted} bytes fitted into `{}`", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// How many bytes went in.
        written: usize,
        /// How many there were.
        wanted: usize,
    },
}

impl DiskError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OpenToOthers { path, .. } => {
                Some(format!("run `chmod 700 '{}'`", path.display()))
            }
            Self::Short { .. } => Some("free some disk space and try again".to_owned()),
            _ => None,
        }
    }

    /// Whether the file, or its directory, is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Makes a function that turns an I/O error into ours.
fn failed<'a>(deed: &'static str, path: &'a Path) -> impl Fn(io::Error) -> DiskError + 'a {
    move |source| DiskError::Io { deed, path: path.to_owned(), source }
}

/// Makes sure that `path` is a directory of ours that nobody else can enter, creating it and its
/// parents where they are missing.
///
/// # Errors
/// When it is a link, a file, another user's or open to others, or cannot be made.
pub fn private_dir(path: &Path) -> Result<(), DiskError> {
    make_dirs(path)?;
    let found = real_dir(path)?;
    let mode = found.mode() & 0o777;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(DiskError::Foreign { path: path.to_owned(), owner: found.uid() });
    }
    if mode & OTHERS != 0 {
        return Err(DiskError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Makes the directory `path` and its parents where they are missing, durably, and leaves what is
/// there as it is.
///
/// # Errors
/// What the operating system says; that something else than a directory is there already is none.
pub fn make_dirs(path: &Path) -> Result<(), DiskError> {
    let is_there = |dir: &&Path| dir.as_os_str().is_empty() || fs::symlink_metadata(dir).is_ok();
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !is_there(dir)).collect();
    for dir in missing.iter().rev() {
        make_dir(dir)?;
    }
    Ok(())
}

/// Makes the directory `path` if it is missing; its parent must be there. Unlike [`private_dir`] it
/// leaves an existing directory as it is: for directories that are Claude Code's.
///
/// # Errors
/// When it is a link or a file, or cannot be made.
pub fn make_dir(path: &Path) -> Result<(), DiskError> {
    match DirBuilder::new().mode(DIR_MODE).create(path) {
        Ok(()) => parent_of(path).map_or(Ok(()), fsync_dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => real_dir(path).map(drop),
        Err(error) => Err(failed("make directory", path)(error)),
    }
}

fn real_dir(path: &Path) -> Result<fs::Metadata, DiskError> {
    let found = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    if found.is_symlink() {
        return Err(DiskError::SymbolicLink(path.to_owned()));
    }
    if !found.is_dir() {
        return Err(DiskError::NotADirectory(path.to_owned()));
    }
    Ok(found)
}

/// Opens a regular file for reading; never follows a link, never waits for a pipe.
///
/// # Errors
/// [`DiskError::SymbolicLink`] and [`DiskError::NotAFile`], or what the operating system says.
pub fn open_regular(path: &Path) -> Result<File, DiskError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    open_checked(path, OpenOptions::new().read(true), flags)
}

/// Opens a file of ours for a child that writes its answer into it.
///
/// # Errors
/// [`DiskError::SymbolicLink`] and [`DiskError::NotAFile`], or what the operating system says.
pub fn open_to_fill(path: &Path) -> Result<File, DiskError> {
    open_checked(path, OpenOptions::new().write(true), OFlags::NOFOLLOW | OFlags::NONBLOCK)
}

/// Opens the regular file `path`, which is relative, below `root` for reading; follows no link on the way
/// there either, and never waits for a pipe.
///
/// # Errors
/// As [`open_regular`].
pub fn open_beneath(root: &Path, path: &Path) -> Result<File, DiskError> {
    use rustix::fs::{Mode, openat};
    let whole = root.join(path);
    let refused = |error: rustix::io::Errno| match error {
        rustix::io::Errno::LOOP => DiskError::SymbolicLink(whole.clone()),
        error => failed("open", &whole)(error.into()),
    };
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut place = File::open(root).map_err(failed("open", root))?;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { folder } else { file };
        place = openat(&place, name, flags, Mode::empty()).map_err(refused)?.into();
    }
    if place.metadata().map_err(failed("look at", &whole))?.is_file() {
        Ok(place)
    } else {
        Err(DiskError::NotAFile(whole))
    }
}

fn open_checked(path: &Path, options: &mut OpenOptions, flags: OFlags) -> Result<File, DiskError> {
    let flags = i32::try_from(flags.bits()).expect("open flags are small positive numbers");
    let file = options.custom_flags(flags).open(path).map_err(|error| {
        if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            DiskError::SymbolicLink(path.to_owned())
        } else {
            failed("open", path)(error)
        }
    })?;
    if file.metadata().map_err(failed("look at", path))?.is_file() {
        Ok(file)
    } else {
        Err(DiskError::NotAFile(path.to_owned()))
    }
}

/// A file that is being written beside its final place and is not there before it is whole.
///
/// Dropped unfinished, it disappears; after a crash it stays as a file named after [`TEMP_PREFIX`],
/// which [`remove_leftovers`] takes away.
#[derive(Debug)]
pub struct NewFile {
    temp: tempfile::NamedTempFile,
    target: PathBuf,
}

impl NewFile {
    /// Starts a file that will become `target`; the directory must exist.
    ///
    /// # Errors
    /// When no file can be made in that directory.
    pub fn create(target: &Path) -> Result<Self, DiskError> {
        let dir = parent_of(target).unwrap_or(Path::new("."));
        let temp = tempfile::Builder::new()
            .prefix(TEMP_PREFIX)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE))
            .tempfile_in(dir)
            .map_err(failed("make a file beside", target))?;
        Ok(Self { temp, target: target.to_owned() })
    }

    /// The file as it is so far, to read from and to write to.
    pub fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// Puts the file in its place, where nothing may be yet; returns when that is durable.
    ///
    /// # Errors
    /// [`DiskError::Exists`] when something is there; it is left untouched.
    pub fn finish(self) -> Result<(), DiskError> {
        let target = self.target;
        self.temp.as_file().sync_all().map_err(failed("write", &target))?;
        let taken = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => DiskError::Exists(target.clone()),
            _ => failed("create", &target)(error),
        };
        match self.temp.persist_noclobber(&target) {
            Ok(_) => {}
            Err(refused) if knows_no_links(&refused.error) => {
                OpenOptions::new().write(true).create_new(true).open(&target).map_err(taken)?;
                refused.file.persist(&target).map_err(|refused| {
                    // The name is ours, and nothing is in it.
                    fs::remove_file(&target).ok();
                    failed("create", &target)(refused.error)
                })?;
            }
            Err(refused) => return Err(taken(refused.error)),
        }
        parent_of(&target).map_or(Ok(()), fsync_dir)
    }

    /// Puts the file in its place, instead of what may be there; returns when that is durable.
    ///
    /// # Errors
    /// What the operating system says; the old file then still stands.
    pub fn finish_replacing(self) -> Result<(), DiskError> {
        let target = self.target;
        self.temp.as_file().sync_all().map_err(failed("write", &target))?;
        self.temp.persist(&target).map_err(|refused| failed("replace", &target)(refused.error))?;
        parent_of(&target).map_or(Ok(()), fsync_dir)
    }
}

/// Whether a file system has neither links nor a rename that replaces nothing: exFAT behind FUSE.
fn knows_no_links(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

/// Writes `bytes` as the whole content of `path`, replacing what is there in one step.
///
/// # Errors
/// What the operating system says; the old file then still stands.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.finish_replacing()
}

/// Writes a new file with `bytes` as its content: it appears whole or not at all.
///
/// # Errors
/// [`DiskError::Exists`] when something is there already, which is left untouched.
pub fn create_new(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.finish()
}

/// Gives the file the present time as its time of change: Claude Code deletes by age.
///
/// # Errors
/// When it is not a regular file of ours.
pub fn touch(path: &Path) -> Result<(), DiskError> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let file = open_regular(path)?;
    rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now })
        .map_err(|error| failed("touch", path)(error.into()))
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the operating system says, unless the file system cannot do it for directories at all.
pub fn fsync_dir(path: &Path) -> Result<(), DiskError> {
    let dir = File::open(path).map_err(failed("open", path))?;
    match dir.sync_all() {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        done => done.map_err(failed("make durable", path)),
    }
}

/// Removes a file; that it is not there is no error.
///
/// # Errors
/// What the operating system says.
pub fn remove_file(path: &Path) -> Result<(), DiskError> {
    unless_missing(fs::remove_file(path)).map_err(failed("remove", path))
}

/// Removes a directory with all it holds, following no link; that it is not there is no error.
///
/// # Errors
/// What the operating system says.
#[expect(clippy::disallowed_methods, reason = "this is the room that removes files")]
pub fn remove_tree(path: &Path) -> Result<(), DiskError> {
    unless_missing(fs::remove_dir_all(path)).map_err(failed("remove", path))
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// How many bytes the files below a directory take on the disk, following no link.
///
/// # Errors
/// When a directory cannot be read.
pub fn size_below(dir: &Path) -> Result<u64, DiskError> {
    let (mut folders, mut size) = (vec![dir.to_owned()], 0_u64);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let entry = entry.map_err(failed("list", &folder))?;
            // One that is gone by now takes nothing.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            }
            size = size.saturating_add(found.blocks().saturating_mul(BLOCK_SIZE));
        }
    }
    Ok(size)
}

/// Removes what a crash left of a [`NewFile`] in `dir`: files of that name last written before
/// `before_ms`. Returns how many went.
///
/// # Errors
/// When the directory cannot be read or a file not be removed.
pub fn remove_leftovers(dir: &Path, before_ms: i64) -> Result<usize, DiskError> {
    let mut removed = 0;
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let entry = entry.map_err(failed("list", dir))?;
        let ours = entry.file_name().as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes());
        let Some(found) = ours.then(|| fs::symlink_metadata(entry.path()).ok()).flatten() else {
            continue;
        };
        if found.is_file() && modified_ms(&found) < before_ms {
            remove_file(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// How many bytes the file system of `path` has left for us.
///
/// # Errors
/// What the operating system says.
pub fn free(path: &Path) -> Result<u64, DiskError> {
    let found = rustix::fs::statvfs(path);
    let found = found.map_err(|error| failed("ask for the room at", path)(error.into()))?;
    Ok(available(&found))
}

/// How many bytes may still be written by an ordinary user.
fn available(found: &rustix::fs::StatVfs) -> u64 {
    found.f_bavail.saturating_mul(found.f_frsize)
}

/// Returns when a file was last changed, in Unix milliseconds.
pub fn modified_ms(found: &fs::Metadata) -> i64 {
    found.mtime().saturating_mul(1000).saturating_add(found.mtime_nsec() / 1_000_000)
}

fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
}

/// A lock on a file, held until this value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Takes the lock at `path`, making the file when it is missing; `None` means somebody holds it.
///
/// # Errors
/// When the file cannot be made or opened, or the file system has no locks.
pub fn lock(path: &Path) -> Result<Option<FileLock>, DiskError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let file = open_checked(path, &mut options, OFlags::NOFOLLOW)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(FileLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed("lock", path)(error)),
    }
}

#[cfg(test)]
mod tests;
