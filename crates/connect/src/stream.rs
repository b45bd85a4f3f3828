//! An open connection: a TCP or Unix socket, plain or under TLS.

use std::convert::identity;
use std::time::{Duration, SystemTime};

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::words::in_words;

/// What the bytes go over.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// An open connection to a backend.
///
/// What goes wrong in TLS is an error of the kind [`std::io::ErrorKind::InvalidData`] in words for people.
/// A TLS 1.3 backend refuses us after the handshake is over on our side (RFC 8446 section 4.4.2.4), so
/// such an error may still come in place of the first answer.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(Socket),
    /// Under TLS.
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// When the certificate that the backend showed stops being valid; `None` in the clear, and when
    /// that cannot be read. Reads the certificate each time: meant for probes.
    #[must_use]
    pub fn certificate_expires(&self) -> Option<SystemTime> {
        let Self::Tls(stream) = self else { return None };
        let leaf = stream.get_ref().1.peer_certificates()?.first()?;
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        let seconds = certificate.validity().not_after.timestamp();
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
    }
}

crate::delegate_io!(Socket { Tcp => identity, Unix => identity });
crate::delegate_io!(Stream { Plain => identity, Tls => in_words });
