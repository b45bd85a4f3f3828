//! A request and its answer over HTTP/2 (RFC 9113), agreed on by TLS or known beforehand.
//!
//! By `h2` itself: a connection is then a future that the probe owns, where hyper wants to spawn it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use config::model::Scheme;
use connect::Stream;
use h2::RecvStream;
use http::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Uri, uri};

use super::{MOST_BODY_BYTES, Question, broken, host, wrong_host};
use crate::report::Cause;
use crate::transcript::Transcript;

/// Most bytes of fields in an answer.
const MOST_HEADER_BYTES: u32 = 64 * 1024;

/// The status of a complete answer.
pub(super) async fn status(
    stream: Stream,
    question: Question<'_>,
    transcript: &mut Transcript,
) -> Result<u16, Cause> {
    let mut request = super::request(question, ());
    *request.uri_mut() = address(question)?;
    drop_fields_of_connections(request.headers_mut());
    // Servers of gRPC reset requests without it.
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    transcript.sent(&request, "HTTP/2");
    exchange(stream, request, transcript).await.map_err(|error| match error.get_io() {
        Some(error) => broken(error),
        None => broken(&error),
    })
}

async fn exchange(
    stream: Stream,
    request: Request<()>,
    transcript: &mut Transcript,
) -> Result<u16, h2::Error> {
    let mut settings = h2::client::Builder::new();
    settings.enable_push(false).max_header_list_size(MOST_HEADER_BYTES);
    let (sender, connection) = settings.handshake::<_, Bytes>(stream).await?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async move {
        let (response, _) = sender.ready().await?.send_request(request, true)?;
        let response = response.await?;
        let status = response.status().as_u16();
        transcript.received(&response);
        read(response.into_body(), transcript).await?;
        Ok(status)
    });
    let status = tokio::select! {
        biased;
        answer = &mut answer => answer?,
        // What made the connection end is told to whoever waits for the answer.
        _ = &mut connection => return answer.await,
    };
    // Nobody needs the connection any more: it says goodbye if that can be done at once. The verdict
    // does not wait for it.
    poll_fn(|context| Poll::Ready(connection.as_mut().poll(context).is_ready())).await;
    Ok(status)
}

/// Reads a body to its end or its limit.
async fn read(mut body: RecvStream, transcript: &mut Transcript) -> Result<(), h2::Error> {
    let mut room = MOST_BODY_BYTES;
    while let Some(data) = body.data().await {
        let data = data?;
        transcript.body(&data);
        let length = data.len();
        if length > room {
            break;
        }
        room -= length;
        body.flow_control().release_capacity(length)?;
    }
    Ok(())
}

/// The pseudo-fields (RFC 9113 section 8.3.1).
fn address(question: Question<'_>) -> Result<Uri, Cause> {
    let scheme = match question.url.scheme {
        Scheme::Http => uri::Scheme::HTTP,
        Scheme::Https => uri::Scheme::HTTPS,
    };
    let authority = Authority::try_from(host(question)?.as_bytes()).map_err(wrong_host)?;
    let parts = Uri::builder().scheme(scheme).authority(authority);
    parts.path_and_query(question.probe.path.clone()).build().map_err(wrong_host)
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
