//! Listening sockets before anybody accepts: bound by us, or by another process and handed to us.
//!
//! Every worker has its own socket for every TCP listener (SO_REUSEPORT), so accepting needs no lock.
//! A Unix socket is one for all workers; whoever is first takes the connection. So it is with sockets
//! that another process has bound, when they are fewer than the workers.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use config::model::ListenAddress;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;

/// A listener's sockets, shared out to the workers, bound and listening; nobody accepts yet.
#[derive(Debug)]
pub struct Bound {
    /// As asked for.
    pub configured: ListenAddress,
    /// As bound: the port is never 0.
    pub local: ListenAddress,
    /// By worker.
    pub(crate) sockets: Vec<Vec<BoundSocket>>,
}

/// One worker's socket of a listener.
#[derive(Debug)]
pub(crate) enum BoundSocket {
    Tcp(TcpListener),
    /// The file is `None` when it is not ours to remove.
    Unix(UnixListener, Option<Arc<SocketFile>>),
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
    let sockets = sockets.into_iter().map(|socket| vec![socket]).collect();
    Ok(Bound { configured: address.clone(), local, sockets })
}

impl Bound {
    /// Takes over sockets that another process has bound for `configured`: a predecessor that
    /// [shares](Self::share) them, or systemd. They are shared out to `workers`: when there are fewer,
    /// several accept from the same one; when there are more, a worker accepts from several. The file
    /// of a Unix socket is left alone, see [`own_file`](Self::own_file).
    ///
    /// Any port will do when port 0 is configured. A socket of `[::]` that also takes IPv4 will do for
    /// `0.0.0.0`, as systemd binds it.
    ///
    /// # Errors
    /// When there is none, when one of them is no listening stream socket of this address, when they
    /// differ in their port, or as the system says.
    pub fn adopt(
        configured: ListenAddress,
        sockets: Vec<OwnedFd>,
        workers: usize,
    ) -> io::Result<Self> {
        let mut adopted = Vec::with_capacity(sockets.len());
        let mut local = None;
        for socket in sockets {
            let socket = Socket::from(socket);
            let address = listening_on(&socket, &configured)?;
            if *local.get_or_insert_with(|| address.clone()) != address {
                return Err(unfit(&configured, "the sockets differ in their addresses"));
            }
            socket.set_nonblocking(true)?;
            socket.set_cloexec(true)?;
            adopted.push(match configured {
                ListenAddress::Tcp(_) => BoundSocket::Tcp(socket.into()),
                ListenAddress::Unix(_) => BoundSocket::Unix(socket.into(), None),
            });
        }
        let local = local.ok_or_else(|| unfit(&configured, "there is no socket"))?;
        let sockets = share_out(adopted, workers.max(1))?;
        Ok(Self { configured, local, sockets })
    }

    /// The file of a Unix socket that was [adopted](Self::adopt) is removed with its last user, as if
    /// we had bound it: its former owner is gone, or will be. It is not for what systemd has bound.
    ///
    /// # Errors
    /// When there is no file.
    pub fn own_file(&mut self) -> io::Result<()> {
        let ListenAddress::Unix(path) = &self.configured else { return Ok(()) };
        let file = Arc::new(SocketFile::of(path)?);
        for socket in self.sockets.iter_mut().flatten() {
            match socket {
                BoundSocket::Unix(_, owned) => *owned = Some(Arc::clone(&file)),
                BoundSocket::Tcp(_) => {}
            }
        }
        Ok(())
    }

    /// The sockets once more, each once, to be kept for a successor. As long as somebody has them,
    /// connections may wait in them.
    ///
    /// # Errors
    /// As the system says, for example when there are too many open files.
    pub fn share(&self) -> io::Result<Vec<OwnedFd>> {
        let mut seen = HashSet::new();
        let mut shared = Vec::new();
        for socket in self.sockets.iter().flatten() {
            let file = File::from(socket.duplicate()?);
            // The same for all duplicates of one socket.
            if seen.insert(file.metadata()?.ino()) {
                shared.push(file.into());
            }
        }
        Ok(shared)
    }
}

impl BoundSocket {
    fn duplicate(&self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(socket) => socket.try_clone()?.into(),
            Self::Unix(socket, _) => socket.try_clone()?.into(),
        })
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket, file) => Self::Unix(socket.try_clone()?, file.clone()),
        })
    }
}

fn share_out(sockets: Vec<BoundSocket>, workers: usize) -> io::Result<Vec<Vec<BoundSocket>>> {
    let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for worker in sockets.len()..workers {
        shares[worker].push(sockets[worker % sockets.len()].try_clone()?);
    }
    for (place, socket) in sockets.into_iter().enumerate() {
        shares[place % workers].push(socket);
    }
    Ok(shares)
}

fn unfit(configured: &ListenAddress, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("for {configured}: {why}"))
}

/// Where `socket` listens, if that is what `configured` asks for.
fn listening_on(socket: &Socket, configured: &ListenAddress) -> io::Result<ListenAddress> {
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(unfit(configured, "not a listening stream socket"));
    }
    let local = socket.local_addr()?;
    match configured {
        ListenAddress::Tcp(wanted) => {
            let is_wanted = |local: &SocketAddr| {
                let takes_ipv4 = local.is_ipv6()
                    && local.ip().is_unspecified()
                    && wanted.ip().is_unspecified()
                    && socket.only_v6().is_ok_and(|only| !only);
                (wanted.ip() == local.ip() || takes_ipv4)
                    && (wanted.port() == local.port() || wanted.port() == 0)
            };
            let found = local.as_socket();
            let found = found.filter(is_wanted);
            found.map(Into::into).ok_or_else(|| unfit(configured, "bound to another address"))
        }
        ListenAddress::Unix(wanted) => {
            let is_wanted = |local: &Path| {
                let same = |(wanted, local)| wanted == local;
                *local == **wanted
                    || fs::canonicalize(wanted)
                        .ok()
                        .zip(fs::canonicalize(local).ok())
                        .is_some_and(same)
            };
            match local.as_pathname().filter(|local| is_wanted(local)) {
                Some(_) => Ok(configured.clone()),
                None => Err(unfit(configured, "bound to another path")),
            }
        }
    }
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
    if is_socket && UnixStream::connect(path).is_err_and(is_refused) {
        fs::remove_file(path)?;
    }
    let first = UnixListener::bind(path)?;
    first.set_nonblocking(true)?;
    let file = Arc::new(SocketFile::of(path)?);
    (0..workers)
        .map(|_| Ok(BoundSocket::Unix(first.try_clone()?, Some(Arc::clone(&file)))))
        .collect()
}

/// The file of a Unix socket; removed with its last user, if it is still the same one and nobody has
/// taken it over.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: Arc<Path>,
    inode: u64,
    handed_over: AtomicBool,
}

impl SocketFile {
    fn of(path: &Arc<Path>) -> io::Result<Self> {
        let (path, inode) = (Arc::clone(path), fs::metadata(path)?.ino());
        Ok(Self { path, inode, handed_over: AtomicBool::new(false) })
    }

    /// It is a successor's now.
    pub(crate) fn hand_over(&self) {
        self.handed_over.store(true, Relaxed);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = !self.handed_over.load(Relaxed);
        if is_ours && fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            // Nobody is left to tell; the next start removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
