//! One connection to a backend and one exchange on it: send a request, await the response head.
//!
//! The request that uses a connection drives it: there is no task per connection, no wake-up from
//! one task to another, and a request that is dropped closes its connection. While a connection is
//! idle nobody drives it; taking it from the pool finds out whether it is still alive.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::body::RequestBody;
use crate::connect::Stream;

type Driver = http1::Connection<TokioIo<Stream>, RequestBody>;

/// A connection to a backend, driven by whoever holds it.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// Gone once nothing more can come of it.
    driver: Option<Driver>,
    closed: bool,
    used: bool,
}

/// Why no response head came.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The request, when it certainly was not sent.
    pub(crate) unsent: Option<Request<RequestBody>>,
    /// What went wrong.
    pub(crate) error: hyper::Error,
}

impl Connection {
    /// Starts HTTP/1.1 on an open stream. Nothing is sent yet.
    ///
    /// # Errors
    /// hyper's, of which none are known for HTTP/1.1.
    pub(crate) async fn start(stream: Stream) -> Result<Box<Self>, hyper::Error> {
        let (sender, driver) =
            http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self { sender, driver: Some(driver), closed: false, used: false }))
    }

    /// Queues a request; [`drive`](Self::drive) sends it.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Broken>> + use<> {
        let sent = self.sender.try_send_request(request);
        async move {
            sent.await.map_err(|mut error| Broken {
                unsent: error.take_message(),
                error: error.into_error(),
            })
        }
    }

    /// Moves bytes in both directions as far as possible. `context` is woken when there is more.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = self.driver.as_mut().filter(|_| !self.closed) {
            self.closed = Pin::new(driver).poll(context).is_ready();
        }
    }

    /// Whether it has served an exchange before this one.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Whether the exchange is complete and the connection open, so that it can take another
    /// request.
    pub(crate) fn is_reusable(&mut self) -> bool {
        if !self.sender.is_ready() {
            // The end of the response may not have been digested yet. Nobody needs to be woken: what
            // comes later is found when the next request is sent, before anything is written.
            self.drive(&mut Context::from_waker(Waker::noop()));
        }
        self.used = true;
        !self.closed && self.sender.is_ready()
    }

    /// Ends HTTP on this connection after a 101: the stream, and what was read beyond the head.
    /// `None` when the connection is gone.
    pub(crate) fn into_stream(self) -> Option<(Stream, Bytes)> {
        let parts = self.driver?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

/// Bytes buffered per direction and connection; also bounds a response head.
const MAX_BUFFER: usize = 64 * 1024;

/// Drives `connection` until the response head is there.
///
/// Only the connection's socket has to wake `context`. Everything else hyper would wake it for is
/// looked at here anyway, and each such wake-up would cost another round through the whole
/// connection of the client. So the socket is asked quietly first, and `context` is registered
/// only when there is nothing yet.
pub(crate) fn poll_response<F: Future>(
    connection: &mut Connection,
    mut response: Pin<&mut F>,
    context: &mut Context<'_>,
    is_first: bool,
) -> Poll<F::Output> {
    let quiet = &mut Context::from_waker(Waker::noop());
    if !is_first {
        connection.drive(quiet);
        if let Poll::Ready(response) = response.as_mut().poll(quiet) {
            return Poll::Ready(response);
        }
    }
    connection.drive(context);
    let polled = response.as_mut().poll(quiet);
    if polled.is_pending() && connection.closed {
        // Nothing was taken from hyper's queue; it gives the request back when it goes.
        connection.driver = None;
        return response.poll(quiet);
    }
    polled
}
