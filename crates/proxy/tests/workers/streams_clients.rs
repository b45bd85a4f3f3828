//! HTTP/2 clients that give up, flood, stay too long, and take nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use proxy::Leave;

use crate::backend::{Backend, Then};
use crate::http2::{Http2Backend, Http2Client, read, request, wait};
use crate::rig::{Plan, Rig, until};

/// Never answers; counts the streams that were reset with CANCEL.
fn cancelled() -> (Http2Backend, Arc<AtomicUsize>) {
    let resets = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&resets);
    let backend = Http2Backend::start(move |mut call| {
        let counted = Arc::clone(&counted);
        async move {
            if call.reset().await.is_ok_and(|reason| reason == Reason::CANCEL) {
                counted.fetch_add(1, SeqCst);
            }
        }
    });
    (backend, resets)
}

#[test]
fn what_a_client_gives_up_ends_at_the_backend() {
    let (a, resets) = cancelled();
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let (first, second) = (client.send_get("/1"), client.send_get("/2"));
    a.journal.await_requests(2);
    first.cancel();
    until("the reset at the backend", || resets.load(SeqCst) == 1);
    rig.await_metric("requests_in_flight", 1.0);
    second.cancel();
    until("the reset at the backend", || resets.load(SeqCst) == 2);
    rig.await_metric("requests_failed_total downstream", 2.0);
    assert_eq!(a.journal.closed(), 0, "the connection serves others");
    rig.at_rest();
}

#[test]
fn what_a_client_gives_up_closes_a_connection_of_http1() {
    let a = Backend::silent();
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let sent = client.send_get("/");
    a.journal.await_requests(1);
    sent.cancel();
    until("the connection to be closed", || a.journal.closed() == 1);
    rig.await_metric("requests_failed_total downstream", 1.0);
    rig.at_rest();
}

#[test]
fn a_held_stream_that_is_given_up_waits_no_longer() {
    let a = Http2Backend::named("a");
    let mut rig = Rig::start(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let (gone, stays) = (client.send_body("POST", b"gone"), client.send_body("POST", b"stays"));
    rig.await_metric("requests_waiting", 2.0);
    gone.cancel();
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(1, Leave::Finish);
    assert_eq!(stays.whole().served(), "a");
    assert_eq!(a.journal.count(), 1);
    rig.at_rest();
}

/// CVE-2023-44487.
#[test]
fn a_flood_of_resets_ends_the_connection() {
    let (a, _) = cancelled();
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    for sent in 1..=201 {
        let request = client.send_get("/");
        a.journal.await_requests(sent);
        request.cancel();
    }
    let end = client.end().expect_err("an end with an error");
    // As the client's library calls ENHANCE_YOUR_CALM.
    assert!(end.contains("excessive load"), "{end}");
    assert_eq!(rig.metric("listener_floods_total"), 1.0);
    rig.at_rest();
    // It was one client's fault.
    let mut other = Http2Client::connect(rig.address);
    let sent = other.send_get("/");
    rig.await_metric("requests_in_flight", 1.0);
    sent.cancel();
    rig.at_rest();
}

/// A client that lets most of its requests finish may give up as many as it likes.
#[test]
fn who_gives_up_now_and_then_is_no_flood() {
    let a = Http2Backend::start(|call| async move {
        if call.request.uri.path() == "/wait" {
            let mut call = call;
            let _ = call.reset().await;
        } else {
            call.answer("a");
        }
    });
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    for _ in 0..300 {
        client.send_get("/wait").cancel();
        assert_eq!(client.get("/").served(), "a");
    }
    assert_eq!(rig.metric("listener_floods_total"), 0.0);
    rig.at_rest();
}

/// GOAWAY after so many; what runs finishes.
#[test]
fn a_connection_ends_after_so_many_requests() {
    let a = Http2Backend::named("a");
    let mut plan = Plan::http2();
    plan.limits.requests = Some(3);
    let rig = Rig::active(plan, &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    for _ in 0..3 {
        assert_eq!(client.get("/").served(), "a");
    }
    client.end().expect("a graceful end");
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}

#[test]
fn an_old_connection_ends_when_its_streams_have() {
    let mut plan = Plan::http2();
    plan.limits.connection_age = Some(Duration::from_millis(300));
    grows_old(plan);
}

/// The same at a shutdown.
#[test]
fn a_drained_connection_ends_when_its_streams_have() {
    let (a, let_go) = streaming();
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let (_, body) = client.send_get("/").head();
    let drained = rig.drain(Duration::from_secs(60));
    // GOAWAY has come when no further stream is taken.
    until("GOAWAY", || client.is_sent_away());
    let_go.close();
    assert_eq!(wait("the rest", read(body)).expect("a whole body").0, b"begun, done");
    client.end().expect("a graceful end");
    assert_eq!(drained.join().unwrap(), 0);
}

/// Begins an answer, and ends it when let go.
fn streaming() -> (Http2Backend, Arc<tokio::sync::Semaphore>) {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let backend = Http2Backend::start(move |mut call| {
        let gate = Arc::clone(&passed);
        async move {
            let mut send = call.head(&[("content-length", "11")]);
            let _ = send.send_data(Bytes::from_static(b"begun, "), false);
            let _ = gate.acquire().await;
            let _ = send.send_data(Bytes::from_static(b"done"), true);
        }
    });
    (backend, gate)
}

fn grows_old(plan: Plan) {
    let (a, let_go) = streaming();
    let rig = Rig::active(plan, &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let (_, body) = client.send_get("/").head();
    until("GOAWAY", || client.is_sent_away());
    let_go.close();
    assert_eq!(wait("the rest", read(body)).expect("a whole body").0, b"begun, done");
    client.end().expect("a graceful end");
    rig.at_rest();
}

#[test]
fn an_idle_connection_ends() {
    let a = Http2Backend::named("a");
    let mut plan = Plan::http2();
    plan.limits.idle_timeout = Duration::from_millis(300);
    let rig = Rig::active(plan, &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    assert_eq!(client.get("/").served(), "a");
    client.end().expect("a graceful end");
}

/// A client that takes nothing pauses its backend, and loses its stream; its neighbours live on.
#[test]
fn who_takes_nothing_loses_its_stream_alone() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let a = Http2Backend::start(move |mut call| {
        let counted = Arc::clone(&counted);
        async move {
            if call.request.uri.path() != "/endless" {
                return call.answer("a");
            }
            let mut send = call.head(&[]);
            loop {
                send.reserve_capacity(16 << 10);
                let room = std::future::poll_fn(|context| send.poll_capacity(context)).await;
                let Some(Ok(room)) = room else { return };
                if send.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
                    return;
                }
                counted.fetch_add(room, SeqCst);
            }
        }
    });
    let mut plan = Plan::http2();
    plan.limits.body_timeout = Duration::from_millis(500);
    let rig = Rig::active(plan, &[a.address]);
    let mut roomy = h2::client::Builder::new();
    roomy.initial_connection_window_size(1 << 20);
    let mut client = Http2Client::connect_with(rig.address, &roomy);
    let stuck = client.send_get("/endless");
    let (_, mut body) = stuck.head();
    // Read without giving room back, until the stream breaks.
    let broken = wait("a reset", async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error,
                None => panic!("it looks complete"),
            }
        }
    });
    assert!(broken.is_reset() && broken.is_remote(), "{broken}");
    assert!(sent.load(SeqCst) < 2 << 20, "the backend was paused");
    assert_eq!(client.get("/").served(), "a");
    rig.await_metric("requests_failed_total downstream", 1.0);
    until("the stream at the backend to end", || a.open() == 0);
    rig.at_rest();
}

/// What a backend of HTTP/1.1 sends short never looks complete.
#[test]
fn half_an_answer_is_a_reset() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        Then::Close
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let error = client.send_get("/").broken();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{error}");
    rig.await_metric("requests_failed_total upstream", 1.0);
    rig.at_rest();
}

/// As fast as it goes: most are given up before anybody has looked at them (CVE-2023-44487).
#[test]
fn a_rapid_flood_of_resets_is_counted() {
    let (a, _) = cancelled();
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    for _ in 0..10_000 {
        let Ok(sent) = client.try_send(request("GET", "/", &[]), true) else { break };
        sent.cancel();
    }
    // Whoever still writes when it is told may see a broken connection instead of the reason.
    client.end().expect_err("an end with an error");
    rig.await_metric("listener_floods_total", 1.0);
    rig.at_rest();
}
