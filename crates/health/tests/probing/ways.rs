//! Probes go the way that the traffic goes: Unix sockets and PROXY headers.

use config::model::{BackendAddress, ProbeKind, ProxyVersion};
use health::{Cause, Outcome, Subject};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UnixListener};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{
    DEADLINE, OK, backend, of_kind, outcome, read_request, start, subject, tcp, until_closed,
};

/// Whose backend listens at no address.
fn at_path(path: &std::path::Path) -> Subject {
    let mut subject = subject(([127, 0, 0, 1], 1).into());
    subject.destination.url.address = BackendAddress::Unix(path.into());
    subject
}

#[tokio::test]
async fn a_unix_socket_is_probed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, mut requests) = mpsc::channel(8);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = sender.try_send(request);
        }
    });
    let subject = at_path(&path);
    assert_eq!(outcome(subject.clone()).await, Outcome::Pass);
    let request = requests.recv().await.unwrap().to_ascii_lowercase();
    assert!(request.contains("\r\nhost: localhost\r\n"), "{request}");
    let subject = of_kind(subject, tcp());
    assert_eq!(outcome(subject).await, Outcome::Pass, "a connection will do");
}

#[tokio::test]
async fn a_unix_socket_that_is_not_there_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    match outcome(at_path(&path)).await {
        Outcome::Fail(Cause::Refused(why)) => {
            assert!(why.starts_with(&format!("unix:{}: No such file", path.display())), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_refused_begins_with_the_address() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    match outcome(subject(address)).await {
        Outcome::Fail(Cause::Refused(why)) => {
            assert!(why.starts_with(&format!("{address}: Connection refused")), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

/// What a backend gets of a probe up to the end of its request, or of its connection.
async fn received(probe: Option<ProbeKind>, version: ProxyVersion) -> Vec<u8> {
    let (sender, mut receiver) = mpsc::channel(8);
    let is_tcp = probe.is_some();
    let address = backend(move |_, mut stream| {
        let sender = sender.clone();
        async move {
            let mut bytes = Vec::new();
            if is_tcp {
                stream.read_to_end(&mut bytes).await.unwrap();
            } else {
                while !bytes.ends_with(b"\r\n\r\n") || bytes.len() < 20 {
                    bytes.push(stream.read_u8().await.unwrap());
                }
                let _ = stream.write_all(OK.as_bytes()).await;
                until_closed(&mut stream).await;
            }
            let _ = sender.send(bytes).await;
        }
    })
    .await;
    let mut subject = subject(address);
    subject.destination.proxy_protocol = Some(version);
    if let Some(probe) = probe {
        subject.health.probes[0].kind = probe;
    }
    let (_prober, _reports) = start(subject);
    timeout(DEADLINE, receiver.recv()).await.expect("in time").unwrap()
}

#[tokio::test]
async fn a_probe_speaks_for_nobody() {
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let line = b"PROXY UNKNOWN\r\n";
    for (version, header) in [(ProxyVersion::V1, &line[..]), (ProxyVersion::V2, &local[..])] {
        let bytes = received(None, version).await;
        let (first, request) = bytes.split_at(header.len());
        assert_eq!(first, header);
        assert!(request.starts_with(b"GET / HTTP/1.1\r\n"), "{request:?}");
        assert_eq!(received(Some(tcp()), version).await, header);
    }
}
