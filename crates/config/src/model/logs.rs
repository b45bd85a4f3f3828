//! What is written of requests and events, and where to.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What is written of each request.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where to.
    pub to: LogTo,
    /// In which form.
    pub format: LogFormat,
    /// The share of plain answers that is written: 0 to 1. Failures, and requests that were held or sent
    /// again, are written always.
    pub sample: f64,
    /// Whether the query of a target is written, and that of a `Referer`.
    pub query: bool,
}

/// What is written of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    /// Where to.
    pub to: LogTo,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Standard output.
    Stdout,
    /// A file that is appended to.
    File {
        /// Its path.
        path: PathBuf,
        /// When it is set aside for a new one; `None`: that is somebody else's task.
        rotate: Option<Rotate>,
    },
    /// A Unix datagram socket on which syslog listens.
    SyslogUnix(PathBuf),
    /// A syslog server, over UDP.
    SyslogUdp(SocketAddr),
}

/// When a file is set aside, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// At this many bytes.
    pub size: usize,
    /// Files kept beside the one that is written to; at least 1.
    pub keep: u32,
}

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// An object of JSON.
    Json,
    /// As Apache and nginx write it by that name.
    Combined,
    /// As the operator says.
    Template(Vec<TemplatePart>),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// As it is.
    Text(String),
    /// What is known of the request.
    Variable(LogVariable),
}

macro_rules! variables {
    ($($variant:ident $name:literal $about:literal;)*) => {
        /// What can be said of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LogVariable {
            $(#[doc = $about] $variant,)*
        }

        impl LogVariable {
            /// All of them, in the order of a line of JSON.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As templates and JSON call it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it says, in a sentence.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => $about,)*
                }
            }
        }
    };
}

variables! {
    Time "time" "When the head of the request was there, in RFC 3339 (UTC, milliseconds).";
    Client "client" "The address of the client, behind trusted proxies too.";
    ClientPort "client_port" "Its port, when it connected to us itself.";
    Listener "listener" "The listener it came to, as in the config.";
    Tls "tls" "Whether it came over TLS.";
    Version "version" "What it spoke: `HTTP/1.0`, `HTTP/1.1`, `HTTP/2.0`.";
    Method "method" "The method.";
    Host "host" "The host that was asked for.";
    Target "target" "Path and query as they came; without the query when `query` is `drop`.";
    Status "status" "The status that the client got; none when it left before.";
    Received "received" "Bytes of the request's body.";
    Sent "sent" "Bytes of the response's body that were passed on.";
    Referer "referer" "The field `Referer`.";
    UserAgent "user_agent" "The field `User-Agent`.";
    Service "service" "The service; none when no route led to one.";
    Backend "backend" "The backend that it was at last.";
    Epoch "epoch" "The epoch under which that backend was asked.";
    Attempts "attempts" "How often it was sent to a backend, or tried to be.";
    HeldMs "held_ms" "How long it waited for an active, in milliseconds.";
    Replayed "replayed" "Whether it was sent again after it had, or may have, reached a backend.";
    Drill "drill" "Whether it was for a standby on purpose.";
    Blame "blame" "Who is to blame when it failed: `downstream`, `upstream` or `internal`.";
    End "end" "How it ended: `complete`, `client_gone`, `backend_gone` or `cut`.";
    ConnectMs "connect_ms" "How long connections that were opened for it took, in milliseconds; none when one was reused.";
    HeadMs "head_ms" "From its head to the head of the response, in milliseconds.";
    TotalMs "total_ms" "From its head to the end of the response, in milliseconds.";
    TraceId "trace_id" "The trace that it belongs to, if it was traced.";
}
