//! The answers we give ourselves, when no backend does: status, words, and who is to blame.

use std::time::Instant;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use metrics::cells::Blame;

use crate::body::ResponseBody;
use crate::grpc::{Deadline, Status};

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
    /// The target is longer than allowed.
    UriTooLong,
    /// There are more fields than allowed.
    HeadersTooLarge,
    /// The body is larger than allowed.
    ContentTooLarge,
    /// A switch to a protocol that we, or the backend, cannot switch to.
    NotImplemented,
    /// The backend broke off.
    BadGateway,
    /// The backend's answer is malformed, ambiguous or too large.
    BadAnswer,
    /// The backend did not answer in time.
    GatewayTimeout,
    /// Nobody became active in time.
    NobodyActive,
    /// The time for the whole request was over before anybody could be asked (again).
    Overdue,
    /// Too many requests, or too many bytes, are waiting already.
    HoldFull,
    /// We have run out of sockets.
    Exhausted,
}

/// How a client wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In words, with a status.
    Http,
    /// In the fields of gRPC.
    Grpc {
        /// Whether the client's own time is over.
        deadline: Deadline,
    },
}

impl Kind {
    /// For a client of gRPC or not, whose own time ends at `deadline`.
    pub(crate) fn new(is_grpc: bool, deadline: Option<Instant>) -> Self {
        if !is_grpc {
            return Self::Http;
        }
        let is_over = deadline.is_some_and(|at| Instant::now() >= at);
        Self::Grpc { deadline: if is_over { Deadline::Passed } else { Deadline::Ahead } }
    }
}

/// Sends the client to `location`.
pub(crate) fn redirect(status: u16, location: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Done);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::PERMANENT_REDIRECT);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    // It is made of a host and a target that are fields' values; should it not be one, there is
    // nowhere to send the client to.
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    response
}

/// What a client that sends its OPTIONS to us, and no further, wants to know (RFC 9110 9.3.7).
pub(crate) fn options() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Done);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, ALLOWED);
    response
}

/// Methods that we carry.
const ALLOWED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

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
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::ContentTooLarge
            | Self::NotImplemented
            | Self::NotFound => Blame::Downstream,
            Self::BadGateway
            | Self::BadAnswer
            | Self::GatewayTimeout
            | Self::NobodyActive
            | Self::Overdue => Blame::Upstream,
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
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::BadGateway | Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout | Self::Overdue => StatusCode::GATEWAY_TIMEOUT,
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
            Self::UriTooLong => "the target is too long",
            Self::HeadersTooLarge => "too many header fields",
            Self::ContentTooLarge => "the body is too large",
            Self::NotImplemented => "this protocol cannot be switched to here",
            Self::BadGateway => "the server broke off; it may or may not have done what was asked",
            Self::BadAnswer => {
                "the server's answer cannot be passed on; it may have done what was asked"
            }
            Self::GatewayTimeout => {
                "the server did not answer in time; it may or may not have done what was asked"
            }
            Self::NobodyActive => "no server is available at the moment",
            Self::Overdue => "no server was available in time",
            Self::HoldFull => "too many requests are waiting for a server",
            Self::Exhausted => "the proxy is out of sockets; nothing was done",
        }
    }

    /// The status that a client of this kind sees, and how long our words are.
    pub(crate) fn told(self, kind: Kind) -> (StatusCode, u64) {
        match kind {
            Kind::Http => (self.status(), self.text_length() as u64),
            Kind::Grpc { .. } => (StatusCode::OK, 0),
        }
    }

    /// The status, a blank, the words, the end of the line.
    fn text_length(self) -> usize {
        3 + 1 + self.words().len() + 1
    }

    /// The answer. A request that was not understood ends its connection: what follows it cannot be
    /// trusted to be a request.
    pub(crate) fn response(self, kind: Kind) -> Response<ResponseBody> {
        match kind {
            Kind::Http => self.text(),
            Kind::Grpc { deadline } => {
                let mut response = Response::new(ResponseBody::Done);
                *response.headers_mut() = Status::of_failure(self, deadline).answer(self.words());
                response
            }
        }
    }

    fn text(self) -> Response<ResponseBody> {
        let words = Bytes::from(format!("{} {}\n", self.status().as_u16(), self.words()));
        debug_assert_eq!(words.len(), self.text_length());
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
                headers.insert(ALLOW, ALLOWED);
            }
            Self::BadRequest(_)
            | Self::RequestTimeout
            | Self::ClientGone
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::ContentTooLarge => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::ExpectationFailed
            | Self::NotFound
            | Self::NotImplemented
            | Self::BadGateway
            | Self::BadAnswer
            | Self::GatewayTimeout
            | Self::Overdue => {}
        }
        *response.body_mut() = ResponseBody::Text(words);
        response
    }
}
