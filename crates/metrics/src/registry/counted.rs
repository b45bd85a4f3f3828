//! What has been counted of one service, for whoever wants figures and no scrape.

use std::sync::Arc;

use super::Metrics;
use crate::cells::{Gauge, ServiceCells};

/// Sums over all workers, since the start; `in_flight` and `held_now` are of this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests that had to wait for an active.
    pub held: u64,
    /// Requests sent again.
    pub replayed: u64,
    /// Requests that failed because of a backend or of us.
    pub failed: u64,
    /// Requests that could not wait, or had waited for too long.
    pub rejected: u64,
    /// Streams that were at a backend when the traffic left it.
    pub streams_left: u64,
    /// Those of them that were closed because of that.
    pub streams_closed: u64,
    /// Requests and streams cut at the deadline of a drain.
    pub cut: u64,
    /// Responses to requests tagged for a drill, by class of their status: 1xx to 5xx.
    pub drilled: [u64; 5],
    /// Requests begun and not ended.
    pub in_flight: u64,
    /// Requests that wait for an active.
    pub held_now: u64,
}

impl Metrics {
    /// What has been counted of a service; all zero for one that no worker knows.
    #[must_use]
    pub fn counted(&self, service: &str) -> Counted {
        let state = self.lock();
        let Some(service) = state.services.get(service) else { return Counted::default() };
        let all = &service.workers;
        // A gauge that is being written on another core may look negative for a moment.
        let level = |cell: fn(&ServiceCells) -> &Gauge| all.level(cell).max(0.0) as u64;
        Counted {
            held: all.count(|cells| &cells.held_total),
            replayed: all.count(|cells| &cells.replayed),
            failed: all.count(|cells| &cells.failed[1]) + all.count(|cells| &cells.failed[2]),
            rejected: all.count(|c| &c.hold_overflows) + all.count(|c| &c.hold_timeouts),
            streams_left: all.count(|cells| &cells.streams_left),
            streams_closed: all.count(|cells| &cells.streams_closed),
            cut: all.count(|cells| &cells.cut),
            drilled: std::array::from_fn(|class| all.count(|cells| &cells.drill_requests[class])),
            in_flight: level(|cells| &cells.in_flight),
            held_now: level(|cells| &cells.held),
        }
    }

    /// Requests, responses and tunnels at each backend of a service now, by its name.
    #[must_use]
    pub fn at_backends(&self, service: &str) -> Vec<(Arc<str>, u64)> {
        let state = self.lock();
        let backends = state.services.get(service).map(|service| &service.backends);
        let at = |backend: &super::Backend| {
            backend.workers.level(|cells| &cells.in_flight).max(0.0) as u64
        };
        let backends = backends.into_iter().flatten();
        backends.map(|(name, backend)| (name.clone(), at(backend))).collect()
    }
}
