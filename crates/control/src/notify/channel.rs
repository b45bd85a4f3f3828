//! Telling one event, once.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use config::model::{
    BackendUrl, Channel, HttpAction, Scheme, Secret, SecretUrl, StatusSet, UpstreamProtocol,
};
use connect::{Destination, KnownNames};
use hooks::{Hidden, Message, Outcome, Reply, Told};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::news::News;
use super::{PlannedNotifier, alerts, bodies, mail};

/// Where Alertmanager takes alerts.
const ALERTS: &str = "/api/v2/alerts";

/// Most bytes of an answer's body that are read: its first line is shown.
const ANSWER_BYTES: usize = 4096;

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It was taken.
    Told(String),
    /// It may be different later.
    Again(String),
    /// It will never be told: it was refused for what it is.
    Refused(String),
}

/// The way to whoever is told over HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// It is not by HTTP.
    Other,
    /// There.
    To(Box<Destination>),
    /// Where a secret says; these are the TLS settings.
    Secret(Arc<ClientConfig>),
    /// Where a secret says, which is in the clear.
    InTheClear,
}

impl Way {
    /// Whether `other` leads to the same place, with the same TLS settings.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other, Self::Other) | (Self::InTheClear, Self::InTheClear) => true,
            (Self::To(a), Self::To(b)) => a.same_as(b),
            (Self::Secret(a), Self::Secret(b)) => Arc::ptr_eq(a, b),
            (Self::Other | Self::To(_) | Self::Secret(_) | Self::InTheClear, _) => false,
        }
    }
}

/// Tells it once, within the notifier's deadline.
pub(crate) async fn tell(plan: &PlannedNotifier, news: &News) -> Delivery {
    let deadline = Instant::now() + plan.notifier.deadline;
    match &plan.notifier.channel {
        Channel::Exec(action) => {
            let tried = hooks::run_program(action, &variables(news), deadline).await;
            match tried.outcome {
                Outcome::Done => Delivery::Told(tried.words),
                Outcome::Unreachable | Outcome::Failed | Outcome::Unknown => {
                    Delivery::Again(tried.words)
                }
            }
        }
        Channel::Webhook { request, key } => {
            webhook(plan, request, key.as_ref(), news, deadline).await
        }
        Channel::Slack(to) => slack(plan, to, news, deadline).await,
        Channel::Alertmanager(request) => {
            let body = alerts::body(news, &plan.primaries, SystemTime::now()).to_string();
            let path = match request.path.trim_end_matches('/') {
                path if path.ends_with(ALERTS) => path.to_owned(),
                path => format!("{path}{ALERTS}"),
            };
            post(plan, request, &path, HeaderMap::new(), body.into(), news, deadline).await
        }
        Channel::Mail(settings) => mail::send(settings, news, deadline).await,
    }
}

fn variables(news: &News) -> Told {
    let service = news.service.as_deref().unwrap_or_default();
    let variables = [
        ("UNDERSTUDY_EVENT", &*news.json),
        ("UNDERSTUDY_KIND", &*news.kind),
        ("UNDERSTUDY_SERVICE", service),
        ("UNDERSTUDY_TEXT", &*news.text),
        ("UNDERSTUDY_ID", &*news.id()),
    ];
    let placeholders = vec![("service", service.to_owned())];
    let variables = variables.map(|(name, value)| (name, value.to_owned())).to_vec();
    Told { placeholders, variables, fields: HeaderMap::new() }
}

async fn webhook(
    plan: &PlannedNotifier,
    request: &HttpAction,
    key: Option<&Secret>,
    news: &News,
    deadline: Instant,
) -> Delivery {
    let body = Bytes::copy_from_slice(news.json.as_bytes());
    let mut fields = HeaderMap::new();
    let kind = HeaderValue::from_str(&news.kind);
    fields.extend(kind.ok().map(|kind| (HeaderName::from_static("x-understudy-event"), kind)));
    if let Some(key) = key {
        let key = match hooks::reveal(key, deadline).await {
            Ok(key) => key,
            Err(words) => return Delivery::Again(words),
        };
        let signature = bodies::signature(key.as_bytes(), SystemTime::now(), &body);
        let Ok(signature) = HeaderValue::from_str(&signature) else {
            return Delivery::Again("the signature cannot be sent".to_owned());
        };
        fields.insert("x-understudy-signature", signature);
    }
    post(plan, request, &request.path, fields, body, news, deadline).await
}

async fn post(
    plan: &PlannedNotifier,
    request: &HttpAction,
    path: &str,
    ours: HeaderMap,
    body: Bytes,
    news: &News,
    deadline: Instant,
) -> Delivery {
    let Way::To(destination) = &plan.way else {
        return Delivery::Again("there is no way to it".to_owned());
    };
    let path: PathAndQuery = match path.parse() {
        Ok(path) => path,
        Err(error) => return Delivery::Again(format!("the path cannot be sent: {error}")),
    };
    let mut hidden = Hidden::default();
    let configured = match hooks::fields(&request.headers, &mut hidden, deadline).await {
        Ok(configured) => configured,
        Err(words) => return Delivery::Again(words),
    };
    let mut headers = every(news);
    headers.extend(ours);
    headers.extend(configured);
    let message = Message {
        destination: Destination::clone(destination),
        protocol: UpstreamProtocol::Auto,
        method: request.method.clone(),
        path,
        headers,
        body,
        output_bytes: request.output_bytes.min(ANSWER_BYTES),
    };
    judge(hooks::send(&message, deadline).await, &request.status, &hidden)
}

/// What every request has.
fn every(news: &News) -> HeaderMap {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
    let id = HeaderValue::from_str(&news.id());
    headers.extend(id.ok().map(|id| (HeaderName::from_static("idempotency-key"), id)));
    headers
}

async fn slack(plan: &PlannedNotifier, to: &SecretUrl, news: &News, deadline: Instant) -> Delivery {
    let url = match hooks::reveal(&to.url, deadline).await {
        Ok(url) => url,
        Err(words) => return Delivery::Again(words),
    };
    let mut hidden = Hidden::default();
    hidden.hide(&url);
    let Some((url, path)) = parse(&url) else {
        return Delivery::Again("its URL is none (not shown: it is a secret)".to_owned());
    };
    // Who does not know a path likes to say which.
    [path.as_str(), path.path()].into_iter().for_each(|part| hidden.hide(part));
    let name = to.tls.server_name.as_deref().unwrap_or(url.host()).to_owned();
    let tls = match (url.scheme, &plan.way, ServerName::try_from(name)) {
        (Scheme::Http, _, _) => None,
        (Scheme::Https, Way::Secret(config), Ok(server_name)) => {
            Some(connect::Tls { config: Arc::clone(config), server_name })
        }
        (Scheme::Https, _, _) => {
            return Delivery::Again("its host is none (not shown: it is a secret)".to_owned());
        }
    };
    let names = KnownNames::default();
    let message = Message {
        destination: Destination { url, tls, proxy_protocol: None, names },
        protocol: UpstreamProtocol::Auto,
        method: Method::POST,
        path,
        headers: every(news),
        body: bodies::slack(news).into(),
        output_bytes: ANSWER_BYTES,
    };
    let reply = hooks::send(&message, deadline).await;
    judge(reply, &StatusSet(vec![200..=299]), &hidden)
}

/// Where a URL leads, and what is asked for there.
fn parse(url: &str) -> Option<(BackendUrl, PathAndQuery)> {
    let uri: Uri = url.parse().ok()?;
    let (scheme, port) = match uri.scheme_str()? {
        "http" => (Scheme::Http, 80),
        "https" => (Scheme::Https, 443),
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let url = BackendUrl::tcp(scheme, host, uri.port_u16().unwrap_or(port));
    let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Some((url, path))
}

/// A request that is wrong (4xx) stays wrong, but for those that were only too early or too many.
fn judge(reply: Reply, good: &StatusSet, hidden: &Hidden) -> Delivery {
    let (status, body) = match reply {
        Reply::Answer { status, body, .. } => (status, body),
        Reply::Unreachable(words) | Reply::NotSent(words) | Reply::Lost(words) => {
            return Delivery::Again(words);
        }
    };
    let words = hooks::with_first_line(&format!("answered {status}"), &hidden.shown(&body));
    match status {
        // Whatever of the body is missing.
        _ if good.contains(status) => Delivery::Told(words),
        408 | 425 | 429 => Delivery::Again(words),
        400..=499 => Delivery::Refused(words),
        _ => Delivery::Again(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_wrong_is_not_sent_again() {
        let good = StatusSet(vec![200..=299]);
        let judged = |status| {
            let body = b"why".to_vec();
            judge(Reply::Answer { status, body, broken: None }, &good, &Hidden::default())
        };
        for status in [200, 204] {
            assert_eq!(judged(status), Delivery::Told(format!("answered {status}: why")));
        }
        for status in [302, 408, 425, 429, 500, 503] {
            assert_eq!(judged(status), Delivery::Again(format!("answered {status}: why")));
        }
        for status in [400, 401, 404, 410, 413] {
            assert_eq!(judged(status), Delivery::Refused(format!("answered {status}: why")));
        }
        let lost = Reply::Lost("no complete answer in time".to_owned());
        let again = Delivery::Again("no complete answer in time".to_owned());
        assert_eq!(judge(lost, &good, &Hidden::default()), again);
    }

    #[test]
    fn a_secret_url_is_read() {
        let parsed = |url| parse(url).map(|(url, path)| (url.to_string(), path.to_string()));
        for (url, place, path) in [
            ("https://hooks.example.com/T/B?x=1", "https://hooks.example.com:443", "/T/B?x=1"),
            ("http://[::1]:8065/hooks/x", "http://[::1]:8065", "/hooks/x"),
            ("http://a", "http://a:80", "/"),
        ] {
            assert_eq!(parsed(url), Some((place.to_owned(), path.to_owned())));
        }
        for url in ["", "/x", "ftp://a/x", "hooks.example.com/x", "https://"] {
            assert_eq!(parsed(url), None, "{url}");
        }
    }
}
