//! A strict move and streams that would never end: they are told goodbye, and nobody waits for them.

use std::thread;
use std::time::{Duration, Instant};

use super::Bridge;
use crate::client::Client;

#[test]
fn a_strict_move_tells_streams_goodbye_and_does_not_wait_for_them() {
    let bridge = Bridge::new("exclusive: { drain: 9s }");
    let mut socket = Client::connect(bridge.understudy.address());
    // The handshake of RFC 6455 section 1.3.
    socket.send(
        "GET /ws HTTP/1.1\r\nhost: a.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let answer = socket.response().expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (101, Some("a")));
    let mut events = Client::connect(bridge.understudy.address());
    events.send("GET /sse?ms=20 HTTP/1.1\r\nhost: a.example\r\n\r\n");
    let begun = String::from_utf8_lossy(&events.take(300)).into_owned();
    assert!(begun.starts_with("HTTP/1.1 200 ") && begun.contains("data: a\n"), "{begun}");
    // A text of two bytes, masked with zeros, comes back as it went.
    let text = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
    socket.send(text);
    assert_eq!(socket.take(text.len()), text);

    // Says goodbye as well when it hears one, as every client must.
    let goodbye = thread::spawn(move || {
        let close = socket.take(2);
        let said = socket.take(usize::from(close[1]));
        socket.send([0x88, 0x82, 0, 0, 0, 0, said[0], said[1]]);
        (close[0], u16::from_be_bytes([said[0], said[1]]), said, socket.is_closed())
    });
    let begun = Instant::now();
    assert!(bridge.done("switchover --to b").starts_with("web: a -> b, epoch "));
    assert!(begun.elapsed() < Duration::from_secs(8), "waited for streams: {:?}", begun.elapsed());

    let (kind, code, said, is_closed) = goodbye.join().expect("a goodbye");
    assert_eq!((kind, code, is_closed), (0x88, 1012, true), "service restart (RFC 6455 7.4)");
    assert!(std::str::from_utf8(&said[2..]).is_ok(), "{said:?}");
    // All that came until it was closed.
    events.take(usize::MAX);
    assert!(events.is_closed());
    bridge.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 0.0);
    // Nor may a drill have two at work at once.
    let said = bridge.cli("drill --for 1s --tagged X-Drill").refused();
    assert!(said.contains("exclusive"), "{said}");
    let incident = bridge.incidents().remove(0);
    assert_eq!(incident["counts"]["failed"], 0, "{incident:#}");
}
