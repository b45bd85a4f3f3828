//! Destinations, and backends that behave as a test wants.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use config::model::{BackendAddress, BackendUrl, ProxyVersion, Scheme};
use connect::{ConnectError, Connected, Connector, Destination, LookUp, Offer, Origin, Stream};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// For what is bound to take too long.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

pub(crate) fn destination(url: BackendUrl) -> Destination {
    Destination { url, tls: None, proxy_protocol: None, names: connect::KnownNames::default() }
}

pub(crate) fn at(address: SocketAddr) -> Destination {
    destination(BackendUrl::tcp(Scheme::Http, &address.ip().to_string(), address.port()))
}

pub(crate) fn at_path(path: &Path) -> Destination {
    let address = BackendAddress::Unix(path.into());
    destination(BackendUrl { scheme: Scheme::Http, address })
}

/// A backend called `web.example`, which has these addresses.
pub(crate) fn named(addresses: &[SocketAddr]) -> Connector {
    let addresses = addresses.to_vec();
    let url = BackendUrl::tcp(Scheme::Http, "web.example", 80);
    Connector::with_look_up(destination(url), LookUp::by(move |_, _| Ok(addresses.clone())))
}

pub(crate) fn saying(mut destination: Destination, version: ProxyVersion) -> Connector {
    destination.proxy_protocol = Some(version);
    Connector::new(destination)
}

pub(crate) async fn open(connector: &Connector) -> Result<Connected, ConnectError> {
    connector.connect(Offer::Http1, Origin::Local, DEADLINE).await
}

/// Writes and reads one byte each way over both ends of a connection.
pub(crate) async fn talk(
    ours: &mut Stream,
    theirs: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
) {
    ours.write_all(b"?").await.unwrap();
    ours.flush().await.unwrap();
    assert_eq!(theirs.read_u8().await.unwrap(), b'?');
    theirs.write_all(b"!").await.unwrap();
    theirs.flush().await.unwrap();
    assert_eq!(ours.read_u8().await.unwrap(), b'!');
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses for as long as the socket lives: bound, so that nobody else gets it, and
/// not listening.
pub(crate) fn closed() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// An address that stays silent while this lives: a listener whose queue is full drops whoever
/// knocks.
pub(crate) struct Silent {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _queue: Vec<Socket>,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        loop {
            let guest = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let taken = guest.connect_timeout(&address.into(), Duration::from_millis(150));
            queue.push(guest);
            if taken.is_err() {
                return Self { address, _listener: listener, _queue: queue };
            }
            assert!(queue.len() < 100, "the queue of a listener does not fill up");
        }
    }
}
