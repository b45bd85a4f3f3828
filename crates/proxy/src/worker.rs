//! A worker: one thread, one runtime, everything it needs to forward requests on its own.
//!
//! It does what control orders and decides nothing about who is active. An order is carried out
//! between two steps of any request, so when it is acknowledged no request acts on what was before.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use config::model::{ListenAddress, StreamPolicy};
use connect::Socket;
use http::HeaderMap;
use metrics::Metrics;
use routing::failover::BackendId;
use slab::Slab;
use tokio::sync::mpsc;

use crate::downstream::bound::BoundSocket;
use crate::downstream::client::{Client, Clock};
use crate::downstream::converse;
use crate::downstream::handover::StdSocket;
use crate::downstream::listener::{Accepting, Listener, Seat, accept};
use crate::flight::{Flights, SWEEP};
use crate::order::{Mail, Order, Team, acknowledge};
use crate::recorder::Recorder;
use crate::service::{Service, Share};
use crate::spec::{Leave, Notice, ServiceId, Snapshot, Tag, TraceSpec};
use crate::trace::Trace;

/// Hand over a connection only when the difference is worth it.
const HAND_OVER_MARGIN: usize = 8;

/// One worker's whole world.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    team: Arc<Team>,
    metrics: Arc<Metrics>,
    notices: mpsc::Sender<Notice>,
    clock: Arc<Clock>,
    pub(crate) recorder: Rc<Recorder>,
    tracing: Cell<Option<TraceSpec>>,
    pub(crate) flights: Rc<Flights>,
    snapshot: RefCell<Option<Arc<Snapshot>>>,
    services: RefCell<Vec<Rc<Service>>>,
    pub(crate) listeners: RefCell<Vec<Rc<Listener>>>,
    pub(crate) clients: RefCell<Slab<Rc<Client>>>,
    /// Connections, also those whose clients have not said who they are.
    pub(crate) open: Cell<usize>,
    pub(crate) draining: Cell<bool>,
}

/// Runs worker `index` on the current thread until it has been drained or nobody is left to order
/// anything.
pub(crate) fn run(
    index: usize,
    team: Arc<Team>,
    metrics: Arc<Metrics>,
    notices: mpsc::Sender<Notice>,
    mut mailbox: mpsc::Receiver<Mail>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let recorder = Rc::new(Recorder::default());
    let kept = Rc::clone(&recorder);
    runtime.block_on(async move {
        let worker = Rc::new(Worker {
            index,
            team,
            metrics,
            notices,
            clock: Clock::new(),
            flights: Flights::new(Rc::clone(&recorder)),
            recorder,
            tracing: Cell::new(None),
            snapshot: RefCell::default(),
            services: RefCell::default(),
            listeners: RefCell::default(),
            clients: RefCell::default(),
            open: Cell::new(0),
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
                Order::Retire { linger, timeout } => {
                    tokio::task::spawn_local(Rc::clone(&worker).retire(linger, timeout, done));
                    continue;
                }
                Order::Stop => {
                    worker.recorder.stop();
                    acknowledge(done, 0);
                    return;
                }
                Order::Configure { snapshot, sockets } => worker.configure(snapshot, sockets),
                Order::Activate { service, epoch, active, leave, streams } => {
                    let left = worker.activate(service, epoch, active, leave, streams);
                    acknowledge(done, left);
                    continue;
                }
                Order::Hold { service, drain } => {
                    worker.hold(service, drain, done);
                    continue;
                }
                Order::Beat => {}
                Order::Release { service } => worker.release(service),
                Order::Tag { service, tag } => worker.tag(service, tag),
                Order::Cleared { service, backend } => worker.cleared(service, backend),
                Order::Adopt { listener, socket, peer } => worker.adopt(&listener, socket, peer),
            }
            acknowledge(done, 0);
        }
    });
    // A look-up that hangs in the resolver must not keep the thread.
    runtime.shutdown_background();
    // What was cut off has ended only now.
    kept.sweep();
    Ok(())
}

impl Worker {
    /// The service for a host and path, if any.
    pub(crate) fn route(&self, host: &str, path: &str) -> Option<Rc<Service>> {
        let snapshot = self.snapshot.borrow();
        let index = snapshot.as_ref()?.table.find(host, path)?;
        self.services.borrow().get(index).cloned()
    }

    /// The place of a request with these fields in a distributed trace; `None`: nobody asks for one.
    pub(crate) fn trace(&self, client: &Client, headers: &HeaderMap) -> Option<Box<Trace>> {
        let spec = self.tracing.get()?;
        let is_believed = spec.trusts_clients || client.known.identity.is_trusted();
        Some(Trace::begin(spec, headers, is_believed))
    }

    pub(crate) fn service(&self, id: ServiceId) -> Option<Rc<Service>> {
        self.services.borrow().iter().find(|service| service.id == id).cloned()
    }

    fn share(&self) -> Share {
        Share { workers: self.team.connections.len() }
    }

    // --- orders ---

    fn activate(
        &self,
        id: ServiceId,
        epoch: u64,
        active: Option<BackendId>,
        leave: Leave,
        streams: StreamPolicy,
    ) -> usize {
        self.service(id)
            .map_or(0, |service| service.activate(epoch, active, leave, streams, &self.flights))
    }

    fn release(&self, id: ServiceId) {
        if let Some(service) = self.service(id) {
            service.release(&self.flights);
        }
    }

    fn tag(&self, id: ServiceId, tag: Option<Tag>) {
        if let Some(service) = self.service(id) {
            service.tag(tag);
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
        sockets: Vec<(ListenAddress, Vec<BoundSocket>)>,
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
                    self.notices.clone(),
                ),
            })
            .collect();
        *self.services.borrow_mut() = services;
        self.recorder.configure(&snapshot);
        self.tracing.set(snapshot.trace);
        self.configure_listeners(&snapshot, sockets);
        *self.snapshot.borrow_mut() = Some(snapshot);
    }

    fn configure_listeners(
        self: &Rc<Self>,
        snapshot: &Snapshot,
        sockets: Vec<(ListenAddress, Vec<BoundSocket>)>,
    ) {
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|listener| {
            let spec = snapshot.listeners.iter().find(|spec| spec.address == listener.address);
            match spec {
                Some(spec) => listener.configure(spec.clone()),
                None => {
                    listener.close();
                    self.wake_clients();
                }
            }
            spec.is_some()
        });
        for (address, sockets) in sockets {
            let Some(spec) = snapshot.listeners.iter().find(|spec| spec.address == address) else {
                continue;
            };
            match Accepting::new(sockets) {
                Ok(socket) => {
                    let cells = self.metrics.listener(self.index, &address.to_string());
                    let listener = Listener::new(spec.clone(), cells, self.share());
                    listeners.push(Rc::clone(&listener));
                    tokio::task::spawn_local(accept(Rc::clone(self), listener, socket));
                }
                Err(error) => tracing::error!(%address, %error, "cannot listen"),
            }
        }
    }

    // --- connections ---

    /// Serves a new connection, or gives it to a worker that has far fewer.
    pub(crate) fn place(
        self: &Rc<Self>,
        listener: &Rc<Listener>,
        socket: Socket,
        peer: Option<SocketAddr>,
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
        if mine <= 2 * theirs + HAND_OVER_MARGIN || !listener.is_open() {
            return self.serve(listener, socket, peer);
        }
        let Ok(socket) = StdSocket::from_tokio(socket) else { return };
        let order = Order::Adopt { listener: listener.address.clone(), socket, peer };
        match self.team.mailboxes[least].try_send(Mail { order, done: None }) {
            Ok(()) => listener.cells.handed_over.inc(),
            // Its mailbox is full: then it is not that idle.
            Err(
                mpsc::error::TrySendError::Full(mail) | mpsc::error::TrySendError::Closed(mail),
            ) => {
                if let Order::Adopt { socket, .. } = mail.order
                    && let Ok(socket) = socket.into_tokio()
                {
                    self.serve(listener, socket, peer);
                }
            }
        }
    }

    fn adopt(
        self: &Rc<Self>,
        address: &ListenAddress,
        socket: StdSocket,
        peer: Option<SocketAddr>,
    ) {
        let listener =
            self.listeners.borrow().iter().find(|listener| listener.address == *address).cloned();
        if let Some(listener) = listener
            && let Ok(socket) = socket.into_tokio()
        {
            self.serve(&listener, socket, peer);
        }
    }

    fn serve(self: &Rc<Self>, listener: &Rc<Listener>, socket: Socket, peer: Option<SocketAddr>) {
        // Counted now, not when its task first runs: until then more would be accepted than allowed.
        let counted = Counted::new(listener.seat(), Present::new(self));
        tokio::task::spawn_local(converse(
            Rc::clone(self),
            Rc::clone(listener),
            socket,
            peer,
            counted,
        ));
    }

    /// From now on the sweep looks at `client`, and orders wake it, until what is returned is dropped.
    pub(crate) fn enrol(self: &Rc<Self>, client: &Rc<Client>) -> Enrolled {
        let key = self.clients.borrow_mut().insert(Rc::clone(client));
        Enrolled { worker: Rc::clone(self), key }
    }

    /// Counts a connection to a listener of the client at `address`; `None` when it has `most` already.
    pub(crate) fn one_of_client(
        &self,
        listener: &ListenAddress,
        address: IpAddr,
        most: usize,
    ) -> Option<OneOfClient> {
        let key = (listener.clone(), address);
        let mut by_client = self.team.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_client.entry(key.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(OneOfClient { team: Arc::clone(&self.team), key })
    }

    pub(crate) fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether a connection is closed rather than waited for. When a listener closes, one that has just
    /// been accepted is about to send a request, and has no other chance: the sweep gives it a moment.
    pub(crate) fn is_to_close(&self, client: &Client) -> bool {
        if client.listener.is_closing() { !client.is_fresh() } else { self.draining.get() }
    }

    pub(crate) fn wake_clients(&self) {
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
            self.recorder.sweep();
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

/// What an open connection is counted by, until it and any tunnel it has become are gone.
#[derive(Debug)]
pub(crate) struct Counted {
    _seat: Seat,
    _present: Present,
    /// Once it is known whose it is.
    pub(crate) one_of_client: Option<OneOfClient>,
}

impl Counted {
    fn new(seat: Seat, present: Present) -> Self {
        Self { _seat: seat, _present: present, one_of_client: None }
    }
}

/// A connection's place among those of its worker.
#[derive(Debug)]
pub(crate) struct Present(Rc<Worker>);

impl Present {
    fn new(worker: &Rc<Worker>) -> Self {
        let present = Self(Rc::clone(worker));
        present.count(worker.open.get() + 1);
        present
    }

    fn count(&self, open: usize) {
        self.0.open.set(open);
        self.0.team.connections[self.0.index].store(open, Relaxed);
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.count(self.0.open.get() - 1);
    }
}

/// One of the connections of a client's address.
#[derive(Debug)]
pub(crate) struct OneOfClient {
    team: Arc<Team>,
    key: (ListenAddress, IpAddr),
}

impl Drop for OneOfClient {
    fn drop(&mut self) {
        let mut by_client = self.team.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_client.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&self.key);
            }
        }
    }
}

/// A client's place among those that the sweep looks at and orders wake.
#[derive(Debug)]
pub(crate) struct Enrolled {
    worker: Rc<Worker>,
    key: usize,
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.worker.clients.borrow_mut().remove(self.key);
    }
}
