//! The validated configuration: what the rest of the program may rely on.
//!
//! Nothing here can be invalid, so nothing here has a `validate()`. Values are made by
//! [`crate::load`] only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use routing::failover::Policy;
use routing::table::HostPattern;

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How many worker threads forward requests.
    pub workers: Workers,
    /// Sockets that accept clients; at least one, no address twice.
    pub listeners: Vec<Listener>,
    /// Host and path to service, in the order of the file. Empty only when `default_service` is set.
    pub routes: Vec<Route>,
    /// Where a request goes that no route matches: the only service of a config without routes.
    /// An index into `services`.
    pub default_service: Option<usize>,
    /// At least one, names unique.
    pub services: Vec<Service>,
    /// The admin listener; `None` when switched off.
    pub admin: Option<Admin>,
    /// How long running requests may take to finish after a termination signal.
    pub shutdown_timeout: Duration,
}

/// How many workers to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One per core this process may use.
    Auto,
    /// Exactly this many (1 to 1024).
    Count(usize),
}

/// A bound socket accepting clients, and what a client may do on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where to listen. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Bounds on clients of this listener.
    pub limits: DownstreamLimits,
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
    /// Whether a client that has closed its sending side still gets its answer. When false
    /// (as nginx), a client that closes cancels its request.
    pub half_close: bool,
}

/// Host and path that lead to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which hosts.
    pub host: HostPattern,
    /// A path prefix that matches on segment borders; starts with `/`.
    pub path: String,
    /// An index into [`Config::services`].
    pub service: usize,
}

/// An ordered list of backends with one policy; order is priority.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Unique among services.
    pub name: Arc<str>,
    /// Priority order: the first is the primary. At least one; names and URLs unique.
    pub backends: Vec<Backend>,
    /// How `https` backends are verified; used by traffic and by probes.
    pub tls: UpstreamTls,
    /// How every backend of the service is probed.
    pub health: Health,
    /// When the active changes.
    pub policy: Policy,
    /// Bounds on requests that wait for an active.
    pub hold: Hold,
    /// Bounds on sending a request again.
    pub replay: Replay,
    /// Bounds on what a backend may take.
    pub timeouts: UpstreamTimeouts,
    /// Bounds on idle connections kept for reuse.
    pub connections: UpstreamConnections,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Unique in its service.
    pub name: Arc<str>,
    /// Where it is.
    pub url: BackendUrl,
}

/// Where a backend is: `http://host[:port]` or `https://host[:port]`, with no path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendUrl {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: Arc<str>,
    /// Given, or the scheme's own.
    pub port: u16,
}

/// What is spoken to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

/// How `https` backends are verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Whom to trust.
    pub trust: Trust,
    /// The name to ask for and to verify, when it is not the URL's host.
    pub server_name: Option<Arc<str>>,
}

/// Whom to trust when a backend shows its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The system's certificate authorities.
    System,
    /// The certificates in this PEM file, relative paths resolved against the config's folder.
    Ca(PathBuf),
    /// Anybody. Only when the operator says `insecure: true`.
    Insecure,
}

/// How a backend is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What to send and what to expect.
    pub probe: Probe,
    /// From one probe to the next when nothing is in doubt.
    pub interval: Duration,
    /// The total deadline of one probe: resolve, connect, TLS, send, receive.
    pub timeout: Duration,
    /// From one probe to the next while a change is being confirmed; such probes may overlap.
    pub confirm_interval: Duration,
    /// A request waiting longer than this for its response head asks for confirming probes.
    pub stall_after: Duration,
}

/// What to send and what to expect.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one per service, read in place and never moved about"
)]
pub enum Probe {
    /// An HTTP request over the scheme of the backend's URL.
    Http(HttpProbe),
    /// A TCP connection that is accepted.
    Tcp,
}

/// An HTTP probe.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// `GET` unless said otherwise.
    pub method: Method,
    /// Path and query.
    pub path: PathAndQuery,
    /// The `Host` field, when it is not the URL's authority.
    pub host: Option<http::HeaderValue>,
    /// Further fields.
    pub headers: HeaderMap,
    /// Which answers pass.
    pub status: StatusSet,
}

/// A set of status codes as inclusive ranges, for example 200-299 and 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(pub Vec<std::ops::RangeInclusive<u16>>);

impl StatusSet {
    /// Whether `status` is in the set.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

/// Bounds on requests that wait for an active, over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long one request may wait; then 503.
    pub timeout: Duration,
    /// How many may wait; one more is answered 503 at once.
    pub requests: usize,
    /// How many bytes of bodies they may keep.
    pub bytes: usize,
}

/// Bounds on sending a request again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// A body up to this size is kept until its response begins; a larger one passes through and
    /// cannot be sent again.
    pub buffer: usize,
    /// How often one request that may have reached a backend is sent again.
    pub attempts: u32,
    /// At a failover away from a hung backend, how long a request that is not safe to repeat may
    /// still wait for it; then 504.
    pub settle: Duration,
}

/// Bounds on what a backend may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// TCP and TLS handshakes together.
    pub connect: Duration,
    /// From the request sent to the response head; then 504.
    pub response: Duration,
    /// How long a response body may make no progress.
    pub idle: Duration,
}

/// Bounds on idle connections kept for reuse, per backend and worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConnections {
    /// How many idle connections are kept.
    pub idle: usize,
    /// How long one is kept idle; below the backend's own keep-alive.
    pub idle_timeout: Duration,
}

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// A loopback address unless the operator says `allow_remote: true`.
    pub address: SocketAddr,
}
