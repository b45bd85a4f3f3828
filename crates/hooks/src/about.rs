//! What a hook is told.

use std::sync::Arc;

use config::model::UpstreamProtocol;
use connect::Destination;

/// What a hook is about: fills placeholders, variables and fields.
#[derive(Clone, Debug)]
pub struct About {
    /// The service's name.
    pub service: Arc<str>,
    /// Which hook: `fence`, the name of a job.
    pub hook: Arc<str>,
    /// What it is: `gate`, `job` or `notification`.
    pub kind: &'static str,
    /// The old active, if any.
    pub from: Option<Party>,
    /// The new active or, of a job, the standby.
    pub to: Option<Party>,
    /// The backend that it is about: one of these, or another that may still hold the role.
    pub backend: Option<Party>,
    /// Why the service moves, as metrics say it; empty when it does not.
    pub reason: &'static str,
    /// The epoch: of the move, or the present one.
    pub epoch: u64,
    /// What tells this run from every other: the same for each try of one run.
    pub id: Arc<str>,
}

/// A backend that a hook may have to reach.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its name.
    pub name: Arc<str>,
    /// The way of the traffic.
    pub destination: Destination,
    /// Which HTTP it speaks.
    pub protocol: UpstreamProtocol,
}
