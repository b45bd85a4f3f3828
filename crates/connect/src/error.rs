//! Why no connection came about, and what is whose fault.

use std::io;
use std::time::Duration;

/// Why no connection came about. Nothing of a request was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The backend does not take the connection, or cannot be reached.
    #[error("cannot connect: {0}")]
    Refused(io::Error),
    /// The name has no address, or nobody can say.
    #[error("cannot resolve the name: {0}")]
    Resolve(io::Error),
    /// The TLS handshake failed, or the backend did not agree to speak what it must.
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    /// Not within the time.
    #[error("cannot connect within {0:?}")]
    Timeout(Duration),
    /// We have run out of descriptors, ports or memory: no fault of the backend.
    #[error("cannot open another socket: {0}")]
    Exhausted(io::Error),
}

impl ConnectError {
    /// What went wrong with a socket.
    pub(crate) fn of_socket(error: io::Error) -> Self {
        if is_exhaustion(&error) { Self::Exhausted(error) } else { Self::Refused(error) }
    }
}

/// Whether we lack what a connection takes. That says nothing of the backend.
fn is_exhaustion(error: &io::Error) -> bool {
    // No `ErrorKind` stands for these; the first two numbers are the same on every Unix.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}
