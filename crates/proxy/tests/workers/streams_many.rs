//! How many connections streams need: as few as the backend allows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use proxy::Leave;

use crate::backend::Deaf;
use crate::http2::{Http2Backend, Http2Client, Sent};
use crate::rig::{Plan, Rig, until};

/// Answers nothing before it is let; takes `most` streams at a time.
fn waiting(most: u32) -> (Http2Backend, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(most);
    let backend = Http2Backend::start_with(builder, move |call| {
        let gate = Arc::clone(&passed);
        async move {
            let _ = gate.acquire().await;
            call.answer("a");
        }
    });
    (backend, gate)
}

fn hundred(rig: &Rig) -> (Http2Client, Vec<Sent>) {
    few(rig, 100)
}

/// So many requests at once.
fn few(rig: &Rig, count: usize) -> (Http2Client, Vec<Sent>) {
    let mut client = Http2Client::connect(rig.address);
    let sent = (0..count).map(|_| client.send_body("POST", b"once")).collect();
    (client, sent)
}

#[test]
fn a_hundred_at_once_share_a_connection() {
    let (a, gate) = waiting(1000);
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let (_client, sent) = hundred(&rig);
    a.journal.await_requests(100);
    assert_eq!(a.most_open(), [100]);
    gate.close();
    for sent in sent {
        assert_eq!(sent.whole().served(), "a");
    }
    assert_eq!(a.journal.count(), 100);
    assert_eq!(rig.metric("upstream_connections_opened_total"), 1.0);
    rig.at_rest();
}

#[test]
fn more_than_may_share_a_connection_open_another() {
    let (a, gate) = waiting(1000);
    let mut plan = Plan::http2();
    plan.connections.streams = 30;
    let rig = Rig::active(plan, &[a.address]);
    let (mut client, sent) = hundred(&rig);
    a.journal.await_requests(100);
    assert_eq!(a.most_open(), [30, 30, 30, 10]);
    gate.close();
    for sent in sent {
        assert_eq!(sent.whole().served(), "a");
    }
    assert_eq!(client.get("/").served(), "a");
    assert_eq!(a.journal.accepted(), 4, "the old ones are used on");
    rig.at_rest();
}

/// A backend that has said how many it takes is not asked for more.
#[test]
fn the_backends_own_limit_is_known_after_the_first_exchange() {
    let (a, gate) = waiting(10);
    let rig = Rig::active(Plan::http2(), &[a.address]);
    gate.add_permits(1);
    assert_eq!(Http2Client::connect(rig.address).get("/").served(), "a");
    let permit = gate.try_acquire().expect("it has been given back");
    let (_client, sent) = few(&rig, 10);
    a.journal.await_requests(11);
    assert_eq!(a.most_open(), [10]);
    permit.forget();
    gate.close();
    for sent in sent {
        assert_eq!(sent.whole().served(), "a");
    }
    rig.at_rest();
}

#[test]
fn one_failed_opening_fails_all_who_waited() {
    let a = Deaf::start();
    let mut plan = Plan::http2();
    plan.timeouts.connect = Duration::from_millis(500);
    let mut rig = Rig::active(plan, &[a.address]);
    let (_client, sent) = hundred(&rig);
    // All at once, not one after the other.
    rig.await_metric("requests_waiting", 100.0);
    let b = Http2Backend::named("b");
    let mut service = (*rig.snapshot.services[0]).clone();
    service.backends[0].destination = crate::rig::destination(b.address);
    rig.snapshot.services[0] = Arc::new(service);
    rig.configure(Vec::new());
    rig.clear(1);
    for sent in sent {
        assert_eq!(sent.whole().served(), "b");
    }
    assert_eq!(b.journal.accepted(), 1);
    rig.at_rest();
}

/// Who opens for all may leave; the others go on.
#[test]
fn a_client_that_leaves_while_opening_fails_nobody() {
    let a = Deaf::start();
    let b = Http2Backend::named("b");
    let mut rig = Rig::active(Plan::http2(), &[a.address, b.address]);
    let mut first = Http2Client::connect(rig.address);
    let opener = first.send_get("/");
    rig.await_metric("requests_in_flight", 1.0);
    let mut client = Http2Client::connect(rig.address);
    let others: Vec<_> = (0..10).map(|_| client.send_body("POST", b"once")).collect();
    rig.await_metric("requests_in_flight", 11.0);
    opener.cancel();
    rig.await_metric("requests_in_flight", 10.0);
    assert_eq!(rig.metric("requests_held_total"), 0.0);
    rig.activate(2, Leave::Finish);
    for sent in others {
        assert_eq!(sent.whole().served(), "b");
    }
    assert_eq!(b.journal.accepted(), 1);
    assert_eq!(rig.metric("suspicions_total"), 0.0);
    rig.at_rest();
}

#[test]
fn the_backends_own_limit_is_respected() {
    let (a, gate) = waiting(10);
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let (_client, sent) = hundred(&rig);
    until("a hundred streams", || a.open() == 100);
    assert_eq!(a.most_open(), [10; 10]);
    gate.close();
    for sent in sent {
        assert_eq!(sent.whole().served(), "a");
    }
    assert_eq!(a.journal.count(), 100, "none was refused, none sent twice");
    assert_eq!(rig.metric("requests_held_total"), 0.0);
    assert_eq!(rig.metric("suspicions_total"), 0.0);
    rig.at_rest();
}
