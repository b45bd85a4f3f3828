//! The Unix socket: whoever can open it is in charge, so only its owner can.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// A bound socket. Its file is removed when this is dropped, unless it is somebody else's by then.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    file: File,
    /// The place that it does not have yet.
    takes_over: Option<PathBuf>,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error(
        "another process answers on {}: stop it, or give this one another `admin.socket`",
        path.display()
    )]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// There is a file, and it is no socket.
    #[error("{} is there already, and is not a socket: remove it, or choose another path", path.display())]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// Others could put a socket of theirs in its place.
    #[error(
        "others may write into the folder {}: choose one that belongs to this user alone",
        folder.display()
    )]
    OpenFolder {
        /// Which folder.
        folder: PathBuf,
    },
    /// The system refuses.
    #[error("cannot make the socket {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
}

/// The file of a socket, and which it is.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl Socket {
    /// Binds a socket that only this user can open, and makes its folder if there is none. What a
    /// process that has ended left behind is removed.
    ///
    /// # Errors
    /// When somebody answers there, when the folder is open to others, or when the system refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let io = |why| SocketError::Io { path: path.to_owned(), why };
        prepare_folder(path)?;
        match listen(path) {
            Ok(socket) => Ok(socket),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                remove_stale(path)?;
                listen(path).map_err(io)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// The same beside that of a predecessor, which still answers until [`Socket::take_over`].
    ///
    /// # Errors
    /// When the folder is open to others, or when the system refuses.
    pub fn beside(path: &Path) -> Result<Self, SocketError> {
        let io = |why| SocketError::Io { path: path.to_owned(), why };
        prepare_folder(path)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let aside = PathBuf::from(name);
        match fs::remove_file(&aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let socket = listen(&aside).map_err(io)?;
        Ok(Self { takes_over: Some(path.to_owned()), ..socket })
    }

    /// Takes the place that it was bound beside: from then on clients reach us.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take_over(&mut self) -> Result<(), SocketError> {
        let Some(path) = self.takes_over.take() else { return Ok(()) };
        fs::rename(&self.file.path, &path)
            .map_err(|why| SocketError::Io { path: path.clone(), why })?;
        self.file.path = path;
        Ok(())
    }

    /// Where it is, or will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.takes_over.as_deref().unwrap_or(&self.file.path)
    }

    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A successor may have put its own there.
        if identity(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Before it listens nobody can connect, so between the two the mode is set.
fn listen(path: &Path) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = File { path: path.to_owned(), id: identity(path)? };
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok(Socket { listener: socket.into(), file, takes_over: None })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Makes the folder if it is missing, and makes sure that nobody else could exchange the socket in it.
fn prepare_folder(path: &Path) -> Result<(), SocketError> {
    let io = |why| SocketError::Io { path: path.to_owned(), why };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    if !folder.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    }
    let metadata = fs::metadata(folder).map_err(io)?;
    let (open, sticky) = (metadata.mode() & 0o022 != 0, metadata.mode() & 0o1000 != 0);
    let ours = [0, own_user().map_err(io)?].contains(&metadata.uid());
    if !ours || (open && !sticky) {
        return Err(SocketError::OpenFolder { folder: folder.to_owned() });
    }
    Ok(())
}

/// The number of our user, as our own entry in /proc says.
fn own_user() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

/// Removes a socket on which nobody listens.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let io = |why| SocketError::Io { path: path.to_owned(), why };
    let metadata = fs::symlink_metadata(path).map_err(io)?;
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: path.to_owned() });
    }
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).map_err(io)?;
    // With a full queue there is somebody, too: do not wait for a place in it.
    probe.set_nonblocking(true).map_err(io)?;
    match probe.connect(&SockAddr::unix(path).map_err(io)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(io(error)),
        Ok(()) | Err(_) => Err(SocketError::Taken { path: path.to_owned() }),
    }
}
