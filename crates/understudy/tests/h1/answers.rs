//! What a backend can do wrong, and what becomes of it (RFC 9112 sections 6 to 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;

use crate::backend::{Backend, Connection, PATIENCE};
use crate::rig::{OK, Rig, Row};

const ASK: &[u8] = b"GET /row HTTP/1.1\r\nhost: a\r\n\r\n";

/// Answers the first request with `answer` and closes.
fn once(answer: Vec<u8>) -> Backend {
    Backend::start(move |connection: &mut Connection| {
        if connection.request().is_some() {
            connection.write(&answer);
        }
    })
}

#[test]
fn item_18_a_body_cut_short_does_not_look_whole() {
    let rows: [(&str, &[u8]); 4] = [
        ("by length", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
        ("no last chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ("in a chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello"),
        (
            "a bad chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
        ),
    ];
    for (name, answer) in rows {
        let rig = Rig::new(once(answer.to_vec()));
        let mut client = rig.client();
        match client.send(ASK).response() {
            Ok(answer) if answer.status == 502 => assert!(answer.complete, "{name}: {answer:?}"),
            Ok(answer) => {
                assert_eq!((answer.status, answer.complete), (200, false), "{name}: {answer:?}");
                assert!(client.is_closed(), "{name}: not closed");
            }
            Err(end) => assert_eq!(end, crate::client::End::Closed, "{name}"),
        }
    }
}

#[test]
fn item_18_an_answer_that_is_not_http_is_a_502() {
    const ROWS: &[Row] = &[
        Row::new("nothing", b""),
        Row::nginx_differs(
            "noise",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is not HTTP\r\n\r\n",
        ),
        Row::nginx_differs("a bad status", b"HTTP/1.1 2x0 OK\r\ncontent-length: 2\r\n\r\nok"),
        Row::nginx_differs("half a head", b"HTTP/1.1 200 OK\r\ncontent-le"),
        Row::nginx_differs(
            "two lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
        ),
        Row::nginx_differs("no number", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nok"),
        Row::nginx_differs(
            "NUL in a field",
            b"HTTP/1.1 200 OK\r\nx-a: \x00\r\ncontent-length: 2\r\n\r\nok",
        ),
    ];
    for row in ROWS.iter().filter(|row| row.applies()) {
        let rig = Rig::new(once(row.bytes.to_vec()));
        let answer = rig.ask(ASK);
        assert_eq!((answer.status, answer.complete), (502, true), "{}: {answer:?}", row.name);
    }
}

#[test]
fn item_18_a_length_beside_chunked_is_a_502_or_settled_and_closed() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let rig = Rig::new(Backend::answering(answer));
    for _ in 0..3 {
        let answer = rig.ask(ASK);
        match answer.status {
            502 => assert!(answer.complete),
            _ => {
                assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
                let both = answer.header("content-length").is_some()
                    && answer.header("transfer-encoding").is_some();
                assert!(!both, "{answer:?}");
            }
        }
    }
}

#[test]
fn item_18_a_head_beyond_the_limit_is_a_502() {
    let head = [b"HTTP/1.1 200 OK\r\nx-pad: ".as_slice(), &[b'x'; 1 << 20], b"\r\n\r\n"].concat();
    let rig = Rig::new(once(head));
    assert_eq!(rig.ask(ASK).status, 502);
}

#[test]
fn item_19_bytes_that_nobody_asked_for_are_nobodys_answer() {
    const POISON: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for pause in [Duration::ZERO, Duration::from_millis(50)] {
        let rig = Rig::new(Backend::start(move |connection| {
            while connection.request().is_some() {
                if pause.is_zero() {
                    connection.write(&[OK, POISON].concat());
                } else {
                    connection.write(OK);
                    // Idle in the pool by now, where nothing may arrive.
                    thread::sleep(pause);
                    connection.write(POISON);
                }
            }
        }));
        let mut client = rig.client();
        for number in 0..5 {
            let answer =
                client.send(ASK).response().unwrap_or_else(|end| panic!("{number}: {end:?}"));
            assert_eq!(
                (answer.status, answer.body.as_slice()),
                (200, b"ok".as_slice()),
                "{number}"
            );
            thread::sleep(pause * 2);
        }
    }
}

#[test]
fn item_20_a_slow_reader_pauses_its_backend_and_nobody_else() {
    const WHOLE: u64 = 256 << 20;
    // Buffers of the kernel on both sides of the proxy hold some megabytes; the proxy itself little.
    const MOST: u64 = 40 << 20;
    let written = Arc::new(AtomicU64::new(0));
    let ours = Arc::clone(&written);
    let rig = Rig::new(Backend::start(move |connection| {
        while let Some(seen) = connection.request() {
            if !seen.line().contains("/row") {
                connection.write(OK);
                continue;
            }
            connection
                .write(format!("HTTP/1.1 200 OK\r\ncontent-length: {WHOLE}\r\n\r\n").as_bytes());
            let piece = vec![b'.'; 64 << 10];
            while ours.load(Ordering::Relaxed) < WHOLE && connection.write(&piece) {
                ours.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
    }));
    let mut slow = rig.client();
    slow.send(ASK);
    let mut last = (0, Instant::now());
    wait_for(PATIENCE, "the backend is paused", || {
        let now = written.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
        let paused = now > 0 && last.1.elapsed() > Duration::from_millis(300);
        if paused { Ok(()) } else { Err(now) }
    });
    assert!(last.0 < MOST, "{} bytes were taken for a client that reads nothing", last.0);
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(rig.ask(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }
    assert_eq!(written.load(Ordering::Relaxed), last.0, "still paused");
}
