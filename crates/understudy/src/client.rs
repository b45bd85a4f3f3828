//! Asks a running load balancer: one request per connection, JSON both ways, a deadline on everything.

mod endpoint;
mod follow;
mod sse;
mod transport;

use std::fmt;
use std::time::Duration;

use admin::wire::Problem;
use anyhow::anyhow;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::Place;
use crate::files::Failure;
use crate::show::printable;

pub(crate) use follow::Follow;
use transport::Transport;

/// Answers that do not wait for anything.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// Longer than the server gives a move.
pub(crate) const MOVE_WITHIN: Duration = Duration::from_secs(11 * 60);
/// The problem with a value in a request that is not one of those it may have.
const INVALID: &str = "urn:understudy:problem:invalid";
/// The longest answer that is read.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// A load balancer that can be asked.
pub(crate) struct Client {
    transport: Transport,
    authorization: Option<HeaderValue>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Nobody was reached, or the connection broke.
    Unreachable(anyhow::Error),
    /// The answer is no. `kind` is the word of the problem, where it is one of ours.
    Problem { status: StatusCode, kind: String, words: String },
    /// The answer is not one of ours.
    Foreign(anyhow::Error),
}

/// What to tell, usually in one line.
impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) | Self::Foreign(error) => write!(f, "{error:#}"),
            Self::Problem { words, .. } => f.write_str(words),
        }
    }
}

impl AskError {
    /// Whether it may be different in a moment: a restart, for example.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Problem { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Foreign(_) => false,
        }
    }
}

/// Refused is one thing, asked wrongly another, and not able to ask a third.
impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unreachable(error) | AskError::Foreign(error) => Self::Other(error),
            AskError::Problem { status, kind, words } => match status {
                // A value out of its bounds; other words for 422 say what cannot be done.
                StatusCode::UNPROCESSABLE_ENTITY if kind == INVALID => {
                    Self::Config(format!("understudy: {words}"))
                }
                StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => Self::Refused(words),
                StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => {
                    Self::Config(format!("understudy: {words}"))
                }
                _ => Self::Other(anyhow!(words)),
            },
        }
    }
}

/// A response whose body is still to come. Its connection ends with it.
pub(super) struct Exchange {
    status: StatusCode,
    is_problem: bool,
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    /// The one that the flags or the environment name, or else the one on this machine.
    ///
    /// # Errors
    /// When flags make no sense, or a file that they name cannot be read. Asks nobody.
    pub(crate) fn find(place: &Place) -> Result<Self, Failure> {
        let found = endpoint::find(place, |name| std::env::var_os(name))?;
        let transport = Transport::new(found.endpoint, found.ca.as_deref());
        let transport =
            transport.map_err(|error| Failure::Config(format!("understudy: {error:#}")))?;
        Ok(Self { transport, authorization: found.authorization })
    }

    /// What is at `path` below the API.
    ///
    /// # Errors
    /// When there is no answer, or it is no.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.ask(Method::GET, path, Bytes::new(), SOON).await
    }

    /// Has something done, and waits for the answer `within` that time.
    ///
    /// # Errors
    /// When there is no answer, or it is no.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, AskError> {
        self.ask(Method::POST, path, to_json(body)?, within).await
    }

    /// Has something ended, for a reason if one is given. A body would have no meaning (RFC 9110
    /// 9.3.5), so the reason is in the query.
    ///
    /// # Errors
    /// When there is no answer, or it is no.
    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        reason: Option<&str>,
    ) -> Result<T, AskError> {
        let path = match reason {
            Some(reason) => format!("{path}?reason={}", segment(reason)),
            None => path.to_owned(),
        };
        self.ask(Method::DELETE, &path, Bytes::new(), SOON).await
    }

    /// A page beside the API: its status and what it says, as one line.
    ///
    /// # Errors
    /// When there is no answer `within` that time.
    pub(crate) async fn page(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<(StatusCode, String), AskError> {
        let request = self.request_at(Method::GET, path, Bytes::new())?;
        let answered = async {
            let exchange = self.send(request).await?;
            Ok((exchange.status, read(exchange.body).await?))
        };
        let answered = timeout(within, answered).await;
        let (status, body) = answered.unwrap_or_else(|_| Err(self.late(within)))?;
        let text = String::from_utf8_lossy(&body);
        Ok((status, printable(text.lines().next().unwrap_or_default())))
    }

    /// Follows the events, after number `after` if it is given, and the states.
    ///
    /// # Errors
    /// When the stream cannot be had.
    pub(crate) async fn follow(&self, after: Option<u64>) -> Result<Follow<'_>, AskError> {
        Follow::begin(self, "events/stream", after).await
    }

    /// A stream of server-sent events, begun.
    async fn stream(&self, path: &str, last_id: Option<&str>) -> Result<Exchange, AskError> {
        let mut request = self.request(Method::GET, path, Bytes::new())?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert("last-event-id", id);
        }
        let sent = timeout(SOON, self.send(request)).await;
        let exchange = sent.unwrap_or_else(|_| Err(self.late(SOON)))?;
        if exchange.status.is_success() {
            return Ok(exchange);
        }
        let (status, is_problem) = (exchange.status, exchange.is_problem);
        let read = timeout(SOON, read(exchange.body)).await;
        Err(refused(status, is_problem, &read.unwrap_or_else(|_| Err(self.late(SOON)))?))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<T, AskError> {
        let request = self.request(method, path, body)?;
        let answered = async {
            let exchange = self.send(request).await?;
            let (status, is_problem) = (exchange.status, exchange.is_problem);
            let body = read(exchange.body).await?;
            if status.is_success() { Ok(body) } else { Err(refused(status, is_problem, &body)) }
        };
        let answered = timeout(within, answered).await;
        let body = answered.unwrap_or_else(|_| Err(self.late(within)))?;
        serde_json::from_slice(&body).map_err(|error| {
            let endpoint = self.transport.endpoint();
            AskError::Foreign(anyhow!(
                "{endpoint} does not answer as Understudy {} does: {error}; is this the admin address of \
                 Understudy?",
                env!("CARGO_PKG_VERSION")
            ))
        })
    }

    /// A request below the API.
    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, AskError> {
        self.request_at(method, &format!("/api/v1/{path}"), body)
    }

    fn request_at(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, AskError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.transport.endpoint().authority())
            .header(ACCEPT, "application/json, application/problem+json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Full::new(body)).map_err(|error| AskError::Foreign(error.into()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Exchange, AskError> {
        let stream = self.transport.connect().await.map_err(AskError::Unreachable)?;
        let broken = |error: hyper::Error| {
            let endpoint = self.transport.endpoint();
            let advice = endpoint.advice();
            AskError::Unreachable(anyhow!("{endpoint} ended the connection: {error}{advice}"))
        };
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(broken)?;
        // How it ends shows in the response.
        let connection = AbortOnDropHandle::new(tokio::spawn(async { drop(connection.await) }));
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok(Exchange {
            status: response.status(),
            is_problem: is_problem(&response),
            body: response.into_body(),
            _connection: connection,
        })
    }

    fn late(&self, within: Duration) -> AskError {
        let endpoint = self.transport.endpoint();
        AskError::Unreachable(anyhow!("{endpoint} gave no answer within {} s", within.as_secs()))
    }
}

/// Text as one segment of a path, or as one value in a query.
pub(crate) fn segment(name: &str) -> String {
    use fmt::Write as _;
    let mut segment = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            segment.push(char::from(byte));
        } else {
            // A String takes all. Also `.`, so that `..` is a name.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

fn to_json(body: &impl Serialize) -> Result<Bytes, AskError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| AskError::Foreign(error.into()))
}

fn is_problem(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/problem+json"))
}

async fn read(body: Incoming) -> Result<Bytes, AskError> {
    let read = Limited::new(body, ANSWER_BYTES).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|error| AskError::Unreachable(anyhow!("the answer broke off: {error}")))
}

/// An answer that is no, as one line.
fn refused(status: StatusCode, is_problem: bool, body: &[u8]) -> AskError {
    let problem = is_problem.then(|| serde_json::from_slice::<Problem>(body).ok()).flatten();
    let (kind, words) = match problem {
        Some(problem) => (problem.kind.clone(), problem_words(&problem)),
        None => {
            let text = String::from_utf8_lossy(body);
            let line = text.lines().map(str::trim).find(|line| !line.is_empty());
            let line = printable(line.unwrap_or("no words with it"));
            let ask = "is this the admin address of Understudy? If it has TLS, try https://";
            (String::new(), format!("the answer is {status}: {line}; {ask}"))
        }
    };
    let words = match status {
        StatusCode::UNAUTHORIZED => {
            format!("{words} (a token comes from --token-file or UNDERSTUDY_TOKEN)")
        }
        _ => words,
    };
    AskError::Problem { status, kind, words }
}

fn problem_words(problem: &Problem) -> String {
    let words = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
    // Usually one line. What is wrong with a config has more, with marks below its text.
    let lines = words.trim().lines().map(|line| line.trim_end().replace(char::is_control, "?"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: StatusCode, is_problem: bool, body: &str) -> (String, String) {
        let failure = Failure::from(refused(status, is_problem, body.as_bytes()));
        (failure.to_string(), format!("{:?}", failure.exit_code()))
    }

    fn code(code: u8) -> String {
        format!("{:?}", std::process::ExitCode::from(code))
    }

    #[test]
    fn a_problem_becomes_its_detail_and_its_status_the_exit_code() {
        for (status, expected) in [
            (StatusCode::CONFLICT, 3),
            (StatusCode::UNPROCESSABLE_ENTITY, 3),
            (StatusCode::BAD_REQUEST, 2),
            (StatusCode::NOT_FOUND, 2),
            (StatusCode::FORBIDDEN, 1),
            (StatusCode::TOO_MANY_REQUESTS, 1),
            (StatusCode::SERVICE_UNAVAILABLE, 1),
        ] {
            let body = r#"{"type":"urn:x","title":"Refused","status":409,"detail":"b is down"}"#;
            let answer = answered(status, true, body);
            assert_eq!(answer, ("understudy: b is down".to_owned(), code(expected)), "{status}");
        }
        let invalid =
            r#"{"type":"urn:understudy:problem:invalid","title":"","status":422,"detail":"x"}"#;
        assert_eq!(answered(StatusCode::UNPROCESSABLE_ENTITY, true, invalid).1, code(2));
        let bare = r#"{"type":"urn:x","title":"Refused","status":409,"detail":""}"#;
        assert_eq!(answered(StatusCode::CONFLICT, true, bare).0, "understudy: Refused");
        let several =
            r#"{"type":"urn:x","title":"","status":422,"detail":"a.yaml:1\n  x: 1\n  ^\u001b[2J"}"#;
        let several = answered(StatusCode::UNPROCESSABLE_ENTITY, true, several).0;
        assert_eq!(several, "understudy: a.yaml:1\n  x: 1\n  ^?[2J");
    }

    #[test]
    fn without_a_token_it_says_where_one_comes_from() {
        let body = r#"{"type":"urn:x","title":"","status":401,"detail":"a token is needed"}"#;
        let (words, exit) = answered(StatusCode::UNAUTHORIZED, true, body);
        assert!(words.contains("a token is needed") && words.contains("--token-file"), "{words}");
        assert_eq!(exit, code(1));
    }

    #[test]
    fn an_answer_that_is_not_ours_is_shown_by_its_first_line() {
        let (words, _) = answered(StatusCode::BAD_GATEWAY, false, "\n <h1>Bad\x1b[2J</h1> \nmore");
        assert_eq!(
            words,
            "understudy: the answer is 502 Bad Gateway: <h1>Bad?[2J</h1>; is this the admin address of Understudy? If it has TLS, try https://"
        );
        let (words, _) = answered(StatusCode::BAD_GATEWAY, true, "{}");
        assert_eq!(
            words,
            "understudy: the answer is 502 Bad Gateway: {}; is this the admin address of Understudy? If it has TLS, try https://"
        );
        let (words, _) = answered(StatusCode::BAD_GATEWAY, false, "");
        assert_eq!(
            words,
            "understudy: the answer is 502 Bad Gateway: no words with it; is this the admin address of Understudy? If it has TLS, try https://"
        );
    }

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        assert_eq!(segment("web-1_b~"), "web-1_b~");
        assert_eq!(segment("a.example.com:80"), "a%2Eexample%2Ecom%3A80");
        assert_eq!(segment("../x?y#ü "), "%2E%2E%2Fx%3Fy%23%C3%BC%20");
    }
}
