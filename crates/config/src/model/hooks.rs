//! What is run or asked beside the traffic: gates around a move, jobs on a schedule, notifications.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use routing::failover::{GateRule, Role};

use super::{BackendUrl, StatusSet, UpstreamTls};
pub use crate::cron::CronTimes;

/// The gates of a service. Each list is in the order in which gates run, no gate twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gates {
    /// Of failovers.
    pub failover: Vec<Gate>,
    /// Of failbacks.
    pub failback: Vec<Gate>,
    /// Of switchovers.
    pub switchover: Vec<Gate>,
}

/// One gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// Which one, and what becomes of the move when it fails.
    pub rule: GateRule,
    /// What is done.
    pub action: GateAction,
    /// How often, and how long it may take.
    pub tries: Tries,
}

/// What a gate does.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few per service, read in place and never moved about"
)]
pub enum GateAction {
    /// Runs a program or sends a request.
    Call(Action),
    /// Probes the backend until it claims this role.
    Role(Role),
}

/// A program or a request.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few per service, read in place and never moved about"
)]
pub enum Action {
    /// A program. Exit code 0 is success.
    Exec(ExecAction),
    /// A request.
    Http(HttpAction),
}

/// A program that is run. It gets no shell, no input, and of our environment only `PATH`.
///
/// In each argument `{service}`, `{gate}` or `{job}`, `{reason}`, `{epoch}`, `{from}`, `{to}`,
/// `{backend}`, `{from_url}`, `{to_url}`, `{url}`, `{host}` and `{port}` are replaced; the last three
/// and `{backend}` are of the backend that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecAction {
    /// Program and arguments; at least one.
    pub command: Vec<Arc<str>>,
    /// Its environment, beside `PATH` and `UNDERSTUDY_*`.
    pub environment: Vec<(Arc<str>, Secret)>,
    /// Its working directory; `None`: `/`.
    pub directory: Option<PathBuf>,
    /// Most bytes of output that are kept; the rest is read and thrown away.
    pub output_bytes: usize,
}

/// A request that is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpAction {
    /// `POST` unless said otherwise.
    pub method: Method,
    /// Who is asked.
    pub at: At,
    /// Path and query, beginning with `/`. The same is replaced as in a program's arguments,
    /// percent-encoded.
    pub path: Arc<str>,
    /// Further fields.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The request's body; empty: none. The same is replaced, as it is.
    pub body: Arc<str>,
    /// Which answers are a success.
    pub status: StatusSet,
    /// Most bytes of the answer's body that are kept.
    pub output_bytes: usize,
}

/// Who is asked by a request.
#[derive(Clone, Debug, PartialEq)]
pub enum At {
    /// The backend that it is about, with the protocol and the TLS settings of the traffic.
    Backend,
    /// The old active, likewise.
    From,
    /// The new active or, of a job, the standby; likewise.
    To,
    /// Somebody else.
    Elsewhere {
        /// Where.
        url: BackendUrl,
        /// How it is verified when that is `https`.
        tls: UpstreamTls,
    },
}

/// How often something is tried, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// How long one try may take; then the program and its process group are killed, or the connection
    /// is closed.
    pub deadline: Duration,
    /// How often it is tried again (0 to 100). What may have been done is tried again only when it is
    /// idempotent, or said that it has failed.
    pub retries: u32,
    /// The pause before the second try; doubled for each further one, up to a minute.
    pub back_off: Duration,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the config itself.
    Plain(Arc<str>),
    /// In a file, read whenever it is needed; a line break at its end is not part of it.
    File(PathBuf),
    /// In an environment variable of this process.
    Variable(Arc<str>),
}

/// Without what is secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Variable(name) => f.debug_tuple("Variable").field(name).finish(),
        }
    }
}

/// Something that is done again and again, from the active to standbys, and never during a move.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Unique in its service.
    pub name: Arc<str>,
    /// What is done.
    pub action: Action,
    /// How often, and how long it may take.
    pub tries: Tries,
    /// Whether a try that may have been done may be repeated.
    pub idempotent: bool,
    /// When.
    pub schedule: Schedule,
    /// It begins so much later at most, by chance.
    pub jitter: Duration,
    /// Whom it is about beside the active.
    pub to: JobTarget,
    /// Whether it is made up for, once, when its time passed while it could not run.
    pub catch_up: bool,
    /// How long a planned move waits for it to end; then, and at any other move at once, it is
    /// cancelled.
    pub move_waits: Duration,
    /// How old its last success for a standby may be; `None`: no matter.
    pub max_age: Option<MaxAge>,
}

/// When a job runs.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few per service, read in place and never moved about"
)]
pub enum Schedule {
    /// So long after it last began.
    Every(Duration),
    /// At these times.
    Cron(CronTimes),
    /// When an operator says so.
    Never,
}

/// Whom a job is about beside the active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobTarget {
    /// It runs once for each standby that is up and ready, one after the other.
    Standbys {
        /// Only for those that claim this role; `None`: any.
        role: Option<Role>,
    },
    /// It runs once, and is about the active alone.
    Active,
}

/// How old the last success of a job may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    /// That old. A standby is as fresh as the time when it was the active itself.
    pub age: Duration,
    /// Whether a standby with an older one may not become active; else it is only not ready.
    pub blocks: bool,
}

/// Somebody who is told what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Notifier {
    /// Unique.
    pub name: Arc<str>,
    /// Kinds of events, as `understudy events` names them; empty: all that somebody should look at.
    pub events: Vec<Arc<str>>,
    /// Names of services; empty: all, and what concerns no service.
    pub services: Vec<Arc<str>>,
    /// How.
    pub channel: Channel,
    /// How long one try may take.
    pub deadline: Duration,
    /// Until when it is tried again and again; then the event is dropped, and counted.
    pub give_up_after: Duration,
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a few in all, read in place and never moved about")]
pub enum Channel {
    /// A program that gets the event as JSON in `UNDERSTUDY_EVENT`.
    Exec(ExecAction),
    /// A request with the event as JSON.
    Webhook {
        /// Where to; its `body` is empty.
        request: HttpAction,
        /// The key of its signature (HMAC-SHA256); `None`: it is not signed.
        key: Option<Secret>,
    },
    /// A request as Slack, Mattermost and others take it.
    Slack(SecretUrl),
    /// Alerts as Alertmanager takes them (`/api/v2/alerts`).
    Alertmanager(HttpAction),
    /// A mail.
    Mail(Mail),
}

/// An `https` or `http` URL that is a secret as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUrl {
    /// The URL.
    pub url: Secret,
    /// How its host is verified.
    pub tls: UpstreamTls,
}

/// A mail, and the server that takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The host of the server.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// The certificates that its own is verified by; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// User and password; `None`: it asks for none.
    pub login: Option<(Arc<str>, Secret)>,
    /// The sender's address.
    pub from: Arc<str>,
    /// The addresses of those who get it; at least one.
    pub to: Vec<Arc<str>>,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// From the start.
    Wrapped,
    /// By `STARTTLS`, which must succeed.
    StartTls,
    /// Not at all.
    Off,
}
