//! What a connection begins with, byte by byte; under TLS see `tls.rs`.

use std::net::SocketAddr;

use config::model::ProxyVersion;
use connect::{Connector, Offer, Origin};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::support::{DEADLINE, at, listener, open, saying};

const LOCAL_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn client(source: &str) -> Origin {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Origin::Client { source: address(source), destination: address("198.51.100.7:443") }
}

/// All that a backend gets on a connection that is opened and closed again.
async fn received(version: Option<ProxyVersion>, origin: Origin) -> Vec<u8> {
    let (listener, address) = listener().await;
    let connector = match version {
        Some(version) => saying(at(address), version),
        None => Connector::new(at(address)),
    };
    drop(connector.connect(Offer::Http1, origin, DEADLINE).await.unwrap());
    let mut read = Vec::new();
    let (mut stream, _) = listener.accept().await.unwrap();
    timeout(DEADLINE, stream.read_to_end(&mut read)).await.unwrap().unwrap();
    read
}

#[tokio::test]
async fn a_client_is_told_of() {
    assert_eq!(
        received(Some(ProxyVersion::V1), client("192.0.2.1:56324")).await,
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
    );
    assert_eq!(
        received(Some(ProxyVersion::V2), client("192.0.2.1:56324")).await,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"
    );
}

#[tokio::test]
async fn nobody_is_told_of_in_our_own_name() {
    for origin in [Origin::Local, client("[2001:db8::1]:5")] {
        assert_eq!(received(Some(ProxyVersion::V1), origin).await, b"PROXY UNKNOWN\r\n");
        assert_eq!(received(Some(ProxyVersion::V2), origin).await, LOCAL_V2);
    }
}

#[tokio::test]
async fn there_is_none_unless_asked_for() {
    assert_eq!(received(None, client("192.0.2.1:5")).await, b"");
}

#[tokio::test]
async fn a_socket_that_is_only_reached_begins_with_it_too() {
    let (listener, address) = listener().await;
    drop(saying(at(address), ProxyVersion::V2).reach(DEADLINE).await.unwrap());
    let mut read = Vec::new();
    let (mut stream, _) = listener.accept().await.unwrap();
    timeout(DEADLINE, stream.read_to_end(&mut read)).await.unwrap().unwrap();
    assert_eq!(read, LOCAL_V2);
}

#[tokio::test]
async fn it_comes_first_on_every_connection() {
    let (listener, address) = listener().await;
    let connector = saying(at(address), ProxyVersion::V1);
    for _ in 0..2 {
        let mut ours = open(&connector).await.unwrap().stream;
        let (mut theirs, _) = listener.accept().await.unwrap();
        let mut header = [0; 15];
        timeout(DEADLINE, theirs.read_exact(&mut header)).await.unwrap().unwrap();
        assert_eq!(&header, b"PROXY UNKNOWN\r\n");
        crate::support::talk(&mut ours, &mut theirs).await;
    }
}
