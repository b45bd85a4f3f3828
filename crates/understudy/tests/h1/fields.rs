//! Header fields: whose they are, which are refused, how many there may be
//! (RFC 9110 sections 5 and 7.6, RFC 9112 section 5).

use crate::backend::Backend;
use crate::client::End;
use crate::rig::{OK, Peer, Rig, Row, Settings};

#[test]
fn item_01_fields_of_the_connection_end_here() {
    let rig = Rig::new(Backend::answering(
        b"HTTP/1.1 200 OK\r\nconnection: x-answer\r\nx-answer: 1\r\nkeep-alive: timeout=9\r\n\
          content-length: 2\r\n\r\nok",
    ));
    let answer = rig.ask(
        b"GET /row HTTP/1.1\r\nhost: a\r\nconnection: x-foo, keep-alive\r\nx-foo: 1\r\n\
          keep-alive: timeout=9\r\nx-bar: 2\r\n\r\n",
    );
    let seen = rig.backend.wait_seen("/row");
    assert_eq!(seen.values("x-bar"), ["2"], "what is not of the connection goes on");
    assert_eq!(answer.header("keep-alive"), None, "{answer:?}");
    if Peer::chosen() == Peer::Nginx {
        return; // nginx passes on what `Connection` names.
    }
    for name in ["x-foo", "keep-alive", "proxy-connection"] {
        assert_eq!(seen.values(name), Vec::<&str>::new(), "{name}: {seen:?}");
    }
    assert!(!seen.values("connection").join(",").contains("x-foo"), "{seen:?}");
    assert_eq!(answer.header("x-answer"), None, "{answer:?}");
}

#[test]
fn item_01_the_connection_field_cannot_remove_what_we_rely_on() {
    let rig = Rig::new(Backend::answering(OK));
    let answer = rig.ask(
        b"GET /row HTTP/1.1\r\nhost: a\r\nauthorization: Basic eDp5\r\n\
          connection: host, x-forwarded-for, x-forwarded-proto, forwarded\r\n\r\n",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = rig.backend.wait_seen("/row");
    assert_eq!(seen.values("host"), ["a"]);
    assert_eq!(seen.values("authorization"), ["Basic eDp5"]);
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
}

#[test]
fn item_06_malformed_fields_are_refused() {
    const ROWS: &[Row] = &[
        Row::nginx_differs("a folded line", b"x-a: 1\r\n 2\r\n"),
        Row::new("a space before the colon", b"x-a : 1\r\n"),
        Row::nginx_differs("no colon", b"x-a\r\n"),
        Row::nginx_differs("an empty name", b": 1\r\n"),
        Row::new("NUL in a value", b"x-a: 1\x002\r\n"),
        Row::nginx_differs("a control byte in a value", b"x-a: 1\x012\r\n"),
        Row::nginx_differs("CR alone in a value", b"x-a: 1\r2\r\n"),
        Row::nginx_differs("a control byte in a name", b"x\x01a: 1\r\n"),
    ];
    let rig = Rig::new(Backend::answering(OK));
    rig.refuses_all(ROWS, &[400], |field| {
        [b"GET /row HTTP/1.1\r\nhost: a\r\n", field, b"\r\n"].concat()
    });
    if Peer::chosen() == Peer::Understudy {
        rig.refuses("a space on the first", b"GET /row HTTP/1.1\r\n host: a\r\n\r\n", &[400]);
    }
}

#[test]
fn item_06_a_line_that_ends_with_lf_is_refused_or_mended() {
    let rig = Rig::new(Backend::answering(OK));
    let answer = rig.ask(b"GET /row HTTP/1.1\r\nhost: a\nx-a: 1\r\n\r\n");
    if answer.status == 400 {
        assert!(rig.backend.seen().is_empty());
        return;
    }
    let seen = rig.backend.wait_seen("/row");
    assert_eq!(seen.values("x-a"), ["1"], "{seen:?}");
    assert!(!seen.head.replace("\r\n", "").contains('\n'), "{seen:?}");
}

#[test]
fn item_09_a_head_may_be_as_large_as_configured_and_no_larger() {
    let settings = Settings {
        listener: "limits: { header_bytes: 8KiB, headers: 10 }",
        nginx: "large_client_header_buffers 4 8k;",
        ..Settings::default()
    };
    let rig = Rig::with(settings, Backend::answering(OK));
    let padded = |total: usize| {
        let (before, after) = ("GET /row HTTP/1.1\r\nhost: a\r\nx-pad: ", "\r\n\r\n");
        format!("{before}{}{after}", "p".repeat(total - before.len() - after.len()))
    };
    let counted = |count: usize| {
        let more: String = (1..count).map(|number| format!("x-{number}: 1\r\n")).collect();
        format!("GET /row HTTP/1.1\r\nhost: a\r\n{more}\r\n")
    };
    let long_target = format!("GET /row{} HTTP/1.1\r\nhost: a\r\n\r\n", "t".repeat(70_000));
    assert_eq!(rig.ask(counted(10)).status, 200);
    match Peer::chosen() {
        Peer::Understudy => {
            assert_eq!(rig.ask(padded(8 * 1024)).status, 200, "exactly at the limit");
            rig.refuses("a byte too many", padded(8 * 1024 + 1), &[431]);
            rig.refuses("a field too many", counted(11), &[431]);
            rig.refuses("a long target", long_target, &[414, 431]);
        }
        Peer::Nginx => {
            assert_eq!(rig.ask(padded(8 * 1024)).status, 200);
            rig.refuses("far too many bytes", padded(16 * 1024), &[400]);
            rig.refuses("a long target", long_target, &[414]);
        }
    }
    assert_eq!(rig.ask(counted(10)).status, 200, "and the next client is served");
}

#[test]
fn item_09_a_head_that_does_not_come_is_not_waited_for() {
    let settings = Settings {
        listener: "limits: { header_timeout: 300ms }",
        nginx: "client_header_timeout 1s;",
        ..Settings::default()
    };
    let rig = Rig::with(settings, Backend::answering(OK));
    let mut client = rig.client();
    match client.send(b"GET /row HTTP/1.1\r\nhost: a\r\nx-slow: ").response() {
        Ok(answer) => {
            assert_eq!(answer.status, 408, "{answer:?}");
            assert!(client.is_closed());
        }
        Err(end) => {
            assert_eq!((end, Peer::chosen()), (End::Closed, Peer::Nginx), "408 is the answer");
        }
    }
    assert!(rig.backend.seen().is_empty());
}
