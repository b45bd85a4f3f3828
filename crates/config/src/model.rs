//! The validated configuration: what the rest of the program may rely on.
//!
//! Nothing here can be invalid, so nothing here has a `validate()`. Values are made by
//! [`crate::load`] only.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use routing::failover::Policy;
use routing::table::HostPattern;

pub use crate::window::FailbackWindow;

mod admin;
mod health;
mod hooks;
mod listener;
mod logs;
mod traces;

pub use admin::{Access, Admin, AdminSocket, Token};
pub use health::{
    AgentProbe, DrainRule, ErrorRule, ExecProbe, ExitRule, Expect, GrpcProbe, Health, HttpProbe,
    JsonRule, JsonTest, Level, Pattern, Probe, ProbeKind, Readiness, Role, RoleRule, RoleSource,
    StatusSet, TcpProbe, Wish, Witness,
};
pub use hooks::{
    Action, At, Channel, CronTimes, ExecAction, Gate, GateAction, Gates, HttpAction, Job,
    JobTarget, Mail, MailTls, MaxAge, Notifier, Schedule, Secret, SecretUrl, Tries,
};
pub use listener::{
    CertificateFiles, ClientAuth, ClientAuthMode, DownstreamLimits, DownstreamTls, Hsts,
    ListenAddress, Listener, RedirectHttps, TlsPolicy,
};
pub use logs::{AccessLog, EventLog, LogFormat, LogTo, LogVariable, Rotate, TemplatePart};
pub use traces::{Otlp, OtlpProtocol, ParentTrust, Traces};

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
    /// The folder that decisions, events and incidents survive restarts in; `None`: they live in
    /// memory.
    pub state_dir: Option<PathBuf>,
    /// Addresses that should answer from here; none: nobody is asked.
    pub witnesses: Vec<Witness>,
    /// Who is told what happened; names unique.
    pub notify: Vec<Notifier>,
    /// What is written of requests; `None`: nothing.
    pub access_log: Option<AccessLog>,
    /// What is written of events; `None`: nothing.
    pub event_log: Option<EventLog>,
    /// How requests take part in distributed traces; `None`: what they carry passes on as it came.
    pub traces: Option<Traces>,
    /// Where operators and Prometheus ask.
    pub admin: Admin,
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
    /// Which HTTP is spoken with backends, by traffic and by probes.
    pub protocol: UpstreamProtocol,
    /// The PROXY header that connections to backends begin with; `None`: none.
    pub proxy_protocol: Option<ProxyVersion>,
    /// How `https` backends are verified; used by traffic, and by probes unless `health` has its own.
    pub tls: UpstreamTls,
    /// How every backend of the service is probed.
    pub health: Health,
    /// When a standby is ready for a failover.
    pub readiness: Readiness,
    /// When the active changes.
    pub policy: Policy,
    /// What happens in the applications before the traffic moves; their rules are also in `policy`.
    pub gates: Gates,
    /// What is done on a schedule; names unique.
    pub jobs: Vec<Job>,
    /// When the service may fail back by itself. Given exactly when the policy's conditions are
    /// `windowed`.
    pub failback_window: Option<FailbackWindow>,
    /// How long an ordered move is watched; zero: not at all.
    pub verify: Duration,
    /// The field that tells backends the epoch, on requests and probes; `None`: none.
    pub epoch_header: Option<HeaderName>,
    /// Whether its requests are in the access log.
    pub access_log: bool,
    /// Bounds on requests that wait for an active.
    pub hold: Hold,
    /// Bounds on sending a request again.
    pub replay: Replay,
    /// Bounds on what a backend may take.
    pub timeouts: UpstreamTimeouts,
    /// Bounds on connections kept for reuse.
    pub connections: UpstreamConnections,
    /// What becomes of streams at the old active when the traffic moves.
    pub streams: StreamPolicies,
}

/// Which HTTP is spoken with backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// What the backend chooses by ALPN over TLS, HTTP/1.1 in the clear.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: over TLS by ALPN and nothing else, in the clear with prior knowledge.
    Http2,
}

/// Which PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What becomes of streams: WebSockets, server-sent events, gRPC streams, long bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPolicies {
    /// When an active that is no longer eligible is left, unless it works and only is to be drained.
    pub failover: StreamPolicy,
    /// When the traffic moves for any other reason, or the old active works and is drained.
    pub failback: StreamPolicy,
}

/// What becomes of streams at the old active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPolicy {
    /// They stay there until they end.
    Keep,
    /// They may end by themselves until `deadline`; then they are closed, spread over `window`.
    Close {
        /// How long they may go on; zero: not at all.
        deadline: Duration,
        /// Over how long their ends are spread, so that not all clients come back at once.
        window: Duration,
    },
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Unique in its service.
    pub name: Arc<str>,
    /// Where it is.
    pub url: BackendUrl,
}

/// Where a backend is: `http://host[:port]`, `https://host[:port]` or `unix:/path`, with no path of
/// a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendUrl {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Where it listens.
    pub address: BackendAddress,
}

/// Where a backend listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    /// At a host and port.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: Arc<str>,
        /// Given, or the scheme's own.
        port: u16,
    },
    /// At a Unix socket of this absolute path.
    Unix(Arc<Path>),
}

impl BackendUrl {
    /// A backend at a host and port.
    #[must_use]
    pub fn tcp(scheme: Scheme, host: &str, port: u16) -> Self {
        Self { scheme, address: BackendAddress::Tcp { host: host.into(), port } }
    }

    /// The host; `localhost` for a Unix socket.
    #[must_use]
    pub fn host(&self) -> &str {
        match &self.address {
            BackendAddress::Tcp { host, .. } => host,
            BackendAddress::Unix(_) => "localhost",
        }
    }

    /// Host and port as the `Host` field has them: brackets around an IPv6 address, no port when it
    /// is the scheme's own (RFC 9110 4.2.3).
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.address {
            BackendAddress::Tcp { host, port } => match (self.scheme, port) {
                (Scheme::Http, 80) | (Scheme::Https, 443) => bracketed(host),
                (Scheme::Http | Scheme::Https, port) => format!("{}:{port}", bracketed(host)),
            },
            BackendAddress::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Where it listens, for people: host and port, always with the port, or the path of the socket.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.address {
            BackendAddress::Tcp { host, port } => format!("{}:{port}", bracketed(host)),
            BackendAddress::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

/// As a user would write it, always with its port.
impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, self.scheme) {
            (BackendAddress::Unix(_), _) => {}
            (BackendAddress::Tcp { .. }, Scheme::Http) => f.write_str("http://")?,
            (BackendAddress::Tcp { .. }, Scheme::Https) => f.write_str("https://")?,
        }
        f.write_str(&self.place())
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Whom to trust.
    pub trust: Trust,
    /// The name to ask for (SNI) and to verify, when it is not the URL's host.
    pub server_name: Option<Arc<str>>,
    /// The name to verify, when it is not the one asked for.
    pub verify_name: Option<Arc<str>>,
    /// What we show to a backend that wants to know who we are.
    pub certificate: Option<CertificateFiles>,
    /// SHA-256 digests of the public keys (SubjectPublicKeyInfo) that a backend may have. Empty: any
    /// key whose certificate is trusted.
    pub pins: Vec<[u8; 32]>,
}

/// Whom to trust when a backend shows its certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The system's certificate authorities.
    #[default]
    System,
    /// The certificates in this PEM file, relative paths resolved against the config's folder.
    Ca(PathBuf),
    /// Anybody. Only when the operator says `insecure: true`.
    Insecure,
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
    /// How long a stream (WebSocket, server-sent events, gRPC) may be silent.
    pub stream_idle: Duration,
    /// From the head of a request to the end of its response; then 504, or the response is cut.
    /// `None`: as long as it makes progress.
    pub request: Option<Duration>,
}

/// Bounds on connections kept for reuse, per backend and worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConnections {
    /// How many idle connections are kept.
    pub idle: usize,
    /// How long one is kept idle; below the backend's own keep-alive.
    pub idle_timeout: Duration,
    /// Most streams on one HTTP/2 connection; further ones open another.
    pub streams: usize,
}
