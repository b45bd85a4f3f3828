//! One task per backend that probes it until the handle is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::{BackendUrl, Health};
use tokio::sync::mpsc;

/// What to probe.
#[derive(Clone, Debug)]
pub struct Target {
    /// The backend's number; comes back in every [`Report`].
    pub id: u32,
    /// The service's name, for logs.
    pub service: Arc<str>,
    /// The backend's name, for logs.
    pub backend: Arc<str>,
    /// Where it is.
    pub url: BackendUrl,
    /// For `https`: how it is verified; the same settings as the traffic's.
    pub tls: Option<Tls>,
    /// What to send, when, and what to expect.
    pub health: Health,
}

/// How an `https` backend is verified.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The settings.
    pub config: Arc<rustls::ClientConfig>,
    /// The name to ask for and to verify.
    pub server_name: rustls::pki_types::ServerName<'static>,
}

/// One probe that ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose: [`Target::id`].
    pub id: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub started: Instant,
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
    /// We cannot tell, because we were late ourselves.
    Inconclusive,
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

/// Probes one backend until dropped.
#[derive(Debug)]
pub struct Prober {}

impl Prober {
    /// Starts probing, on the current tokio runtime; the first probe after `delay`. Reports go to
    /// `reports`; a full channel delays the next probe, never loses a report.
    #[must_use]
    pub fn start(target: Target, delay: Duration, reports: mpsc::Sender<Report>) -> Self {
        let _ = (target, delay, reports);
        Self {}
    }

    /// Live traffic had trouble: probe now, and every `confirm_interval` until a probe begun after
    /// this call has ended, or control says that nothing is in doubt.
    pub fn suspect(&self) {}

    /// Whether the next verdicts could change the health: then probes come every
    /// `confirm_interval` and may overlap, otherwise every `interval`.
    pub fn in_doubt(&self, in_doubt: bool) {
        let _ = in_doubt;
    }
}
