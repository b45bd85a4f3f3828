//! A request and its answer over HTTP/1.1 (RFC 9112).

use std::pin::pin;

use bytes::Bytes;
use connect::Stream;
use http::Request;
use http::header::{CONNECTION, HOST, HeaderValue};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{MOST_BODY_BYTES, Question, broken, host};
use crate::report::Cause;
use crate::transcript::Transcript;

/// The status of a complete answer.
pub(super) async fn status(
    stream: Stream,
    question: Question<'_>,
    transcript: &mut Transcript,
) -> Result<u16, Cause> {
    let mut request = super::request(question, Empty::new());
    *request.uri_mut() = question.probe.path.clone().into();
    request.headers_mut().insert(HOST, host(question)?);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    transcript.sent(&request, "HTTP/1.1");
    exchange(stream, request, transcript).await.map_err(|error| broken(&error))
}

async fn exchange(
    stream: Stream,
    request: Request<Empty<Bytes>>,
    transcript: &mut Transcript,
) -> hyper::Result<u16> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async move {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        transcript.received(&response);
        read(response.into_body(), transcript).await?;
        Ok(status)
    });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // What made the connection end is told to whoever waits for the answer.
        _ = &mut connection => answer.await,
    }
}

/// Reads a body to its end or its limit.
async fn read(mut body: Incoming, transcript: &mut Transcript) -> hyper::Result<()> {
    let mut room = MOST_BODY_BYTES;
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        transcript.body(data);
        let length = data.len();
        if length > room {
            break;
        }
        room -= length;
    }
    Ok(())
}
