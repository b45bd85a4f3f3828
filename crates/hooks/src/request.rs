//! A request that is sent once, and what its answer means.

use std::ops::ControlFlow;

use bytes::Bytes;
use config::model::{At, HttpAction, Secret, StatusSet, UpstreamProtocol};
use connect::{ConnectError, Connector, Destination, Origin};
use http::header::{HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use tokio::time::{Instant, timeout_at};

use crate::about::{About, Party};
use crate::ended::{Outcome, Tried};
use crate::http::{Broken, Piece, Version, addressed, exchange, offer};
use crate::placeholders::{filled, harmless, percent_encoded};
use crate::secret::Hidden;
use crate::told::Told;
use crate::words::with_first_line;

/// A request with nothing left to fill in. May hold secrets.
#[derive(Clone)]
pub struct Message {
    /// Where it goes.
    pub destination: Destination,
    /// Which HTTP is spoken there.
    pub protocol: UpstreamProtocol,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: PathAndQuery,
    /// Its fields; `User-Agent` and `Host` are added unless they are there.
    pub headers: HeaderMap,
    /// Its body; empty: none.
    pub body: Bytes,
    /// Most bytes of the answer's body that are kept.
    pub output_bytes: usize,
}

/// Without what may be secret.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.destination.url.to_string();
        f.debug_struct("Message").field("url", &url).finish_non_exhaustive()
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// The beginning of its body.
        body: Vec<u8>,
        /// Why there is not more of the body, when it broke off or did not come in time.
        broken: Option<String>,
    },
    /// Nobody took the connection; why.
    Unreachable(String),
    /// Nothing was sent, though somebody may be there: we do not trust whoever answered, do not know
    /// where to look, or lack what a connection takes; why.
    NotSent(String),
    /// It may have been sent, and there was no answer; why.
    Lost(String),
}

/// Sends the message once, on a fresh connection, and reads the answer's body up to its limit. Ends at
/// `deadline` at the latest, and closes the connection then, or when it is dropped.
pub async fn send(message: &Message, deadline: Instant) -> Reply {
    let Message { destination, protocol, .. } = message;
    let url = &destination.url;
    let mut headers = message.headers.clone();
    let host = match headers.remove(HOST) {
        Some(host) => Ok(host),
        None => HeaderValue::from_str(&url.authority()),
    };
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("understudy-hook"));
    let mut request = Request::new(message.body.clone());
    *request.method_mut() = message.method.clone();
    *request.headers_mut() = headers;
    let connector = Connector::new(destination.clone());
    let left = deadline.saturating_duration_since(Instant::now());
    let connected = match connector.connect(offer(*protocol), Origin::Local, left).await {
        Ok(connected) => connected,
        Err(error @ (ConnectError::Refused(_) | ConnectError::Timeout(_))) => {
            return Reply::Unreachable(error.to_string());
        }
        Err(
            error @ (ConnectError::Resolve(_) | ConnectError::Tls(_) | ConnectError::Exhausted(_)),
        ) => return Reply::NotSent(error.to_string()),
    };
    let version = Version::on(&connected, *protocol, url);
    let request = host
        .map_err(http::Error::from)
        .and_then(|host| addressed(request, version, url.scheme, host, message.path.clone()));
    let request = match request {
        Ok(request) => request,
        Err(error) => return Reply::NotSent(format!("the host's name: {error}")),
    };
    let mut status = None;
    let mut body = Vec::new();
    let exchanged = exchange(connected.stream, version, request, |piece| match piece {
        Piece::Head(response) => {
            status = Some(response.status().as_u16());
            ControlFlow::Continue(())
        }
        Piece::Trailers(_) => ControlFlow::Continue(()),
        Piece::Data(data) => {
            let room = message.output_bytes - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    });
    let broken = match timeout_at(deadline, exchanged).await {
        Ok(Ok(())) => None,
        Ok(Err(Broken::Tls(why))) => Some(format!("TLS: {why}")),
        Ok(Err(Broken::Other(why))) => Some(format!("broken off: {why}")),
        Err(_) => Some("no complete answer in time".to_owned()),
    };
    match (status, broken) {
        (Some(status), broken) => Reply::Answer { status, body, broken },
        (None, why) => Reply::Lost(why.unwrap_or_else(|| "there was no answer".to_owned())),
    }
}

/// Sends what `action` asks for once, to whom it is to go of those in `about`, or `elsewhere`.
pub(crate) async fn send_action(
    action: &HttpAction,
    elsewhere: Option<&Destination>,
    about: &About,
    told: &Told,
    deadline: Instant,
) -> Tried {
    let to_party = |party: &Option<Party>, missing: &str| match party {
        Some(Party { destination, protocol, .. }) => Ok((destination.clone(), *protocol)),
        None => Err(missing.to_owned()),
    };
    let way = match &action.at {
        At::Backend => to_party(&about.backend, "there is no backend to ask"),
        At::From => to_party(&about.from, "there is no old active to ask"),
        At::To => to_party(&about.to, "there is no new active to ask"),
        At::Elsewhere { url, .. } => match elsewhere {
            Some(destination) => Ok((destination.clone(), UpstreamProtocol::Auto)),
            None => Err(format!("there is no way to {url}")),
        },
    };
    let (destination, protocol) = match way {
        Ok(way) => way,
        Err(words) => return Tried::ended(Outcome::Unreachable, words),
    };
    let mut hidden = Hidden::default();
    let mut headers = told.fields.clone();
    match fields(&action.headers, &mut hidden, deadline).await {
        Ok(configured) => headers.extend(configured),
        Err(words) => return Tried::ended(Outcome::Failed, words),
    }
    let path = match path(action, told) {
        Ok(path) => path,
        Err(words) => return Tried::ended(Outcome::Failed, words),
    };
    let values = changed(told, harmless);
    let body = Bytes::from(filled(&action.body, &values));
    let (method, output_bytes) = (action.method.clone(), action.output_bytes);
    let message = Message { destination, protocol, method, path, headers, body, output_bytes };
    judge(send(&message, deadline).await, &action.status, &hidden)
}

fn changed(told: &Told, change: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
    told.placeholders.iter().map(|(name, value)| (*name, change(value))).collect()
}

fn path(action: &HttpAction, told: &Told) -> Result<PathAndQuery, String> {
    let text = filled(&action.path, &changed(told, percent_encoded));
    text.parse().map_err(|error| format!("the path cannot be sent: {error}"))
}

/// Fields as they are configured: to be put in place of ours by [`HeaderMap::extend`].
///
/// # Errors
/// A secret is missing, or is none that a field can have; in words.
pub async fn fields(
    configured: &[(HeaderName, Secret)],
    hidden: &mut Hidden,
    deadline: Instant,
) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, secret) in configured {
        let value = field(name, &hidden.reveal(name.as_str(), secret, deadline).await?)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A field whose value nobody is to see.
fn field(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| format!("the value of {name} has characters that a field cannot have"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn judge(reply: Reply, expected: &StatusSet, hidden: &Hidden) -> Tried {
    let (status, body, broken) = match reply {
        Reply::Answer { status, body, broken } => (status, body, broken),
        Reply::Unreachable(words) => return Tried::ended(Outcome::Unreachable, words),
        Reply::NotSent(words) => return Tried::ended(Outcome::Failed, words),
        Reply::Lost(words) => return Tried::ended(Outcome::Unknown, words),
    };
    let output = hidden.shown(&body);
    let is_expected = expected.contains(status);
    let what = match &broken {
        Some(why) => format!("answered {status}, {why}"),
        None => format!("answered {status}"),
    };
    let outcome = match broken {
        // Whatever the rest would have been.
        _ if !is_expected => Outcome::Failed,
        Some(_) => Outcome::Unknown,
        None => Outcome::Done,
    };
    Tried { outcome, words: with_first_line(&what, &output), output, status: Some(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_its_status_says_if_it_is_whole() {
        let expected = StatusSet(vec![200..=204]);
        let judged = |status, broken: Option<&str>| {
            let broken = broken.map(str::to_owned);
            let reply = Reply::Answer { status, body: b"\nwhy\n".to_vec(), broken };
            let tried = judge(reply, &expected, &Hidden::default());
            (tried.outcome, tried.words)
        };
        for (status, broken, outcome, words) in [
            (200, None, Outcome::Done, "answered 200: why"),
            (205, None, Outcome::Failed, "answered 205: why"),
            (500, Some("gone"), Outcome::Failed, "answered 500, gone: why"),
            (200, Some("gone"), Outcome::Unknown, "answered 200, gone: why"),
        ] {
            assert_eq!(judged(status, broken), (outcome, words.to_owned()));
        }
    }

    #[test]
    fn a_secret_that_no_field_can_have_is_not_in_the_words() {
        let words = field(&HeaderName::from_static("x-login"), "hunter\n2").unwrap_err();
        assert_eq!(words, "the value of x-login has characters that a field cannot have");
        let value = field(&HeaderName::from_static("x-login"), "hunter2").unwrap();
        assert!(!format!("{value:?}").contains("hunter2"));
    }
}
