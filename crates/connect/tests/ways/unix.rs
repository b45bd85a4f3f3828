//! Unix sockets.

use config::model::ProxyVersion;
use connect::{ConnectError, Connector, Offer, Origin};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;
use tokio::time::timeout;

use crate::support::{DEADLINE, SHORT, at_path, open, saying, talk};

#[tokio::test]
async fn a_path_is_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut connected = open(&Connector::new(at_path(&path))).await.unwrap();
    talk(&mut connected.stream, &mut listener.accept().await.unwrap().0).await;
}

#[tokio::test]
async fn a_path_without_a_listener_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let connector = Connector::new(at_path(&path));
    let expect = async |reason: &str| {
        let refused = open(&connector).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
        let words = refused.to_string();
        let start = format!("cannot connect: unix:{}: {reason}", path.display());
        assert!(words.starts_with(&start), "{words}");
    };
    expect("No such file").await;
    // What it leaves behind when nobody listens any more.
    drop(UnixListener::bind(&path).unwrap());
    expect("Connection refused").await;
}

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    listener.set_nonblocking(true).unwrap();
    let connector = Connector::new(at_path(&path));
    let mut queue = Vec::new();
    let late = loop {
        match connector.reach(SHORT).await {
            Ok(guest) => queue.push(guest),
            Err(late) => break late,
        }
        assert!(queue.len() < 100, "the queue of a listener does not fill up");
    };
    assert!(matches!(late, ConnectError::Timeout(SHORT)), "{late}");

    let listener = UnixListener::from_std(listener.into()).unwrap();
    let (opened, guest) = tokio::join!(open(&connector), async {
        // The other has had its turn, and found the queue full.
        tokio::task::yield_now().await;
        listener.accept().await
    });
    guest.unwrap();
    opened.unwrap();
}

#[tokio::test]
async fn the_proxy_header_goes_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let connector = saying(at_path(&path), ProxyVersion::V1);
    let origin = Origin::Client {
        source: "192.0.2.1:5".parse().unwrap(),
        destination: "198.51.100.7:6".parse().unwrap(),
    };
    let connected = connector.connect(Offer::Both, origin, DEADLINE).await.unwrap();
    let (mut theirs, _) = listener.accept().await.unwrap();
    drop(connected);
    let mut read = String::new();
    let reading = tokio::io::AsyncReadExt::read_to_string(&mut theirs, &mut read);
    timeout(DEADLINE, reading).await.unwrap().unwrap();
    assert_eq!(read, "PROXY TCP4 192.0.2.1 198.51.100.7 5 6\r\n");
}
