//! One service as a worker sees it: who is active, and the bounds on waiting.
//!
//! Decides nothing: control says who is active, and this remembers it.

mod suspicion;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use config::model::{StreamPolicy, UpstreamProtocol};
use http::StatusCode;
use metrics::Metrics;
use metrics::cells::ServiceCells;
use routing::failover::BackendId;
use tokio::sync::mpsc;

use crate::drain::Drains;
use crate::flight::Flights;
use crate::spec::{Answered, Leave, Notice, ServiceId, ServiceSpec, Tag};
use crate::stamp::Stamp;
use crate::tags::Tags;
use crate::upstream::backend::Backend;

/// One service of a worker.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) id: ServiceId,
    pub(crate) cells: Arc<ServiceCells>,
    spec: RefCell<Rc<ServiceSpec>>,
    backends: RefCell<Vec<Rc<Backend>>>,
    /// Nobody during a hold.
    active: RefCell<Option<Rc<Backend>>>,
    epoch: Cell<u64>,
    holding: Cell<bool>,
    /// The hold that goes on waits, or has waited, for requests to leave; its end takes as long as
    /// that takes everywhere, however soon it is done here.
    hold_drains: Cell<bool>,
    /// Who is active again when a hold is released.
    kept: RefCell<Option<Rc<Backend>>>,
    /// Holds that have ended.
    hold_number: Cell<u64>,
    pub(crate) drains: Drains,
    pub(crate) tags: Tags,
    /// What requests say of the epoch.
    stamp: RefCell<Option<Rc<Stamp>>>,
    /// Nobody has answered well since the last move.
    unanswered: Cell<bool>,
    /// Somebody has, with an error, and control was told.
    has_erred: Cell<bool>,
    /// What control could not be told yet.
    untold: Cell<Option<Answered>>,
    verdicts: Cell<u64>,
    pub(crate) held: Cell<usize>,
    pub(crate) held_bytes: Cell<usize>,
    notices: mpsc::Sender<Notice>,
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
        notices: mpsc::Sender<Notice>,
    ) -> Rc<Self> {
        let service = Rc::new(Self {
            id: spec.id,
            cells: metrics.service(worker, &spec.name),
            spec: RefCell::new(Rc::new(spec.clone())),
            backends: RefCell::default(),
            active: RefCell::default(),
            epoch: Cell::new(0),
            holding: Cell::new(false),
            hold_drains: Cell::new(false),
            kept: RefCell::default(),
            hold_number: Cell::new(0),
            drains: Drains::default(),
            tags: Tags::default(),
            stamp: RefCell::default(),
            unanswered: Cell::new(false),
            has_erred: Cell::new(false),
            untold: Cell::new(None),
            verdicts: Cell::new(0),
            held: Cell::new(0),
            held_bytes: Cell::new(0),
            notices,
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
        self.tags.retain(|tagged| self.backends.borrow().iter().any(|b| Rc::ptr_eq(b, tagged)));
        *self.spec.borrow_mut() = Rc::new(spec.clone());
        self.stamp_epoch();
    }

    fn stamp_epoch(&self) {
        let spec = self.spec.borrow();
        let stamp = spec.epoch_header.as_ref().map(|name| Stamp::new(name, self.epoch.get()));
        *self.stamp.borrow_mut() = stamp;
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

    /// Whether `backend` is the one that gets the traffic now.
    pub(crate) fn is_active(&self, backend: &Rc<Backend>) -> bool {
        self.active.borrow().as_ref().is_some_and(|active| Rc::ptr_eq(active, backend))
    }

    /// Whether what was begun for `backend` under `epoch` may be sent. Asked right before sending.
    pub(crate) fn may_send(&self, backend: &Rc<Backend>, epoch: u64) -> bool {
        self.is_active(backend) && self.epoch.get() == epoch
    }

    /// The same for a tagged request.
    pub(crate) fn may_send_tagged(&self, backend: &Rc<Backend>) -> bool {
        !self.holding.get() && (self.tags.is_at(backend) || self.is_active(backend))
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// What a request says of the present epoch, if anything.
    pub(crate) fn stamp(&self) -> Option<Rc<Stamp>> {
        self.stamp.borrow().clone()
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { epoch: self.epoch.get(), verdicts: self.verdicts.get() }
    }

    /// Carries out control's order; see [`crate::Workers::hold`]. Returns how many responses and tunnels
    /// are under way.
    pub(crate) fn hold(self: &Rc<Self>, leave: Leave, flights: &Flights) -> usize {
        if !self.holding.replace(true) {
            *self.kept.borrow_mut() = self.active.take();
        }
        if let Some(kept) = self.kept.borrow().as_ref()
            && leave == Leave::Abandon
        {
            kept.abandoned.set(true);
            kept.purge();
        }
        for backend in self.backends.borrow().iter().chain(self.kept.borrow().iter()) {
            backend.abandon_waiting();
        }
        flights.abandon_others(self, None, StreamPolicy::Keep)
    }

    /// Carries out control's order; see [`crate::Workers::release`].
    pub(crate) fn release(self: &Rc<Self>, flights: &Flights) {
        if !self.holding.get() {
            return;
        }
        let active = self.kept.take();
        if let Some(active) = &active {
            active.abandoned.set(false);
        }
        *self.active.borrow_mut() = active;
        self.end_hold();
        flights.wake_held(self);
    }

    /// Carries out control's order; see [`crate::Workers::tag`].
    pub(crate) fn tag(&self, tag: Option<Tag>) {
        let tag = tag.and_then(|tag| {
            let backends = self.backends.borrow();
            let backend = backends.iter().find(|backend| backend.id == tag.backend)?;
            Some((tag, Rc::clone(backend)))
        });
        self.tags.set(tag);
        let kept = self.kept.borrow();
        self.tags.retain(|tagged| {
            let is_kept = kept.as_ref().is_some_and(|kept| Rc::ptr_eq(kept, tagged));
            !is_kept && !self.is_active(tagged)
        });
    }

    /// Whether it is held: nothing is begun.
    pub(crate) fn is_holding(&self) -> bool {
        self.holding.get()
    }

    /// The hold that goes on has a drain: the limits apply until it ends.
    pub(crate) fn drain_hold(&self) {
        self.hold_drains.set(true);
    }

    fn end_hold(&self) {
        self.hold_drains.set(false);
        if self.holding.replace(false) {
            self.hold_number.set(self.hold_number.get() + 1);
            self.drains.look();
        }
    }

    /// Names the hold that goes on, or the next.
    pub(crate) fn hold_number(&self) -> u64 {
        self.hold_number.get()
    }

    /// No request is at a backend: what could still leave belongs to none.
    pub(crate) fn cut_unsent(&self) {
        for backend in self.backends.borrow().iter().chain(self.kept.borrow().iter()) {
            backend.abandon_unsent();
        }
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
        let active = self.active.replace(next.clone());
        let previous = self.kept.take().or(active);
        if self.epoch.replace(epoch) != epoch {
            self.stamp_epoch();
            self.unanswered.set(next.is_some());
            self.has_erred.set(false);
            self.untold.set(None);
        }
        if let Some(previous) =
            previous.filter(|previous| next.as_ref().is_none_or(|next| !Rc::ptr_eq(previous, next)))
        {
            previous.abandoned.set(leave == Leave::Abandon);
            previous.signs.suspected.set(false);
            previous.purge();
        }
        if let Some(next) = &next {
            next.abandoned.set(false);
            next.signs.suspected.set(false);
        }
        self.end_hold();
        self.tags.retain(|tagged| !self.is_active(tagged));
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
            backend.signs.suspected.set(false);
        }
        self.verdicts.set(self.verdicts.get() + 1);
        flights.wake_held(self);
    }

    /// `backend` has answered a request that was begun under `epoch`. Tells control of the first good
    /// one since a move, of an error before it, and of too many errors.
    pub(crate) fn answered(&self, backend: &Rc<Backend>, epoch: u64, status: StatusCode) {
        if status.is_server_error() {
            self.count_error(backend, epoch, status);
        }
        if self.unanswered.get() && self.may_send(backend, epoch) {
            let is_good = !status.is_server_error();
            if is_good {
                self.unanswered.set(false);
            } else if !is_failure(status) || self.has_erred.replace(true) {
                return;
            }
            let at = Instant::now();
            self.untold.set(Some(Answered { service: self.id, epoch, at, is_good }));
            self.tell_untold();
        }
    }

    fn tell_untold(&self) {
        if let Some(answered) = self.untold.take()
            && let Err(mpsc::error::TrySendError::Full(_)) =
                self.notices.try_send(Notice::Answered(answered))
        {
            self.untold.set(Some(answered));
        }
    }

    /// Whether a request may wait with `bytes` of its body. A hold that waits for nothing is over in a
    /// moment: whoever comes in it must not be turned away, unless a worker is stuck and they are
    /// far more than come in a moment.
    pub(crate) fn may_hold(&self, bytes: usize) -> bool {
        let limits = &self.spec.borrow().hold;
        let is_short =
            self.holding.get() && self.kept.borrow().is_some() && !self.hold_drains.get();
        let (more, more_bytes) = if is_short { (MOMENT_REQUESTS, MOMENT_BYTES) } else { (0, 0) };
        let requests = self.share.of(limits.requests).saturating_add(more);
        let most_bytes = self.share.of(limits.bytes).saturating_add(more_bytes);
        self.held.get() < requests && self.held_bytes.get() + bytes <= most_bytes
    }

    pub(crate) fn sweep(&self, now: Instant) {
        let idle_timeout = self.spec.borrow().connections.idle_timeout;
        for backend in self.backends.borrow().iter() {
            backend.sweep(now, idle_timeout);
            self.suspect_stalls(backend, now);
        }
        self.tell_untold();
    }
}

/// Whether an answer speaks against a backend. Other errors, as 501 or 505, say more of the request.
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// What may wait at one worker in a hold that is over in a moment, on top of the limits: more than come
/// in that time.
const MOMENT_REQUESTS: usize = 4_096;
const MOMENT_BYTES: usize = 16 << 20;
