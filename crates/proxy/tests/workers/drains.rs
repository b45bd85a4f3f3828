//! Holding a service before a move: nobody starts on the old active after anybody has on the new one,
//! and with a drain the old one has nothing to do any more.

use std::future::poll_fn;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use config::model::StreamPolicy;
use proxy::{Drain, Held, Leave};
use tokio::sync::Semaphore;

use crate::backend::{Backend, Deaf, Exchange, Gate, Ledger, Then};
use crate::http2::{Http2Backend, Http2Client, read, wait};
use crate::rig::{Client, PATIENCE, Plan, Rig, served, until};

/// Long enough that no test sees the end of it.
const FAR: Duration = Duration::from_secs(60);

fn drain(within: Duration, leave: Leave) -> Option<Drain> {
    Some(Drain { within, leave })
}

/// Answers with `name` when `gate` is open, whatever is asked under `/slow`.
fn slow(gate: &Gate, name: &'static str) -> Backend {
    let gate = gate.clone();
    Backend::start(move |exchange| {
        exchange.body();
        if exchange.head.contains(" /slow ") {
            gate.pass();
        }
        exchange.answer(name)
    })
}

/// Two workers, many connections, a hundred moves by way of a hold. What is in a socket of the old
/// active when the hold is acknowledged was begun before; from then on nothing comes to it, whereas the
/// new one gets nothing before.
#[test]
fn nobody_starts_on_the_old_one_after_the_first_on_the_new_one() {
    const CONNECTIONS: usize = 16;
    const MOVES: u32 = 100;
    let ledgers = [Ledger::start("a"), Ledger::start("b")];
    let plan = Plan { workers: 2, ..Plan::default() };
    let mut rig = Rig::start(plan, &ledgers.each_ref().map(|ledger| ledger.address));
    ledgers[0].unfence();
    rig.activate(1, Leave::Finish);
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
                    if index % 4 == 0 {
                        client = Client::connect(address);
                    }
                }
            });
        }
        for step in 0..MOVES {
            let (old, new) = ((step % 2) as usize, (1 - step % 2) as usize);
            assert_eq!(rig.hold(None), Held { cut: 0 });
            // In this order: what the old one gets from here on is a leak, and so is what the new one
            // got so far.
            ledgers[old].fence();
            ledgers[new].unfence();
            if step % 10 == 7 {
                // Called off: back to the old one.
                ledgers[new].fence();
                ledgers[old].unfence();
                rig.release();
                let before = answered.load(SeqCst);
                until("answers", || answered.load(SeqCst) >= before + CONNECTIONS);
                rig.hold(None);
                ledgers[old].fence();
                ledgers[new].unfence();
            }
            rig.activate(new as u32 + 1, Leave::Finish);
            let before = answered.load(SeqCst);
            until("answers", || answered.load(SeqCst) >= before + CONNECTIONS);
        }
        stop.store(true, SeqCst);
    });
    let [(a, leaked_to_a), (b, leaked_to_b)] = ledgers.each_ref().map(Ledger::count);
    assert_eq!((leaked_to_a, leaked_to_b), (0, 0));
    assert_eq!(a + b, answered.load(SeqCst), "each request was carried out once");
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

/// When a backend worked on what: from its first byte read to its answer written.
#[derive(Clone)]
struct Work(Arc<Mutex<Vec<(Instant, Instant, usize)>>>);

impl Work {
    fn backend(&self, index: usize) -> Backend {
        let work = self.clone();
        Backend::start(move |exchange| {
            let begun = Instant::now();
            thread::sleep(Duration::from_micros(500 + 700 * (exchange.index % 5) as u64));
            // The end is taken before the proxy can see it.
            work.0.lock().unwrap().push((begun, Instant::now(), index));
            exchange.answer(if index == 0 { "a" } else { "b" })
        })
    }
}

/// By time stamps at the backends: with a drain, no two of them ever work at once.
#[test]
fn drained_moves_never_overlap() {
    const CONNECTIONS: usize = 8;
    const MOVES: u32 = 100;
    let work = Work(Arc::default());
    let backends = [work.backend(0), work.backend(1)];
    let plan = Plan { workers: 2, ..Plan::default() };
    let mut rig = Rig::active(plan, &backends.each_ref().map(|backend| backend.address));
    let (stop, address) = (AtomicBool::new(false), rig.address);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            let stop = &stop;
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    served(&client.get("/"));
                }
            });
        }
        until("requests", || backends[0].journal.count() >= CONNECTIONS);
        for step in 0..MOVES {
            let held = rig.hold(drain(FAR, Leave::Finish));
            assert_eq!(held, Held { cut: 0 });
            let next = &backends[1 - (step % 2) as usize];
            let before = next.journal.count();
            rig.activate(2 - step % 2, Leave::Finish);
            until("requests", || next.journal.count() >= before + CONNECTIONS);
        }
        stop.store(true, SeqCst);
    });
    let mut work = work.0.lock().unwrap().clone();
    work.sort();
    let mut ends = [None::<Instant>; 2];
    let mut turns = 0;
    for pair in work.windows(2) {
        turns += usize::from(pair[0].2 != pair[1].2);
    }
    for (begun, ended, index) in work {
        let other = ends[1 - index];
        assert!(other.is_none_or(|other| other <= begun), "both have worked at once");
        ends[index] = ends[index].max(Some(ended));
    }
    assert_eq!(turns, MOVES as usize);
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

#[test]
fn a_drain_takes_as_long_as_the_last_request() {
    let gate = Gate::default();
    let (a, b) = (slow(&gate, "a"), Backend::named("b"));
    let plan = Plan { workers: 2, ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address, b.address]);
    let begun = Instant::now();
    assert_eq!(rig.hold(drain(FAR, Leave::Finish)), Held { cut: 0 });
    assert!(begun.elapsed() < PATIENCE / 2, "there is nothing to wait for");
    rig.release();

    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let gate = Gate::default();
        let a = slow(&gate, "a");
        let mut service = (*rig.snapshot.services[0]).clone();
        service.backends[0].destination = crate::rig::destination(a.address);
        rig.snapshot.services[0] = Arc::new(service);
        rig.configure(Vec::new());
        let mut clients = [rig.client(), rig.client(), rig.client()];
        for client in &mut clients {
            client.send_get("/slow");
        }
        a.journal.await_requests(3);
        let holding = rig.start_hold(drain(FAR, Leave::Finish));
        let mut held = rig.client();
        held.send_get("/held");
        rig.await_metric("requests_waiting", 1.0);
        assert!(!holding.is_finished());
        let opened = Instant::now();
        gate.open();
        assert_eq!(holding.join().unwrap(), Held { cut: 0 });
        fastest = fastest.min(opened.elapsed());
        for client in &mut clients {
            assert_eq!(served(&client.answer()), "a");
        }
        rig.activate(2, Leave::Finish);
        assert_eq!(served(&held.answer()), "b");
        rig.activate(1, Leave::Finish);
    }
    // Not only with the next sweep, of which there are ten a second: ten in a row would all have to
    // come right before one.
    assert!(fastest < Duration::from_millis(30), "{fastest:?}");
    assert_eq!(rig.metric("requests_cut_total"), 0.0);
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

/// At the deadline: what may be repeated goes to the next active, of the rest each client is told.
#[test]
fn the_deadline_cuts() {
    let a = Backend::start(|exchange| {
        if exchange.head.contains(" /half ") {
            exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun");
        }
        exchange.body_until_closed();
        Then::Close
    });
    let b = Backend::named("b");
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut clients = [rig.client(), rig.client(), rig.client()];
    clients[0].send_get("/whole");
    clients[1].send_body("POST", "", b"once");
    clients[2].send_get("/half");
    clients[2].read_until("begun");
    a.journal.await_requests(3);
    let begun = Instant::now();
    let within = Duration::from_millis(250);
    assert_eq!(rig.hold(drain(within, Leave::Finish)), Held { cut: 3 });
    let took = begun.elapsed();
    assert!(took >= within && took < PATIENCE / 2, "{took:?}");
    until("the connections to be closed", || a.journal.closed() == 3);
    assert_eq!(clients[1].answer().status, 504);
    assert!(clients[2].is_closed());
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(2, Leave::Finish);
    assert_eq!(served(&clients[0].answer()), "b");
    assert_eq!(b.journal.requests(), ["GET /whole HTTP/1.1"]);
    assert_eq!(rig.metric("requests_cut_total"), 3.0);
    assert_eq!(rig.metric("requests_replayed_total"), 1.0);
    rig.at_rest();
}

/// A client that takes nothing cannot keep its response alive.
#[test]
fn the_deadline_cuts_what_nobody_takes() {
    for http2 in [false, true] {
        let a = Backend::start(|exchange| {
            exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\nbegun");
            exchange.write(&vec![b'x'; 100_000_000]);
            exchange.body_until_closed();
            Then::Close
        });
        let rig = Rig::active(Plan::default(), &[a.address]);
        let mut client = rig.client();
        let mut other = Http2Client::connect(rig.address);
        let _untaken = http2.then(|| other.send_get("/").head());
        if !http2 {
            client.send_get("/");
            client.read_until("begun");
        }
        rig.await_metric("requests_total 2xx", 1.0);
        assert_eq!(rig.hold(drain(Duration::from_millis(50), Leave::Finish)), Held { cut: 1 });
        until("the connection to be closed", || a.journal.closed() == 1);
        rig.at_rest();
    }
}

#[test]
fn abandoned_requests_turn_away_at_once() {
    let (a, b) = (Backend::silent(), Backend::named("b"));
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut clients = [rig.client(), rig.client()];
    clients[0].send_get("/");
    clients[1].send_body("POST", "", b"once");
    a.journal.await_requests(2);
    let holding = rig.start_hold(drain(Duration::from_millis(400), Leave::Abandon));
    rig.await_metric("requests_waiting", 1.0);
    assert!(!holding.is_finished(), "the other may be carried out there even now");
    assert_eq!(holding.join().unwrap(), Held { cut: 1 });
    assert_eq!(clients[1].answer().status, 504);
    rig.activate(2, Leave::Abandon);
    assert_eq!(served(&clients[0].answer()), "b");
    assert_eq!((a.journal.count(), b.journal.count()), (2, 1));
    rig.at_rest();
}

#[test]
fn whoever_is_still_connecting_is_held() {
    let (a, b) = (Deaf::start(), Backend::named("b"));
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_body("POST", "", b"once");
    rig.await_metric("requests_in_flight", 1.0);
    assert_eq!(rig.hold(drain(FAR, Leave::Finish)), Held { cut: 0 });
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(2, Leave::Finish);
    assert_eq!(served(&client.answer()), "b");
    rig.at_rest();
}

/// What still comes until the connection ends.
fn ends(client: &mut Client) -> String {
    let mut rest = client.rest();
    client.stream.read_to_end(&mut rest).expect("the end of the connection");
    String::from_utf8(rest).unwrap()
}

/// What would never end by itself ends at the beginning of a drain, also what begins in it.
#[test]
fn endless_responses_end_at_the_beginning_of_a_drain() {
    let gate = Arc::new(Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let a = Http2Backend::start(move |mut call| {
        let gate = Arc::clone(&passed);
        async move {
            if call.request.uri.path() == "/late" {
                let _ = gate.acquire().await;
            }
            let mut send = call.head(&[("content-type", "text/event-stream")]);
            let _ = send.send_data(Bytes::from_static(b"begun"), false);
            let _ = poll_fn(|context| send.poll_reset(context)).await;
        }
    });
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let (_, body) = client.send_get("/early").head();
    let mut old = rig.client();
    old.send_get("/early");
    old.read_until("begun");
    let mut late = rig.client();
    late.send_get("/late");
    a.journal.await_requests(3);
    let holding = rig.start_hold(drain(FAR, Leave::Finish));
    wait("the end", read(body)).expect_err("it must not look complete");
    assert!(!ends(&mut old).ends_with("0\r\n\r\n"), "it must not look complete");
    assert!(!holding.is_finished());
    gate.close();
    assert!(!ends(&mut late).ends_with("0\r\n\r\n"), "it must not look complete");
    assert_eq!(holding.join().unwrap(), Held { cut: 0 });
    assert_eq!(rig.metric("streams_left_total"), 2.0);
    assert_eq!(rig.metric("streams_closed_total"), 3.0);
    until("the streams at the backend to end", || a.open() == 0);
    rig.at_rest();
}

/// Agrees to a switch and sends what comes back.
fn echoing(exchange: &mut Exchange, protocol: &str) -> Then {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
    );
    exchange.write(head.as_bytes());
    exchange.body_until_closed();
    Then::Close
}

fn switch(client: &mut Client, protocol: &str) {
    client.send(format!(
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ));
    client.read_until("\r\n\r\n");
}

#[test]
fn tunnels_end_at_the_beginning_of_a_drain_and_websockets_with_a_goodbye() {
    let a = Backend::start(|exchange| {
        let protocol = exchange.field("upgrade").expect("a switch");
        echoing(exchange, &protocol)
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let (mut websocket, mut other) = (rig.client(), rig.client());
    switch(&mut websocket, "websocket");
    switch(&mut other, "echo");
    rig.await_metric("streams_open", 2.0);
    let holding = rig.start_hold(drain(FAR, Leave::Finish));
    assert!(other.is_closed());
    // A close frame with 1012 (RFC 6455 7.4), answered.
    assert!(websocket.read_until("connect again").contains("\u{3}\u{fffd}"));
    websocket.send([0x88, 0x80, 0, 0, 0, 0]);
    assert_eq!(holding.join().unwrap(), Held { cut: 0 });
    rig.await_metric("streams_open", 0.0);
    until("the connections to be closed", || a.journal.closed() == 2);
    rig.at_rest();
}

/// A peer that does not say goodbye is not waited for beyond the deadline.
#[test]
fn the_deadline_cuts_a_websocket_in_the_middle_of_its_goodbye() {
    let a = Backend::start(|exchange| echoing(exchange, "websocket"));
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    switch(&mut client, "websocket");
    // The head of a frame of which the rest does not come.
    client.send([0x82, 0xfe, 0x10, 0]);
    rig.await_metric("streams_open", 1.0);
    let begun = Instant::now();
    let within = Duration::from_millis(200);
    assert_eq!(rig.hold(drain(within, Leave::Finish)), Held { cut: 1 });
    assert!(begun.elapsed() < Duration::from_secs(3), "a goodbye may take longer than that");
    until("the connection to be closed", || a.journal.closed() == 1);
    rig.await_metric("streams_open", 0.0);
    assert_eq!(rig.metric("requests_cut_total"), 1.0);
    rig.at_rest();
}

#[test]
fn release_brings_the_same_active_back() {
    let gate = Gate::default();
    let (a, b) = (slow(&gate, "a"), Backend::named("b"));
    let plan = Plan { workers: 2, ..Plan::default() };
    let rig = Rig::active(plan, &[a.address, b.address]);
    rig.release();
    assert_eq!(served(&rig.client().get("/")), "a");
    let mut under_way = rig.client();
    under_way.send_get("/slow");
    a.journal.await_requests(2);
    let mut clients: Vec<_> = (0..8).map(|_| rig.client()).collect();
    assert_eq!(rig.hold(None), Held { cut: 0 });
    assert_eq!(rig.hold(None), Held { cut: 0 });
    for client in &mut clients {
        client.send_get("/held");
    }
    rig.await_metric("requests_waiting", 8.0);
    assert_eq!(a.journal.count(), 2);
    // A drain that is under way when it comes is answered with what is known.
    let draining = rig.start_hold(drain(FAR, Leave::Finish));
    assert!(!draining.is_finished());
    rig.release();
    assert_eq!(draining.join().unwrap(), Held { cut: 0 });
    for client in &mut clients {
        assert_eq!(served(&client.answer()), "a");
    }
    rig.release();
    gate.open();
    assert_eq!(served(&under_way.answer()), "a");
    assert_eq!(b.journal.count(), 0);
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

#[test]
fn activate_ends_a_drain_and_the_hold() {
    let gate = Gate::default();
    let (a, b) = (slow(&gate, "a"), Backend::named("b"));
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut under_way = rig.client();
    under_way.send_get("/slow");
    a.journal.await_requests(1);
    let draining = rig.start_hold(drain(FAR, Leave::Finish));
    let mut held = rig.client();
    held.send_get("/");
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(2, Leave::Finish);
    assert_eq!(draining.join().unwrap(), Held { cut: 0 });
    assert_eq!(served(&held.answer()), "b");
    rig.release();
    assert_eq!(served(&rig.client().get("/")), "b", "there is nothing to release");
    gate.open();
    assert_eq!(served(&under_way.answer()), "a");
    rig.at_rest();
}

/// The old active is left as after any move: by its policy for streams, and with its suspicion gone.
#[test]
fn a_move_by_way_of_a_hold_ends_streams_as_any_other() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun");
        exchange.body_until_closed();
        Then::Close
    });
    let b = Backend::named("b");
    let close = StreamPolicy::Close { deadline: Duration::ZERO, window: Duration::ZERO };
    let mut rig = Rig::active(Plan { streams: close, ..Plan::default() }, &[a.address, b.address]);
    let mut client = rig.client();
    client.send_get("/");
    client.read_until("begun");
    rig.hold(None);
    thread::sleep(Duration::from_millis(250));
    assert_eq!(rig.metric("streams_closed_total"), 0.0, "not before the move");
    rig.activate(2, Leave::Finish);
    assert!(client.is_closed());
    assert_eq!(rig.metric("streams_left_total"), 1.0);
    assert_eq!(rig.metric("streams_closed_total"), 1.0);
    rig.at_rest();
}

#[test]
fn a_new_config_keeps_the_hold() {
    let a = Backend::named("a");
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    rig.hold(None);
    let mut client = rig.client();
    client.send_get("/");
    rig.await_metric("requests_waiting", 1.0);
    let mut service = (*rig.snapshot.services[0]).clone();
    service.stall_after = 2 * FAR;
    rig.snapshot.services[0] = Arc::new(service);
    rig.configure(Vec::new());
    let mut later = rig.client();
    later.send_get("/");
    rig.await_metric("requests_waiting", 2.0);
    assert_eq!(a.journal.count(), 0);
    rig.release();
    assert_eq!(served(&client.answer()), "a");
    assert_eq!(served(&later.answer()), "a");
    rig.at_rest();
}

/// A hold of a moment turns nobody away, however few may wait for long.
#[test]
fn a_hold_without_a_drain_has_room_for_all() {
    let a = Backend::named("a");
    let mut plan = Plan::default();
    plan.hold.requests = 0;
    let mut rig = Rig::active(plan, &[a.address]);
    rig.hold(None);
    let mut clients: Vec<_> = (0..5).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send_get("/");
    }
    rig.await_metric("requests_waiting", 5.0);
    rig.release();
    for client in &mut clients {
        assert_eq!(served(&client.answer()), "a");
    }
    // Without anybody to come, the bounds hold.
    rig.deactivate(Leave::Finish);
    assert_eq!(rig.client().get("/").status, 503);
    rig.hold(None);
    assert_eq!(rig.client().get("/").status, 503);
    rig.at_rest();
}

/// A drain that is done here may go on elsewhere for long: the bounds hold until the hold is over.
#[test]
fn the_bounds_hold_after_a_drain_is_done() {
    let a = Backend::named("a");
    let mut plan = Plan::default();
    plan.hold.requests = 0;
    let rig = Rig::active(plan, &[a.address]);
    // Nothing is at any backend: it is done when it is answered.
    rig.hold(drain(Duration::from_secs(10), Leave::Finish));
    assert_eq!(rig.client().get("/").status, 503);
    // Nor does a second order without a drain lift them.
    rig.hold(None);
    assert_eq!(rig.client().get("/").status, 503);
    rig.release();
    assert_eq!(served(&rig.client().get("/")), "a");
    rig.at_rest();
}
