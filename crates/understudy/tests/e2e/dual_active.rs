//! Two backends that both call themselves active: nobody knows which is right, so nothing moves by
//! itself until one gives in or an operator decides.

use std::time::Duration;

use benches::load::{Load, Plan};
use benches::origin::Origin;

use crate::operator::Bridge;
use crate::stage::{assert_none_failed, wait_role, wait_served, wait_verdicts};

const HEALTH: &str = "health:\n  http: { path: /healthz, role: { by: { header: X-Role } } }\n  \
                      interval: 100ms\n  confirm_interval: 20ms\n  rise: 2\n  fall: 3";
const QUICK_BACK: &str = "failback: { auto: { hold_down: 200ms } }";

fn say(origin: &Origin, role: &str) {
    origin.control(&format!("health_field=x-role:{role}"));
}

/// `a` is the active and `b` its standby.
fn bridge(failback: &str) -> Bridge {
    let bridge = Bridge::prepared(&format!("{HEALTH}\n{failback}"), |a, b| {
        say(a, "active");
        say(b, "standby");
    });
    bridge.done("wait --active a --timeout 20s");
    wait_role(&bridge.understudy, "b", "standby");
    bridge
}

fn wait_dual(bridge: &Bridge) {
    bridge.understudy.wait_service("two are active", |service| !service["dual_active"].is_null());
}

fn wait_one(bridge: &Bridge) {
    bridge.understudy.wait_service("one is active", |service| service["dual_active"].is_null());
}

/// What a lock would not do, either, is not done while many probes pass.
fn assert_stays(bridge: &Bridge, active: &str) {
    let epoch = bridge.understudy.epoch();
    wait_verdicts(&bridge.understudy, "a", "pass", 10);
    wait_verdicts(&bridge.understudy, "b", "pass", 10);
    assert_eq!(
        (bridge.understudy.active().as_deref(), bridge.understudy.epoch()),
        (Some(active), epoch)
    );
}

/// The old active comes back and does not know that it was replaced.
#[test]
fn a_former_active_that_comes_back_as_one_gets_nothing_until_it_gives_in() {
    let mut bridge = bridge(QUICK_BACK);
    let load = Load::start(Plan::gets(bridge.understudy.address(), 100));
    wait_served(&load, "a", 50);
    bridge.a.process.kill();
    // Before that it would still count as one of two.
    bridge.understudy.wait_health("a", "down");
    say(&bridge.b, "active");
    wait_served(&load, "b", 50);
    bridge.a.revive();
    say(&bridge.a, "active");
    let before = bridge.a.journal().len();
    wait_dual(&bridge);
    let events = bridge.events("dual_active");
    assert_eq!(events.len(), 1, "{events:#?}");
    let text = events[0].to_string();
    assert!(text.contains("\"a\"") && text.contains("\"b\""), "which two? {text}");
    let said = bridge.cli("status").out;
    assert!(said.contains("active role"), "the status does not say it:\n{said}");
    let metric = |bridge: &Bridge| bridge.understudy.metrics().sum("understudy_dual_active", &[]);
    assert!(metric(&bridge) == 1.0, "the metric says {}", metric(&bridge));
    // Without it the hold-down would be over by now, several times.
    assert_stays(&bridge, "b");
    assert_eq!(bridge.a.journal().len(), before, "the former active got requests");

    say(&bridge.a, "standby");
    wait_one(&bridge);
    assert!(metric(&bridge) == 0.0, "the metric says {}", metric(&bridge));
    assert_eq!(bridge.events("dual_active_cleared").len(), 1);
    assert_stays(&bridge, "b");
    let report = load.finish();
    assert_none_failed(&report);
}

#[test]
fn an_order_is_carried_out_all_the_same() {
    let bridge = bridge("failback: manual");
    let load = Load::start(Plan::gets(bridge.understudy.address(), 100));
    wait_served(&load, "a", 50);
    say(&bridge.b, "active");
    wait_dual(&bridge);
    assert_stays(&bridge, "a");
    bridge.done("switchover --to b --reason decided");
    wait_served(&load, "b", 50);
    wait_dual(&bridge);
    assert_stays(&bridge, "b");
    say(&bridge.a, "standby");
    wait_one(&bridge);
    assert_stays(&bridge, "b");
    assert_none_failed(&load.finish());
}

#[test]
fn unlocking_accepts_it_and_moves_are_made_again() {
    let mut bridge = bridge(QUICK_BACK);
    bridge.a.process.kill();
    bridge.understudy.wait_health("a", "down");
    say(&bridge.b, "active");
    bridge.understudy.wait_active("b");
    bridge.a.revive();
    say(&bridge.a, "active");
    wait_dual(&bridge);
    assert_stays(&bridge, "b");
    bridge.done("unlock --reason both-may");
    // The failback that was due long ago.
    bridge.understudy.wait_active("a");
    let cleared = bridge.events("dual_active_cleared");
    assert_eq!(cleared.len(), 1, "{cleared:#?}");
    assert!(cleared[0].to_string().contains("true"), "not by the operator? {cleared:#?}");
    // Accepted for as long as it lasts: no second alarm.
    assert_stays(&bridge, "a");
    assert_eq!(bridge.events("dual_active").len(), 1);
    // The next one is another.
    say(&bridge.b, "standby");
    wait_role(&bridge.understudy, "b", "standby");
    say(&bridge.b, "active");
    wait_dual(&bridge);
    bridge.understudy.wait_service("a new alarm", |_| bridge.events("dual_active").len() == 2);
}

/// What is down claims nothing: then there is one active only, and that is who serves.
#[test]
fn when_one_of_the_two_dies_the_other_serves() {
    let mut bridge = bridge("failback: manual");
    let load = Load::start(Plan::gets(bridge.understudy.address(), 100));
    wait_served(&load, "a", 50);
    say(&bridge.b, "active");
    wait_dual(&bridge);
    bridge.a.process.kill();
    bridge.understudy.wait_health("a", "down");
    wait_served(&load, "b", 50);
    wait_one(&bridge);
    let report = load.finish();
    assert_none_failed(&report);
    assert!(report.longest_gap() < Duration::from_secs(5), "{report}");
}
