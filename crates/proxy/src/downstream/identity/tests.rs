//! What backends are told about clients: of their own knowledge, and of a trusted proxy's.

use super::*;
use crate::mutate::{Mutator, SEEDS, cases};

type Fields<'a> = &'a [(&'static str, &'a str)];

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "2001:db8:1::/48"].iter().map(|network| network.parse().unwrap()).collect()
}

fn headers(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn identity(peer: &str) -> Identity {
    Identity::new(Some(peer.parse().unwrap()), Scheme::Http, Some(8080), &trusted())
}

/// What a backend gets from a client at `peer`, the same in both protocols: by name, without the
/// prefix `x-forwarded-`.
fn told_by(identity: &Identity, fields: Fields<'_>, host: &str) -> Vec<(String, String)> {
    let headers = headers(fields);
    let claims = identity.claims(&headers, &trusted());
    let mut out = Vec::new();
    identity.write(&mut out, host.as_bytes(), claims.as_ref());
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with("\r\n"), "{text:?}");
    let mut lines: Vec<(String, String)> = text
        .split_terminator("\r\n")
        .map(|line| line.split_once(": ").expect("a field"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    lines.sort();

    // What the client sent itself is there, and must not be afterwards.
    let mut http2 = headers;
    identity.insert(&mut http2, &HeaderValue::from_str(host).unwrap(), claims.as_ref());
    let mut fields: Vec<(String, String)> = http2
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
        .filter(|(name, _)| name != "x-other")
        .collect();
    fields.sort();
    assert_eq!(lines, fields, "HTTP/1.1 and HTTP/2");
    lines
        .into_iter()
        .map(|(name, value)| (name.trim_start_matches("x-forwarded-").to_owned(), value))
        .collect()
}

fn told(peer: &str, fields: Fields<'_>) -> Vec<(String, String)> {
    told_by(&identity(peer), fields, "h:81")
}

fn one<'a>(told: &'a [(String, String)], name: &str) -> &'a str {
    told.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
}

fn client(peer: &str, fields: Fields<'_>) -> String {
    let claims = identity(peer).claims(&headers(fields), &trusted()).expect("a trusted proxy");
    claims.client().to_string()
}

#[test]
fn a_client_is_what_its_socket_says() {
    let expected = |address: &str, element: &str| {
        [
            ("forwarded", element),
            ("for", address),
            ("host", "h:81"),
            ("port", "8080"),
            ("proto", "http"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    };
    let plain = expected("192.0.2.7", "for=192.0.2.7;proto=http;host=\"h:81\"");
    let forged: Fields<'_> = &[
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "1"),
        ("forwarded", "for=6.6.6.6;proto=https"),
        ("x-other", "1"),
    ];
    for fields in [&[][..], forged] {
        assert_eq!(told("192.0.2.7", fields), plain);
        assert_eq!(told("::ffff:192.0.2.7", fields), plain);
        let six = expected("2001:db8::7", "for=\"[2001:db8::7]\";proto=http;host=\"h:81\"");
        assert_eq!(told("2001:db8::7", fields), six);
    }
    assert!(identity("192.0.2.7").claims(&headers(forged), &trusted()).is_none());
    assert_eq!(identity("::ffff:192.0.2.7").address(), "192.0.2.7");
}

#[test]
fn a_client_without_an_address_and_one_over_tls() {
    let unix = Identity::new(None, Scheme::Http, None, &trusted());
    assert_eq!(unix.address(), "unknown");
    let told = told_by(&unix, &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-port", "1")], "h");
    let fields: Vec<_> = told.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let forwarded = "for=unknown;proto=http;host=\"h\"";
    assert_eq!(
        fields,
        [("forwarded", forwarded), ("for", "unknown"), ("host", "h"), ("proto", "http")]
    );

    let tls = Identity::new("192.0.2.7".parse().ok(), Scheme::Https, Some(8443), &[]);
    let told = told_by(&tls, &[], "h");
    assert_eq!(one(&told, "proto"), "https");
    assert_eq!(one(&told, "port"), "8443");
    assert_eq!(one(&told, "forwarded"), "for=192.0.2.7;proto=https;host=\"h\"");
}

#[test]
fn networks() {
    for (address, is_inside) in [
        ("10.0.0.1", true),
        ("10.255.255.255", true),
        ("11.0.0.0", false),
        ("::ffff:10.1.2.3", true),
        ("::ffff:11.1.2.3", false),
        ("2001:db8:1:ffff::1", true),
        ("2001:db8:2::1", false),
        ("::a00:1", false),
    ] {
        assert_eq!(contains(&trusted(), address.parse().unwrap()), is_inside, "{address}");
    }
    assert!(!contains(&[], "10.0.0.1".parse().unwrap()));
}

#[test]
fn the_client_is_the_last_one_that_is_not_a_trusted_proxy() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "10.0.0.1"),
        (&[""], "10.0.0.1"),
        (&["192.0.2.7"], "192.0.2.7"),
        // What is further left may be invented.
        (&["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        (&["10.6.6.6, 192.0.2.7"], "192.0.2.7"),
        (&["6.6.6.6, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        (&["6.6.6.6", "192.0.2.7", "10.0.0.2"], "192.0.2.7"),
        (&["6.6.6.6,192.0.2.7 ,\t10.0.0.2,10.0.0.3"], "192.0.2.7"),
        (&[", ,192.0.2.7,,"], "192.0.2.7"),
        // Everybody is trusted.
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        // All the ways to write an address.
        (&["192.0.2.7:1234"], "192.0.2.7"),
        (&["\"192.0.2.7:1234\""], "192.0.2.7"),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["[2001:db8::7]"], "2001:db8::7"),
        (&["[2001:db8::7]:1234"], "2001:db8::7"),
        (&["\"[2001:db8::7]:1234\""], "2001:db8::7"),
        (&["::ffff:192.0.2.7"], "192.0.2.7"),
        (&["[::ffff:192.0.2.7]:80"], "192.0.2.7"),
        (&["192.0.2.7, 2001:db8:1::5, ::ffff:10.0.0.9"], "192.0.2.7"),
        // Whoever is hidden hides those before, too.
        (&["192.0.2.7, unknown"], "10.0.0.1"),
        (&["192.0.2.7, _hidden, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.7, 192.0.2.256, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.7, example.org, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.7, 2001:db8::g, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.7, 192.0.2.8:port, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.7, 192.0.2.8:, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.7, [2001:db8::7, 10.0.0.2"], "10.0.0.2"),
        (&["192.0.2.7, 1 2, 10.0.0.2"], "10.0.0.2"),
    ];
    for (lines, expected) in cases {
        let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        assert_eq!(client("10.0.0.1", &fields), *expected, "{lines:?}");
    }
    assert_eq!(client("::ffff:10.0.0.1", &[("x-forwarded-for", "192.0.2.7")]), "192.0.2.7");
}

#[test]
fn the_chain_grows_by_the_other_end() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "10.0.0.1"),
        (&["6.6.6.6, 192.0.2.7"], "6.6.6.6, 192.0.2.7, 10.0.0.1"),
        (&["6.6.6.6", "192.0.2.7:80"], "6.6.6.6, 192.0.2.7:80, 10.0.0.1"),
        (&[",6.6.6.6 ,, \"[::1]:2\","], "6.6.6.6, \"[::1]:2\", 10.0.0.1"),
        (&["unknown,_x,a.example"], "unknown, _x, a.example, 10.0.0.1"),
        (&["1 2, 3\t4, \u{e9}, 5.5.5.5"], "unknown, unknown, unknown, 5.5.5.5, 10.0.0.1"),
    ];
    for (lines, expected) in cases {
        let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        assert_eq!(one(&told("10.0.0.1", &fields), "for"), *expected, "{lines:?}");
    }
}

#[test]
fn of_a_long_chain_the_end_is_kept() {
    let all: Vec<String> = (0..4000).map(|i| format!("10.1.{}.{}", i / 250, i % 250)).collect();
    let elements: Vec<String> = all.iter().map(|address| format!("for={address}")).collect();
    let last = "10.1.15.249";
    for (name, line) in [("x-forwarded-for", all.join(", ")), ("forwarded", elements.join(", "))] {
        let told = told("10.0.0.1", &[(name, &line)]);
        for name in ["for", "forwarded"] {
            let value = one(&told, name);
            assert_eq!(value.split(", ").count(), 101, "{name}");
            assert!(value.contains(last), "{name}");
        }
        assert_eq!(client("10.0.0.1", &[(name, &line)]), "10.1.15.150");
    }
}

#[test]
fn what_a_trusted_proxy_says_of_the_request() {
    let cases: &[(Fields<'_>, [&str; 3])] = &[
        (&[], ["http", "h:81", "8080"]),
        (&[("x-forwarded-proto", "https")], ["https", "h:81", "81"]),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "www.example")],
            ["https", "www.example", "443"],
        ),
        (
            &[("x-forwarded-proto", "wss"), ("x-forwarded-host", "[::1]:444")],
            ["wss", "[::1]:444", "444"],
        ),
        (&[("x-forwarded-host", "[::1]")], ["http", "[::1]", "80"]),
        (&[("x-forwarded-proto", "coap"), ("x-forwarded-host", "w")], ["coap", "w", ""]),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-port", "8444")],
            ["https", "h:81", "8444"],
        ),
        (&[("x-forwarded-port", "65535")], ["http", "h:81", "65535"]),
        // Anything else but one word is not believed.
        (&[("x-forwarded-proto", "https, http")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-proto", "https,http")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-proto", "https http")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-proto", "")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-proto", "1http")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-proto", "abcdefghijklmnopq")], ["http", "h:81", "8080"]),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")],
            ["http", "h:81", "8080"],
        ),
        (&[("x-forwarded-host", "a, b")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-host", "a\"b")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-host", "a/b")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-host", ":80")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-host", "")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-port", "0")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-port", "65536")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-port", "+80")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-port", "80, 81")], ["http", "h:81", "8080"]),
        (&[("x-forwarded-port", "")], ["http", "h:81", "8080"]),
    ];
    for (fields, expected) in cases {
        let told = told("10.0.0.1", fields);
        let actual = ["proto", "host", "port"].map(|name| one(&told, name));
        assert_eq!(actual, *expected, "{fields:?}");
        // Our own element says what we saw ourselves.
        assert_eq!(one(&told, "forwarded"), "for=10.0.0.1;proto=http;host=\"h:81\"", "{fields:?}");
    }
}

#[test]
fn forwarded_is_kept_as_far_as_it_is_well_formed() {
    let cases: &[(&[&str], &str)] = &[
        (&["for=192.0.2.43"], "for=192.0.2.43"),
        (&["For=\"[2001:db8:cafe::17]:4711\""], "For=\"[2001:db8:cafe::17]:4711\""),
        (
            &["for=192.0.2.60;proto=http;by=203.0.113.43"],
            "for=192.0.2.60;proto=http;by=203.0.113.43",
        ),
        (&["for=192.0.2.43,for=198.51.100.17"], "for=192.0.2.43, for=198.51.100.17"),
        (&["for=192.0.2.43", "for=198.51.100.17"], "for=192.0.2.43, for=198.51.100.17"),
        (
            &["for=_hidden, for=\"_SEV-KIS.EK:_port\", for=unknown;secret=\"a b\""],
            "for=_hidden, for=\"_SEV-KIS.EK:_port\", for=unknown;secret=\"a b\"",
        ),
        (&["for=192.0.2.60; proto=http ;; by=_x;,"], "for=192.0.2.60;proto=http;by=_x"),
        (&["proto=https"], "proto=https"),
        (&[""], ""),
        (&[" ; ,; "], ""),
        // Malformed: nothing of it, nor of what is left of it.
        (&["for"], ""),
        (&["=1.2.3.4"], ""),
        (&["for = 1.2.3.4"], ""),
        (&["for=1.2.3.4.5"], ""),
        (&["for=example.org"], ""),
        (&["for=2001:db8::1"], ""),
        (&["for=[2001:db8::1]"], ""),
        (&["for=\"2001:db8::1\""], ""),
        (&["for=\"[2001:db8::1\""], ""),
        (&["for=\"[2001:db8::1]:123456\""], ""),
        (&["for=\"1.2.3.4"], ""),
        (&["for=1.2.3.4\""], ""),
        (&["for=\"\""], ""),
        (&["for=_"], ""),
        (&["for=1.2.3.4;for=1.2.3.4"], ""),
        (&["for=1.2.3.4;FOR=1.2.3.4"], ""),
        (&["for=1.2.3.4;by=x y"], ""),
        (&["for=1.2.3.4;by=example"], ""),
        (&["for=1.2.3.4;x=\"a\\\"b\""], ""),
        (&["for=1.2.3.4;x=\"\u{e9}\""], ""),
        (&["for=1.2.3.4;(=a"], ""),
        (&["a=b;for=1.2.3.4;a=b"], ""),
        // A client's quotation mark spoils nothing that a proxy wrote behind it.
        (&["x=\"a, for=1.2.3.4"], "for=1.2.3.4"),
        (&["for=6.6.6.6;x=\"", "for=1.2.3.4"], "for=1.2.3.4"),
        (&["for=6.6.6.6, for=bad bad, for=1.2.3.4"], "for=1.2.3.4"),
        (&["for=1.2.3.4, x=\"a"], ""),
    ];
    for (lines, kept) in cases {
        let fields: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let told = told("10.0.0.1", &fields);
        let own = "for=10.0.0.1;proto=http;host=\"h:81\"";
        let expected = if kept.is_empty() { own.to_owned() } else { format!("{kept}, {own}") };
        assert_eq!(one(&told, "forwarded"), expected, "{lines:?}");
    }
    let many: Vec<String> = (0..17).map(|i| format!("a{i}=b")).collect();
    let told = told("10.0.0.1", &[("forwarded", &many.join(";"))]);
    assert_eq!(one(&told, "forwarded"), "for=10.0.0.1;proto=http;host=\"h:81\"");
}

#[test]
fn whichever_of_the_two_chains_is_missing_is_made_from_the_other() {
    let own = "for=10.0.0.1;proto=http;host=\"h:81\"";
    let fields: Fields<'_> = &[("x-forwarded-for", "6.6.6.6, _x, [2001:db8::7]:1, 10.0.0.2")];
    let forwarded = one(&told("10.0.0.1", fields), "forwarded").to_owned();
    let made = "for=6.6.6.6, for=unknown, for=\"[2001:db8::7]\", for=10.0.0.2";
    assert_eq!(forwarded, format!("{made}, {own}"));

    let fields: Fields<'_> = &[(
        "forwarded",
        "for=6.6.6.6;proto=gopher, for=\"[2001:db8::7]:1\";proto=https;host=\"w:444\", \
         for=10.0.0.2;proto=http;host=inner",
    )];
    let told_by_forwarded = told("10.0.0.1", fields);
    assert_eq!(one(&told_by_forwarded, "for"), "6.6.6.6, 2001:db8::7, 10.0.0.2, 10.0.0.1");
    // What the client asked for is what the proxy says that spoke with it.
    assert_eq!(one(&told_by_forwarded, "proto"), "https");
    assert_eq!(one(&told_by_forwarded, "host"), "w:444");
    assert_eq!(one(&told_by_forwarded, "port"), "444");
    assert_eq!(client("10.0.0.1", fields), "2001:db8::7");
    assert_eq!(
        client("10.0.0.1", &[("forwarded", "for=1.2.3.4, for=_x, for=10.0.0.2")]),
        "10.0.0.2"
    );
    assert_eq!(client("10.0.0.1", &[("forwarded", "for=1.2.3.4, by=10.0.0.2")]), "10.0.0.1");

    // Both: the one decides, and the other is kept only if it says the same.
    let both: Fields<'_> =
        &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.8;proto=https")];
    assert_eq!(client("10.0.0.1", both), "192.0.2.7");
    let told = told("10.0.0.1", both);
    assert_eq!(one(&told, "for"), "192.0.2.7, 10.0.0.1");
    assert_eq!(one(&told, "forwarded"), format!("for=192.0.2.7, {own}"));
    assert_eq!(one(&told, "proto"), "http");
    let agreeing: Fields<'_> =
        &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7;proto=https")];
    let told = self::told("10.0.0.1", agreeing);
    assert_eq!(one(&told, "forwarded"), format!("for=192.0.2.7;proto=https, {own}"));
}

/// Whatever comes in, what goes out is well-formed, also to another parser, and nobody but a trusted
/// proxy says who the client is.
#[test]
fn no_mutation_gets_out_malformed() {
    let corpus: &[&[u8]] = &[
        b"192.0.2.7, 10.0.0.2:80, \"[2001:db8::7]:1234\", unknown, _hidden",
        b"for=192.0.2.60;proto=http;by=203.0.113.43, for=\"[2001:db8:cafe::17]:4711\"",
        b"for=_gazonk;secret=\"a b\", For=unknown;host=\"h:80\"",
        b"6.6.6.6",
        b"for=6.6.6.6, for=\"",
    ];
    for seed in SEEDS {
        let mut mutator = Mutator::new(seed);
        for _ in 0..cases() {
            let bytes = mutator.mutate(corpus);
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
            for name in [FORWARDED, X_FORWARDED_FOR] {
                let mut headers = HeaderMap::new();
                headers.append(name.clone(), value.clone());
                // As a proxy does that adds a line of its own.
                headers.append(FORWARDED, HeaderValue::from_static("for=198.51.100.9"));
                let identity = identity("10.0.0.1");
                let claims = identity.claims(&headers, &trusted()).expect("trusted");
                if name == FORWARDED {
                    assert_eq!(claims.client().to_string(), "198.51.100.9", "{value:?}");
                }
                let mut out = Vec::new();
                identity.write(&mut out, b"h", Some(&claims));
                let text = String::from_utf8(out).expect("text");
                assert!(
                    text.split("\r\n").all(|line| line.bytes().all(|b| matches!(b, b' '..=b'~')))
                );
                let line = text.split("\r\n").find_map(|line| line.strip_prefix("forwarded: "));
                let line = line.expect("a field");
                assert!(line.ends_with("for=10.0.0.1;proto=http;host=\"h\""), "{line}");
                // That parser knows neither `-` nor made-up ports in made-up names.
                if !line.contains('_') && !line.to_lowercase().contains("unknown") {
                    for element in rfc7239::parse(line) {
                        element.unwrap_or_else(|error| panic!("{error}: {line}"));
                    }
                }
            }
        }
    }
}
