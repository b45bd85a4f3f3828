//! One client connection: what is known of it, and the socket that enforces its deadlines.
//!
//! hyper has one number for two waits (the next request, and the end of its head), and no way to
//! end a connection whose client takes nothing. So the socket itself knows what the connection is
//! doing, the sweep compares that with the limits, and an overdue connection is ended from below.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, BufMut, BytesMut};
use config::model::DownstreamLimits;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::h1;
use crate::head::{Head, Identity};
use crate::listener::Listener;
use crate::worker::Counted;

/// One client connection, as its requests and the sweep see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) listener: Rc<Listener>,
    pub(crate) identity: Identity,
    waker: RefCell<Waker>,
    counted: RefCell<Weak<Counted>>,
    socket: Arc<State>,
}

/// What the socket and the sweep share. hyper wants sockets that could move to another thread, so
/// these are atomics; only one thread ever uses them, and relaxed access costs nothing.
#[derive(Debug)]
struct State {
    stage: AtomicU8,
    /// When the stage began, in milliseconds of the worker's clock.
    since_ms: AtomicU64,
    clock: Arc<Clock>,
    order: AtomicU8,
    ended: AtomicBool,
    /// Whether somebody wants to know of the end even while nobody reads.
    watched: AtomicBool,
    /// Interim responses on their way to the client; hyper cannot send them.
    interim: Mutex<BytesMut>,
    has_interim: AtomicBool,
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

// Orders of the sweep to the socket.
const GO_ON: u8 = 0;
const CLOSE: u8 = 1; // End of input, quietly.
const TIMED_OUT: u8 = 2; // 408, then end of input.
const CUT: u8 = 3; // Fail both directions.

/// The answer to a head that did not arrive in time (RFC 9110 15.5.9).
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

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

// === impl Client ===

impl Client {
    pub(crate) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        listener: Rc<Listener>,
        clock: Arc<Clock>,
    ) -> (Rc<Self>, ClientSocket) {
        let socket = Arc::new(State {
            stage: AtomicU8::new(FRESH),
            since_ms: AtomicU64::new(clock.now_ms()),
            clock,
            order: AtomicU8::new(GO_ON),
            ended: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            interim: Mutex::default(),
            has_interim: AtomicBool::new(false),
        });
        let client = Rc::new(Self {
            listener,
            identity: Identity::new(peer.ip()),
            waker: RefCell::new(Waker::noop().clone()),
            counted: RefCell::default(),
            socket: Arc::clone(&socket),
        });
        (client, ClientSocket { stream, state: socket })
    }

    pub(crate) fn limits(&self) -> Rc<DownstreamLimits> {
        self.listener.limits()
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

    pub(crate) fn counted_by(&self, counted: &Rc<Counted>) {
        *self.counted.borrow_mut() = Rc::downgrade(counted);
    }

    /// Keeps the connection counted for as long as this lives: a tunnel outlives the conversation.
    pub(crate) fn keep_counted(&self) -> Option<Rc<Counted>> {
        self.counted.borrow().upgrade()
    }

    /// A request has arrived.
    pub(crate) fn begin(&self) {
        self.socket.stage.store(BUSY, Relaxed);
    }

    /// The request has ended.
    pub(crate) fn idle(&self) {
        self.socket.enter(IDLE);
    }

    /// Whether the client has left: it has closed its sending side, and is not one that may do so
    /// and still wait for its answer.
    pub(crate) fn has_left(&self) -> bool {
        self.socket.ended.load(Relaxed) && !self.limits().half_close
    }

    /// Looks for the client's leaving, at every wake-up, even while there are bytes that nobody
    /// reads: a request that waits must not keep its place for a client that is gone.
    pub(crate) fn watch(&self, watched: Watched) {
        self.socket.watched.store(watched == Watched::Yes, Relaxed);
    }

    /// Sends an interim response (RFC 9110 15.2) before the final one. A 100 is not passed on: we
    /// answer `Expect` ourselves.
    pub(crate) fn send_interim(&self, interim: &h1::Head, request: &Head) {
        if !request.is_http_11 || interim.status == StatusCode::CONTINUE {
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
        let limits = self.limits();
        let state = &self.socket;
        let waited = state.clock.now_ms().saturating_sub(state.since_ms.load(Relaxed));
        let (limit, order) = match state.stage.load(Relaxed) {
            FRESH => (limits.header_timeout, CLOSE),
            HEAD => (limits.header_timeout, TIMED_OUT),
            IDLE => (limits.idle_timeout, CLOSE),
            _ => return,
        };
        let limit = limit.as_millis();
        let present = state.order.load(Relaxed);
        if present == CLOSE && u128::from(waited) > 2 * limit {
            // It was told to close long ago and cannot: its client takes nothing.
            self.cut();
        } else if present == GO_ON && u128::from(waited) > limit {
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
    fn enter(&self, stage: u8) {
        self.stage.store(stage, Relaxed);
        self.since_ms.store(self.clock.now_ms(), Relaxed);
    }

    fn received(&self, bytes: usize) {
        if bytes == 0 {
            self.ended.store(true, Relaxed);
        } else if matches!(self.stage.load(Relaxed), FRESH | IDLE) {
            self.enter(HEAD);
        }
    }
}

/// A client's socket under hyper.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    stream: TcpStream,
    state: Arc<State>,
}

impl ClientSocket {
    /// The kernel says that the client has closed its sending side, whatever is still unread.
    fn look_for_end(&self) {
        let quiet = &mut Context::from_waker(Waker::noop());
        let ready = pin!(self.stream.ready(Interest::READABLE)).poll(quiet);
        if matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed()) {
            self.state.ended.store(true, Relaxed);
        }
    }

    /// Sends interim responses. hyper flushes when it has written everything it has, so this is
    /// between two messages; what is left over goes before anything hyper writes next.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.state.has_interim.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let mut waiting = self.state.interim.lock().unwrap_or_else(PoisonError::into_inner);
        while !waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &waiting))?;
            waiting.advance(written);
        }
        self.state.has_interim.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.state.order.load(Relaxed) {
            GO_ON => {}
            CUT => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            order => {
                if order == TIMED_OUT {
                    // Best effort: no answer is being written while a head is being read.
                    let _ = self.stream.try_write(REQUEST_TIMEOUT);
                    self.state.order.store(CLOSE, Relaxed);
                }
                return Poll::Ready(Ok(()));
            }
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.state.received(buffer.filled().len() - before);
        }
        read
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state.order.load(Relaxed) == CUT {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(self.poll_interim(context))?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.state.order.load(Relaxed) == CUT {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(self.poll_interim(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at every wake-up.
        if self.state.watched.load(Relaxed) {
            self.look_for_end();
        }
        ready!(self.poll_interim(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
