//! One HTTP request and its answer on a fresh connection, and the verdict on it.
//!
//! Knows no time: whoever calls drops it at the deadline.

use std::error::Error;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use config::model::{BackendUrl, HttpProbe};
use http::header::{CONNECTION, HOST, HeaderValue, InvalidHeaderValue, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::report::{Cause, Outcome};

/// A longer body is not read to its end; its head decides.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// Asks, and judges the answer.
pub(crate) async fn ask<S>(stream: S, url: &BackendUrl, probe: &HttpProbe) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = match request(url, probe) {
        Ok(request) => request,
        Err(error) => return Outcome::Fail(Cause::Broken(format!("the host's name: {error}"))),
    };
    match status(stream, request).await {
        Ok(status) if probe.status.contains(status) => Outcome::Pass,
        Ok(status) => Outcome::Fail(Cause::Status(status)),
        Err(error) => Outcome::Fail(broken(&error)),
    }
}

/// The status of a complete answer.
async fn status<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<u16>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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

fn request(
    url: &BackendUrl,
    probe: &HttpProbe,
) -> Result<Request<Empty<Bytes>>, InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("understudy-health"));
    headers.extend(probe.headers.clone());
    let host = match &probe.host {
        Some(host) => host.clone(),
        None => HeaderValue::from_str(&url.authority())?,
    };
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));

    let mut request = Request::new(Empty::new());
    *request.method_mut() = probe.method.clone();
    *request.uri_mut() = probe.path.clone().into();
    *request.headers_mut() = headers;
    Ok(request)
}

/// A TLS 1.3 server refuses a client after the handshake is over on our side, so what looks like a
/// broken connection may be an alert.
fn broken(error: &hyper::Error) -> Cause {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<io::Error>().and_then(tls_error) {
            return Cause::Tls(tls.to_string());
        }
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Cause::Broken(text)
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
