//! What is asked for: request targets, hosts, methods and versions
//! (RFC 9112 sections 2.3 and 3, RFC 9110 sections 7.2 and 9.3).

use crate::backend::Backend;
use crate::rig::{OK, Peer, Rig, Row};

#[test]
fn item_07_absolute_form_wins_over_host_and_goes_on_as_origin_form() {
    let rig = Rig::new(Backend::answering(OK));
    let request = b"GET http://other.example/row?x=1 HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(rig.ask(request).status, 200);
    let seen = rig.backend.wait_seen("/row");
    assert_eq!(seen.line(), "GET /row?x=1 HTTP/1.1");
    assert_eq!(seen.values("host"), ["other.example"]);
}

#[test]
fn item_07_a_request_without_exactly_one_valid_host_is_refused() {
    const ROWS: &[Row] = &[
        Row::new("none", b"GET /row HTTP/1.1\r\n\r\n"),
        Row::new("two", b"GET /row HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
        Row::nginx_differs("two alike", b"GET /row HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
        Row::new("a slash", b"GET /row HTTP/1.1\r\nhost: a/b\r\n\r\n"),
        Row::nginx_differs("a space", b"GET /row HTTP/1.1\r\nhost: a b\r\n\r\n"),
        Row::nginx_differs("somebody before it", b"GET /row HTTP/1.1\r\nhost: me@a\r\n\r\n"),
        Row::nginx_differs("a port that is none", b"GET /row HTTP/1.1\r\nhost: a:b\r\n\r\n"),
    ];
    let rig = Rig::new(Backend::answering(OK));
    rig.refuses_all(ROWS, &[400], <[u8]>::to_vec);
}

#[test]
fn item_07_odd_targets_are_refused_or_arrive_as_they_were() {
    let rig = Rig::new(Backend::answering(OK));
    for target in ["//evil.example/row", "?row", "/row#fragment", "/row?a#b", "row", "a.example:80"]
    {
        let before = rig.backend.seen().len();
        let answer =
            rig.ask(format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
        let seen = rig.backend.seen().split_off(before);
        if answer.status == 400 {
            assert!(seen.is_empty(), "{target}: {seen:?}");
            continue;
        }
        assert_eq!((answer.status, seen.len()), (200, 1), "{target}: {answer:?} {seen:?}");
        // What follows a `#` is no part of a target; without it, what routes is what is sent.
        let target = target.split('#').next().unwrap_or_default();
        let arrived = seen[0].line().trim_end_matches(" HTTP/1.1");
        let arrived = arrived.strip_prefix("GET ").unwrap_or_default();
        assert_eq!(arrived.split('#').next(), Some(target), "{seen:?}");
        assert!(arrived.starts_with('/'), "{seen:?}");
    }
}

#[test]
fn item_07_an_asterisk_is_for_options_only() {
    let rig = Rig::new(Backend::answering(OK));
    rig.refuses("GET *", b"GET * HTTP/1.1\r\nhost: a\r\n\r\n", &[400]);
    let answer = rig.ask(b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    // Answered here or there, but not turned into a request for something else.
    let lines: Vec<_> = rig.backend.seen().iter().map(|seen| seen.line().to_owned()).collect();
    assert!(lines.is_empty() || lines == ["OPTIONS * HTTP/1.1"], "{answer:?} {lines:?}");
}

#[test]
fn item_08_the_bytes_of_a_path_arrive_as_they_were() {
    let rig = Rig::new(Backend::answering(OK));
    let paths: [&[u8]; 10] = [
        b"/row%2Fa",
        b"/row/%2e%2e/a",
        b"/row/../a",
        b"/row//a",
        b"/row;p=1/a",
        b"/row\\a",
        b"/row/%C3%A9",
        b"/row/\xC3\xA9",
        b"/row?q=a%20b&c=%26",
        b"/row?",
    ];
    for path in paths {
        let before = rig.backend.seen().len();
        let head = b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = rig.ask([b"GET ", path, head].concat());
        let name = String::from_utf8_lossy(path);
        assert_eq!(answer.status, 200, "{name}");
        let seen = rig.backend.seen().split_off(before);
        assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        let expected = [b"GET ", path, b" HTTP/1.1\r\n"].concat();
        assert!(seen[0].line().as_bytes() == &expected[..expected.len() - 2], "{name}: {seen:?}");
    }
}

#[test]
fn item_10_an_http_1_0_client_gets_no_chunks_and_is_closed_unless_it_asks() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let rig = Rig::new(Backend::answering(chunked));
    let mut client = rig.client();
    let answer = client.send(b"GET /row HTTP/1.0\r\n\r\n").response().expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()), "{answer:?}");
    assert_eq!(answer.header("transfer-encoding"), None, "{answer:?}");
    assert!(client.is_closed());

    let rig = Rig::new(Backend::answering(OK));
    let mut client = rig.client();
    let keep = b"GET /row HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        let answer = client.send(keep).response().expect("an answer");
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (200, Some("2")),
            "{answer:?}"
        );
    }
}

#[test]
fn item_10_an_http_1_0_client_gets_no_interim_answers() {
    if Peer::chosen() == Peer::Nginx {
        return; // This one takes a 103 for the final answer.
    }
    let rig = Rig::new(Backend::answering(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ));
    let answer = rig.ask(b"GET /row HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, answer.interim), (200, Vec::new()));
}

#[test]
fn item_10_other_versions_are_refused() {
    const ROWS: &[Row] = &[
        Row::nginx_differs("HTTP/0.9", b"GET /row\r\n\r\n"),
        Row::nginx_differs("a longer minor", b"GET /row HTTP/1.10\r\nhost: a\r\n\r\n"),
        Row::new("another major", b"GET /row HTTP/2.0\r\nhost: a\r\n\r\n"),
        Row::new("no number", b"GET /row HTTP/x\r\nhost: a\r\n\r\n"),
        Row::new("lower case", b"GET /row http/1.1\r\nhost: a\r\n\r\n"),
    ];
    let rig = Rig::new(Backend::answering(OK));
    rig.refuses_all(ROWS, &[400, 505], <[u8]>::to_vec);
}

#[test]
fn item_10_pipelined_requests_are_answered_in_order() {
    // The first takes longest: answers in the order of readiness would come the other way round.
    let rig = Rig::new(Backend::start(|connection| {
        while let Some(seen) = connection.request() {
            let number = seen.line().chars().find(char::is_ascii_digit).expect("a number");
            if number == '1' {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
            connection.write(answer.as_bytes());
        }
    }));
    let requests: String =
        (1..=4).map(|number| format!("GET /row{number} HTTP/1.1\r\nhost: a\r\n\r\n")).collect();
    let mut client = rig.client();
    client.send(requests);
    for number in b"1234" {
        let answer = client.response().expect("an answer");
        assert_eq!((answer.status, answer.body), (200, vec![*number]));
    }
}

#[test]
fn item_11_nothing_is_tunnelled_that_nobody_asked_to() {
    let rig = Rig::new(Backend::answering(OK));
    let statuses = &[400, 405, 501];
    let connect = rig.ask(b"CONNECT b.example:443 HTTP/1.1\r\nhost: b.example:443\r\n\r\n");
    assert!(statuses.contains(&connect.status), "{connect:?}");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    rig.refuses("the preface of HTTP/2", preface, &[0, 400, 405, 501, 505]);
    let trace = rig.ask(b"TRACE /row HTTP/1.1\r\nhost: a\r\ncookie: secret\r\n\r\n");
    assert!(statuses.contains(&trace.status), "{trace:?}");
    assert!(!String::from_utf8_lossy(&trace.body).contains("secret"), "{trace:?}");
    assert!(rig.backend.seen().is_empty(), "{:?}", rig.backend.seen());
}

#[test]
fn item_11_an_upgrade_to_http_2_is_not_sent_on() {
    let rig = Rig::new(Backend::answering(OK));
    let answer = rig.ask(
        b"GET /row HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
          http2-settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert!([200, 400].contains(&answer.status), "{answer:?}");
    for seen in rig.backend.seen() {
        assert!(!seen.values("connection").join(",").contains("upgrade"), "{seen:?}");
        if Peer::chosen() == Peer::Understudy {
            // nginx sends these two on, without the `Connection` that would give them effect.
            assert_eq!(seen.values("upgrade"), Vec::<&str>::new(), "{seen:?}");
            assert_eq!(seen.values("http2-settings"), Vec::<&str>::new(), "{seen:?}");
        }
    }
}
