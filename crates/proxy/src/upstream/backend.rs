//! One backend as a worker sees it: its connections and what is suspected of it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::{BackendUrl, UpstreamConnections, UpstreamProtocol};
use connect::{ConnectError, Connected, Connector, Offer, Origin};
use metrics::cells::BackendCells;
use routing::failover::BackendId;
use tokio::sync::Notify;

use crate::latency::Latency;
use crate::signs::{Signs, is_due};
use crate::spec::BackendSpec;
use crate::upstream::exchange::Exchange;
use crate::upstream::{h1, http2, shared};

/// One backend of a service, with this worker's connections to it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) id: BackendId,
    spec: RefCell<Rc<BackendSpec>>,
    pub(crate) cells: Arc<BackendCells>,
    /// It was left because it does not answer: what waits for it should not.
    pub(crate) abandoned: Cell<bool>,
    pub(crate) signs: Signs,
    pub(crate) latency: Latency,
    /// When the operator was last told of an answer that cannot be passed on.
    pub(crate) complained_at: Cell<Option<Instant>>,
    /// When all idle connections were last dropped because one broke.
    distrusted_at: Cell<Option<Instant>>,
    connector: RefCell<Rc<Connector>>,
    /// Counts the ways there have been: connections made in an old one are not kept.
    way: Cell<u64>,
    idle: RefCell<VecDeque<Idle>>,
    /// HTTP/2 connections that take exchanges, the oldest first.
    shared: RefCell<Vec<Rc<shared::Connection>>>,
    opening: Opening,
}

/// The opening of shared connections: one at a time, for everybody who waits for one.
#[derive(Debug, Default)]
struct Opening {
    /// Whether the backend spoke HTTP/2 last time; `None` before the first.
    is_shared: Cell<Option<bool>>,
    under_way: Cell<bool>,
    failures: Cell<u64>,
    ended: Notify,
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Box<h1::Connection>,
    since: Instant,
}

impl Backend {
    pub(crate) fn new(spec: BackendSpec, cells: Arc<BackendCells>) -> Rc<Self> {
        Rc::new(Self {
            id: spec.id,
            connector: RefCell::new(Rc::new(Connector::new(spec.destination.clone()))),
            way: Cell::new(0),
            spec: RefCell::new(Rc::new(spec)),
            cells,
            abandoned: Cell::new(false),
            signs: Signs::default(),
            latency: Latency::new(),
            complained_at: Cell::new(None),
            distrusted_at: Cell::new(None),
            idle: RefCell::new(VecDeque::new()),
            shared: RefCell::default(),
            opening: Opening::default(),
        })
    }

    pub(crate) fn spec(&self) -> Rc<BackendSpec> {
        Rc::clone(&self.spec.borrow())
    }

    /// Takes over a new specification of the same backend. Idle connections made in another
    /// way are not trusted any more.
    pub(crate) fn configure(&self, spec: &BackendSpec) {
        let old = self.spec.replace(Rc::new(spec.clone()));
        if !old.destination.same_as(&spec.destination) {
            *self.connector.borrow_mut() = Rc::new(Connector::new(spec.destination.clone()));
            self.way.set(self.way.get() + 1);
            self.purge();
        }
    }

    /// Whether the way to it is TLS, and whether a connection to it speaks for one client.
    pub(crate) fn kind_of_way(&self) -> (bool, bool) {
        let spec = self.spec.borrow();
        (spec.destination.tls.is_some(), spec.destination.proxy_protocol.is_some())
    }

    /// Its URL, for as long as `read` takes.
    pub(crate) fn with_url<T>(&self, read: impl FnOnce(&BackendUrl) -> T) -> T {
        read(&self.spec.borrow().destination.url)
    }

    /// A connection that is open already, if one is free for an exchange `wanted` in this way.
    pub(crate) fn take(&self, wanted: &Wanted) -> Option<Exchange> {
        if wanted.is_private {
            return None;
        }
        if wanted.offer != Offer::Http1 {
            let shared = self.shared.borrow();
            let free = shared.iter().find(|connection| connection.has_room(wanted.most_streams));
            if let Some(connection) = free {
                return Some(Exchange::Http2(http2::Stream::new(connection)));
            }
        }
        if wanted.offer == Offer::Http2 {
            return None;
        }
        self.take_idle().map(Exchange::Http1)
    }

    /// Opens a connection, or waits for the one that is being opened: a shared one serves many.
    /// `Ok(None)`: there may be one to take now.
    ///
    /// # Errors
    /// As [`ConnectError`]; also when the one waited for could not be opened.
    pub(crate) async fn open(&self, wanted: &Wanted) -> Result<Option<Exchange>, ConnectError> {
        let opening = &self.opening;
        let is_shared = !wanted.is_private
            && (wanted.offer == Offer::Http2
                || (wanted.offer == Offer::Both && opening.is_shared.get() != Some(false)));
        if is_shared && opening.under_way.get() {
            let failures = opening.failures.get();
            if tokio::time::timeout(wanted.limit, opening.ended.notified()).await.is_err() {
                return Err(ConnectError::Timeout(wanted.limit));
            }
            return if opening.failures.get() == failures {
                Ok(None)
            } else {
                Err(ConnectError::Refused(std::io::ErrorKind::ConnectionRefused.into()))
            };
        }
        let _turn = is_shared.then(|| Turn::take(opening));
        let connector = Rc::clone(&self.connector.borrow());
        let way = self.way.get();
        let opened = async {
            let connected = connector.connect(wanted.offer, wanted.origin, wanted.limit).await?;
            opening.is_shared.set(Some(connected.is_http2));
            self.begin(connected, wanted, way).await
        };
        let opened = opened.await;
        if opened.is_err() && is_shared {
            opening.failures.set(opening.failures.get() + 1);
        }
        opened.map(Some)
    }

    async fn begin(
        &self,
        connected: Connected,
        wanted: &Wanted,
        way: u64,
    ) -> Result<Exchange, ConnectError> {
        let Connected { stream, is_http2 } = connected;
        // Over TLS the handshake has failed if it should be HTTP/2 and is not.
        let has_prior_knowledge = wanted.offer == Offer::Http2;
        if !is_http2 && !has_prior_knowledge {
            return Ok(Exchange::Http1(h1::Connection::new(stream, way)));
        }
        let begun =
            tokio::time::timeout(wanted.limit, shared::Connection::begin(stream, wanted.limit))
                .await;
        let connection = begun
            .map_err(|_| ConnectError::Timeout(wanted.limit))?
            .map_err(|error| ConnectError::Refused(std::io::Error::other(error)))?;
        if !connection.has_room(wanted.most_streams) {
            let full = std::io::Error::other("the backend takes no streams at present");
            return Err(ConnectError::Refused(full));
        }
        if !wanted.is_private && way == self.way.get() {
            self.shared.borrow_mut().push(Rc::clone(&connection));
        }
        Ok(Exchange::Http2(http2::Stream::new(&connection)))
    }

    /// The idle connection used last: it is the least likely to have been closed by the backend.
    /// Whether it was shows when it is used; nothing is sent on a closed one.
    fn take_idle(&self) -> Option<Box<h1::Connection>> {
        let idle = self.idle.borrow_mut().pop_back()?;
        self.cells.idle.dec();
        Some(idle.connection)
    }

    /// Keeps a connection whose exchange is complete.
    pub(crate) fn keep(
        &self,
        connection: Box<h1::Connection>,
        now: Instant,
        limits: &UpstreamConnections,
    ) {
        // A backend that has been left keeps nothing: its connections may be half dead.
        if self.abandoned.get()
            || limits.idle == 0
            || connection.way() != self.way.get()
            || self.kind_of_way().1
        {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= limits.idle {
            idle.pop_front();
            self.cells.idle.dec();
        }
        idle.push_back(Idle { connection, since: now });
        self.cells.idle.inc();
    }

    /// Drops every idle connection; shared ones take no more exchanges, and end with their last.
    pub(crate) fn purge(&self) {
        for connection in self.shared.take() {
            connection.abandon_waiting();
        }
        for _ in self.idle.borrow_mut().drain(..) {
            self.cells.idle.dec();
        }
    }

    /// A connection broke, and the others are likely to go the same way, one attempt each: drops them.
    /// Once a second at most, because a client may know how to make the backend close connections, and
    /// everybody else would have to open new ones.
    pub(crate) fn distrust(&self) {
        if is_due(&self.distrusted_at, Instant::now(), DISTRUST_AGAIN_AFTER) {
            self.purge();
        }
    }

    /// The traffic has left: a request that still waits for a full socket must not leave any more.
    pub(crate) fn abandon_waiting(&self) {
        self.shared.borrow().iter().for_each(|connection| connection.abandon_waiting());
    }

    /// No request is here: nothing that still waits for a full socket may leave any more.
    pub(crate) fn abandon_unsent(&self) {
        self.shared.borrow().iter().for_each(|connection| connection.abandon_unsent());
    }

    /// Drops idle connections that are too old, and forgets latencies that are.
    pub(crate) fn sweep(&self, now: Instant, idle_timeout: Duration) {
        self.latency.sweep(now);
        let is_kept = |connection: &Rc<shared::Connection>| {
            let is_old = |since| now.saturating_duration_since(since) > idle_timeout;
            !connection.is_over() && !connection.idle_since().is_some_and(is_old)
        };
        self.shared.borrow_mut().retain(is_kept);
        let mut idle = self.idle.borrow_mut();
        while idle
            .front()
            .is_some_and(|oldest| now.saturating_duration_since(oldest.since) > idle_timeout)
        {
            idle.pop_front();
            self.cells.idle.dec();
        }
    }
}

const DISTRUST_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Drop for Backend {
    fn drop(&mut self) {
        self.purge();
    }
}

/// What connection a request needs.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) offer: Offer,
    /// For a PROXY header.
    pub(crate) origin: Origin,
    /// It serves no other request: it speaks for one client.
    pub(crate) is_private: bool,
    /// Most exchanges on one shared connection.
    pub(crate) most_streams: usize,
    /// How long opening it may take.
    pub(crate) limit: Duration,
}

impl Wanted {
    /// What is offered to a backend that speaks `protocol`, over TLS or not. A switch of protocols is
    /// asked for by HTTP/1.1 where there is a choice.
    pub(crate) fn offer(protocol: UpstreamProtocol, is_tls: bool, is_upgrade: bool) -> Offer {
        match protocol {
            UpstreamProtocol::Http1 => Offer::Http1,
            UpstreamProtocol::Http2 => Offer::Http2,
            UpstreamProtocol::Auto if is_tls && !is_upgrade => Offer::Both,
            UpstreamProtocol::Auto => Offer::Http1,
        }
    }
}

/// The one who opens a shared connection. Whoever waits for it is told of its end, also when its
/// client has left.
struct Turn<'a>(&'a Opening);

impl<'a> Turn<'a> {
    fn take(opening: &'a Opening) -> Self {
        opening.under_way.set(true);
        Self(opening)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(false);
        self.0.ended.notify_waiters();
    }
}
