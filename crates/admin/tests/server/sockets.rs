//! The file of the Unix socket: whose it is, and when it goes.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};

use admin::{Socket, SocketError};
use tokio::time::timeout;

use crate::lab::{PATIENCE, open};

#[test]
fn only_its_owner_can_open_it_and_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run").join("admin.sock");
    let socket = Socket::bind(&path).expect("a socket");
    assert_eq!(socket.path(), path);
    let mode = |path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("run")), 0o700);
    UnixStream::connect(&path).expect("it listens");
    drop(socket);
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn what_a_dead_process_left_behind_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    // A listener that is dropped leaves its file behind.
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists());
    let _socket = Socket::bind(&path).expect("the place is free");
    UnixStream::connect(&path).expect("it listens");
}

#[test]
fn a_socket_on_which_somebody_answers_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    let other = UnixListener::bind(&path).expect("a socket");
    let error = Socket::bind(&path).expect_err("it is taken");
    assert!(matches!(error, SocketError::Taken { .. }), "{error}");
    assert!(error.to_string().contains("another process answers"), "{error}");
    other.accept().expect("the question whether it is there");
    UnixStream::connect(&path).expect("it still listens");

    // Also when its queue is full, so that nobody takes the question.
    other.set_nonblocking(true).expect("a setting");
    let mut waiting = Vec::new();
    let full = loop {
        let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let client = client.expect("a socket");
        client.set_nonblocking(true).expect("a setting");
        match client.connect(&socket2::SockAddr::unix(&path).expect("an address")) {
            Ok(()) => waiting.push(client),
            Err(error) => break error,
        }
        assert!(waiting.len() < 100_000, "the queue is bounded");
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert!(matches!(Socket::bind(&path), Err(SocketError::Taken { .. })));
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    fs::write(&path, "precious").expect("written");
    assert!(matches!(Socket::bind(&path), Err(SocketError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
    let link = folder.path().join("link.sock");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    assert!(matches!(Socket::bind(&link), Err(SocketError::NotASocket { .. })));
}

#[test]
fn a_folder_that_is_open_to_others_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("a mode");
        let error = Socket::bind(&path).expect_err("others could put theirs there");
        assert!(matches!(error, SocketError::OpenFolder { .. }), "{mode:o}: {error}");
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).expect("a mode");
    Socket::bind(&path).expect("like /tmp: others may add, and not exchange");
}

#[test]
fn a_successor_takes_its_place_and_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    let old = Socket::bind(&path).expect("a socket");
    // One that fails before it serves changes nothing.
    drop(Socket::beside(&path).expect("a socket"));
    UnixStream::connect(&path).expect("the old one answers");
    let mut new = Socket::beside(&path).expect("a socket");
    assert_eq!(new.path(), path);
    let before = fs::metadata(&path).expect("a file").ino();
    new.take_over().expect("it takes over");
    assert_ne!(fs::metadata(&path).expect("a file").ino(), before, "the new one has the place");
    drop(old);
    UnixStream::connect(&path).expect("the old one leaves the file of the new one alone");
    drop(new);
    assert!(!path.exists());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
    Socket::beside(&path).expect("a socket").take_over().expect("also where nobody was");
}

#[test]
fn a_path_that_cannot_be_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x".repeat(200));
    let error = Socket::bind(&path).expect_err("longer than an address may be");
    assert!(matches!(error, SocketError::Io { .. }), "{error}");
}

#[tokio::test]
async fn the_file_goes_with_the_server() {
    let mut lab = open().await;
    assert_eq!(lab.get("/livez").await.status, 200);
    lab.stop();
    timeout(PATIENCE, lab.stopped()).await.expect("in time").expect("without an error");
    assert!(!lab.socket.exists());
}
