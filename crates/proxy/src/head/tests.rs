//! Request heads: which are refused and why, and the exact bytes a backend gets.

use connect::Origin;

use super::*;
use crate::downstream::Identity;

type Fields<'a> = &'a [(&'a str, &'a str)];

/// A request as hyper hands it over.
fn parts(method: &str, target: &str, version: Version, fields: Fields<'_>) -> Parts {
    let mut request = Request::builder().method(method).uri(target).version(version);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn admit(method: &str, target: &str, fields: Fields<'_>) -> Result<Head, Failure> {
    admitted(parts(method, target, Version::HTTP_11, fields))
}

/// Admits within limits that nothing here comes near, but where a test is about them.
fn admitted(parts: Parts) -> Result<Head, Failure> {
    Head::admit(parts, &limits()).map_err(|(failure, _)| failure)
}

fn limits() -> DownstreamLimits {
    let far = Duration::from_secs(60);
    DownstreamLimits {
        connections: 1,
        header_timeout: far,
        idle_timeout: far,
        body_timeout: far,
        header_bytes: 1 << 20,
        headers: 100,
        connections_per_client: 1,
        handshake_timeout: far,
        body_progress: 0,
        uri_bytes: 100,
        body_bytes: Some(1000),
        streams: 1,
        requests: None,
        connection_age: None,
        half_close: false,
    }
}

#[test]
fn refused() {
    let host = ("host", "h");
    let bad = Failure::BadRequest;
    let cases: &[(&str, &str, Fields<'_>, Failure)] = &[
        ("CONNECT", "h:443", &[host], Failure::MethodNotAllowed),
        ("TRACE", "/", &[host], Failure::MethodNotAllowed),
        ("GET", "*", &[host], bad("the target * is for OPTIONS only")),
        ("GET", "h", &[host], bad("malformed target")),
        ("GET", "http://user@h/", &[host], bad("malformed target")),
        ("GET", "/", &[], bad("no host")),
        ("GET", "http://h/", &[], bad("no host")),
        ("GET", "/", &[host, host], bad("more than one host")),
        ("GET", "/", &[host, ("host", "i")], bad("more than one host")),
        ("GET", "http://h/", &[host, host], bad("more than one host")),
        ("GET", "/", &[("host", "")], bad("malformed host")),
        ("GET", "/", &[("host", "a b")], bad("malformed host")),
        ("GET", "/", &[("host", "a,b")], bad("malformed host")),
        ("GET", "/", &[("host", "a/b")], bad("malformed host")),
        ("GET", "/", &[("host", "a@b")], bad("malformed host")),
        ("GET", "/", &[("host", "a?b")], bad("malformed host")),
        ("GET", "/", &[("host", "a#b")], bad("malformed host")),
        ("GET", "/", &[("host", "a\\b")], bad("malformed host")),
        ("GET", "/", &[("host", "a\"b")], bad("malformed host")),
        ("GET", "/", &[("host", ":80")], bad("malformed host")),
        ("GET", "/", &[("host", "h:8x")], bad("malformed host")),
        ("GET", "/", &[("host", "h:1:2")], bad("malformed host")),
        ("GET", "/", &[("host", "[::1")], bad("malformed host")),
        ("GET", "/", &[("host", "[::1]x")], bad("malformed host")),
        ("GET", "/", &[("host", "\u{e9}")], bad("malformed host")),
        ("GET", "http://h/", &[("host", "a b")], bad("malformed host")),
        ("POST", "/", &[host, ("content-length", "5, 5")], bad("more than one content-length")),
        (
            "POST",
            "/",
            &[host, ("content-length", "5"), ("content-length", "5")],
            bad("more than one content-length"),
        ),
        (
            "POST",
            "/",
            &[host, ("transfer-encoding", "gzip, chunked")],
            bad("the only transfer coding is chunked, once"),
        ),
        (
            "POST",
            "/",
            &[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            bad("the only transfer coding is chunked, once"),
        ),
        ("GET", "/", &[host, ("connection", "a b")], bad("malformed connection field")),
        ("POST", "/", &[host, ("expect", "200-ok")], Failure::ExpectationFailed),
        ("POST", "/", &[host, ("expect", "")], Failure::ExpectationFailed),
    ];
    for (method, target, fields, failure) in cases {
        let admitted = admit(method, target, fields).map(|head| head.host().to_owned());
        assert_eq!(admitted, Err(*failure), "{method} {target} {fields:?}");
        assert_eq!(failure.blame(), metrics::cells::Blame::Downstream, "{failure:?}");
    }
    // Only a client that predates hosts may leave it out.
    assert!(admitted(parts("GET", "/", Version::HTTP_10, &[])).is_ok());
}

#[test]
fn hosts_and_paths() {
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        ("GET", "/a%20b?c", "example.com", "example.com", "/a%20b"),
        ("GET", "/", "Example.COM:8080", "Example.COM:8080", "/"),
        ("GET", "/", "[::1]:80", "[::1]:80", "/"),
        ("GET", "/", "h:", "h:", "/"),
        ("GET", "/a/../b//c", "h", "h", "/a/../b//c"),
        // An absolute target's authority wins.
        ("GET", "http://real:81/x?y", "other", "real:81", "/x"),
        ("GET", "http://real", "other", "real", "/"),
        ("GET", "http://real?y", "other", "real", "/"),
        ("OPTIONS", "*", "h", "h", "*"),
    ];
    for (method, target, named, host, path) in cases {
        let head = admit(method, target, &[("host", named)]).expect(target);
        assert_eq!((head.host(), head.path()), (*host, *path), "{method} {target}");
    }
    let old = admitted(parts("GET", "/", Version::HTTP_10, &[])).unwrap();
    assert_eq!((old.host(), old.is_http_11()), ("", false));
}

#[test]
fn what_may_be_sent_twice() {
    let host = ("host", "h");
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        assert!(admit(method, "/", &[host]).unwrap().repeatable, "{method}");
    }
    for method in ["POST", "PATCH", "PROPFIND", "get"] {
        assert!(!admit(method, "/", &[host]).unwrap().repeatable, "{method}");
        let keyed = admit(method, "/", &[host, ("Idempotency-Key", "7")]).unwrap();
        assert!(keyed.repeatable, "{method} with a key");
    }
}

#[test]
fn upgrades() {
    let wanted = |version, fields: Fields<'_>| {
        let fields = [&[("host", "h")], fields].concat();
        let head = admitted(parts("GET", "/", version, &fields)).unwrap();
        head.switch.map(|switch| {
            let mut out = Vec::new();
            switch.ask_http1(&mut out);
            String::from_utf8(out).unwrap()
        })
    };
    let (websocket, asked) = (("upgrade", "websocket"), ("connection", "keep-alive, Upgrade"));
    assert_eq!(
        wanted(Version::HTTP_11, &[websocket, asked]).as_deref(),
        Some("upgrade: websocket\r\nconnection: upgrade\r\n")
    );
    assert_eq!(wanted(Version::HTTP_11, &[websocket]), None);
    assert_eq!(wanted(Version::HTTP_11, &[asked]), None);
    assert_eq!(wanted(Version::HTTP_10, &[websocket, asked]), None);
    for http2 in ["h2c", "H2C", "websocket, h2c"] {
        assert_eq!(wanted(Version::HTTP_11, &[("upgrade", http2), asked]), None, "{http2}");
    }
}

/// The bytes a backend gets for a request of a client at 192.0.2.7.
fn written(parts: Parts, framing: Framing) -> String {
    let mut out = Vec::new();
    let head = admitted(parts).expect("admitted");
    head.write(&mut out, framing, &client(), &own_url(), None);
    String::from_utf8(out).expect("text")
}

fn client() -> Known {
    let address = "192.0.2.7".parse().ok();
    let scheme = config::model::Scheme::Http;
    Known {
        identity: Identity::new(address, scheme, Some(80), &[]),
        certificate: None,
        origin: Origin::Local,
        trusted: [].into(),
    }
}

fn own_url() -> BackendUrl {
    BackendUrl::tcp(config::model::Scheme::Http, "127.0.0.1", 9001)
}

/// What we add to every request of that client for host `h`.
const ADDED: &str = "x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: http\r\nx-forwarded-port: 80\r\n\
                     forwarded: for=192.0.2.7;proto=http;host=\"h\"\r\nx-forwarded-host: h\r\n";

#[test]
fn bytes_for_the_backend() {
    let host = ("Host", "h");
    let cases: &[(&str, &str, Fields<'_>, Framing, &str, &str)] = &[
        (
            "GET",
            "/a?b=c",
            &[("Accept", "x"), host, ("Cookie", "a"), ("Cookie", "b")],
            Framing::None,
            "GET /a?b=c HTTP/1.1\r\nhost: h\r\naccept: x\r\ncookie: a\r\ncookie: b\r\n",
            "",
        ),
        (
            "POST",
            "/",
            &[host, ("Content-Length", "5"), ("Content-Type", "t")],
            Framing::Length(5),
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-type: t\r\n",
            "content-length: 5\r\n",
        ),
        (
            "POST",
            "/",
            &[host, ("Content-Length", "0")],
            Framing::None,
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n",
            "",
        ),
        (
            "POST",
            "/",
            &[host, ("Transfer-Encoding", "chunked"), ("Trailer", "x"), ("Expect", "100-Continue")],
            Framing::Chunked,
            "POST / HTTP/1.1\r\nhost: h\r\ntrailer: x\r\n",
            "transfer-encoding: chunked\r\n",
        ),
        ("OPTIONS", "*", &[host], Framing::None, "OPTIONS * HTTP/1.1\r\nhost: h\r\n", ""),
        (
            "GET",
            "http://h/x?y#z",
            &[("Host", "other")],
            Framing::None,
            "GET /x?y HTTP/1.1\r\nhost: h\r\n",
            "",
        ),
        // What is about the client's connection to us stays here, and what it names goes with it.
        (
            "GET",
            "/",
            &[
                host,
                ("Connection", "close, x-one,, X-Two"),
                ("Connection", "keep-alive, cookie, content-type, host"),
                ("X-One", "1"),
                ("x-two", "2"),
                ("X-Three", "3"),
                ("Cookie", "c"),
                ("Content-Type", "t"),
                ("Keep-Alive", "5"),
                ("Proxy-Connection", "close"),
                ("TE", "gzip"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "AAMAAABk"),
                ("Proxy", "evil"),
            ],
            Framing::None,
            "GET / HTTP/1.1\r\nhost: h\r\nx-three: 3\r\ncookie: c\r\ncontent-type: t\r\n",
            "",
        ),
        // No client can pass for a proxy, however it spells the names.
        (
            "GET",
            "/",
            &[
                host,
                ("X-Forwarded-For", "6.6.6.6"),
                ("X_Forwarded_For", "6.6.6.6"),
                ("X-Forwarded_For", "6.6.6.6"),
                ("x_forwarded-proto", "https"),
                ("X-Forwarded-Prefix", "/evil"),
                ("X-Real-IP", "6.6.6.6"),
                ("x_real_ip", "6.6.6.6"),
                ("X_Real-IP", "6.6.6.6"),
                ("Forwarded", "for=6.6.6.6"),
                ("X-Forwarder", "kept"),
                ("X-Real-IPs", "kept"),
            ],
            Framing::None,
            "GET / HTTP/1.1\r\nhost: h\r\nx-forwarder: kept\r\nx-real-ips: kept\r\n",
            "",
        ),
        (
            "GET",
            "/",
            &[host, ("TE", "gzip;q=0.5, trailers"), ("Connection", "TE")],
            Framing::None,
            "GET / HTTP/1.1\r\nhost: h\r\n",
            "te: trailers\r\n",
        ),
        (
            "GET",
            "/chat",
            &[
                host,
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", "k"),
            ],
            Framing::None,
            "GET /chat HTTP/1.1\r\nhost: h\r\nsec-websocket-key: k\r\n",
            "upgrade: websocket\r\nconnection: upgrade\r\n",
        ),
    ];
    for (method, target, fields, framing, before, after) in cases {
        let bytes = written(parts(method, target, Version::HTTP_11, fields), *framing);
        assert_eq!(bytes, format!("{before}{ADDED}{after}\r\n"), "{method} {target} {fields:?}");
    }
}

#[test]
fn an_old_client_without_a_host() {
    let bytes = written(parts("GET", "/", Version::HTTP_10, &[]), Framing::None);
    let expected = "GET / HTTP/1.1\r\nhost: 127.0.0.1:9001\r\nx-forwarded-for: 192.0.2.7\r\n\
                    x-forwarded-proto: http\r\nx-forwarded-port: 80\r\n\
                    forwarded: for=192.0.2.7;proto=http;host=\"127.0.0.1:9001\"\r\n\
                    x-forwarded-host: 127.0.0.1:9001\r\n\r\n";
    assert_eq!(bytes, expected);
}

/// A server may ignore `Upgrade` (RFC 9110 7.8), so the method stays what it is.
#[test]
fn a_post_that_asks_for_a_switch_stays_a_post() {
    let fields = [("host", "h"), ("connection", "upgrade"), ("upgrade", "tcp")];
    let bytes = written(parts("POST", "/", Version::HTTP_11, &fields), Framing::None);
    assert!(bytes.starts_with("POST / HTTP/1.1\r\n"), "{bytes}");
}

/// The key is why a POST may be repeated, so a client cannot take it out of the message on the way.
#[test]
fn the_idempotency_key_reaches_the_backend() {
    let fields = [("host", "h"), ("connection", "idempotency-key"), ("idempotency-key", "7")];
    let parts = parts("POST", "/", Version::HTTP_11, &fields);
    let repeatable = admitted(parts.clone()).unwrap().repeatable;
    let has_key = written(parts, Framing::None).contains("idempotency-key: 7\r\n");
    assert_eq!(repeatable, has_key, "repeatable without the key that makes it so");
}

#[test]
fn a_trace_is_told_once_in_both_protocols() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let fields = [("host", "h"), ("traceparent", parent), ("tracestate", "a=1")];
    let parts = parts("GET", "/", Version::HTTP_11, &fields);
    let spec = crate::spec::TraceSpec { sample: 0.0, trusts_clients: true };
    let trace = Trace::begin(spec, &parts.headers, true);
    let mut head = admitted(parts).expect("admitted");
    let mut before = Vec::new();
    head.write(&mut before, Framing::None, &client(), &own_url(), None);
    let before = String::from_utf8(before).expect("text");
    assert!(before.contains(&format!("traceparent: {parent}\r\n")), "{before}");
    head.trace = Some(trace);
    let mut out = Vec::new();
    head.write(&mut out, Framing::None, &client(), &own_url(), None);
    let out = String::from_utf8(out).expect("text");
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("traceparent: ")).collect();
    let [line] = lines[..] else { panic!("{out}") };
    let (ours, theirs) = (&line["traceparent: ".len()..], parent);
    assert_eq!(ours[..36], theirs[..36], "the same trace");
    assert_ne!(ours, theirs, "another span");
    assert!(out.contains("\r\ntracestate: a=1\r\n"), "{out}");
    let request = head.request(&client(), &own_url(), Framing::None, None).expect("a request");
    let told: Vec<_> = request.headers().get_all("traceparent").iter().collect();
    assert_eq!(told, [ours]);
    assert_eq!(request.headers()["tracestate"], "a=1");
}
