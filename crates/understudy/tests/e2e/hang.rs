//! SIGSTOP of the primary: it still accepts connections and never answers. Probes find out, not the
//! timeouts of requests.

use std::collections::BTreeSet;
use std::time::Duration;

use benches::load::{Load, Plan};

use crate::stage::{Stage, assert_none_failed, assert_one_switch, wait_served};

/// The defaults, with timeouts of the request path that cannot have helped.
const PATIENT: &str = "health: { http: { path: /healthz } }\n\
                       timeouts: { connect: 30s, response: 60s }";

#[test]
fn a_hung_primary_is_left_before_any_timeout_and_no_get_fails() {
    let stage = Stage::new(PATIENT);
    let load = Load::start(Plan::gets(stage.understudy.address(), 500));
    wait_served(&load, "a", 600);
    stage.assert_primary_only();
    stage.a.process.stop();
    wait_served(&load, "b", 1500);
    let report = load.finish();

    eprintln!("hung: {report}");
    assert_none_failed(&report);
    assert_one_switch(&report);
    let gap = report.longest_gap();
    // How fast is for the benches to say: other tests run beside this one.
    assert!(gap < Duration::from_secs(15), "{gap:?}");
    assert!(stage.metric("understudy_suspicions_total", &[("symptom", "stalled")]) >= 1);
    assert!(stage.metric("understudy_requests_replayed_total", &[]) >= 1);
    stage.assert_metrics_agree(&report);
}

#[test]
fn an_order_that_a_hung_primary_may_have_is_never_given_to_another() {
    let settle = "health: { http: { path: /healthz } }\nreplay: { settle: 300ms }";
    let stage = Stage::new(settle);
    let load =
        Load::start(Plan::orders(stage.understudy.address(), 200, Duration::from_millis(20)));
    wait_served(&load, "a", 200);
    stage.a.process.stop();
    wait_served(&load, "b", 400);
    // What waits in the sockets of the primary is executed now, if it ever is.
    stage.a.process.resume();
    stage.understudy.wait_health("a", "up");
    wait_served(&load, "b", 200);
    let report = load.finish();

    eprintln!("orders at a hang: {report}");
    let at = |entries: Vec<benches::journal::Entry>| -> BTreeSet<String> {
        entries.into_iter().map(|entry| entry.id).collect()
    };
    let (of_a, of_b) = (stage.a.journal(), stage.b.journal());
    let executions = of_a.len() + of_b.len();
    let (of_a, of_b) = (at(of_a), at(of_b));
    assert_eq!(of_a.len() + of_b.len(), executions, "one backend executed an order twice");
    assert_eq!(of_a.intersection(&of_b).count(), 0, "both backends executed an order");
    assert!(!report.failed().is_empty(), "no order was in flight: {report}");
    for failed in report.failed() {
        assert_eq!(failed.status, Some(504), "{failed:?}");
        assert!(!of_b.contains(&failed.index.to_string()), "failed, but executed: {failed:?}");
    }
    stage.assert_metrics_agree(&report);
}
