//! One HTTP request and its answer on a fresh connection, and the verdict on it.
//!
//! Knows no time: whoever calls drops it at the deadline.

use std::error::Error;
use std::io;

use config::model::{BackendUrl, HttpProbe};
use connect::Connected;
use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, HeaderName, Request};

use crate::report::{Cause, Outcome};
use crate::transcript::Transcript;

mod http1;
mod http2;

/// A longer body is not read to its end; its head decides.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// Which HTTP is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// What is asked, and of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) url: &'a BackendUrl,
    pub(crate) probe: &'a HttpProbe,
    /// The field that tells the epoch, and the epoch.
    pub(crate) epoch: Option<(&'a HeaderName, u64)>,
}

/// Asks, and judges the answer.
pub(crate) async fn ask(
    connected: Connected,
    version: Version,
    question: Question<'_>,
    transcript: &mut Transcript,
) -> Outcome {
    let stream = connected.stream;
    let answered = match version {
        Version::Http1 => http1::status(stream, question, transcript).await,
        Version::Http2 => http2::status(stream, question, transcript).await,
    };
    match answered {
        Ok(status) if question.probe.status.contains(status) => Outcome::Pass,
        Ok(status) => Outcome::Fail(Cause::Status(status)),
        Err(cause) => Outcome::Fail(cause),
    }
}

/// What both versions ask alike: method and fields.
fn request<B>(question: Question<'_>, body: B) -> Request<B> {
    let Question { probe, epoch, .. } = question;
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("understudy-health"));
    headers.extend(probe.headers.clone());
    if let Some((name, epoch)) = epoch {
        headers.insert(name, HeaderValue::from(epoch));
    }
    let mut request = Request::new(body);
    *request.method_mut() = probe.method.clone();
    *request.headers_mut() = headers;
    request
}

/// The host to ask for.
fn host(question: Question<'_>) -> Result<HeaderValue, Cause> {
    match &question.probe.host {
        Some(host) => Ok(host.clone()),
        None => HeaderValue::from_str(&question.url.authority()).map_err(wrong_host),
    }
}

fn wrong_host(error: impl Error) -> Cause {
    Cause::Broken(format!("the host's name: {error}"))
}

/// The cause in an error and all that led to it. What looks like a broken connection may be a TLS 1.3
/// server that refuses us.
fn broken(error: &(dyn Error + 'static)) -> Cause {
    let mut text = error.to_string();
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(tls) = error.downcast_ref::<io::Error>().filter(|error| is_tls(error)) {
            return Cause::Tls(tls.to_string());
        }
        source = error.source();
        if let Some(inner) = source {
            text = format!("{text}: {inner}");
        }
    }
    Cause::Broken(text)
}

/// See [`connect::Stream`].
fn is_tls(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}
