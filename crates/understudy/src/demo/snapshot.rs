//! What the screen shows, at one moment: plain data between the stage and the view.

use std::time::Duration;

use super::backend::Condition;
use super::journal::Entry;
use super::tally::Figures;

/// Everything there is to see.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Since the start of the demo.
    pub(super) running: Duration,
    /// Where to look.
    pub(super) look: Look,
    /// The service's name.
    pub(super) service: &'static str,
    /// The name of the backend that has the traffic and since when.
    pub(super) active: Option<Active>,
    /// Changes of the active so far.
    pub(super) epoch: u64,
    /// When the primary gets the traffic back, if nothing else happens.
    pub(super) failback_in: Option<Duration>,
    /// In priority order: the first is the primary.
    pub(super) backends: [BackendLine; 2],
    /// What the load counted.
    pub(super) figures: Figures,
    /// Requests waiting for an active now.
    pub(super) held: u64,
    /// Requests that had to wait so far.
    pub(super) held_total: u64,
    /// Requests sent again.
    pub(super) replayed: u64,
    /// POSTs that were executed more than once.
    pub(super) twice: u64,
    /// The latest, oldest first.
    pub(super) events: Vec<Entry>,
}

/// Addresses for a browser or another terminal.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// The service itself.
    pub(super) service: String,
    /// The admin listener.
    pub(super) admin: String,
}

/// Who has the traffic.
#[derive(Clone, Debug)]
pub(super) struct Active {
    /// An index into the backends.
    pub(super) backend: usize,
    /// For how long.
    pub(super) since: Duration,
}

/// One backend.
#[derive(Clone, Debug)]
pub(super) struct BackendLine {
    /// Its name.
    pub(super) name: &'static str,
    /// What the probes say.
    pub(super) health: routing::failover::Health,
    /// Requests answered.
    pub(super) served: u64,
    /// How the last probe ended.
    pub(super) probe: Option<Probe>,
    /// What was done to it.
    pub(super) condition: Condition,
}

/// A probe that ended.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// `pass`, or why not.
    pub(super) outcome: String,
    /// How long it took.
    pub(super) took: Duration,
}
