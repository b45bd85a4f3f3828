//! What a probe found out.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use config::model::{Level, Role, Wish};

/// One round of probes that ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose: [`Subject::id`](crate::Subject::id).
    pub id: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The name of the probe that made it fail; `None` where there is one probe only, and when it did
    /// not fail.
    pub blamed: Option<Arc<str>>,
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub took: Duration,
    /// When the certificate that the backend showed stops being valid. `None` without TLS, and when
    /// the probe saw none that it believes.
    pub certificate_expires: Option<SystemTime>,
    /// How long after it was due it began.
    pub late: Duration,
    /// Whether the backend still answers, as far as this round can tell: then its running requests may
    /// well finish.
    pub is_alive: bool,
    /// The role that it reports, if it passed.
    pub role: Option<Role>,
    /// What it asks for, if it says anything on that.
    pub wish: Option<Wish>,
    /// By how many milliseconds its clock is ahead of ours (negative: behind), by the `Date` of its
    /// answer (RFC 9110 6.6.1), which is exact to a second.
    pub clock_ahead_ms: Option<i64>,
    /// How each probe of the round ended, in the order of the config; those that were not asked are
    /// left out.
    pub checks: Vec<Check>,
}

/// One probe of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: Arc<str>,
    /// What it shows.
    pub level: Level,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Pass,
    /// Not as it should.
    Fail(Cause),
    /// We cannot tell.
    Inconclusive(Doubt),
}

impl Outcome {
    /// Whether it says anything of the backend.
    pub(crate) fn is_conclusive(&self) -> bool {
        match self {
            Self::Pass | Self::Fail(_) => true,
            Self::Inconclusive(_) => false,
        }
    }

    /// Whether it could be due to our not getting to run: then the time was up before we looked, or
    /// the backend, tired of waiting for us, closed on us.
    pub(crate) fn may_be_our_delay(&self) -> bool {
        match self {
            Self::Fail(Cause::Timeout | Cause::Broken(_) | Cause::Tls(_)) => true,
            Self::Fail(
                Cause::Refused(_)
                | Cause::Resolve(_)
                | Cause::Status(_)
                | Cause::Unexpected(_)
                | Cause::Grpc(_)
                | Cause::Program(_)
                | Cause::Agent(_),
            )
            | Self::Pass
            | Self::Inconclusive(_) => false,
        }
    }
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody listens there, or the host cannot be reached.
    Refused(String),
    /// The name has no address.
    Resolve(String),
    /// The connection broke off, or the answer was not HTTP.
    Broken(String),
    /// The TLS handshake failed.
    Tls(String),
    /// No complete answer within the deadline.
    Timeout,
    /// A complete answer with a status that does not pass.
    Status(u16),
    /// An answer that is not as it should be: what was expected, and what came.
    Unexpected(String),
    /// What the gRPC health service said, or that there is none.
    Grpc(String),
    /// How the program ended, and the first line of its output.
    Program(String),
    /// What the agent said.
    Agent(String),
}

/// Why we cannot tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// We were late ourselves.
    Late,
    /// We have no descriptors, ports, memory or processes left.
    Exhausted(String),
    /// No witness answers either: it is we who are cut off.
    CutOff,
    /// Too many programs run already.
    Busy,
    /// All that was asked are agents, and none said anything.
    Silent,
    /// The program says that it cannot tell.
    Program(String),
}

impl Cause {
    /// Whether the backend still answers: then its running requests may well finish. What a program
    /// or an agent beside it says does not show that.
    #[must_use]
    pub fn answers(&self) -> bool {
        match self {
            Self::Status(_) | Self::Unexpected(_) | Self::Grpc(_) => true,
            Self::Program(_)
            | Self::Agent(_)
            | Self::Refused(_)
            | Self::Resolve(_)
            | Self::Broken(_)
            | Self::Tls(_)
            | Self::Timeout => false,
        }
    }
}
