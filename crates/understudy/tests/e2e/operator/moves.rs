//! `switchover` and `failback`: done, refused, taken back, later.

use std::time::{Duration, Instant};

use benches::load::{Load, Plan};

use super::Bridge;
use crate::stage::{assert_none_failed, wait_served};

#[test]
fn an_ordered_move_is_verified_pinned_and_on_record() {
    let bridge = Bridge::new("failback: { auto: { hold_down: 50ms } }");
    let load = Load::start(Plan::gets(bridge.understudy.address(), 100));
    wait_served(&load, "a", 50);
    let said = bridge.done("switchover web --to b --reason disk-swap");
    assert!(
        said.starts_with("web: a -> b, epoch ") && said.contains("first good answer"),
        "{said}"
    );
    wait_served(&load, "b", 100);
    let service = bridge.service();
    assert_eq!((service["active"].as_str(), service["pinned"].as_bool()), (Some("b"), Some(true)));
    // `a` is well, the hold-down is over: it stays because an operator said so.
    bridge.wait_says("not back to a now: the service is pinned");
    assert!(bridge.done("switchover --to b").contains("b has the traffic already"));

    let incident = bridge.incidents().remove(0);
    assert_eq!((incident["from"].as_str(), incident["to"].as_str()), (Some("a"), Some("b")));
    assert_eq!(
        (incident["reason"].as_str(), incident["outcome"].as_str()),
        (Some("switchover"), Some("verified"))
    );
    assert_eq!(incident["by"]["why"], "disk-swap");
    assert!(incident["by"]["from"].as_str().is_some_and(|from| from.contains("unix socket, pid ")));
    assert_eq!(incident["epoch"], service["epoch"]);

    assert!(bridge.done("failback").starts_with("web: b -> a, epoch "));
    wait_served(&load, "a", 100);
    assert_eq!(bridge.service()["pinned"], false);
    let report = load.finish();
    assert_none_failed(&report);
    let names: Vec<_> = report.origins().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "a"], "{report}");
}

#[test]
fn a_dry_run_changes_nothing_and_names_what_blocks() {
    let bridge = Bridge::new("failback: never");
    let before = (bridge.service()["epoch"].clone(), bridge.events("ordered").len());
    let said = bridge.done("switchover --to b --dry-run");
    for words in [
        "web: a -> b: would be done; nothing was changed",
        "  1. hold new requests",
        "watch b for 10s",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    bridge.b.control("health=503");
    bridge.understudy.wait_health("b", "down");
    let said = bridge.cli("switchover --to b --dry-run");
    assert_eq!(said.code, Some(3), "{said:?}");
    for words in [
        "would be refused",
        "blocked: the backend is not eligible",
        "b is down and ready, last probe: answered 503",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    let said = bridge.cli("failback --dry-run");
    assert!(said.code == Some(3) && said.out.contains("`never`"), "{said:?}");
    assert_eq!(before, (bridge.service()["epoch"].clone(), bridge.events("ordered").len()));
    assert_eq!(bridge.b.journal(), []);
}

#[test]
fn what_cannot_be_is_refused() {
    let bridge = Bridge::new("failback: never");
    bridge.done("maintenance b");
    let said = bridge.cli("switchover --to b").refused();
    assert!(said.contains("not eligible"), "{said}");
    let said = bridge.cli("failback").refused();
    assert!(said.contains("`never`") && said.contains("switchover"), "{said}");
    for (wrong, words) in
        [("switchover --to c", "c"), ("switchover wep --to b", "wep"), ("drain c", "c")]
    {
        let said = bridge.cli(wrong);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(said.err.contains(words), "{wrong}: {said:?}");
    }
    assert_eq!(bridge.service()["active"], "a");
    // On record all the same, as not done.
    let orders = bridge.events("ordered");
    let done: Vec<_> =
        orders.iter().map(|o| (o["command"].as_str(), o["done"].as_bool())).collect();
    assert!(done.contains(&(Some("switchover to b"), Some(false))), "{done:?}");
    assert!(done.contains(&(Some("failback"), Some(false))), "{done:?}");
}

#[test]
fn a_target_that_dies_while_it_is_watched_is_left_and_the_old_one_stays() {
    let mut bridge = Bridge::new("failback: { auto: { hold_down: 50ms } }\nverify: 20s");
    bridge.done("switchover --to b");
    bridge.wait_says("watched for");
    bridge.b.process.kill();
    bridge.understudy.wait_active("a");
    let service = bridge.service();
    assert_eq!(service["pinned"], true, "{service}");
    assert_eq!(service["drift"][0]["by"]["why"], "an ordered move was taken back");
    assert_eq!(bridge.served_by().as_deref(), Some("a"));
    let incidents = bridge.incidents();
    assert_eq!(incidents[0]["reason"], "return", "{incidents:#?}");
    assert_eq!(incidents[1]["outcome"], "returned", "{incidents:#?}");
    bridge.b.revive();
    bridge.done("wait --healthy b --timeout 20s");
    assert_eq!(bridge.service()["active"], "a");
}

#[test]
fn a_target_that_answers_traffic_with_errors_only_is_left_at_the_end_of_the_watch() {
    let bridge = Bridge::new("failback: { auto: { hold_down: 50ms } }");
    bridge.b.control("status=500");
    let load = Load::start(Plan::gets(bridge.understudy.address(), 200));
    wait_served(&load, "a", 20);
    let begun = Instant::now();
    let said = bridge.cli("switchover --to b --verify 1s").refused();
    let took = begun.elapsed();
    assert!(said.contains("taken back"), "{said}");
    // By default it is watched for ten seconds.
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(9), "{took:?}");
    wait_served(&load, "a", 20);
    drop(load.finish());
    let service = bridge.service();
    assert_eq!((service["active"].as_str(), service["pinned"].as_bool()), (Some("a"), Some(true)));
    // Without traffic nobody but the probe can say that it is well.
    assert!(bridge.done("switchover --to b --verify 1s").contains("first good answer"));
}

/// Nothing comes from it, neither answers nor verdicts; who asked it is answered all the same.
#[test]
fn a_target_that_hangs_is_left_and_no_request_is_lost() {
    let bridge = Bridge::new("");
    let load = Load::start(Plan::gets(bridge.understudy.address(), 100));
    wait_served(&load, "a", 20);
    bridge.b.process.stop();
    let said = bridge.cli("switchover --to b --verify 500ms").refused();
    assert!(said.contains("taken back"), "{said}");
    bridge.b.process.resume();
    wait_served(&load, "a", 60);
    assert_none_failed(&load.finish());
    assert_eq!(bridge.service()["active"], "a");
}

#[test]
fn a_move_ordered_for_later_is_made_by_whoever_ordered_it() {
    let bridge = Bridge::new("");
    let said = bridge.done("switchover --to b --at +1h");
    assert!(said.contains("will move to b then: ") && said.contains(", in 1 h"), "{said}");
    bridge.wait_says("scheduled: to b at ");
    assert!(bridge.done("switchover --cancel").contains("cancelled"));
    assert_eq!(bridge.service()["scheduled"], serde_json::Value::Null);
    let said = bridge.cli("switchover --cancel").refused();
    assert!(said.contains("no move is ordered for later"), "{said}");

    let ordered = Instant::now();
    bridge.done("switchover --to b --at +1s --reason tonight");
    bridge.done("wait --active b --timeout 20s");
    let took = ordered.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(20), "{took:?}");
    let incident = bridge.incidents().remove(0);
    assert_eq!(
        (incident["to"].as_str(), incident["by"]["why"].as_str()),
        (Some("b"), Some("tonight"))
    );
    let orders = bridge.events("ordered");
    let last = orders.last().expect("an order");
    assert_eq!(last["command"], "switchover to b, ordered before");
    assert_eq!(last["by"], incident["by"]);
    assert_eq!(bridge.service()["scheduled"], serde_json::Value::Null);
}

#[test]
fn a_move_ordered_for_later_outlives_a_crash() {
    let mut bridge = Bridge::new("");
    bridge.done("switchover --to b --at +2s --reason tonight");
    bridge.crash();
    bridge.start();
    let said = bridge.wait_says("scheduled: to b at ");
    assert!(said.contains("\"tonight\""), "{said}");
    bridge.done("wait --active b --timeout 20s");
    assert_eq!(bridge.incidents()[0]["by"]["why"], "tonight");
    assert_eq!(bridge.served_by().as_deref(), Some("b"));
}

/// Its time comes while nobody runs, and nobody has been probed yet when somebody does.
#[test]
fn a_move_whose_time_has_just_passed_is_made_once_its_backend_is_known() {
    let mut bridge = Bridge::new("");
    let ordered = Instant::now();
    bridge.done("switchover --to b --at +1s");
    bridge.crash();
    std::thread::sleep(Duration::from_millis(1_100).saturating_sub(ordered.elapsed()));
    bridge.start();
    bridge.done("wait --active b --timeout 20s");
}
