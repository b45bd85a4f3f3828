//! A request and its answer over HTTP/2 (RFC 9113), agreed on by TLS or known beforehand.
//!
//! By `h2` itself: a connection is then a future that its caller owns, where hyper wants to spawn it.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use config::model::Scheme;
use connect::Stream;
use h2::client::SendRequest;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Uri, uri};

use super::{MOST_HEADER_BYTES, Piece};

/// The pseudo-fields (RFC 9113 section 8.3.1).
pub(super) fn address(
    request: &mut Request<Bytes>,
    scheme: Scheme,
    host: &HeaderValue,
    path: PathAndQuery,
) -> Result<(), http::Error> {
    let scheme = match scheme {
        Scheme::Http => uri::Scheme::HTTP,
        Scheme::Https => uri::Scheme::HTTPS,
    };
    let authority = Authority::try_from(host.as_bytes())?;
    let parts = Uri::builder().scheme(scheme).authority(authority);
    *request.uri_mut() = parts.path_and_query(path).build()?;
    let length = request.body().len();
    let headers = request.headers_mut();
    drop_fields_of_connections(headers);
    // Servers of gRPC reset requests without it.
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if length > 0 {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(())
}

/// HTTP/2 has no such fields (RFC 9113 section 8.2.2), whatever was configured for both versions.
fn drop_fields_of_connections(headers: &mut HeaderMap) {
    let [keep_alive, proxy_connection] =
        ["keep-alive", "proxy-connection"].map(HeaderName::from_static);
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, keep_alive, proxy_connection] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
}

pub(super) async fn exchange(
    stream: Stream,
    request: Request<Bytes>,
    hear: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> Result<(), h2::Error> {
    let mut settings = h2::client::Builder::new();
    settings.enable_push(false).max_header_list_size(MOST_HEADER_BYTES);
    let (sender, connection) = settings.handshake::<_, Bytes>(stream).await?;
    let mut connection = pin!(connection);
    let mut answer = pin!(ask(sender, request, hear));
    tokio::select! {
        biased;
        answer = &mut answer => answer?,
        // What made the connection end is told to whoever waits for the answer.
        _ = &mut connection => return answer.await,
    }
    // Nobody needs the connection any more: it says goodbye if that can be done at once. Nobody waits
    // for it.
    poll_fn(|context| Poll::Ready(connection.as_mut().poll(context).is_ready())).await;
    Ok(())
}

async fn ask(
    sender: SendRequest<Bytes>,
    request: Request<Bytes>,
    mut hear: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> Result<(), h2::Error> {
    let (head, content) = request.into_parts();
    let request = Request::from_parts(head, ());
    let (response, mut stream) = sender.ready().await?.send_request(request, content.is_empty())?;
    if !content.is_empty() {
        stream.send_data(content, true)?;
    }
    let (head, mut body) = response.await?.into_parts();
    if hear(Piece::Head(&http::Response::from_parts(head, ()))).is_break() {
        return Ok(());
    }
    while let Some(data) = body.data().await {
        let data = data?;
        if hear(Piece::Data(&data)).is_break() {
            return Ok(());
        }
        body.flow_control().release_capacity(data.len())?;
    }
    if let Some(trailers) = body.trailers().await? {
        let _ = hear(Piece::Trailers(&trailers));
    }
    Ok(())
}
