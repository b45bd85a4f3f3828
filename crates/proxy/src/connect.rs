//! Opens a connection to a backend: resolve, TCP, TLS, all within one deadline.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use config::model::BackendUrl;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::backend::Backend;
use crate::spec::Symptom;

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
pub(crate) async fn connect(backend: &Backend, limit: Duration) -> Result<Stream, ConnectError> {
    let deadline = Instant::now() + limit;
    let opened = timeout_at(deadline, open(backend, deadline)).await;
    opened.unwrap_or(Err(ConnectError::Timeout(limit)))
}

async fn open(backend: &Backend, deadline: Instant) -> Result<Stream, ConnectError> {
    let spec = backend.spec();
    let tcp = open_tcp(backend, &spec.url, deadline).await.map_err(refused_or_exhausted)?;
    // A request is written whole; waiting to fill a packet would only delay it.
    tcp.set_nodelay(true).map_err(ConnectError::Refused)?;
    keep_alive(&tcp);
    match &spec.tls {
        None => Ok(Stream::Plain(tcp)),
        Some(tls) => {
            let connector = TlsConnector::from(tls.config.clone());
            let stream =
                connector.connect(tls.server_name.clone(), tcp).await.map_err(ConnectError::Tls)?;
            Ok(Stream::Tls(Box::new(stream)))
        }
    }
}

/// Tries the addresses in the resolver's order and gives each an equal share of the time, as probes
/// do, so that one that is silent does not hide the next.
async fn open_tcp(backend: &Backend, url: &BackendUrl, deadline: Instant) -> io::Result<TcpStream> {
    if let Ok(ip) = url.host.parse() {
        return TcpStream::connect(SocketAddr::new(ip, url.port)).await;
    }
    let addresses = backend.names.look_up(&url.host, url.port).await?;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    backend.names.forget().await;
    Err(failed)
}

/// Has the kernel find out, in time, that the other side is gone without a word.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    // A connection without it still works.
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
}

/// How long addresses are used before the name is looked up again.
const ADDRESSES_HOLD: Duration = Duration::from_secs(5);

/// The addresses of a backend that is named. One look-up at a time: each blocks a thread, for as
/// long as the name servers like, and cannot be cancelled.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Option<(Vec<SocketAddr>, Instant)>>);

impl Names {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut known = self.0.lock().await;
        if let Some((addresses, since)) = &*known
            && since.elapsed() < ADDRESSES_HOLD
        {
            return Ok(addresses.clone());
        }
        let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
        *known = Some((addresses.clone(), Instant::now()));
        Ok(addresses)
    }

    /// None of them took a connection: they may be old.
    async fn forget(&self) {
        *self.0.lock().await = None;
    }
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
