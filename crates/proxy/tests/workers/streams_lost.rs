//! HTTP/2 backends that refuse, reset and go: what was never sent goes elsewhere, what may be repeated
//! is, and nothing else is sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bytes::Bytes;
use proxy::{Leave, Symptom};

use crate::backend::Gate;
use crate::frames::{Frame, FrameBackend, HEADERS, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Wire};
use crate::http2::{Http2Backend, Http2Client};
use crate::rig::{Plan, Rig, until};

fn attempts(attempts: u32) -> Plan {
    let mut plan = Plan::http2();
    plan.replay.attempts = attempts;
    plan
}

/// A way to lose the request on a stream that has been read.
struct Loss {
    how: &'static str,
    lose: fn(&mut Wire, u32),
}

const LOSSES: [Loss; 4] = [
    Loss { how: "the connection is closed", lose: |_, _| {} },
    Loss { how: "a reset", lose: |wire, stream| wire.reset(stream, INTERNAL_ERROR) },
    Loss { how: "GOAWAY", lose: |wire, stream| wire.goaway(stream, INTERNAL_ERROR) },
    Loss { how: "half a head", lose: |wire, stream| wire.send(HEADERS, 0, stream, &[0x88]) },
];

/// Loses every request like `lose`, connection by connection.
fn losing(lose: fn(&mut Wire, u32)) -> FrameBackend {
    FrameBackend::start(move |wire| {
        if let Some(stream) = wire.request() {
            lose(wire, stream);
        }
    })
}

#[test]
fn held_streams_go_to_the_next_active() {
    let (a, b) = (Http2Backend::named("a"), Http2Backend::named("b"));
    let mut rig = Rig::start(Plan::http2(), &[a.address, b.address]);
    let mut client = Http2Client::connect(rig.address);
    let get = client.send_get("/1");
    let post = client.send_body("POST", b"hello");
    rig.await_metric("requests_waiting", 2.0);
    assert_eq!((a.journal.accepted(), b.journal.accepted()), (0, 0));
    rig.activate(2, Leave::Finish);
    assert_eq!(get.whole().served(), "b");
    assert_eq!(post.whole().served(), "b");
    assert_eq!(b.journal.count(), 2);
    rig.deactivate(Leave::Finish);
    let get = client.send_get("/2");
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(1, Leave::Finish);
    assert_eq!(get.whole().served(), "a");
    assert_eq!(a.journal.requests(), ["GET /2"]);
    assert_eq!(rig.metric("requests_held_total"), 3.0);
    assert_eq!(rig.metric("requests_replayed_total"), 0.0);
    rig.at_rest();
}

#[test]
fn a_lost_get_is_sent_again_as_often_as_allowed() {
    for Loss { how, lose } in LOSSES {
        for allowed in [0, 1, 2] {
            let a = losing(lose);
            let mut rig = Rig::active(attempts(allowed), &[a.address]);
            let mut client = Http2Client::connect(rig.address);
            let sent = client.send_get("/");
            for round in 1..=allowed {
                a.journal.await_requests(round as usize);
                rig.await_metric("requests_waiting", 1.0);
                assert_eq!(rig.suspicion().symptom, Symptom::Reset, "{how}");
                assert_eq!(a.journal.count(), round as usize, "{how}: not before the verdict");
                rig.clear(1);
            }
            assert_eq!(sent.whole().status, 502, "{how}");
            assert_eq!(a.journal.count(), 1 + allowed as usize, "{how}");
            assert_eq!(rig.metric("requests_replayed_total"), f64::from(allowed), "{how}");
            rig.at_rest();
        }
    }
}

#[test]
fn a_lost_post_is_never_sent_again() {
    for Loss { how, lose } in LOSSES {
        let (a, b) = (losing(lose), FrameBackend::named("b"));
        let mut rig = Rig::active(attempts(5), &[a.address, b.address]);
        let mut client = Http2Client::connect(rig.address);
        let sent = client.send_body("POST", b"once");
        assert_eq!(sent.whole().status, 502, "{how}");
        rig.activate(2, Leave::Abandon);
        assert_eq!(client.get("/").served(), "b", "{how}: its neighbours live on");
        assert_eq!((a.journal.count(), b.journal.count()), (1, 1), "{how}");
        rig.at_rest();
    }
}

/// RFC 9113 8.7: what was refused was not acted on. It is sent again where the service is active, and
/// is no sign of trouble.
#[test]
fn a_refused_post_is_sent_again() {
    let refused = Loss { how: "refused", lose: |wire, stream| wire.reset(stream, REFUSED_STREAM) };
    let above = Loss { how: "above the last of GOAWAY", lose: |wire, _| wire.goaway(0, NO_ERROR) };
    for Loss { how, lose } in [refused, above] {
        let is_second = Arc::new(AtomicBool::new(false));
        let a = FrameBackend::start(move |wire| {
            while let Some(stream) = wire.request() {
                if is_second.swap(true, SeqCst) {
                    wire.answer(stream, "a");
                } else {
                    lose(wire, stream);
                }
            }
        });
        let rig = Rig::active(attempts(0), &[a.address]);
        let mut client = Http2Client::connect(rig.address);
        assert_eq!(client.send_body("POST", b"once").whole().served(), "a", "{how}");
        assert_eq!(a.journal.count(), 2, "{how}");
        assert_eq!(rig.metric("suspicions_total"), 0.0, "{how}");
        assert_eq!(rig.metric("requests_held_total"), 0.0, "{how}");
        assert_eq!(rig.metric("requests_replayed_total"), 0.0, "{how}");
        rig.at_rest();
    }
}

/// A backend that refuses everything is suspected in the end; the request waits for the news.
#[test]
fn what_is_always_refused_goes_to_the_new_active_once() {
    let refused = Loss { how: "refused", lose: |wire, stream| wire.reset(stream, REFUSED_STREAM) };
    let above = Loss { how: "above the last of GOAWAY", lose: |wire, _| wire.goaway(0, NO_ERROR) };
    for Loss { how, lose } in [refused, above] {
        let a = FrameBackend::start(move |wire| {
            while let Some(stream) = wire.request() {
                lose(wire, stream);
            }
        });
        let b = FrameBackend::named("b");
        let mut rig = Rig::active(attempts(0), &[a.address, b.address]);
        let mut client = Http2Client::connect(rig.address);
        let sent = client.send_body("POST", b"once");
        rig.await_metric("requests_waiting", 1.0);
        let tried = a.journal.count();
        assert!((2..=100).contains(&tried), "{how}: {tried} times");
        assert_eq!(rig.metric("suspicions_total"), 1.0, "{how}");
        rig.activate(2, Leave::Abandon);
        assert_eq!(sent.whole().served(), "b", "{how}");
        assert_eq!(a.journal.count(), tried, "{how}: not again before the news");
        assert_eq!(b.journal.requests(), ["POST 1 on 0"], "{how}");
        rig.at_rest();
    }
}

/// A backend that is replaced without haste says goodbye on connections that nothing runs on.
#[test]
fn goaway_on_an_idle_connection_costs_nothing() {
    let a = FrameBackend::start(|wire| {
        let Some(stream) = wire.request() else { return };
        wire.answer(stream, "a");
        wire.goaway(stream, NO_ERROR);
        wire.until_closed();
    });
    let rig = Rig::active(attempts(0), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    for round in 1..=20 {
        assert_eq!(client.send_body("POST", b"once").whole().served(), "a");
        // More when one crossed a goodbye on its way: that one was not acted on.
        assert!(a.journal.count() >= round);
    }
    assert_eq!(rig.metric("requests_held_total"), 0.0);
    assert_eq!(rig.metric("suspicions_total"), 0.0);
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

/// One connection with streams on both sides of GOAWAY's last: above it, they were never sent.
#[test]
fn streams_above_the_last_are_sent_again_whatever_they_are() {
    let is_second = Arc::new(AtomicBool::new(false));
    let a = FrameBackend::start(move |wire| {
        if is_second.swap(true, SeqCst) {
            while let Some(stream) = wire.request() {
                wire.answer(stream, "again");
            }
            return;
        }
        let first = wire.request().expect("a request");
        wire.answer(first, "first");
        let low = wire.request().expect("a request");
        let _high = wire.request().expect("a request");
        wire.goaway(low, NO_ERROR);
        wire.answer(low, "low");
        wire.until_closed();
    });
    let rig = Rig::active(attempts(0), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    assert_eq!(client.get("/").served(), "first");
    let low = client.send_body("POST", b"low");
    a.journal.await_requests(2);
    let high = client.send_body("POST", b"high");
    assert_eq!(low.whole().served(), "low");
    assert_eq!(high.whole().served(), "again");
    assert_eq!(a.journal.requests(), ["GET 1 on 0", "POST 3 on 0", "POST 5 on 0", "POST 1 on 1"]);
    rig.at_rest();
    until("the old connection to be closed", || a.journal.closed() == 1);
}

/// A backend that says goodbye while it is busy: what it has taken finishes there, and what comes
/// next has a new connection, at once.
#[test]
fn what_runs_at_goaway_finishes_and_the_next_goes_elsewhere() {
    for served_before in [1, 0] {
        let (said, finish) = (Gate::default(), Gate::default());
        let (told, may_finish) = (said.clone(), finish.clone());
        let a = FrameBackend::start(move |wire| {
            if wire.index > 0 {
                while let Some(stream) = wire.request() {
                    wire.answer(stream, "new");
                }
                return;
            }
            for _ in 0..served_before {
                let stream = wire.request().expect("a request");
                wire.answer(stream, "first");
            }
            let stream = wire.request().expect("a request");
            wire.head(stream, Some(4));
            wire.goaway(stream, NO_ERROR);
            told.open();
            may_finish.pass();
            wire.last_data(stream, b"done");
            wire.until_closed();
        });
        let rig = Rig::active(attempts(0), &[a.address]);
        let mut client = Http2Client::connect(rig.address);
        for _ in 0..served_before {
            assert_eq!(client.get("/").served(), "first");
        }
        let (_, running) = client.send_get("/running").head();
        said.pass();
        let next = client.send_body("POST", b"once").whole();
        assert_eq!(next.served(), "new", "{served_before} served before");
        finish.open();
        let (body, _) = crate::http2::wait("the rest", crate::http2::read(running)).expect("whole");
        assert_eq!(body, b"done");
        assert_eq!(rig.metric("requests_held_total"), 0.0, "{served_before} served before");
        assert_eq!(rig.metric("suspicions_total"), 0.0, "{served_before} served before");
        rig.at_rest();
    }
}

/// A large body, part of which has gone to a backend that then refuses it, is not kept: nobody is given
/// the rest of it for the whole.
#[test]
fn what_is_left_of_a_refused_upload_is_sent_to_nobody() {
    let refused = Loss { how: "refused", lose: |wire, stream| wire.reset(stream, REFUSED_STREAM) };
    let above = Loss { how: "above the last of GOAWAY", lose: |wire, _| wire.goaway(0, NO_ERROR) };
    for Loss { how, lose } in [refused, above] {
        let a = FrameBackend::start(move |wire| {
            wire.window_update(1 << 20);
            let Some(Frame { stream, .. }) = wire.next() else { return };
            // Until it has more than is kept for a replay.
            let mut got = 0;
            while got <= 32 << 10 {
                got += wire.next().expect("more of the body").payload.len();
            }
            lose(wire, stream);
            wire.until_closed();
        });
        let b = FrameBackend::named("b");
        let mut plan = attempts(1);
        plan.replay.buffer = 16 << 10;
        let mut rig = Rig::active(plan, &[a.address, b.address]);
        let mut client = Http2Client::connect(rig.address);
        let mut sent = client.send(crate::http2::request("POST", "/", &[]), false);
        sent.send.send_data(Bytes::from(vec![b'x'; 48 << 10]), false).unwrap();
        assert_eq!(sent.whole().status, 502, "{how}");
        rig.activate(2, Leave::Abandon);
        assert_eq!((a.journal.count(), b.journal.count()), (1, 0), "{how}");
        rig.at_rest();
    }
}
