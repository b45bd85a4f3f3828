//! Bodies that stream: of any size, in drops, endless, with trailers, or broken off.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, BodyStream, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};

/// The body of any answer: the short ones cost no allocation.
pub(crate) type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, io::Error>>;

/// The size of one piece of a long body.
const PIECE: usize = 16 * 1024;
static PIECES: [u8; PIECE] = [b'.'; PIECE];

/// A short body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

/// `size` bytes; nothing is kept in memory.
pub(crate) fn long(size: u64) -> Body {
    streamed(pieces(size).map(|bytes| Ok(Frame::data(bytes))))
}

/// `size` bytes, then the connection breaks.
pub(crate) fn broken(size: u64) -> Body {
    let end = stream::once(async {
        // A turn of the loop in which what came before is written; an error discards what is not.
        tokio::task::yield_now().await;
        Err(io::Error::other("asked to break off"))
    });
    streamed(pieces(size).map(|bytes| Ok(Frame::data(bytes))).chain(end))
}

/// `count` pieces made by `piece`, each after `pause`.
pub(crate) fn drops(
    count: u64,
    pause: Duration,
    piece: impl Fn(u64) -> Bytes + Send + 'static,
) -> Body {
    streamed(stream::unfold((0, piece), move |(index, piece)| async move {
        if index == count {
            return None;
        }
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(piece(index))), (index + 1, piece)))
    }))
}

/// `data`, then one trailer field.
pub(crate) fn with_trailer(data: &'static str, name: &'static str, value: &'static str) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    let frames = [Frame::data(Bytes::from_static(data.as_bytes())), Frame::trailers(trailers)];
    streamed(stream::iter(frames.map(Ok)))
}

/// `first`, then what the client sends, as it arrives.
pub(crate) fn echo(first: Bytes, rest: Incoming) -> Body {
    let first = stream::once(async move { Ok::<_, Infallible>(Frame::data(first)) })
        .map(|frame| frame.map_err(io::Error::other));
    streamed(first.chain(BodyStream::new(rest).map(|frame| frame.map_err(io::Error::other))))
}

fn pieces(size: u64) -> impl Stream<Item = Bytes> {
    stream::unfold(size, |left| async move {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        (now > 0).then(|| (Bytes::from_static(&PIECES[..now]), left - now as u64))
    })
}

fn streamed(frames: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static) -> Body {
    Either::Right(BodyExt::boxed_unsync(StreamBody::new(frames)))
}
