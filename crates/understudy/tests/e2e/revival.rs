//! The primary comes back: it gets the service after the hold-down, and not if it flaps.

use std::thread;
use std::time::{Duration, Instant};

use benches::journal::now_ns;
use benches::load::{Load, Plan};

use crate::stage::{Stage, assert_none_failed, wait_served};

const HOLD_DOWN: Duration = Duration::from_secs(2);
const SERVICE: &str = "health: { http: { path: /healthz, status: 200 }, interval: 200ms, \
                       confirm_interval: 50ms }\nfailback: { auto: { hold_down: 2s } }";

#[test]
fn a_revived_primary_gets_the_service_back_after_the_hold_down() {
    let mut stage = Stage::new(SERVICE);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 200);
    stage.a.process.kill();
    wait_served(&load, "b", 200);
    let before = stage.a.journal().len();
    let revived_ns = now_ns();
    stage.a.revive();
    wait_served(&load, "a", 300);
    let report = load.finish();

    eprintln!("revived: {report}");
    assert_none_failed(&report);
    let names: Vec<_> = report.origins().into_iter().map(|(name, _)| name).collect();
    assert_eq!((names.first(), names.last()), (Some(&"a".into()), Some(&"a".into())), "{report}");
    let first = stage.a.journal()[before].at_ns;
    let waited = Duration::from_nanos(first - revived_ns);
    assert!(waited >= HOLD_DOWN, "failed back after {waited:?}");
    // Requests that were in flight at the failback may still finish on `b`; none began there.
    let late = stage.b.journal().iter().filter(|entry| entry.at_ns > first).count();
    assert!(late <= 5, "{late} requests arrived at b after the failback");
    assert_eq!(stage.metric("understudy_service_transitions_total", &[("reason", "failback")]), 1);
    stage.assert_metrics_agree(&report);
}

#[test]
fn a_primary_that_flaps_every_second_is_not_failed_back_to() {
    let stage = Stage::new(SERVICE);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 200);
    stage.a.control("health=503");
    stage.understudy.wait_active("b");
    let epoch = stage.understudy.epoch();
    // Every second, as the scenario says; that it is seen to come up and go down shows that it was
    // not too quick for the probes.
    for _ in 0..4 {
        for (health, seen) in [("200", "up"), ("503", "down")] {
            let begun = Instant::now();
            stage.a.control(&format!("health={health}"));
            stage.understudy.wait_health("a", seen);
            thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        }
    }
    assert_eq!(stage.understudy.epoch(), epoch, "the active changed while the primary flapped");
    assert_eq!(stage.understudy.active().as_deref(), Some("b"));
    let before = stage.a.journal().len();
    let steady_ns = now_ns();
    stage.a.control("health=200");
    wait_served(&load, "a", 200);
    let report = load.finish();

    eprintln!("flapping: {report}");
    assert_none_failed(&report);
    let waited = Duration::from_nanos(stage.a.journal()[before].at_ns - steady_ns);
    assert!(waited >= HOLD_DOWN, "failed back after {waited:?}");
    stage.assert_metrics_agree(&report);
}
