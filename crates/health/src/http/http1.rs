//! A request and its answer over HTTP/1.1 (RFC 9112).

use std::pin::pin;

use bytes::Bytes;
use config::model::{BackendUrl, HttpProbe};
use connect::Stream;
use http::Request;
use http::header::{CONNECTION, HOST, HeaderValue};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{MOST_BODY_BYTES, broken, host};
use crate::report::Cause;

/// The status of a complete answer.
pub(super) async fn status(
    stream: Stream,
    url: &BackendUrl,
    probe: &HttpProbe,
) -> Result<u16, Cause> {
    let mut request = super::request(probe, Empty::new());
    *request.uri_mut() = probe.path.clone().into();
    request.headers_mut().insert(HOST, host(url, probe)?);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    exchange(stream, request).await.map_err(|error| broken(&error))
}

async fn exchange(stream: Stream, request: Request<Empty<Bytes>>) -> hyper::Result<u16> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async move {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        read(response.into_body()).await?;
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
async fn read(mut body: Incoming) -> hyper::Result<()> {
    let mut room = MOST_BODY_BYTES;
    while let Some(frame) = body.frame().await {
        let length = frame?.data_ref().map_or(0, Bytes::len);
        if length > room {
            break;
        }
        room -= length;
    }
    Ok(())
}
