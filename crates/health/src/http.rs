//! HTTP requests and their answers, each on a fresh connection, and the verdict on the last.
//!
//! Knows no time but for connecting: whoever calls drops it at the deadline.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use config::model::{BackendUrl, HttpProbe, UpstreamProtocol};
use connect::{ConnectError, Connected, Connector, Origin};
use hooks::http::{Broken, Piece, Version, addressed, exchange, offer};
use http::header::{DATE, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method, Request};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::probe::Context;
use crate::report::Cause;
use crate::transcript::Transcript;

mod judge;
mod redirect;

/// What is asked, and of whom.
#[derive(Clone, Debug)]
struct Question<'a> {
    url: &'a BackendUrl,
    probe: &'a HttpProbe,
    /// The field that tells the epoch, and the epoch.
    epoch: Option<(&'a HeaderName, u64)>,
    /// Other than the probe's after a redirect.
    method: Method,
    path: PathAndQuery,
    body: &'a str,
}

/// What came.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Body,
    clock_ahead_ms: Option<i64>,
}

/// Asks, follows redirects, and judges the answer. `certificate` is told as soon as one was shown.
///
/// # Errors
/// No connection came about.
pub(crate) async fn run(
    probe: &HttpProbe,
    context: Context<'_>,
    connector: &Connector,
    deadline: Instant,
    certificate: &mut Option<SystemTime>,
    transcript: &mut Transcript,
) -> Result<Answer, ConnectError> {
    let subject = context.subject;
    let mut question = Question {
        url: &subject.destination.url,
        probe,
        epoch: subject.epoch_header.as_ref().map(|name| (name, context.epoch)),
        method: probe.method.clone(),
        path: probe.path.clone(),
        body: &probe.body,
    };
    let mut redirects = 0;
    loop {
        transcript.note(|| format!("connecting to {}", question.url));
        let connected = open(subject.protocol, connector, deadline, transcript).await?;
        *certificate = certificate.or(connected.stream.certificate_expires());
        let version = Version::on(&connected, subject.protocol, question.url);
        let reply = match ask(connected, version, &question, transcript).await {
            Ok(reply) => reply,
            Err(cause) => return Ok(Answer::failed(cause)),
        };
        let Some(location) = redirect::location(probe, &reply) else {
            return Ok(judge::judge(probe, &reply));
        };
        if redirects == probe.redirects {
            let shown = redirect::shown(&location);
            let words = format!("redirected more than {redirects} times, now to {shown}");
            return Ok(Answer::failed(Cause::Unexpected(words)));
        }
        redirects += 1;
        match redirect::follow(&mut question, reply.status, &location) {
            Ok(()) => transcript.note(|| format!("following to {}", redirect::shown(&location))),
            Err(cause) => return Ok(Answer::failed(cause)),
        }
    }
}

async fn open(
    protocol: UpstreamProtocol,
    connector: &Connector,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Result<Connected, ConnectError> {
    let began = Instant::now();
    let left = deadline.saturating_duration_since(began);
    let connected = connector.connect(offer(protocol), Origin::Local, left).await?;
    transcript.note(|| opened(began.elapsed(), connected.stream.certificate_expires()));
    Ok(connected)
}

fn opened(took: Duration, certificate_expires: Option<SystemTime>) -> String {
    let took = took.as_secs_f64() * 1e3;
    let certificate = certificate_expires.and_then(|expires| {
        let left = expires.duration_since(SystemTime::now()).ok()?;
        Some(format!(", its certificate is valid for {} days", left.as_secs() / (24 * 60 * 60)))
    });
    format!("connected after {took:.2} ms{}", certificate.unwrap_or_default())
}

/// A complete answer, or as much of it as is wanted.
async fn ask(
    connected: Connected,
    version: Version,
    question: &Question<'_>,
    transcript: &mut Transcript,
) -> Result<Reply, Cause> {
    let (scheme, host) = (question.url.scheme, host(question)?);
    let request = addressed(request(question), version, scheme, host, question.path.clone());
    let request = request.map_err(wrong_host)?;
    let shown = match version {
        Version::Http1 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    };
    transcript.sent(&request, &question.probe.headers, shown);
    let mut head = None;
    let mut body = Body::new(question.probe);
    let sent = SystemTime::now();
    let exchanged = exchange(connected.stream, version, request, |piece| match piece {
        Piece::Head(response) => {
            let clock_ahead_ms = clock_ahead_ms(response.headers(), sent, SystemTime::now());
            transcript.received(response);
            head = Some((response.status().as_u16(), response.headers().clone(), clock_ahead_ms));
            ControlFlow::Continue(())
        }
        Piece::Data(data) if body.take(data, transcript) => ControlFlow::Continue(()),
        Piece::Data(_) => ControlFlow::Break(()),
        Piece::Trailers(_) => ControlFlow::Continue(()),
    });
    exchanged.await.map_err(|broken| cause(&broken))?;
    let (status, headers, clock_ahead_ms) =
        head.ok_or_else(|| Cause::Broken("there was no answer".to_owned()))?;
    Ok(Reply { status, headers, body, clock_ahead_ms })
}

/// What both versions ask alike: method and fields.
fn request(question: &Question<'_>) -> Request<Bytes> {
    let Question { probe, epoch, .. } = question;
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("understudy-health"));
    headers.extend(probe.headers.clone());
    if let Some((name, epoch)) = *epoch {
        headers.insert(name, HeaderValue::from(epoch));
    }
    let mut request = Request::new(Bytes::copy_from_slice(question.body.as_bytes()));
    *request.method_mut() = question.method.clone();
    *request.headers_mut() = headers;
    request
}

/// The host to ask for.
fn host(question: &Question<'_>) -> Result<HeaderValue, Cause> {
    match &question.probe.host {
        Some(host) => Ok(host.clone()),
        None => HeaderValue::from_str(&question.url.authority()).map_err(wrong_host),
    }
}

fn wrong_host(error: impl Error) -> Cause {
    Cause::Broken(format!("the host's name: {error}"))
}

/// As much of an answer's body as is wanted.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    /// Empty unless something is wanted of it.
    bytes: Vec<u8>,
    is_wanted: bool,
    room: usize,
    /// Whether there is more than was read.
    is_longer: bool,
}

impl Body {
    fn new(probe: &HttpProbe) -> Self {
        let is_wanted = judge::wants_body(probe);
        Self { bytes: Vec::new(), is_wanted, room: probe.body_bytes, is_longer: false }
    }

    /// Takes in more of it; false when that was enough.
    fn take(&mut self, data: &[u8], transcript: &mut Transcript) -> bool {
        transcript.body(data);
        self.is_longer = data.len() > self.room;
        if self.is_longer {
            return false;
        }
        self.room -= data.len();
        if self.is_wanted {
            self.bytes.extend_from_slice(data);
        }
        true
    }
}

/// By how much the clock of whoever wrote the `Date` (RFC 9110 section 6.6.1) is ahead of ours at
/// least, given when the request was sent and when the answer's head had come. Within the second that
/// a `Date` stands for there is no difference.
fn clock_ahead_ms(headers: &HeaderMap, sent: SystemTime, came: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let middle = sent + came.duration_since(sent).unwrap_or_default() / 2;
    let millis = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    };
    let (theirs, ours) = (millis(date)?, millis(middle)?);
    // What is nearest to ours of all that the `Date` may mean.
    Some(ours.clamp(theirs, theirs.checked_add(999)?) - ours)
}

/// The cause in an error and all that led to it.
pub(crate) fn broken(error: &(dyn Error + 'static)) -> Cause {
    cause(&Broken::of(error))
}

/// What looks like a broken connection may be a TLS 1.3 server that refuses us.
pub(crate) fn cause(broken: &Broken) -> Cause {
    match broken {
        Broken::Tls(why) => Cause::Tls(why.clone()),
        Broken::Other(why) => Cause::Broken(why.clone()),
    }
}

#[cfg(test)]
mod tests;
