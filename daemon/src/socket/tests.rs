//! A socket that is ours alone, and how it comes and goes.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};

use super::*;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc};

struct Served {
    dir: tempfile::TempDir,
    leave: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    fn path(&self) -> PathBuf {
        self.dir.path().join("run/s.sock")
    }
}

fn serve_in(dir: tempfile::TempDir) -> Served {
    let instance = Instance::claim(&dir.path().join("state")).unwrap();
    let listener = Listener::bind(&dir.path().join("run/s.sock"), &instance).unwrap();
    let (asked, _) = mpsc::channel(1);
    let (events, _) = broadcast::channel(1);
    let leave = CancellationToken::new();
    let server = tokio::spawn(serve(listener, Link { asked, events }, leave.clone()));
    Served { dir, leave, server }
}

#[tokio::test]
async fn the_socket_and_its_directory_are_closed_to_others_and_gone_afterwards() {
    let served = serve_in(tempfile::tempdir().unwrap());
    let found = std::fs::metadata(served.path()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & 0o777, 0o600);
    let directory = std::fs::metadata(served.path().parent().unwrap()).unwrap();
    assert_eq!(directory.mode() & 0o777, 0o700);
    served.leave.cancel();
    served.server.await.unwrap();
    assert!(!served.dir.path().join("run/s.sock").exists());
}

#[tokio::test]
async fn what_a_killed_daemon_left_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let instance = Instance::claim(&dir.path().join("state")).unwrap();
    let path = dir.path().join("run/s.sock");
    disk::private_dir(path.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&path, &instance).unwrap();
    UnixStream::connect(&path).await.unwrap();
    drop(listener);
}

#[tokio::test]
async fn a_directory_that_others_made_or_can_enter_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let instance = Instance::claim(&dir.path().join("state")).unwrap();
    let open = dir.path().join("open");
    disk::private_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Listener::bind(&open.join("s.sock"), &instance).unwrap_err();
    assert!(error.hint().unwrap().starts_with("run `chmod 700"));
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("state"), &link).unwrap();
    let refused = Listener::bind(&link.join("s.sock"), &instance);
    assert!(matches!(refused, Err(SocketError::Directory(DiskError::SymbolicLink(_)))));
}

#[tokio::test]
async fn a_client_too_many_is_told_so_and_the_others_are_served() {
    let served = serve_in(tempfile::tempdir().unwrap());
    let mut clients = Vec::new();
    for _ in 0..CLIENTS_MAX {
        clients.push(UnixStream::connect(served.path()).await.unwrap());
    }
    let mut one_more = UnixStream::connect(served.path()).await.unwrap();
    let mut told = String::new();
    one_more.read_to_string(&mut told).await.unwrap();
    assert!(told.contains("64 clients are connected"), "{told}");
    clients[0].write_all(b"nonsense\n").await.unwrap();
    let mut told = String::new();
    clients[0].read_to_string(&mut told).await.unwrap();
    assert!(told.contains("this is not JSON"), "{told}");
    clients.clear();
    served.leave.cancel();
    served.server.await.unwrap();
}
