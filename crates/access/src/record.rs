//! The record of one request: data only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Version};
use metrics::cells::Blame;
use smallvec::SmallVec;

/// What one request met, from its head to its end.
#[derive(Clone, Debug)]
pub struct Record {
    /// When its head was there.
    pub began: SystemTime,
    /// From then to the end: the last byte of the response, or whatever ended it before.
    pub took: Duration,
    /// From the beginning to the response head; `None`: there was none.
    pub answered_after: Option<Duration>,
    /// The listener it came to, as in the config.
    pub listener: Arc<str>,
    /// Whose request it is, behind trusted proxies too; `None`: a Unix socket.
    pub client: Option<SocketAddr>,
    /// Whether the client came over TLS.
    pub is_tls: bool,
    /// Of the client's protocol.
    pub version: Version,
    /// As the client sent it.
    pub method: Method,
    /// The host that was asked for, without user or port rules applied; may be empty.
    pub host: Box<str>,
    /// Path and query as the client sent them.
    pub target: Box<str>,
    /// The field `Referer`.
    pub referer: Option<Box<str>>,
    /// The field `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// The service; `None`: no route led to one.
    pub service: Option<Arc<str>>,
    /// What the client was answered; `None`: it left before.
    pub status: Option<StatusCode>,
    /// Bytes of the request body that were passed on.
    pub received: u64,
    /// Bytes of the response body that were passed on.
    pub sent: u64,
    /// Waiting and attempts, in order.
    pub steps: SmallVec<[Step; 2]>,
    /// How it ended.
    pub end: End,
    /// Whether it was for a standby on purpose.
    pub is_drill: bool,
    /// Who is to blame when it failed.
    pub blame: Option<Blame>,
    /// Its place in a distributed trace; `None`: nobody traces.
    pub trace: Option<TraceContext>,
}

/// One stretch of a request's life.
#[derive(Clone, Debug)]
pub struct Step {
    /// From the beginning of the request.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
    /// What it was.
    pub what: What,
}

/// What a request was doing.
#[derive(Clone, Debug)]
pub enum What {
    /// It waited for an active, or for the verdict on one.
    Hold,
    /// It was with a backend, from the choice to the response head or the failure.
    Attempt {
        /// The name of the backend.
        backend: Arc<str>,
        /// The epoch under which it was sent.
        epoch: u64,
        /// How long a new connection took; `None`: one was reused.
        connected_after: Option<Duration>,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response head came, with this status.
    Answered(StatusCode),
    /// No connection, or nothing of the request had left.
    Unsent,
    /// The connection broke, or the answer was none.
    Broken,
    /// The backend was left while the request was there.
    Abandoned,
    /// It took too long.
    Expired,
    /// The client, or its body, failed.
    Client,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The whole response was passed on.
    Complete,
    /// The client left, or did not take the response.
    ClientGone,
    /// The backend broke off in the middle of its response.
    BackendGone,
    /// It was cut off: a deadline, a move, a stop.
    Cut,
}

/// A place in a distributed trace (W3C Trace Context, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never all zeros.
    pub trace: [u8; 16],
    /// The span of this request at us; backends are told that of the attempt as their parent.
    pub span: [u8; 8],
    /// The span of whoever asked us; `None`: the trace begins here.
    pub parent: Option<[u8; 8]>,
    /// Whether it is to be exported.
    pub is_sampled: bool,
    /// The last change of the active that it waited through, by its epoch; `None`: it waited for none.
    pub waited_for: Option<u64>,
}

impl TraceContext {
    /// The span of its attempt of this number, from 0. Derived, so that whoever tells backends and
    /// whoever exports say the same without a word between them.
    #[must_use]
    pub fn attempt(&self, number: u32) -> [u8; 8] {
        // SplitMix64, which leads no two numbers to the same span.
        let step = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut mixed = u64::from_be_bytes(self.span).wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // All zeros means none.
        mixed.max(1).to_be_bytes()
    }
}

impl Record {
    /// The backend that the request was at last; `None`: it came to none.
    #[must_use]
    pub fn backend(&self) -> Option<&Arc<str>> {
        self.steps.iter().rev().find_map(|step| match &step.what {
            What::Attempt { backend, .. } => Some(backend),
            What::Hold => None,
        })
    }

    /// The epoch under which that backend was asked; `None`: nobody was.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.steps.iter().rev().find_map(|step| match step.what {
            What::Attempt { epoch, .. } => Some(epoch),
            What::Hold => None,
        })
    }

    /// How long it was held, in all.
    #[must_use]
    pub fn held(&self) -> Duration {
        self.steps.iter().filter(|step| matches!(step.what, What::Hold)).map(|step| step.took).sum()
    }

    /// Whether it was sent again after it had, or may have, reached a backend.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        let sent = self.steps.iter().filter(|step| match step.what {
            What::Attempt { outcome, .. } => outcome != Outcome::Unsent,
            What::Hold => false,
        });
        sent.count() > 1
    }

    /// How often it was sent to a backend, or tried to be.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.what, What::Attempt { .. })).count()
    }
}
