//! What is held against whom: time, counts and places belong to the one who took them.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use config::model::{BackendUrl, RedirectHttps, Scheme};
use proxy::Leave;

use crate::backend::{Backend, Gate, Then};
use crate::rig::{Plan, Rig, destination, served, until};

/// A backend that takes `ms` to answer.
fn slow(ms: u64) -> Backend {
    Backend::start(move |exchange| {
        exchange.body();
        sleep(Duration::from_millis(ms));
        exchange.answer("slow")
    })
}

#[test]
fn the_time_a_request_was_held_is_not_the_backends() {
    let a = slow(300);
    let mut plan = Plan::default();
    plan.timeouts.response = Duration::from_secs(1);
    plan.stall_after = Duration::from_millis(800);
    let mut rig = Rig::start(plan, &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    rig.await_metric("requests_waiting", 1.0);
    // Longer than the backend may take, and than it may seem to hang.
    sleep(Duration::from_millis(1300));
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&client.answer()), "slow");
    assert_eq!(rig.metric("suspicions_total stalled"), 0.0);
    assert_eq!(a.journal.count(), 1);
}

#[test]
fn the_time_a_backend_took_is_not_spent_in_the_hold() {
    let a = Backend::start(|exchange| {
        exchange.body();
        sleep(Duration::from_millis(1300));
        Then::Close
    });
    let b = Backend::named("b");
    let mut plan = Plan::default();
    plan.hold.timeout = Duration::from_secs(1);
    let mut rig = Rig::start(plan, &[a.address, b.address]);
    let mut client = rig.client();
    client.send_get("/");
    rig.await_metric("requests_waiting", 1.0);
    rig.activate(1, Leave::Finish);
    a.journal.await_requests(1);
    // It breaks only after the hold limit, counted from the first wait.
    rig.await_metric("requests_waiting", 1.0);
    sleep(Duration::from_millis(250));
    rig.activate(2, Leave::Abandon);
    assert_eq!(served(&client.answer()), "b");
}

#[test]
fn a_known_backend_gets_its_new_specification() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let mut rig = Rig::active(Plan::default(), &[old.address]);
    let spec = Arc::make_mut(&mut rig.snapshot.services[0]);
    spec.backends[0].destination = destination(new.address);
    rig.configure(Vec::new());
    assert_eq!(served(&rig.client().get("/")), "new");
    assert_eq!(old.journal.count(), 0);
}

#[test]
fn a_tunnel_keeps_its_place_among_the_connections() {
    let a = Backend::start(|exchange| {
        exchange.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        );
        exchange.body_until_closed();
        Then::Close
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut tunnels: Vec<_> = (0..5).map(|_| rig.client()).collect();
    for tunnel in &mut tunnels {
        tunnel.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
        assert_eq!(tunnel.answer().status, 101);
    }
    rig.await_metric("streams_open", 5.0);
    assert_eq!(rig.metric("listener_connections"), 5.0);
    assert_eq!(rig.metric("worker_connections"), 5.0);
    drop(tunnels);
    rig.await_metric("streams_open", 0.0);
    rig.await_metric("listener_connections", 0.0);
}

#[test]
fn a_client_that_leaves_before_its_answer_is_counted() {
    let a = Backend::silent();
    let rig = Rig::active(Plan::default(), &[a.address]);
    for _ in 0..5 {
        let mut client = rig.client();
        client.send_get("/");
        rig.await_metric("requests_in_flight", 1.0);
        drop(client);
        rig.await_metric("requests_in_flight", 0.0);
    }
    assert_eq!(rig.metric("requests_failed_total downstream"), 5.0);
}

#[test]
fn a_request_held_when_we_are_drained_is_still_served() {
    let a = Backend::named("a");
    let mut rig = Rig::start(Plan::default(), &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    rig.await_metric("requests_waiting", 1.0);
    let draining = rig.drain(Duration::from_secs(10));
    until("the listener to close", || std::net::TcpStream::connect(rig.address).is_err());
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&client.answer()), "a");
    assert_eq!(draining.join().expect("drained"), 0);
}

#[test]
fn many_small_pieces_of_a_body_are_not_all_kept() {
    let a = Backend::start(|exchange| {
        exchange.body();
        Then::Close
    });
    let b = Backend::named("b");
    let mut rig = Rig::active(Plan::default(), &[a.address, b.address]);
    let mut client = rig.client();
    client.send("PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("1\r\nx\r\n".repeat(4_000) + "0\r\n\r\n");
    // Too many to be kept, though they are few bytes: it cannot be sent again.
    let answer = client.answer();
    rig.activate(2, Leave::Abandon);
    assert_eq!((answer.status, b.journal.count()), (502, 0));
}

#[test]
fn a_status_without_a_name_keeps_the_backends_words() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 599 Tired\r\ncontent-length: 0\r\n\r\n");
        Then::Next
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    let mut line = [0; 20];
    std::io::Read::read_exact(&mut client.stream, &mut line).expect("a status line");
    assert_eq!(&line, b"HTTP/1.1 599 Tired\r\n");
}

/// Who speaks TLS with a proxy in front of us is where the redirect would send it.
#[test]
fn a_redirect_to_https_ends_where_a_trusted_proxy_speaks_it() {
    let a = Backend::named("a");
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    let ask = |rig: &Rig| {
        let mut client = rig.client();
        client.send("GET /x?y HTTP/1.1\r\nhost: h:81\r\nx-forwarded-proto: https\r\n\r\n");
        client.answer()
    };
    rig.snapshot.listeners[0].redirect_https = Some(RedirectHttps { port: 443, status: 308 });
    rig.configure(Vec::new());
    let sent_away = ask(&rig);
    assert_eq!(sent_away.status, 308);
    assert!(sent_away.head.contains("\r\nlocation: https://h/x?y\r\n"), "{}", sent_away.head);
    rig.snapshot.listeners[0].trusted_proxies = ["127.0.0.1/32".parse().unwrap()].into();
    rig.configure(Vec::new());
    assert_eq!(served(&ask(&rig)), "a");
    rig.at_rest();
}

/// The way to a backend changes while a request is there: its connection was made by other rules (whose
/// certificate is trusted, in whose name it speaks) and serves nobody else.
#[test]
fn a_connection_made_in_an_old_way_is_not_used_again() {
    let gate = Gate::default();
    let a = {
        let gate = gate.clone();
        Backend::start(move |exchange| {
            gate.pass();
            exchange.answer("a")
        })
    };
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    let (mut running, mut next) = (rig.client(), rig.client());
    running.send_get("/");
    a.journal.await_requests(1);
    let spec = Arc::make_mut(&mut rig.snapshot.services[0]);
    spec.backends[0].destination.url = BackendUrl::tcp(Scheme::Http, "localhost", a.address.port());
    rig.configure(Vec::new());
    gate.open();
    assert_eq!(served(&running.answer()), "a");
    assert_eq!(served(&next.get("/")), "a");
    assert_eq!(a.journal.accepted(), 2);
    rig.at_rest();
}

/// A client that has switched protocols still has its connection.
#[test]
fn a_tunnel_is_one_of_its_clients_connections() {
    let a = Backend::start(|exchange| {
        if exchange.field("upgrade").is_none() {
            return exchange.answer("a");
        }
        exchange.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        );
        exchange.body_until_closed();
        Then::Close
    });
    let mut plan = Plan::default();
    plan.limits.connections_per_client = 2;
    let rig = Rig::active(plan, &[a.address]);
    let (mut tunnel, mut other) = (rig.client(), rig.client());
    tunnel.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    tunnel.read_until("\r\n\r\n");
    assert_eq!(served(&other.get("/")), "a");
    assert!(rig.client().is_closed(), "a third is refused");
    rig.await_metric("listener_connections_over_client_limit_total", 1.0);
    drop(tunnel);
    rig.await_metric("listener_connections", 1.0);
    assert_eq!(served(&rig.client().get("/")), "a");
}

/// Also where no backend is asked, the last answer says that it is.
#[test]
fn the_last_answer_of_a_connection_says_so_whoever_gives_it() {
    let a = Backend::named("a");
    let mut plan = Plan::default();
    plan.limits.requests = Some(2);
    let rig = Rig::active(plan, &[a.address]);
    let mut client = rig.client();
    let ask = "TRACE / HTTP/1.1\r\nhost: h\r\n\r\n";
    client.send(ask);
    assert!(!client.answer().head.contains("connection: close"));
    client.send(ask);
    let last = client.answer();
    assert_eq!(last.status, 405);
    assert!(last.head.contains("\r\nconnection: close\r\n"), "{}", last.head);
    assert!(client.is_closed());
}
