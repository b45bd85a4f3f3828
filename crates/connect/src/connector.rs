//! The way to one backend, and walking it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::model::{BackendAddress, BackendUrl, ProxyVersion};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::error::ConnectError;
use crate::names::Names;
use crate::stream::{Socket, Stream};

/// Where a backend is and how to get there.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Where it is.
    pub url: BackendUrl,
    /// For `https`.
    pub tls: Option<Tls>,
    /// The PROXY header that a connection begins with.
    pub proxy_protocol: Option<ProxyVersion>,
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
    names: Names,
}

impl Connector {
    /// A connector that knows no address yet.
    #[must_use]
    pub fn new(destination: Destination) -> Self {
        Self { destination, names: Names::default() }
    }

    /// Where it leads.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Opens a connection within `limit`.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        &self,
        offer: Offer,
        origin: Origin,
        limit: Duration,
    ) -> Result<Connected, ConnectError> {
        let deadline = Instant::now() + limit;
        let opened = timeout_at(deadline, self.open(offer, origin, deadline)).await;
        opened.unwrap_or(Err(ConnectError::Timeout(limit)))
    }

    /// Opens a socket within `limit`, and says nothing on it.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn reach(&self, limit: Duration) -> Result<Socket, ConnectError> {
        let deadline = Instant::now() + limit;
        let opened = timeout_at(deadline, self.open_socket(deadline)).await;
        opened.unwrap_or(Err(ConnectError::Timeout(limit)))
    }

    async fn open(
        &self,
        offer: Offer,
        _origin: Origin,
        deadline: Instant,
    ) -> Result<Connected, ConnectError> {
        let socket = self.open_socket(deadline).await?;
        let Some(tls) = &self.destination.tls else {
            return Ok(Connected { stream: Stream::Plain(socket), is_http2: false });
        };
        let tls_connector = TlsConnector::from(Arc::clone(&tls.config));
        let connector = tls_connector.with_alpn(protocols(offer));
        let stream =
            connector.connect(tls.server_name.clone(), socket).await.map_err(ConnectError::Tls)?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connected { stream: Stream::Tls(Box::new(stream)), is_http2 })
    }

    async fn open_socket(&self, deadline: Instant) -> Result<Socket, ConnectError> {
        match &self.destination.url.address {
            BackendAddress::Unix(path) => UnixStream::connect(path)
                .await
                .map(Socket::Unix)
                .map_err(ConnectError::of_socket),
            BackendAddress::Tcp { host, port } => {
                let stream = self.open_tcp(host, *port, deadline).await?;
                // A request is written whole; waiting to fill a packet would only delay it.
                stream.set_nodelay(true).map_err(ConnectError::of_socket)?;
                keep_alive(&stream);
                Ok(Socket::Tcp(stream))
            }
        }
    }

    /// Tries the addresses in the resolver's order and gives each an equal share of the time, so that
    /// one that is silent does not hide the next.
    async fn open_tcp(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<TcpStream, ConnectError> {
        if let Ok(ip) = host.parse() {
            let connected = TcpStream::connect(SocketAddr::new(ip, port)).await;
            return connected.map_err(ConnectError::of_socket);
        }
        let addresses = self.names.look_up(host, port).await.map_err(ConnectError::Resolve)?;
        let none = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
        let mut failed = ConnectError::Resolve(none);
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = ConnectError::of_socket(error),
                Err(_) => failed = ConnectError::Timeout(share),
            }
        }
        self.names.forget().await;
        Err(failed)
    }
}

fn protocols(offer: Offer) -> Vec<Vec<u8>> {
    let (http1, http2) = (b"http/1.1".to_vec(), b"h2".to_vec());
    match offer {
        Offer::Both => vec![http2, http1],
        Offer::Http1 => vec![http1],
        Offer::Http2 => vec![http2],
    }
}

/// Has the kernel find out, in time, that the other side is gone without a word.
fn keep_alive(stream: &TcpStream) {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    // A connection without it still works.
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
}
