//! What operators set, and what they see: pins, locks, admin states, waiting, exit codes, drift.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use benches::fetch::get;

use super::Bridge;
use crate::client::Client;

#[test]
fn a_pin_holds_back_a_failback_and_a_lock_a_failover() {
    let bridge = Bridge::new("failback: { auto: { hold_down: 100ms } }");
    let said = bridge.done("lock --reason audit");
    assert!(said.contains("locked: no automatic move"), "{said}");
    bridge.wait_says("by ");
    bridge.a.control("health=503");
    bridge.understudy.wait_health("a", "down");
    let said = bridge.wait_says("locked: nobody takes over by itself");
    assert!(said.contains("\"audit\""), "{said}");
    assert_ne!(bridge.service()["active"], "b");
    // An order moves it all the same.
    assert!(bridge.done("switchover --to b --dry-run").contains("warning: the service is locked"));
    bridge.done("unlock");
    bridge.done("wait --active b --timeout 20s");

    let said = bridge.done("pin --reason watching");
    assert!(said.contains("stays on b while that is eligible"), "{said}");
    bridge.a.control("health=200");
    bridge.understudy.wait_health("a", "up");
    let said = bridge.wait_says("not back to a now: the service is pinned: `unpin`");
    assert!(said.contains("pinned: stays where it is"), "{said}");
    assert_eq!(bridge.service()["active"], "b");
    assert!(bridge.done("unpin").contains("not pinned any more"));
    bridge.done("wait --active a --timeout 20s");
}

#[test]
fn a_drained_backend_finishes_its_requests_and_is_waited_for() {
    let bridge = Bridge::new("failback: { auto: { hold_down: 100ms } }");
    let address = bridge.understudy.address();
    let slow = thread::spawn(move || get(address, "/slow?ms=1000"));
    // This one ends when it is told.
    let mut tunnel = Client::connect(address);
    tunnel.send(
        "GET /ws HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
    );
    assert_eq!(tunnel.response().expect("an answer").status, 101);
    bridge.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 2.0);
    let said = bridge.done("drain a --reason patches");
    assert!(said.contains("a gets no new requests; running ones finish"), "{said}");
    bridge.done("wait --active b --timeout 20s");
    let said = bridge.cli("wait --drained a --timeout 50ms").refused();
    assert!(said.contains("not within") && said.contains(" at a"), "{said}");
    let answer = slow.join().expect("no panic").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")));
    let said = bridge.cli("wait --drained --timeout 50ms").refused();
    assert!(said.contains("1 request at a"), "{said}");
    drop(tunnel);
    let said = bridge.done("wait --drained a --timeout 20s");
    assert!(said.contains("a has no requests"), "{said}");
    assert!(bridge.done("wait --drained --timeout 20s").contains("no requests but at the active"));

    let said = bridge.done("maintenance web/a");
    assert!(said.contains("a is in maintenance"), "{said}");
    let said = bridge.cli("wait --active a --timeout 50ms").refused();
    assert!(said.contains("b is active"), "{said}");
    assert!(bridge.cli("switchover --to a").refused().contains("not eligible"));
    let said = bridge.wait_says("not back to a now: its admin state is maintenance");
    assert!(said.contains("differs from the file: admin state of a: maintenance"), "{said}");
    bridge.done("ready a");
    bridge.done("wait --active a --timeout 20s");
    bridge.b.control("health=503");
    bridge.understudy.wait_health("b", "down");
    let said = bridge.cli("wait --healthy b --timeout 50ms").refused();
    assert!(said.contains("b is down"), "{said}");
    bridge.b.control("health=200");
    bridge.done("wait --healthy b --timeout 20s");
    assert_eq!(bridge.cli("wait --active c").code, Some(2), "no such backend");
}

#[test]
fn exit_codes_say_how_it_stands() {
    let mut bridge = Bridge::new("");
    assert_eq!(bridge.cli("status").code, Some(0));
    assert_eq!(bridge.done("active"), "a\n");
    bridge.a.process.kill();
    bridge.done("wait --active b --timeout 20s");
    let said = bridge.cli("status web --json");
    assert_eq!(said.code, Some(10));
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(json["services"][0]["active"], "b");
    assert!(json["process"]["state_dir"].as_str().is_some_and(|path| path.ends_with("/state")));
    assert_eq!(bridge.done("active web"), "b\n");
    bridge.b.process.kill();
    bridge.understudy.wait_service("nobody is active", |service| service["active"].is_null());
    let said = bridge.cli("status");
    assert!(said.code == Some(20) && said.out.contains("web: nobody is active"), "{said:?}");
    let said = bridge.cli("active");
    assert_eq!((said.code, said.out.as_str()), (Some(20), ""));
    let said = bridge.cli("failback").refused();
    assert!(!said.is_empty());
    bridge.crash();
    let said = bridge.cli("status");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("admin.sock"), "{said:?}");
}

/// The file against what runs: keys that wait, a file that is refused, and what operators did.
#[test]
fn drift_is_shown_until_it_is_gone() {
    let bridge = Bridge::new("failback: manual");
    let drift = || {
        let said: serde_json::Value =
            serde_json::from_str(&bridge.cli("status --json").out).expect("JSON");
        said["process"]["drift"].as_array().expect("a list").len()
    };
    assert_eq!(drift(), 0);
    let text = fs::read_to_string(&bridge.config).expect("a file");
    let write = |text: &str| {
        let new = bridge.folder.path().join("new.yaml");
        fs::write(&new, text).expect("a file");
        fs::rename(&new, &bridge.config).expect("rename");
    };
    bridge.done("pin --reason calm");
    bridge.done("maintenance b");
    write(&text.replace("workers: 2", "workers: 3").replace("interval: 100ms", "interval: 90ms"));
    let said = bridge.cli("reload --reason more-workers");
    assert_eq!(said.code, Some(0), "{said:?}");
    let order = bridge.events("ordered").pop().expect("an order");
    assert_eq!((order["command"].as_str(), order["done"].as_bool()), (Some("reload"), Some(true)));
    assert_eq!(order["by"]["why"], "more-workers");
    bridge.wait_says(
        "differs from the file: `workers` has changed: it takes effect after a restart only",
    );
    write(&text.replace("services:", "serivces:"));
    let said = bridge.cli("reload");
    assert!(said.code != Some(0) && said.err.contains("serivces"), "{said:?}");
    assert_eq!(bridge.events("ordered").pop().expect("an order")["done"], false);
    let said = bridge.wait_says("differs from the file: the file was refused");
    for words in [
        "`workers` has changed",
        "pin: stays on a (file: none)",
        "\"calm\"",
        "admin state of b: maintenance (file: ready)",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    write(&text);
    bridge.done("reload");
    assert_eq!(drift(), 0);
    let said = bridge.done("status");
    assert!(said.contains("pin: stays on a (file: none)"), "what operators did stays: {said}");
    bridge.done("unpin");
    bridge.done("ready b");
    assert!(!bridge.done("status").contains("differs from the file"));
}

#[test]
fn a_probe_is_shown_and_counts_for_nothing() {
    let bridge = Bridge::new("");
    let said = bridge.done("probe b --now -v");
    for words in ["> GET /healthz HTTP/1.1", "< HTTP/1.1 200", "pass"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(bridge.done("probe web/b").contains("pass"));
    bridge.b.control("health=503");
    let said = bridge.cli("probe b --now -v");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("503"), "{said:?}");
    bridge.understudy.wait_health("b", "down");
    let said = bridge.cli("probe b");
    assert!(said.code == Some(1) && said.out.contains("503"), "{said:?}");
    let begun = Instant::now();
    bridge.b.control("health=200");
    bridge.done("wait --healthy b --timeout 20s");
    assert!(begun.elapsed() < Duration::from_secs(10));
}
