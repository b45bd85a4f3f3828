//! One try to send spans, and what its answer means.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use config::model::{Otlp, OtlpProtocol, UpstreamProtocol};
use connect::{Connector, Destination, Origin};
use hooks::http::{Broken, Piece, Version, addressed, exchange, offer};
use hooks::{Hidden, fields};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::wire::rejected;

/// Most bytes of an answer. It says how many spans were not taken, and perhaps why.
const MOST_ANSWER: usize = 16 << 10;
/// Longer than this a collector does not make us wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The collector has them, but for so many.
    Taken { rejected: u64 },
    /// It does not want them, and will not: why.
    Refused(String),
    /// It may take them later, perhaps not before so long.
    NotNow(String, Option<Duration>),
}

/// What was answered.
#[derive(Debug, Default)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

/// Sends a message on a fresh connection. Ends within the time for one try.
pub(crate) async fn send(otlp: &Otlp, destination: &Destination, message: &[u8]) -> Sent {
    let deadline = Instant::now() + otlp.timeout;
    match ask(otlp, destination, message, deadline).await {
        Ok(answer) => match otlp.protocol {
            OtlpProtocol::Http => judge_http(&answer),
            OtlpProtocol::Grpc => judge_grpc(&answer),
        },
        Err(why) => Sent::NotNow(why, None),
    }
}

async fn ask(
    otlp: &Otlp,
    destination: &Destination,
    message: &[u8],
    deadline: Instant,
) -> Result<Answer, String> {
    let (protocol, kind, body) = match otlp.protocol {
        OtlpProtocol::Http => {
            let body = Bytes::copy_from_slice(message);
            (UpstreamProtocol::Auto, "application/x-protobuf", body)
        }
        OtlpProtocol::Grpc => (UpstreamProtocol::Http2, "application/grpc", framed(message)),
    };
    let headers = fields(&otlp.headers, &mut Hidden::default(), deadline).await?;
    let url = &destination.url;
    let host = HeaderValue::from_str(&url.authority());
    let host = host.map_err(|error| format!("the host's name: {error}"))?;
    let left = deadline.saturating_duration_since(Instant::now());
    let connector = Connector::new(destination.clone());
    let connected = connector.connect(offer(protocol), Origin::Local, left).await;
    let connected = connected.map_err(|error| error.to_string())?;
    let version = Version::on(&connected, protocol, url);
    let mut request = Request::post("/").body(body).map_err(|error| error.to_string())?;
    *request.headers_mut() = headers;
    let agent = HeaderValue::from_static(concat!("understudy/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let request = addressed(request, version, url.scheme, host, otlp.path.clone());
    let request = request.map_err(|error| format!("the host's name: {error}"))?;
    let mut answer = Answer::default();
    let exchanged = exchange(connected.stream, version, request, |piece| {
        match piece {
            Piece::Head(head) => {
                answer.status = head.status();
                answer.headers = head.headers().clone();
            }
            Piece::Data(data) if answer.body.len() + data.len() > MOST_ANSWER => {
                return ControlFlow::Break(());
            }
            Piece::Data(data) => answer.body.extend_from_slice(data),
            Piece::Trailers(trailers) => answer.trailers = trailers.clone(),
        }
        ControlFlow::Continue(())
    });
    match timeout_at(deadline, exchanged).await {
        Ok(Ok(())) => Ok(answer),
        Ok(Err(Broken::Tls(why))) => Err(format!("TLS: {why}")),
        Ok(Err(Broken::Other(why))) => Err(format!("broken off: {why}")),
        Err(_) => Err("no complete answer in time".to_owned()),
    }
}

/// A message as gRPC sends it: not compressed, with its length before it.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// OTLP 1.x, "OTLP/HTTP Response".
fn judge_http(answer: &Answer) -> Sent {
    let Answer { status, headers, body, .. } = answer;
    let said = format!("answered {status}");
    match status.as_u16() {
        200..=299 => Sent::Taken { rejected: rejected(body) },
        429 | 502 | 503 | 504 => {
            let after =
                headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Sent::NotNow(said, after.map(|secs| Duration::from_secs(secs).min(LONGEST_PAUSE)))
        }
        _ => Sent::Refused(said),
    }
}

/// OTLP 1.x, "OTLP/gRPC Response". A call that failed at once says so in its head.
fn judge_grpc(answer: &Answer) -> Sent {
    if answer.status != StatusCode::OK {
        return judge_http(answer);
    }
    let field = |name| answer.trailers.get(name).or(answer.headers.get(name));
    let code = field("grpc-status").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let why = field("grpc-message").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let said = |code| format!("answered the status {code} of gRPC {why}").trim_end().to_owned();
    match code {
        Some(0) => Sent::Taken { rejected: rejected(answer.body.get(5..).unwrap_or_default()) },
        // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
        Some(code @ (1 | 4 | 10 | 11 | 14 | 15)) => Sent::NotNow(said(code), None),
        Some(code) => Sent::Refused(said(code)),
        None => Sent::Refused("the answer has no status of gRPC".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let fields = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: fields.collect(), ..Answer::default() }
    }

    #[test]
    fn what_may_be_tried_again_is_what_the_protocol_says() {
        let taken = Sent::Taken { rejected: 0 };
        assert_eq!(judge_http(&answer(200, &[])), taken);
        for status in [429, 502, 503, 504] {
            assert!(matches!(judge_http(&answer(status, &[])), Sent::NotNow(_, None)), "{status}");
        }
        for status in [301, 400, 401, 404, 500, 501] {
            assert!(matches!(judge_http(&answer(status, &[])), Sent::Refused(_)), "{status}");
        }
        let pause = |value| match judge_http(&answer(503, &[("retry-after", value)])) {
            Sent::NotNow(_, after) => after,
            other @ (Sent::Taken { .. } | Sent::Refused(_)) => panic!("{other:?}"),
        };
        assert_eq!(pause("3"), Some(Duration::from_secs(3)));
        assert_eq!(pause("100000"), Some(LONGEST_PAUSE));
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT"), None);
    }

    #[test]
    fn a_call_ends_as_its_trailers_or_its_head_say() {
        assert_eq!(judge_grpc(&answer(200, &[("grpc-status", "0")])), Sent::Taken { rejected: 0 });
        let mut later = answer(200, &[]);
        later.trailers.insert("grpc-status", HeaderValue::from_static("14"));
        later.trailers.insert("grpc-message", HeaderValue::from_static("busy"));
        let said = "answered the status 14 of gRPC busy".to_owned();
        assert_eq!(judge_grpc(&later), Sent::NotNow(said, None));
        for bad in [&[("grpc-status", "3")][..], &[("grpc-status", "x")], &[]] {
            assert!(matches!(judge_grpc(&answer(200, bad)), Sent::Refused(_)), "{bad:?}");
        }
        assert!(matches!(judge_grpc(&answer(503, &[])), Sent::NotNow(_, None)));
    }

    #[test]
    fn a_message_is_framed_by_its_length() {
        assert_eq!(framed(b"abc")[..], [0, 0, 0, 0, 3, b'a', b'b', b'c']);
    }
}
