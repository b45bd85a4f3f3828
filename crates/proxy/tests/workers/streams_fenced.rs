//! After a move has been acknowledged, no stream reaches the old backend.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proxy::Leave;
use tokio::sync::watch;

use crate::backend::Gate;
use crate::frames::{FrameBackend, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS};
use crate::http2::{Http2Backend, Http2Client, request, wait};
use crate::rig::{Plan, Rig, until};

/// A state of a socket, as the system's table has it.
const LISTENING: &str = "0A";

/// Bytes on their way to `port` that the system has: sent and not read.
fn on_the_way(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut sum = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port_of =
            |text: &str| u16::from_str_radix(text.split_once(':').unwrap().1, 16).unwrap();
        let (tx, rx) = fields[4].split_once(':').unwrap();
        let bytes = |text: &str| usize::from_str_radix(text, 16).unwrap();
        if fields[3] == LISTENING {
            continue;
        }
        if port_of(fields[2]) == port {
            sum += bytes(tx);
        } else if port_of(fields[1]) == port {
            sum += bytes(rx);
        }
    }
    sum
}

const ROOMY: &[(u16, u32)] = &[(MAX_CONCURRENT_STREAMS, 1000), (INITIAL_WINDOW_SIZE, 1 << 24)];

/// Until nothing more fits into the sockets on the way to `port`.
fn until_full(port: u16) {
    let mut last = (0, Instant::now());
    until("full sockets", || {
        let now = on_the_way(port);
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() > Duration::from_millis(200)
    });
}

/// What keeps requests from a backend.
#[derive(Clone, Copy, Debug)]
enum By {
    Move,
    Hold,
}

/// A backend that reads nothing, and `some` bytes before the move: its sockets are full, and requests wait for room. What
/// the system has not got when the move, or the hold before it, is acknowledged never leaves.
fn full_until_moved(some: usize, by: By) {
    let (read_some, has_read) = (Gate::default(), Gate::default());
    let (acknowledged, fence) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let gates = (read_some.clone(), has_read.clone(), acknowledged.clone(), Arc::clone(&fence));
    let late = Arc::new(Mutex::new(Vec::new()));
    let is_late = Arc::clone(&late);
    let a = FrameBackend::start_with(ROOMY, Some(8 << 10), move |wire| {
        let (read_some, has_read, acknowledged, fence) = &gates;
        wire.window_update(1 << 30);
        // Whatever finds the first connection full comes on another, and is not answered either.
        if wire.index == 0 {
            let stream = wire.request().expect("a request");
            wire.answer(stream, "a");
        }
        read_some.pass();
        wire.read_ahead(some);
        has_read.open();
        acknowledged.pass();
        let fence = fence.load(SeqCst) + wire.ahead();
        let mut place = 0;
        while let Some(frame) = wire.next() {
            if frame.kind == HEADERS && place > fence {
                is_late.lock().unwrap().push(frame.stream);
            }
            place += 9 + frame.payload.len();
        }
    });
    let b = Http2Backend::named("b");
    let mut plan = Plan::http2();
    (plan.connections.streams, plan.limits.streams) = (1000, 1000);
    let mut rig = Rig::active(plan, &[a.address, b.address]);
    let mut client = Http2Client::connect(rig.address);
    assert_eq!(client.get("/").served(), "a");
    let uploads: Vec<_> = (0..100)
        .map(|_| {
            let mut sent = client.send(request("POST", "/upload", &[]), false);
            sent.send.send_data(Bytes::from(vec![b'x'; 128 << 10]), false).unwrap();
            sent
        })
        .collect();
    until_full(a.address.port());
    // Large heads: not all of them find room when there is some.
    let long = "x".repeat(12_000);
    let posts: Vec<_> =
        (0..400).map(|_| client.send(request("POST", "/once", &[("long", &long)]), true)).collect();
    rig.await_metric("requests_in_flight", 500.0);
    read_some.open();
    has_read.pass();
    match by {
        By::Move => rig.activate(2, Leave::Finish),
        By::Hold => assert_eq!(rig.hold(None).cut, 0),
    }
    fence.store(on_the_way(a.address.port()), SeqCst);
    acknowledged.open();
    rig.activate(2, Leave::Finish);
    drop(uploads);
    drop(posts);
    drop(client);
    until("the backend to be rid of us", || a.journal.closed() == a.journal.accepted());
    assert_eq!(*late.lock().unwrap(), [0; 0], "after {some} bytes, by {by:?}");
    rig.at_rest();
}

#[test]
fn what_waits_before_a_full_socket_turns_away() {
    for some in [0, 60_000] {
        full_until_moved(some, By::Move);
        full_until_moved(some, By::Hold);
    }
}

/// Clients in a row on every connection, while the active changes: nothing reaches a backend between
/// the acknowledged loss of its place and the order that gives it back.
#[test]
fn a_hammered_service_moves_at_once() {
    let fenced: Vec<Arc<AtomicBool>> = (0..2).map(|_| Arc::new(AtomicBool::new(true))).collect();
    let leaks = Arc::new(AtomicUsize::new(0));
    let backends: Vec<Http2Backend> = fenced
        .iter()
        .map(|fenced| {
            let (fenced, leaks) = (Arc::clone(fenced), Arc::clone(&leaks));
            Http2Backend::start(move |call| {
                if fenced.load(SeqCst) {
                    leaks.fetch_add(1, SeqCst);
                }
                async move { call.answer("x") }
            })
        })
        .collect();
    let mut plan = Plan::http2();
    plan.workers = 2;
    let mut rig = Rig::start(plan, &[backends[0].address, backends[1].address]);
    let (stop, stopped) = watch::channel(false);
    let clients: Vec<_> = (0..8).map(|_| Http2Client::connect(rig.address)).collect();
    let hammers: Vec<_> = clients
        .iter()
        .flat_map(|client| [client.hammer(stopped.clone()), client.hammer(stopped.clone())])
        .collect();
    for round in 0..40 {
        let at = round % 2;
        let before = backends[at].journal.count();
        fenced[at].store(false, SeqCst);
        rig.activate(1 + u32::from(at == 1), Leave::Finish);
        until("requests at the new active", || backends[at].journal.count() > before + 16);
        if round % 4 < 2 {
            rig.deactivate(Leave::Finish);
        } else {
            rig.hold(None);
        }
        // Everything that was sent before the answer has been answered when all of them wait.
        rig.await_metric("requests_waiting", hammers.len() as f64);
        fenced[at].store(true, SeqCst);
        assert_eq!(leaks.load(SeqCst), 0, "round {round}");
    }
    fenced[0].store(false, SeqCst);
    rig.activate(1, Leave::Finish);
    stop.send(true).unwrap();
    let mut answers = 0;
    for hammer in hammers {
        answers += wait("the last answers", hammer).expect("no failure").len();
    }
    let sent = backends[0].journal.count() + backends[1].journal.count();
    assert_eq!(sent, answers, "each was sent once");
    rig.at_rest();
}

/// The backend takes a part of what waits, and not all of it.
#[test]
fn what_waits_for_room_leaves_only_before_the_acknowledgement() {
    for some in [500_000, 800_000, 1_000_000, 1_200_000, 1_500_000] {
        full_until_moved(some, By::Move);
    }
}

/// A client that gives up does not take others with it, however busy the way to the backend is.
#[test]
fn who_gives_up_before_a_full_socket_leaves_its_neighbours_alone() {
    let go = Gate::default();
    let may_go = go.clone();
    let a = FrameBackend::start_with(ROOMY, Some(8 << 10), move |wire| {
        wire.window_update(1 << 30);
        if wire.index > 0 {
            // Whatever finds the first one full; it gets no answer.
            return wire.until_closed();
        }
        let stream = wire.request().expect("a request");
        wire.answer(stream, "a");
        may_go.pass();
        let mut upload = None;
        while let Some(frame) = wire.next() {
            if frame.kind == HEADERS && upload.is_none() {
                upload = Some(frame.stream);
            }
            if Some(frame.stream) == upload && frame.ends_stream() {
                wire.answer(frame.stream, "uploaded");
            }
        }
    });
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    assert_eq!(client.get("/").served(), "a");
    let mut upload = client.send(request("POST", "/upload", &[]), false);
    upload.send.send_data(Bytes::from(vec![b'x'; 16 << 20]), true).unwrap();
    until_full(a.address.port());
    let mut other = Http2Client::connect(rig.address);
    let given_up = other.send_get("/");
    rig.await_metric("requests_in_flight", 2.0);
    given_up.cancel();
    rig.await_metric("requests_in_flight", 1.0);
    go.open();
    assert_eq!(upload.whole().served(), "uploaded");
    rig.at_rest();
}
