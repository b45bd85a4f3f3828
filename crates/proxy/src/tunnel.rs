//! After a switch of protocols: bytes in both directions until one side has ended both, or until the
//! tunnel is to end because the traffic has left its backend.
//!
//! Of what is in them it knows only where the frames of a WebSocket end, to say goodbye there.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::downstream::reply::Upgrade;
use crate::flight::{Flight, Signal, Turn};
use crate::recorder::Recording;
use crate::service::Service;
use crate::upstream::duplex::Duplex;
use crate::upstream::exchange::Exchange;
use crate::websocket::{CloseCode, Frames, close_frame};

/// How long the second side may take to end after the first.
const FOLLOW_WITHIN: Duration = Duration::from_secs(10);

/// How long a side may take for the end of its frame, and its own goodbye, when the tunnel is to end.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);

/// Most bytes read at once.
const PIECE: usize = 16 * 1024;

/// What a goodbye says.
const MOVED: &str = "the service has moved; please connect again";

trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// Relays between the client (once its response has been sent) and the backend of `exchange`. The
/// tunnel belongs to the worker's runtime and ends with it; `flight` counts it, and its client, until
/// then.
pub(crate) fn start(
    client: Upgrade,
    exchange: Exchange,
    is_websocket: bool,
    service: Rc<Service>,
    mut flight: Flight,
) {
    tokio::task::spawn_local(async move {
        let open = Open::new(service);
        poll_fn(|context| {
            flight.woken_by(context.waker());
            Poll::Ready(())
        })
        .await;
        let left = tokio::select! {
            biased;
            () = flight.is_cut() => Some(Leaving::Left),
            left = relay(client, exchange, is_websocket, &flight) => left,
        };
        if left == Some(Leaving::Left) {
            flight.note(Recording::cut);
            open.0.cells.streams_closed.inc();
        }
    });
}

/// Relays from the beginning to the end. Says why if it was us who ended it.
async fn relay(
    client: Upgrade,
    exchange: Exchange,
    is_websocket: bool,
    flight: &Flight,
) -> Option<Leaving> {
    let Some((backend, early)) = backend_side(exchange) else {
        flight.note(Recording::backend_gone);
        return None;
    };
    let mut client = timeout(FOLLOW_WITHIN, client_side(client)).await.ok()??;
    // What the backend sent right behind its head.
    if !matches!(timeout(FOLLOW_WITHIN, client.write_all(&early)).await, Ok(Ok(()))) {
        return None;
    }
    flight.note(|recording| recording.sent(early.len() as u64));
    let mut frames = is_websocket.then(Frames::default);
    if let Some(frames) = &mut frames {
        frames.feed(&early);
    }
    Tunnel { flight, leaving: Cell::new(None) }.relay(client, backend, frames).await
}

fn backend_side(exchange: Exchange) -> Option<(Box<dyn Io>, BytesMut)> {
    match exchange {
        Exchange::Http1(connection) => {
            let (stream, early) = connection.into_stream();
            Some((Box::new(stream), early))
        }
        Exchange::Http2(stream) => {
            let (send, receive, held) = stream.into_tunnel()?;
            Some((Box::new(Duplex::new(send, receive, Some(held))), BytesMut::new()))
        }
    }
}

async fn client_side(client: Upgrade) -> Option<Box<dyn Io>> {
    match client {
        Upgrade::Http1(upgrade) => Some(Box::new(TokioIo::new(upgrade.await.ok()?))),
        Upgrade::Http2 { receive, send } => {
            let send = send.await.ok()?;
            Some(Box::new(Duplex::new(send, receive, None)))
        }
    }
}

/// Why a tunnel is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// The traffic has left its backend.
    Left,
    /// Nothing has moved for too long.
    Idle,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the client to the backend.
    Up,
    Down,
}

/// What an end of a tunnel is in the record of its request.
type Note = fn(&mut Recording);

impl Way {
    fn count(self) -> fn(&mut Recording, u64) {
        match self {
            Self::Up => Recording::received,
            Self::Down => Recording::sent,
        }
    }

    /// The side that it comes from is gone.
    fn giver_gone(self) -> Note {
        match self {
            Self::Up => Recording::client_gone,
            Self::Down => Recording::backend_gone,
        }
    }

    /// The side that it goes to is gone.
    fn taker_gone(self) -> Note {
        match self {
            Self::Up => Recording::backend_gone,
            Self::Down => Recording::client_gone,
        }
    }
}

struct Tunnel<'a> {
    flight: &'a Flight,
    leaving: Cell<Option<Leaving>>,
}

impl Tunnel<'_> {
    /// Relays until both sides have ended, or one has and the other does not follow. Says why if it
    /// was us who ended it.
    async fn relay(
        &self,
        client: Box<dyn Io>,
        backend: Box<dyn Io>,
        frames: Option<Frames>,
    ) -> Option<Leaving> {
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut backend_reads, mut backend_writes) = tokio::io::split(backend);
        let mask = fastrand::u32(..).to_be_bytes();
        let to_backend = close_frame(CloseCode::GoingAway, MOVED, Some(mask));
        let to_client = close_frame(CloseCode::ServiceRestart, MOVED, None);
        let (mut up, mut down) = (frames.map(|_| Frames::default()), frames);
        let mut ended: Note = {
            let upwards =
                self.pass_on(&mut client_reads, &mut backend_writes, &mut up, to_backend, Way::Up);
            let downwards = self.pass_on(
                &mut backend_reads,
                &mut client_writes,
                &mut down,
                to_client,
                Way::Down,
            );
            let (mut upwards, mut downwards) = (pin!(upwards), pin!(downwards));
            let both = async {
                let (first, second) = tokio::select! {
                    first = &mut upwards => (first, timeout(FOLLOW_WITHIN, downwards).await),
                    first = &mut downwards => (first, timeout(FOLLOW_WITHIN, upwards).await),
                };
                match (first, second) {
                    (Err(gone), _) | (Ok(()), Ok(Err(gone))) => gone,
                    (Ok(()), Ok(Ok(()))) => Recording::complete,
                    // One has ended, the other does not follow: nobody broke off but us.
                    (Ok(()), Err(_)) => Recording::cut,
                }
            };
            // Also when neither side takes anything.
            let told = async {
                self.heed_signal().await;
                tokio::time::sleep(GOODBYE_WITHIN).await;
            };
            tokio::select! {
                ended = both => ended,
                () = told => Recording::cut,
            }
        };
        if self.leaving.get().is_some()
            && let Some(frames) = &mut up
        {
            // Its own goodbye, and what it had sent before: closing over unread bytes would reset
            // the connection before ours has been read (RFC 6455 7.1.1).
            let mut rest = [0; 1024];
            let drain = async {
                while !(frames.has_closed() && frames.is_between()) {
                    match client_reads.read(&mut rest).await {
                        Ok(read) if read > 0 => frames.feed(&rest[..read]),
                        Ok(_) | Err(_) => break,
                    }
                }
            };
            let _ = timeout(GOODBYE_WITHIN, drain).await;
        }
        let _ = timeout(GOODBYE_WITHIN, client_writes.shutdown()).await;
        if self.leaving.get().is_some() {
            ended = Recording::cut;
        } else if [&up, &down].iter().all(|way| way.as_ref().is_some_and(Frames::has_closed)) {
            // Both have said goodbye: how their connections end then is nobody's loss.
            ended = Recording::complete;
        }
        self.flight.note(ended);
        self.leaving.get()
    }

    /// One direction. Ends by end-of-file, or with a goodbye between two frames.
    ///
    /// # Errors
    /// When one side is gone: which. There is nobody left to tell.
    async fn pass_on(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        frames: &mut Option<Frames>,
        goodbye: Vec<u8>,
        way: Way,
    ) -> Result<(), Note> {
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            let mut room = PIECE;
            if self.leaving.get().is_some() {
                match frames {
                    Some(frames) if frames.has_closed() => return Ok(()),
                    Some(frames) if frames.is_between() => {
                        let _ = to.write_all(&goodbye).await;
                        let _ = to.flush().await;
                        return Ok(());
                    }
                    Some(frames) => {
                        room = usize::try_from(frames.until_boundary()).unwrap_or(PIECE).min(PIECE);
                    }
                    None => return Ok(()),
                }
            }
            piece.clear();
            let mut limited = (&mut *from).take(room as u64);
            let read = tokio::select! {
                biased;
                read = limited.read_buf(&mut piece) => read,
                () = self.heed_signal(), if self.leaving.get().is_none() => continue,
            };
            if !matches!(read, Ok(1..)) {
                let _ = to.shutdown().await;
                return read.map(drop).map_err(|_| way.giver_gone());
            }
            self.flight.progress(Turn::Upstream);
            self.flight.note(|recording| way.count()(recording, piece.len() as u64));
            if let Some(frames) = frames {
                frames.feed(&piece);
            }
            if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
                return Err(way.taker_gone());
            }
        }
    }

    /// Waits until the tunnel is to end.
    async fn heed_signal(&self) {
        poll_fn(|_| {
            match self.flight.signal() {
                Signal::Close => self.leaving.set(Some(Leaving::Left)),
                Signal::Expired => self.leaving.set(Some(Leaving::Idle)),
                Signal::None | Signal::Abandon => {}
            }
            if self.leaving.get().is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Counts an open tunnel.
struct Open(Rc<Service>);

impl Open {
    fn new(service: Rc<Service>) -> Self {
        service.cells.streams.inc();
        Self(service)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.cells.streams.dec();
    }
}
