//! What is counted of gates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{GatesView, Metrics, distribution, entry};
use crate::cells::{Histogram, MOVE_BOUNDS};
use crate::exposition::Exposition;
use crate::names::Id;

/// How a gate may end.
const OUTCOMES: [&str; 4] = ["done", "unreachable", "failed", "unknown"];

/// The gates of one service, by name; those that it has, or has run.
#[derive(Clone, Debug, Default)]
pub(super) struct Gates {
    gates: BTreeMap<String, Runs>,
    /// `None`: the service has no gates.
    in_doubt: Option<bool>,
}

#[derive(Clone, Debug)]
struct Runs {
    outcomes: BTreeMap<String, u64>,
    duration: Arc<Histogram>,
}

impl Runs {
    fn new() -> Self {
        let outcomes = OUTCOMES.iter().map(|outcome| ((*outcome).to_owned(), 0)).collect();
        Self { outcomes, duration: Arc::default() }
    }
}

impl Gates {
    /// Shows each with all its series from now on, so that the first failure is an increase.
    pub(super) fn show(&mut self, shown: Option<&GatesView>) {
        self.in_doubt = shown.map(|gates| gates.is_in_doubt);
        for name in shown.iter().flat_map(|gates| &gates.names) {
            entry(&mut self.gates, name, Runs::new);
        }
    }

    pub(super) fn collect(&self, service: &str, is_shown: bool, to: &mut Exposition) {
        if let Some(in_doubt) = self.in_doubt.filter(|_| is_shown) {
            to.gauge(Id::GateInDoubt, &[service], f64::from(u8::from(in_doubt)));
        }
        for (gate, runs) in &self.gates {
            for (outcome, count) in &runs.outcomes {
                to.counter(Id::GateRuns, &[service, gate, outcome], *count);
            }
            let durations = distribution([&*runs.duration]);
            to.histogram(Id::GateDuration, &[service, gate], &durations, MOVE_BOUNDS);
        }
    }
}

impl Metrics {
    /// Counts a gate that has ended: `done`, `unreachable`, `failed` or `unknown`.
    pub fn gate(&self, service: &str, gate: &str, outcome: &str, took: Duration) {
        let mut state = self.lock();
        let runs = entry(&mut state.service(service).gates.gates, gate, Runs::new);
        *entry(&mut runs.outcomes, outcome, || 0) += 1;
        runs.duration.observe(took);
    }
}
