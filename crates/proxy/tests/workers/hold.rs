//! Requests that wait: for whom, for how long, and how many.

use std::time::{Duration, Instant};

use proxy::{Leave, Symptom};

use crate::backend::{Backend, Then, free_address};
use crate::rig::{Answer, PATIENCE, Plan, Rig, served, until};

#[test]
fn nothing_is_sent_before_somebody_is_active() {
    let a = Backend::named("a");
    let mut rig = Rig::start(Plan::default(), &[a.address]);
    let mut clients = [rig.client(), rig.client()];
    clients[0].send_get("/");
    clients[1].send_body("POST", "", b"hello");
    rig.await_metric("requests_waiting", 2.0);
    assert_eq!(a.journal.accepted(), 0);

    rig.activate(1, Leave::Finish);
    for client in &mut clients {
        assert_eq!(served(&client.answer()), "a");
    }
    assert_eq!(a.journal.count(), 2);
    assert_eq!(rig.metric("requests_held_total"), 2.0);
    assert_eq!(rig.metric("requests_replayed_total"), 0.0);
    rig.at_rest();
}

#[test]
fn held_requests_go_to_the_next_active() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut client = rig.client();
    assert_eq!(served(&client.get("/1")), "a");

    rig.deactivate(Leave::Finish);
    client.send_get("/2");
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(2, Leave::Finish);
    assert_eq!(served(&client.answer()), "b");
    assert_eq!(a.journal.requests(), ["GET /1 HTTP/1.1"]);
    assert_eq!(b.journal.requests(), ["GET /2 HTTP/1.1"]);
    rig.at_rest();
}

#[track_caller]
fn unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("retry-after: 5\r\n"), "{answer:?}");
}

#[test]
fn one_more_than_may_wait_is_told_at_once() {
    let a = Backend::named("a");
    let mut plan = Plan::default();
    plan.hold.requests = 2;
    let mut rig = Rig::start(plan, &[a.address]);
    let mut waiting = [rig.client(), rig.client()];
    for client in &mut waiting {
        client.send_get("/");
    }
    rig.await_metric("requests_waiting", 2.0);
    unavailable(&rig.client().get("/"));
    assert_eq!(rig.metric("requests_rejected_total overflow"), 1.0);
    assert_eq!(rig.metric("requests_failed_total internal"), 1.0);
    assert_eq!(rig.metric("requests_held_total"), 2.0);

    rig.activate(1, Leave::Finish);
    for client in &mut waiting {
        assert_eq!(served(&client.answer()), "a");
    }
    rig.at_rest();
}

#[test]
fn kept_bodies_count_while_they_wait() {
    // Breaks off the first time a request comes, once its body is there.
    let a = Backend::start(|exchange| {
        exchange.body();
        if exchange.index < 2 { Then::Close } else { exchange.answer("a") }
    });
    let mut plan = Plan::default();
    plan.hold.bytes = 10_000;
    let mut rig = Rig::active(plan, &[a.address]);
    let (mut first, mut second) = (rig.client(), rig.client());
    first.send_body("PUT", "", &[b'x'; 6000]);
    rig.await_metric("requests_held_bytes", 6000.0);
    second.send_body("PUT", "", &[b'y'; 6000]);
    unavailable(&second.answer());
    assert_eq!(rig.metric("requests_rejected_total overflow"), 1.0);
    assert_eq!(rig.metric("requests_waiting"), 1.0);

    assert_eq!(rig.suspicion().symptom, Symptom::Reset);
    rig.clear(1);
    assert_eq!(served(&first.answer()), "a");
    rig.at_rest();
}

#[test]
fn waiting_ends() {
    let mut plan = Plan::default();
    plan.hold.timeout = Duration::from_millis(300);
    let rig = Rig::start(plan, &[free_address()]);
    let mut client = rig.client();
    let begun = Instant::now();
    unavailable(&client.get("/"));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < PATIENCE / 2, "{took:?}");
    assert_eq!(rig.metric("requests_rejected_total timeout"), 1.0);
    assert_eq!(rig.metric("requests_failed_total upstream"), 1.0);
    assert_eq!(rig.metric("requests_total 5xx"), 1.0);
    rig.at_rest();
}

/// A slot is free as soon as who had it has gone.
fn gone_while_waiting(request: &str) {
    let a = Backend::named("a");
    let mut plan = Plan::default();
    plan.hold.requests = 1;
    let mut rig = Rig::start(plan, &[a.address]);
    let mut leaving = rig.client();
    leaving.send(request);
    rig.await_metric("requests_waiting", 1.0);
    drop(leaving);
    rig.await_metric("requests_waiting", 0.0);

    let mut staying = rig.client();
    staying.send_get("/2");
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&staying.answer()), "a");
    assert_eq!(a.journal.requests(), ["GET /2 HTTP/1.1"]);
    rig.at_rest();
}

#[test]
fn a_client_that_leaves_frees_its_slot() {
    gone_while_waiting("GET /1 HTTP/1.1\r\nhost: h\r\n\r\n");
}

#[test]
fn a_client_that_leaves_with_its_body_unread_frees_its_slot() {
    gone_while_waiting("POST /1 HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello");
}

#[test]
fn a_client_that_leaves_in_its_body_frees_its_slot() {
    gone_while_waiting("POST /1 HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhe");
}

#[test]
fn a_client_that_leaves_with_another_request_behind_frees_its_slot() {
    let request = "GET /1 HTTP/1.1\r\nhost: h\r\n\r\n";
    gone_while_waiting(&request.repeat(2));
}

#[test]
fn a_client_that_has_said_everything_may_still_wait() {
    let a = Backend::named("a");
    let mut plan = Plan::default();
    plan.limits.half_close = true;
    let mut rig = Rig::start(plan, &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    client.half_close();
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&client.answer()), "a");
    rig.at_rest();
}

#[test]
fn a_refused_connection_waits_for_a_verdict() {
    let address = free_address();
    let mut rig = Rig::active(Plan::default(), &[address]);
    let mut clients = [rig.client(), rig.client()];
    clients[0].send_get("/");
    clients[1].send_body("POST", "", b"once");
    rig.await_metric("requests_waiting", 2.0);
    let suspicion = rig.suspicion();
    assert_eq!((suspicion.backend.0, suspicion.symptom), (1, Symptom::Refused));

    // Whoever is back is not asked before the verdict.
    let a = Backend::start_at(address, |exchange| match exchange.body() {
        Some(_) => exchange.answer("a"),
        None => Then::Close,
    });
    rig.clear(1);
    for client in &mut clients {
        assert_eq!(served(&client.answer()), "a");
    }
    assert_eq!(a.journal.count(), 2);
    assert_eq!(rig.metric("upstream_connections_failed_total"), 2.0);
    assert_eq!(rig.metric("requests_held_total"), 2.0);
    assert_eq!(rig.metric("requests_replayed_total"), 0.0, "it was never sent");
    rig.at_rest();
}

/// Many requests meet the same trouble; control hears of it once per verdict, and once a second
/// while they wait for one.
#[test]
fn suspicions_arrive_together() {
    const REQUESTS: usize = 20;
    const ROUNDS: usize = 5;
    let mut rig = Rig::active(Plan::default(), &[free_address()]);
    let begun = Instant::now();
    let mut clients: Vec<_> = (0..REQUESTS).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send_get("/");
    }
    let mut heard = 0;
    for round in 1..=ROUNDS {
        rig.await_metric("upstream_connections_failed_total", (round * REQUESTS) as f64);
        rig.await_metric("requests_waiting", REQUESTS as f64);
        rig.suspicion();
        heard += 1;
        if round < ROUNDS {
            rig.clear(1);
        }
    }
    heard += rig.suspicions();
    let repeated = begun.elapsed().as_secs() as usize + 1;
    assert!(heard <= ROUNDS + repeated, "{heard} suspicions");
    assert_eq!(rig.metric("suspicions_total refused"), (ROUNDS * REQUESTS) as f64);
}

#[test]
fn a_silent_backend_is_suspected() {
    let a = Backend::silent();
    let plan = Plan { stall_after: Duration::from_millis(200), ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address]);
    let begun = Instant::now();
    rig.client().send_get("/");
    // That client has gone at once; this one waits.
    let mut client = rig.client();
    client.send_get("/");
    let suspicion = rig.suspicion();
    assert_eq!((suspicion.backend.0, suspicion.symptom), (1, Symptom::Stalled));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    until("one request left", || rig.metric("requests_in_flight") == 1.0);
    assert_eq!(rig.metric("suspicions_total stalled"), 1.0);
}
