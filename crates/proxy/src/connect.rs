//! Opens a connection to a backend: resolve, TCP, TLS, all within one deadline.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::spec::{BackendSpec, Symptom};

/// An open connection to a backend, plain or TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why no connection came about. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The backend does not take the connection.
    #[error("cannot connect: {0}")]
    Refused(io::Error),
    /// The TLS handshake failed.
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    /// Not within the time.
    #[error("cannot connect within {0:?}")]
    Timeout(Duration),
    /// We have run out of something: no fault of the backend.
    #[error("cannot open another socket: {0}")]
    Exhausted(io::Error),
}

impl ConnectError {
    /// What this says of the backend, if anything.
    pub(crate) fn symptom(&self) -> Option<Symptom> {
        match self {
            Self::Refused(_) | Self::Timeout(_) => Some(Symptom::Refused),
            Self::Tls(_) => Some(Symptom::Tls),
            Self::Exhausted(_) => None,
        }
    }
}

/// Opens a connection to `backend` within `limit`.
///
/// # Errors
/// See [`ConnectError`].
pub(crate) async fn connect(
    backend: &BackendSpec,
    limit: Duration,
) -> Result<Stream, ConnectError> {
    tokio::time::timeout(limit, open(backend)).await.unwrap_or(Err(ConnectError::Timeout(limit)))
}

async fn open(backend: &BackendSpec) -> Result<Stream, ConnectError> {
    let tcp = open_tcp(backend).await.map_err(refused_or_exhausted)?;
    // A request is written whole; waiting to fill a packet would only delay it.
    tcp.set_nodelay(true).map_err(ConnectError::Refused)?;
    match &backend.tls {
        None => Ok(Stream::Plain(tcp)),
        Some(tls) => {
            let connector = TlsConnector::from(tls.config.clone());
            let stream =
                connector.connect(tls.server_name.clone(), tcp).await.map_err(ConnectError::Tls)?;
            Ok(Stream::Tls(Box::new(stream)))
        }
    }
}

async fn open_tcp(backend: &BackendSpec) -> io::Result<TcpStream> {
    let url = &backend.url;
    if let Ok(ip) = url.host.parse() {
        return TcpStream::connect(SocketAddr::new(ip, url.port)).await;
    }
    TcpStream::connect((&*url.host, url.port)).await
}

fn refused_or_exhausted(error: io::Error) -> ConnectError {
    // EMFILE, ENFILE, ENOBUFS, EADDRNOTAVAIL: numbers of Linux; std names only some of them.
    match error.raw_os_error() {
        Some(24 | 23 | 105 | 99) => ConnectError::Exhausted(error),
        _ => ConnectError::Refused(error),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
