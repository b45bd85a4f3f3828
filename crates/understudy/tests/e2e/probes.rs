//! What probes ask and what they expect: over HTTP and bare TCP, several of them, at two levels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use benches::condition::wait_for;
use benches::fetch::{get, request};
use serde_json::json;

use crate::backend::Backend;
use crate::desk::Desk;
use crate::stage::{PATIENCE, Scene, backend_in, wait_verdicts};

const TIMING: &str = "interval: 100ms\n  confirm_interval: 20ms\n  rise: 2\n  fall: 3";

/// Two desks that are made ready like this, and the balancer with these lines for `health` and for the
/// service.
fn scene(health: &str, service: &str, prepare: impl Fn(&Desk)) -> (Scene, Desk, Desk) {
    let (a, b) = (Desk::open("a"), Desk::open("b"));
    prepare(&a);
    prepare(&b);
    let service = format!("health:\n  {health}\n  {TIMING}\n{service}");
    let scene = Scene::new(&[("a", a.url()), ("b", b.url())], &service);
    scene.understudy.wait_active("a");
    scene.understudy.wait_health("b", "up");
    (scene, a, b)
}

const STAY: &str = "failback: manual";

/// What the last probe of `a` said.
fn words(scene: &Scene) -> String {
    backend_in(&scene.understudy.service(), "a")["last_probe"].to_string()
}

#[test]
fn the_wrong_site_that_answers_200_is_found_out() {
    for (expect, good, bad) in [
        ("text: licence server", "the licence server of ours\n", "It works!\n"),
        ("regex: \"(?m)^state: (ready|busy)$\"", "state: busy\n", "state: busybody\n"),
    ] {
        let health = format!("http: {{ path: /health, expect: {{ {expect} }} }}");
        let (scene, a, _b) = scene(&health, STAY, |desk| desk.set("/health", 200, good));
        a.set("/health", 200, bad);
        scene.understudy.wait_active("b");
        scene.understudy.wait_health("a", "down");
        let answer = get(scene.understudy.address(), "/").expect("an answer");
        assert_eq!(answer.header("x-origin"), Some("b"), "{expect}");
        a.set("/health", 200, good);
        scene.understudy.wait_health("a", "up");
    }
}

#[test]
fn a_document_is_read_and_its_values_are_compared() {
    let rules = "{ pointer: /status, equals: UP }, { pointer: /lag, below: 10 }, \
                 { pointer: /disk/free, above: 5 }, { pointer: /mode, not: readonly }, \
                 { pointer: /id, exists: true }, { pointer: /version, matches: \"^2[.]\" }";
    let well = json!({ "status": "UP", "lag": 3, "disk": { "free": 80 }, "mode": "rw", "id": null,
                       "version": "2.1" });
    let health = format!("http: {{ path: /health, expect: {{ json: [{rules}] }} }}");
    let back = "failback: { auto: { hold_down: 50ms } }";
    let (scene, a, _b) = scene(&health, back, |desk| desk.set("/health", 200, &well.to_string()));
    let ill = [
        ("/status", json!("DOWN")),
        ("/lag", json!(10)),
        ("/lag", json!("3")),
        ("/disk/free", json!(4.5)),
        ("/mode", json!("readonly")),
        ("/version", json!("1.2.")),
    ];
    for (pointer, value) in ill {
        scene.understudy.wait_active("a");
        let mut document = well.clone();
        *document.pointer_mut(pointer).expect("a place") = value;
        a.set("/health", 200, &document.to_string());
        scene.understudy.wait_active("b");
        assert_eq!(scene.understudy.health("a"), "down", "{document}");
        a.set("/health", 200, &well.to_string());
    }
    scene.understudy.wait_active("a");
    a.set("/health", 200, "{ \"status\": \"UP\"");
    scene.understudy.wait_active("b");
}

#[test]
fn a_body_beyond_the_bound_fails_where_something_is_expected_of_it_and_only_there() {
    let long = format!("{}ready", ".".repeat(4096));
    for (expect, outcome) in [(", expect: { text: ready }", "down"), ("", "up")] {
        let health = format!("http: {{ path: /health{expect}, body_bytes: 1KiB }}");
        let (scene, a, _b) = scene(&health, STAY, |desk| desk.set("/health", 200, "ready"));
        a.set("/health", 200, &long);
        let verdict = if outcome == "down" { "fail" } else { "pass" };
        wait_verdicts(&scene.understudy, "a", verdict, 5);
        scene.understudy.wait_health("a", outcome);
        if outcome == "down" {
            assert!(words(&scene).contains("body"), "{}", words(&scene));
        }
    }
}

#[test]
fn bytes_are_sent_and_others_expected() {
    let loading = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&loading);
    let redis = Backend::start(move |connection| {
        while connection.take_exactly(6).is_some_and(|bytes| bytes == b"PING\r\n") {
            let loading = told.load(SeqCst);
            let answer: &[u8] = if loading { b"-LOADING data\r\n" } else { b"+PONG\r\n" };
            if !connection.write(answer) {
                return;
            }
        }
    });
    let b = Desk::open("b");
    let silent = Backend::start(|connection| assert!(connection.closed(), "left open"));
    let service = format!(
        "health:\n  tcp: {{ send: \"PING\\r\\n\", expect: \"^[+]PONG\" }}\n  timeout: 300ms\n  {TIMING}\n\
         failback: manual"
    );
    let url = |backend: &Backend| format!("http://{}", backend.address());
    let backends = [("a", url(&redis)), ("b", b.url()), ("silent", url(&silent))];
    let scene = Scene::new(&backends, &service);
    scene.understudy.wait_active("a");
    // One that speaks HTTP, and one that says nothing at all.
    scene.understudy.wait_health("b", "down");
    scene.understudy.wait_health("silent", "down");
    loading.store(true, SeqCst);
    scene.understudy.wait_health("a", "down");
    loading.store(false, SeqCst);
    scene.understudy.wait_health("a", "up");
}

#[test]
fn two_of_three_are_enough_where_that_is_the_rule() {
    let probes = "probes:\n    - { name: one, http: { path: /one, status: 200 } }\n    \
                  - { name: two, http: { path: /two, status: 200 } }\n    \
                  - { name: three, http: { path: /three, status: 200 } }";
    for (quorum, failing) in [("\n  quorum: 2", 2), ("", 1)] {
        let (scene, a, _b) = scene(&format!("{probes}{quorum}"), STAY, |_| ());
        let paths = ["/one", "/two", "/three"];
        for path in &paths[..failing - 1] {
            a.set(path, 503, "ill");
            let before = a.asked(path);
            wait_for(PATIENCE, "it was heard", || {
                let asked = a.asked(path);
                if asked >= before + 5 { Ok(()) } else { Err(asked) }
            });
            assert_eq!(scene.understudy.health("a"), "up", "{quorum}: one of three has failed");
        }
        assert_eq!(scene.metric("understudy_service_transitions_total", &[]), 1, "{quorum}");
        a.set(paths[failing - 1], 503, "ill");
        scene.understudy.wait_active("b");
        assert_eq!(scene.understudy.health("a"), "down");
        let checks =
            backend_in(&scene.understudy.service(), "a")["last_probe"]["checks"].to_string();
        assert!(checks.contains("\"one\""), "{checks}");
    }
}

/// A failure that only says "no requests now" lets them finish; one that says "dead" does not.
#[test]
fn what_a_failed_probe_does_to_requests_under_way_depends_on_its_level() {
    let probes = "probes:\n    - { name: life, level: alive, http: { path: /alive, status: 200 } }\n    \
                  - { name: work, http: { path: /ready, status: 200 } }";
    for (failing, reader_ends_at, writer_status) in [("/ready", "a", 200), ("/alive", "b", 504)] {
        let service = format!("{STAY}\nreplay: {{ settle: 300ms }}");
        let (scene, a, b) = scene(probes, &service, |_| ());
        a.set_slow("/slow", Duration::from_secs(4));
        let address = scene.understudy.address();
        let reader = thread::spawn(move || get(address, "/slow"));
        let writer = thread::spawn(move || request(address, "POST", "/slow", &[], b"order"));
        wait_for(PATIENCE, "both are under way", || {
            let asked = a.asked("/slow");
            if asked == 2 { Ok(()) } else { Err(asked) }
        });
        a.set(failing, 503, "no");
        scene.understudy.wait_active("b");
        let of = |ended: thread::JoinHandle<std::io::Result<benches::fetch::Answer>>| {
            let answer = ended.join().expect("no panic").expect("an answer");
            (answer.status, answer.header("x-origin").map(str::to_owned))
        };
        assert_eq!(of(reader), (200, Some(reader_ends_at.to_owned())), "{failing}");
        let (status, _) = of(writer);
        assert_eq!(status, writer_status, "{failing}");
        assert_eq!(a.asked("/slow"), 2, "{failing}");
        assert_eq!(
            b.asked("/slow"),
            usize::from(reader_ends_at == "b"),
            "{failing}: an order twice?"
        );
    }
}

/// Its pass stands for the rounds between.
#[test]
fn a_probe_with_an_interval_of_its_own_is_asked_more_rarely_but_not_less_heard() {
    let probes = "probes:\n    - { name: page, http: { path: /page, status: 200 } }\n    \
                  - { name: deep, http: { path: /deep, status: 200 }, interval: 2s }";
    let (scene, a, _b) = scene(probes, STAY, |_| ());
    wait_verdicts(&scene.understudy, "a", "pass", 30);
    let (page, deep) = (a.asked("/page"), a.asked("/deep"));
    assert!(deep >= 1 && deep * 4 <= page, "{deep} of {page}");
    a.set("/deep", 503, "ill");
    scene.understudy.wait_active("b");
    a.set("/deep", 200, "well");
    scene.understudy.wait_health("a", "up");
}
