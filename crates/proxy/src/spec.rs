//! What control hands to the workers and hears from them: plain data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use access::{Log, Tracer};
use config::model::{
    DownstreamLimits, ErrorRule, Hold, ListenAddress, RedirectHttps, Replay, UpstreamConnections,
    UpstreamProtocol, UpstreamTimeouts,
};
use connect::Destination;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use routing::failover::BackendId;
use routing::table::Table;

/// Names one service for as long as the process runs; a reload keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// Everything a worker needs to know; replaced as a whole.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Host and path to an index into `services`.
    pub table: Table<usize>,
    /// A service whose id a worker knows keeps its active, its epoch and what it holds.
    pub services: Vec<Arc<ServiceSpec>>,
    /// Every listener. One that is missing is closed; its connections end after their request.
    pub listeners: Vec<ListenerSpec>,
    /// How requests take part in distributed traces; `None`: what they carry passes on as it came.
    pub trace: Option<TraceSpec>,
    /// The access log; `None`: there is none.
    pub log: Option<Arc<Log>>,
    /// Who takes the records of traced requests; `None`: nobody.
    pub tracer: Option<Tracer>,
}

/// How requests take part in distributed traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceSpec {
    /// Which share of the traces that begin here is followed: 0 to 1.
    pub sample: f64,
    /// Whether clients that are no trusted proxies may bring a trace with them.
    pub trusts_clients: bool,
}

/// A listener.
#[derive(Clone, Debug)]
pub struct ListenerSpec {
    /// As configured; names the listener in metrics and across reloads.
    pub address: ListenAddress,
    /// TLS, with what is offered by ALPN; `None` in the clear.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether HTTP/2 with prior knowledge (RFC 9113 3.3) is understood in the clear.
    pub h2c: bool,
    /// Answers every request with a redirect to `https`.
    pub redirect_https: Option<RedirectHttps>,
    /// What browsers are told about coming back over TLS only.
    pub hsts: Option<HeaderValue>,
    /// Whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Who must begin a connection with a PROXY header; nobody else may.
    pub proxy_protocol: Arc<[IpNet]>,
    /// Bounds on its clients.
    pub limits: DownstreamLimits,
}

/// A service. One the workers have not met begins without an active: its requests are held.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Names it across reloads.
    pub id: ServiceId,
    /// For metrics and logs.
    pub name: Arc<str>,
    /// Its backends. A backend whose id a worker knows keeps its connections.
    pub backends: Vec<BackendSpec>,
    /// Bounds on waiting.
    pub hold: Hold,
    /// Bounds on sending again.
    pub replay: Replay,
    /// Bounds on what a backend may take.
    pub timeouts: UpstreamTimeouts,
    /// Bounds on connections kept for reuse.
    pub connections: UpstreamConnections,
    /// Which HTTP its backends speak.
    pub protocol: UpstreamProtocol,
    /// How much longer than the backend's own recent 99th percentile a request may wait for its
    /// response head before that is suspicious.
    pub stall_after: Duration,
    /// Which answers are suspicious; `None`: none.
    pub errors: Option<ErrorRule>,
    /// The field of an answer that asks for a drain, which is suspicious as well.
    pub drain_header: Option<HeaderName>,
    /// Says in every request to a backend under which epoch the worker believes that one to be active;
    /// what clients say in a field of this name (`_` for `-` included) is dropped. `None`: neither.
    pub epoch_header: Option<HeaderName>,
    /// Whether its requests are in the access log.
    pub is_logged: bool,
}

/// A backend.
#[derive(Clone, Debug)]
pub struct BackendSpec {
    /// Names it across reloads.
    pub id: BackendId,
    /// For metrics and logs.
    pub name: Arc<str>,
    /// The way to it.
    pub destination: Destination,
}

/// What becomes of the requests that the old active is working on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It still answers: they finish there.
    Finish,
    /// It does not answer: those that may be repeated go to the new active, the others wait for it
    /// up to `settle`.
    Abandon,
}

/// How a backend is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long what is under way may take; then it is cut.
    pub within: Duration,
    /// As at a move.
    pub leave: Leave,
}

/// What a hold has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Requests, responses and tunnels that were taken from their backend at the deadline of a drain.
    /// Requests that may be repeated among them go to the next active.
    pub cut: usize,
}

/// Which requests go to a standby, so that it can be tried by requests made for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The field that they carry.
    pub header: HeaderName,
    /// With this value; `None`: with any.
    pub value: Option<HeaderValue>,
    /// Where they go.
    pub backend: BackendId,
}

/// What workers tell control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Live traffic meets trouble.
    Suspicion(Suspicion),
    /// Live traffic is served.
    Answered(Answered),
}

/// The first response head of the active with a status below 500, to a request begun under this
/// epoch, and before it the first with another one. Each worker says each at most once per epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Which service.
    pub service: ServiceId,
    /// Under which epoch.
    pub epoch: u64,
    /// When.
    pub at: Instant,
    /// Whether the status was below 500.
    pub is_good: bool,
}

/// A sign of trouble from live traffic: a request for probes, never a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Which service.
    pub service: ServiceId,
    /// Which of its backends.
    pub backend: BackendId,
    /// What was seen.
    pub symptom: Symptom,
}

/// What was seen. The order is that of the metric's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// No connection could be made.
    Refused,
    /// A connection broke before the response head.
    Reset,
    /// The TLS handshake failed.
    Tls,
    /// A request waits too long for its response head.
    Stalled,
    /// Too many answers are errors of the configured kind.
    Errors,
    /// An answer carries the field that asks for a drain.
    Drain,
}

impl Symptom {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Drain as usize + 1;
}
