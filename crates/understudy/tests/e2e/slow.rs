//! Slow is not dead: one long query among fast ones moves nothing. Silence is found by the requests that
//! wait in it.

use std::thread;
use std::time::{Duration, Instant};

use benches::fetch::get;
use benches::load::{Load, Plan};

use crate::operator::Bridge;
use crate::stage::{Stage, assert_none_failed, wait_served};

/// Among a hundred fast requests a second.
#[test]
fn a_query_of_thirty_seconds_among_fast_ones_moves_nothing() {
    let length = Duration::from_secs(30);
    let stage = Stage::with_defaults();
    let address = stage.understudy.address();
    let load = Load::start(Plan::gets(address, 100));
    wait_served(&load, "a", 100);
    let before = stage.metric("understudy_probes_total", &[("backend", "a")]);
    let begun = Instant::now();
    let target = format!("/slow?ms={}", length.as_millis());
    let query = thread::spawn(move || get(address, &target));
    let answer = query.join().expect("no panic").expect("an answer");
    let took = begun.elapsed();
    assert!(took >= length, "{took:?}");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")));
    let report = load.finish();
    assert_none_failed(&report);
    // Nobody waits while the query is looked into.
    assert_eq!(stage.metric("understudy_requests_held_total", &[]), 0);
    assert!(report.longest_gap() < Duration::from_secs(10), "{report}");
    let stalls = stage.metric("understudy_suspicions_total", &[("symptom", "stalled")]);
    assert!(stalls >= 1, "never suspected: the test shows nothing");
    assert_eq!(stage.metric("understudy_probes_total", &[("verdict", "fail")]), 0);
    let probes = stage.metric("understudy_probes_total", &[("backend", "a")]) - before;
    // One a second, as ever (a tenth more by the jitter), and one for each suspicion.
    let most = took.as_secs() * 11 / 10 + stalls + 3;
    assert!(probes <= most, "{probes} probes in {took:?} with {stalls} suspicions");
    let slow =
        stage.a.journal().into_iter().filter(|entry| entry.path.starts_with("/slow")).count();
    assert_eq!(slow, 1, "it was asked for again");
    stage.assert_never_moved();
}

/// Probes are so rare that only the traffic can tell.
#[test]
fn a_backend_that_falls_silent_under_traffic_is_found_by_it_and_the_record_says_so() {
    let bridge = Bridge::new(
        "health: { http: { path: /healthz }, interval: 10m, confirm_interval: 50ms }\nfailback: manual",
    );
    let load = Load::start(Plan::gets(bridge.understudy.address(), 100));
    wait_served(&load, "a", 100);
    bridge.a.process.stop();
    wait_served(&load, "b", 100);
    let report = load.finish();
    eprintln!("silent: {report}");
    assert_none_failed(&report);
    let incident = &bridge.incidents()[0];
    let evidence = incident["evidence"].to_string();
    assert!(evidence.contains("no answer for too long"), "no stall in {incident:#}");
    bridge.a.process.resume();
}
