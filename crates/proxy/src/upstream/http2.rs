//! HTTP/2 with a backend: one exchange on a shared connection.
//!
//! A request is written by whoever sends it, in the same step in which it has made sure that the
//! backend is active, and only when nothing older waits: nothing of it stays behind in a queue to
//! leave later.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;

use crate::body::Source;
use crate::upstream::ResponseHead;
use crate::upstream::exchange::Broken;
use crate::upstream::h1::{Malformed, is_forbidden_trailer};
use crate::upstream::shared::Connection;

/// Most interim responses before the final one; a backend that sends more is not making progress.
const MAX_INTERIM: usize = 16;

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
    is_queued: bool,
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
            is_queued: false,
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
        let written = self.connection.driver.outgoing.written();
        self.is_queued || self.written_before.is_none_or(|before| before == written)
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
        } else if self.is_queued {
            self.look_for_queue(context);
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
        let connection = &self.connection;
        let driver = &connection.driver;
        driver.drive();
        if connection.is_over() {
            return Poll::Ready(Err(connection.over()));
        }
        if driver.outgoing.is_blocked() || connection.open.get() > connection.allowed() {
            return Poll::Ready(Err(Broken::Stale));
        }
        let mut sender = connection.sender.borrow_mut();
        match sender.poll_ready(context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Err(connection.over())),
            // Another waits for its turn in there, against all counts.
            Poll::Pending => return Poll::Ready(Err(Broken::Stale)),
        }
        let Some(request) = self.request.take() else { return Poll::Ready(Ok(())) };
        self.written_before = Some(driver.outgoing.written());
        connection.last_head.set(self.written_before);
        let is_end = self.upload.is_none() && request.method() != Method::CONNECT;
        let sent = sender.send_request(request, is_end);
        drop(sender);
        match sent {
            Ok((response, send)) => {
                self.response = Some(response);
                self.send = Some(send);
                driver.drive();
                self.look_for_queue(context);
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.written_before = None;
                connection.last_head.set(None);
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

    /// Whether h2 keeps the request back, because it counts more streams than the backend allows. By
    /// our own counts it does not come to that.
    fn look_for_queue(&mut self, context: &mut Context<'_>) {
        self.is_queued = self.connection.sender.borrow_mut().poll_ready(context).is_pending();
    }

    /// Turns away, because the traffic has: what is still queued must not leave any more.
    pub(crate) fn turn_away(&mut self) {
        if self.written_before.is_some() && self.has_sent_nothing() {
            self.connection.driver.end();
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
        let connection = Rc::clone(&self.connection);
        // What resets the stream leaves now, if it can: then h2 counts as we do.
        self.upload = None;
        (self.send, self.response, self.receive) = (None, None, None);
        connection.driver.drive();
        connection.open.set(connection.open.get() - 1);
        connection.idle_since.set(Instant::now());
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
