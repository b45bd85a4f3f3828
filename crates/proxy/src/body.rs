//! Bodies in both directions: the request's, kept for a replay while it streams, and the response's,
//! which drives its connection and ends the request.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use metrics::cells::Blame;

use crate::backend::Backend;
use crate::exchange::Connection;
use crate::flight::{Flight, Signal, Turn};
use crate::service::Service;

/// A request body on its way to one backend.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// There is none.
    Empty,
    /// One attempt's reading of the client's body.
    Reading {
        /// The body itself, shared by all attempts; only the latest reads.
        source: Rc<Source>,
        /// How many kept chunks this attempt has been given.
        given: usize,
    },
}

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

    fn poll_frame(
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
        if self.bytes + chunk.len() > self.limit {
            self.whole = false;
            self.chunks = Vec::new();
            self.bytes = 0;
            *given = 0;
            return;
        }
        self.bytes += chunk.len();
        self.chunks.push(chunk.clone());
        *given += 1;
    }
}

// === impl RequestBody ===

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Reading { source, given } => source.poll_frame(given, context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Reading { source, given } => {
                let kept = source.kept.borrow();
                kept.ended && *given >= kept.chunks.len()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Reading { source, .. } => source.size,
        }
    }
}

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
    incoming: Incoming,
    connection: Option<Box<Connection>>,
    backend: Rc<Backend>,
    service: Rc<Service>,
    flight: Flight,
    complete: bool,
}

impl ResponseBody {
    /// A body that `connection` brings. When there is none, the connection is free at once.
    pub(crate) fn relay(
        incoming: Incoming,
        connection: Box<Connection>,
        backend: Rc<Backend>,
        service: Rc<Service>,
        flight: Flight,
    ) -> Self {
        let mut relay = Relay {
            incoming,
            connection: Some(connection),
            backend,
            service,
            flight,
            complete: false,
        };
        if relay.incoming.is_end_stream() {
            relay.complete();
            return Self::Done;
        }
        Self::Relay(relay)
    }
}

impl Relay {
    /// The backend has said everything: its connection can serve another request.
    fn complete(&mut self) {
        self.complete = true;
        let Some(mut connection) = self.connection.take() else { return };
        if connection.is_reusable() {
            let spec = self.service.spec();
            self.backend.keep(connection, self.flight.now(), &spec.connections);
        }
    }

    fn poll_relay(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let quiet = &mut Context::from_waker(Waker::noop());
        let mut frame = Pin::new(&mut self.incoming).poll_frame(quiet);
        if frame.is_pending()
            && let Some(connection) = &mut self.connection
        {
            connection.drive(context);
            frame = Pin::new(&mut self.incoming).poll_frame(quiet);
        }
        match &frame {
            Poll::Pending => self.flight.turn(Turn::Upstream),
            Poll::Ready(Some(Ok(_))) => self.flight.progress(Turn::Downstream),
            Poll::Ready(None | Some(Err(_))) => {}
        }
        frame
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
        let frame = match relay.poll_relay(context) {
            Poll::Pending if relay.flight.signal() == Signal::Expired => Some(Err(Cut::Idle)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Cut::Broken)),
        };
        let ended = match &frame {
            Some(Ok(_)) => relay.incoming.is_end_stream(),
            Some(Err(_)) => {
                relay.service.cells.fail(Blame::Upstream);
                relay.connection = None;
                true
            }
            None => true,
        };
        if ended {
            relay.complete();
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
            Self::Relay(relay) => relay.incoming.size_hint(),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Dropped in the middle: the client went away.
        if !self.complete {
            self.service.cells.fail(Blame::Downstream);
        }
    }
}

/// Why a response ended before its end. The client sees a broken connection, never a body that
/// looks complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The backend broke off.
    #[error("the backend broke off: {0}")]
    Broken(hyper::Error),
    /// The backend was silent for too long.
    #[error("the backend was silent for too long")]
    Idle,
}
