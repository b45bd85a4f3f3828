//! A request and its answer over HTTP/1.1 (RFC 9112).

use std::ops::ControlFlow;
use std::pin::pin;

use bytes::Bytes;
use connect::Stream;
use http::header::{CONNECTION, HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{MOST_HEADER_BYTES, Piece};

pub(super) fn address(request: &mut Request<Bytes>, host: HeaderValue, path: PathAndQuery) {
    *request.uri_mut() = path.into();
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

pub(super) async fn exchange(
    stream: Stream,
    request: Request<Bytes>,
    hear: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> hyper::Result<()> {
    let mut settings = http1::Builder::new();
    settings.max_buf_size(MOST_HEADER_BYTES as usize);
    let (sender, connection) = settings.handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut answer = pin!(ask(sender, request, hear));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // What made the connection end is told to whoever waits for the answer.
        _ = &mut connection => answer.await,
    }
}

async fn ask(
    mut sender: http1::SendRequest<Full<Bytes>>,
    request: Request<Bytes>,
    mut hear: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> hyper::Result<()> {
    let response = sender.send_request(request.map(Full::new)).await?;
    let (head, mut body) = response.into_parts();
    if hear(Piece::Head(&Response::from_parts(head, ()))).is_break() {
        return Ok(());
    }
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let piece = match frame.trailers_ref() {
            Some(trailers) => Piece::Trailers(trailers),
            None => Piece::Data(frame.data_ref().map_or(&[][..], |data| data)),
        };
        if hear(piece).is_break() {
            break;
        }
    }
    Ok(())
}
