//! HTTP/2 connections to a backend, each shared by many exchanges.
//!
//! A connection has a task that drives it. A request is nevertheless written by whoever sends it,
//! see `http2.rs`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Ping;
use h2::client::SendRequest;
use tokio::time::timeout;

use crate::upstream::counting::{Counting, Outgoing};
use crate::upstream::exchange::Broken;

/// Bytes a backend may send ahead on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// Bytes kept for one stream of a backend that takes them slowly.
const SEND_BUFFER: usize = 64 * 1024;

/// Most bytes of a response head.
const MAX_HEAD: u32 = 64 * 1024;

/// Streams that a backend is taken to allow until it says how many (RFC 9113 6.5.2).
const STREAMS_AT_FIRST: usize = 100;

/// How long a backend may take to send its settings on a new connection.
const SETTINGS_WITHIN: Duration = Duration::from_millis(500);

/// How long a connection without exchanges may take to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);

/// A connection to a backend, shared by exchanges. Without any, and without a place among the
/// connections of its backend, it ends.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) sender: RefCell<SendRequest<Bytes>>,
    pub(super) driver: Rc<Driver>,
    /// It takes no further exchanges: the backend has said goodbye (GOAWAY), or it has broken.
    pub(super) leaving: Cell<bool>,
    pub(super) open: Cell<usize>,
    pub(super) served: Cell<u64>,
    pub(super) idle_since: Cell<Instant>,
    /// What had left before the last request, in bytes.
    pub(super) last_head: Cell<Option<u64>>,
}

/// What moves a connection's bytes.
pub(super) struct Driver {
    connection: RefCell<Option<h2::client::Connection<Counting>>>,
    /// Whom the connection wakes, also when it is moved by a request.
    waker: RefCell<Waker>,
    pub(super) outgoing: Rc<Outgoing>,
    ended: Cell<bool>,
    /// The last one who could send on it is gone.
    unused: Cell<bool>,
}

impl Connection {
    /// Begins HTTP/2 on `stream`.
    ///
    /// # Errors
    /// When nothing can be sent.
    pub(crate) async fn begin(
        stream: connect::Stream,
        limit: Duration,
    ) -> Result<Rc<Self>, h2::Error> {
        let outgoing = Rc::new(Outgoing::default());
        let (sender, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            .max_send_buffer_size(SEND_BUFFER)
            .initial_max_send_streams(STREAMS_AT_FIRST)
            .handshake(Counting::new(stream, Rc::clone(&outgoing)))
            .await?;
        let ping = connection.ping_pong();
        let driver = Rc::new(Driver {
            connection: RefCell::new(Some(connection)),
            waker: RefCell::new(Waker::noop().clone()),
            outgoing,
            ended: Cell::new(false),
            unused: Cell::new(false),
        });
        tokio::task::spawn_local(Rc::clone(&driver).run());
        let this = Rc::new(Self {
            sender: RefCell::new(sender),
            driver,
            leaving: Cell::new(false),
            open: Cell::new(0),
            served: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            last_head: Cell::new(None),
        });
        // The first answer to anything comes behind the backend's settings (RFC 9113 3.4): how many
        // streams it takes, and whether WebSockets. One that does not answer is found out by use.
        if let Some(mut ping) = ping {
            let _ = timeout(SETTINGS_WITHIN.min(limit / 2), ping.ping(Ping::opaque())).await;
        }
        Ok(this)
    }

    /// Whether it takes another exchange, when it may have `most` at a time.
    ///
    /// One whose socket is full has none: what is asked of it now would wait behind all that is being
    /// uploaded, and could leave when the traffic has left.
    pub(crate) fn has_room(&self, most: usize) -> bool {
        !self.is_over()
            && !self.driver.outgoing.is_blocked()
            && self.open.get() < most.min(self.allowed())
    }

    /// How many streams the backend allows (RFC 9113 6.5.2).
    pub(super) fn allowed(&self) -> usize {
        self.sender.borrow().current_max_send_streams()
    }

    /// The traffic has left the backend: a request that still waits for a full socket, also one that
    /// was given up, must not leave. There is one at most, see [`has_room`](Self::has_room).
    pub(crate) fn abandon_waiting(&self) {
        let outgoing = &self.driver.outgoing;
        if outgoing.is_blocked() && self.last_head.get() == Some(outgoing.written()) {
            self.driver.end();
        }
    }

    /// Nobody asks anything of the backend: whatever still waits for a full socket must not leave.
    pub(crate) fn abandon_unsent(&self) {
        if self.driver.outgoing.is_blocked() {
            self.driver.end();
        }
    }

    /// Whether it takes no further exchanges.
    pub(crate) fn is_over(&self) -> bool {
        self.leaving.get() || self.driver.ended.get()
    }

    /// It was found to take no further exchanges, before anything was sent.
    pub(super) fn over(&self) -> Broken {
        self.leaving.set(true);
        Broken::Stale
    }

    /// Since when it has had no exchange, if it has none.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.open.get() == 0).then(|| self.idle_since.get())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.unused.set(true);
        self.driver.waker.borrow().wake_by_ref();
    }
}

impl Driver {
    /// Drives the connection until it ends. Once it is unused, it has a little time to say goodbye.
    async fn run(self: Rc<Self>) {
        poll_fn(|context| {
            self.waker.borrow_mut().clone_from(context.waker());
            self.drive();
            if self.ended.get() || self.unused.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let goodbye = poll_fn(|context| {
            self.waker.borrow_mut().clone_from(context.waker());
            self.drive();
            if self.ended.get() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = timeout(GOODBYE_WITHIN, goodbye).await;
        self.end();
    }

    /// Moves what can be moved.
    pub(super) fn drive(&self) {
        let Ok(mut connection) = self.connection.try_borrow_mut() else { return };
        let waker = self.waker.borrow().clone();
        let done = connection.as_mut().is_none_or(|connection| {
            Pin::new(connection).poll(&mut Context::from_waker(&waker)).is_ready()
        });
        if done {
            *connection = None;
            self.ended.set(true);
        }
    }

    /// Ends the connection without another byte.
    pub(super) fn end(&self) {
        if let Ok(mut connection) = self.connection.try_borrow_mut() {
            *connection = None;
        }
        self.ended.set(true);
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("ended", &self.ended.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
