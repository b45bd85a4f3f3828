//! A client's socket, as HTTP sees it: TCP or Unix, plain or TLS, with its deadlines enforced.

use std::convert::identity;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BytesMut};
use connect::Socket;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::downstream::client::{CLOSE, CUT, Clock, GO_ON, State, TIMED_OUT};

/// The answer to a head that did not arrive in time (RFC 9110 15.5.9).
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What a client's bytes go over.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A client's socket under HTTP.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    transport: Transport,
    state: Arc<State>,
    /// What was read to find out what is spoken.
    early: BytesMut,
}

impl ClientSocket {
    pub(crate) fn new(transport: Transport, clock: Arc<Clock>) -> Self {
        Self { transport, state: State::new(clock), early: BytesMut::new() }
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Bytes that were read and are to be read again.
    pub(crate) fn give_back(&mut self, early: BytesMut) {
        self.early = early;
    }

    /// The kernel says that the client has closed its sending side, whatever is still unread.
    fn look_for_end(&self) {
        let socket = match &self.transport {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.get_ref().0,
        };
        let quiet = &mut Context::from_waker(Waker::noop());
        let ready = match socket {
            Socket::Tcp(stream) => pin!(stream.ready(Interest::READABLE)).poll(quiet),
            Socket::Unix(stream) => pin!(stream.ready(Interest::READABLE)).poll(quiet),
        };
        if matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed()) {
            self.state.ended();
        }
    }

    /// Sends interim responses. hyper flushes when it has written everything it has, so this is
    /// between two messages; what is left over goes before anything hyper writes next.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.state.has_interim.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let mut waiting = self.state.interim.lock().unwrap_or_else(PoisonError::into_inner);
        while !waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.transport).poll_write(context, &waiting))?;
            waiting.advance(written);
        }
        self.state.has_interim.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.state.order.load(Relaxed) {
            GO_ON => {}
            CUT => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            order => {
                if order == TIMED_OUT {
                    // Best effort: no answer is being written while a head is being read.
                    let _ = Pin::new(&mut self.transport).poll_write(context, REQUEST_TIMEOUT);
                    let _ = Pin::new(&mut self.transport).poll_flush(context);
                    self.state.order.store(CLOSE, Relaxed);
                }
                return Poll::Ready(Ok(()));
            }
        }
        if !self.early.is_empty() {
            let length = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(length));
            self.state.received(length);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.transport).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.state.received(buffer.filled().len() - before);
        }
        read
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state.order.load(Relaxed) == CUT {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(self.poll_interim(context))?;
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.state.order.load(Relaxed) == CUT {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(self.poll_interim(context))?;
        Pin::new(&mut self.transport).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at every wake-up.
        if self.state.watched.load(Relaxed) {
            self.look_for_end();
        }
        ready!(self.poll_interim(context))?;
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}

connect::delegate_io!(Transport { Plain => identity, Tls => identity });
