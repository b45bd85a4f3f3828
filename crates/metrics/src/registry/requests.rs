//! What a scrape shows of the requests of a service.

use super::{BLAMES, CLASSES, Service, distribution};
use crate::cells::ALL_BOUNDS;
use crate::exposition::Exposition;
use crate::names::Id;

impl Service {
    pub(super) fn collect_requests(&self, name: &str, to: &mut Exposition) {
        let all = &self.workers;
        for (class, label) in CLASSES.iter().enumerate() {
            to.counter(Id::Requests, &[name, label], all.count(|cells| &cells.requests[class]));
        }
        let latency = distribution(all.0.values().map(|cells| &cells.latency));
        to.histogram(Id::RequestDuration, &[name], &latency, ALL_BOUNDS);
        to.gauge(Id::RequestsInFlight, &[name], all.level(|cells| &cells.in_flight));
        for (blame, label) in BLAMES.iter().enumerate() {
            to.counter(Id::RequestsFailed, &[name, label], all.count(|cells| &cells.failed[blame]));
        }
        to.gauge(Id::RequestsHeld, &[name], all.level(|cells| &cells.held));
        to.counter(Id::RequestsHeldTotal, &[name], all.count(|cells| &cells.held_total));
        to.gauge(Id::HeldBytes, &[name], all.level(|cells| &cells.held_bytes));
        let overflows = all.count(|cells| &cells.hold_overflows);
        to.counter(Id::RequestsRejected, &[name, "overflow"], overflows);
        let timeouts = all.count(|cells| &cells.hold_timeouts);
        to.counter(Id::RequestsRejected, &[name, "timeout"], timeouts);
        to.counter(Id::RequestsReplayed, &[name], all.count(|cells| &cells.replayed));
        for (class, label) in CLASSES.iter().enumerate() {
            let drills = all.count(|cells| &cells.drill_requests[class]);
            to.counter(Id::DrillRequests, &[name, label], drills);
        }
        to.counter(Id::RequestsCut, &[name], all.count(|cells| &cells.cut));
        to.gauge(Id::StreamsOpen, &[name], all.level(|cells| &cells.streams));
        to.counter(Id::StreamsLeft, &[name], all.count(|cells| &cells.streams_left));
        to.counter(Id::StreamsClosed, &[name], all.count(|cells| &cells.streams_closed));
    }
}
