//! Listeners: bind, accept, and share out new connections among the workers.
//!
//! Every worker has its own socket for every TCP listener (SO_REUSEPORT), so accepting needs no
//! lock. The kernel spreads connections blindly; a worker that has many more than another hands new
//! ones over. A Unix socket is one for all workers; whoever is first takes the connection.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{DownstreamLimits, ListenAddress};
use connect::Socket as ClientStream;
use metrics::cells::ListenerCells;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;

use crate::service::Share;
use crate::spec::ListenerSpec;
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
    pub configured: ListenAddress,
    /// As bound: the port is never 0.
    pub local: ListenAddress,
    pub(crate) sockets: Vec<BoundSocket>,
}

/// One worker's socket of a listener.
#[derive(Debug)]
pub(crate) enum BoundSocket {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, Arc<SocketFile>),
}

/// Binds one socket per worker to `address`.
///
/// # Errors
/// As the system says, for example when the address is in use.
pub fn bind(address: &ListenAddress, workers: usize) -> io::Result<Bound> {
    let workers = workers.max(1);
    let (local, sockets) = match address {
        ListenAddress::Tcp(address) => bind_tcp(*address, workers)?,
        ListenAddress::Unix(path) => (address.clone(), bind_unix(path, workers)?),
    };
    Ok(Bound { configured: address.clone(), local, sockets })
}

fn bind_tcp(address: SocketAddr, workers: usize) -> io::Result<(ListenAddress, Vec<BoundSocket>)> {
    // SO_REUSEPORT would let us share a port with another process of the same user without a word.
    // So ask for it exclusively first.
    let exclusive = tcp_socket(address)?;
    exclusive.bind(&address.into())?;
    let local = exclusive.local_addr()?.as_socket().unwrap_or(address);
    exclusive.listen(1)?;
    drop(exclusive);
    let sockets = (0..workers)
        .map(|_| {
            let socket = tcp_socket(local)?;
            socket.set_reuse_port(true)?;
            socket.bind(&local.into())?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(BoundSocket::Tcp(socket.into()))
        })
        .collect::<io::Result<Vec<_>>>()?;
    Ok((local.into(), sockets))
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` means IPv6 only, so that it and `0.0.0.0` can be two listeners.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn bind_unix(path: &Arc<Path>, workers: usize) -> io::Result<Vec<BoundSocket>> {
    // A process that was killed leaves its socket behind. One that somebody listens on is theirs.
    // What is no socket is somebody's file.
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && StdUnixStream::connect(path).is_err_and(is_refused) {
        fs::remove_file(path)?;
    }
    let first = StdUnixListener::bind(path)?;
    first.set_nonblocking(true)?;
    let file = Arc::new(SocketFile::of(path)?);
    (0..workers).map(|_| Ok(BoundSocket::Unix(first.try_clone()?, Arc::clone(&file)))).collect()
}

/// The file of a Unix socket; removed with its last user, if it is still the same one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: Arc<Path>,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Arc<Path>) -> io::Result<Self> {
        Ok(Self { path: Arc::clone(path), inode: fs::metadata(path)?.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            // Nobody is left to tell; the next start removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A listening socket of this worker.
#[derive(Debug)]
pub(crate) enum Accepting {
    Tcp(TcpListener),
    Unix { socket: UnixListener, _file: Arc<SocketFile> },
}

impl Accepting {
    pub(crate) fn new(socket: BoundSocket) -> io::Result<Self> {
        Ok(match socket {
            BoundSocket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            BoundSocket::Unix(socket, file) => {
                Self::Unix { socket: UnixListener::from_std(socket)?, _file: file }
            }
        })
    }

    /// The next connection, and its client's address if it has one.
    async fn accept(&self) -> io::Result<(ClientStream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((ClientStream::Tcp(stream), Some(peer)))
            }
            Self::Unix { socket, .. } => Ok((ClientStream::Unix(socket.accept().await?.0), None)),
        }
    }
}

/// One listener of a worker.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: ListenAddress,
    pub(crate) cells: Arc<ListenerCells>,
    spec: RefCell<Rc<ListenerSpec>>,
    share: Share,
    open: Cell<usize>,
    closing: Cell<bool>,
    changed: Notify,
}

/// Counts an open connection of a listener.
#[derive(Debug)]
pub(crate) struct Seat(Rc<Listener>);

impl Listener {
    pub(crate) fn new(spec: ListenerSpec, cells: Arc<ListenerCells>, share: Share) -> Rc<Self> {
        Rc::new(Self {
            address: spec.address.clone(),
            cells,
            spec: RefCell::new(Rc::new(spec)),
            share,
            open: Cell::new(0),
            closing: Cell::new(false),
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
        self.closing.set(true);
        self.changed.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
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
