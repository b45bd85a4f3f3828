//! Spans of requests and switches, as a collector gets them, and what a bad collector costs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

use benches::fetch;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::admin_client::Operator;
use crate::collector::{Collector, Mood, Told};
use crate::stage::{PATIENCE, Stage, assert_none_failed, binary, origin_binary, wait_served};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: [u8; 16] = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
const SPAN: [u8; 8] = 0xb7ad_6b71_6920_3331_u64.to_be_bytes();

/// A stage with the section `traces`. What is decided is kept on the disk, as anybody would have it, and
/// operators have their socket.
fn stage(traces: &str) -> Stage {
    stage_of("", traces)
}

/// The same with these lines more for the service.
fn stage_of(service: &str, traces: &str) -> Stage {
    let plain = |folder: &Path, name: &str| Origin::start(&origin_binary(), folder, name);
    let service = format!("health: {{ http: {{ path: /healthz }}, interval: 200ms }}\n{service}");
    Stage::built(&service, plain, |config| {
        let folder = config.parent().expect("a folder");
        let socket = format!("admin: {{ socket: {}, ", Operator::socket_in(folder).display());
        let text = fs::read_to_string(config).expect("the config").replace("admin: { ", &socket);
        let state = folder.join("state");
        let text = format!("{text}state_dir: {}\ntraces: {traces}\n", state.display());
        fs::write(config, text).expect("a config");
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(config).env("COLLECTOR_LOGIN", "Bearer hunter2");
        command
    })
}

fn to(collector: &Collector, more: &str) -> String {
    format!("{{ otlp: {{ endpoint: '{}', {more}, parent: trust }}", collector.url())
}

fn get(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> u16 {
    fetch::request(address, "GET", path, fields, b"").expect("an answer").status
}

/// Asks it to stop, and waits until it has.
fn stop(stage: &mut Stage) {
    stage.understudy.process.signal("TERM");
    let status = stage.understudy.process.wait_exit(PATIENCE);
    assert!(status.success(), "{status}");
}

/// The last span of a request in this trace.
fn server(spans: &[Told], trace: &[u8]) -> Option<Told> {
    let mut of_requests = spans.iter().filter(|told| told.kind() == SpanKind::Server);
    of_requests.rfind(|told| told.span.trace_id == trace).cloned()
}

/// The parts of a span.
fn parts<'a>(spans: &'a [Told], whole: &Told) -> Vec<&'a Told> {
    let mut parts: Vec<_> =
        spans.iter().filter(|told| told.span.parent_span_id == whole.span.span_id).collect();
    parts.sort_by_key(|told| told.span.start_time_unix_nano);
    parts
}

#[test]
fn a_request_is_a_span_with_its_attempt_within_over_both_protocols() {
    for (protocol, login) in [("http", "{ env: COLLECTOR_LOGIN }"), ("grpc", "Bearer hunter2")] {
        let collector = Collector::start(Mood::Takes);
        let otlp =
            format!("protocol: {protocol}, headers: {{ Authorization: {login} }} }}, sample: 0");
        let stage = stage(&to(&collector, &otlp));
        // Nobody follows these two: one begins here, the other's parent is not sampled.
        assert_eq!(get(stage.understudy.address(), "/slow/7?ms=1", &[]), 200);
        let unsampled = PARENT.replace("-01", "-00").replace("0af7", "0af8");
        assert_eq!(
            get(stage.understudy.address(), "/slow/7?ms=1", &[("traceparent", &unsampled)]),
            200
        );
        assert_eq!(
            get(stage.understudy.address(), "/slow/7?ms=1", &[("traceparent", PARENT)]),
            200
        );
        let server = collector.wait("the span of the request", |spans| server(spans, &TRACE));
        let spans = collector.spans();
        let requests = spans.iter().filter(|told| told.kind() == SpanKind::Server).count();
        assert_eq!(requests, 1, "{spans:?}");
        assert_eq!(server.span.parent_span_id, SPAN);
        assert_eq!(server.span.name, "GET");
        assert!(!server.is_error(), "{server:?}");
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("url.path", "/slow/7"),
            ("url.query", ""),
            ("network.protocol.version", "1.1"),
            ("understudy.service", "web"),
            ("understudy.backend", "a"),
            ("understudy.held", "false"),
            ("understudy.replayed", "false"),
        ] {
            assert_eq!(server.said(key), value, "{key}: {server:?}");
        }
        assert_eq!(server.said("understudy.epoch"), stage.understudy.epoch().to_string());
        let [attempt] = parts(&spans, &server)[..] else { panic!("{spans:?}") };
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert!(attempt.is_within(&server), "{attempt:?} in {server:?}");
        assert_eq!(attempt.said("server.port"), stage.a.address().port().to_string());
        assert_eq!(attempt.said("http.response.status_code"), "200");
        assert_eq!(server.sender("service.name"), "understudy");
        assert_eq!(collector.login().expect("a login"), "Bearer hunter2");
        stage.understudy.wait_metric("understudy_spans_exported_total", &[], |sum| sum >= 2.0);
        assert_eq!(stage.metric("understudy_spans_dropped_total", &[]), 0);
        assert_eq!(stage.metric("understudy_span_export_failures_total", &[]), 0);
    }
}

#[test]
fn a_failover_is_a_trace_and_who_was_held_by_it_says_so() {
    let collector = Collector::start(Mood::Takes);
    let mut stage = stage(&to(&collector, "timeout: 5s }, sample: 1"));
    // Three requests that take so long that the backend dies under them.
    let address = stage.understudy.address();
    let slow: Vec<_> = (0..3)
        .map(|number| {
            let parent = PARENT.replace("0af7", &format!("0af{number}"));
            let path = format!("/slow/{number}?ms=1500");
            thread::spawn(move || get(address, &path, &[("traceparent", &parent)]))
        })
        .collect();
    stage.understudy.wait_metric(
        "understudy_backend_requests_in_flight",
        &[("backend", "a")],
        |sum| sum == 3.0,
    );
    stage.a.process.kill();
    for request in slow {
        assert_eq!(request.join().expect("no panic"), 200);
    }
    let epoch = stage.understudy.epoch().to_string();
    let switch = collector.wait("the span of the switch", |spans| {
        let mut switches = spans.iter().filter(|told| told.span.name == "switch");
        switches.find(|told| told.said("understudy.epoch") == epoch).cloned()
    });
    for (key, value) in [
        ("understudy.service", "web"),
        ("understudy.reason", "failover"),
        ("understudy.from", "a"),
        ("understudy.to", "b"),
        ("understudy.outcome", "verified"),
        ("understudy.requests.failed", "0"),
    ] {
        assert_eq!(switch.said(key), value, "{key}: {switch:?}");
    }
    let spans = collector.spans();
    let phases = parts(&spans, &switch);
    assert!(phases.iter().all(|part| part.is_within(&switch)), "{phases:?} in {switch:?}");
    let named = |name: &str| phases.iter().filter(|part| part.span.name == name).count();
    for (name, least) in [("probe", 1), ("detect", 1), ("activate", 1), ("answer", 1)] {
        assert!(named(name) >= least, "{name}: {phases:?}");
    }
    // Also those who waited before control had heard of any trouble.
    let held = switch.said("understudy.requests.held");
    assert!(held.parse::<u64>().is_ok_and(|held| (1..=3).contains(&held)), "{held}");

    // Who was with the first backend when that died was held, and then answered by the second.
    for number in 0..3_u8 {
        let mut trace = TRACE;
        trace[1] = 0xf0 | number;
        let held = collector.wait("a request that was held", |spans| server(spans, &trace));
        let spans = collector.spans();
        let [link] = &held.span.links[..] else { panic!("{held:?}") };
        assert_eq!(link.trace_id, switch.span.trace_id);
        assert_eq!(link.span_id, switch.span.span_id);
        let steps = parts(&spans, &held);
        let [first, hold, second] = steps[..] else { panic!("{steps:?}") };
        assert!(steps.iter().all(|step| step.is_within(&held)), "{steps:?} in {held:?}");
        assert_eq!((hold.span.name.as_str(), hold.kind()), ("hold", SpanKind::Internal));
        assert_eq!(first.said("understudy.backend"), "a");
        assert_eq!(second.said("understudy.backend"), "b");
        assert_eq!(second.said("http.request.resend_count"), "1");
        assert_eq!(second.said("understudy.epoch"), epoch);
        assert!(first.is_error() && !second.is_error() && !held.is_error(), "{steps:?}");
        assert!(first.span.end_time_unix_nano <= hold.span.start_time_unix_nano);
        assert!(hold.span.end_time_unix_nano <= second.span.start_time_unix_nano);
        for (key, value) in [
            ("understudy.held", "true"),
            ("understudy.replayed", "true"),
            ("understudy.backend", "b"),
            ("http.response.status_code", "200"),
        ] {
            assert_eq!(held.said(key), value, "{key}: {held:?}");
        }
    }
    // Who comes after it has nothing to do with it.
    assert_eq!(get(address, "/", &[("traceparent", PARENT)]), 200);
    let later = collector.wait("a request after it", |spans| server(spans, &TRACE));
    assert_eq!((later.span.links.len(), &*later.said("understudy.held")), (0, "false"));
}

#[test]
fn a_move_that_is_called_off_is_a_trace_as_well() {
    let collector = Collector::start(Mood::Takes);
    let traces = to(&collector, "timeout: 5s }, sample: 0");
    let mut stage = stage_of("exclusive: { drain: 25s }\nhold: { timeout: 28s }", &traces);
    // A request that the move has to wait for.
    let address = stage.understudy.address();
    let slow = thread::spawn(move || get(address, "/slow/1?ms=6000", &[]));
    stage.understudy.wait_metric(
        "understudy_backend_requests_in_flight",
        &[("backend", "a")],
        |sum| sum == 1.0,
    );
    let operator = Operator::new(stage.folder.path());
    let order = thread::spawn(move || operator.order("switchover", &json!({ "to": "b" })));
    stage
        .understudy
        .wait_service("the move is under way", |service| service["switching"]["to"] == "b");
    stage.b.process.kill();
    let answer = order.join().expect("no panic").expect("an answer");
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert_eq!(slow.join().expect("no panic"), 200);
    let is_it = |told: &&Told| told.said("understudy.reason") == "switchover";
    let switch =
        collector.wait("the span of the switch", |spans| spans.iter().find(is_it).cloned());
    for (key, value) in [
        ("understudy.from", "a"),
        ("understudy.to", "b"),
        ("understudy.outcome", "called_off"),
        ("error.type", "called_off"),
        ("understudy.epoch", ""),
    ] {
        assert_eq!(switch.said(key), value, "{key}: {switch:?}");
    }
    assert!(switch.is_error(), "{switch:?}");
    // It is told once, and so is the start.
    stop(&mut stage);
    let spans = collector.spans();
    assert_eq!(spans.iter().filter(is_it).count(), 1, "{spans:?}");
    let starts = spans.iter().filter(|told| told.said("understudy.reason") == "startup");
    assert_eq!(starts.count(), 1, "{spans:?}");
}

#[test]
fn a_collector_that_hangs_or_refuses_costs_nothing() {
    for mood in [Mood::Hangs, Mood::Refuses] {
        let collector = Collector::start(mood);
        let mut stage = stage(&to(&collector, "timeout: 300ms }, sample: 1"));
        let load = Load::start(Plan::gets(stage.understudy.address(), 200));
        wait_served(&load, "a", 400);
        stage.understudy.wait_metric("understudy_spans_dropped_total", &[], |sum| sum > 0.0);
        let report = load.finish();
        assert_none_failed(&report);
        assert!(collector.requests() > 1, "it was tried more than once");
        assert!(stage.metric("understudy_span_export_failures_total", &[]) > 1);
        assert_eq!(stage.metric("understudy_spans_exported_total", &[]), 0);
        // Nor does it delay the stop.
        stop(&mut stage);
    }
}

#[test]
fn a_stop_sends_what_is_left() {
    let collector = Collector::start(Mood::Takes);
    let mut stage = stage(&to(&collector, "timeout: 5s }, sample: 1"));
    assert_eq!(get(stage.understudy.address(), "/", &[("traceparent", PARENT)]), 200);
    stop(&mut stage);
    let spans = collector.spans();
    assert!(server(&spans, &TRACE).is_some(), "{spans:?}");
}

#[test]
fn strangers_cannot_have_their_requests_followed() {
    let collector = Collector::start(Mood::Takes);
    let mut stage = stage(&format!("{{ otlp: {{ endpoint: '{}' }}, sample: 0 }}", collector.url()));
    assert_eq!(get(stage.understudy.address(), "/", &[("traceparent", PARENT)]), 200);
    // What has been sent by the end of the stop is all there will ever be: the start, which is a switch.
    stop(&mut stage);
    let spans = collector.spans();
    assert!(spans.iter().any(|told| told.said("understudy.reason") == "startup"), "{spans:?}");
    assert!(!spans.iter().any(|told| told.kind() == SpanKind::Server), "{spans:?}");
}
