//! One client connection: what is known of it, and the deadlines it is held to.
//!
//! hyper has one number for two waits (the next request, and the end of its head), and no way to
//! end a connection whose client takes nothing. So the socket itself (`socket.rs`) knows what the
//! connection is doing, the sweep compares that with the limits, and an overdue connection is ended
//! from below.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use connect::Origin;
use http::{HeaderMap, StatusCode};
use ipnet::IpNet;

use crate::downstream::listener::Listener;
use crate::downstream::{Claims, ClientCertificate, Identity};
use crate::head::Head;
use crate::upstream::ResponseHead;
use crate::worker::Counted;

/// One client connection, as its requests and the sweep see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) listener: Rc<Listener>,
    pub(crate) known: Known,
    protocol: Cell<Protocol>,
    waker: RefCell<Waker>,
    /// What the connection is counted by. A tunnel outlives the conversation, and its flight keeps the
    /// client.
    _counted: Counted,
    socket: Arc<State>,
    /// When it was accepted, in milliseconds of the worker's clock.
    born_ms: u64,
    /// Requests so far, and those being served now.
    requests: Cell<u64>,
    running: Cell<usize>,
    /// It serves no further requests.
    leaving: Cell<bool>,
}

/// What is known of a client before its first request.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    /// Of its verified certificate, if it showed one.
    pub(crate) certificate: Option<ClientCertificate>,
    /// On whose behalf connections to backends are made.
    pub(crate) origin: Origin,
    /// Whose word about others is taken.
    pub(crate) trusted: Arc<[IpNet]>,
}

/// What is spoken with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What the socket and the sweep share. hyper wants sockets that could move to another thread, so
/// these are atomics; only one thread ever uses them, and relaxed access costs nothing.
#[derive(Debug)]
pub(crate) struct State {
    stage: AtomicU8,
    /// When the stage began, in milliseconds of the worker's clock.
    since_ms: AtomicU64,
    clock: Arc<Clock>,
    pub(super) order: AtomicU8,
    ended: AtomicBool,
    /// Whether somebody wants to know of the end even while nobody reads.
    pub(super) watched: AtomicBool,
    /// Interim responses on their way to the client; hyper cannot send them.
    pub(super) interim: Mutex<BytesMut>,
    pub(super) has_interim: AtomicBool,
}

/// A worker's clock: milliseconds since it started, as of the last sweep.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    now_ms: AtomicU64,
}

/// Whether the end of a client's sending is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Yes,
    No,
}

// Stages of a connection.
const FRESH: u8 = 0; // Accepted, nothing received.
const IDLE: u8 = 1; // Between two requests.
const HEAD: u8 = 2; // Part of a request head has arrived.
const BUSY: u8 = 3; // A request is being served.
const STREAMS: u8 = 4; // HTTP/2: requests come and go side by side.

// Orders of the sweep to the socket.
pub(super) const GO_ON: u8 = 0;
pub(super) const CLOSE: u8 = 1; // End of input, quietly.
pub(super) const TIMED_OUT: u8 = 2; // 408, then end of input.
pub(super) const CUT: u8 = 3; // Fail both directions.

/// How long a client may take to send its first request when the listener closes that has accepted it.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// Interim responses kept for a client that does not take them; further ones are left out.
const MAX_INTERIM_BYTES: usize = 16 * 1024;

// === impl Clock ===

impl Clock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), now_ms: AtomicU64::new(0) })
    }

    pub(crate) fn set(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.started).as_millis();
        self.now_ms.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Relaxed);
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.load(Relaxed)
    }
}

// === impl Known ===

impl Known {
    /// What a trusted proxy says about a request with these fields.
    pub(crate) fn claims(&self, headers: &HeaderMap) -> Option<Claims> {
        self.identity.claims(headers, &self.trusted)
    }
}

// === impl Client ===

impl Client {
    /// A client on the socket that `state` belongs to. It speaks HTTP/1.1 until found otherwise.
    pub(crate) fn new(
        known: Known,
        counted: Counted,
        listener: Rc<Listener>,
        socket: &Arc<State>,
    ) -> Rc<Self> {
        Rc::new(Self {
            listener,
            known,
            protocol: Cell::new(Protocol::Http1),
            waker: RefCell::new(Waker::noop().clone()),
            _counted: counted,
            socket: Arc::clone(socket),
            born_ms: socket.clock.now_ms(),
            requests: Cell::new(0),
            running: Cell::new(0),
            leaving: Cell::new(false),
        })
    }

    /// Who to wake for this connection: its task. Told once; a task's waker does not change.
    pub(crate) fn woken_by(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.will_wake(waker) {
            known.clone_from(waker);
        }
    }

    pub(crate) fn wake(&self) {
        self.waker.borrow().wake_by_ref();
    }

    /// What it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    /// It speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) {
        self.protocol.set(Protocol::Http2);
        self.socket.enter(STREAMS);
    }

    /// A request has arrived.
    pub(crate) fn begin(&self) {
        self.running.set(self.running.get() + 1);
        let requests = self.requests.get() + 1;
        self.requests.set(requests);
        if self.listener.limits(|limits| limits.requests.is_some_and(|most| requests >= most)) {
            self.leave();
        }
        if self.protocol() == Protocol::Http1 {
            self.socket.stage.store(BUSY, Relaxed);
        }
    }

    /// A request has ended.
    pub(crate) fn idle(&self) {
        let running = self.running.get() - 1;
        self.running.set(running);
        match self.protocol() {
            Protocol::Http1 => self.socket.enter(IDLE),
            Protocol::Http2 if running == 0 => self.socket.enter(STREAMS),
            Protocol::Http2 => {}
        }
    }

    /// Lets what is running finish, and serves nothing further.
    pub(crate) fn leave(&self) {
        if !self.leaving.replace(true) {
            self.wake();
        }
    }

    /// Whether it serves nothing further.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get() || !self.listener.is_open()
    }

    /// Whether it has not sent anything yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.socket.stage.load(Relaxed) == FRESH
    }

    /// Whether the client has left: it has closed its sending side, and is not one that may do so
    /// and still wait for its answer.
    pub(crate) fn has_left(&self) -> bool {
        self.socket.ended.load(Relaxed) && !self.listener.limits(|limits| limits.half_close)
    }

    /// Looks for the client's leaving, at every wake-up, even while there are bytes that nobody
    /// reads: a request that waits must not keep its place for a client that is gone.
    pub(crate) fn watch(&self, watched: Watched) {
        self.socket.watched.store(watched == Watched::Yes, Relaxed);
    }

    /// Sends an interim response (RFC 9110 15.2) before the final one. A 100 is not passed on: we
    /// answer `Expect` ourselves.
    pub(crate) fn send_interim(&self, interim: &ResponseHead, request: &Head) {
        if !request.is_http_11() || interim.status == StatusCode::CONTINUE {
            return;
        }
        let mut waiting = self.socket.interim.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() > MAX_INTERIM_BYTES {
            return;
        }
        // Cannot fail: the buffer grows.
        let _ = write!(waiting, "HTTP/1.1 {}\r\n", interim.status);
        for (name, value) in &interim.headers {
            waiting.put_slice(name.as_str().as_bytes());
            waiting.put_slice(b": ");
            waiting.put_slice(value.as_bytes());
            waiting.put_slice(b"\r\n");
        }
        waiting.put_slice(b"\r\n");
        self.socket.has_interim.store(true, Relaxed);
    }

    /// Ends the connection now, in both directions.
    pub(crate) fn cut(&self) {
        self.socket.order.store(CUT, Relaxed);
        self.wake();
    }

    /// Compares what the connection does with its limits.
    pub(crate) fn sweep(&self) {
        let state = &self.socket;
        let now_ms = state.clock.now_ms();
        let waited = u128::from(now_ms.saturating_sub(state.since_ms.load(Relaxed)));
        let age = u128::from(now_ms.saturating_sub(self.born_ms));
        let (header, idle, most) = self
            .listener
            .limits(|limits| (limits.header_timeout, limits.idle_timeout, limits.connection_age));
        if most.is_some_and(|most| age > most.as_millis()) {
            self.leave();
        }
        let (limit, order) = match state.stage.load(Relaxed) {
            FRESH if self.listener.is_closing() => (header.min(LAST_CHANCE), CLOSE),
            FRESH => (header, CLOSE),
            HEAD => (header, TIMED_OUT),
            IDLE => (idle, CLOSE),
            STREAMS if self.running.get() == 0 => {
                if waited > idle.as_millis() {
                    self.leave();
                }
                // It was told to go, and does not.
                if waited > 2 * idle.as_millis() {
                    self.cut();
                }
                return;
            }
            _ => return,
        };
        let limit = limit.as_millis();
        let present = state.order.load(Relaxed);
        if present == CLOSE && waited > 2 * limit {
            // It was told to close long ago and cannot: its client takes nothing.
            self.cut();
        } else if present == GO_ON && waited > limit {
            if order == TIMED_OUT {
                self.listener.cells.header_timeouts.inc();
            }
            state.order.store(order, Relaxed);
            self.wake();
        }
    }
}

// === impl State ===

impl State {
    pub(super) fn new(clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self {
            stage: AtomicU8::new(FRESH),
            since_ms: AtomicU64::new(clock.now_ms()),
            clock,
            order: AtomicU8::new(GO_ON),
            ended: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            interim: Mutex::default(),
            has_interim: AtomicBool::new(false),
        })
    }

    fn enter(&self, stage: u8) {
        self.stage.store(stage, Relaxed);
        self.since_ms.store(self.clock.now_ms(), Relaxed);
    }

    pub(super) fn ended(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        if bytes == 0 {
            self.ended.store(true, Relaxed);
        } else if matches!(self.stage.load(Relaxed), FRESH | IDLE) {
            self.enter(HEAD);
        }
    }
}
