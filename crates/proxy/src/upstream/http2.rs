//! HTTP/2 with a backend: connections that many exchanges share, and one exchange on one of them.
//!
//! A connection has a task that drives it. A request is nevertheless written by whoever sends it,
//! in the same step in which it has made sure that the backend is active: nothing of it stays behind
//! in a queue to leave later.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use tokio::time::timeout;

use crate::body::Source;
use crate::upstream::ResponseHead;
use crate::upstream::counting::{Counting, Outgoing};
use crate::upstream::exchange::Broken;
use crate::upstream::h1::{Malformed, is_forbidden_trailer};

/// Bytes a backend may send ahead on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// Bytes kept for one stream of a backend that takes them slowly.
const SEND_BUFFER: usize = 64 * 1024;

/// Most bytes of a response head.
const MAX_HEAD: u32 = 64 * 1024;

/// Streams that a backend is taken to allow until it says how many (RFC 9113 6.5.2).
const STREAMS_AT_FIRST: usize = 100;

/// Most interim responses before the final one; a backend that sends more is not making progress.
const MAX_INTERIM: usize = 16;

/// How long a backend may take to send its settings on a new connection.
const SETTINGS_WITHIN: Duration = Duration::from_secs(2);

/// How long a connection without exchanges may take to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);

/// A connection to a backend, shared by exchanges. Without any, and without a place among the
/// connections of its backend, it ends.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: RefCell<SendRequest<Bytes>>,
    driver: Rc<Driver>,
    /// It takes no further exchanges: the backend has said goodbye (GOAWAY), or it has broken.
    leaving: Cell<bool>,
    open: Cell<usize>,
    served: Cell<u64>,
    idle_since: Cell<Instant>,
}

/// What moves a connection's bytes.
struct Driver {
    connection: RefCell<Option<h2::client::Connection<Counting>>>,
    /// Whom the connection wakes, also when it is moved by a request.
    waker: RefCell<Waker>,
    outgoing: Rc<Outgoing>,
    ended: Cell<bool>,
    /// The last one who could send on it is gone.
    unused: Cell<bool>,
}

impl Connection {
    /// Begins HTTP/2 on `stream`.
    ///
    /// # Errors
    /// When nothing can be sent.
    pub(crate) async fn begin(stream: connect::Stream) -> Result<Rc<Self>, h2::Error> {
        let outgoing = Rc::new(Outgoing::default());
        let (sender, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            .max_send_buffer_size(SEND_BUFFER)
            .initial_max_send_streams(STREAMS_AT_FIRST)
            .handshake(Counting::new(stream, Rc::clone(&outgoing)))
            .await?;
        let ping = connection.ping_pong();
        let driver = Rc::new(Driver {
            connection: RefCell::new(Some(connection)),
            waker: RefCell::new(Waker::noop().clone()),
            outgoing,
            ended: Cell::new(false),
            unused: Cell::new(false),
        });
        tokio::task::spawn_local(Rc::clone(&driver).run());
        // The first answer to anything comes behind the backend's settings (RFC 9113 3.4): how many
        // streams it takes, and whether WebSockets. One that does not answer is found out by use.
        if let Some(mut ping) = ping {
            let _ = timeout(SETTINGS_WITHIN, ping.ping(Ping::opaque())).await;
        }
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            driver,
            leaving: Cell::new(false),
            open: Cell::new(0),
            served: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
        }))
    }

    /// Whether it takes another exchange, when it may have `most` at a time.
    pub(crate) fn has_room(&self, most: usize) -> bool {
        let allowed = self.sender.borrow().current_max_send_streams();
        !self.is_over() && self.open.get() < most.min(allowed)
    }

    /// Whether it takes no further exchanges.
    pub(crate) fn is_over(&self) -> bool {
        self.leaving.get() || self.driver.ended.get()
    }

    /// It was found to take no further exchanges, before anything was sent.
    fn over(&self) -> Broken {
        self.leaving.set(true);
        Broken::Stale
    }

    /// Since when it has had no exchange, if it has none.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.open.get() == 0).then(|| self.idle_since.get())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.unused.set(true);
        self.driver.waker.borrow().wake_by_ref();
    }
}

impl Driver {
    /// Drives the connection until it ends. Once it is unused, it has a little time to say goodbye.
    async fn run(self: Rc<Self>) {
        poll_fn(|context| {
            self.waker.borrow_mut().clone_from(context.waker());
            self.drive();
            if self.ended.get() || self.unused.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let goodbye = poll_fn(|context| {
            self.waker.borrow_mut().clone_from(context.waker());
            self.drive();
            if self.ended.get() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = timeout(GOODBYE_WITHIN, goodbye).await;
        self.end();
    }

    /// Moves what can be moved.
    fn drive(&self) {
        let Ok(mut connection) = self.connection.try_borrow_mut() else { return };
        let waker = self.waker.borrow().clone();
        let done = connection.as_mut().is_none_or(|connection| {
            Pin::new(connection).poll(&mut Context::from_waker(&waker)).is_ready()
        });
        if done {
            *connection = None;
            self.ended.set(true);
        }
    }

    /// Ends the connection without another byte.
    fn end(&self) {
        if let Ok(mut connection) = self.connection.try_borrow_mut() {
            *connection = None;
        }
        self.ended.set(true);
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("ended", &self.ended.get()).finish_non_exhaustive()
    }
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Rc<Connection>,
    request: Option<Request<()>>,
    upload: Option<Upload>,
    send: Option<SendStream<Bytes>>,
    response: Option<ResponseFuture>,
    receive: Option<RecvStream>,
    /// What had left of the connection before this exchange; `None` before it has begun.
    written_before: Option<u64>,
    interims: usize,
    remaining: Option<u64>,
    is_used: bool,
    is_head: bool,
}

/// A request body being sent.
#[derive(Debug)]
struct Upload {
    source: Rc<Source>,
    given: usize,
    /// What waits for room.
    chunk: Bytes,
}

impl Stream {
    /// An exchange on `connection`, which counts it from now on.
    pub(crate) fn new(connection: &Rc<Connection>) -> Box<Self> {
        connection.open.set(connection.open.get() + 1);
        Box::new(Self {
            connection: Rc::clone(connection),
            request: None,
            upload: None,
            send: None,
            response: None,
            receive: None,
            written_before: None,
            interims: 0,
            remaining: None,
            is_used: connection.served.get() > 0,
            is_head: false,
        })
    }

    pub(crate) fn begin(&mut self, request: Request<()>, source: Option<Rc<Source>>) {
        self.is_head = request.method() == Method::HEAD;
        self.request = Some(request);
        self.upload = source.map(|source| Upload { source, given: 0, chunk: Bytes::new() });
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Whether not a single byte of the request has left.
    pub(crate) fn has_sent_nothing(&self) -> bool {
        self.written_before.is_none_or(|before| before == self.connection.driver.outgoing.written())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.receive.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    pub(crate) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// See [`crate::upstream::exchange::Exchange::poll_head`].
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        mut interim: impl FnMut(&ResponseHead),
    ) -> Poll<Result<ResponseHead, Broken>> {
        if self.request.is_some() {
            ready!(self.poll_request(context))?;
        }
        self.poll_send(context);
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(Broken::Unsent));
        };
        while let Poll::Ready(Some(Ok(found))) = response.poll_informational(context) {
            self.interims += 1;
            if self.interims > MAX_INTERIM {
                return Poll::Ready(Err(Malformed("too many interim responses").into()));
            }
            interim(&head(found).0);
        }
        match ready!(Pin::new(response).poll(context)) {
            Err(error) => Poll::Ready(Err(self.broken(&error))),
            Ok(response) => {
                self.response = None;
                self.connection.served.set(self.connection.served.get() + 1);
                let (head, receive) = head(response);
                let length = head.headers.get(CONTENT_LENGTH).and_then(|text| text.to_str().ok());
                self.remaining = length.and_then(|text| text.parse().ok());
                // RFC 9110 6.4.1: these have no content, whatever is sent.
                let is_empty = self.is_head
                    || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
                if is_empty || receive.is_end_stream() {
                    self.remaining = Some(0);
                }
                self.receive = (!is_empty).then_some(receive);
                Poll::Ready(Ok(head))
            }
        }
    }

    /// Sends the request's head, to its last byte if the socket takes it.
    fn poll_request(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // Nothing older may be waiting: then what leaves next is this head, at once.
        let driver = &self.connection.driver;
        driver.drive();
        ready!(driver.outgoing.poll_clear(context));
        let mut sender = self.connection.sender.borrow_mut();
        if ready!(sender.poll_ready(context)).is_err() {
            return Poll::Ready(Err(self.connection.over()));
        }
        let Some(request) = self.request.take() else { return Poll::Ready(Ok(())) };
        self.written_before = Some(driver.outgoing.written());
        let is_end = self.upload.is_none() && request.method() != Method::CONNECT;
        let sent = sender.send_request(request, is_end);
        drop(sender);
        match sent {
            Ok((response, send)) => {
                self.response = Some(response);
                self.send = Some(send);
                driver.drive();
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.written_before = None;
                // A request that cannot be said says nothing of the connection.
                let is_ours = !error.is_io() && !error.is_go_away();
                Poll::Ready(Err(if is_ours {
                    Broken::Malformed(Malformed("request"))
                } else {
                    self.connection.over()
                }))
            }
        }
    }

    /// Sends as much of the body as the backend and the client allow.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) {
        while let (Some(upload), Some(send)) = (&mut self.upload, &mut self.send) {
            let goes_on = match upload.poll_send(send, context) {
                Poll::Pending => return,
                Poll::Ready(goes_on) => goes_on,
            };
            if !goes_on {
                self.upload = None;
            }
        }
    }

    /// See [`crate::upstream::exchange::Exchange::poll_body`].
    pub(crate) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.poll_send(context);
        let Some(receive) = &mut self.receive else { return Poll::Ready(None) };
        match ready!(receive.poll_data(context)) {
            Some(Ok(data)) => {
                // Fails only when the stream is over; then there is nothing to release.
                let _ = receive.flow_control().release_capacity(data.len());
                self.remaining = self.remaining.map(|left| left.saturating_sub(data.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(self.broken(&error)))),
            None => {}
        }
        Poll::Ready(match ready!(receive.poll_trailers(context)) {
            Ok(Some(trailers)) => Some(Ok(Frame::trailers(allowed(trailers)))),
            Ok(None) => None,
            Err(error) => Some(Err(self.broken(&error))),
        })
    }

    /// The two halves, after an extended CONNECT was accepted (RFC 8441).
    pub(crate) fn into_tunnel(mut self) -> Option<(SendStream<Bytes>, RecvStream, Tunnelled)> {
        let (send, receive) = (self.send.take()?, self.receive.take()?);
        self.written_before = None;
        Some((send, receive, Tunnelled(self)))
    }

    /// Whether the backend takes extended CONNECT requests.
    pub(crate) fn may_connect(&self) -> bool {
        self.connection.sender.borrow().is_extended_connect_protocol_enabled()
    }

    /// What an error means for the request.
    fn broken(&self, error: &h2::Error) -> Broken {
        let reason = error.reason().unwrap_or(Reason::NO_ERROR);
        if error.is_remote() && error.is_go_away() {
            // RFC 9113 6.8: streams above the last one named were not, and will not be, acted on.
            // h2 tells this error to no others.
            return self.connection.over();
        }
        if error.is_remote() && reason == Reason::REFUSED_STREAM {
            return Broken::Refused;
        }
        if error.is_remote() {
            return Broken::Reset(reason);
        }
        if self.has_sent_nothing() {
            return if self.is_used { Broken::Stale } else { Broken::Unsent };
        }
        if error.is_io() {
            let kind = error.get_io().map_or(std::io::ErrorKind::BrokenPipe, std::io::Error::kind);
            return Broken::Io(kind.into());
        }
        Broken::Malformed(Malformed("HTTP/2 framing"))
    }
}

/// Keeps the connection of a tunnel counted.
#[derive(Debug)]
pub(crate) struct Tunnelled(#[expect(dead_code, reason = "held for its drop")] Stream);

impl Drop for Stream {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.open.set(connection.open.get() - 1);
        connection.idle_since.set(Instant::now());
        // What is still queued must not leave after we have turned away. A backend whose socket has
        // been full since before this request is no loss.
        if self.written_before.is_some() && self.has_sent_nothing() {
            connection.driver.end();
        }
    }
}

impl Upload {
    /// One step: whether there may be more.
    fn poll_send(&mut self, send: &mut SendStream<Bytes>, context: &mut Context<'_>) -> Poll<bool> {
        if !self.chunk.is_empty() {
            if send.capacity() == 0 {
                send.reserve_capacity(self.chunk.len());
                match ready!(send.poll_capacity(context)) {
                    Some(Ok(_)) => {}
                    // The backend takes no more. Its response may still come.
                    Some(Err(_)) | None => return Poll::Ready(false),
                }
            }
            let room = send.capacity().min(self.chunk.len());
            let sent = send.send_data(self.chunk.split_to(room), false);
            return Poll::Ready(sent.is_ok());
        }
        let frame = ready!(self.source.poll_frame(&mut self.given, context));
        Poll::Ready(match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                self.chunk = data;
                true
            }
            Some(Ok(Err(frame))) => {
                // Fails only when the stream is over.
                let _ = send.send_trailers(allowed(frame.into_trailers().unwrap_or_default()));
                false
            }
            None => {
                let _ = send.send_data(Bytes::new(), true);
                false
            }
            // The client broke off in the middle: what has been sent must not look complete.
            Some(Err(_)) => {
                send.send_reset(Reason::CANCEL);
                false
            }
        })
    }
}

/// A response's head, apart from its body.
fn head<T>(response: Response<T>) -> (ResponseHead, T) {
    let (parts, body) = response.into_parts();
    (ResponseHead { status: parts.status, reason: None, headers: parts.headers }, body)
}

/// Trailers without the fields that must not follow a body (RFC 9110 6.5.1).
fn allowed(mut trailers: HeaderMap) -> HeaderMap {
    let forbidden: Vec<_> =
        trailers.keys().filter(|name| is_forbidden_trailer(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    trailers
}
