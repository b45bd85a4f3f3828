//! A stream that knows what has left on it: how many bytes, and whether any are waiting. So it is
//! known whether a request has left.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection to a backend whose written bytes are counted.
#[derive(Debug)]
pub(crate) struct Counting {
    stream: connect::Stream,
    outgoing: Rc<Outgoing>,
}

/// What has left on a connection.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    written: Cell<u64>,
    blocked: Cell<bool>,
}

impl Outgoing {
    /// Bytes so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.get()
    }

    /// Whether something waits for the socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    fn note<T>(&self, outcome: &Poll<T>) {
        if outcome.is_pending() {
            self.blocked.set(true);
        }
    }
}

impl Counting {
    pub(crate) fn new(stream: connect::Stream, outgoing: Rc<Outgoing>) -> Self {
        Self { stream, outgoing }
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        self.outgoing.note(written);
        if let Poll::Ready(Ok(written)) = written {
            self.outgoing.written.set(self.outgoing.written.get() + *written as u64);
        }
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.outgoing.note(&flushed);
        if flushed.is_ready() {
            self.outgoing.blocked.set(false);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
