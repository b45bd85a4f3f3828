//! What is said of requests, each kind of end.

use std::time::{Duration, UNIX_EPOCH};

use access::Step;
use config::model::Scheme;
use smallvec::smallvec;

use super::*;
use crate::span::Value;

const CONTEXT: TraceContext =
    TraceContext { trace: [1; 16], span: [2; 8], parent: None, is_sampled: true, waited_for: None };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn step(after: u64, took: u64, what: What) -> Step {
    Step { after: ms(after), took: ms(took), what }
}

fn attempt(backend: &str, epoch: u64, outcome: Outcome) -> What {
    What::Attempt { backend: backend.into(), epoch, connected_after: Some(ms(1)), outcome }
}

fn record() -> Record {
    Record {
        began: UNIX_EPOCH + Duration::from_secs(1_000),
        took: ms(400),
        answered_after: Some(ms(350)),
        listener: "127.0.0.1:80".into(),
        client: Some("192.0.2.1:5555".parse().expect("an address")),
        is_tls: false,
        version: Version::HTTP_11,
        method: Method::GET,
        host: "app.example.com:8080".into(),
        target: "/a/b?token=secret".into(),
        referer: None,
        user_agent: Some("curl".into()),
        service: Some("web".into()),
        status: Some(StatusCode::OK),
        received: 3,
        sent: 5,
        steps: smallvec![
            step(0, 100, attempt("a", 7, Outcome::Broken)),
            step(100, 200, What::Hold),
            step(300, 50, attempt("b", 8, Outcome::Answered(StatusCode::OK))),
        ],
        end: End::Complete,
        is_drill: false,
        blame: None,
        trace: Some(CONTEXT),
    }
}

fn told(record: &Record) -> Vec<Span> {
    spans(record, "host", |service, backend| {
        let port = if (service, backend) == ("web", "a") { 1 } else { 2 };
        Some(BackendUrl::tcp(Scheme::Http, "127.0.0.1", port))
    })
}

fn said(span: &Span, key: &str) -> Option<Value> {
    let mut values = span.attributes.iter().filter(|(known, _)| *known == key);
    let value = values.next().map(|(_, value)| value.clone());
    assert!(values.next().is_none(), "{key} is said twice");
    value
}

#[test]
fn a_request_that_was_held_and_replayed_is_four_spans() {
    let mut record = record();
    record.trace = Some(TraceContext { parent: Some([9; 8]), waited_for: Some(8), ..CONTEXT });
    let spans = told(&record);
    let [server, first, hold, second] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((server.kind, &*server.name), (Kind::Server, "GET"));
    assert_eq!((server.place.span, server.parent), ([2; 8], Some([9; 8])));
    assert!(server.is_parent_remote);
    assert_eq!(server.links, [ids::switch("host", "web", Which::Epoch(8))]);
    assert_eq!(server.ended, server.began + ms(400));
    assert_eq!(server.error, None);
    for (key, value) in [
        ("http.request.method", Some("GET".into())),
        ("url.path", Some("/a/b".into())),
        ("url.query", None),
        ("url.scheme", Some("http".into())),
        ("server.address", Some("app.example.com".into())),
        ("server.port", Some(8080_u16.into())),
        ("client.address", Some("192.0.2.1".into())),
        ("network.protocol.version", Some("1.1".into())),
        ("http.response.status_code", Some(200_u16.into())),
        ("user_agent.original", Some("curl".into())),
        ("error.type", None),
        ("understudy.service", Some("web".into())),
        ("understudy.backend", Some("b".into())),
        ("understudy.epoch", Some(8_u64.into())),
        ("understudy.held", Some(true.into())),
        ("understudy.held_ms", Some(Value::Real(200.0))),
        ("understudy.replayed", Some(true.into())),
        ("understudy.blame", None),
    ] {
        assert_eq!(said(server, key), value, "{key}");
    }
    for (number, span) in [(0, first), (1, second)] {
        assert_eq!((span.kind, span.parent), (Kind::Client, Some([2; 8])));
        assert_eq!(span.place.span, CONTEXT.attempt(number), "what the backend was told");
        assert!(!span.is_parent_remote);
    }
    assert_eq!(said(first, "http.request.resend_count"), None);
    assert_eq!(said(second, "http.request.resend_count"), Some(1_u64.into()));
    assert_eq!(said(first, "error.type"), Some("broken".into()));
    assert!(first.error.is_some() && second.error.is_none());
    assert_eq!(said(first, "server.port"), Some(1_u16.into()));
    assert_eq!(said(second, "server.port"), Some(2_u16.into()));
    assert_eq!(said(second, "understudy.connected_after_ms"), Some(Value::Real(1.0)));
    assert_eq!((hold.kind, &*hold.name, hold.parent), (Kind::Internal, "hold", Some([2; 8])));
    assert_eq!((hold.began, hold.ended), (server.began + ms(100), server.began + ms(300)));
    let mut ids: Vec<_> = spans.iter().map(|span| span.place.span).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each has an id of its own");
}

#[test]
fn an_error_is_what_the_server_did_wrong() {
    let outcome = |status: Option<u16>, end, blame| {
        let status = status.map(|status| StatusCode::from_u16(status).expect("a status"));
        let spans = told(&Record { status, end, blame, ..record() });
        (said(&spans[0], "error.type"), spans[0].error.is_some())
    };
    let is_error = |kind: &str| (Some(kind.into()), true);
    assert_eq!(outcome(Some(404), End::Complete, Some(Blame::Downstream)), (None, false));
    assert_eq!(outcome(Some(503), End::Complete, Some(Blame::Internal)), is_error("503"));
    assert_eq!(outcome(None, End::ClientGone, Some(Blame::Downstream)), (None, false));
    assert_eq!(
        outcome(Some(200), End::BackendGone, Some(Blame::Upstream)),
        is_error("backend_gone")
    );
    assert_eq!(outcome(Some(200), End::Cut, None), is_error("cut"));
    // A client takes an answer of 404 for an error of its own.
    let steps = smallvec![step(0, 1, attempt("a", 7, Outcome::Answered(StatusCode::NOT_FOUND)))];
    let spans = told(&Record { steps, ..record() });
    assert_eq!(said(&spans[1], "error.type"), Some("404".into()));
}

#[test]
fn what_clients_make_up_names_no_span() {
    let method = Method::from_bytes(b"BREW").expect("a method");
    let spans = told(&Record { method, ..record() });
    assert_eq!(spans[0].name, "HTTP");
    assert_eq!(said(&spans[0], "http.request.method"), Some("_OTHER".into()));
    assert_eq!(said(&spans[0], "http.request.method_original"), Some("BREW".into()));
}

#[test]
fn hosts_are_taken_apart() {
    for (host, name, port) in [
        ("a.example", Some("a.example"), None),
        ("a.example:8443", Some("a.example"), Some(8443_u16)),
        ("[::1]:80", Some("::1"), Some(80)),
        ("[::1]", Some("::1"), None),
        ("", None, None),
    ] {
        let spans = told(&Record { host: host.into(), ..record() });
        assert_eq!(said(&spans[0], "server.address"), name.map(Value::from), "{host}");
        assert_eq!(said(&spans[0], "server.port"), port.map(Value::from), "{host}");
    }
}

#[test]
fn a_request_that_nobody_traces_is_no_span_and_one_without_a_service_is_one() {
    assert_eq!(told(&Record { trace: None, ..record() }), []);
    let nowhere = Record { service: None, steps: smallvec![], ..record() };
    let spans = told(&nowhere);
    assert_eq!(spans.len(), 1);
    assert_eq!(said(&spans[0], "understudy.service"), None);
}
