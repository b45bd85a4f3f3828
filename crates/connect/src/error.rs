//! Why no connection came about, and what is whose fault.

use std::fmt::Display;
use std::io;
use std::time::Duration;

/// Why no connection came about. Nothing of a request was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The backend does not take the connection, or cannot be reached. The text says where.
    #[error("cannot connect: {0}")]
    Refused(io::Error),
    /// The name has no address, or nobody can say. The text says which name.
    #[error("cannot resolve the name: {0}")]
    Resolve(io::Error),
    /// The TLS handshake failed, or the backend did not agree to speak what it must. The text is for
    /// people.
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
    /// What went wrong with a socket to `place`.
    pub(crate) fn of_socket(place: impl Display, error: &io::Error) -> Self {
        let told = at(place, error);
        if is_exhaustion(error) { Self::Exhausted(told) } else { Self::Refused(told) }
    }
}

/// The same error with a word on where.
pub(crate) fn at(place: impl Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}

/// Whether we lack what a connection takes. That says nothing of the backend.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    // No `ErrorKind` stands for these; the first two numbers are the same on every Unix.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_we_lack_says_nothing_of_the_backend() {
        for number in [23, 24, 105, 99, 12] {
            let error = io::Error::from_raw_os_error(number);
            let judged = ConnectError::of_socket("127.0.0.1:1", &error);
            assert!(matches!(judged, ConnectError::Exhausted(_)), "{error}");
        }
    }

    #[test]
    fn what_the_backend_or_the_way_to_it_does_counts_against_it() {
        for kind in [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::TimedOut,
            io::ErrorKind::PermissionDenied,
        ] {
            match ConnectError::of_socket("127.0.0.1:1", &kind.into()) {
                ConnectError::Refused(error) => assert_eq!(error.kind(), kind),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn the_words_begin_with_the_place() {
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        let told = ConnectError::of_socket("127.0.0.1:1", &error).to_string();
        assert_eq!(told, "cannot connect: 127.0.0.1:1: connection refused");
    }
}
