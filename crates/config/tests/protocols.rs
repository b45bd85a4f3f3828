//! Every key about protocols arrives in its own place of the model.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::load;
use config::model::{
    CertificateFiles, ClientAuth, ClientAuthMode, Config, DownstreamLimits, DownstreamTls, Hsts,
    ListenAddress, ProxyVersion, RedirectHttps, Service, StreamPolicies, StreamPolicy, TlsPolicy,
    Trust, UpstreamProtocol, UpstreamTls,
};

const EMPTY: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

const fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn config(text: &str) -> Config {
    match load("test.yaml", text, Path::new("/etc")) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

/// A config with one listener that has these keys.
fn listener(keys: &str) -> config::model::Listener {
    let text = format!(
        "listeners: [ {{ address: ':1', {keys} }} ]\nservices: {{ web: {{ backends: [ http://a ] }} }}"
    );
    config(&text).listeners.remove(0)
}

/// A config with one service that has these keys.
fn service(keys: &str) -> Service {
    let text = format!(
        "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ https://a, https://b ], {keys} }} }}"
    );
    config(&text).services.remove(0)
}

fn files(cert: &str, key: &str) -> CertificateFiles {
    CertificateFiles { cert: PathBuf::from(cert), key: PathBuf::from(key) }
}

#[test]
fn tls_of_listeners() {
    let tls = "tls: { certificates: [ { cert: a.pem, key: a.key }, { cert: /b.pem, key: /b.key } ]";
    let expected = DownstreamTls {
        certificates: vec![files("/etc/a.pem", "/etc/a.key"), files("/b.pem", "/b.key")],
        policy: TlsPolicy::Intermediate,
        client_auth: None,
    };
    assert_eq!(listener(&format!("{tls} }}")).tls, Some(expected));
    let modern = listener(&format!("{tls}, policy: modern, client_auth: {{ ca: ca.pem }} }}"));
    let tls_of = modern.tls.unwrap_or_else(|| panic!("no TLS"));
    assert_eq!(tls_of.policy, TlsPolicy::Modern);
    let required =
        ClientAuth { ca: "/etc/ca.pem".into(), mode: ClientAuthMode::Required, crl: vec![] };
    assert_eq!(tls_of.client_auth, Some(required));
    let optional = "client_auth: { ca: ca.pem, mode: optional, crl: [ one.pem, /two.pem ] }";
    let optional = listener(&format!("{tls}, {optional} }}")).tls.and_then(|tls| tls.client_auth);
    let expected = ClientAuth {
        ca: "/etc/ca.pem".into(),
        mode: ClientAuthMode::Optional,
        crl: vec!["/etc/one.pem".into(), "/two.pem".into()],
    };
    assert_eq!(optional, Some(expected));
}

#[test]
fn switches_of_listeners() {
    let plain = listener("");
    assert_eq!((plain.http2, plain.h2c, plain.limits.half_close), (true, false, false));
    assert_eq!((plain.tls, plain.redirect_https, plain.hsts), (None, None, None));
    assert_eq!((plain.trusted_proxies, plain.proxy_protocol), (vec![], vec![]));
    assert!(!listener("http2: false").http2);
    assert!(listener("h2c: true").h2c);
    assert!(listener("half_close: true").limits.half_close);
    let redirect = |keys: &str| listener(keys).redirect_https;
    let to = |port, status| Some(RedirectHttps { port, status });
    assert_eq!(redirect("redirect_https: true"), to(443, 308));
    assert_eq!(redirect("redirect_https: false"), None);
    assert_eq!(redirect("redirect_https: {}"), to(443, 308));
    assert_eq!(redirect("redirect_https: { port: 8443 }"), to(8443, 308));
    assert_eq!(redirect("redirect_https: { status: 301 }"), to(443, 301));
    let tls = "tls: { certificates: [ { cert: a, key: b } ] }, hsts";
    let hsts = |value: &str| listener(&format!("{tls}: {value}")).hsts;
    let year = secs(365 * 24 * 3600);
    assert_eq!(hsts("off"), None);
    assert_eq!(hsts("{}"), Some(Hsts { max_age: year, subdomains: false, preload: false }));
    let keys = "{ max_age: 48h, subdomains: true }";
    assert_eq!(
        hsts(keys),
        Some(Hsts { max_age: secs(48 * 3600), subdomains: true, preload: false })
    );
    let preload = Hsts { max_age: year, subdomains: true, preload: true };
    assert_eq!(hsts("{ subdomains: true, preload: true }"), Some(preload));
}

#[test]
fn networks_of_listeners() {
    let keys = "trusted_proxies: [ 10.0.0.0/8, 192.0.2.1 ], proxy_protocol: [ '2001:db8::1' ]";
    let listener = listener(keys);
    let shown: Vec<String> = listener.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.0/8", "192.0.2.1/32"]);
    let shown: Vec<String> = listener.proxy_protocol.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["2001:db8::1/128"]);
}

#[test]
fn limits_of_listeners() {
    let defaults = DownstreamLimits {
        connections: 10_000,
        connections_per_client: 2000,
        handshake_timeout: secs(10),
        header_timeout: secs(10),
        idle_timeout: secs(75),
        body_timeout: secs(30),
        body_progress: 1024,
        header_bytes: 32 << 10,
        headers: 100,
        uri_bytes: 8 << 10,
        body_bytes: None,
        streams: 128,
        requests: None,
        connection_age: Some(secs(3600)),
        half_close: false,
    };
    assert_eq!(listener("").limits, defaults);
    let given = "limits: { connections: 1, connections_per_client: 2, handshake_timeout: 3s,
        header_timeout: 4s, idle_timeout: 5s, body_timeout: 6s, body_progress: 7B, header_bytes: 8KiB,
        headers: 19, uri_bytes: 1KiB, body_bytes: 11B, streams: 12, requests: 13, connection_age: 14s }";
    let expected = DownstreamLimits {
        connections: 1,
        connections_per_client: 2,
        handshake_timeout: secs(3),
        header_timeout: secs(4),
        idle_timeout: secs(5),
        body_timeout: secs(6),
        body_progress: 7,
        header_bytes: 8 << 10,
        headers: 19,
        uri_bytes: 1 << 10,
        body_bytes: Some(11),
        streams: 12,
        requests: Some(13),
        connection_age: Some(secs(14)),
        half_close: false,
    };
    assert_eq!(listener(given).limits, expected);
    assert_eq!(listener("limits: { connection_age: off }").limits.connection_age, None);
}

#[test]
fn sockets_of_unix() {
    let text = "listeners: [ 'unix:/run/in.sock' ]
services: { web: { backends: [ 'unix:/run/a.sock', { name: b, url: 'unix:/run/b b' } ] } }";
    let config = config(text);
    assert_eq!(config.listeners[0].address, ListenAddress::Unix(Path::new("/run/in.sock").into()));
    let backends = config.services[0].backends.iter();
    let shown: Vec<String> =
        backends.map(|backend| format!("{} {}", backend.name, backend.url)).collect();
    assert_eq!(shown, ["a.sock unix:/run/a.sock", "b unix:/run/b b"]);
}

#[test]
fn protocols_of_services() {
    assert_eq!(service("").protocol, UpstreamProtocol::Auto);
    assert_eq!(service("protocol: auto").protocol, UpstreamProtocol::Auto);
    assert_eq!(service("protocol: http1").protocol, UpstreamProtocol::Http1);
    assert_eq!(service("protocol: http2").protocol, UpstreamProtocol::Http2);
    assert_eq!(service("").proxy_protocol, None);
    assert_eq!(service("proxy_protocol: off").proxy_protocol, None);
    assert_eq!(service("proxy_protocol: v1").proxy_protocol, Some(ProxyVersion::V1));
    assert_eq!(service("proxy_protocol: v2").proxy_protocol, Some(ProxyVersion::V2));
    let bounded = service(
        "timeouts: { connect: 3s, response: 4s, idle: 5s, stream_idle: 6s, request: 7s },
        connections: { idle: 8, idle_timeout: 9s, streams: 10 }",
    );
    let (timeouts, connections) = (bounded.timeouts, bounded.connections);
    assert_eq!(
        (
            timeouts.connect,
            timeouts.response,
            timeouts.idle,
            timeouts.stream_idle,
            timeouts.request
        ),
        (secs(3), secs(4), secs(5), secs(6), Some(secs(7)))
    );
    assert_eq!((connections.idle, connections.idle_timeout, connections.streams), (8, secs(9), 10));
    let plain = service("timeouts: { request: off }");
    assert_eq!((plain.timeouts.stream_idle, plain.timeouts.request), (secs(3600), None));
    assert_eq!(plain.connections.streams, 100);
}

#[test]
fn tls_of_services_and_of_their_probes() {
    let traffic = format!(
        "tls: {{ ca: ca.pem, server_name: Asked, verify_name: Verified,
        certificate: {{ cert: c.pem, key: c.key }}, pins: [ {EMPTY} ] }}"
    );
    let tls = service(&traffic).tls;
    assert_eq!(tls.trust, Trust::Ca("/etc/ca.pem".into()));
    let names = (tls.server_name.as_deref(), tls.verify_name.as_deref());
    assert_eq!(names, (Some("asked"), Some("verified")));
    assert_eq!(tls.certificate, Some(files("/etc/c.pem", "/etc/c.key")));
    assert_eq!(tls.pins.len(), 1);
    assert_eq!(service("").tls, UpstreamTls::default());
    assert_eq!(service("tls: { insecure: true }").tls.trust, Trust::Insecure);

    let probes =
        |keys: &str| service(&format!("{traffic}, health: {{ tls: {{ {keys} }} }}")).health.tls;
    assert_eq!(probes(""), None, "nothing differs");
    assert_eq!(probes("server_name: asked"), None, "nothing differs");
    let changed = |change: fn(&mut UpstreamTls)| {
        let mut changed = tls.clone();
        change(&mut changed);
        Some(changed)
    };
    assert_eq!(probes("insecure: true"), changed(|tls| tls.trust = Trust::Insecure));
    assert_eq!(probes("insecure: false"), changed(|tls| tls.trust = Trust::System));
    assert_eq!(probes("ca: /p.pem"), changed(|tls| tls.trust = Trust::Ca("/p.pem".into())));
    assert_eq!(probes("server_name: p"), changed(|tls| tls.server_name = Some("p".into())));
    assert_eq!(probes("verify_name: p"), changed(|tls| tls.verify_name = Some("p".into())));
    assert_eq!(probes("pins: []"), changed(|tls| tls.pins.clear()));
    assert_eq!(
        probes("certificate: { cert: /p.pem, key: /p.key }"),
        changed(|tls| tls.certificate = Some(files("/p.pem", "/p.key")))
    );
}

#[test]
fn what_is_sound_gets_no_warning() {
    let check = |listener: &str, service: &str| {
        let text = format!("listeners: [ {{ {listener} }} ]\nservices: {{ web: {{ {service} }} }}");
        let loaded = load("test.yaml", &text, Path::new("/etc"));
        let warnings = loaded.map(|loaded| loaded.warnings);
        assert_eq!(warnings.as_deref(), Ok(&[][..]), "{text}");
    };
    let backends = "backends: [ https://a, https://b ]";
    let tls = "tls: { certificates: [ { cert: a, key: b } ] }";
    check(&format!("address: ':443', {tls}, hsts: {{}}"), backends);
    check(&format!("address: ':443', {tls}, hsts: {{ max_age: 0s }}"), backends);
    let preload = "hsts: { preload: true, subdomains: true }";
    check(&format!("address: ':8443', {tls}, {preload}"), backends);
    check("address: ':80', trusted_proxies: [ 10.0.0.0/8 ]", backends);
    check("address: unix:/run/a", "backends: [ https://a, 'unix:/run/b' ]");
    check("address: ':1', limits: { body_progress: 0B }", backends);
    let elsewhere = "redirect_https: { port: 81 } }, { address: '127.0.0.2:81' }, { address: ':2'";
    check(&format!("address: '127.0.0.1:80', {elsewhere}, {tls}"), backends);
    let pinned = format!("tls: {{ insecure: true, pins: [ {EMPTY} ] }}");
    check("address: ':1'", &format!("{backends}, {pinned}"));
    check("address: ':1'", &format!("{backends}, health: {{ {pinned} }}"));
    check("address: ':1'", &format!("{backends}, protocol: http2, proxy_protocol: v2"));
    check("address: ':1'", &format!("{backends}, streams: {{ failover: close, failback: keep }}"));
}

#[test]
fn policies_for_streams() {
    let closed =
        |deadline, window| StreamPolicy::Close { deadline: secs(deadline), window: secs(window) };
    let check = |keys: &str, failover: StreamPolicy, failback: StreamPolicy| {
        let streams = service(&format!("streams: {{ {keys} }}")).streams;
        assert_eq!(streams, StreamPolicies { failover, failback }, "{keys}");
    };
    check("", closed(30, 5), closed(300, 30));
    check("failover: drain, failback: drain", closed(30, 5), closed(300, 30));
    check("failover: close, failback: close", closed(0, 5), closed(0, 30));
    check("failover: keep, failback: keep", StreamPolicy::Keep, StreamPolicy::Keep);
    check("failover: {}, failback: { drain: {} }", closed(30, 5), closed(300, 30));
    check("failover: { close: {} }, failback: { close: {} }", closed(0, 5), closed(0, 30));
    check(
        "failover: { drain: { deadline: 1s } }, failback: { drain: { window: 2s } }",
        closed(1, 5),
        closed(300, 2),
    );
    check(
        "failover: { close: { window: 3s } }, failback: { drain: { deadline: 4s, window: 0s } }",
        closed(0, 3),
        closed(4, 0),
    );
}
