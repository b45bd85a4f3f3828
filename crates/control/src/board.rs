//! Where drivers write down what happened and everybody else reads it.
//!
//! Paperwork only: nothing here moves traffic, and drivers come here after the traffic has moved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use metrics::{ActiveView, BackendView, CertificateView, FileView, Metrics, ServiceView};
use proxy::ServiceId;
use routing::failover::Health;
use tokio::sync::{broadcast, watch};

use crate::events::{Event, EventLog, Kind};
use crate::handle::{ReloadError, Reloaded};
use crate::state::Store;
use crate::status::{ServiceStatus, Status, admin_word, health_word, reason_word};
use crate::tls::{Certificate, TlsStore, time_left};

mod archive;

pub(crate) struct Board {
    metrics: Arc<Metrics>,
    status: watch::Sender<Arc<Status>>,
    events: broadcast::Sender<Arc<Event>>,
    store: ArcSwap<Store>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Services in the order of the config; a driver not in it is not shown any more.
    order: Vec<ServiceId>,
    services: BTreeMap<ServiceId, Arc<ServiceStatus>>,
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
        Self { metrics, status, events, store, books: Mutex::default() }
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
    pub(crate) fn arrange(&self, order: Vec<ServiceId>) {
        let mut books = self.books();
        books.services.retain(|id, _| order.contains(id));
        books.order = order;
        self.show(&books);
        self.metrics.show(view(&self.status()));
    }

    /// Replaces the status of one service after a probe.
    pub(crate) fn publish(&self, service: ServiceId, status: ServiceStatus) {
        let mut books = self.books();
        books.services.insert(service, Arc::new(status));
        self.show(&books);
        drop(books);
        // The disk may have caught up, or fallen further behind.
        self.look_at_state();
    }

    /// Replaces the status of one service after a decision: the metrics show it as well.
    pub(crate) fn publish_decision(&self, service: ServiceId, status: ServiceStatus) {
        self.publish(service, status);
        self.metrics.show(view(&self.status()));
    }

    fn show(&self, books: &Books) {
        let services = books.order.iter().filter_map(|id| books.services.get(id).cloned());
        let services = services.collect();
        // Whoever changes what is said of the process does so at any time.
        self.status.send_modify(|status| {
            let process = status.process.clone();
            *status = Arc::new(Status { services, process });
        });
    }

    /// Every backend has been checked since the start, and none can serve.
    pub(crate) fn nobody_yet(&self, service: &Arc<str>) {
        tracing::error!(%service, "{NOBODY}");
    }

    /// Keeps an event, counts it, and tells the operator.
    pub(crate) fn record(&self, service: &Arc<str>, kind: Kind) {
        match &kind {
            Kind::ActiveChanged { from, to, reason, epoch, evidence, streams, .. } => {
                self.metrics.transition(service, reason_word(*reason));
                let nobody = to.is_none();
                let (from, to) = (name(from.as_deref()), name(to.as_deref()));
                let reason = reason_word(*reason);
                if nobody {
                    tracing::error!(%service, from, reason, epoch, %evidence, "{NOBODY}");
                } else if reason == "failover" {
                    tracing::warn!(%service, from, to, reason, epoch, %evidence, streams, "active changed");
                } else {
                    tracing::info!(%service, from, to, reason, epoch, %evidence, streams, "active changed");
                }
            }
            Kind::HealthChanged { backend, health, evidence } => {
                let now = health_word(*health);
                if *health == Health::Down {
                    tracing::warn!(%service, %backend, health = now, %evidence, "health changed");
                } else {
                    tracing::info!(%service, %backend, health = now, %evidence, "health changed");
                }
            }
            Kind::StreamsSettled { epoch, left, closed } => {
                tracing::info!(%service, epoch, left, closed, "streams of the old active settled");
            }
            Kind::AdminChanged { backend, admin } => {
                tracing::info!(%service, %backend, admin = admin_word(*admin), "admin state changed");
            }
            Kind::CalledOff { to, why } => {
                tracing::warn!(%service, to = name(to.as_deref()), %why, "a move was called off");
            }
            Kind::Verified { epoch } => tracing::info!(%service, epoch, "first good answer"),
            Kind::DrillBegan { backend, tag } => {
                tracing::warn!(%service, %backend, tag = tag.as_deref(), "drill");
            }
            Kind::DrillEnded { backend, early, answered } => {
                tracing::info!(%service, %backend, early, ?answered, "the drill is over");
            }
            Kind::Ordered { command, by, done, outcome } => {
                let (who, from, why) = (&by.who, &by.from, &by.why);
                tracing::info!(%service, %who, %from, %why, %command, done, %outcome, "ordered");
            }
            Kind::Locked { why } => {
                tracing::warn!(%service, %why, "locked: no automatic moves until unlocked");
            }
            Kind::Unlocked => tracing::info!(%service, "unlocked"),
            Kind::State { .. }
            | Kind::Reloaded { .. }
            | Kind::FilesLoaded { .. }
            | Kind::FileRefused { .. }
            | Kind::ReloadFailed { .. } => {}
        }
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
            let first = problems.lines().next().unwrap_or_default();
            let refused = format!("{REFUSED}{first}");
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

fn name(backend: Option<&str>) -> &str {
    backend.unwrap_or("nobody")
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

fn view(status: &Status) -> ActiveView {
    let services = status.services.iter().map(|service| ServiceView {
        name: service.name.clone(),
        epoch: service.epoch,
        backends: service
            .backends
            .iter()
            .map(|backend| BackendView {
                name: backend.name.clone(),
                active: backend.active,
                health: health_word(backend.health),
                admin: admin_word(backend.admin),
            })
            .collect(),
    });
    ActiveView { services: services.collect() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::status::{BackendStatus, Since};
    use crate::tls::Usage;

    #[test]
    fn certificates_that_expire_soon_are_called_to_mind_ours_and_those_of_backends() {
        let board = Board::new(Metrics::new(), Store::in_memory());
        let day = Duration::from_secs(24 * 60 * 60);
        let now = SystemTime::now();
        let certificate = |name: &str, left: u32| Certificate {
            usage: Usage::Listener,
            file: "a.pem".into(),
            names: vec![name.to_owned()],
            begins: UNIX_EPOCH,
            ends: now + day * left,
        };
        let backend = |name: &str| BackendStatus {
            name: name.into(),
            url: "https://127.0.0.1".into(),
            health: Health::Up,
            admin: routing::failover::AdminState::Ready,
            active: false,
            eligible_since: None,
            last_probe: None,
        };
        let status = ServiceStatus {
            name: "web".into(),
            active: None,
            epoch: 0,
            since: Since(Instant::now()),
            on_primary: false,
            pinned: false,
            locked: false,
            hold_down: None,
            flaps: 0,
            failback: None,
            switching: None,
            verifying: None,
            drill: None,
            scheduled: None,
            drift: Vec::new(),
            backends: vec![backend("a"), backend("b")],
        };
        board.arrange(vec![ServiceId(1)]);
        board.publish(ServiceId(1), status);
        for (backend, left) in [("a", 20), ("b", 30), ("removed", 1)] {
            board.backend_certificate(&"web".into(), &backend.into(), now + day * left);
        }
        let complaints = board.complaints(&[certificate("near", 3), certificate("far", 22)], now);
        assert_eq!(
            complaints,
            [
                "the certificate of near in a.pem expires in 3 days",
                "the certificate of backend web/a expires in 20 days",
            ]
        );
    }

    #[test]
    fn a_failed_reload_says_whether_anything_has_changed() {
        let board = Board::new(Metrics::new(), Store::in_memory());
        let said = |error: ReloadError| {
            board.reload_failed(&error);
            board.events(0).pop().map(|event| event.to_string()).unwrap_or_default()
        };
        let lost = said(ReloadError::Lost(proxy::Lost { worker: 3 }));
        assert!(lost.starts_with("reload incomplete: the new config is in force"), "{lost}");
        assert!(lost.ends_with(": worker 3 does not answer"), "{lost}");
        let late = said(ReloadError::Unfinished { service: "web".into() });
        assert!(late.starts_with("reload incomplete: the new config is in force"), "{late}");
        let unreadable = std::io::Error::other("no such file");
        let read = said(ReloadError::Read { file: "u.yaml".into(), source: unreadable });
        assert_eq!(read, "reload refused: cannot read u.yaml: no such file");
    }
}
