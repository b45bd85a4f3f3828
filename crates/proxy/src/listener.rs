//! Listeners: bind, accept, and share out new connections among the workers.
//!
//! Every worker has its own socket for every listener (SO_REUSEPORT), so accepting needs no lock.
//! The kernel spreads connections blindly; a worker that has many more than another hands new
//! ones over.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::DownstreamLimits;
use metrics::cells::ListenerCells;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::service::Share;
use crate::worker::Worker;

/// Connections the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;

/// How long to pause when accepting fails, for example for want of file descriptors: long enough
/// not to spin, short enough to be back before a client gives up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener's sockets, one per worker, bound and listening; nobody accepts yet.
#[derive(Debug)]
pub struct Bound {
    /// As asked for.
    pub configured: SocketAddr,
    /// As bound: the port is never 0.
    pub local: SocketAddr,
    pub(crate) sockets: Vec<StdListener>,
}

/// Binds one socket per worker to `address`.
///
/// # Errors
/// As the system says, for example when the address is in use.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    // SO_REUSEPORT would let us share a port with another process of the same user without a word.
    // So ask for it exclusively first.
    let exclusive = socket(address)?;
    exclusive.bind(&address.into())?;
    let local = exclusive.local_addr()?.as_socket().unwrap_or(address);
    exclusive.listen(1)?;
    drop(exclusive);
    let sockets = (0..workers.max(1))
        .map(|_| {
            let socket = socket(local)?;
            socket.set_reuse_port(true)?;
            socket.bind(&local.into())?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        })
        .collect::<io::Result<Vec<_>>>()?;
    Ok(Bound { configured: address, local, sockets })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` means IPv6 only, so that it and `0.0.0.0` can be two listeners.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// One listener of a worker.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) cells: Arc<ListenerCells>,
    limits: RefCell<Rc<DownstreamLimits>>,
    share: Share,
    open: Cell<usize>,
    closing: Cell<bool>,
    changed: Notify,
}

/// Counts an open connection of a listener.
#[derive(Debug)]
pub(crate) struct Seat(Rc<Listener>);

impl Listener {
    pub(crate) fn new(
        address: SocketAddr,
        limits: DownstreamLimits,
        cells: Arc<ListenerCells>,
        share: Share,
    ) -> Rc<Self> {
        Rc::new(Self {
            address,
            cells,
            limits: RefCell::new(Rc::new(limits)),
            share,
            open: Cell::new(0),
            closing: Cell::new(false),
            changed: Notify::new(),
        })
    }

    pub(crate) fn limits(&self) -> Rc<DownstreamLimits> {
        Rc::clone(&self.limits.borrow())
    }

    pub(crate) fn set_limits(&self, limits: DownstreamLimits) {
        *self.limits.borrow_mut() = Rc::new(limits);
        self.changed.notify_one();
    }

    /// Stops accepting, once what the kernel has already taken in is accepted.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.changed.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    fn is_full(&self) -> bool {
        self.open.get() >= self.share.of(self.limits.borrow().connections)
    }

    /// Takes a seat for a connection, until the seat is dropped.
    pub(crate) fn seat(self: &Rc<Self>) -> Seat {
        self.open.set(self.open.get() + 1);
        self.cells.connections.inc();
        Seat(Rc::clone(self))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.cells.connections.dec();
        self.0.changed.notify_one();
    }
}

/// Accepts connections until the listener closes. Ends by itself for no other reason.
pub(crate) async fn accept(worker: Rc<Worker>, listener: Rc<Listener>, socket: TcpListener) {
    let mut was_full = false;
    let mut was_failing = false;
    loop {
        // At the limit, clients wait in the kernel's queue instead of being turned away.
        if listener.is_full() && !listener.is_closing() {
            if !was_full {
                listener.cells.over_limit.inc();
                was_full = true;
            }
            listener.changed.notified().await;
            continue;
        }
        was_full = false;
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = listener.changed.notified(), if !listener.is_closing() => continue,
            () = std::future::ready(()), if listener.is_closing() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                was_failing = false;
                listener.cells.accepted.inc();
                worker.place(&listener, stream, peer);
            }
            Err(error) => {
                listener.cells.accept_errors.inc();
                if !is_about_one_connection(&error) {
                    // Once per episode; the metric counts them all.
                    if !was_failing {
                        tracing::warn!(address = %listener.address, %error, "cannot accept connections");
                    }
                    was_failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The connection was gone before it was accepted; the next one may be well.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
