//! The in-flight table: one entry per request, and the sweep that reads it.
//!
//! It is the one mechanism behind timeouts, stall suspicion, abandoning requests at a failover, and
//! knowing when a worker is drained. There is no timer per request: a sweep every [`SWEEP`] looks
//! at every entry. An entry says what its request waits for; the sweep and the orders of control
//! leave a [`Signal`] in it and wake the connection that owns it. `flight/leave.rs` is about moves.

mod leave;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use metrics::cells::Gauge;
use slab::Slab;

use crate::downstream::client::{Client, Protocol, Watched};
use crate::recorder::{Recorder, Recording};
use crate::service::Service;
use crate::upstream::backend::Backend;

/// From one sweep to the next, and so the grain of every timeout of the data plane.
pub(crate) const SWEEP: Duration = Duration::from_millis(100);

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// An active, or the verdict on the one that failed it.
    Held,
    /// A connection to the backend.
    Connecting,
    /// The response head.
    Awaiting,
    /// The response head of a backend that has been left; it cannot be repeated.
    Settling,
    /// The rest of the response body.
    Relaying,
    /// The end of a connection that switched protocols.
    Tunnel,
}

/// What the owner of an entry should do when it is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Nothing.
    None,
    /// The time for this phase is over.
    Expired,
    /// The backend has been left; try elsewhere if that is safe.
    Abandon,
    /// The backend has been left, and what still streams from it is to end.
    Close,
}

/// Whose turn it is to move a body on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The client has to send, or to take.
    Downstream,
    /// The backend has to.
    Upstream,
}

/// One request.
#[derive(Debug)]
struct Entry {
    service: Rc<Service>,
    client: Rc<Client>,
    backend: RefCell<Option<Rc<Backend>>>,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    turn: Cell<Turn>,
    signal: Cell<Signal>,
    /// Whom to wake; `None`: the client's connection.
    waker: Option<Waker>,
    /// Whether it may be silent for long: a gRPC call, server-sent events.
    is_stream: Cell<bool>,
    /// When it is given up, whatever it does.
    deadline: Cell<Option<Instant>>,
    /// Whether the client is still sending its body.
    uploading: Cell<bool>,
    /// When it must have left the backend that the traffic has left.
    close_at: Cell<Option<Instant>>,
    /// Whether it has been given such a time: a later move does not give it another.
    is_ending: Cell<bool>,
    /// It is at a standby on purpose: no move concerns it.
    is_tagged: Cell<bool>,
    /// It ends without a goodbye.
    is_cut: Cell<bool>,
    /// What it meets, if anybody wants to know.
    recording: RefCell<Option<Box<Recording>>>,
}

/// All requests of a worker.
#[derive(Debug)]
pub(crate) struct Flights {
    entries: RefCell<Slab<Entry>>,
    now: Cell<Instant>,
    recorder: Rc<Recorder>,
}

/// A request's place in the table; gives it up, and all that is counted with it, when dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Rc<Flights>,
    key: usize,
    is_recorded: bool,
}

// === impl Flights ===

impl Flights {
    /// `recorder` takes the recordings of those that end.
    pub(crate) fn new(recorder: Rc<Recorder>) -> Rc<Self> {
        Rc::new(Self {
            entries: RefCell::new(Slab::with_capacity(64)),
            now: Cell::new(Instant::now()),
            recorder,
        })
    }

    /// Enters a request that waits for a connection since `begun`. `waker` wakes it; without one,
    /// its client's connection is woken.
    pub(crate) fn begin(
        self: &Rc<Self>,
        service: Rc<Service>,
        client: Rc<Client>,
        waker: Option<Waker>,
        begun: Instant,
        recording: Option<Box<Recording>>,
    ) -> Flight {
        service.cells.in_flight.inc();
        let is_recorded = recording.is_some();
        let key = self.entries.borrow_mut().insert(Entry {
            service,
            client,
            backend: RefCell::new(None),
            phase: Cell::new(Phase::Connecting),
            since: Cell::new(begun),
            turn: Cell::new(Turn::Upstream),
            signal: Cell::new(Signal::None),
            waker,
            is_stream: Cell::new(false),
            deadline: Cell::new(None),
            uploading: Cell::new(false),
            close_at: Cell::new(None),
            is_ending: Cell::new(false),
            is_tagged: Cell::new(false),
            is_cut: Cell::new(false),
            recording: RefCell::new(recording),
        });
        Flight { flights: Rc::clone(self), key, is_recorded }
    }

    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// The time of the last sweep: good enough for what is measured in sweeps.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Wakes the requests of `service` that are held: something they wait for has happened.
    pub(crate) fn wake_held(&self, service: &Rc<Service>) {
        for (_, entry) in self.entries.borrow().iter() {
            if Rc::ptr_eq(&entry.service, service) && entry.phase.get() == Phase::Held {
                entry.wake();
            }
        }
    }

    /// Looks at every request once: ends what is overdue, and raises suspicions. Time that we have
    /// `lost`, because we did not run, is nobody's delay and does not count.
    pub(crate) fn sweep(&self, now: Instant, lost: Duration) {
        self.now.set(now);
        for (_, entry) in self.entries.borrow().iter() {
            entry.since.set(entry.since.get() + lost);
            entry.sweep(now);
        }
    }
}

// === impl Entry ===

impl Entry {
    fn leave_signal(&self, signal: Signal) {
        self.signal.set(signal);
        self.wake();
    }

    fn note(&self, note: impl FnOnce(&mut Recording)) {
        if let Some(recording) = self.recording.borrow_mut().as_mut() {
            note(recording);
        }
    }

    fn wake(&self) {
        match &self.waker {
            Some(waker) => waker.wake_by_ref(),
            None => self.client.wake(),
        }
    }

    /// Ends a response that nobody polls, because its client does not take it.
    fn cut(&self) {
        match self.client.protocol() {
            Protocol::Http1 => self.client.cut(),
            Protocol::Http2 => self.leave_signal(Signal::Expired),
        }
    }

    fn sweep(&self, now: Instant) {
        if self.close_at.get().is_some_and(|at| now >= at) {
            self.close_at.set(None);
            self.close();
            return;
        }
        if self.deadline.get().is_some_and(|at| now >= at) && self.phase.get() != Phase::Tunnel {
            match (self.phase.get(), self.turn.get()) {
                (Phase::Relaying, Turn::Downstream) => self.cut(),
                _ => self.leave_signal(Signal::Expired),
            }
            return;
        }
        let waited = now.saturating_duration_since(self.since.get());
        let spec = self.service.spec();
        let long = if self.is_stream.get() { spec.timeouts.stream_idle } else { Duration::ZERO };
        let client_limit = self.client.listener.limits(|limits| limits.body_timeout);
        match (self.phase.get(), self.turn.get()) {
            (Phase::Held, _) => {
                if waited > spec.hold.timeout {
                    self.leave_signal(Signal::Expired);
                    return;
                }
                if let Some(backend) = self.backend.borrow().as_ref() {
                    // The suspicion that asked for the verdict may have been lost; ask again.
                    self.service.suspect_again(backend, now);
                }
                // Has its client left?
                self.wake();
            }
            (Phase::Awaiting, Turn::Downstream) => {
                if waited > client_limit.max(long) {
                    self.leave_signal(Signal::Expired);
                }
            }
            (Phase::Awaiting, Turn::Upstream) => {
                if waited > spec.timeouts.response.max(long) {
                    self.leave_signal(Signal::Expired);
                } else if let Some(backend) = self.backend.borrow().as_ref()
                    && self.service.is_stalled(backend, waited, now)
                {
                    backend.signs.stalls.see();
                }
            }
            (Phase::Settling, _) => {
                if waited > spec.replay.settle.min(spec.timeouts.response) {
                    self.leave_signal(Signal::Expired);
                }
            }
            (Phase::Relaying, Turn::Upstream) => {
                if waited > spec.timeouts.idle.max(long) {
                    self.leave_signal(Signal::Expired);
                }
            }
            // The client does not take what we have.
            (Phase::Relaying, Turn::Downstream) => {
                if waited > client_limit {
                    self.cut();
                }
            }
            (Phase::Tunnel, _) => {
                if waited > spec.timeouts.stream_idle {
                    self.leave_signal(Signal::Expired);
                }
            }
            // The connector has its own deadline.
            (Phase::Connecting, _) => {}
        }
    }
}

// === impl Flight ===

impl Flight {
    fn with<T>(&self, read: impl FnOnce(&Entry) -> T) -> T {
        read(&self.flights.entries.borrow()[self.key])
    }

    /// Starts a new phase, at `backend`, waiting since `since`. A signal left for the last phase is
    /// forgotten.
    pub(crate) fn enter(&self, phase: Phase, backend: Option<&Rc<Backend>>, since: Instant) {
        self.with(|entry| {
            let was_at_backend = entry.phase.replace(phase) != Phase::Held;
            entry.since.set(since);
            entry.turn.set(Turn::Upstream);
            entry.signal.set(Signal::None);
            // What was to end at another backend begins anew at this one.
            entry.stays();
            let mut at = entry.backend.borrow_mut();
            let stays = match (at.as_ref(), backend) {
                (Some(old), Some(new)) => Rc::ptr_eq(old, new),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !stays || was_at_backend != (phase != Phase::Held) {
                count(at.as_ref().filter(|_| was_at_backend), |in_flight| in_flight.dec());
                count(backend.filter(|_| phase != Phase::Held), |in_flight| in_flight.inc());
            }
            if !stays {
                *at = backend.cloned();
            }
            if phase == Phase::Held {
                entry.service.drains.look();
            }
        });
    }

    /// Starts a new phase at the same backend.
    pub(crate) fn proceed(&self, phase: Phase) {
        let now = self.flights.now();
        self.with(|entry| {
            entry.phase.set(phase);
            entry.since.set(now);
            // One that begins while its backend is being emptied would not end by itself.
            let is_late = phase == Phase::Tunnel && entry.service.drains.any();
            entry.signal.set(if is_late { Signal::Close } else { Signal::None });
        });
    }

    /// From now on `waker` wakes it: it has become a task of its own.
    pub(crate) fn woken_by(&mut self, waker: &Waker) {
        let mut entries = self.flights.entries.borrow_mut();
        entries[self.key].waker = Some(waker.clone());
    }

    /// When it is given up, whatever it does.
    pub(crate) fn end_by(&self, deadline: Option<Instant>) {
        self.with(|entry| entry.deadline.set(deadline));
    }

    /// Whether its deadline is over.
    pub(crate) fn is_overdue(&self) -> bool {
        self.with(|entry| entry.deadline.get().is_some_and(|at| Instant::now() >= at))
    }

    /// It may be silent for long.
    pub(crate) fn is_stream(&self) {
        self.with(|entry| {
            entry.is_stream.set(true);
            if entry.phase.get() == Phase::Relaying && entry.service.drains.any() {
                entry.signal.set(Signal::Close);
            }
        });
    }

    /// Whether it is to end although its backend has more for it.
    pub(crate) fn is_closing(&self) -> bool {
        self.with(|entry| entry.signal.get() == Signal::Close)
    }

    /// Waits until it is to end without a goodbye.
    pub(crate) async fn is_cut(&self) {
        poll_fn(|_| match self.with(|entry| entry.is_cut.get()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// It goes to a standby on purpose.
    pub(crate) fn is_tagged(&self) {
        self.with(|entry| entry.is_tagged.set(true));
    }

    /// Its client is better off with a new connection.
    pub(crate) fn send_away(&self) {
        self.with(|entry| entry.client.leave());
    }

    /// The same for a client of HTTP/1.1 only, where requests follow each other.
    pub(crate) fn send_away_http1(&self) {
        self.with(|entry| {
            if entry.client.protocol() == Protocol::Http1 {
                entry.client.leave();
            }
        });
    }

    /// Notes that a body moved on, and whose turn it is next.
    pub(crate) fn progress(&self, turn: Turn) {
        let now = self.flights.now();
        self.with(|entry| {
            // However much still moves, its time is over soon.
            if entry.phase.get() != Phase::Settling {
                entry.since.set(now);
            }
            entry.turn.set(turn);
        });
    }

    /// Notes whose turn it is, without anything having moved.
    pub(crate) fn turn(&self, turn: Turn) {
        self.with(|entry| entry.turn.set(turn));
    }

    /// Takes what was left for this request.
    pub(crate) fn signal(&self) -> Signal {
        self.with(|entry| entry.signal.replace(Signal::None))
    }

    /// Whether the request waits for more of its own body.
    pub(crate) fn awaits_client(&self) -> bool {
        self.with(|entry| {
            entry.turn.get() == Turn::Downstream && entry.phase.get() != Phase::Settling
        })
    }

    /// Notes whether the client is still sending its body.
    pub(crate) fn uploading(&self, uploading: bool) {
        self.with(|entry| entry.uploading.set(uploading));
    }

    /// Whether the client has left.
    pub(crate) fn client_gone(&self) -> bool {
        self.with(|entry| entry.client.has_left())
    }

    /// Looks for the client's leaving while its request waits.
    pub(crate) fn watch_client(&self, watched: Watched) {
        self.with(|entry| entry.client.watch(watched));
    }

    /// Notes what it has met, if it is recorded.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Recording)) {
        if self.is_recorded {
            self.with(|entry| entry.note(note));
        }
    }

    /// For how long it has waited in its phase at `now`.
    pub(crate) fn waited(&self, now: Instant) -> Duration {
        self.with(|entry| now.saturating_duration_since(entry.since.get()))
    }

    /// The time of the last sweep.
    pub(crate) fn now(&self) -> Instant {
        self.flights.now()
    }
}

/// Counts a request in or out of its backend, if it is at one.
fn count(backend: Option<&Rc<Backend>>, change: impl FnOnce(&Gauge)) {
    if let Some(backend) = backend {
        change(&backend.cells.in_flight);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let entry = self.flights.entries.borrow_mut().remove(self.key);
        entry.service.cells.in_flight.dec();
        let at = entry.backend.borrow();
        let at = at.as_ref().filter(|_| entry.phase.get() != Phase::Held);
        count(at, |in_flight| in_flight.dec());
        entry.service.drains.look();
        entry.client.idle();
        if let Some(recording) = entry.recording.take() {
            self.flights.recorder.take(recording);
        }
    }
}
