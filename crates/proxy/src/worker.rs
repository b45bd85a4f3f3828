//! A worker: one thread, one runtime, everything it needs to forward requests on its own.
//!
//! It does what control orders and decides nothing about who is active. An order is carried out
//! between two steps of any request, so when it is acknowledged no request acts on what was before.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics::Metrics;
use routing::failover::BackendId;
use slab::Slab;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::client::{Client, ClientSocket, Clock};
use crate::connect::keep_alive;
use crate::flight::{Flights, SWEEP};
use crate::forward::forward;
use crate::listener::{Listener, Seat, accept};
use crate::service::{Service, Share};
use crate::spec::{Leave, ServiceId, Snapshot, Suspicion};

/// What a worker is told. Each is answered through `done` after it has been carried out.
#[derive(Debug)]
pub(crate) enum Order {
    Configure {
        snapshot: Arc<Snapshot>,
        sockets: Vec<(SocketAddr, StdListener)>,
    },
    Activate {
        service: ServiceId,
        epoch: u64,
        active: Option<BackendId>,
        leave: Leave,
    },
    Cleared {
        service: ServiceId,
        backend: BackendId,
    },
    Drain {
        timeout: Duration,
    },
    /// End, with whatever is still being served.
    Stop,
    /// From another worker: a connection that it has no need of.
    Adopt {
        listener: SocketAddr,
        stream: StdStream,
        peer: SocketAddr,
    },
}

/// An order and where to acknowledge it: with how many requests were cut off, which only
/// [`Order::Drain`] does.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) order: Order,
    pub(crate) done: Option<oneshot::Sender<usize>>,
}

/// What all workers have in common: how to reach each other, and how busy each is.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) mailboxes: Vec<mpsc::Sender<Mail>>,
    /// Open client connections; written only by the worker itself, at accept and close.
    pub(crate) connections: Vec<AtomicUsize>,
}

/// Hand over a connection only when the difference is worth it.
const HAND_OVER_MARGIN: usize = 8;

/// One worker's whole world.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    team: Arc<Team>,
    metrics: Arc<Metrics>,
    suspicions: mpsc::Sender<Suspicion>,
    clock: Arc<Clock>,
    pub(crate) flights: Rc<Flights>,
    snapshot: RefCell<Option<Arc<Snapshot>>>,
    services: RefCell<Vec<Rc<Service>>>,
    listeners: RefCell<Vec<Rc<Listener>>>,
    clients: RefCell<Slab<Rc<Client>>>,
    draining: Cell<bool>,
}

/// Runs worker `index` on the current thread until it has been drained or nobody is left to order
/// anything.
pub(crate) fn run(
    index: usize,
    team: Arc<Team>,
    metrics: Arc<Metrics>,
    suspicions: mpsc::Sender<Suspicion>,
    mut mailbox: mpsc::Receiver<Mail>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker {
            index,
            team,
            metrics,
            suspicions,
            clock: Clock::new(),
            flights: Flights::new(),
            snapshot: RefCell::default(),
            services: RefCell::default(),
            listeners: RefCell::default(),
            clients: RefCell::default(),
            draining: Cell::new(false),
        });
        let mut sweeping = tokio::task::spawn_local(Rc::clone(&worker).sweep_forever());
        loop {
            let mail = tokio::select! {
                mail = mailbox.recv() => mail,
                // Without it no timeout works any more. A worker that is gone is noticed.
                _ = &mut sweeping => {
                    tracing::error!(worker = index, "the sweep has ended: so does the worker");
                    return;
                }
            };
            let Some(Mail { order, done }) = mail else { return };
            match order {
                Order::Drain { timeout } => {
                    tokio::task::spawn_local(Rc::clone(&worker).drain(timeout, done));
                    continue;
                }
                Order::Stop => {
                    acknowledge(done, 0);
                    return;
                }
                Order::Configure { snapshot, sockets } => worker.configure(snapshot, sockets),
                Order::Activate { service, epoch, active, leave } => {
                    worker.activate(service, epoch, active, leave);
                }
                Order::Cleared { service, backend } => worker.cleared(service, backend),
                Order::Adopt { listener, stream, peer } => worker.adopt(listener, stream, peer),
            }
            acknowledge(done, 0);
        }
    });
    // A look-up that hangs in the resolver must not keep the thread.
    runtime.shutdown_background();
    Ok(())
}

fn acknowledge(done: Option<oneshot::Sender<usize>>, unfinished: usize) {
    if let Some(done) = done {
        // Control may have stopped waiting.
        let _ = done.send(unfinished);
    }
}

impl Worker {
    /// The service for a host and path, if any.
    pub(crate) fn route(&self, host: &str, path: &str) -> Option<Rc<Service>> {
        let snapshot = self.snapshot.borrow();
        let index = snapshot.as_ref()?.table.find(host, path)?;
        self.services.borrow().get(index).cloned()
    }

    fn service(&self, id: ServiceId) -> Option<Rc<Service>> {
        self.services.borrow().iter().find(|service| service.id == id).cloned()
    }

    fn share(&self) -> Share {
        Share { workers: self.team.connections.len() }
    }

    // --- orders ---

    fn activate(&self, id: ServiceId, epoch: u64, active: Option<BackendId>, leave: Leave) {
        if let Some(service) = self.service(id) {
            service.activate(epoch, active, leave, &self.flights);
        }
    }

    fn cleared(&self, id: ServiceId, backend: BackendId) {
        if let Some(service) = self.service(id) {
            service.cleared(backend, &self.flights);
        }
    }

    fn configure(
        self: &Rc<Self>,
        snapshot: Arc<Snapshot>,
        sockets: Vec<(SocketAddr, StdListener)>,
    ) {
        let services = snapshot
            .services
            .iter()
            .map(|spec| match self.service(spec.id) {
                Some(known) => {
                    known.configure(spec, &self.metrics, self.index);
                    known
                }
                None => Service::new(
                    spec,
                    &self.metrics,
                    self.index,
                    self.share(),
                    self.suspicions.clone(),
                ),
            })
            .collect();
        *self.services.borrow_mut() = services;
        self.configure_listeners(&snapshot, sockets);
        *self.snapshot.borrow_mut() = Some(snapshot);
    }

    fn configure_listeners(
        self: &Rc<Self>,
        snapshot: &Snapshot,
        sockets: Vec<(SocketAddr, StdListener)>,
    ) {
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|listener| {
            let spec = snapshot.listeners.iter().find(|spec| spec.address == listener.address);
            match spec {
                Some(spec) => listener.set_limits(spec.limits.clone()),
                None => {
                    listener.close();
                    self.wake_clients();
                }
            }
            spec.is_some()
        });
        for (address, socket) in sockets {
            let Some(spec) = snapshot.listeners.iter().find(|spec| spec.address == address) else {
                continue;
            };
            match TcpListener::from_std(socket) {
                Ok(socket) => {
                    let cells = self.metrics.listener(self.index, &address.to_string());
                    let listener = Listener::new(address, spec.limits.clone(), cells, self.share());
                    listeners.push(Rc::clone(&listener));
                    tokio::task::spawn_local(accept(Rc::clone(self), listener, socket));
                }
                Err(error) => tracing::error!(%address, %error, "cannot listen"),
            }
        }
    }

    /// Stops accepting and waits for running requests.
    async fn drain(self: Rc<Self>, timeout: Duration, done: Option<oneshot::Sender<usize>>) {
        self.draining.set(true);
        for listener in self.listeners.borrow().iter() {
            listener.close();
        }
        self.wake_clients();
        let deadline = Instant::now() + timeout;
        let is_done = || self.clients.borrow().is_empty() && self.flights.len() == 0;
        while !is_done() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        acknowledge(done, self.flights.len());
    }

    // --- connections ---

    /// Serves a new connection, or gives it to a worker that has far fewer.
    pub(crate) fn place(
        self: &Rc<Self>,
        listener: &Rc<Listener>,
        stream: TcpStream,
        peer: SocketAddr,
    ) {
        let connections = &self.team.connections;
        let mine = connections[self.index].load(Relaxed);
        let (least, theirs) = connections
            .iter()
            .map(|count| count.load(Relaxed))
            .enumerate()
            .min_by_key(|(_, count)| *count)
            .unwrap_or((self.index, mine));
        // A listener that closes may have been closed there already.
        if mine <= 2 * theirs + HAND_OVER_MARGIN || listener.is_closing() {
            return self.serve(listener, stream, peer);
        }
        let Ok(stream) = stream.into_std() else { return };
        let order = Order::Adopt { listener: listener.address, stream, peer };
        match self.team.mailboxes[least].try_send(Mail { order, done: None }) {
            Ok(()) => listener.cells.handed_over.inc(),
            // Its mailbox is full: then it is not that idle.
            Err(
                mpsc::error::TrySendError::Full(mail) | mpsc::error::TrySendError::Closed(mail),
            ) => {
                if let Order::Adopt { stream, .. } = mail.order
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    self.serve(listener, stream, peer);
                }
            }
        }
    }

    fn adopt(self: &Rc<Self>, address: SocketAddr, stream: StdStream, peer: SocketAddr) {
        let listener =
            self.listeners.borrow().iter().find(|listener| listener.address == address).cloned();
        if let Some(listener) = listener
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            self.serve(&listener, stream, peer);
        }
    }

    fn serve(self: &Rc<Self>, listener: &Rc<Listener>, stream: TcpStream, peer: SocketAddr) {
        // Without it, the last packet of an answer may wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        keep_alive(&stream);
        let (client, socket) =
            Client::new(stream, peer, Rc::clone(listener), Arc::clone(&self.clock));
        // Counted now, not when its task first runs: until then more would be accepted than allowed.
        let counted = Rc::new((listener.seat(), Present::new(self, &client)));
        client.counted_by(&counted);
        tokio::task::spawn_local(Rc::clone(self).converse(client, socket, counted));
    }

    /// Serves one client until it leaves, misbehaves, or we close.
    async fn converse(
        self: Rc<Self>,
        client: Rc<Client>,
        socket: ClientSocket,
        _counted: Rc<Counted>,
    ) {
        let listener = Rc::clone(&client.listener);
        let limits = listener.limits();
        let mut builder = http1::Builder::new();
        builder
            .half_close(limits.half_close)
            .max_header_size(limits.header_bytes)
            .max_buf_size((limits.header_bytes * 2).max(64 * 1024))
            .header_read_timeout(None);
        if limits.headers != HYPER_MAX_HEADERS {
            builder.max_headers(limits.headers);
        }
        let service = service_fn(|request| forward(Rc::clone(&self), Rc::clone(&client), request));
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(socket), service).with_upgrades());
        let mut leaving = false;
        let ended = poll_fn(|context| {
            client.woken_by(context.waker());
            if !leaving && (self.draining.get() || listener.is_closing()) {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(context)
        })
        .await;
        if let Err(error) = ended {
            if error.is_parse() {
                listener.cells.bad_requests.inc();
            }
            tracing::debug!(client = client.identity.address(), %error, "connection ended");
        }
    }

    fn wake_clients(&self) {
        for (_, client) in self.clients.borrow().iter() {
            client.wake();
        }
    }

    // --- the sweep ---

    async fn sweep_forever(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = Instant::now();
        let mut lost_so_far = Duration::ZERO;
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let lost = (now - last).saturating_sub(LATE);
            last = now;
            lost_so_far += lost;
            self.clock.set(now - lost_so_far);
            self.flights.sweep(now, lost);
            for (_, client) in self.clients.borrow().iter() {
                client.sweep();
            }
            for service in self.services.borrow().iter() {
                service.sweep(now);
            }
        }
    }
}

/// A sweep that comes later than this was not late by itself: the whole process, or the machine, stood
/// still.
const LATE: Duration = Duration::from_secs(1);

/// hyper's own limit; naming another one costs an allocation per request.
const HYPER_MAX_HEADERS: usize = 100;

/// What an open connection is counted by, until it and any tunnel it has become are gone.
pub(crate) type Counted = (Seat, Present);

/// A client's place among the open connections of its worker.
#[derive(Debug)]
pub(crate) struct Present {
    worker: Rc<Worker>,
    key: usize,
}

impl Present {
    fn new(worker: &Rc<Worker>, client: &Rc<Client>) -> Self {
        let key = worker.clients.borrow_mut().insert(Rc::clone(client));
        let present = Self { worker: Rc::clone(worker), key };
        present.tell_team();
        present
    }

    fn tell_team(&self) {
        let worker = &self.worker;
        worker.team.connections[worker.index].store(worker.clients.borrow().len(), Relaxed);
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.worker.clients.borrow_mut().remove(self.key);
        self.tell_team();
    }
}
