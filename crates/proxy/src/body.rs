//! Bodies in both directions: the request's, kept for a replay while it streams, and the response's,
//! which drives its connection and ends the request.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use metrics::cells::Blame;

use crate::downstream::incoming::{BodyError, Incoming};
use crate::flight::{Flight, Signal, Turn};
use crate::grpc;
use crate::recorder::Recording;
use crate::service::Service;
use crate::stamp::Stamp;
use crate::upstream::backend::Backend;
use crate::upstream::exchange::{Broken, Exchange};
use crate::upstream::h1::Framing;

/// A client's request body, and what of it is kept in case it must be sent again.
#[derive(Debug)]
pub(crate) struct Source {
    incoming: RefCell<Incoming>,
    /// As announced.
    length: Option<u64>,
    bounds: Bounds,
    kept: RefCell<Kept>,
    turn: Cell<Turn>,
    /// Bytes since progress was last reported.
    moved: Cell<usize>,
    received: Cell<u64>,
    has_trailers: Cell<bool>,
    /// What its trailers must not claim.
    stamp: Option<Rc<Stamp>>,
}

/// What a request body may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// A body of at most this many bytes can be sent again.
    pub(crate) replay: usize,
    /// Most bytes.
    pub(crate) most: Option<u64>,
    /// Fewer bytes are no progress.
    pub(crate) progress: usize,
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
    /// A body that was announced to be of `length`, if it was. Its trailers must not say what `stamp`
    /// does.
    pub(crate) fn new(
        incoming: Incoming,
        length: Option<u64>,
        bounds: Bounds,
        stamp: Option<Rc<Stamp>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            incoming: RefCell::new(incoming),
            length,
            bounds,
            kept: RefCell::new(Kept {
                chunks: Vec::new(),
                bytes: 0,
                limit: bounds.replay,
                whole: true,
                ended: false,
                broken: false,
            }),
            turn: Cell::new(Turn::Upstream),
            moved: Cell::new(0),
            received: Cell::new(0),
            has_trailers: Cell::new(false),
            stamp,
        })
    }

    /// How the body ends.
    pub(crate) fn framing(&self) -> Framing {
        self.length.map_or(Framing::Chunked, Framing::Length)
    }

    /// How many bytes have come.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether more has come than may.
    pub(crate) fn is_too_large(&self) -> bool {
        self.bounds.most.is_some_and(|most| self.received.get() > most)
    }

    /// Whether a new attempt can be given everything from the start.
    pub(crate) fn is_whole(&self) -> bool {
        let kept = self.kept.borrow();
        kept.whole && !kept.broken
    }

    /// Whether something has been passed on that is not kept.
    pub(crate) fn is_spent(&self) -> bool {
        let kept = self.kept.borrow();
        !kept.whole && !kept.broken
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
        let is_ended = self.kept.borrow().ended;
        flight.uploading(!is_ended);
        let is_enough = self.moved.get() > 0 && self.moved.get() >= self.bounds.progress;
        // The backend's turn begins when the client's ends, however little it sent.
        let turned = self.turn.get() == Turn::Upstream && flight.awaits_client();
        if is_enough || (is_ended && self.moved.get() > 0) || turned {
            self.moved.set(0);
            flight.progress(self.turn.get());
        } else {
            flight.turn(self.turn.get());
        }
    }

    /// The response has begun. What follows a body that has not come to its end, or that ended in
    /// trailers, is not trusted to be a request on the same connection of HTTP/1.1.
    pub(crate) fn watch_end(&self, flight: &Flight) {
        if !self.kept.borrow().ended || self.has_trailers.get() {
            flight.send_away_http1();
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
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut kept = self.kept.borrow_mut();
        if let Some(chunk) = kept.chunks.get(*given) {
            *given += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if kept.ended {
            return Poll::Ready(None);
        }
        let mut incoming = self.incoming.borrow_mut();
        let Poll::Ready(frame) = incoming.poll_frame(context) else {
            self.turn.set(Turn::Downstream);
            return Poll::Pending;
        };
        self.turn.set(Turn::Upstream);
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => {
                    self.moved.set(self.moved.get() + chunk.len());
                    self.received.set(self.received.get() + chunk.len() as u64);
                    if self.is_too_large() {
                        kept.broken = true;
                        let error = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    kept.add(&chunk, given);
                    kept.ended = incoming.is_end_stream();
                    Poll::Ready(Some(Ok(Frame::data(chunk))))
                }
                Err(mut frame) => {
                    if let (Some(stamp), Some(trailers)) = (&self.stamp, frame.trailers_mut()) {
                        stamp.strip(trailers);
                    }
                    self.moved.set(self.moved.get() + 1);
                    // hyper takes lines without CR for part of the trailers, and what follows them,
                    // too (RFC 9112 7.1.2): no request behind them can be trusted.
                    self.has_trailers.set(true);
                    if frame.trailers_ref().is_none_or(HeaderMap::is_empty) {
                        kept.broken = true;
                        let error = std::io::Error::from(std::io::ErrorKind::InvalidData);
                        return Poll::Ready(Some(Err(error.into())));
                    }
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
                self.moved.set(self.moved.get() + 1);
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
    /// Nothing of HTTP: the connection, or the stream, is a tunnel now.
    Tunnel,
    /// Our own words.
    Text(Bytes),
    /// A backend's.
    Relay(Relay),
}

/// A backend's response body. Ends the request when it is complete or dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    exchange: Option<Exchange>,
    backend: Rc<Backend>,
    service: Rc<Service>,
    flight: Flight,
    /// Whether the client looks for a status in the trailers.
    is_grpc: bool,
    /// Bytes passed on.
    sent: u64,
}

impl ResponseBody {
    /// The body that `exchange` brings. When there is none, the connection is free at once.
    pub(crate) fn relay(
        exchange: Exchange,
        backend: Rc<Backend>,
        service: Rc<Service>,
        flight: Flight,
        is_grpc: bool,
    ) -> Self {
        let is_done = exchange.is_done();
        let mut relay =
            Relay { exchange: Some(exchange), backend, service, flight, is_grpc, sent: 0 };
        if is_done {
            relay.complete();
            return Self::Done;
        }
        Self::Relay(relay)
    }

    /// There is more to send than the client takes. Says when it has not for too long, and goes on
    /// with the request's body meanwhile.
    pub(crate) fn poll_blocked(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let Self::Relay(relay) = self else { return Poll::Pending };
        if let Some(exchange) = &mut relay.exchange {
            exchange.poll_send(context);
        }
        relay.flight.turn(Turn::Downstream);
        let cut = ready!(relay.heed_signal());
        relay.cut(&cut);
        Poll::Ready(Err(cut))
    }
}

impl Relay {
    /// The backend has said everything: its connection may serve another request.
    fn complete(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        self.flight.note(Recording::complete);
        // A stream's connection is shared and has its place already.
        if let Exchange::Http1(mut connection) = exchange
            && connection.finish()
            // One that has been left gets no further requests.
            && self.service.is_active(&self.backend)
        {
            let spec = self.service.spec();
            self.backend.keep(connection, self.flight.now(), &spec.connections);
        }
    }

    fn poll_relay(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
        // A backend that always has more would never let it end.
        let polled =
            if self.flight.is_closing() { Poll::Pending } else { exchange.poll_body(context) };
        let frame = match polled {
            Poll::Pending => match self.heed_signal() {
                Poll::Ready(cut) => Some(Err(cut)),
                Poll::Pending => {
                    self.flight.turn(Turn::Upstream);
                    return Poll::Pending;
                }
            },
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Cut::Broken)),
        };
        if let Some(Ok(frame)) = &frame {
            self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        let is_done = self.exchange.as_ref().is_none_or(Exchange::is_done);
        match &frame {
            Some(Ok(_)) if !is_done => self.flight.progress(Turn::Downstream),
            Some(Ok(_)) | None => self.complete(),
            Some(Err(cut)) => {
                self.cut(cut);
                if self.is_grpc {
                    let status = grpc::Status::Unavailable;
                    let trailers = status.trailers("the server broke off, or has been left");
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
        Poll::Ready(frame)
    }

    /// Ends the exchange before its end, and counts it for what it is.
    fn cut(&mut self, cut: &Cut) {
        self.exchange = None;
        self.flight.note(|recording| recording.broken_off(cut));
        match cut {
            Cut::Left => self.service.cells.streams_closed.inc(),
            Cut::Broken(_) | Cut::Idle => self.service.cells.fail(Blame::Upstream),
            Cut::NotTaken => self.service.cells.fail(Blame::Downstream),
        }
    }

    /// What the sweep or an order of control has to say to a response under way.
    fn heed_signal(&self) -> Poll<Cut> {
        match self.flight.signal() {
            Signal::Expired if self.flight.awaits_client() => Poll::Ready(Cut::NotTaken),
            Signal::Expired => Poll::Ready(Cut::Idle),
            Signal::Close => {
                self.flight.send_away();
                Poll::Ready(Cut::Left)
            }
            Signal::None | Signal::Abandon => Poll::Pending,
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Dropped in the middle: the client went away.
        if self.exchange.is_some() {
            self.service.cells.fail(Blame::Downstream);
        }
        self.flight.note(|recording| recording.sent(self.sent));
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
            Self::Done | Self::Tunnel => return Poll::Ready(None),
            Self::Text(text) => {
                let text = std::mem::take(text);
                *this = Self::Done;
                return Poll::Ready(Some(Ok(Frame::data(text))));
            }
            Self::Relay(relay) => relay,
        };
        let frame = ready!(relay.poll_relay(context));
        if relay.exchange.is_none() {
            *this = Self::Done;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Done | Self::Tunnel => true,
            Self::Text(text) => text.is_empty(),
            Self::Relay(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Done | Self::Tunnel => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Relay(relay) => relay
                .exchange
                .as_ref()
                .and_then(Exchange::remaining)
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
    /// The backend was silent for too long, or the time for the whole request is over.
    #[error("the backend was silent for too long")]
    Idle,
    /// The client did not take it for too long.
    #[error("the client did not take the response")]
    NotTaken,
    /// The traffic has left the backend, and its streams are to end.
    #[error("the traffic has moved to another backend")]
    Left,
}

impl Cut {
    /// How a stream of HTTP/2 ends with it (RFC 9113 7).
    pub(crate) fn reset_reason(&self) -> Reason {
        match self {
            Self::Broken(_) => Reason::INTERNAL_ERROR,
            Self::Idle | Self::NotTaken | Self::Left => Reason::CANCEL,
        }
    }
}
