//! Keeps the cells, and adds the workers' up when a scrape asks.
//!
//! One mutex guards which cells exist. Workers take it when they are given a new snapshot, never on
//! the way of a request; what they count goes to their own cells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cells::{
    BackendCells, Counter, Distribution, Gauge, Histogram, ListenerCells, ServiceCells,
};
use crate::certificates::{CertificateView, Certificates, FileView};
use crate::exposition::Exposition;
use crate::names::Id;

mod counted;

pub use counted::Counted;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const BLAMES: [&str; 3] = ["downstream", "upstream", "internal"];
const SYMPTOMS: [&str; 4] = ["refused", "reset", "tls", "stalled"];
const REASONS: [&str; 8] =
    ["startup", "failover", "failback", "recovery", "switchover", "reload", "return", "drill"];
const PHASES: [&str; 4] = ["detect", "switch", "total", "answer"];
const VERDICTS: [&str; 3] = ["pass", "fail", "inconclusive"];
const HEALTHS: [&str; 3] = ["unknown", "up", "down"];
const ADMINS: [&str; 3] = ["ready", "drain", "maintenance"];

/// All metrics of the process.
///
/// What a scrape shows of services and backends is what the last [`show`](Self::show) named, each
/// with all its series from that moment on, so that the first event already is an increase. Until
/// the first `show` it is whatever has been counted.
#[derive(Debug, Default)]
pub struct Metrics {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<Arc<str>, Service>,
    listeners: BTreeMap<Arc<str>, Workers<ListenerCells>>,
    /// Whether a view was ever shown; only then does what it lacks disappear.
    viewed: bool,
    reloads: Reloads,
    certificates: Certificates,
}

/// The cells of each worker for the same thing.
#[derive(Debug)]
struct Workers<T>(BTreeMap<usize, Arc<T>>);

#[derive(Debug)]
struct Service {
    /// From the last view; `None` when it was not in it.
    epoch: Option<u64>,
    workers: Workers<ServiceCells>,
    backends: BTreeMap<Arc<str>, Backend>,
    transitions: BTreeMap<String, u64>,
    failovers: BTreeMap<String, Histogram>,
}

#[derive(Debug)]
struct Backend {
    /// From the last view; `None` when it was not in it.
    shown: Option<BackendView>,
    workers: Workers<BackendCells>,
    probes: BTreeMap<String, u64>,
    probe_duration: Histogram,
    /// Seconds since the epoch.
    certificate_expires: Option<f64>,
}

#[derive(Debug, Default)]
struct Reloads {
    good: u64,
    bad: u64,
    /// `None` until the first.
    last_was_good: Option<bool>,
    /// Seconds since the epoch.
    last_good: Option<f64>,
}

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
        self.lock().service(service).workers.cells(worker)
    }

    /// The cells of one worker for one backend.
    #[must_use]
    pub fn backend(&self, worker: usize, service: &str, backend: &str) -> Arc<BackendCells> {
        self.lock().service(service).backend(backend).workers.cells(worker)
    }

    /// The cells of one worker for one listener; `listener` is its configured address.
    #[must_use]
    pub fn listener(&self, worker: usize, listener: &str) -> Arc<ListenerCells> {
        entry(&mut self.lock().listeners, listener, Workers::default).cells(worker)
    }

    /// Replaces what a scrape shows of the decisions. Services and backends that are not in it any
    /// more disappear from the gauges, and their cells from the counters.
    ///
    /// Cells that a worker still holds are hidden but kept, because a view from before a reload may
    /// arrive after the workers took the new snapshot; what nobody holds is forgotten, listeners'
    /// cells included.
    pub fn show(&self, view: ActiveView) {
        let mut state = self.lock();
        state.viewed = true;
        for service in state.services.values_mut() {
            service.epoch = None;
            service.backends.values_mut().for_each(|backend| backend.shown = None);
        }
        for shown in view.services {
            let service = state.service(&shown.name);
            service.epoch = Some(shown.epoch);
            for shown in shown.backends {
                let name = Arc::clone(&shown.name);
                service.backend(&name).shown = Some(shown);
            }
        }
        state.forget_unused();
    }

    /// Streams of a service that were closed because the traffic had left their backend.
    #[must_use]
    pub fn streams_closed(&self, service: &str) -> u64 {
        self.lock().service(service).workers.count(|cells| &cells.streams_closed)
    }

    /// Counts a change of the active. `reason` is lower case.
    pub fn transition(&self, service: &str, reason: &str) {
        *entry(&mut self.lock().service(service).transitions, reason, || 0) += 1;
    }

    /// Counts a probe. `verdict` is `pass`, `fail` or `inconclusive`.
    pub fn probe(&self, service: &str, backend: &str, verdict: &str, took: Duration) {
        let mut state = self.lock();
        let backend = state.service(service).backend(backend);
        *entry(&mut backend.probes, verdict, || 0) += 1;
        backend.probe_duration.observe(took);
    }

    /// Notes when the certificate that a backend has shown expires, in seconds since the epoch;
    /// `None` when it shows none any more.
    pub fn backend_certificate(&self, service: &str, backend: &str, expires: Option<f64>) {
        self.lock().service(service).backend(backend).certificate_expires = expires;
    }

    /// Replaces what a scrape shows of certificates and of the files that TLS settings are made of.
    pub fn show_certificates(&self, certificates: Vec<CertificateView>, files: Vec<FileView>) {
        self.lock().certificates.show(certificates, files);
    }

    /// Counts a file that changed into something bad. It must have been shown.
    pub fn certificate_refused(&self, file: &str) {
        self.lock().certificates.refuse(file);
    }

    /// Records how long one phase of a failover took: `detect` (first sign to decision), `switch`
    /// (decision to the last worker's acknowledgement), `total`, `answer` (first sign to the first good
    /// answer of the new active).
    pub fn failover(&self, service: &str, phase: &str, took: Duration) {
        let mut state = self.lock();
        let failovers = &mut state.service(service).failovers;
        entry(failovers, phase, Histogram::default).observe(took);
    }

    /// Counts a reload, the load at start included, and notes when the last good one was. `now` is
    /// seconds since the epoch.
    pub fn reload(&self, ok: bool, now: f64) {
        let reloads = &mut self.lock().reloads;
        reloads.last_was_good = Some(ok);
        if ok {
            reloads.good += 1;
            reloads.last_good = Some(now);
        } else {
            reloads.bad += 1;
        }
    }

    /// Everything, in Prometheus' text format (version 0.0.4).
    #[must_use]
    pub fn encode(&self) -> String {
        let mut to = Exposition::new();
        self.lock().collect(&mut to);
        to.gauge(Id::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1.0);
        to.encode()
    }

    /// The maps are never left half changed, so a panic of another holder does no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn service(&mut self, name: &str) -> &mut Service {
        entry(&mut self.services, name, Service::new)
    }

    fn forget_unused(&mut self) {
        for service in self.services.values_mut() {
            service
                .backends
                .retain(|_, backend| backend.shown.is_some() || backend.workers.in_use());
        }
        self.services.retain(|_, service| {
            service.epoch.is_some() || service.workers.in_use() || !service.backends.is_empty()
        });
        self.listeners.retain(|_, workers| workers.in_use());
    }

    fn collect(&self, to: &mut Exposition) {
        for (name, service) in &self.services {
            if service.epoch.is_some() || !self.viewed {
                service.collect(name, self.viewed, to);
            }
        }
        let mut by_worker = BTreeMap::<usize, u64>::new();
        for (name, workers) in &self.listeners {
            collect_listener(name, workers, to);
            for (worker, cells) in &workers.0 {
                let sum = by_worker.entry(*worker).or_default();
                *sum = sum.wrapping_add(cells.connections.get());
            }
        }
        for (worker, connections) in by_worker {
            to.gauge(Id::WorkerConnections, &[&worker.to_string()], signed(connections));
        }
        self.certificates.collect(to);
        to.counter(Id::Reloads, &["success"], self.reloads.good);
        to.counter(Id::Reloads, &["failure"], self.reloads.bad);
        if let Some(good) = self.reloads.last_was_good {
            to.gauge(Id::ReloadSuccessful, &[], f64::from(u8::from(good)));
        }
        if let Some(at) = self.reloads.last_good {
            to.gauge(Id::ReloadTimestamp, &[], at);
        }
    }
}

impl Service {
    fn new() -> Self {
        Self {
            epoch: None,
            workers: Workers::default(),
            backends: BTreeMap::new(),
            transitions: REASONS.iter().map(|reason| ((*reason).to_owned(), 0)).collect(),
            failovers: PHASES
                .iter()
                .map(|phase| ((*phase).to_owned(), Histogram::default()))
                .collect(),
        }
    }

    fn backend(&mut self, name: &str) -> &mut Backend {
        entry(&mut self.backends, name, Backend::new)
    }

    fn collect(&self, name: &str, viewed: bool, to: &mut Exposition) {
        if let Some(epoch) = self.epoch {
            let mut backends = self.backends.values().filter_map(|backend| backend.shown.as_ref());
            let active = backends.any(|backend| backend.active);
            to.gauge(Id::ServiceHasActive, &[name], f64::from(u8::from(active)));
            to.gauge(Id::ServiceEpoch, &[name], epoch as f64);
        }
        for (reason, count) in &self.transitions {
            to.counter(Id::ServiceTransitions, &[name, reason], *count);
        }
        for (phase, histogram) in &self.failovers {
            to.histogram(Id::FailoverDuration, &[name, phase], &distribution([histogram]));
        }
        self.collect_requests(name, to);
        for (backend_name, backend) in &self.backends {
            if backend.shown.is_some() || !viewed {
                backend.collect([name, backend_name], to);
            }
        }
    }

    fn collect_requests(&self, name: &str, to: &mut Exposition) {
        let all = &self.workers;
        for (class, label) in CLASSES.iter().enumerate() {
            to.counter(Id::Requests, &[name, label], all.count(|cells| &cells.requests[class]));
        }
        let latency = distribution(all.0.values().map(|cells| &cells.latency));
        to.histogram(Id::RequestDuration, &[name], &latency);
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

impl Backend {
    fn new() -> Self {
        Self {
            shown: None,
            workers: Workers::default(),
            probes: VERDICTS.iter().map(|verdict| ((*verdict).to_owned(), 0)).collect(),
            probe_duration: Histogram::default(),
            certificate_expires: None,
        }
    }

    fn collect(&self, names: [&str; 2], to: &mut Exposition) {
        let [service, backend] = names;
        if let Some(shown) = &self.shown {
            to.gauge(Id::BackendActive, &names, f64::from(u8::from(shown.active)));
            to.states(Id::BackendHealth, names, &HEALTHS, shown.health);
            to.states(Id::BackendAdmin, names, &ADMINS, shown.admin);
        }
        for (verdict, count) in &self.probes {
            to.counter(Id::Probes, &[service, backend, verdict], *count);
        }
        to.histogram(Id::ProbeDuration, &names, &distribution([&self.probe_duration]));
        if let Some(expires) = self.certificate_expires {
            to.gauge(Id::BackendCertificateExpires, &names, expires);
        }

        let all = &self.workers;
        for (symptom, label) in SYMPTOMS.iter().enumerate() {
            let suspicions = all.count(|cells| &cells.suspicions[symptom]);
            to.counter(Id::Suspicions, &[service, backend, label], suspicions);
        }
        to.counter(Id::Attempts, &names, all.count(|cells| &cells.attempts));
        to.counter(Id::Connects, &names, all.count(|cells| &cells.connects));
        to.counter(Id::ConnectFailures, &names, all.count(|cells| &cells.connect_failures));
        to.counter(Id::Reuses, &names, all.count(|cells| &cells.reuses));
        to.gauge(Id::BackendInFlight, &names, all.level(|cells| &cells.in_flight));
        to.gauge(Id::IdleConnections, &names, all.level(|cells| &cells.idle));
    }
}

impl<T> Default for Workers<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Default> Workers<T> {
    /// The cells of one worker.
    fn cells(&mut self, worker: usize) -> Arc<T> {
        Arc::clone(self.0.entry(worker).or_default())
    }
}

impl<T> Workers<T> {
    /// Whether anybody but the registry holds one of the cells.
    fn in_use(&self) -> bool {
        self.0.values().any(|cells| Arc::strong_count(cells) > 1)
    }

    /// One counter, over all workers.
    fn count(&self, cell: impl Fn(&T) -> &Counter) -> u64 {
        self.0.values().fold(0, |sum, cells| sum.wrapping_add(cell(cells).get()))
    }

    /// One gauge, over all workers.
    fn level(&self, cell: impl Fn(&T) -> &Gauge) -> f64 {
        signed(self.0.values().fold(0, |sum, cells| sum.wrapping_add(cell(cells).get())))
    }
}

fn collect_listener(name: &str, all: &Workers<ListenerCells>, to: &mut Exposition) {
    to.gauge(Id::Connections, &[name], all.level(|cells| &cells.connections));
    to.counter(Id::Accepted, &[name], all.count(|cells| &cells.accepted));
    to.counter(Id::OverLimit, &[name], all.count(|cells| &cells.over_limit));
    to.counter(Id::OverClientLimit, &[name], all.count(|cells| &cells.over_client_limit));
    to.counter(Id::HandshakeFailures, &[name], all.count(|cells| &cells.handshake_failures));
    to.counter(Id::Http2Connections, &[name], all.count(|cells| &cells.http2));
    to.counter(Id::Floods, &[name], all.count(|cells| &cells.floods));
    to.counter(Id::AcceptErrors, &[name], all.count(|cells| &cells.accept_errors));
    to.counter(Id::BadRequests, &[name], all.count(|cells| &cells.bad_requests));
    to.counter(Id::HeaderTimeouts, &[name], all.count(|cells| &cells.header_timeouts));
    to.counter(Id::HandedOver, &[name], all.count(|cells| &cells.handed_over));
    to.counter(Id::Unrouted, &[name], all.count(|cells| &cells.unrouted));
}

/// `entry().or_insert_with()` that copies the name only when it is new.
fn entry<'a, K, V>(map: &'a mut BTreeMap<K, V>, name: &str, new: impl FnOnce() -> V) -> &'a mut V
where
    K: Ord + std::borrow::Borrow<str> + for<'b> From<&'b str>,
{
    if !map.contains_key(name) {
        map.insert(K::from(name), new());
    }
    map.get_mut(name).expect("it is there or was just added")
}

/// Between the two halves of a hand-over a sum may be below zero for a moment.
fn signed(sum: u64) -> f64 {
    sum as i64 as f64
}

/// One histogram, over all workers.
fn distribution<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Distribution {
    let mut sum = Distribution::default();
    histograms.into_iter().for_each(|histogram| sum.add(histogram));
    sum
}
