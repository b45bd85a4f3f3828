//! Keeps the cells and writes the exposition text.

use std::sync::Arc;
use std::time::Duration;

use crate::cells::{BackendCells, ListenerCells, ServiceCells};

/// All metrics of the process.
#[derive(Debug, Default)]
pub struct Metrics {}

/// What a scrape shows of the decisions; control hands in a new one at every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveView {
    /// One per service.
    pub services: Vec<ServiceView>,
}

/// One service of an [`ActiveView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: Arc<str>,
    /// Changes of the active so far.
    pub epoch: u64,
    /// Backends in priority order.
    pub backends: Vec<BackendView>,
}

/// One backend of a [`ServiceView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it has the traffic.
    pub active: bool,
    /// `unknown`, `up` or `down`.
    pub health: &'static str,
    /// `ready`, `drain` or `maintenance`.
    pub admin: &'static str,
}

impl Metrics {
    /// No counts yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The cells of one worker for one service; the same ones for the same names, so that counters
    /// never go back across a reload.
    #[must_use]
    pub fn service(&self, worker: usize, service: &str) -> Arc<ServiceCells> {
        let _ = (worker, service);
        Arc::default()
    }

    /// The cells of one worker for one backend.
    #[must_use]
    pub fn backend(&self, worker: usize, service: &str, backend: &str) -> Arc<BackendCells> {
        let _ = (worker, service, backend);
        Arc::default()
    }

    /// The cells of one worker for one listener; `listener` is its configured address.
    #[must_use]
    pub fn listener(&self, worker: usize, listener: &str) -> Arc<ListenerCells> {
        let _ = (worker, listener);
        Arc::default()
    }

    /// Replaces what a scrape shows of the decisions. Services and backends that are not in it any
    /// more disappear from the gauges, and their cells from the counters.
    pub fn show(&self, view: ActiveView) {
        let _ = view;
    }

    /// Counts a change of the active. `reason` is lower case.
    pub fn transition(&self, service: &str, reason: &str) {
        let _ = (service, reason);
    }

    /// Counts a probe. `verdict` is `pass`, `fail` or `inconclusive`.
    pub fn probe(&self, service: &str, backend: &str, verdict: &str, took: Duration) {
        let _ = (service, backend, verdict, took);
    }

    /// Records how long one phase of a failover took: `detect` (first sign to decision), `switch`
    /// (decision to the last worker's acknowledgement), `total`.
    pub fn failover(&self, service: &str, phase: &str, took: Duration) {
        let _ = (service, phase, took);
    }

    /// Counts a reload and notes when the last good one was. `now` is seconds since the epoch.
    pub fn reload(&self, ok: bool, now: f64) {
        let _ = (ok, now);
    }

    /// Everything, in Prometheus' text format (version 0.0.4).
    #[must_use]
    pub fn encode(&self) -> String {
        String::new()
    }
}
