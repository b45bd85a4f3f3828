//! What is counted of probes, and what a scrape shows of our own part in them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Metrics, distribution, entry};
use crate::cells::{ALL_BOUNDS, Histogram};
use crate::exposition::Exposition;
use crate::names::Id;

/// Why a probe may have been inconclusive.
const DOUBTS: [&str; 6] = ["late", "exhausted", "cut_off", "busy", "silent", "program"];

/// A probe that ended.
#[derive(Clone, Copy, Debug)]
pub struct ProbeView {
    /// `pass`, `fail` or `inconclusive`.
    pub verdict: &'static str,
    /// Why it was inconclusive: one of the reasons that the metric lists.
    pub doubt: Option<&'static str>,
    /// How long it took.
    pub took: Duration,
    /// How long after it was due it began.
    pub late: Duration,
    /// By how many seconds the backend's clock is ahead of ours, if its answer tells.
    pub clock_ahead: Option<f64>,
}

/// What all probes share: us.
#[derive(Debug)]
pub(super) struct Ours {
    lateness: Histogram,
    inconclusive: BTreeMap<String, u64>,
    is_cut_off: bool,
}

impl Default for Ours {
    fn default() -> Self {
        Self {
            lateness: Histogram::default(),
            inconclusive: DOUBTS.iter().map(|doubt| ((*doubt).to_owned(), 0)).collect(),
            is_cut_off: false,
        }
    }
}

impl Ours {
    pub(super) fn collect(&self, to: &mut Exposition) {
        to.histogram(Id::ProbeLateness, &[], &distribution([&self.lateness]), ALL_BOUNDS);
        for (doubt, count) in &self.inconclusive {
            to.counter(Id::ProbesInconclusive, &[doubt], *count);
        }
        to.gauge(Id::CutOff, &[], f64::from(u8::from(self.is_cut_off)));
    }
}

impl Metrics {
    /// Counts a probe of a backend.
    pub fn probe(&self, service: &str, backend: &str, probe: &ProbeView) {
        let mut state = self.lock();
        state.ours.lateness.observe(probe.late);
        if let Some(doubt) = probe.doubt {
            *entry(&mut state.ours.inconclusive, doubt, || 0) += 1;
        }
        let backend = state.service(service).backend(backend);
        *entry(&mut backend.probes, probe.verdict, || 0) += 1;
        backend.probe_duration.observe(probe.took);
        if probe.doubt.is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            backend.last_verdict = Some(now.as_secs_f64());
        }
        if probe.clock_ahead.is_some() {
            backend.clock_ahead = probe.clock_ahead;
        }
    }

    /// Notes whether no witness answers.
    pub fn cut_off(&self, is_so: bool) {
        self.lock().ours.is_cut_off = is_so;
    }
}
