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
    driver: Driver,
    closed: bool,
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
        Ok(Box::new(Self { sender, driver, closed: false }))
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
        if !self.closed && Pin::new(&mut self.driver).poll(context).is_ready() {
            self.closed = true;
        }
    }

    /// Whether the last exchange is complete and the backend keeps the connection open. Finds a
    /// connection that the backend closed, or on which it sent something unasked (which would
    /// otherwise be taken for the answer to the next request).
    pub(crate) fn is_reusable(&mut self) -> bool {
        // A waker that does nothing: the last holder must not be woken for the next one's bytes.
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.closed && self.sender.is_ready()
    }

    /// Ends HTTP on this connection after a 101: the stream, and what was read beyond the head.
    pub(crate) fn into_stream(self) -> (Stream, Bytes) {
        let parts = self.driver.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

/// Bytes buffered per direction and connection; also bounds a response head.
const MAX_BUFFER: usize = 64 * 1024;

/// Polls `response` as part of driving: it is woken by `connection` only, so it needs no waker.
pub(crate) fn poll_response<F: Future>(
    connection: &mut Connection,
    response: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    connection.drive(context);
    response.poll(&mut Context::from_waker(Waker::noop()))
}
