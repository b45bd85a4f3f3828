//! The way to one backend, and walking it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::model::{BackendAddress, BackendUrl, ProxyVersion, Scheme};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::error::ConnectError;
use crate::names::{KnownNames, LookUp, Names};
use crate::stream::{Socket, Stream};
use crate::{proxy_header, race, tls};

/// How soon a Unix socket whose queue is full is tried again: unlike TCP, it says so at once.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// Where a backend is and how to get there.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Where it is.
    pub url: BackendUrl,
    /// For `https`.
    pub tls: Option<Tls>,
    /// The PROXY header that a connection begins with.
    pub proxy_protocol: Option<ProxyVersion>,
    /// What is known of the addresses behind its name. Clones share it: what probes look up while
    /// they can is there for the traffic when the name servers are gone.
    pub names: KnownNames,
}

impl Destination {
    /// Whether `other` leads to the same backend in the same way, with the same TLS settings.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                Arc::ptr_eq(&a.config, &b.config) && a.server_name == b.server_name
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_tls && self.url == other.url && self.proxy_protocol == other.proxy_protocol
    }
}

/// How an `https` backend is verified.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The settings.
    pub config: Arc<rustls::ClientConfig>,
    /// The name to ask for (SNI) and to verify.
    pub server_name: ServerName<'static>,
}

/// What is offered to a backend over TLS (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/2 or HTTP/1.1, as the backend likes. One that does not choose gets HTTP/1.1.
    Both,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2. A backend that does not agree is a failed handshake.
    Http2,
    /// Nothing: what is spoken is not HTTP.
    Nothing,
}

/// On whose behalf a connection is made; told in a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our own: a probe, or a client without an address.
    Local,
    /// A client's.
    Client {
        /// The client's address.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
}

/// An open connection.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: Stream,
    /// Whether the backend chose HTTP/2 by ALPN.
    pub is_http2: bool,
}

/// Opens connections to one backend.
#[derive(Debug)]
pub struct Connector {
    destination: Destination,
    place: Place,
}

/// Where sockets lead.
#[derive(Debug)]
enum Place {
    Address(SocketAddr),
    Name(Names),
    Unix(Arc<Path>),
}

impl Connector {
    /// A connector that knows what its destination knows, and asks the system for the addresses of a
    /// name.
    #[must_use]
    pub fn new(destination: Destination) -> Self {
        Self::with_look_up(destination, LookUp::system())
    }

    /// The same, asking `look_up`, unless another connector of this destination came before.
    #[must_use]
    pub fn with_look_up(destination: Destination, look_up: LookUp) -> Self {
        let place = match &destination.url.address {
            BackendAddress::Unix(path) => Place::Unix(Arc::clone(path)),
            BackendAddress::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(ip) => Place::Address(SocketAddr::new(ip, *port)),
                Err(_) => Place::Name(destination.names.of(host, *port, look_up)),
            },
        };
        Self { destination, place }
    }

    /// Where it leads.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Opens a connection within `limit`: the name, TCP, the PROXY header and TLS together. In the
    /// clear nothing is offered, and `offer` does not matter.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        &self,
        offer: Offer,
        origin: Origin,
        limit: Duration,
    ) -> Result<Connected, ConnectError> {
        self.within(limit, self.open(offer, origin)).await
    }

    /// Opens a socket within `limit`, and says nothing on it but the PROXY header of a connection of
    /// our own.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn reach(&self, limit: Duration) -> Result<Socket, ConnectError> {
        self.within(limit, self.open_socket(Origin::Local)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        opening: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let opened = timeout(limit, opening).await.unwrap_or(Err(ConnectError::Timeout(limit)));
        match (&self.place, &opened) {
            (Place::Name(names), Err(ConnectError::Refused(_) | ConnectError::Timeout(_))) => {
                names.doubt();
            }
            (Place::Name(_) | Place::Address(_) | Place::Unix(_), _) => {}
        }
        opened
    }

    async fn open(&self, offer: Offer, origin: Origin) -> Result<Connected, ConnectError> {
        let settings = match self.destination.url.scheme {
            Scheme::Http => None,
            // Never in the clear for want of settings.
            Scheme::Https => Some(self.destination.tls.as_ref().ok_or_else(tls::without_settings)?),
        };
        let socket = self.open_socket(origin).await?;
        let Some(settings) = settings else {
            return Ok(Connected { stream: Stream::Plain(socket), is_http2: false });
        };
        let stream = tls::handshake(settings, offer, socket).await?;
        let is_http2 = tls::is_http2(&stream);
        Ok(Connected { stream: Stream::Tls(Box::new(stream)), is_http2 })
    }

    /// A socket on which the PROXY header has been sent, if there is one to send.
    async fn open_socket(&self, origin: Origin) -> Result<Socket, ConnectError> {
        let mut socket = match &self.place {
            Place::Address(address) => Socket::Tcp(open_tcp(&[*address]).await?.0),
            Place::Name(names) => Socket::Tcp(open_named(names).await?),
            Place::Unix(path) => Socket::Unix(open_unix(path).await?),
        };
        if let Some(version) = self.destination.proxy_protocol {
            let header = proxy_header::header(version, origin);
            let sent = socket.write_all(&header).await;
            let place = || self.destination.url.place();
            sent.map_err(|error| ConnectError::of_socket(place(), &error))?;
        }
        Ok(socket)
    }
}

async fn open_named(names: &Names) -> Result<TcpStream, ConnectError> {
    let (stream, address) = open_tcp(&names.addresses().await?).await?;
    names.worked(address);
    Ok(stream)
}

async fn open_tcp(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let (stream, address) = race::connect(addresses).await?;
    // A request is written whole; waiting to fill a packet would only delay it.
    stream.set_nodelay(true).map_err(|error| ConnectError::of_socket(address, &error))?;
    keep_alive(&stream);
    Ok((stream, address))
}

async fn open_unix(path: &Path) -> Result<UnixStream, ConnectError> {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
            Err(error) => {
                return Err(ConnectError::of_socket(
                    format_args!("unix:{}", path.display()),
                    &error,
                ));
            }
        }
    }
}

/// Has the kernel find out, in time, that the other side of `stream` is gone without a word: within
/// about 2.5 minutes on Linux.
pub fn keep_alive(stream: &TcpStream) {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    // A connection without it still works.
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
}
