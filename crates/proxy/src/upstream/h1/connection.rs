//! One HTTP/1.1 connection to a backend and one exchange on it: a request out, a response in.
//!
//! The request that uses a connection drives it: there is no task per connection, no wake-up from
//! one task to another, and a request that is dropped closes its connection. While a connection is
//! idle nobody drives it; using it finds out whether it is still alive, before anything is sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use connect::Stream;
use http::{Method, StatusCode};
use http_body::Frame;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use crate::body::Source;
use crate::upstream::ResponseHead;
use crate::upstream::exchange::Broken;
use crate::upstream::h1::{self, Decoded, Decoder, Framing, Malformed, Parsed};

/// Bytes asked of the socket at first; a response that fills them gets more.
const READ_AT_LEAST: usize = 4 * 1024;

/// Most bytes asked of the socket at once, and so most bytes buffered per connection.
const READ_AT_MOST: usize = 64 * 1024;

/// Most interim responses before the final one; a backend that sends more is not making progress.
const MAX_INTERIM: usize = 16;

/// A connection to a backend, driven by whoever holds it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    input: BytesMut,
    read_size: usize,
    output: Output,
    upload: Option<Upload>,
    body: Decoder,
    progress: Progress,
    /// Interim responses of this exchange so far.
    interims: usize,
    keeps_open: bool,
    /// Whether it has served an exchange before this one.
    used: bool,
    way: u64,
}

/// How far the request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing of it has left: certainly not sent.
    Nothing,
    /// Part of it, or all of what we have, has left.
    Some,
    /// The backend takes no more. Its response may still come.
    Refused,
    /// The backend took nothing at all.
    RefusedAll,
}

/// Bytes on their way out, in this order.
#[derive(Debug, Default)]
struct Output {
    front: Vec<u8>,
    /// How much of `front` has been sent.
    sent: usize,
    chunk: Bytes,
    tail: &'static [u8],
}

/// A request body being sent.
#[derive(Debug)]
struct Upload {
    source: Rc<Source>,
    given: usize,
    framing: Framing,
}

impl Connection {
    /// A connection on `stream`, which was opened in the `way` of this number.
    pub(crate) fn new(stream: Stream, way: u64) -> Box<Self> {
        Box::new(Self {
            stream,
            input: BytesMut::new(),
            read_size: READ_AT_LEAST,
            output: Output::default(),
            upload: None,
            body: Decoder::length(0),
            progress: Progress::Nothing,
            interims: 0,
            keeps_open: true,
            used: false,
            way,
        })
    }

    /// Begins an exchange: `write_head` writes the request head, `source` gives the body.
    /// [`poll_head`](Self::poll_head) sends them.
    pub(crate) fn begin(
        &mut self,
        write_head: impl FnOnce(&mut Vec<u8>),
        source: Option<Rc<Source>>,
        framing: Framing,
    ) {
        self.output.clear();
        write_head(&mut self.output.front);
        self.upload = source.map(|source| Upload { source, given: 0, framing });
        self.progress = Progress::Nothing;
        self.interims = 0;
    }

    /// Sends what there is to send until the response head is there. `interim` is given every 1xx
    /// before it, except 101, which is final (RFC 9110 15.2).
    ///
    /// # Errors
    /// See [`Broken`].
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        method: &Method,
        mut interim: impl FnMut(&ResponseHead),
    ) -> Poll<Result<ResponseHead, Broken>> {
        if self.progress == Progress::Nothing {
            // Reading first finds a connection that was closed, or that holds what nobody asked for
            // and would be taken for the answer. It also leaves `context` with the socket.
            if self.poll_fill(context).is_ready() {
                let broken = if self.used { Broken::Stale } else { Broken::Unsent };
                return Poll::Ready(Err(broken));
            }
            self.poll_send(context);
            return Poll::Pending;
        }
        self.poll_send(context);
        loop {
            if !self.input.is_empty()
                && let Parsed::Head(head) = h1::parse(&mut self.input, method)?
            {
                let h1::Head { head, body, keeps_open } = head;
                let is_interim = head.status.is_informational()
                    && head.status != StatusCode::SWITCHING_PROTOCOLS;
                if !is_interim {
                    self.body = body;
                    self.keeps_open = keeps_open;
                    return Poll::Ready(Ok(head));
                }
                self.interims += 1;
                if self.interims > MAX_INTERIM {
                    return Poll::Ready(Err(Malformed("too many interim responses").into()));
                }
                interim(&head);
                continue;
            }
            match ready!(self.poll_fill(context)) {
                Ok(0) => return Poll::Ready(Err(self.broken(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.broken(error))),
            }
        }
    }

    /// The next part of the response body; meanwhile goes on sending the request's. `None` at the
    /// end.
    pub(crate) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.poll_send(context);
        loop {
            match self.body.decode(&mut self.input) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Decoded::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::More) => {}
                Err(malformed) => return Poll::Ready(Some(Err(malformed.into()))),
            }
            match ready!(self.poll_fill(context)) {
                Ok(0) => {
                    self.keeps_open = false;
                    if let Err(malformed) = self.body.closed() {
                        return Poll::Ready(Some(Err(malformed.into())));
                    }
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Broken::Io(error)))),
            }
        }
    }

    /// In which way it was opened.
    pub(crate) fn way(&self) -> u64 {
        self.way
    }

    /// What is still to come of the response body.
    pub(crate) fn body(&self) -> Decoder {
        self.body
    }

    /// Whether the exchange is complete in both directions and the connection can take another.
    /// Bytes beyond the response belong to no request: such a connection is not used again.
    pub(crate) fn finish(&mut self) -> bool {
        self.used = true;
        self.keeps_open
            && self.body.is_done()
            && self.upload.is_none()
            && self.output.is_empty()
            && self.input.is_empty()
            && self.progress == Progress::Some
    }

    /// Ends HTTP on this connection after a 101: the stream, and what was read beyond the head.
    pub(crate) fn into_stream(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(self.read_size / 2);
        let room = self.input.capacity() - self.input.len();
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), context, &mut self.input))?;
        if read == room {
            self.read_size = (self.read_size * 2).min(READ_AT_MOST);
        }
        Poll::Ready(Ok(read))
    }

    /// Sends as much as the socket and the client allow. `context` is woken when there can be more.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) {
        if matches!(self.progress, Progress::Refused | Progress::RefusedAll)
            || (self.output.is_empty() && self.upload.is_none())
        {
            return;
        }
        while let Some(more) = self.poll_output(context) {
            if !more {
                break;
            }
        }
        // A TLS stream keeps what it has encrypted until it is told to send it.
        if let Poll::Ready(Err(_)) = Pin::new(&mut self.stream).poll_flush(context) {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        self.progress = match self.progress {
            Progress::Nothing | Progress::RefusedAll => Progress::RefusedAll,
            Progress::Some | Progress::Refused => Progress::Refused,
        };
    }

    /// The end of an exchange without a response: whether anything was sent decides what it means.
    fn broken(&self, error: io::Error) -> Broken {
        match self.progress {
            Progress::Nothing | Progress::RefusedAll => Broken::Unsent,
            Progress::Some | Progress::Refused => Broken::Io(error),
        }
    }

    /// Whether it has served an exchange before this one.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Whether not a single byte of the request has left.
    pub(crate) fn has_sent_nothing(&self) -> bool {
        self.progress == Progress::Nothing
    }

    /// One step of sending: whether there may be more to do, or `None` when the socket is full.
    fn poll_output(&mut self, context: &mut Context<'_>) -> Option<bool> {
        if self.output.is_empty() {
            return Some(self.poll_upload(context));
        }
        match self.output.poll_write(&mut self.stream, context) {
            Poll::Pending => return None,
            Poll::Ready(Ok(written)) if written > 0 => {
                self.progress = Progress::Some;
                self.output.advance(written);
            }
            Poll::Ready(_) => {
                self.refuse();
                return Some(false);
            }
        }
        Some(true)
    }

    /// Fetches the next part of the request body: whether there was one.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> bool {
        let Some(upload) = &mut self.upload else { return false };
        let Poll::Ready(frame) = upload.source.poll_frame(&mut upload.given, context) else {
            return false;
        };
        // Everything before it has been sent.
        self.output.clear();
        let front = &mut self.output.front;
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) if data.is_empty() => {}
            Some(Ok(Ok(data))) => {
                self.output.tail = h1::write_chunk(upload.framing, data.len(), front);
                self.output.chunk = data;
            }
            Some(Ok(Err(frame))) => {
                h1::write_end(upload.framing, frame.trailers_ref(), front);
                self.upload = None;
            }
            None => {
                h1::write_end(upload.framing, None, front);
                self.upload = None;
            }
            // The client broke off in the middle: what has been sent must not look complete.
            Some(Err(_)) => {
                self.refuse();
                return false;
            }
        }
        true
    }
}

// === impl Output ===

impl Output {
    fn is_empty(&self) -> bool {
        self.front.len() == self.sent && self.chunk.is_empty() && self.tail.is_empty()
    }

    fn clear(&mut self) {
        self.front.clear();
        *self = Self { front: std::mem::take(&mut self.front), ..Self::default() };
    }

    fn poll_write(
        &self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.chunk.is_empty() && self.tail.is_empty() {
            return Pin::new(stream).poll_write(context, &self.front[self.sent..]);
        }
        let slices = [&self.front[self.sent..], &self.chunk[..], self.tail].map(IoSlice::new);
        Pin::new(stream).poll_write_vectored(context, &slices)
    }

    fn advance(&mut self, written: usize) {
        let front = written.min(self.front.len() - self.sent);
        self.sent += front;
        let chunk = (written - front).min(self.chunk.len());
        self.chunk.advance(chunk);
        self.tail = &self.tail[written - front - chunk..];
    }
}
