//! One service as a worker sees it: who is active, and the bounds on waiting.
//!
//! Decides nothing: control says who is active, and this remembers it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::{StreamPolicy, UpstreamProtocol};
use metrics::Metrics;
use metrics::cells::ServiceCells;
use routing::failover::BackendId;
use tokio::sync::mpsc;

use crate::flight::Flights;
use crate::spec::{Leave, ServiceId, ServiceSpec, Suspicion, Symptom};
use crate::upstream::backend::Backend;
use crate::upstream::h1::Malformed;

/// One service of a worker.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) id: ServiceId,
    pub(crate) cells: Arc<ServiceCells>,
    spec: RefCell<Rc<ServiceSpec>>,
    backends: RefCell<Vec<Rc<Backend>>>,
    active: RefCell<Option<Rc<Backend>>>,
    epoch: Cell<u64>,
    verdicts: Cell<u64>,
    pub(crate) held: Cell<usize>,
    pub(crate) held_bytes: Cell<usize>,
    suspicions: mpsc::Sender<Suspicion>,
    /// This worker's share of what bounds all of them.
    share: Share,
}

/// A worker's part of a limit that is meant for all workers together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) workers: usize,
}

impl Share {
    /// Rounded up, so that a small limit still lets every worker do something.
    pub(crate) fn of(self, limit: usize) -> usize {
        limit.div_ceil(self.workers)
    }
}

/// What a service looked like when a request decided to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    epoch: u64,
    verdicts: u64,
}

impl Service {
    pub(crate) fn new(
        spec: &ServiceSpec,
        metrics: &Metrics,
        worker: usize,
        share: Share,
        suspicions: mpsc::Sender<Suspicion>,
    ) -> Rc<Self> {
        let service = Rc::new(Self {
            id: spec.id,
            cells: metrics.service(worker, &spec.name),
            spec: RefCell::new(Rc::new(spec.clone())),
            backends: RefCell::default(),
            active: RefCell::default(),
            epoch: Cell::new(0),
            verdicts: Cell::new(0),
            held: Cell::new(0),
            held_bytes: Cell::new(0),
            suspicions,
            share,
        });
        service.configure(spec, metrics, worker);
        service
    }

    /// Takes over a new specification. Known backends keep their connections; the active stays, even
    /// when it is no longer listed, until control names another.
    pub(crate) fn configure(&self, spec: &ServiceSpec, metrics: &Metrics, worker: usize) {
        let old = self.backends.take();
        *self.backends.borrow_mut() = spec
            .backends
            .iter()
            .map(|backend| match old.iter().find(|known| known.id == backend.id) {
                Some(known) => {
                    known.configure(backend);
                    Rc::clone(known)
                }
                None => Backend::new(
                    backend.clone(),
                    metrics.backend(worker, &spec.name, &backend.name),
                ),
            })
            .collect();
        *self.spec.borrow_mut() = Rc::new(spec.clone());
    }

    pub(crate) fn spec(&self) -> Rc<ServiceSpec> {
        Rc::clone(&self.spec.borrow())
    }

    /// Whether its backends may speak HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        let spec = self.spec.borrow();
        match spec.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Auto => spec.backends.iter().any(|b| b.destination.tls.is_some()),
        }
    }

    /// The active, if any.
    pub(crate) fn active(&self) -> Option<Rc<Backend>> {
        self.active.borrow().clone()
    }

    /// Whether `backend` is the one that gets the traffic now. Asked right before sending.
    pub(crate) fn is_active(&self, backend: &Rc<Backend>) -> bool {
        self.active.borrow().as_ref().is_some_and(|active| Rc::ptr_eq(active, backend))
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { epoch: self.epoch.get(), verdicts: self.verdicts.get() }
    }

    /// Carries out control's order; see [`crate::Workers::activate`].
    pub(crate) fn activate(
        self: &Rc<Self>,
        epoch: u64,
        id: Option<BackendId>,
        leave: Leave,
        policy: StreamPolicy,
        flights: &Flights,
    ) -> usize {
        let next = id
            .and_then(|id| self.backends.borrow().iter().find(|backend| backend.id == id).cloned());
        let previous = self.active.replace(next.clone());
        self.epoch.set(epoch);
        if let Some(previous) =
            previous.filter(|previous| next.as_ref().is_none_or(|next| !Rc::ptr_eq(previous, next)))
        {
            previous.abandoned.set(leave == Leave::Abandon);
            previous.suspected.set(false);
            previous.purge();
        }
        if let Some(next) = &next {
            next.abandoned.set(false);
            next.suspected.set(false);
        }
        let streams = flights.abandon_others(self, next.as_ref(), policy);
        self.cells.streams_left.add(streams as u64);
        if next.is_some() {
            flights.wake_held(self);
        }
        streams
    }

    /// A suspected backend has answered a probe.
    pub(crate) fn cleared(self: &Rc<Self>, id: BackendId, flights: &Flights) {
        if let Some(backend) = self.backends.borrow().iter().find(|backend| backend.id == id) {
            backend.suspected.set(false);
        }
        self.verdicts.set(self.verdicts.get() + 1);
        flights.wake_held(self);
    }

    /// Asks control for probes of `backend`. One suspicion at a time is enough: the next waits for
    /// the verdict on the last.
    pub(crate) fn suspect(&self, backend: &Backend, symptom: Symptom) {
        backend.cells.suspicions[symptom as usize].inc();
        backend.symptom.set(Some(symptom));
        if !backend.suspected.get() {
            backend.told_at.set(Some(Instant::now()));
            self.tell(backend, symptom);
        }
    }

    /// Tells the operator, once a second at most, that what `backend` answers cannot be passed on.
    pub(crate) fn complain(&self, backend: &Backend, malformed: &Malformed) {
        if is_due(&backend.complained_at, Instant::now()) {
            let (service, backend) = (&self.spec.borrow().name, &backend.spec().name);
            tracing::warn!(%service, %backend, %malformed, "cannot pass on what a backend answers");
        }
    }

    /// Raises the suspicion that `backend` hangs, unless it was raised within the last second: a slow
    /// request among fast ones must not keep the probes busy.
    pub(crate) fn suspect_stall(&self, backend: &Backend, now: Instant) {
        if is_due(&backend.stall_suspected_at, now) {
            backend.cells.suspicions[Symptom::Stalled as usize].inc();
            self.tell(backend, Symptom::Stalled);
        }
    }

    /// A request still waits for the verdict on `backend`. Its suspicion may have been lost on the
    /// way, when control had too much to do; so it is repeated once a second.
    pub(crate) fn suspect_again(&self, backend: &Backend, now: Instant) {
        if is_due(&backend.told_at, now)
            && let Some(symptom) = backend.symptom.get()
        {
            self.tell(backend, symptom);
        }
    }

    fn tell(&self, backend: &Backend, symptom: Symptom) {
        let suspicion = Suspicion { service: self.id, backend: backend.id, symptom };
        backend.suspected.set(self.suspicions.try_send(suspicion).is_ok());
    }

    pub(crate) fn may_hold(&self, bytes: usize) -> bool {
        let limits = &self.spec.borrow().hold;
        self.held.get() < self.share.of(limits.requests)
            && self.held_bytes.get() + bytes <= self.share.of(limits.bytes)
    }

    pub(crate) fn sweep(&self, now: Instant) {
        let idle_timeout = self.spec.borrow().connections.idle_timeout;
        for backend in self.backends.borrow().iter() {
            backend.sweep(now, idle_timeout);
        }
    }
}

/// Whether a second has passed since the last time, which becomes now if so.
fn is_due(last: &Cell<Option<Instant>>, now: Instant) -> bool {
    let due = last.get().is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN_AFTER);
    if due {
        last.set(Some(now));
    }
    due
}

const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
