//! Idle connections to a backend that closes them: nothing is lost, nothing is done twice.

use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use benches::condition::wait_for;
use benches::fetch::{get, request};

use crate::backend::{Backend, Connection, PATIENCE};
use crate::client::Client;
use crate::stage::{Scene, Stage};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const SERVICE: &str = "health: { tcp: {}, interval: 200ms, confirm_interval: 20ms }";
/// Whoever keeps an idle connection keeps it for longer than any of these tests.
const LEFT: &str = "health: { http: { path: /healthz }, interval: 100ms, confirm_interval: 20ms }\n\
                    connections: { idle_timeout: 30s }";
const IDLE: &str = "understudy_upstream_connections_idle";

/// The balancer before this backend alone.
fn before(backend: &Backend, service: &str) -> Scene {
    let scene = Scene::new(&[("a", format!("http://{}", backend.address()))], service);
    scene.understudy.wait_active("a");
    scene
}

/// A backend that answers the first request of each connection, and does `then` with the second. The
/// requests for `/warm` are answered together, so that there are as many connections as of them.
fn answers_once(warm: usize, then: impl Fn(&mut Connection) + Send + Sync + 'static) -> Backend {
    let barrier = Barrier::new(warm);
    Backend::start(move |connection| {
        let Some(first) = connection.request() else { return };
        if first.line().contains("/warm") {
            barrier.wait();
        }
        if connection.write(OK) {
            then(connection);
        }
    })
}

/// Leaves `count` idle connections in the pools, and one client to go on with.
fn warm_up(scene: &Scene, count: usize) -> Client {
    let address = scene.understudy.address();
    let clients: Vec<_> = (0..count)
        .map(|_| {
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let answer =
                    client.send("GET /warm HTTP/1.1\r\nhost: a.example\r\n\r\n").response();
                assert_eq!(answer.expect("an answer").status, 200);
                client
            })
        })
        .collect();
    let mut clients: Vec<_> =
        clients.into_iter().map(|client| client.join().expect("no panic")).collect();
    scene.understudy.wait_metric(IDLE, &[], |idle| idle == count as f64);
    clients.pop().expect("at least one")
}

#[test]
fn a_get_survives_a_connection_that_closes_as_it_arrives() {
    // Closed with most of the request unread, which is a reset, and with all of it read, which is not.
    let ways: [fn(&mut Connection); 2] =
        [|connection| drop(connection.take_exactly(1)), |connection| drop(connection.head())];
    // More than a script reads at a time.
    let fill = "x".repeat(20 * 1024);
    for way in ways {
        let backend = answers_once(1, way);
        let scene = before(&backend, SERVICE);
        let mut client = warm_up(&scene, 1);
        for number in 0..20 {
            let fields = format!("host: a.example\r\nx-fill: {fill}");
            let get = format!("GET /{number} HTTP/1.1\r\n{fields}\r\n\r\n");
            let answer = client.send(get).response().expect("an answer");
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]), "{number}");
        }
        let replayed = scene.metric("understudy_requests_replayed_total", &[]);
        assert_eq!(replayed, 20, "every one met a connection that closed");
        assert_eq!(scene.metric("understudy_requests_failed_total", &[]), 0);
    }
}

/// However many of them there are: the second attempt is made on a connection that cannot be stale.
#[test]
fn a_get_survives_a_pool_full_of_connections_that_close_as_it_arrives() {
    let backend = answers_once(12, |connection| drop(connection.take_exactly(1)));
    let scene = before(&backend, SERVICE);
    let mut client = warm_up(&scene, 12);
    for number in 0..12 {
        let get = format!("GET /{number} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        let answer = client.send(get).response().expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]), "{number}");
    }
    assert!(scene.metric("understudy_requests_replayed_total", &[]) >= 1, "no race, no test");
}

#[test]
fn a_post_that_was_sent_on_a_connection_that_closes_is_told_so_and_not_repeated() {
    // With its body read, and with most of its body unread, which is a reset.
    let ways: [fn(&mut Connection); 2] =
        [|connection| drop(connection.request()), |connection| drop(connection.head())];
    for way in ways {
        let arrived = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&arrived);
        let backend = answers_once(1, move |connection| {
            // Counts what arrives on a used connection, also when only its first byte is read.
            way(connection);
            count.fetch_add(1, SeqCst);
        });
        let scene = before(&backend, SERVICE);
        let mut client = warm_up(&scene, 1);
        let body = "o".repeat(40_000);
        let fields = format!("host: a.example\r\ncontent-length: {}", body.len());
        let post = format!("POST /order HTTP/1.1\r\n{fields}\r\n\r\n{body}");
        let answer = client.send(post).response().expect("an answer");
        assert_eq!(answer.status, 502, "{answer:?}");
        // The next one gets a new connection; if the order were sent again, it would be by now.
        let next = get(scene.understudy.address(), "/next").expect("an answer");
        assert_eq!(next.status, 200);
        assert_eq!(arrived.load(SeqCst), 1, "on the connection that closed");
        let elsewhere = backend.seen_with("POST").len();
        assert!(elsewhere <= 1, "it was sent again: {:?}", backend.seen());
        assert_eq!(scene.metric("understudy_upstream_attempts_total", &[]), 3, "warm, order, next");
        assert_eq!(scene.metric("understudy_requests_replayed_total", &[]), 0);
        let blamed = scene.metric("understudy_requests_failed_total", &[("blame", "upstream")]);
        assert_eq!(blamed, 1);
    }
}

/// A connection that was closed while idle is known to be closed before anything is sent on it.
#[test]
fn a_post_is_never_sent_on_a_connection_that_was_closed_before() {
    let backend = answers_once(1, |_| ());
    let scene = before(&backend, SERVICE);
    for number in 0..10 {
        let target = format!("/order/{number}");
        let answer = request(scene.understudy.address(), "POST", &target, &[], b"hello");
        assert_eq!(answer.expect("an answer").status, 200, "{number}");
        wait_for(PATIENCE, "the backend's end of the connection has closed", || {
            let open = open_connections_to(backend.address().port());
            if open == 0 { Ok(()) } else { Err(open) }
        });
        assert_eq!(backend.seen_with(&target).len(), 1, "{number}");
    }
    assert_eq!(backend.seen_with("/order").len(), 10);
}

/// Connections to a port of the loopback interface that neither end has closed.
fn open_connections_to(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let backend = format!("0100007F:{port:04X}");
    // Number, local address, remote address, state; 01 is ESTABLISHED.
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|line| line.get(2) == Some(&backend.as_str()) && line.get(3) == Some(&"01"))
        .count()
}

#[test]
fn an_idle_connection_is_given_up_before_the_backend_closes_it() {
    let waited_ms = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&waited_ms);
    let backend = answers_once(1, move |connection| {
        let begun = Instant::now();
        assert!(connection.closed(), "left for the backend to close");
        told.store(begun.elapsed().as_millis().max(1) as u64, SeqCst);
    });
    let service = format!("{SERVICE}\nconnections: {{ idle_timeout: 2s }}");
    let scene = before(&backend, &service);
    let _client = warm_up(&scene, 1);
    let waited = wait_for(PATIENCE, "the connection is closed", || {
        Some(waited_ms.load(SeqCst)).filter(|waited| *waited > 0).ok_or("open")
    });
    // Idle times are counted from the last look, and looked at every 100 ms: so it may be one look too
    // early or too late. The rest is for a busy machine.
    assert!((1750..2600).contains(&waited), "{waited} ms");
    assert_eq!(scene.metric(IDLE, &[]), 0);
}

#[test]
fn a_backend_that_is_left_keeps_no_idle_connections() {
    let stage = Stage::new(LEFT);
    assert_eq!(get(stage.understudy.address(), "/").expect("an answer").status, 200);
    assert_eq!(stage.metric(IDLE, &[("backend", "a")]), 1);
    stage.a.control("health=503");
    stage.understudy.wait_active("b");
    stage.understudy.wait_metric(IDLE, &[("backend", "a")], |idle| idle == 0.0);
}

/// Nor those whose requests were still running when it was left.
#[test]
fn a_backend_that_is_left_gets_no_idle_connections_later() {
    let stage = Stage::new(LEFT);
    let address = stage.understudy.address();
    let slow = thread::spawn(move || get(address, "/slow?ms=1500"));
    stage.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 1.0);
    stage.a.control("health=503");
    stage.understudy.wait_active("b");
    assert!(!slow.is_finished(), "it was over before the service moved");
    let answer = slow.join().expect("no panic").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")));
    stage.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 0.0);
    assert_eq!(stage.metric(IDLE, &[("backend", "a")]), 0, "kept for a backend without traffic");
}
