//! SIGKILL of the primary under orders: none is executed twice, and every client is told the truth.

use std::collections::BTreeMap;
use std::time::Duration;

use benches::journal::fingerprint;
use benches::load::{Load, Plan, order};

use crate::stage::{Stage, wait_served};

#[test]
fn orders_in_flight_at_a_kill_are_never_executed_twice() {
    let mut stage = Stage::with_defaults();
    let load =
        Load::start(Plan::orders(stage.understudy.address(), 300, Duration::from_millis(50)));
    wait_served(&load, "a", 300);
    stage.assert_primary_only();
    let killed = load.now();
    stage.a.process.kill();
    let dead = load.now();
    wait_served(&load, "b", 600);
    let report = load.finish();
    eprintln!("orders at a kill: {report}");

    let mut executed: BTreeMap<u64, (String, u64)> = BTreeMap::new();
    for entry in [stage.a.journal(), stage.b.journal()].concat() {
        let id = entry.id.parse().expect("a number");
        let body = entry.body.expect("a fingerprint");
        assert_eq!(body, fingerprint(order(id).as_bytes()), "order {id} arrived changed");
        let twice = executed.insert(id, (entry.origin.clone(), body));
        assert_eq!(twice, None, "order {id} was executed again at {}", entry.origin);
    }
    for sample in report.samples.iter().filter(|sample| sample.succeeded()) {
        assert_eq!(sample.status, Some(201));
        let executor = executed.get(&sample.index).map(|(origin, _)| origin.clone());
        assert_eq!(executor, sample.origin, "order {} was confirmed", sample.index);
    }
    assert!(!report.failed().is_empty(), "no order was in flight: {report}");
    // A moment for those that were under way to the primary when it died.
    let margin = Duration::from_millis(25);
    for failed in report.failed() {
        assert_eq!(failed.status, Some(502), "{failed:?}");
        let (sent, until) = (failed.sent.expect("sent"), failed.finished);
        assert!(until > killed, "failed before the kill: {failed:?}");
        assert!(sent < dead + margin, "never sent to a backend, but failed: {failed:?}");
        let executor = executed.get(&failed.index).map(|(origin, _)| origin.as_str());
        assert_ne!(executor, Some("b"), "failed, but executed by the standby: {failed:?}");
    }
    stage.assert_metrics_agree(&report);
    let blamed = stage.metric("understudy_requests_failed_total", &[("blame", "upstream")]);
    assert_eq!(blamed, report.with_status(502) as u64);
}
