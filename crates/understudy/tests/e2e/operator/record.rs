//! What is on record: events as they happen, also over a restart, and incidents that add up.

use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::{get, request};

use super::Bridge;
use crate::stage::PATIENCE;

#[test]
fn whoever_follows_sees_a_failover_at_once_and_goes_on_after_a_restart() {
    let mut bridge = Bridge::new("failback: manual");
    let mut events = bridge.begin("events --follow --json");
    // Whether it follows already or not: it hears of this one.
    bridge.done("pin --reason hello");
    events.wait("\"why\":\"hello\"");
    let killed = Instant::now();
    bridge.a.process.kill();
    let line = events.wait("\"reason\":\"failover\"");
    let took = killed.elapsed();
    // Not only when something makes it look again.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let number = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        event["number"].as_u64().expect("a number")
    };
    bridge.crash();
    bridge.start();
    bridge.understudy.wait_active("b");
    bridge.done("lock --reason again");
    let later = events.wait("\"why\":\"again\"");
    assert!(number(&later) > number(&line));
    // Every one, once, in order.
    let numbers: Vec<u64> = events.heard.iter().map(|line| number(line)).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let kept = bridge.done(&format!("events --json --after {} --limit 1000", numbers[0] - 1));
    let kept: Vec<u64> = kept.lines().map(number).filter(|n| n <= &number(&later)).collect();
    assert_eq!(numbers, kept);
}

#[test]
fn an_incident_adds_up_to_what_clients_saw() {
    let bridge = Bridge::new("failback: manual");
    // Asked, and then it hangs: nobody gets an answer, all are asked again elsewhere.
    bridge.a.process.stop();
    let address = bridge.understudy.address();
    let clients: Vec<_> = (0..7).map(|_| thread::spawn(move || get(address, "/"))).collect();
    for client in clients {
        let answer = client.join().expect("no panic").expect("an answer");
        assert_eq!((answer.status, answer.header("x-origin")), (200, Some("b")));
    }
    bridge.a.process.resume();
    let counts = |incident: &serde_json::Value| {
        let count = |what: &str| incident["counts"][what].as_u64().expect("a count");
        (count("replayed"), count("failed"), count("rejected"))
    };
    // The last version is written a moment after the first good answer.
    let incident = wait_for(PATIENCE, "the incident has everything", || {
        let incident = bridge.incidents().remove(0);
        let whole = incident["outcome"] == "verified" && counts(&incident) == (7, 0, 0);
        if whole { Ok(incident) } else { Err(incident) }
    });
    assert_eq!(incident["reason"], "failover");
    assert!(incident["counts"]["held"].as_u64() <= Some(7), "{incident:#}");
    let evidence = incident["evidence"].as_array().expect("a list");
    assert!(!evidence.is_empty(), "{incident:#}");
    let ms = |what: &str| incident["took"][what].as_f64().unwrap_or_else(|| panic!("{what}"));
    assert!((ms("detect_ms") + ms("switch_ms") - ms("total_ms")).abs() < 0.1, "{incident:#}");
    // One worker may have an answer before the other has acknowledged.
    assert!(ms("first_answer_ms") >= ms("detect_ms"), "{incident:#}");
    let steps = incident["timeline"].as_array().expect("a list");
    let steps: Vec<_> =
        steps.iter().map(|step| (step["after_ms"].as_f64(), step["what"].as_str())).collect();
    assert!(steps.is_sorted_by_key(|(after, _)| after.expect("a time")), "{steps:?}");
    let mut whats: Vec<_> = steps.iter().filter_map(|(_, what)| *what).collect();
    whats[3..].sort_by_key(|what| what.starts_with("first good"));
    assert_eq!(
        whats,
        [
            "first sign of trouble",
            "decided",
            "every worker holds",
            "every worker sends to the new active",
            "first good answer of the new active"
        ]
    );
    let said = bridge.done(&format!("incidents {}", incident["id"]));
    assert!(said.contains("a -> b (failover)") && said.contains("7 replayed"), "{said}");
    let said = bridge.done("incidents");
    assert!(said.lines().next().is_some_and(|line| line.contains("a -> b")), "{said}");
    assert_eq!(bridge.cli("incidents 999999").code, Some(2));
}

#[test]
fn what_fails_at_the_old_active_after_the_first_good_answer_is_counted() {
    let bridge = Bridge::new("failback: manual");
    bridge.a.process.stop();
    let address = bridge.understudy.address();
    // It may have been carried out, so nobody is asked again; and it is waited for.
    let order = thread::spawn(move || request(address, "POST", "/", &[], b"order"));
    let asked = thread::spawn(move || get(address, "/"));
    assert_eq!(asked.join().expect("no panic").expect("an answer").header("x-origin"), Some("b"));
    assert_eq!(order.join().expect("no panic").expect("an answer").status, 504);
    wait_for(PATIENCE, "the incident counts it", || {
        let incident = bridge.incidents().remove(0);
        let counts = &incident["counts"];
        let both = (counts["replayed"].as_u64(), counts["failed"].as_u64());
        if both == (Some(1), Some(1)) { Ok(()) } else { Err(incident) }
    });
}

#[test]
fn taking_a_backend_out_is_told_as_that_whatever_was_before() {
    let mut bridge = Bridge::new("failback: manual");
    bridge.a.process.kill();
    bridge.understudy.wait_active("b");
    bridge.a.revive();
    bridge.done("wait --healthy a --timeout 20s");
    bridge.done("failback --verify 0s");
    bridge.understudy.wait_active("a");
    bridge.done("drain a --reason planned");
    bridge.understudy.wait_active("b");
    let incident = bridge.incidents().remove(0);
    assert_eq!(incident["reason"], "failover");
    assert_eq!(incident["evidence"], serde_json::json!(["its admin state is drain"]));
    assert_eq!(incident["by"]["why"], "planned", "{incident:#}");
    let counts = &incident["counts"];
    assert_eq!((&counts["replayed"], &counts["failed"]), (&0.into(), &0.into()), "{incident:#}");
    assert!(incident["took"]["detect_ms"].is_null(), "{incident:#}");
    // While an ordered move is watched, it goes back.
    bridge.done("ready a");
    bridge.done("failback --verify 60s");
    bridge.understudy.wait_active("a");
    bridge.done("drain a --reason again");
    bridge.understudy.wait_active("b");
    let incident = bridge.incidents().remove(0);
    assert_eq!(incident["reason"], "return");
    assert_eq!(incident["evidence"], serde_json::json!(["its admin state is drain"]));
    assert_eq!(incident["by"]["why"], "again", "{incident:#}");
}

#[test]
fn who_had_to_wait_for_a_strict_move_is_counted() {
    let bridge = Bridge::new("exclusive: { drain: 5s }");
    let address = bridge.understudy.address();
    let slow = thread::spawn(move || get(address, "/slow?ms=700"));
    bridge.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 1.0);
    let mut switchover = bridge.begin("switchover --to b");
    bridge.understudy.wait_service("it is moving", |service| service["switching"].is_object());
    let held: Vec<_> = (0..5).map(|_| thread::spawn(move || get(address, "/"))).collect();
    switchover.wait("a -> b");
    let from = |answer: thread::JoinHandle<std::io::Result<benches::fetch::Answer>>| {
        let answer = answer.join().expect("no panic").expect("an answer");
        (answer.status, answer.header("x-origin").map(str::to_owned))
    };
    assert_eq!(from(slow), (200, Some("a".to_owned())));
    for held in held {
        assert_eq!(from(held), (200, Some("b".to_owned())));
    }
    wait_for(PATIENCE, "the incident counts them", || {
        let incident = bridge.incidents().remove(0);
        let counts = &incident["counts"];
        let all = (counts["held"].as_u64(), counts["cut"].as_u64(), counts["failed"].as_u64());
        if all == (Some(5), Some(0), Some(0)) { Ok(()) } else { Err(incident) }
    });
}
