//! Where drivers write down what happened and everybody else reads it.
//!
//! Paperwork only: nothing here moves traffic, and drivers come here after the traffic has moved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use config::Severity;
use config::model::Config;
use metrics::{
    ActiveView, BackendView, CertificateView, FileView, GatesView, JobBackendView, JobView,
    Metrics, ServiceView,
};
use proxy::ServiceId;
use routing::failover::Health;
use tokio::sync::{broadcast, watch};

use crate::events::{Event, EventLog, Kind};
use crate::handle::{ReloadError, Reloaded};
use crate::logs::Logs;
use crate::notify::PlannedNotifier;
use crate::state::Store;
use crate::status::{
    JobStatus, ServiceStatus, Status, admin_word, health_word, reason_word, role_word,
};
use crate::tls::{Certificate, TlsStore, time_left};
use crate::traces::TraceBoard;

mod archive;
mod log;
mod running;
mod witnesses;

pub(crate) struct Board {
    metrics: Arc<Metrics>,
    status: watch::Sender<Arc<Status>>,
    events: broadcast::Sender<Arc<Event>>,
    store: ArcSwap<Store>,
    /// Those of the running config.
    notifiers: ArcSwap<Vec<PlannedNotifier>>,
    /// The one in force.
    config: ArcSwapOption<Config>,
    /// For whoever exports traces.
    pub(crate) traces: TraceBoard,
    logs: ArcSwap<Logs>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Where each service is shown, in the order of the config; one without a place is not shown.
    places: BTreeMap<ServiceId, usize>,
    /// What is known of services that have no place yet.
    early: BTreeMap<ServiceId, Arc<ServiceStatus>>,
    log: EventLog,
    /// When the certificates that backends have shown expire, by service and backend.
    expiries: BTreeMap<(Arc<str>, Arc<str>), SystemTime>,
    /// A worker is lost or late: we are not ready whatever the services say.
    fault: Option<String>,
    stopping: bool,
}

/// How many events a follower may fall behind before it misses some.
const BEHIND: usize = 256;

/// How the drift of a file that was refused begins.
const REFUSED: &str = "the file was refused, what ran before stays: ";

/// The worst that can be said of a service; a word for whoever searches the log.
const NOBODY: &str = "nobody can serve: requests wait for a backend, then get 503";

impl Board {
    pub(crate) fn new(metrics: Arc<Metrics>, store: Store) -> Self {
        let status = watch::Sender::new(Arc::default());
        let (events, _) = broadcast::channel(BEHIND);
        let store = ArcSwap::from_pointee(store);
        let notifiers = ArcSwap::default();
        let (config, traces) = (ArcSwapOption::default(), TraceBoard::default());
        let (logs, books) = (ArcSwap::default(), Mutex::default());
        Self { metrics, status, events, store, notifiers, config, traces, logs, books }
    }

    /// The books stay usable after a panic elsewhere: every change to them is a single step.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Status>> {
        self.status.subscribe()
    }

    pub(crate) fn ready(&self) -> Result<(), String> {
        let books = self.books();
        if books.stopping {
            return Err("stopping".to_owned());
        }
        if let Some(fault) = &books.fault {
            return Err(fault.clone());
        }
        let status = self.status();
        if status.process.cut_off.is_some() {
            let witnesses = status.process.witnesses;
            return Err(format!("cut off: none of the {witnesses} witnesses answers"));
        }
        let waiting = status.services.iter().find(|service| !service.settled());
        waiting.map_or(Ok(()), |service| {
            let unchecked = service.backends.iter().filter(|b| b.health == Health::Unknown);
            let names: Vec<&str> = unchecked.map(|backend| &*backend.name).collect();
            Err(format!("service {}: no verdict yet on {}", service.name, names.join(", ")))
        })
    }

    /// Notes that a worker is lost or late, or, with `None`, that all have answered.
    pub(crate) fn set_fault(&self, fault: Option<String>) {
        let mut books = self.books();
        if books.fault == fault {
            return;
        }
        match &fault {
            Some(fault) => tracing::error!("{fault}"),
            None => tracing::info!("all workers answer again"),
        }
        books.fault = fault;
    }

    /// From now on we are not ready, so that whoever sends us traffic looks elsewhere.
    pub(crate) fn stop(&self) {
        self.books().stopping = true;
    }

    /// Which services are shown, and in which order.
    pub(crate) fn arrange(&self, order: &[ServiceId]) {
        let mut books = self.books();
        let mut known = std::mem::take(&mut books.early);
        let shown = self.status();
        let places = std::mem::take(&mut books.places);
        known.extend(
            places.iter().filter_map(|(id, at)| Some((*id, shown.services.get(*at)?.clone()))),
        );
        let services: Vec<_> =
            order.iter().filter_map(|id| Some((*id, known.remove(id)?))).collect();
        books.places = services.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        let services: Vec<_> = services.into_iter().map(|(_, service)| service).collect();
        self.metrics.show(ActiveView { services: services.iter().map(|s| view(s)).collect() });
        self.change(|status| status.services = services);
    }

    /// Replaces the status of one service after a probe. Costs no more with many others beside it,
    /// unless somebody still holds an older status: then it is copied.
    pub(crate) fn publish(&self, service: ServiceId, status: ServiceStatus) {
        let status = Arc::new(status);
        let mut books = self.books();
        match books.places.get(&service).copied() {
            None => drop(books.early.insert(service, status)),
            Some(place) => self.change(|all| {
                if let Some(shown) = all.services.get_mut(place) {
                    *shown = status;
                }
            }),
        }
        drop(books);
        // The disk may have caught up, or fallen further behind.
        self.look_at_state();
    }

    /// Replaces the status of one service after a decision: the metrics show it as well.
    pub(crate) fn publish_decision(&self, service: ServiceId, status: ServiceStatus) {
        if self.books().places.contains_key(&service) {
            self.metrics.show_service(view(&status));
        }
        self.publish(service, status);
    }

    /// Changes the status, and tells whoever follows.
    fn change(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(|status| change(Arc::make_mut(status)));
    }

    /// Every backend has been checked since the start, and none can serve.
    pub(crate) fn nobody_yet(&self, service: &Arc<str>) {
        tracing::error!(%service, "{NOBODY}");
    }

    /// Keeps an event, counts it, and tells the operator.
    pub(crate) fn record(&self, service: &Arc<str>, kind: Kind) {
        if let Kind::ActiveChanged { reason, .. } = &kind {
            self.metrics.transition(service, reason_word(*reason));
        }
        log::tell(service, &kind);
        self.note(Some(service.clone()), kind);
    }

    /// The config of the start is in force: it counts as the first that was taken.
    pub(crate) fn loaded(&self) {
        self.metrics.reload(true, now());
    }

    pub(crate) fn reloaded(&self, reloaded: &Reloaded) {
        self.metrics.reload(true, now());
        warn(&reloaded.warnings);
        let Some(changes) = &reloaded.changes else {
            tracing::info!("reload: nothing changed");
            return;
        };
        tracing::info!(%changes, "reloaded");
        self.note(None, Kind::Reloaded { changes: changes.as_str().into() });
    }

    /// Files have been read again, for the same config.
    pub(crate) fn loaded_again(&self, reloaded: &Reloaded) {
        warn(&reloaded.warnings);
        if let Some(changes) = &reloaded.changes {
            tracing::info!(%changes, "files have changed");
            self.note(None, Kind::FilesLoaded { changes: changes.as_str().into() });
        }
    }

    /// Shows the certificates of the config in force, and says which files are bad that were not, or
    /// not in this way, with those of the config `before`.
    pub(crate) fn certified(&self, tls: &TlsStore, before: Option<&TlsStore>) {
        let certificates = tls.certificates().iter().map(|certificate| CertificateView {
            usage: certificate.usage.as_str(),
            file: text(&certificate.file),
            name: certificate.names.first().map_or_else(Arc::default, |name| name.as_str().into()),
            expires: seconds(certificate.ends),
        });
        let refused = |file: &PathBuf| tls.refused().iter().any(|refused| refused.file == *file);
        let files = tls.watched().into_iter();
        let files = files.map(|file| FileView { file: text(&file), in_use: !refused(&file) });
        self.metrics.show_certificates(certificates.collect(), files.collect());
        for refused in tls.refused() {
            if before.is_some_and(|before| before.refused().contains(refused)) {
                continue;
            }
            let (file, why) = (text(&refused.file), &refused.why);
            self.metrics.certificate_refused(&file);
            tracing::error!(%file, "the old file stays in use: {why}");
            let why = why.as_str().into();
            self.note(None, Kind::FileRefused { file, why });
        }
    }

    /// A backend has shown a certificate to a probe.
    pub(crate) fn backend_certificate(
        &self,
        service: &Arc<str>,
        backend: &Arc<str>,
        expires: SystemTime,
    ) {
        let name = (service.clone(), backend.clone());
        let before = self.books().expiries.insert(name, expires);
        if before == Some(expires) {
            return;
        }
        self.metrics.backend_certificate(service, backend, Some(seconds(expires)));
        let now = SystemTime::now();
        let complaint = |expires| certificate_of(service, backend, expires, now);
        // Once: the rest is called to mind day by day.
        if before.and_then(complaint).is_none()
            && let Some(complaint) = complaint(expires)
        {
            tracing::warn!("{complaint}");
        }
    }

    /// A backend is reached in the clear: what it has shown before does not matter any more.
    pub(crate) fn no_backend_certificate(&self, service: &Arc<str>, backend: &Arc<str>) {
        let name = (service.clone(), backend.clone());
        if self.books().expiries.remove(&name).is_some() {
            self.metrics.backend_certificate(service, backend, None);
        }
    }

    /// Warns of certificates that expire soon, ours and those of backends.
    pub(crate) fn call_to_mind(&self, certificates: &[Certificate], now: SystemTime) {
        warn(&self.complaints(certificates, now));
    }

    fn complaints(&self, certificates: &[Certificate], now: SystemTime) -> Vec<String> {
        let status = self.status();
        let mut books = self.books();
        books.expiries.retain(|(service, backend), _| {
            status.service(service).is_some_and(|s| s.backends.iter().any(|b| b.name == *backend))
        });
        let ours = certificates.iter().filter_map(|certificate| certificate.complaint(now));
        let theirs = books.expiries.iter().filter_map(|((service, backend), expires)| {
            certificate_of(service, backend, *expires, now)
        });
        ours.chain(theirs).collect()
    }

    pub(crate) fn reload_failed(&self, error: &ReloadError) {
        self.metrics.reload(false, now());
        let problems = with_sources(error);
        if error.is_refusal() {
            tracing::error!("reload refused, the running config stays:\n{problems}");
            // Until a later one is taken. What waits for a restart waits on.
            let refused = format!("{REFUSED}{}", first_problem(error, &problems));
            self.change_process(|process| {
                process.drift.retain(|drift| !drift.starts_with(REFUSED));
                process.drift.push(refused);
            });
        } else {
            tracing::error!("reload incomplete: {problems}");
        }
        self.note(
            None,
            Kind::ReloadFailed { refused: error.is_refusal(), problems: problems.into() },
        );
    }
}

fn now() -> f64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn text(file: &Path) -> Arc<str> {
    file.display().to_string().into()
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

fn certificate_of(
    service: &str,
    backend: &str,
    expires: SystemTime,
    now: SystemTime,
) -> Option<String> {
    time_left(&format!("the certificate of backend {service}/{backend}"), expires, now)
}

/// An error and what caused it, on one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The first of the `problems` of `error` on one line, with its place in the file if it has one.
fn first_problem(error: &ReloadError, problems: &str) -> String {
    let first_line = || problems.lines().next().unwrap_or_default().to_owned();
    match error {
        ReloadError::Config(config::Problems { problems }) => {
            let first = problems.iter().find(|problem| problem.severity == Severity::Error);
            first.map_or_else(first_line, config::Problem::in_one_line)
        }
        ReloadError::Build(_)
        | ReloadError::Read { .. }
        | ReloadError::Lost(_)
        | ReloadError::Unfinished { .. }
        | ReloadError::NoFile
        | ReloadError::Stopping => first_line(),
    }
}

fn view(service: &ServiceStatus) -> ServiceView {
    let backends = service.backends.iter().map(|backend| BackendView {
        name: backend.name.clone(),
        active: backend.active,
        health: health_word(backend.health),
        admin: admin_word(backend.admin),
        role: backend.role.map(role_word),
        is_undecided: backend.undecided.is_some(),
        is_barred: service.gates.as_ref().map(|_| backend.barred),
        standby_ready: backend.readiness.as_ref().map(|readiness| readiness.is_ready),
    });
    ServiceView {
        name: service.name.clone(),
        epoch: service.epoch,
        is_on_primary: service.on_primary,
        is_locked: service.locked,
        jobs: service.jobs.iter().map(job_view).collect(),
        is_dual_active: service.dual_active.as_ref().is_some_and(|dual| !dual.accepted),
        gates: service.gates.as_ref().map(|names| GatesView {
            names: names.to_vec(),
            is_in_doubt: service.gate.as_ref().is_some_and(|gate| gate.in_doubt),
        }),
        backends: backends.collect(),
    }
}

fn job_view(job: &JobStatus) -> JobView {
    let backends = job.backends.iter().map(|backend| JobBackendView {
        name: backend.name.clone(),
        succeeded: backend.succeeded,
        // Of a standby that nothing is known of, too.
        is_stale: job.max_age.filter(|_| !backend.is_active).map(|_| backend.is_stale),
    });
    JobView {
        name: job.name.clone(),
        is_running: job.running.is_some(),
        took: job.took,
        failures: job.failures,
        backends: backends.collect(),
    }
}

#[cfg(test)]
mod tests;
