//! gRPC, as far as a proxy needs it: which requests are, how long they may take, and how to fail one
//! so that its client understands.
//!
//! Knows nothing of messages; they are body. A client of gRPC looks for the status in trailers, so
//! an HTTP error with a text tells it nothing.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::answer::Failure;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The media type of gRPC over HTTP/2.
const MEDIA_TYPE: &[u8] = b"application/grpc";

/// Most digits of a timeout.
const MAX_DIGITS: usize = 8;

/// Whether a request (or a response) is gRPC, by its content type: `application/grpc`, perhaps with
/// a format (`+proto`) or parameters. gRPC-Web is not: it has its status in the body.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else {
        return false;
    };
    let Some((name, rest)) = media_type.split_at_checked(MEDIA_TYPE.len()) else { return false };
    name.eq_ignore_ascii_case(MEDIA_TYPE)
        && (rest.starts_with(b"+") || matches!(rest.trim_ascii_start().first(), None | Some(b';')))
}

/// How long the client is going to wait, from when it sent the request; `None` if it does not say,
/// or not in one way: up to 8 digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let text = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 60 * 60)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// What a client of gRPC is told; the statuses that a proxy has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// 1: the client gave up.
    Cancelled,
    /// 2
    Unknown,
    /// 4: too late; it may have been done.
    DeadlineExceeded,
    /// 7
    PermissionDenied,
    /// 8: too many wait already. Unlike 14 it does not ask to be tried again at once.
    ResourceExhausted,
    /// 12: there is no such service here.
    Unimplemented,
    /// 13: not a request that a client of gRPC sends.
    Internal,
    /// 14: come again.
    Unavailable,
    /// 16
    Unauthenticated,
}

/// Whether the time that the client gave (see [`timeout`]) is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// There is time left, or no such time.
    Ahead,
    /// It is over.
    Passed,
}

impl Status {
    /// What gRPC takes an HTTP status for that comes without a status of its own.
    pub(crate) fn of_http(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::Internal,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::PermissionDenied,
            StatusCode::NOT_FOUND => Self::Unimplemented,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// What a failure of ours is to a client of gRPC.
    pub(crate) fn of_failure(failure: Failure, deadline: Deadline) -> Self {
        match (failure, deadline) {
            (
                Failure::GatewayTimeout | Failure::NobodyActive | Failure::Overdue,
                Deadline::Passed,
            )
            | (Failure::RequestTimeout, _) => Self::DeadlineExceeded,
            (Failure::GatewayTimeout | Failure::Overdue, Deadline::Ahead) => {
                Self::of_http(StatusCode::GATEWAY_TIMEOUT)
            }
            (Failure::NobodyActive, Deadline::Ahead) | (Failure::Exhausted, _) => {
                Self::of_http(StatusCode::SERVICE_UNAVAILABLE)
            }
            (Failure::BadGateway | Failure::BadAnswer, _) => Self::of_http(StatusCode::BAD_GATEWAY),
            (Failure::NotFound, _) => Self::of_http(StatusCode::NOT_FOUND),
            (
                Failure::BadRequest(_) | Failure::MethodNotAllowed | Failure::ExpectationFailed,
                _,
            ) => Self::of_http(StatusCode::BAD_REQUEST),
            (Failure::NotImplemented, _) => Self::of_http(StatusCode::NOT_FOUND),
            (Failure::UriTooLong, _) => Self::of_http(StatusCode::BAD_REQUEST),
            (Failure::ClientGone, _) => Self::Cancelled,
            (Failure::HoldFull | Failure::HeadersTooLarge | Failure::ContentTooLarge, _) => {
                Self::ResourceExhausted
            }
        }
    }

    /// The number, as `grpc-status` has it.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Cancelled => 1,
            Self::Unknown => 2,
            Self::DeadlineExceeded => 4,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// The fields of a response that is nothing but a status: HTTP 200, no body, the stream ends
    /// with them.
    pub(crate) fn answer(self, message: &str) -> HeaderMap {
        let mut headers = self.trailers(message);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers
    }

    /// The trailers that end a response which has begun.
    pub(crate) fn trailers(self, message: &str) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(3);
        trailers.insert(GRPC_STATUS, HeaderValue::from(self.number()));
        if let Ok(message) = HeaderValue::try_from(encoded(message)) {
            trailers.insert(GRPC_MESSAGE, message);
        }
        trailers
    }
}

/// A message for people: UTF-8, of which everything but visible ASCII and the blank is written as
/// `%` and two digits.
fn encoded(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::{Mutator, SEEDS, cases};

    fn with(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn which_requests_are() {
        for (media_type, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc+json;charset=utf-8", true),
            ("application/grpc;x=y", true),
            ("application/grpc ; x=y", true),
            ("Application/GRPC+Proto", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpc-web-text", false),
            ("application/grpcx", false),
            ("application/grpc +proto", false),
            ("application/grpc, text/html", false),
            ("application/grp", false),
            ("text/html;application/grpc", false),
            ("", false),
            ("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", false),
        ] {
            assert_eq!(is_grpc(&with(&[(CONTENT_TYPE, media_type)])), is, "{media_type}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn timeouts() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        for (text, expected) in [
            ("1H", hours(1)),
            ("99999999H", hours(99_999_999)),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("0100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("0S", Some(Duration::ZERO)),
            ("100000000n", None),
            ("1", None),
            ("S", None),
            ("", None),
            ("1s", None),
            ("1h", None),
            ("1 S", None),
            (" 1S", None),
            ("1S ", None),
            ("+1S", None),
            ("-1S", None),
            ("1.5S", None),
            ("0x1S", None),
            ("1SS", None),
            ("1\u{e9}", None),
            ("\u{e9}", None),
        ] {
            assert_eq!(timeout(&with(&[(GRPC_TIMEOUT, text)])), expected, "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
        assert_eq!(timeout(&with(&[(GRPC_TIMEOUT, "1S"), (GRPC_TIMEOUT, "1S")])), None);
    }

    #[test]
    fn no_mutation_of_a_timeout_panics_or_is_taken_that_should_not_be() {
        let corpus: &[&[u8]] = &[b"1H", b"99999999M", b"20S", b"100m", b"5u", b"7n"];
        for seed in SEEDS {
            let mut mutator = Mutator::new(seed);
            for _ in 0..cases() {
                let bytes = mutator.mutate(corpus);
                let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
                let mut headers = HeaderMap::new();
                headers.insert(GRPC_TIMEOUT, value);
                let is_timeout = (2..=9).contains(&bytes.len())
                    && b"HMSmun".contains(&bytes[bytes.len() - 1])
                    && bytes[..bytes.len() - 1].iter().all(u8::is_ascii_digit);
                assert_eq!(timeout(&headers).is_some(), is_timeout, "{bytes:?}");
            }
        }
    }

    #[test]
    fn what_an_http_status_is_taken_for() {
        for (http, grpc) in [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (405, 2),
            (413, 2),
            (429, 14),
            (500, 2),
            (502, 14),
            (503, 14),
            (504, 14),
        ] {
            let http = StatusCode::from_u16(http).unwrap();
            assert_eq!(Status::of_http(http).number(), grpc, "{http}");
        }
    }

    #[test]
    fn what_our_failures_are() {
        for (failure, ahead, passed) in [
            (Failure::BadRequest("no host"), 13, 13),
            (Failure::MethodNotAllowed, 13, 13),
            (Failure::ExpectationFailed, 13, 13),
            (Failure::RequestTimeout, 4, 4),
            (Failure::ClientGone, 1, 1),
            (Failure::NotFound, 12, 12),
            (Failure::BadGateway, 14, 14),
            (Failure::GatewayTimeout, 14, 4),
            (Failure::NobodyActive, 14, 4),
            (Failure::HoldFull, 8, 8),
            (Failure::Exhausted, 14, 14),
        ] {
            assert_eq!(Status::of_failure(failure, Deadline::Ahead).number(), ahead, "{failure:?}");
            assert_eq!(
                Status::of_failure(failure, Deadline::Passed).number(),
                passed,
                "{failure:?}"
            );
        }
    }

    #[test]
    fn answers_and_trailers() {
        let trailers = Status::Unavailable.trailers("no server is available");
        assert_eq!(trailers.len(), 2);
        assert_eq!(trailers[GRPC_STATUS], "14");
        assert_eq!(trailers[GRPC_MESSAGE], "no server is available");
        let answer = Status::DeadlineExceeded.answer("a\r\nb 100% \u{e9}~\t\0");
        assert_eq!(answer.len(), 3);
        assert_eq!(answer[CONTENT_TYPE], "application/grpc");
        assert_eq!(answer[GRPC_STATUS], "4");
        assert_eq!(answer[GRPC_MESSAGE], "a%0D%0Ab 100%25 %C3%A9~%09%00");
    }
}
