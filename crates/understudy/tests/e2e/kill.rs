//! SIGKILL of the primary under an open load of GETs: nobody notices but the stopwatch.

use std::time::Duration;

use benches::journal::now_ns;
use benches::load::{Load, Plan};

use crate::stage::{Stage, assert_none_failed, assert_one_switch, wait_served};

const MS: Duration = Duration::from_millis(1);

/// Kills the primary under 500 GETs a second; the longest gap without a success.
fn killed(stage: &mut Stage) -> Duration {
    let load = Load::start(Plan::gets(stage.understudy.address(), 500));
    wait_served(&load, "a", 600);
    stage.assert_primary_only();
    let killed_at = now_ns();
    stage.a.process.kill();
    wait_served(&load, "b", 600);
    let report = load.finish();

    eprintln!("killed: {report}");
    assert_none_failed(&report);
    assert_one_switch(&report);
    let standby = stage.b.journal();
    assert!(standby.iter().all(|entry| entry.at_ns > killed_at), "traffic before the kill");
    let arrived = stage.a.journal().len() + standby.len();
    assert!(arrived >= report.samples.len(), "{arrived} arrived: {report}");
    stage.assert_metrics_agree(&report);
    assert_eq!(stage.metric("understudy_service_transitions_total", &[("reason", "failover")]), 1);
    assert_eq!(stage.metric("understudy_backend_active", &[("backend", "b")]), 1);
    report.longest_gap()
}

#[test]
fn a_killed_primary_is_left_within_350_ms_and_nothing_fails() {
    let gap = killed(&mut Stage::with_defaults());
    assert!(gap < 350 * MS, "{gap:?}");
}

#[test]
fn with_quick_confirmation_a_killed_primary_is_left_within_60_ms() {
    let quick = "health: { http: { path: /healthz }, confirm_interval: 10ms }";
    let gap = killed(&mut Stage::new(quick));
    assert!(gap < 60 * MS, "{gap:?}");
}
