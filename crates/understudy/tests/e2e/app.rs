//! The application is ill while its health endpoint says that it is well, and the other way round.
//! Only the probes decide.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use benches::fetch::{get, request};
use benches::load::{Load, Plan};

use crate::backend::{Backend, PATIENCE};
use crate::client::Client;
use crate::stage::{Scene, Stage, assert_none_failed, wait_served};

const QUICK: &str = "health: { http: { path: /healthz, status: 200 }, interval: 100ms, \
                     confirm_interval: 20ms }";

#[test]
fn errors_of_the_application_are_relayed_and_move_nothing() {
    let stage = Stage::new(QUICK);
    stage.a.control("status=500");
    let load = Load::start(Plan::gets(stage.understudy.address(), 200));
    stage.wait_passes("a", 20);
    let report = load.finish();
    let answer = get(stage.understudy.address(), "/").expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (500, "as told\n"));
    assert!(report.samples.len() > 100, "that was no load: {report}");
    assert_eq!(report.with_status(500), report.samples.len(), "{report}");
    assert_eq!(report.origins(), [("a".to_owned(), report.samples.len())]);
    assert_eq!(stage.a.journal().len(), report.samples.len() + 1, "an error was asked for again");
    assert_eq!(stage.metric("understudy_requests_failed_total", &[]), 0, "no failure of ours");
    stage.assert_never_moved();
}

#[test]
fn a_slow_application_is_suspected_and_kept() {
    let stage = Stage::with_defaults();
    stage.a.control("delay_ms=1000");
    let load = Load::start(Plan::gets(stage.understudy.address(), 50));
    wait_served(&load, "a", 120);
    let report = load.finish();
    assert_none_failed(&report);
    let stalls = stage.metric("understudy_suspicions_total", &[("symptom", "stalled")]);
    assert!(stalls >= 2, "suspected {stalls} times only: the test shows nothing");
    assert_eq!(stage.metric("understudy_probes_total", &[("verdict", "fail")]), 0);
    assert_eq!(stage.a.journal().len(), report.samples.len(), "a slow answer was asked for again");
    stage.assert_never_moved();
    stage.assert_metrics_agree(&report);
}

#[test]
fn a_request_that_hangs_in_the_application_times_out_alone() {
    let stage = Stage::new(&format!("{QUICK}\ntimeouts: {{ response: 5s }}"));
    let address = stage.understudy.address();
    let load = Load::start(Plan::gets(address, 200));
    wait_served(&load, "a", 100);
    let hung: Vec<_> = ["GET", "GET", "DELETE", "POST", "POST"]
        .into_iter()
        .enumerate()
        .map(|(id, method)| {
            thread::spawn(move || {
                let begun = Instant::now();
                let target = format!("/orders/hung-{id}?ms=60000");
                (request(address, method, &target, &[], b""), begun.elapsed())
            })
        })
        .collect();
    stage.understudy.wait_service("they are there", |_| {
        stage.a.journal().iter().filter(|entry| entry.path.contains("hung")).count() == hung.len()
    });
    wait_served(&load, "a", 100);
    assert!(!hung.iter().any(|hung| hung.is_finished()), "the others waited until they were over");
    for hung in hung {
        let (answer, waited) = hung.join().expect("no panic");
        assert_eq!(answer.expect("an answer").status, 504);
        // The application would have taken a minute.
        assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(50), "{waited:?}");
    }
    wait_served(&load, "a", 100);
    let report = load.finish();
    assert_none_failed(&report);
    let orders = stage.a.journal().into_iter().filter(|entry| entry.path.contains("hung")).count();
    assert_eq!(orders, 5, "each was sent exactly once");
    stage.assert_never_moved();
}

#[test]
fn what_only_the_probe_finds_wrong_moves_the_service() {
    let stage = Stage::new(QUICK);
    let load = Load::start(Plan::gets(stage.understudy.address(), 200));
    wait_served(&load, "a", 100);
    stage.assert_primary_only();
    stage.a.control("health=404");
    wait_served(&load, "b", 100);
    let report = load.finish();
    assert_none_failed(&report);
    let arrived = stage.a.journal().len() + stage.b.journal().len();
    assert_eq!(arrived, report.samples.len(), "nothing was sent twice");
    stage.assert_metrics_agree(&report);
}

/// A connection that is reset in the middle of a body, for each way to say where a body ends.
#[test]
fn a_reset_in_the_middle_of_a_body_never_looks_like_its_end() {
    let framings = [
        ("a length", "content-length: 1000", "half"),
        ("chunks", "transfer-encoding: chunked", "4\r\nhalf\r\n"),
        ("the close", "connection: close", "half"),
    ];
    for (name, framing, body) in framings {
        let (seen_half, go_on) = mpsc::channel::<()>();
        let go_on = Arc::new(Mutex::new(go_on));
        let backend = Backend::start(move |connection| {
            // A script reads 16 KiB at a time. What is left unread when the connection is dropped turns
            // its end into a reset.
            if connection.take_exactly(1).is_none() {
                return;
            }
            connection.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}").as_bytes());
            let half = go_on.lock().expect("no panic").recv_timeout(PATIENCE);
            half.expect("the client gets the first half");
        });
        let url = format!("http://{}", backend.address());
        let scene = Scene::new(&[("a", url)], "health: { tcp: {}, interval: 100ms }");
        scene.understudy.wait_active("a");
        let mut client = Client::connect(scene.understudy.address());
        let answer = thread::spawn(move || {
            let fill = "x".repeat(20 * 1024);
            let head = format!("GET /halved HTTP/1.1\r\nhost: a.example\r\nx-fill: {fill}\r\n\r\n");
            client.send(head).response()
        });
        let begun = [("class", "2xx")];
        scene.understudy.wait_metric("understudy_requests_total", &begun, |count| count == 1.0);
        seen_half.send(()).expect("the script waits");
        let answer = answer.join().expect("no panic").expect("a head");
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(!answer.complete, "{name}: looks complete: {answer:?}");
        let attempts = scene.metric("understudy_upstream_attempts_total", &[]);
        assert_eq!(attempts, 1, "{name}: a half answer cannot be repeated");
        scene.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 0.0);
    }
}
