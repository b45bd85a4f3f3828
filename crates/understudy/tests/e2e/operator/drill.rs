//! Drills: the primary is treated as failed for a while, or only tagged requests see the standby.

use benches::fetch::request;
use benches::load::{Load, Plan};

use super::Bridge;
use crate::stage::{assert_none_failed, wait_served};

#[test]
fn a_drill_goes_there_and_back_and_reports_what_it_measured() {
    let bridge = Bridge::new("failback: manual");
    let load = Load::start(Plan::gets(bridge.understudy.address(), 100));
    wait_served(&load, "a", 20);
    let mut drill = bridge.begin("drill --for 2s --reason rehearsal");
    drill.wait("the active is treated as failed for 2s");
    let said = bridge.wait_says("b is active (standby)");
    assert!(said.contains("drill: a is treated as failed for "), "{said}");
    drill.wait("web: the drill is over");
    let there = drill.wait("a -> b: ");
    let back = drill.wait("b -> a: ");
    for line in [&there, &back] {
        assert!(line.contains("to switch") && line.contains("first good answer after"), "{line}");
    }
    assert_eq!(drill.exit_code(), Some(0));
    wait_served(&load, "a", 20);
    let report = load.finish();
    assert_none_failed(&report);
    let names: Vec<_> = report.origins().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "a"], "{report}");
    let service = bridge.service();
    assert_eq!((service["flaps"].as_u64(), service["pinned"].as_bool()), (Some(0), Some(false)));
    let incidents = bridge.incidents();
    assert!(
        incidents.iter().take(2).all(|incident| incident["reason"] == "drill"),
        "{incidents:#?}"
    );
    assert_eq!(incidents[1]["by"]["why"], "rehearsal", "{incidents:#?}");
}

#[test]
fn a_drill_ends_at_once_when_told_and_is_refused_without_a_standby() {
    let bridge = Bridge::new("failback: manual");
    let mut drill = bridge.begin("drill --for 1h");
    drill.wait("treated as failed");
    bridge.done("wait --active b --timeout 20s");
    assert!(bridge.cli("drill --for 1s").refused().contains("a drill runs"));
    assert!(bridge.done("drill --stop").contains("the drill is over"));
    drill.wait("the drill is over");
    assert_eq!(drill.exit_code(), Some(0));
    bridge.done("wait --active a --timeout 20s");
    assert!(bridge.cli("drill --stop").refused().contains("no drill runs"));
    bridge.done("maintenance b");
    assert!(bridge.cli("drill --for 1s").refused().contains("no other backend is eligible"));
    assert_eq!(bridge.service()["active"], "a");
}

#[test]
fn only_tagged_requests_see_the_standby() {
    let bridge = Bridge::new("failback: manual");
    let address = bridge.understudy.address();
    let from = |fields: &[(&str, &str)]| {
        let answer = request(address, "GET", "/", fields, b"").expect("an answer");
        answer.header("x-origin").map(str::to_owned)
    };
    let tagged = [("x-drill", "yes")];
    assert_eq!(from(&tagged).as_deref(), Some("a"), "no drill yet");
    let mut command = super::understudy("drill --for 1h --to b --tagged");
    command.arg("X-Drill: yes").arg("--socket").arg(&bridge.socket);
    let mut drill = super::Talk::begin(command);
    drill.wait("requests with x-drill: yes go to b");
    bridge.wait_says("drill: requests with x-drill: yes go to b for ");
    let load = Load::start(Plan::gets(address, 200));
    wait_served(&load, "a", 60);
    for _ in 0..10 {
        assert_eq!(from(&tagged).as_deref(), Some("b"));
        assert_eq!(from(&[("x-drill", "no")]).as_deref(), Some("a"));
        assert_eq!(from(&[]).as_deref(), Some("a"));
    }
    wait_served(&load, "a", 60);
    let report = load.finish();
    assert_none_failed(&report);
    assert_eq!(bridge.b.journal().len(), 10, "others never reach it");
    assert!(bridge.done("drill --stop").contains("the drill is over"));
    drill.wait("the drill is over");
    assert_eq!(drill.exit_code(), Some(0));
    assert_eq!(from(&tagged).as_deref(), Some("a"));
    assert_eq!(bridge.service()["drill"], serde_json::Value::Null);
    assert_eq!(bridge.incidents().len(), 1, "only the start");
}

#[test]
fn what_ends_a_drill_early_is_named_at_once() {
    let bridge = Bridge::new("failback: manual");
    let mut drill = bridge.begin("drill --for 1h");
    bridge.done("wait --active b --timeout 20s");
    bridge.done("switchover --to b --verify 0s");
    let over = drill.wait("the drill is over");
    assert!(
        over.contains(" of 1 h: ") && over.contains(": switchover to b, traffic NOT"),
        "{over}"
    );
    assert_eq!(drill.exit_code(), Some(3));
    bridge.done("failback --verify 0s");
    let mut drill = bridge.begin("drill --for 1h");
    bridge.done("wait --active b --timeout 20s");
    bridge.b.control("health=503");
    let over = drill.wait("the drill is over");
    assert!(over.contains(": b is down, traffic back at a"), "{over}");
    assert_eq!(drill.exit_code(), Some(3));
}
