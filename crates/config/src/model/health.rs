//! How backends are probed, and what else is heard of them.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
pub use routing::failover::{Role, Wish};

use super::UpstreamTls;

/// How a backend is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is asked in one round: at least one, names unique, at least one that [votes](Probe::votes).
    pub probes: Vec<Probe>,
    /// How many of the probes that [vote](Probe::votes) must pass (1 to as many as there are); `None`:
    /// all. Those of level [`Level::Alive`] must always.
    pub quorum: Option<usize>,
    /// TLS settings of probes; `None`: those of the traffic.
    pub tls: Option<UpstreamTls>,
    /// From one round to the next when nothing is in doubt.
    pub interval: Duration,
    /// The total deadline of one probe: resolve, connect, TLS, send, receive.
    pub timeout: Duration,
    /// From one round to the next while a change is being confirmed; such rounds may overlap.
    pub confirm_interval: Duration,
    /// A request that waits for its response head so much longer than the backend's own recent 99th
    /// percentile asks for confirming probes.
    pub stall_after: Duration,
    /// Which answers to live traffic ask for them; `None`: none.
    pub errors: Option<ErrorRule>,
}

/// So many answers of a kind within a time are suspicious.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRule {
    /// Of which kind: statuses from 500 on.
    pub status: StatusSet,
    /// So many (at least 1), over all workers.
    pub count: u32,
    /// Within this time.
    pub within: Duration,
}

/// One question that is asked in a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Names it in messages; unique among those of its service.
    pub name: Arc<str>,
    /// What it shows.
    pub level: Level,
    /// What to send and what to expect.
    pub kind: ProbeKind,
    /// At least so much time from one pass of it to the next try: its pass stands for the rounds
    /// between. `None`: it is asked in every round.
    pub interval: Option<Duration>,
    /// Its own deadline, where that is not [`Health::timeout`].
    pub timeout: Option<Duration>,
}

impl Probe {
    /// Whether it counts for a quorum: it is of level [`Level::Ready`], and no agent. An agent's `down`
    /// overrules any quorum, and its other words are none on this.
    #[must_use]
    pub fn votes(&self) -> bool {
        let is_agent = match self.kind {
            ProbeKind::Agent(_) => true,
            ProbeKind::Http(_) | ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Exec(_) => {
                false
            }
        };
        self.level == Level::Ready && !is_agent
    }
}

/// What a probe shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// That the backend lives: when it fails, what the backend was working on is lost.
    Alive,
    /// That it may get requests: when only this fails, those under way may finish.
    Ready,
}

/// What to send and what to expect.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few per service, read in place and never moved about"
)]
pub enum ProbeKind {
    /// An HTTP request over the scheme of the backend's URL.
    Http(HttpProbe),
    /// A TCP connection that is accepted, and perhaps a few bytes each way.
    Tcp(TcpProbe),
    /// The gRPC health protocol, over HTTP/2.
    Grpc(GrpcProbe),
    /// A program.
    Exec(ExecProbe),
    /// A line of text from an agent beside the backend, as HAProxy's `agent-check` reads it.
    Agent(AgentProbe),
}

/// An HTTP probe.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// `GET` unless said otherwise.
    pub method: Method,
    /// Path and query.
    pub path: PathAndQuery,
    /// The `Host` field, when it is not the URL's authority.
    pub host: Option<HeaderValue>,
    /// Further fields.
    pub headers: HeaderMap,
    /// The request's body; empty: none.
    pub body: Arc<str>,
    /// Which answers pass.
    pub status: StatusSet,
    /// What else must hold of an answer.
    pub expect: Expect,
    /// Most bytes of the answer's body that are read. A longer one fails when anything is expected of
    /// it, and is not read to its end otherwise.
    pub body_bytes: usize,
    /// How many redirects are followed, all to the same scheme, host and port; 0: none.
    pub redirects: u32,
    /// How the answer tells the backend's role; `None`: it does not.
    pub role: Option<RoleRule>,
    /// How the answer asks for a drain.
    pub drain: DrainRule,
}

/// What must hold of an answer, all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// Texts that the body contains.
    pub text: Vec<Arc<str>>,
    /// Expressions that match somewhere in the body.
    pub regex: Vec<Pattern>,
    /// Fields that are there, with values that match.
    pub headers: Vec<(HeaderName, Pattern)>,
    /// Of the body as JSON.
    pub json: Vec<JsonRule>,
}

impl Expect {
    /// Whether the body matters.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        !(self.text.is_empty() && self.regex.is_empty() && self.json.is_empty())
    }
}

/// A regular expression over bytes.
#[derive(Clone, Debug)]
pub struct Pattern(pub regex::bytes::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// An assertion on one value in a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonRule {
    /// Where (RFC 6901); empty: the whole document. A value that is not there fails.
    pub pointer: Arc<str>,
    /// What.
    pub is: JsonTest,
}

/// What must hold of a JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTest {
    /// It is there.
    Exists,
    /// It is this string, number, boolean or null.
    Equals(serde_json::Value),
    /// It is there and not this one.
    Not(serde_json::Value),
    /// A number below this.
    Below(f64),
    /// A number above this.
    Above(f64),
    /// A string that matches.
    Matches(Pattern),
}

/// How an answer tells the backend's role. A value that is in no list tells none.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleRule {
    /// Where the value is.
    pub by: RoleSource,
    /// The values that stand for each role, compared without regard to case; no value in two.
    pub values: Vec<(Arc<str>, Role)>,
}

/// Where the value is that tells a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSource {
    /// The status, in digits. Statuses that tell a role are among those that pass.
    Status,
    /// A field.
    Header(HeaderName),
    /// A value in the body as JSON (RFC 6901).
    Pointer(Arc<str>),
}

/// How an answer asks for a drain. One that does passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainRule {
    /// An answer of any status with this field, whose value is not `0`, `false`, `no` or `off`. Live
    /// traffic that shows it asks for probes.
    pub header: Option<HeaderName>,
    /// An answer with one of these statuses.
    pub status: StatusSet,
}

/// A TCP probe; with neither key an accepted connection passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TcpProbe {
    /// What is sent; over TLS where the backend's URL is `https` and anything is sent or expected.
    pub send: Vec<u8>,
    /// What must match what comes back, within its first 64 KiB.
    pub expect: Option<Pattern>,
}

/// A probe of the gRPC health protocol (`grpc.health.v1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcProbe {
    /// The name of the service asked for; empty: the server as a whole.
    pub service: Arc<str>,
}

/// A program that is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecProbe {
    /// Program and arguments, no shell; at least one. `{url}`, `{host}`, `{port}`, `{service}`,
    /// `{backend}` and `{timeout_ms}` are replaced in each.
    pub command: Vec<Arc<str>>,
    /// Its environment, beside `PATH` and `UNDERSTUDY_*`.
    pub environment: Vec<(Arc<str>, Arc<str>)>,
    /// Its working directory; `None`: `/`.
    pub directory: Option<PathBuf>,
    /// Most bytes of output that are kept; the rest is read and thrown away.
    pub output_bytes: usize,
    /// What its exit codes mean.
    pub exit: ExitRule,
    /// How many may run at a time for one backend (at least 1).
    pub at_a_time: usize,
}

/// What exit codes mean. Any other fails, and so does death by a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRule {
    /// It passes.
    pub pass: Vec<u8>,
    /// It passes, and the backend asks for a drain.
    pub drain: Vec<u8>,
    /// It cannot tell.
    pub inconclusive: Vec<u8>,
}

/// An agent beside the backend. One that cannot be reached says nothing: that is no failure, and what it
/// said last stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProbe {
    /// Its host; `None`: the backend's.
    pub host: Option<Arc<str>>,
    /// Its port.
    pub port: u16,
    /// What it is sent first; empty: nothing.
    pub send: Arc<str>,
}

/// A set of status codes as inclusive ranges, for example 200-299 and 401.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSet(pub Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Whether `status` is in the set.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

/// An address that should answer from here. When none of them does it is we who are cut off.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Witness {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: Arc<str>,
    /// Its port. A connection that is refused is an answer, too.
    pub port: u16,
}

/// As a user would write it.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// What a standby must show, beside being eligible, to be called ready for a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Its certificate is valid for at least so long.
    pub certificate: Duration,
    /// Its clock, by the `Date` of its answers, differs from ours by no more than this; `None`: no
    /// matter.
    pub clock_skew: Option<Duration>,
    /// It was drilled, or served, within this time; `None`: no matter.
    pub last_drill: Option<Duration>,
}
