//! The answers we give ourselves, when no backend does: status, words, and who is to blame.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use metrics::cells::Blame;

use crate::body::ResponseBody;

/// Why a request gets no backend's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request could be read in more than one way, or in none; says which part.
    BadRequest(&'static str),
    /// A method that a reverse proxy does not carry out: CONNECT, TRACE.
    MethodNotAllowed,
    /// An `Expect` other than `100-continue` (RFC 9110 10.1.1).
    ExpectationFailed,
    /// The body stopped coming.
    RequestTimeout,
    /// The client went away; nobody will read the answer.
    ClientGone,
    /// No route matches.
    NotFound,
    /// The backend broke off, or its answer cannot be understood.
    BadGateway,
    /// The backend did not answer in time.
    GatewayTimeout,
    /// Nobody became active in time.
    NobodyActive,
    /// Too many requests, or too many bytes, are waiting already.
    HoldFull,
    /// We have run out of sockets.
    Exhausted,
}

/// Seconds until it makes sense to come back: probes notice a recovery well within that.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

impl Failure {
    /// Who is to blame.
    pub(crate) fn blame(self) -> Blame {
        match self {
            Self::BadRequest(_)
            | Self::MethodNotAllowed
            | Self::ExpectationFailed
            | Self::RequestTimeout
            | Self::ClientGone
            | Self::NotFound => Blame::Downstream,
            Self::BadGateway | Self::GatewayTimeout | Self::NobodyActive => Blame::Upstream,
            Self::HoldFull | Self::Exhausted => Blame::Internal,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::RequestTimeout | Self::ClientGone => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::NobodyActive | Self::HoldFull | Self::Exhausted => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::BadRequest(words) => words,
            Self::MethodNotAllowed => "this method is not allowed here",
            Self::ExpectationFailed => "the only expectation supported is 100-continue",
            Self::RequestTimeout => "the request body did not arrive in time",
            Self::ClientGone => "the client went away",
            Self::NotFound => "no service for this host and path",
            Self::BadGateway => "the server broke off; it may or may not have done what was asked",
            Self::GatewayTimeout => {
                "the server did not answer in time; it may or may not have done what was asked"
            }
            Self::NobodyActive => "no server is available at the moment",
            Self::HoldFull => "too many requests are waiting for a server",
            Self::Exhausted => "the proxy is out of sockets; nothing was done",
        }
    }

    /// The answer. A request that was not understood ends its connection: what follows it cannot be
    /// trusted to be a request.
    pub(crate) fn response(self) -> Response<ResponseBody> {
        let words = Bytes::from(format!("{} {}\n", self.status().as_u16(), self.words()));
        let mut response = Response::new(ResponseBody::Done);
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(words.len()));
        match self {
            Self::NobodyActive | Self::HoldFull | Self::Exhausted => {
                headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            Self::MethodNotAllowed => {
                headers.insert(
                    ALLOW,
                    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
                );
            }
            Self::BadRequest(_) | Self::RequestTimeout | Self::ClientGone => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::ExpectationFailed | Self::NotFound | Self::BadGateway | Self::GatewayTimeout => {}
        }
        *response.body_mut() = ResponseBody::Text(words);
        response
    }
}
