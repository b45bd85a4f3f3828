//! Every phase of a connection and of a request ends in time, and whoever was waited for is told.

use std::time::Duration;

use crate::backend::{Backend, Then};
use crate::rig::{Plan, Rig, served};

const SOON: Duration = Duration::from_millis(300);

#[test]
fn a_client_that_says_nothing_is_closed_without_a_word() {
    let mut plan = Plan::default();
    plan.limits.header_timeout = SOON;
    let rig = Rig::active(plan, &[Backend::named("a").address]);
    assert!(rig.client().is_closed());
    assert_eq!(rig.metric("listener_header_timeouts_total"), 0.0);
}

#[test]
fn a_head_that_does_not_end_is_answered_408() {
    let mut plan = Plan::default();
    plan.limits.header_timeout = SOON;
    let rig = Rig::active(plan, &[Backend::named("a").address]);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nhost: ");
    assert_eq!(client.answer().status, 408);
    assert!(client.is_closed());
    assert_eq!(rig.metric("listener_header_timeouts_total"), 1.0);
}

#[test]
fn a_client_without_a_further_request_is_closed() {
    let mut plan = Plan::default();
    plan.limits.idle_timeout = SOON;
    let a = Backend::named("a");
    let rig = Rig::active(plan, &[a.address]);
    let mut client = rig.client();
    assert_eq!(served(&client.get("/")), "a");
    assert!(client.is_closed());
}

#[test]
fn a_body_that_stops_coming_is_answered_408() {
    let mut plan = Plan::default();
    plan.limits.body_timeout = SOON;
    let a = Backend::start(|exchange| {
        exchange.body();
        exchange.answer("a")
    });
    let rig = Rig::active(plan, &[a.address]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc");
    assert_eq!(client.answer().status, 408);
    assert_eq!(rig.metric("requests_failed_total downstream"), 1.0);
}

#[test]
fn a_backend_that_does_not_answer_in_time_is_a_504() {
    let mut plan = Plan::default();
    plan.timeouts.response = SOON;
    let a = Backend::silent();
    let rig = Rig::active(plan, &[a.address]);
    assert_eq!(rig.client().get("/").status, 504);
    assert_eq!(rig.metric("requests_failed_total upstream"), 1.0);
}

#[test]
fn a_response_body_that_stops_coming_is_broken_off() {
    let mut plan = Plan::default();
    plan.timeouts.idle = SOON;
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
        // Until we give up.
        exchange.body_until_closed();
        Then::Close
    });
    let rig = Rig::active(plan, &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    assert!(client.try_answer().is_none(), "it must not look complete");
    assert_eq!(rig.metric("requests_failed_total upstream"), 1.0);
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let mut plan = Plan::default();
    plan.limits.body_timeout = SOON;
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
        let piece = vec![b'x'; 64 * 1024];
        // More than all the sockets in between can hold; ends with an error when we are cut off.
        while std::io::Write::write_all(&mut exchange.stream, &piece).is_ok() {}
        Then::Close
    });
    let rig = Rig::active(plan, &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    rig.await_metric("requests_in_flight", 1.0);
    rig.await_metric("requests_in_flight", 0.0);
    rig.await_metric("listener_connections", 0.0);
    assert_eq!(rig.metric("requests_failed_total downstream"), 1.0);
}
