//! What a probe found out.

use std::time::{Duration, Instant, SystemTime};

/// One probe that ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose: [`Subject::id`](crate::Subject::id).
    pub id: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub took: Duration,
    /// When the certificate that the backend showed stops being valid. `None` without TLS, and when
    /// the probe saw none that it believes.
    pub certificate_expires: Option<SystemTime>,
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Pass,
    /// Not as it should.
    Fail(Cause),
    /// We cannot tell, because we were late ourselves, or had no socket left to try with.
    Inconclusive,
}

impl Outcome {
    /// Whether it says anything of the backend.
    pub(crate) fn is_conclusive(&self) -> bool {
        match self {
            Self::Pass | Self::Fail(_) => true,
            Self::Inconclusive => false,
        }
    }

    /// Whether it could be due to our not getting to run: then the time was up before we looked, or
    /// the backend, tired of waiting for us, closed on us.
    pub(crate) fn may_be_our_delay(&self) -> bool {
        match self {
            Self::Fail(Cause::Timeout | Cause::Broken(_) | Cause::Tls(_)) => true,
            Self::Fail(Cause::Refused(_) | Cause::Resolve(_) | Cause::Status(_))
            | Self::Pass
            | Self::Inconclusive => false,
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
}

impl Cause {
    /// Whether the backend still answers: then its running requests may well finish.
    #[must_use]
    pub fn answers(&self) -> bool {
        matches!(self, Self::Status(_))
    }
}
