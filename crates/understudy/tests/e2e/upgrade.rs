//! A connection that has switched protocols stays where it is, while the service moves.

use benches::fetch::get;

use crate::client::Client;
use crate::stage::Stage;

const QUICK: &str = "health: { http: { path: /healthz }, interval: 100ms, confirm_interval: 20ms }";
const OPEN: &str = "understudy_streams_open";

/// A client that speaks another protocol than HTTP, with whom it says.
fn switched(stage: &Stage) -> (Client, String) {
    let mut client = Client::connect(stage.understudy.address());
    // The handshake of RFC 6455 section 1.3; what follows is up to the two ends.
    client.send(
        "GET /ws HTTP/1.1\r\nhost: a.example\r\nconnection: keep-alive, Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let answer = client.response().expect("an answer");
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(answer.header("upgrade"), Some("websocket"), "{answer:?}");
    let origin = answer.header("x-origin").expect("an origin").to_owned();
    (client, origin)
}

/// What is sent comes back; whatever the bytes, and more of them than any buffer has room for.
fn assert_echoes(client: &mut Client, seed: u8) {
    for round in 0..32_u8 {
        let piece: Vec<u8> =
            (0..40_000_u32).map(|index| (index % 251) as u8 ^ seed ^ round).collect();
        client.send(&piece);
        assert!(client.take(piece.len()) == piece, "round {round} came back changed");
    }
}

#[test]
fn a_stream_stays_on_its_backend_when_the_service_moves() {
    let stage = Stage::new(QUICK);
    let (mut old, origin) = switched(&stage);
    assert_eq!(origin, "a");
    assert_echoes(&mut old, 0);
    stage.a.control("health=503");
    stage.understudy.wait_active("b");
    // New ones go to the new active at once, and the old one goes on.
    let (mut new, origin) = switched(&stage);
    assert_eq!(origin, "b");
    let answer = get(stage.understudy.address(), "/").expect("an answer");
    assert_eq!(answer.header("x-origin"), Some("b"));
    assert_echoes(&mut old, 1);
    assert_echoes(&mut new, 2);
    stage.understudy.wait_metric(OPEN, &[], |open| open == 2.0);
    drop((old, new));
    stage.understudy.wait_metric(OPEN, &[], |open| open == 0.0);
    stage.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 0.0);
}

#[test]
fn a_stream_ends_with_its_backend_and_the_next_one_is_at_the_new_active() {
    let mut stage = Stage::new(QUICK);
    let (mut old, _) = switched(&stage);
    assert_echoes(&mut old, 0);
    stage.a.process.kill();
    assert!(old.is_closed(), "the client is told");
    let (mut new, origin) = switched(&stage);
    assert_eq!(origin, "b");
    assert_echoes(&mut new, 1);
    drop(old);
    stage.understudy.wait_metric(OPEN, &[], |open| open == 1.0);
}

#[test]
fn what_follows_a_switch_that_is_refused_is_not_relayed() {
    let stage = Stage::new(QUICK);
    let mut client = Client::connect(stage.understudy.address());
    client.send(
        "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n",
    );
    assert_eq!(client.response().expect("an answer").status, 200, "an answer like any other");
    // The second is a request of its own to us, and so to the backend.
    assert_eq!(client.response().expect("an answer").status, 404);
    assert_eq!(stage.a.journal().len(), 2);
    assert_eq!(stage.metric(OPEN, &[]), 0);
}
