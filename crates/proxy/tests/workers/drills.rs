//! Drills of a standby: tagged requests go there, all others do not notice.

use std::time::{Duration, Instant};

use config::model::StreamPolicy;
use proxy::{Drain, Held, Leave, Symptom};

use crate::backend::{Backend, Deaf, Gate, Then, free_address};
use crate::http2::{Http2Backend, Http2Client, request};
use crate::rig::{Answer, Client, PATIENCE, Plan, Rig, served, until};

const TAG: &str = "x-drill";

fn tagged(client: &mut Client, path: &str) -> Answer {
    send_tagged(client, path);
    client.answer()
}

fn send_tagged(client: &mut Client, path: &str) {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\nX-Drill: yes\r\n\r\n"));
}

#[test]
fn tagged_requests_go_to_the_standby_and_no_others() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let plan = Plan { workers: 2, ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address, b.address]);
    let mut clients: Vec<_> = (0..4).map(|_| rig.client()).collect();
    for (value, goes) in [("", "b"), ("yes", "b"), ("no", "a")] {
        rig.tag(TAG, value, 2);
        for client in &mut clients {
            assert_eq!(served(&client.get("/")), "a");
            assert_eq!(served(&tagged(client, "/")), goes, "{value}");
        }
    }
    rig.untag();
    assert_eq!(served(&tagged(&mut clients[0], "/")), "a");
    assert_eq!(rig.metric("drill_requests_total 2xx"), 8.0);
    assert_eq!(rig.metric("requests_total 2xx"), 17.0);
    // Nothing of it counts as an answer of the active.
    rig.tag(TAG, "", 2);
    rig.activate(1, Leave::Finish);
    rig.answers();
    assert_eq!(served(&tagged(&mut clients[0], "/")), "b");
    assert!(rig.answers().is_empty());
    rig.at_rest();
}

#[test]
fn over_http2_as_well() {
    let (a, b) = (Http2Backend::named("a"), Http2Backend::named("b"));
    let rig = Rig::active(Plan::http2(), &[a.address, b.address]);
    let mut client = Http2Client::connect(rig.address);
    rig.tag(TAG, "yes", 2);
    let fields = [(TAG, "no"), (TAG, "yes")];
    let sent = [client.send(request("GET", "/", &fields), true), client.send_get("/")];
    assert_eq!(sent.map(|sent| sent.whole().served().to_owned()), ["b", "a"]);
    rig.at_rest();
}

/// It is asked although nobody is active, and waits for nobody.
#[test]
fn a_tagged_request_is_never_held() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let mut rig = Rig::start(Plan::default(), &[a.address, b.address, free_address()]);
    let mut client = rig.client();
    rig.tag(TAG, "", 2);
    assert_eq!(served(&tagged(&mut client, "/")), "b");
    rig.tag(TAG, "", 3);
    assert_eq!(tagged(&mut client, "/").status, 503);
    let suspicion = rig.suspicion();
    assert_eq!((suspicion.backend.0, suspicion.symptom), (3, Symptom::Refused));
    assert_eq!(rig.metric("requests_held_total"), 0.0);
    assert_eq!(rig.metric("drill_requests_total 5xx"), 1.0);
    // During a hold nothing begins anywhere.
    rig.tag(TAG, "", 2);
    rig.activate(1, Leave::Finish);
    rig.hold(None);
    assert_eq!(tagged(&mut client, "/").status, 503);
    rig.release();
    assert_eq!(served(&tagged(&mut client, "/")), "b");
    assert_eq!(a.journal.count(), 0);
    rig.at_rest();
}

/// What breaks or hangs there is not sent to the active instead.
#[test]
fn a_tagged_request_goes_nowhere_else() {
    let (a, deaf) = (Backend::named("a"), Deaf::start());
    let breaking = Backend::start(|_| Then::Close);
    let silent = Backend::silent();
    let mut plan = Plan::default();
    plan.timeouts.response = Duration::from_millis(200);
    plan.timeouts.connect = Duration::from_millis(200);
    let addresses = [a.address, breaking.address, silent.address, deaf.address];
    let rig = Rig::active(plan, &addresses);
    let mut client = rig.client();
    for (backend, status) in [(2, 502), (3, 504), (4, 503)] {
        rig.tag(TAG, "", backend);
        assert_eq!(tagged(&mut client, "/").status, status, "{backend}");
    }
    assert_eq!((a.journal.count(), breaking.journal.count(), silent.journal.count()), (0, 1, 1));
    assert_eq!(served(&client.get("/")), "a");
    assert_eq!(rig.metric("requests_replayed_total"), 0.0);
    rig.at_rest();
}

/// Answers with `name` when the gate is open.
fn behind(gate: &Gate, name: &'static str) -> Backend {
    let gate = gate.clone();
    Backend::start(move |exchange| {
        gate.pass();
        exchange.answer(name)
    })
}

/// A move from one backend to another does not concern what is at a third on purpose. Its tag is over
/// when that one becomes active itself.
#[test]
fn moves_leave_a_drill_alone_until_its_backend_is_active() {
    let gate = Gate::default();
    let (a, b, c) = (Backend::named("a"), Backend::named("b"), behind(&gate, "c"));
    let close = StreamPolicy::Close { deadline: Duration::ZERO, window: Duration::ZERO };
    let plan = Plan { streams: close, ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address, b.address, c.address]);
    rig.tag(TAG, "", 3);
    let mut client = rig.client();
    send_tagged(&mut client, "/slow");
    c.journal.await_requests(1);
    rig.activate(2, Leave::Abandon);
    assert_eq!(served(&rig.client().get("/")), "b");
    gate.open();
    assert_eq!(served(&client.answer()), "c");
    assert_eq!(rig.metric("streams_left_total"), 0.0);
    rig.activate(3, Leave::Finish);
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&tagged(&mut client, "/")), "a");
    // Nor does one begin where the backend is active, or there is none.
    rig.tag(TAG, "", 1);
    rig.activate(2, Leave::Finish);
    assert_eq!(served(&tagged(&mut client, "/")), "b");
    rig.tag(TAG, "", 9);
    assert_eq!(served(&tagged(&mut client, "/")), "b");
    // It is over when its backend leaves.
    rig.tag(TAG, "", 3);
    assert_eq!(served(&tagged(&mut client, "/")), "c");
    let mut service = (*rig.snapshot.services[0]).clone();
    service.backends.pop();
    rig.snapshot.services[0] = service.into();
    rig.configure(Vec::new());
    assert_eq!(served(&tagged(&mut client, "/")), "b");
    rig.at_rest();
}

/// A drain waits for those of a drill, too.
#[test]
fn a_drain_includes_tagged_requests() {
    let gate = Gate::default();
    let (a, b) = (Backend::named("a"), behind(&gate, "b"));
    let rig = Rig::active(Plan::default(), &[a.address, b.address]);
    rig.tag(TAG, "", 2);
    let mut client = rig.client();
    send_tagged(&mut client, "/slow");
    b.journal.await_requests(1);
    let drain = |within| Some(Drain { within, leave: Leave::Finish });
    let holding = rig.start_hold(drain(6 * PATIENCE));
    assert!(!holding.is_finished());
    gate.open();
    assert_eq!(holding.join().unwrap(), Held { cut: 0 });
    assert_eq!(served(&client.answer()), "b");
    rig.release();

    let silent = Backend::silent();
    let rig = Rig::active(Plan::default(), &[a.address, silent.address]);
    rig.tag(TAG, "", 2);
    let mut client = rig.client();
    send_tagged(&mut client, "/never");
    silent.journal.await_requests(1);
    let begun = Instant::now();
    assert_eq!(rig.hold(drain(Duration::from_millis(100))), Held { cut: 1 });
    assert!(begun.elapsed() < PATIENCE / 2);
    assert_eq!(client.answer().status, 504, "it goes nowhere else");
    until("the connection to be closed", || silent.journal.closed() == 1);
    rig.release();
    rig.at_rest();
}
