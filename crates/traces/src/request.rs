//! The spans of one request: itself, each time it was held, each attempt at a backend.
//!
//! Names and attributes are those of OpenTelemetry's conventions for HTTP (stable ones only); what they
//! have no name for begins with `understudy.`. The query of a request is left out: it may hold secrets.

use std::net::IpAddr;

use access::{End, Outcome, Record, TraceContext, What};
use config::model::{BackendAddress, BackendUrl};
use http::{Method, StatusCode, Version};
use metrics::cells::Blame;

use crate::ids::{self, Which};
use crate::span::{Kind, Place, Span};

/// The spans of a sampled request at this `host`. `backend` says where a backend of a service is.
pub(crate) fn spans(
    record: &Record,
    host: &str,
    backend: impl Fn(&str, &str) -> Option<BackendUrl>,
) -> Vec<Span> {
    let Some(context) = &record.trace else { return Vec::new() };
    let mut spans = vec![server(record, context, host)];
    let service = record.service.as_deref().unwrap_or_default();
    let mut attempts = 0;
    // Spans that nobody else is told of take their ids from behind those of attempts.
    let mut holds = u32::MAX;
    for step in &record.steps {
        let began = record.began + step.after;
        let mut span = match &step.what {
            What::Hold => {
                let place = Place { trace: context.trace, span: context.attempt(holds) };
                holds -= 1;
                Span::new(place, "hold", Kind::Internal, began, step.took)
            }
            What::Attempt { backend: name, epoch, connected_after, outcome } => {
                let place = Place { trace: context.trace, span: context.attempt(attempts) };
                let mut span =
                    Span::new(place, method(&record.method), Kind::Client, began, step.took);
                say_method(&mut span, &record.method);
                say_backend(&mut span, backend(service, name).as_ref());
                if attempts > 0 {
                    span.say("http.request.resend_count", u64::from(attempts));
                }
                attempts += 1;
                span.say("understudy.backend", &**name);
                span.say("understudy.epoch", *epoch);
                if let Some(connected) = *connected_after {
                    span.say("understudy.connected_after_ms", connected);
                }
                say_outcome(&mut span, *outcome);
                span
            }
        };
        span.parent = Some(context.span);
        if !service.is_empty() {
            span.say("understudy.service", service);
        }
        spans.push(span);
    }
    spans
}

fn server(record: &Record, context: &TraceContext, host: &str) -> Span {
    let place = Place { trace: context.trace, span: context.span };
    let name = method(&record.method);
    let mut span = Span::new(place, name, Kind::Server, record.began, record.took);
    span.parent = context.parent;
    span.is_parent_remote = context.parent.is_some();
    say_method(&mut span, &record.method);
    let path = record.target.split(['?', '#']).next().unwrap_or_default();
    span.say("url.path", path);
    span.say("url.scheme", if record.is_tls { "https" } else { "http" });
    say_host(&mut span, &record.host);
    say_version(&mut span, record.version);
    if let Some(client) = record.client {
        span.say("client.address", client.ip().to_string());
    }
    if let Some(agent) = &record.user_agent {
        span.say("user_agent.original", &**agent);
    }
    span.say("http.request.body.size", record.received);
    span.say("http.response.body.size", record.sent);
    if let Some(status) = record.status {
        span.say("http.response.status_code", status.as_u16());
    }
    span.say("understudy.listener", &*record.listener);
    if let Some(service) = &record.service {
        span.say("understudy.service", &**service);
    }
    if let Some(backend) = record.backend() {
        span.say("understudy.backend", &**backend);
    }
    if let Some(epoch) = record.epoch() {
        span.say("understudy.epoch", epoch);
    }
    let is_held = record.steps.iter().any(|step| matches!(step.what, What::Hold));
    span.say("understudy.held", is_held);
    if is_held {
        span.say("understudy.held_ms", record.held());
    }
    span.say("understudy.replayed", record.is_replayed());
    span.say("understudy.end", end_word(record.end));
    if let Some(blame) = record.blame {
        span.say("understudy.blame", blame_word(blame));
    }
    say_failure(&mut span, record);
    if let (Some(service), Some(epoch)) = (&record.service, context.waited_for) {
        span.links.push(ids::switch(host, service, Which::Epoch(epoch)));
    }
    span
}

/// What a server did wrong; what a client did wrong is no error of a server.
fn say_failure(span: &mut Span, record: &Record) {
    let status = record.status.filter(StatusCode::is_server_error);
    let kind = match (status, record.end) {
        (Some(status), _) => status.as_str().to_owned(),
        (None, End::BackendGone | End::Cut) => end_word(record.end).to_owned(),
        (None, End::Complete | End::ClientGone) => return,
    };
    span.say("error.type", kind);
    span.error = Some(String::new());
}

fn say_outcome(span: &mut Span, outcome: Outcome) {
    let kind = match outcome {
        Outcome::Answered(status) => {
            span.say("http.response.status_code", status.as_u16());
            if !status.is_client_error() && !status.is_server_error() {
                return;
            }
            status.as_str().to_owned()
        }
        Outcome::Unsent => "unsent".to_owned(),
        Outcome::Broken => "broken".to_owned(),
        Outcome::Abandoned => "abandoned".to_owned(),
        Outcome::Expired => "expired".to_owned(),
        Outcome::Client => "client".to_owned(),
    };
    let words = match outcome {
        Outcome::Answered(_) => "",
        Outcome::Unsent => "no connection, or nothing of the request had left",
        Outcome::Broken => "the connection broke, or the answer was none",
        Outcome::Abandoned => "the traffic left the backend while the request was there",
        Outcome::Expired => "it took too long",
        Outcome::Client => "the client or its body failed",
    };
    span.say("error.type", kind);
    span.error = Some(words.to_owned());
}

/// A method that clients made up is not a name to sort spans by.
fn method(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    if known.contains(method) { method.as_str() } else { "HTTP" }
}

fn say_method(span: &mut Span, given: &Method) {
    match method(given) {
        "HTTP" => {
            span.say("http.request.method", "_OTHER");
            span.say("http.request.method_original", given.as_str());
        }
        known => span.say("http.request.method", known.to_owned()),
    }
}

fn say_version(span: &mut Span, version: Version) {
    let number = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    span.say("network.protocol.version", number);
}

/// The host that was asked for, and its port if it was given.
fn say_host(span: &mut Span, host: &str) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse::<u16>().ok()),
        Some(_) | None => (host, None),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if !name.is_empty() {
        span.say("server.address", name);
    }
    if let Some(port) = port {
        span.say("server.port", port);
    }
}

fn say_backend(span: &mut Span, url: Option<&BackendUrl>) {
    match url.map(|url| &url.address) {
        None => {}
        Some(BackendAddress::Tcp { host, port }) => {
            span.say("server.address", &**host);
            span.say("server.port", *port);
            if host.parse::<IpAddr>().is_ok() {
                span.say("network.peer.address", &**host);
                span.say("network.peer.port", *port);
            }
        }
        Some(BackendAddress::Unix(path)) => {
            span.say("server.address", path.display().to_string());
            span.say("network.transport", "unix");
        }
    }
}

fn end_word(end: End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::ClientGone => "client_gone",
        End::BackendGone => "backend_gone",
        End::Cut => "cut",
    }
}

fn blame_word(blame: Blame) -> &'static str {
    match blame {
        Blame::Downstream => "downstream",
        Blame::Upstream => "upstream",
        Blame::Internal => "internal",
    }
}

#[cfg(test)]
mod tests;
