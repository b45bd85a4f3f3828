//! Bodies: answers without one, trailers, and connections that end or answer early
//! (RFC 9110 sections 6.4 and 6.5, RFC 9112 sections 6.3 and 9).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use benches::condition::wait_for;

use crate::backend::{Backend, PATIENCE};
use crate::rig::{OK, Peer, Rig, Settings};

/// A backend that answers the first request with `first` and every other as usual.
fn first_then_ok(first: &'static [u8]) -> Backend {
    Backend::start(move |connection| {
        while let Some(seen) = connection.request() {
            let answer = if seen.line().contains("/row") { first } else { OK };
            if !connection.write(answer) {
                return;
            }
        }
    })
}

/// Whatever the answer before left behind, these get their own answers.
fn next_ones_are_served(rig: &Rig) {
    for number in 0..3 {
        let next = rig.ask(format!("GET /next{number} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!((next.status, next.body.as_slice()), (200, b"ok".as_slice()), "{next:?}");
    }
}

#[test]
fn item_14_head_has_the_length_and_no_body() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
    ] {
        let rig = Rig::new(first_then_ok(answer));
        let mut client = rig.client();
        client.send(b"HEAD /row HTTP/1.1\r\nhost: a\r\n\r\n");
        let head = client.response_to_head().expect("an answer");
        assert_eq!((head.status, head.header("content-length")), (200, Some("6")), "{head:?}");
        let next = client.send(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n").response();
        if let Ok(next) = next {
            assert_eq!(next.body, b"ok", "the body of HEAD became the next answer");
        }
        next_ones_are_served(&rig);
    }
}

#[test]
fn item_14_answers_without_content_have_none() {
    let rows: [(u16, &[u8]); 4] = [
        (204, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (204, b"HTTP/1.1 204 No Content\r\n\r\npoison"),
        (304, b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 6\r\n\r\n"),
        (304, b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 6\r\n\r\npoison"),
    ];
    for (status, answer) in rows {
        let rig = Rig::new(first_then_ok(answer));
        let mut client = rig.client();
        client.send(b"GET /row HTTP/1.1\r\nhost: a\r\n\r\n");
        let head = client.response().expect("an answer");
        assert_eq!(head.status, status, "{head:?}");
        assert_eq!(head.header("transfer-encoding"), None, "{head:?}");
        if let Some(length) = head.header("content-length") {
            assert_eq!((status, length), (304, "6"), "{head:?}");
        }
        let next = client.send(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n").response();
        if let Ok(next) = next {
            assert_eq!(next.body, b"ok", "what followed a {status} became the next answer");
        }
        next_ones_are_served(&rig);
    }
}

#[test]
fn item_15_trailers_of_an_answer_reach_who_accepts_them() {
    let rig = Rig::new(Backend::answering(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
          2\r\nok\r\n0\r\nx-sum: 17\r\ncontent-length: 9\r\n\r\n",
    ));
    let request = b"GET /row HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n";
    let answer = rig.ask(request);
    assert_eq!((answer.body.as_slice(), answer.complete), (b"ok".as_slice(), true), "{answer:?}");
    let trailer = |name| answer.trailers.iter().find(|(known, _)| known == name);
    assert_eq!(trailer("content-length"), None, "a trailer cannot frame: {answer:?}");
    if Peer::chosen() == Peer::Understudy {
        assert_eq!(trailer("x-sum").map(|(_, value)| value.as_str()), Some("17"), "{answer:?}");
        assert_eq!(rig.backend.wait_seen("/row").values("te"), ["trailers"]);
    }
}

#[test]
fn item_15_trailers_of_a_request_cannot_pose_as_fields() {
    let rig = Rig::new(Backend::answering(OK));
    let answer = rig.ask(
        b"POST /row HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
          5\r\nhello\r\n0\r\nx-sum: 17\r\nhost: evil\r\nauthorization: evil\r\ncontent-length: 99\r\n\
          transfer-encoding: chunked\r\n\r\n",
    );
    if answer.status == 400 {
        assert!(rig.backend.seen().is_empty(), "{:?}", rig.backend.seen());
        return;
    }
    assert_eq!(answer.status, 200);
    let seen = rig.backend.wait_seen("/row");
    assert_eq!((seen.body.as_slice(), seen.values("host")), (b"hello".as_slice(), vec!["a"]));
    let raw = String::from_utf8_lossy(&seen.raw).to_ascii_lowercase();
    let trailers = raw.split_once("\r\n0\r\n").map_or("", |(_, trailers)| trailers);
    for name in ["host:", "authorization:", "content-length:", "transfer-encoding:"] {
        assert!(!trailers.contains(name), "{name} {raw}");
    }
}

#[test]
fn item_16_a_client_that_closes_its_side_still_gets_its_answer() {
    let settings = Settings {
        listener: "half_close: true",
        nginx: "proxy_ignore_client_abort on;",
        ..Settings::default()
    };
    let rig = Rig::with(
        settings,
        Backend::start(|connection| {
            while connection.request().is_some() {
                // Time for the proxy to see that the client has closed its side.
                std::thread::sleep(Duration::from_millis(100));
                connection.write(OK);
            }
        }),
    );
    let mut client = rig.client();
    client.send(b"GET /row HTTP/1.1\r\nhost: a\r\n\r\n").half_close();
    let answer = client.response().expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
    assert!(client.is_closed());
}

#[test]
fn item_16_a_client_that_leaves_takes_its_request_with_it() {
    let cancelled = Arc::new(AtomicBool::new(false));
    let ours = Arc::clone(&cancelled);
    let rig = Rig::new(Backend::start(move |connection| {
        if connection.request().is_some() {
            ours.store(connection.closed(), Ordering::Relaxed);
        }
    }));
    let mut client = rig.client();
    client.send(b"GET /row HTTP/1.1\r\nhost: a\r\n\r\n");
    rig.backend.wait_seen("/row");
    drop(client);
    wait_for(PATIENCE, "the backend's connection is closed", || {
        if cancelled.load(Ordering::Relaxed) { Ok(()) } else { Err("open") }
    });
}

#[test]
fn item_17_an_early_answer_arrives_before_the_body_is_sent() {
    // Answers by the head alone; the body is never read.
    let rig = Rig::new(Backend::start(|connection| {
        let Some(head) = connection.head() else { return };
        if head.starts_with("POST") {
            connection.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
            connection.closed();
            return;
        }
        connection.write(OK);
        while connection.request().is_some() && connection.write(OK) {}
    }));
    let mut client = rig.client();
    client.send(b"POST /row HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nthe beginning");
    let answer = client.response().expect("an answer before the body is complete");
    assert_eq!((answer.status, answer.body.as_slice()), (413, b"big".as_slice()), "{answer:?}");
    next_ones_are_served(&rig);
    let lines: Vec<_> = rig.backend.seen().iter().map(|seen| seen.line().to_owned()).collect();
    assert!(lines.iter().all(|line| line.starts_with("GET /next")), "{lines:?}");
}
