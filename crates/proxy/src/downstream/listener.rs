//! Listeners: accept, limit, and share out new connections among the workers.
//!
//! The kernel spreads connections blindly; a worker that has many more than another hands new ones
//! over.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use config::model::{DownstreamLimits, ListenAddress};
use connect::Socket as ClientStream;
use metrics::cells::ListenerCells;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;

use crate::downstream::bound::{BoundSocket, SocketFile};
use crate::service::Share;
use crate::spec::ListenerSpec;
use crate::worker::Worker;

/// How long to pause when accepting fails, for example for want of file descriptors: long enough
/// not to spin, short enough to be back before a client gives up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listening sockets of a worker for one listener, usually one.
#[derive(Debug)]
pub(crate) struct Accepting {
    sockets: Vec<Listening>,
    /// Whose turn it is to be asked first.
    turn: Cell<usize>,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix { socket: UnixListener, file: Option<Arc<SocketFile>> },
}

impl Accepting {
    pub(crate) fn new(sockets: Vec<BoundSocket>) -> io::Result<Self> {
        let sockets = sockets.into_iter().map(Listening::new).collect::<io::Result<_>>()?;
        Ok(Self { sockets, turn: Cell::new(0) })
    }

    /// The next connection, and its client's address if it has one.
    async fn accept(&self) -> io::Result<(ClientStream, Option<SocketAddr>)> {
        poll_fn(|context| {
            let first = self.turn.get() % self.sockets.len().max(1);
            self.turn.set(first + 1);
            let (later, sooner) = self.sockets.split_at(first);
            let accepted = sooner.iter().chain(later).map(|socket| socket.poll_accept(context));
            accepted.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }

    /// A successor accepts from the same sockets: their files are no longer ours to remove.
    fn hand_over(&self) {
        for socket in &self.sockets {
            if let Listening::Unix { file: Some(file), .. } = socket {
                file.hand_over();
            }
        }
    }
}

impl Listening {
    fn new(socket: BoundSocket) -> io::Result<Self> {
        Ok(match socket {
            BoundSocket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            BoundSocket::Unix(socket, file) => {
                Self::Unix { socket: UnixListener::from_std(socket)?, file }
            }
        })
    }

    fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(ClientStream, Option<SocketAddr>)>> {
        match self {
            Self::Tcp(socket) => {
                let accepted = ready!(socket.poll_accept(context));
                Poll::Ready(accepted.map(|(stream, peer)| (ClientStream::Tcp(stream), Some(peer))))
            }
            Self::Unix { socket, .. } => {
                let accepted = ready!(socket.poll_accept(context));
                Poll::Ready(accepted.map(|(stream, _)| (ClientStream::Unix(stream), None)))
            }
        }
    }
}

/// One listener of a worker.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: ListenAddress,
    /// Its address as text, for records.
    pub(crate) name: Arc<str>,
    pub(crate) cells: Arc<ListenerCells>,
    spec: RefCell<Rc<ListenerSpec>>,
    share: Share,
    open: Cell<usize>,
    stage: Cell<Stage>,
    changed: Notify,
}

/// Whether a listener accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// It ends once what the kernel has taken in is accepted, and so does what it has accepted.
    Closing,
    /// A successor accepts from its sockets. Its connections end with their next answer.
    Retired,
}

/// Counts an open connection of a listener.
#[derive(Debug)]
pub(crate) struct Seat(Rc<Listener>);

impl Listener {
    pub(crate) fn new(spec: ListenerSpec, cells: Arc<ListenerCells>, share: Share) -> Rc<Self> {
        Rc::new(Self {
            address: spec.address.clone(),
            name: spec.address.to_string().into(),
            cells,
            spec: RefCell::new(Rc::new(spec)),
            share,
            open: Cell::new(0),
            stage: Cell::new(Stage::Open),
            changed: Notify::new(),
        })
    }

    pub(crate) fn spec(&self) -> Rc<ListenerSpec> {
        Rc::clone(&self.spec.borrow())
    }

    pub(crate) fn limits<T>(&self, read: impl FnOnce(&DownstreamLimits) -> T) -> T {
        read(&self.spec.borrow().limits)
    }

    /// Takes over a new specification. Connections that are open keep what they were begun with,
    /// except their limits.
    pub(crate) fn configure(&self, spec: ListenerSpec) {
        *self.spec.borrow_mut() = Rc::new(spec);
        self.changed.notify_one();
    }

    /// Stops accepting, once what the kernel has already taken in is accepted.
    pub(crate) fn close(&self) {
        self.stage.set(Stage::Closing);
        self.changed.notify_one();
    }

    /// Stops accepting at once: what the kernel has already taken in is the successor's.
    pub(crate) fn retire(&self) {
        self.stage.set(Stage::Retired);
        self.changed.notify_one();
    }

    /// Whether it ends, and its idle connections with it.
    pub(crate) fn is_closing(&self) -> bool {
        self.stage.get() == Stage::Closing
    }

    /// Whether it takes connections for longer than a moment.
    pub(crate) fn is_open(&self) -> bool {
        self.stage.get() == Stage::Open
    }

    fn is_full(&self) -> bool {
        self.open.get() >= self.share.of(self.limits(|limits| limits.connections))
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
pub(crate) async fn accept(worker: Rc<Worker>, listener: Rc<Listener>, socket: Accepting) {
    let mut was_full = false;
    let mut was_failing = false;
    loop {
        if listener.stage.get() == Stage::Retired {
            return socket.hand_over();
        }
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
