//! One daemon per user: an exclusive lock on a file, which the kernel drops with the process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use convosync_core::disk::{self, DiskError, FileLock};

/// The lock's name in the state directory.
const LOCK_NAME: &str = "daemon.lock";

/// A daemon that was killed may leave a child that has not become git yet and still holds the lock: it
/// lets go within milliseconds, on a busy machine within this.
const FREED_WITHIN: Duration = Duration::from_millis(500);

/// The lock is tried again so often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Proof that no other daemon of this user runs; keep it for as long as that has to be true.
#[derive(Debug)]
pub struct Instance {
    _lock: FileLock,
}

/// Why this process may not be the daemon.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another daemon runs.
    #[error("another convosyncd is running: it holds `{}`", lock.display())]
    AlreadyRunning {
        /// The lock it holds.
        lock: PathBuf,
    },
    /// The state directory cannot be used.
    #[error("use the state directory")]
    State(#[from] DiskError),
}

impl InstanceError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::AlreadyRunning { .. } => Some(
                "`convosyncctl status` asks the running one, `convosyncctl service stop` ends it"
                    .to_owned(),
            ),
            Self::State(error) => error.hint(),
        }
    }
}

impl Instance {
    /// Takes the place of this user's daemon; makes the state directory when it is missing.
    ///
    /// # Errors
    /// [`InstanceError::AlreadyRunning`] while another process has it.
    pub fn claim(state_dir: &Path) -> Result<Self, InstanceError> {
        disk::private_dir(state_dir)?;
        let path = state_dir.join(LOCK_NAME);
        let deadline = Instant::now() + FREED_WITHIN;
        loop {
            match disk::lock(&path)? {
                Some(lock) => return Ok(Self { _lock: lock }),
                None if Instant::now() >= deadline => {
                    return Err(InstanceError::AlreadyRunning { lock: path });
                }
                None => std::thread::sleep(LOOK_EVERY),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_instance_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = Instance::claim(&state).unwrap();
        assert!(matches!(Instance::claim(&state), Err(InstanceError::AlreadyRunning { .. })));
        drop(first);
        Instance::claim(&state).unwrap();
    }

    #[test]
    fn a_state_directory_that_is_open_to_others_is_refused_with_the_way_out() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = Instance::claim(dir.path()).unwrap_err();
        assert!(error.hint().unwrap().starts_with("run `chmod 700"), "{error:?}");
    }
}
