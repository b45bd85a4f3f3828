//! The client side of a config: listeners, TLS towards clients, and bounds on clients.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

/// A bound socket accepting clients, and what a client may do on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where to listen.
    pub address: ListenAddress,
    /// TLS; `None` in the clear.
    pub tls: Option<DownstreamTls>,
    /// Whether HTTP/2 is offered over TLS (ALPN, RFC 7301).
    pub http2: bool,
    /// Whether HTTP/2 with prior knowledge (RFC 9113 3.3) is understood in the clear.
    pub h2c: bool,
    /// Answers every request with a redirect to `https`.
    pub redirect_https: Option<RedirectHttps>,
    /// What browsers are told about coming back over TLS only (RFC 6797); `None`: nothing.
    pub hsts: Option<Hsts>,
    /// Whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Who must begin a connection with a PROXY header; nobody else may.
    pub proxy_protocol: Vec<IpNet>,
    /// Bounds on clients of this listener.
    pub limits: DownstreamLimits,
}

/// Where a listener is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// IP address and port. Port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a Unix socket, absolute.
    Unix(Arc<Path>),
}

impl ListenAddress {
    /// IP address and port, if it has them.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DownstreamTls {
    /// Chosen by the name the client asks for (SNI); the first is the default. At least one.
    pub certificates: Vec<CertificateFiles>,
    /// Versions and ciphers.
    pub policy: TlsPolicy,
    /// Whether clients show a certificate.
    pub client_auth: Option<ClientAuth>,
}

/// A certificate with its chain, and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, then its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Which versions of TLS and which ciphers are spoken with clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsPolicy {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 with forward secrecy and authenticated ciphers, and TLS 1.3.
    Intermediate,
}

/// How clients are authenticated by certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientAuth {
    /// The authorities that issue them, a PEM file.
    pub ca: PathBuf,
    /// Whether a client without one is refused.
    pub mode: ClientAuthMode,
    /// Revocation lists, PEM files. With any, a certificate of an authority without a list is refused.
    pub crl: Vec<PathBuf>,
}

/// Whether a client must show a certificate. One that is shown must always be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuthMode {
    /// No handshake without one.
    Required,
    /// A client may do without.
    Optional,
}

/// How a request in the clear is sent to `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectHttps {
    /// The port of the new URL; 443 is left out of it.
    pub port: u16,
    /// 301, 302, 307 or 308.
    pub status: u16,
}

/// `Strict-Transport-Security` (RFC 6797 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// For how long a browser remembers.
    pub max_age: Duration,
    /// Whether it holds for names below, too.
    pub subdomains: bool,
    /// Whether the site asks to be in the lists that browsers come with.
    pub preload: bool,
}

/// Bounds on clients of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownstreamLimits {
    /// Open client connections, over all workers.
    pub connections: usize,
    /// From the first byte of a request to the end of its head; then 408.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a body may make no progress, in either direction.
    pub body_timeout: Duration,
    /// Most bytes of a request head; then 431.
    pub header_bytes: usize,
    /// Most header fields of a request; then 431.
    pub headers: usize,
    /// Open connections of one client address, over all workers. Trusted proxies are exempt.
    pub connections_per_client: usize,
    /// How long the PROXY header and the TLS handshake may take, together.
    pub handshake_timeout: Duration,
    /// What a request body must at least move within `body_timeout`; less is no progress.
    pub body_progress: usize,
    /// Most bytes of a request's target; then 414.
    pub uri_bytes: usize,
    /// Most bytes of a request body; then 413. `None`: any.
    pub body_bytes: Option<u64>,
    /// Most concurrent streams of one HTTP/2 connection (RFC 9113 5.1.2).
    pub streams: u32,
    /// After this many requests a connection is closed gracefully. `None`: never for that.
    pub requests: Option<u64>,
    /// At this age a connection is closed gracefully. `None`: never for that.
    pub connection_age: Option<Duration>,
    /// Whether a client that has closed its sending side still gets its answer. When false
    /// (as nginx), a client that closes cancels its request.
    pub half_close: bool,
}
