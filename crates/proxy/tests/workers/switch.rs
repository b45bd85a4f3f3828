//! Moving the traffic: nothing leaks to a backend that has been left, and what was in flight ends as
//! the order says.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use config::model::StreamPolicy;
use proxy::Leave;

use crate::backend::{Backend, Deaf, Gate, Ledger, Then};
use crate::rig::{Client, PATIENCE, Plan, Rig, served, until};

/// Two workers, many connections, many moves: once an order is acknowledged, nothing is sent to the
/// backend that has been left; and every request is answered by one backend, once.
#[test]
fn nothing_reaches_the_one_that_was_left() {
    const CONNECTIONS: usize = 24;
    const MOVES: u32 = 60;
    let ledgers = [Ledger::start("a"), Ledger::start("b")];
    let plan = Plan { workers: 2, ..Plan::default() };
    let mut rig = Rig::start(plan, &ledgers.each_ref().map(|ledger| ledger.address));
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = rig.address;
    thread::scope(|scope| {
        for index in 0..CONNECTIONS {
            let (stop, answered) = (&stop, &answered);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    served(&client.get("/"));
                    answered.fetch_add(1, SeqCst);
                    // Some use one connection for long, some open many.
                    if index % 4 == 0 {
                        client = Client::connect(address);
                    }
                }
            });
        }
        for step in 0..MOVES {
            let (old, new) = ((step % 2) as usize, (1 - step % 2) as usize);
            if step % 5 == 0 {
                rig.deactivate(Leave::Finish);
                ledgers[old].fence();
                thread::yield_now();
            }
            ledgers[new].unfence();
            rig.activate(new as u32 + 1, Leave::Finish);
            ledgers[old].fence();
            // The load goes on with the new one before the next move.
            let before = answered.load(SeqCst);
            until("answers", || answered.load(SeqCst) >= before + CONNECTIONS);
        }
        stop.store(true, SeqCst);
    });
    let [(a, leaked_to_a), (b, leaked_to_b)] = ledgers.each_ref().map(Ledger::count);
    assert_eq!((leaked_to_a, leaked_to_b), (0, 0));
    assert_eq!(a + b, answered.load(SeqCst), "each request was carried out once");
    assert!(a > CONNECTIONS && b > CONNECTIONS, "{a} and {b}");
    assert_eq!(rig.metric("requests_total 2xx"), (a + b) as f64);
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

/// Answers with `name` when `gate` is open.
fn behind(gate: &Gate, name: &'static str) -> Backend {
    let gate = gate.clone();
    Backend::start(move |exchange| {
        exchange.body();
        gate.pass();
        exchange.answer(name)
    })
}

#[test]
fn finish_lets_a_slow_request_end_where_it_is() {
    let gate = Gate::default();
    let (a, b) = (behind(&gate, "a"), Backend::named("b"));
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut slow = rig.client();
    slow.send_get("/slow");
    a.journal.await_requests(1);
    rig.activate(2, Leave::Finish);
    assert_eq!(served(&rig.client().get("/next")), "b");
    gate.open();
    assert_eq!(served(&slow.answer()), "a");
    assert_eq!(served(&slow.get("/later")), "b");
    assert_eq!(rig.metric("requests_replayed_total"), 0.0);
    rig.at_rest();
}

fn settling(settle: Duration) -> Plan {
    let mut plan = Plan::default();
    plan.replay.settle = settle;
    plan
}

#[test]
fn abandon_moves_what_may_be_repeated() {
    let (a, b) = (Backend::silent(), Backend::named("b"));
    let mut rig = Rig::active(settling(6 * PATIENCE), &[a.address, b.address]);
    let mut clients = [rig.client(), rig.client(), rig.client()];
    clients[0].send_get("/get");
    clients[1].send_body("PUT", "", b"put");
    clients[2].send_body("POST", "Idempotency-Key: 7\r\n", b"keyed");
    a.journal.await_requests(3);
    rig.activate(2, Leave::Abandon);
    for client in &mut clients {
        assert_eq!(served(&client.answer()), "b");
    }
    assert_eq!((a.journal.count(), b.journal.count()), (3, 3));
    assert_eq!(rig.metric("requests_replayed_total"), 3.0);
    rig.at_rest();
}

#[test]
fn abandon_by_way_of_nobody() {
    let (a, b) = (Backend::silent(), Backend::named("b"));
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_get("/");
    a.journal.await_requests(1);
    rig.deactivate(Leave::Abandon);
    rig.activate(2, Leave::Finish);
    assert_eq!(served(&client.answer()), "b");
    rig.at_rest();
}

#[test]
fn abandon_never_sends_a_post_twice() {
    let (a, b) = (Backend::silent(), Backend::named("b"));
    let settle = Duration::from_millis(400);
    let mut rig = Rig::active(settling(settle), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_body("POST", "", b"once");
    a.journal.await_requests(1);
    let left = Instant::now();
    rig.activate(2, Leave::Abandon);
    let answer = client.answer();
    assert_eq!(answer.status, 504, "{answer:?}");
    // Measured in sweeps, ten a second.
    let took = left.elapsed();
    assert!(took >= settle - Duration::from_millis(200) && took < PATIENCE / 2, "{took:?}");
    assert_eq!((a.journal.count(), b.journal.count()), (1, 0));
    assert_eq!(rig.metric("requests_failed_total upstream"), 1.0);
    rig.at_rest();
}

#[test]
fn a_post_may_still_be_answered_while_it_settles() {
    let gate = Gate::default();
    let (a, b) = (behind(&gate, "a"), Backend::named("b"));
    let mut rig = Rig::active(settling(6 * PATIENCE), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_body("POST", "", b"once");
    a.journal.await_requests(1);
    rig.activate(2, Leave::Abandon);
    assert_eq!(served(&rig.client().get("/")), "b");
    gate.open();
    assert_eq!(served(&client.answer()), "a");
    assert_eq!((a.journal.count(), b.journal.count()), (1, 1));
    rig.at_rest();
}

/// A backend that does not even take connections: who still tries turns to the new active.
#[test]
fn whoever_is_still_connecting_turns_away() {
    let (a, b) = (Deaf::start(), Backend::named("b"));
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_body("POST", "", b"once");
    rig.await_metric("requests_in_flight", 1.0);
    rig.activate(2, Leave::Finish);
    assert_eq!(served(&client.answer()), "b");
    assert_eq!(rig.metric("requests_replayed_total"), 0.0, "it was never sent");
    rig.at_rest();
}

/// Whoever need not wait is not turned away because others do: at a failover, as many as allowed
/// may be waiting at the very moment when those in flight are moved.
#[test]
fn a_full_hold_is_no_reason_not_to_move() {
    let a = Backend::start(|exchange| {
        if exchange.head.starts_with("GET /break ") {
            return Then::Close;
        }
        // Not before the proxy closes it.
        exchange.body_until_closed();
        Then::Close
    });
    let b = Backend::named("b");
    let mut plan = Plan::default();
    plan.hold.requests = 1;
    let mut rig = Rig::active(plan, &[a.address, b.address]);
    let (mut waiting, mut hanging) = (rig.client(), rig.client());
    waiting.send_get("/break");
    rig.await_metric("requests_waiting", 1.0);
    hanging.send_get("/hang");
    a.journal.await_requests(2);
    rig.activate(2, Leave::Abandon);
    assert_eq!(served(&hanging.answer()), "b");
    assert_eq!(served(&waiting.answer()), "b");
    assert_eq!(rig.metric("requests_held_total"), 1.0);
    assert_eq!(rig.metric("requests_rejected_total"), 0.0);
    rig.at_rest();
}

/// Half an answer cannot be mended by another backend: the client must see that it is not whole.
#[test]
fn half_an_answer_is_cut_off() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        Then::Close
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    assert_eq!(client.try_answer(), None);
    assert_eq!(a.journal.count(), 1);
    rig.await_metric("requests_failed_total upstream", 1.0);
    rig.at_rest();
}

/// Nobody reads the rest: the backend need not send it.
#[test]
fn a_client_that_leaves_in_the_answer_ends_it() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        exchange.body_until_closed();
        Then::Close
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    rig.await_metric("requests_total 2xx", 1.0);
    assert_eq!(rig.metric("requests_in_flight"), 1.0);
    drop(client);
    until("the connection to be closed", || a.journal.closed() == 1);
    rig.await_metric("requests_failed_total downstream", 1.0);
    rig.at_rest();
}

#[test]
fn no_answer_in_time() {
    let a = Backend::silent();
    let mut plan = Plan::default();
    plan.timeouts.response = Duration::from_millis(300);
    let rig = Rig::active(plan, &[a.address]);
    let begun = Instant::now();
    let answer = rig.client().get("/");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(a.journal.count(), 1, "it may be busy: not even a GET is sent again");
    assert_eq!(rig.metric("requests_failed_total upstream"), 1.0);
    until("the connection to be closed", || a.journal.closed() == 1);
    rig.at_rest();
}

/// What a request may still take at the old active is no matter once it is at the new one.
#[test]
fn a_request_that_has_moved_on_is_not_closed_with_what_it_left() {
    let (gone, finish) = (Gate::default(), Gate::default());
    let a = {
        let gone = gone.clone();
        Backend::start(move |exchange| {
            if exchange.head.starts_with("GET /stays ") {
                exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
                exchange.body_until_closed();
            } else {
                gone.pass();
            }
            Then::Close
        })
    };
    let b = {
        let finish = finish.clone();
        Backend::start(move |exchange| {
            exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nb");
            finish.pass();
            exchange.write(b"b");
            Then::Next
        })
    };
    let deadline = Duration::from_millis(300);
    let streams = StreamPolicy::Close { deadline, window: Duration::ZERO };
    let plan = Plan { streams, ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address, b.address]);
    let (mut client, mut stays) = (rig.client(), rig.client());
    stays.send_get("/stays");
    stays.read_until("half");
    client.send_get("/");
    a.journal.await_requests(2);
    rig.activate(2, Leave::Finish);
    gone.open();
    b.journal.await_requests(1);
    // Their time at the old active is over when what stayed there has been closed.
    assert!(stays.is_closed());
    rig.await_metric("streams_closed_total", 1.0);
    finish.open();
    assert_eq!(served(&client.answer()), "bb");
    assert_eq!(rig.metric("streams_closed_total"), 1.0);
    rig.at_rest();
}
