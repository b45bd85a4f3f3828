//! Every key about traces arrives in its own place; secrets stay out of messages and explanations.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;
use std::time::Duration;

use config::model::{Otlp, OtlpProtocol, ParentTrust, Secret, Traces, Trust};
use config::{explain, load, to_yaml};

fn text(keys: &str) -> String {
    format!(
        "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://10.0.0.1 ] }} }}\n{keys}\n"
    )
}

fn traces(keys: &str) -> Option<Traces> {
    let text = text(keys);
    load("test", &text, Path::new("/etc"))
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config
        .traces
}

fn otlp(keys: &str) -> Otlp {
    traces(&format!("traces: {{ otlp: {{ {keys} }} }}")).unwrap().otlp.unwrap()
}

#[test]
fn traces_are_off_unless_asked_for() {
    assert_eq!(traces(""), None);
    assert_eq!(traces("traces: off"), None);
    let usual = traces("traces: {}").unwrap();
    assert_eq!((usual.sample, usual.parent), (0.01, ParentTrust::Ignore));
    assert_eq!((&*usual.service_name, usual.otlp), ("understudy", None));
}

#[test]
fn every_key_arrives_in_its_own_place() {
    let all = traces("traces: { sample: 1, parent: trust, service_name: edge }").unwrap();
    assert_eq!((all.sample, all.parent, &*all.service_name), (1.0, ParentTrust::Trust, "edge"));
    let plain = otlp("endpoint: 'http://127.0.0.1:4318'");
    assert_eq!((plain.protocol, plain.timeout), (OtlpProtocol::Http, Duration::from_secs(10)));
    assert_eq!(plain.headers, []);
    let one = otlp(
        "endpoint: 'https://c:4317', protocol: grpc, timeout: 3s, tls: { ca: ca.pem }, headers: { X-A: { file: a } }",
    );
    assert_eq!(one.protocol, OtlpProtocol::Grpc);
    assert_eq!(one.url.to_string(), "https://c:4317");
    assert_eq!(one.timeout, Duration::from_secs(3));
    assert_eq!(one.tls.trust, Trust::Ca("/etc/ca.pem".into()));
    assert_eq!(one.headers, [("x-a".parse().unwrap(), Secret::File("/etc/a".into()))]);
}

#[test]
fn the_path_of_an_endpoint_is_what_the_protocol_says() {
    for (endpoint, path) in [
        ("http://c:4318", "/v1/traces"),
        ("http://c:4318/", "/v1/traces"),
        ("http://c:4318/v1/traces", "/v1/traces"),
        ("http://c:4318/tenant/a/", "/tenant/a/v1/traces"),
    ] {
        assert_eq!(otlp(&format!("endpoint: '{endpoint}'")).path.as_str(), path, "{endpoint}");
    }
    let path = otlp("endpoint: 'http://c:4317', protocol: grpc").path;
    assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
}

#[test]
fn what_is_written_is_read_again_and_secrets_are_in_no_explanation() {
    for keys in [
        "traces: off",
        "traces: { sample: 0.125, parent: trust, service_name: 'a.b' }",
        "traces: { otlp: { endpoint: 'https://c:1/x', headers: { A: hunter2, B: { env: B } }, tls: { insecure: true }, timeout: 1.5s } }",
        "traces: { otlp: { endpoint: 'http://[::1]:4317', protocol: grpc } }",
    ] {
        let first = load("first", &text(keys), Path::new("/etc")).unwrap().config;
        let written = to_yaml(&first);
        let second =
            load("second", &written, Path::new("")).unwrap_or_else(|p| panic!("{p}\n{written}"));
        assert_eq!(second.config, first, "{written}");
        let explained = explain(&first);
        assert!(!explained.contains("hunter2"), "{explained}");
        assert_eq!(explained.contains("traces"), first.traces.is_some(), "{explained}");
    }
}

#[test]
fn secrets_stay_out_of_messages() {
    for keys in [
        "traces: { otlp: { endpoint: c, headers: { Authorization: \"hunter2\\n\" } } }",
        "traces: { otlp: { endpoint: 'http://c', haeders: { Authorization: hunter2 } } }",
        "traces: { otlp: { endpoint: 'http://me:hunter2@c' } }",
    ] {
        let problems = load("test", &text(keys), Path::new("")).unwrap_err().to_string();
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}
