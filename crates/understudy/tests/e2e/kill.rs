//! SIGKILL of the primary under an open load of GETs: nobody notices.

use std::time::Duration;

use benches::journal::now_ns;
use benches::load::{Load, Plan};

use crate::stage::{Stage, assert_none_failed, assert_one_switch, wait_served};

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

/// The next probe is due in a minute: whoever waits for that waits too long. How fast it is beyond that
/// is for the benches to say: other tests run beside this one.
#[test]
fn a_killed_primary_is_left_when_requests_notice_and_nothing_fails() {
    for confirm in ["100ms", "10ms"] {
        let rare = format!(
            "health: {{ http: {{ path: /healthz }}, interval: 1m, confirm_interval: {confirm} }}"
        );
        let gap = killed(&mut Stage::new(&rare));
        assert!(gap < Duration::from_secs(15), "{gap:?}");
    }
}
