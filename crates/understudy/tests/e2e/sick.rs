//! The health endpoint says 503 while the primary still serves: an orderly move.

use std::time::Duration;

use benches::load::{Load, Plan, Requests};

use crate::stage::{Stage, assert_none_failed, wait_served};

#[test]
fn requests_in_flight_finish_on_a_sick_primary_that_still_serves() {
    let stage = Stage::with_defaults();
    let requests = Requests::Gets { path: String::from("/slow?ms=150") };
    let load = Load::start(Plan { requests, ..Plan::gets(stage.understudy.address(), 300) });
    wait_served(&load, "a", 300);
    stage.assert_primary_only();
    let failures = |stage: &Stage| {
        stage.metric("understudy_probes_total", &[("backend", "a"), ("verdict", "fail")])
    };
    assert_eq!(failures(&stage), 0);
    let sick_at = load.now();
    stage.a.control("health=503");
    wait_served(&load, "b", 300);
    let report = load.finish();

    eprintln!("sick: {report}");
    assert_none_failed(&report);
    assert!(failures(&stage) >= 3, "moved after {} failed probes, not 3", failures(&stage));
    let of_b = stage.b.journal();
    let moved_at = Duration::from_nanos(of_b[0].at_ns - report.begun_ns);
    let confirmed = Duration::from_millis(100) * 2;
    assert!(moved_at >= sick_at + confirmed.mul_f64(0.8), "{sick_at:?} {moved_at:?}");
    let finished_late = report
        .samples
        .iter()
        .filter(|sample| sample.origin.as_deref() == Some("a") && sample.finished > moved_at)
        .count();
    assert!(finished_late >= 10, "{finished_late} of about 45 finished on the old one: {report}");
    let arrived = stage.a.journal().len() + of_b.len();
    assert_eq!(arrived, report.samples.len(), "nothing was sent twice");
    stage.assert_metrics_agree(&report);
    assert_eq!(stage.metric("understudy_requests_replayed_total", &[]), 0);
}
