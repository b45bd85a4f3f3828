//! Bodies in both directions: the request's, kept for a replay while it streams, and the response's,
//! which drives its connection and ends the request.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use metrics::cells::Blame;

use crate::upstream::backend::Backend;
use crate::upstream::exchange::{Broken, Connection};
use crate::flight::{Flight, Signal, Turn};
use crate::upstream::h1::Framing;
use crate::service::Service;

/// A client's request body, and what of it is kept in case it must be sent again.
#[derive(Debug)]
pub(crate) struct Source {
    incoming: RefCell<Incoming>,
    size: SizeHint,
    kept: RefCell<Kept>,
    turn: Cell<Turn>,
    moved: Cell<bool>,
}

#[derive(Debug)]
struct Kept {
    chunks: Vec<Bytes>,
    bytes: usize,
    limit: usize,
    /// Everything up to here is in `chunks`; false once the body outgrew the limit.
    whole: bool,
    ended: bool,
    broken: bool,
}

// === impl Source ===

impl Source {
    /// `limit`: a body of at most this many bytes can be sent again.
    pub(crate) fn new(incoming: Incoming, limit: usize) -> Rc<Self> {
        let size = incoming.size_hint();
        Rc::new(Self {
            incoming: RefCell::new(incoming),
            size,
            kept: RefCell::new(Kept {
                chunks: Vec::new(),
                bytes: 0,
                limit,
                whole: true,
                ended: false,
                broken: false,
            }),
            turn: Cell::new(Turn::Upstream),
            moved: Cell::new(false),
        })
    }

    /// How the body ends.
    pub(crate) fn framing(&self) -> Framing {
        self.size.exact().map_or(Framing::Chunked, Framing::Length)
    }

    /// Whether a new attempt can be given everything from the start.
    pub(crate) fn is_whole(&self) -> bool {
        let kept = self.kept.borrow();
        kept.whole && !kept.broken
    }

    /// Whether the client broke off while sending.
    pub(crate) fn is_broken(&self) -> bool {
        self.kept.borrow().broken
    }

    /// Bytes kept for a replay.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.borrow().bytes
    }

    /// Passes on to the in-flight table whether the body moved and whose turn it is.
    pub(crate) fn report(&self, flight: &Flight) {
        if self.moved.replace(false) {
            flight.progress(self.turn.get());
        } else {
            flight.turn(self.turn.get());
        }
    }

    /// The response has begun: nothing will be sent again.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept.borrow_mut();
        kept.limit = 0;
    }

    /// The next part for an attempt that has been `given` so many kept pieces.
    pub(crate) fn poll_frame(
        &self,
        given: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut kept = self.kept.borrow_mut();
        if let Some(chunk) = kept.chunks.get(*given) {
            *given += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if kept.ended {
            return Poll::Ready(None);
        }
        let mut incoming = self.incoming.borrow_mut();
        let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(context) else {
            self.turn.set(Turn::Downstream);
            return Poll::Pending;
        };
        self.turn.set(Turn::Upstream);
        self.moved.set(true);
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => {
                    kept.add(&chunk, given);
                    kept.ended = incoming.is_end_stream();
                    Poll::Ready(Some(Ok(Frame::data(chunk))))
                }
                Err(frame) => {
                    // Trailers cannot be kept and given: a body that ends with them goes once.
                    kept.ended = true;
                    kept.whole = false;
                    Poll::Ready(Some(Ok(frame)))
                }
            },
            Some(Err(error)) => {
                kept.broken = true;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                kept.ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl Kept {
    fn add(&mut self, chunk: &Bytes, given: &mut usize) {
        if !self.whole {
            return;
        }
        if self.bytes + chunk.len() > self.limit || self.chunks.len() == MAX_CHUNKS {
            self.whole = false;
            self.chunks = Vec::new();
            self.bytes = 0;
            *given = 0;
            return;
        }
        self.bytes += chunk.len();
        // A small piece must not keep the whole buffer it was read into.
        let is_small = chunk.len() < SMALL_CHUNK;
        self.chunks.push(if is_small { Bytes::copy_from_slice(chunk) } else { chunk.clone() });
        *given += 1;
    }
}

/// Most pieces kept of one body: each costs something besides its bytes.
const MAX_CHUNKS: usize = 1024;

/// A piece below this size is copied.
const SMALL_CHUNK: usize = 2 * 1024;

/// A response body on its way to the client.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// Nothing (more).
    Done,
    /// Our own words.
    Text(Bytes),
    /// A backend's.
    Relay(Relay),
}

/// A backend's response body. Ends the request when it is complete or dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    connection: Option<Box<Connection>>,
    backend: Rc<Backend>,
    service: Rc<Service>,
    flight: Flight,
}

impl ResponseBody {
    /// The body that `connection` brings. When there is none, the connection is free at once.
    pub(crate) fn relay(
        connection: Box<Connection>,
        backend: Rc<Backend>,
        service: Rc<Service>,
        flight: Flight,
    ) -> Self {
        let is_done = connection.body().is_done();
        let mut relay = Relay { connection: Some(connection), backend, service, flight };
        if is_done {
            relay.complete();
            return Self::Done;
        }
        Self::Relay(relay)
    }
}

impl Relay {
    /// The backend has said everything: its connection may serve another request.
    fn complete(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.finish()
            // One that has been left gets no further requests.
            && self.service.is_active(&self.backend)
        {
            let spec = self.service.spec();
            self.backend.keep(connection, self.flight.now(), &spec.connections);
        }
    }

    fn poll_relay(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let frame = match connection.poll_body(context) {
            Poll::Pending if self.flight.signal() == Signal::Expired => Some(Err(Cut::Idle)),
            Poll::Pending => {
                self.flight.turn(Turn::Upstream);
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Cut::Broken)),
        };
        match &frame {
            Some(Ok(_)) if !connection.body().is_done() => self.flight.progress(Turn::Downstream),
            Some(Ok(_)) | None => self.complete(),
            Some(Err(_)) => {
                self.service.cells.fail(Blame::Upstream);
                self.connection = None;
            }
        }
        Poll::Ready(frame)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Dropped in the middle: the client went away.
        if self.connection.is_some() {
            self.service.cells.fail(Blame::Downstream);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        let relay = match this {
            Self::Done => return Poll::Ready(None),
            Self::Text(text) => {
                let text = std::mem::take(text);
                *this = Self::Done;
                return Poll::Ready(Some(Ok(Frame::data(text))));
            }
            Self::Relay(relay) => relay,
        };
        let frame = ready!(relay.poll_relay(context));
        if relay.connection.is_none() {
            *this = Self::Done;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Done => true,
            Self::Text(text) => text.is_empty(),
            Self::Relay(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Done => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Relay(relay) => relay
                .connection
                .as_ref()
                .and_then(|connection| connection.body().remaining())
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// Why a response ended before its end. The client sees a broken connection, never a body that
/// looks complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The backend broke off.
    #[error("the backend broke off: {0}")]
    Broken(Broken),
    /// The backend was silent for too long.
    #[error("the backend was silent for too long")]
    Idle,
}
