//! Keeps the cells, and adds the workers' up when a scrape asks.
//!
//! One mutex guards which cells exist. Workers take it when they are given a new snapshot, never on
//! the way of a request; what they count goes to their own cells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cells::{
    BackendCells, Counter, Distribution, Gauge, Histogram, ListenerCells, MOVE_BOUNDS,
    PROBE_BOUNDS, ServiceCells,
};
use crate::certificates::{CertificateView, Certificates, FileView};
use crate::exposition::Exposition;
use crate::names::Id;

mod counted;
mod gates;
mod jobs;
mod logs;
mod notifications;
mod probes;
mod process;
mod requests;
mod spans;
mod view;

pub use counted::Counted;
use gates::Gates;
pub use jobs::{JobBackendView, JobView};
pub use logs::LogCounts;
use notifications::Notifiers;
use probes::Ours;
pub use probes::ProbeView;
use process::Process;
pub use spans::Spans;
pub use view::{ActiveView, BackendView, GatesView, ServiceView};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const BLAMES: [&str; 3] = ["downstream", "upstream", "internal"];
const SYMPTOMS: [&str; 6] = ["refused", "reset", "tls", "stalled", "errors", "drain"];
const REASONS: [&str; 8] =
    ["startup", "failover", "failback", "recovery", "switchover", "reload", "return", "drill"];
const PHASES: [&str; 4] = ["detect", "switch", "total", "answer"];
const VERDICTS: [&str; 3] = ["pass", "fail", "inconclusive"];
const HEALTHS: [&str; 3] = ["unknown", "up", "down"];
const ADMINS: [&str; 3] = ["ready", "drain", "maintenance"];
const ROLES: [&str; 4] = ["active", "standby", "promoting", "fenced"];

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
    ours: Ours,
    notifiers: Notifiers,
    process: Process,
    spans: Arc<Spans>,
    logs: logs::Logs,
}

/// The cells of each worker for the same thing.
#[derive(Debug)]
struct Workers<T>(BTreeMap<usize, Arc<T>>);

impl<T> Clone for Workers<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Clone, Debug)]
struct Service {
    /// From the last view; `None` when it was not in it.
    epoch: Option<u64>,
    is_dual_active: bool,
    is_on_primary: bool,
    is_locked: bool,
    workers: Workers<ServiceCells>,
    backends: BTreeMap<Arc<str>, Backend>,
    jobs: jobs::Jobs,
    transitions: BTreeMap<String, u64>,
    failovers: BTreeMap<String, Arc<Histogram>>,
    gates: Gates,
}

#[derive(Clone, Debug)]
struct Backend {
    /// From the last view; `None` when it was not in it.
    shown: Option<BackendView>,
    workers: Workers<BackendCells>,
    probes: BTreeMap<String, u64>,
    probe_duration: Arc<Histogram>,
    /// Seconds since the epoch.
    certificate_expires: Option<f64>,
    /// In seconds.
    clock_ahead: Option<f64>,
    /// When the last verdict came, in seconds since the epoch.
    last_verdict: Option<f64>,
    /// It has claimed a role before: from then on it is shown that it claims none.
    has_claimed: bool,
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
            state.service(&shown.name.clone()).show(shown);
        }
        state.forget_unused();
    }

    /// Replaces what a scrape shows of one service of the last view; costs no more with many others.
    pub fn show_service(&self, shown: ServiceView) {
        let mut state = self.lock();
        let Some(service) = state.services.get_mut(&shown.name) else { return };
        service.backends.values_mut().for_each(|backend| backend.shown = None);
        service.show(shown);
        service.forget_unused();
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
        entry(failovers, phase, Arc::default).observe(took);
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
        // Copied one service at a time, and written down without the lock: probes are counted under it,
        // and must not wait for a scrape.
        let names: Vec<_> = self.lock().services.keys().cloned().collect();
        for name in &names {
            let copied = self.lock().shown_service(name);
            if let Some((service, viewed)) = copied {
                service.collect(name, viewed, &mut to);
            }
        }
        self.lock().collect_others(&mut to);
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
        self.services.values_mut().for_each(Service::forget_unused);
        self.services.retain(|_, service| {
            service.epoch.is_some() || service.workers.in_use() || !service.backends.is_empty()
        });
        self.listeners.retain(|_, workers| workers.in_use());
    }

    /// A copy of a service that a scrape shows, and whether anything was viewed.
    fn shown_service(&self, name: &str) -> Option<(Service, bool)> {
        let shown = |service: &&Service| service.epoch.is_some() || !self.viewed;
        self.services.get(name).filter(shown).map(|service| (service.clone(), self.viewed))
    }

    fn collect_others(&self, to: &mut Exposition) {
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
        self.ours.collect(to);
        self.certificates.collect(to);
        self.notifiers.collect(to);
        self.process.collect(to);
        self.spans.collect(to);
        self.logs.collect(to);
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
            is_dual_active: false,
            is_on_primary: false,
            is_locked: false,
            workers: Workers::default(),
            backends: BTreeMap::new(),
            jobs: jobs::Jobs::default(),
            transitions: REASONS.iter().map(|reason| ((*reason).to_owned(), 0)).collect(),
            failovers: PHASES.iter().map(|phase| ((*phase).to_owned(), Arc::default())).collect(),
            gates: Gates::default(),
        }
    }

    fn backend(&mut self, name: &str) -> &mut Backend {
        entry(&mut self.backends, name, Backend::new)
    }

    fn show(&mut self, shown: ServiceView) {
        self.epoch = Some(shown.epoch);
        self.is_dual_active = shown.is_dual_active;
        self.gates.show(shown.gates.as_ref());
        self.jobs.show(&shown.jobs);
        self.is_on_primary = shown.is_on_primary;
        self.is_locked = shown.is_locked;
        for shown in shown.backends {
            let name = Arc::clone(&shown.name);
            let backend = self.backend(&name);
            backend.has_claimed |= shown.role.is_some();
            backend.shown = Some(shown);
        }
    }

    fn forget_unused(&mut self) {
        self.backends.retain(|_, backend| backend.shown.is_some() || backend.workers.in_use());
    }

    fn collect(&self, name: &str, viewed: bool, to: &mut Exposition) {
        if let Some(epoch) = self.epoch {
            let mut backends = self.backends.values().filter_map(|backend| backend.shown.as_ref());
            let active = backends.any(|backend| backend.active);
            to.gauge(Id::ServiceHasActive, &[name], f64::from(u8::from(active)));
            to.gauge(Id::ServiceEpoch, &[name], epoch as f64);
            to.gauge(Id::ServiceOnPrimary, &[name], f64::from(u8::from(self.is_on_primary)));
            to.gauge(Id::ServiceLocked, &[name], f64::from(u8::from(self.is_locked)));
            to.gauge(Id::DualActive, &[name], f64::from(u8::from(self.is_dual_active)));
        }
        for (reason, count) in &self.transitions {
            to.counter(Id::ServiceTransitions, &[name, reason], *count);
        }
        for (phase, histogram) in &self.failovers {
            let durations = distribution([&**histogram]);
            to.histogram(Id::FailoverDuration, &[name, phase], &durations, MOVE_BOUNDS);
        }
        self.gates.collect(name, self.epoch.is_some(), to);
        self.jobs.collect(name, to);
        self.collect_requests(name, to);
        for (backend_name, backend) in &self.backends {
            if backend.shown.is_some() || !viewed {
                backend.collect([name, backend_name], to);
            }
        }
    }
}

impl Backend {
    fn new() -> Self {
        Self {
            shown: None,
            workers: Workers::default(),
            probes: VERDICTS.iter().map(|verdict| ((*verdict).to_owned(), 0)).collect(),
            probe_duration: Arc::default(),
            certificate_expires: None,
            clock_ahead: None,
            last_verdict: None,
            has_claimed: false,
        }
    }

    fn collect(&self, names: [&str; 2], to: &mut Exposition) {
        let [service, backend] = names;
        if let Some(shown) = &self.shown {
            to.gauge(Id::BackendActive, &names, f64::from(u8::from(shown.active)));
            to.states(Id::BackendHealth, names, &HEALTHS, shown.health);
            to.states(Id::BackendAdmin, names, &ADMINS, shown.admin);
            if self.has_claimed {
                to.states(Id::BackendRole, names, &ROLES, shown.role.unwrap_or_default());
            }
            to.gauge(Id::BackendUndecided, &names, f64::from(u8::from(shown.is_undecided)));
            if let Some(is_barred) = shown.is_barred {
                to.gauge(Id::BackendBarred, &names, f64::from(u8::from(is_barred)));
            }
            if let Some(is_ready) = shown.standby_ready {
                to.gauge(Id::StandbyReady, &names, f64::from(u8::from(is_ready)));
            }
        }
        for (verdict, count) in &self.probes {
            to.counter(Id::Probes, &[service, backend, verdict], *count);
        }
        let durations = distribution([&*self.probe_duration]);
        to.histogram(Id::ProbeDuration, &names, &durations, PROBE_BOUNDS);
        if let Some(expires) = self.certificate_expires {
            to.gauge(Id::BackendCertificateExpires, &names, expires);
        }
        if let Some(at) = self.last_verdict {
            to.gauge(Id::LastVerdict, &names, at);
        }
        if let Some(ahead) = self.clock_ahead {
            to.gauge(Id::ClockSkew, &names, ahead);
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
