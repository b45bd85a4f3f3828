//! Backends that say which part they play. A standby that promotes itself is waited for: requests are
//! held until it says that it is the active, and none reaches it before.

use benches::journal::now_ns;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use serde_json::json;

use crate::operator::Bridge;
use crate::stage::{assert_none_failed, assert_one_switch, wait_role, wait_served, wait_verdicts};

/// A way to say it.
struct Way {
    name: &'static str,
    /// The lines of the probe that read it.
    rule: &'static str,
    say: fn(&Origin, &str),
}

const WAYS: [Way; 3] = [
    Way {
        name: "a JSON pointer",
        rule: "role: { by: { pointer: /repl/role }, active: [master, active] }",
        say: |origin, role| {
            // An alias, as products have their own words.
            let word = if role == "active" { "MASTER" } else { role };
            let body = json!({ "repl": { "role": word }, "lag": 0 }).to_string();
            origin.tell(&json!({ "health_text": body }));
        },
    },
    Way {
        name: "a field",
        rule: "role: { by: { header: X-Role } }",
        say: |origin, role| origin.control(&format!("health_field=x-role:{role}")),
    },
    Way {
        name: "the status",
        rule: "role: { by: status, active: [200], standby: [206], promoting: [203], fenced: [423] }",
        say: |origin, role| {
            let status = match role {
                "active" => 200,
                "standby" => 206,
                "promoting" => 203,
                "fenced" => 423,
                other => panic!("{other} is no role"),
            };
            origin.control(&format!("health={status}"));
        },
    },
];

/// Says of itself nothing but what is written here.
fn service(way: &Way, more: &str) -> String {
    let timing = "interval: 100ms\n  confirm_interval: 20ms\n  rise: 2\n  fall: 3";
    format!(
        "health:\n  http:\n    path: /healthz\n    {}\n  {timing}\n{more}\nhold: {{ timeout: 30s }}",
        way.rule
    )
}

/// `a` says that it is the active, `b` that it is this.
fn bridge(way: &Way, more: &str, b_is: &str) -> Bridge {
    let bridge = Bridge::prepared(&service(way, more), |a, b| {
        (way.say)(a, "active");
        (way.say)(b, b_is);
    });
    bridge.done("wait --active a --timeout 20s");
    wait_role(&bridge.understudy, "a", "active");
    wait_role(&bridge.understudy, "b", b_is);
    bridge
}

#[test]
fn a_standby_that_promotes_itself_is_waited_for() {
    for way in &WAYS {
        eprintln!("by {}", way.name);
        let mut bridge = bridge(way, "", "standby");
        let understudy = &bridge.understudy;
        let load = Load::start(Plan::gets(understudy.address(), 100));
        wait_served(&load, "a", 100);
        wait_verdicts(understudy, "b", "pass", 5);
        bridge.a.process.kill();
        let understudy = &bridge.understudy;
        understudy.wait_service("nobody is active", |service| service["active"].is_null());
        understudy.wait_health("b", "up");
        understudy.wait_metric("understudy_requests_waiting", &[], |held| held >= 20.0);

        (way.say)(&bridge.b, "promoting");
        wait_role(understudy, "b", "promoting");
        wait_verdicts(understudy, "b", "pass", 5);
        understudy.wait_metric("understudy_requests_waiting", &[], |held| held >= 100.0);
        assert_eq!(understudy.active(), None, "by {}", way.name);
        assert_eq!(bridge.b.journal(), [], "it got requests while it promoted itself");

        let promoted_at = now_ns();
        (way.say)(&bridge.b, "active");
        wait_served(&load, "b", 200);
        let report = load.finish();
        eprintln!("by {}: {report}", way.name);
        assert_none_failed(&report);
        assert_one_switch(&report);
        let of_b = bridge.b.journal();
        assert!(of_b.iter().all(|entry| entry.at_ns > promoted_at), "a request came too soon");
        let refused = understudy.metrics().sum("understudy_requests_rejected_total", &[]);
        assert!(refused == 0.0, "{refused} were refused");
        assert!(bridge.events("dual_active").is_empty(), "by {}", way.name);
        assert_eq!(bridge.service()["active"], "b");
    }
}

/// The two exchange their parts in an orderly way: for a moment there is no active at all.
#[test]
fn parts_that_are_exchanged_move_the_service_and_nothing_fails() {
    let way = &WAYS[1];
    let bridge = bridge(way, "", "standby");
    let understudy = &bridge.understudy;
    let load = Load::start(Plan::gets(understudy.address(), 200));
    wait_served(&load, "a", 100);
    (way.say)(&bridge.a, "standby");
    understudy.wait_service("nobody is active", |service| service["active"].is_null());
    assert_eq!(bridge.b.journal(), [], "it got requests before its time");
    (way.say)(&bridge.b, "active");
    wait_served(&load, "b", 200);
    let report = load.finish();
    assert_none_failed(&report);
    assert_one_switch(&report);
    understudy.wait_health("a", "up");
    let changes = bridge.events("claim_changed");
    let said = |backend: &str, role: &str| {
        changes.iter().any(|event| event["backend"] == backend && event["role"] == role)
    };
    assert!(said("a", "standby") && said("b", "active"), "{changes:#?}");
}

/// One answer that is out of line is not believed.
#[test]
fn a_part_counts_when_it_has_been_said_as_often_as_a_rise_needs() {
    let way = &WAYS[1];
    let more = "failback: manual";
    let slow = service(way, more)
        .replace("interval: 100ms", "interval: 700ms")
        .replace("  rise: 2", "  rise: 4");
    let bridge = Bridge::prepared(&slow, |a, b| {
        (way.say)(a, "active");
        (way.say)(b, "standby");
    });
    bridge.done("wait --active a --timeout 20s");
    wait_role(&bridge.understudy, "b", "standby");
    let probes = |bridge: &Bridge| bridge.b.stats()["probes"].as_u64().expect("a number");
    (way.say)(&bridge.b, "active");
    let before = probes(&bridge);
    // The first probe that hears it makes the others come quickly.
    wait_role(&bridge.understudy, "b", "active");
    let asked = probes(&bridge) - before;
    assert!(asked >= 4, "believed after {asked} answers");
}

#[test]
fn whoever_calls_itself_fenced_or_promoting_serves_nobody_even_where_no_role_is_required() {
    let way = &WAYS[0];
    for role in ["fenced", "promoting"] {
        let mut bridge = bridge(way, "  required_role: off", role);
        let understudy = &bridge.understudy;
        let load = Load::start(Plan::gets(understudy.address(), 100));
        wait_served(&load, "a", 50);
        bridge.a.process.kill();
        let understudy = &bridge.understudy;
        understudy.wait_service("nobody is active", |service| service["active"].is_null());
        wait_verdicts(understudy, "b", "pass", 5);
        assert_eq!((understudy.active(), bridge.b.journal()), (None, Vec::new()), "{role}");
        // A standby does where no role is required.
        (way.say)(&bridge.b, "standby");
        wait_served(&load, "b", 100);
        let report = load.finish();
        assert_none_failed(&report);
        assert_one_switch(&report);
    }
}

/// Roles are read, and nobody says one: nobody is who is needed, and the status says why.
#[test]
fn who_says_nothing_has_not_the_part_that_is_required() {
    let way = &WAYS[1];
    let bridge = Bridge::prepared(&service(way, ""), |_, _| ());
    let understudy = &bridge.understudy;
    understudy.wait_health("a", "up");
    understudy.wait_health("b", "up");
    wait_verdicts(understudy, "a", "pass", 5);
    assert_eq!(understudy.active(), None);
    let said = bridge.cli("status").out;
    assert!(said.contains("role"), "nothing on the role:\n{said}");
    (way.say)(&bridge.b, "active");
    understudy.wait_active("b");
}
