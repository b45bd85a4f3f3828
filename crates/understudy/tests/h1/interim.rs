//! Interim answers: 100, 103 and 101 (RFC 9110 sections 10.1.1 and 15.2, RFC 8297).

use crate::backend::Backend;
use crate::rig::{OK, Peer, Rig};

const EXPECTING: &[u8] =
    b"POST /row HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";

#[test]
fn item_12_a_client_that_waits_for_100_is_told_to_go_on() {
    // Says 100 itself when asked, as a backend must.
    let rig = Rig::new(Backend::start(|connection| {
        while connection.request_after_100().is_some() && connection.write(OK) {}
    }));
    let mut client = rig.client();
    let first = client.send(EXPECTING).interim_or_final().expect("100");
    assert_eq!(first.status, 100, "{first:?}");
    let answer = client.send(b"hello").response().expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(rig.backend.wait_seen("/row").body, b"hello");
    // And the connection is good for another.
    let next = client.send(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n").response();
    assert_eq!(next.expect("an answer").status, 200);
}

#[test]
fn item_12_a_refusal_instead_of_100_leaves_no_dirty_connection() {
    // Refuses by the head alone. What comes next on the connection is the body, if anything comes.
    let rig = Rig::new(Backend::start(|connection| {
        let Some(head) = connection.head() else { return };
        if head.starts_with("POST") {
            connection.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
            let Some(body) = connection.take_exactly(5) else { return };
            assert_eq!(body, b"hello", "another request's bytes in place of the body");
        } else {
            connection.write(OK);
        }
        while connection.request().is_some() && connection.write(OK) {}
    }));
    let mut client = rig.client();
    let mut first = client.send(EXPECTING).interim_or_final().expect("an answer");
    if first.status == 100 {
        first = client.send(b"hello").response().expect("an answer");
    }
    assert_eq!((first.status, first.body.as_slice()), (403, b"no".as_slice()), "{first:?}");
    for number in 0..3 {
        let next = rig.ask(format!("GET /next{number} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!((next.status, next.body.as_slice()), (200, b"ok".as_slice()), "{next:?}");
    }
    // Whatever requests arrived whole on those connections are the ones that were sent.
    for seen in rig.backend.seen() {
        assert!(seen.line().starts_with("GET /next"), "{seen:?}");
    }
}

#[test]
fn item_12_an_expectation_without_a_body_is_harmless() {
    let rig = Rig::new(Backend::answering(OK));
    let request = b"GET /row HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n";
    let answer = rig.ask(request);
    assert!([200, 417].contains(&answer.status), "{answer:?}");
    let unknown = b"POST /x HTTP/1.1\r\nhost: a\r\nexpect: x\r\ncontent-length: 2\r\n\r\nhi";
    assert!([200, 417].contains(&rig.ask(unknown).status));
}

#[test]
fn item_13_interim_answers_do_not_disturb_the_final_one() {
    if Peer::chosen() == Peer::Nginx {
        return; // This one takes a 103 for the final answer.
    }
    let rig = Rig::new(Backend::answering(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
          HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ));
    let mut client = rig.client();
    for _ in 0..2 {
        let answer = client.send(b"GET /row HTTP/1.1\r\nhost: a\r\n\r\n").response();
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
        assert_eq!(answer.header("link"), None, "the fields of a hint are not the answer's");
        // Passed on in their order, or not at all; never some of them.
        assert!(answer.interim.is_empty() || answer.interim == [103, 102, 103], "{answer:?}");
    }
}

#[test]
fn item_13_endless_interim_answers_come_to_an_end() {
    if Peer::chosen() == Peer::Nginx {
        return; // This one takes a 103 for the final answer.
    }
    let rig = Rig::new(Backend::start(|connection| {
        let hint = [b"HTTP/1.1 103 Early Hints\r\nx-pad: ".as_slice(), &[b'x'; 1000], b"\r\n\r\n"]
            .concat();
        while connection.request().is_some() {
            // 64 MB of them, then an answer, if anybody still listens.
            let bored = (0..64 * 1024).any(|_| !connection.write(&hint));
            if bored || !connection.write(OK) {
                return;
            }
        }
    }));
    let begun = std::time::Instant::now();
    let mut client = rig.client();
    let answer = client.send(b"GET /row HTTP/1.1\r\nhost: a\r\n\r\n").response();
    // Cut off, or digested without keeping them; in either case the next client is served.
    if let Ok(answer) = answer {
        assert!([200, 502].contains(&answer.status), "{}", answer.status);
        assert!(answer.interim.len() <= 64 * 1024);
    }
    assert!(begun.elapsed() < crate::backend::PATIENCE * 3, "{:?}", begun.elapsed());
}

#[test]
fn item_13_a_switch_that_nobody_asked_for_is_a_bad_answer() {
    if Peer::chosen() == Peer::Nginx {
        return; // This one passes it on.
    }
    let rig = Rig::new(Backend::answering(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ));
    let answer = rig.ask(b"GET /row HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.status, 502, "{answer:?}");
}

#[test]
fn item_13_a_switch_that_was_asked_for_relays_both_ways() {
    let rig = Rig::new(Backend::start(|connection| {
        let Some(head) = connection.head() else { return };
        let asked = head.to_ascii_lowercase();
        assert!(
            asked.contains("upgrade: websocket") && asked.contains("connection: upgrade"),
            "{head}"
        );
        connection.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nfirst",
        );
        if connection.take_exactly(4).as_deref() == Some(b"ping") {
            connection.write(b"pong");
        }
        connection.closed();
    }));
    let mut client = rig.client();
    let request =
        b"GET /row HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    let answer = client.send(request).response().expect("an answer");
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")), "{answer:?}");
    assert_eq!(client.take(5), b"first");
    assert_eq!(client.send(b"ping").take(4), b"pong");
}

#[test]
fn item_13_a_refused_switch_is_no_tunnel() {
    let rig = Rig::new(Backend::answering(OK));
    let mut client = rig.client();
    // The second request is sent at once: were this a tunnel, it would go through unread.
    client.send(
        b"GET /row HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
          GET /second HTTP/1.1\r\nhost: a\r\nconnection: x-foo\r\nx-forwarded-proto: fake\r\n\r\n",
    );
    let answer = client.response().expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
    // Either it is an ordinary request now, or the connection is closed.
    if let Ok(second) = client.response() {
        assert_eq!(second.status, 200);
        let seen = rig.backend.wait_seen("/second");
        assert_eq!(seen.values("x-forwarded-proto"), ["http"], "{seen:?}");
    }
}
