//! What becomes of a request whose backend broke off: sent again, or never twice.

use std::io::Read;
use std::sync::{Arc, Mutex};

use proxy::{Leave, Symptom};

use crate::backend::{Backend, Gate, Then};
use crate::rig::{Plan, Rig, served, until};

/// Breaks off the first `times` requests after reading them, and remembers every whole body.
fn breaking(times: usize) -> (Backend, Arc<Mutex<Vec<Vec<u8>>>>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let backend = Backend::start(move |exchange| {
        if let Some(body) = exchange.body() {
            seen.lock().unwrap().push(body);
        }
        if exchange.index < times { Then::Close } else { exchange.answer("a") }
    });
    (backend, bodies)
}

fn attempts(attempts: u32) -> Plan {
    let mut plan = Plan::default();
    plan.replay.attempts = attempts;
    plan
}

#[test]
fn a_post_that_broke_is_never_sent_again() {
    let (a, _) = breaking(1);
    let mut rig = Rig::active(attempts(5), &[a.address]);
    let mut client = rig.client();
    client.send_body("POST", "", b"once");
    let answer = client.answer();
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(rig.suspicion().symptom, Symptom::Reset);
    rig.clear(1);
    // The connection of the client is still good.
    assert_eq!(served(&client.get("/")), "a");
    assert_eq!(a.journal.requests(), ["POST /body HTTP/1.1", "GET / HTTP/1.1"]);
    assert_eq!(rig.metric("requests_failed_total upstream"), 1.0);
    assert_eq!(rig.metric("requests_replayed_total"), 0.0);
    rig.at_rest();
}

#[test]
fn a_get_is_sent_again_as_often_as_allowed() {
    for allowed in [0, 1, 3] {
        let (a, _) = breaking(usize::MAX);
        let mut rig = Rig::active(attempts(allowed), &[a.address]);
        let mut client = rig.client();
        client.send_get("/");
        for round in 1..=allowed {
            a.journal.await_requests(round as usize);
            rig.await_metric("requests_waiting", 1.0);
            assert_eq!(rig.suspicion().symptom, Symptom::Reset);
            assert_eq!(a.journal.count(), round as usize, "not before the verdict");
            rig.clear(1);
        }
        let answer = client.answer();
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(a.journal.count(), 1 + allowed as usize);
        assert_eq!(rig.metric("requests_replayed_total"), f64::from(allowed));
        assert_eq!(rig.metric("upstream_attempts_total"), f64::from(1 + allowed));
        assert_eq!(rig.metric("requests_held_total"), f64::from(allowed.min(1)));
        assert_eq!(rig.metric("requests_failed_total upstream"), 1.0);
        rig.at_rest();
    }
}

#[test]
fn a_replay_goes_to_the_new_active() {
    let ((a, _), b) = (breaking(usize::MAX), Backend::named("b"));
    let mut rig = Rig::active(attempts(1), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_get("/");
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(2, Leave::Abandon);
    assert_eq!(served(&client.answer()), "b");
    assert_eq!((a.journal.count(), b.journal.count()), (1, 1));
    rig.at_rest();
}

#[test]
fn a_replay_has_the_same_body() {
    let body: Vec<u8> = (0..60_000_u32).map(|byte| (byte % 251) as u8).collect();
    let (a, bodies) = breaking(1);
    let mut rig = Rig::active(attempts(1), &[a.address]);
    let mut client = rig.client();
    client.send_body("POST", "Idempotency-Key: 7\r\n", &body);
    rig.await_metric("requests_held_bytes", 60_000.0);
    assert_eq!(rig.suspicion().symptom, Symptom::Reset);
    rig.clear(1);
    assert_eq!(served(&client.answer()), "a");
    assert!(*bodies.lock().unwrap() == [body.clone(), body], "another body");
    assert_eq!(rig.metric("requests_replayed_total"), 1.0);
    rig.at_rest();
}

/// The backend breaks off while the body is still on its way: what it got is repeated, and what
/// comes later follows.
#[test]
fn a_replay_goes_on_where_the_client_is() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let a = Backend::start(move |exchange| {
        if exchange.index == 0 {
            // The first chunk, and no more.
            let mut space = [0; 10];
            exchange.stream.read_exact(&mut space).expect("a chunk");
            return Then::Close;
        }
        seen.lock().unwrap().push(exchange.body());
        exchange.answer("a")
    });
    let mut rig = Rig::active(attempts(1), &[a.address]);
    let mut client = rig.client();
    client.send("PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
    a.journal.await_requests(1);
    client.send("5\r\nfirst\r\n");
    rig.await_metric("requests_waiting", 1.0);
    assert_eq!(rig.suspicion().symptom, Symptom::Reset);
    rig.clear(1);
    a.journal.await_requests(2);
    client.send("6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(served(&client.answer()), "a");
    assert_eq!(*bodies.lock().unwrap(), [Some(b"firstsecond".to_vec())]);
    rig.at_rest();
}

#[test]
fn only_what_fits_the_buffer_is_sent_again() {
    for (size, status) in [(1000, 200), (1001, 502)] {
        let (a, _) = breaking(1);
        let mut plan = attempts(1);
        plan.replay.buffer = 1000;
        let mut rig = Rig::active(plan, &[a.address]);
        let mut client = rig.client();
        client.send_body("PUT", "", &vec![b'x'; size]);
        assert_eq!(rig.suspicion().symptom, Symptom::Reset);
        if status == 200 {
            rig.await_metric("requests_held_bytes", 1000.0);
            rig.clear(1);
        }
        let answer = client.answer();
        assert_eq!(answer.status, status, "{size} bytes: {answer:?}");
        assert_eq!(a.journal.count(), if status == 200 { 2 } else { 1 }, "{size} bytes");
        rig.at_rest();
    }
}

/// A larger body is no smaller for it: it passes through whole.
#[test]
fn a_large_body_passes_through() {
    let (a, bodies) = breaking(0);
    let mut plan = attempts(1);
    plan.replay.buffer = 1000;
    let rig = Rig::active(plan, &[a.address]);
    let body: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    let mut client = rig.client();
    client.send_body("POST", "", &body);
    assert_eq!(served(&client.answer()), "a");
    assert!(*bodies.lock().unwrap() == [body], "another body");
    rig.at_rest();
}

/// The backend closes a connection that we keep: the next request, of whatever kind, loses nothing
/// and is sent once.
#[test]
fn a_connection_that_went_stale_costs_nothing() {
    let a = Backend::start(|exchange| {
        exchange.body();
        exchange.answer("a");
        Then::Close
    });
    let rig = Rig::active(attempts(0), &[a.address]);
    let mut client = rig.client();
    for round in 1..=20 {
        client.send_body("POST", "", b"once");
        assert_eq!(served(&client.answer()), "a");
        until("the backend to close", || a.journal.closed() == round);
    }
    assert_eq!(a.journal.count(), 20);
    assert_eq!(rig.metric("upstream_connections_opened_total"), 20.0);
    assert_eq!(rig.metric("upstream_connections_reused_total"), 0.0);
    assert_eq!(rig.metric("requests_held_total"), 0.0);
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

const EVIL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";

/// What a backend says unasked on an idle connection is not the answer to the next request.
#[test]
fn nobody_asked() {
    let (gate, done) = (Gate::default(), Gate::default());
    let (open, told) = (gate.clone(), done.clone());
    let a = Backend::start(move |exchange| {
        exchange.answer("a");
        if exchange.index == 0 {
            open.pass();
            exchange.write(EVIL);
            told.open();
        }
        Then::Next
    });
    let rig = Rig::active(attempts(0), &[a.address]);
    let mut client = rig.client();
    assert_eq!(served(&client.get("/1")), "a");
    rig.await_metric("upstream_connections_idle", 1.0);
    gate.open();
    done.pass();
    assert_eq!(served(&client.get("/2")), "a");
    assert_eq!(a.journal.requests(), ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"]);
    assert_eq!(a.journal.accepted(), 2);
    rig.at_rest();
}

#[test]
fn nobody_asked_right_behind_an_answer() {
    let a = Backend::start(|exchange| {
        let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na".to_vec();
        bytes.extend_from_slice(EVIL);
        exchange.write(&bytes);
        Then::Next
    });
    let rig = Rig::active(attempts(0), &[a.address]);
    let mut client = rig.client();
    for round in 1..=5 {
        assert_eq!(served(&client.get("/")), "a");
        assert_eq!(a.journal.accepted(), round, "such a connection is not used again");
    }
    rig.at_rest();
}

/// The client breaks off in its body: the backend must not take what it got for the whole.
#[test]
fn half_an_upload_never_looks_whole() {
    let framings = [
        ("content-length: 10\r\n\r\nhello", "of known length"),
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "in chunks"),
    ];
    for (rest, what) in framings {
        let (whole, seen) = (Arc::new(Mutex::new(Vec::new())), Gate::default());
        let (bodies, arrived) = (Arc::clone(&whole), seen.clone());
        let a = Backend::start(move |exchange| {
            arrived.open();
            bodies.lock().unwrap().push(exchange.body().is_some());
            exchange.answer("a")
        });
        let rig = Rig::active(attempts(1), &[a.address]);
        let mut client = rig.client();
        client.send(format!("PUT / HTTP/1.1\r\nhost: h\r\n{rest}"));
        seen.pass();
        client.half_close();
        until("the backend to notice", || !whole.lock().unwrap().is_empty());
        assert_eq!(*whole.lock().unwrap(), [false], "{what}");
        rig.await_metric("requests_failed_total downstream", 1.0);
        rig.at_rest();
        assert_eq!(a.journal.count(), 1, "{what}");
        assert_eq!(rig.metric("upstream_connections_idle"), 0.0);
        assert_eq!(served(&rig.client().get("/")), "a");
    }
}

/// An answer need not await the end of the body; and such a connection is not used again.
#[test]
fn an_early_answer_gets_through() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
        Then::Next
    });
    let rig = Rig::active(attempts(1), &[a.address]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\nhello");
    let answer = client.answer();
    assert_eq!((answer.status, &*answer.body), (413, "no"));
    rig.await_metric("upstream_connections_idle", 0.0);
    rig.at_rest();
}
