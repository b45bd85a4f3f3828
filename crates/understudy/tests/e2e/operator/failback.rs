//! When a recovered primary gets the service back, and what is said of why not now.

use crate::client::Client;

use super::Bridge;

/// On `b` because `a` was ill for a moment; `a` is up again.
fn on_standby(service: &str) -> Bridge {
    let bridge = Bridge::new(service);
    bridge.a.control("health=503");
    bridge.understudy.wait_active("b");
    bridge.a.control("health=200");
    bridge.understudy.wait_health("a", "up");
    bridge
}

impl Bridge {
    /// Stays on `b` while `a` passes its probes: what was to happen by itself would have.
    fn assert_stays_on_b(&self) {
        let labels = [("backend", "a"), ("verdict", "pass")];
        let passes = || self.understudy.metrics().sum("understudy_probes_total", &labels);
        let goal = passes() + 5.0;
        self.understudy.wait_metric("understudy_probes_total", &labels, |sum| sum >= goal);
        assert_eq!(self.service()["active"], "b");
    }

    /// Both say it: `status`, and `explain --live` in whole sentences.
    fn assert_explains(&self, words: &str) {
        self.wait_says(words);
        let said = self.done("explain --live");
        assert!(said.starts_with("web: b is a standby and has been active for "), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_countdown_runs_and_then_it_goes_back() {
    let bridge = on_standby("failback: { auto: { hold_down: 2s } }");
    bridge.assert_explains("back to a in ");
    let due = |bridge: &Bridge| bridge.service()["failback"]["due_in_seconds"].as_f64();
    let first = due(&bridge).expect("a time");
    assert!(first > 0.0 && first <= 2.0, "{first}");
    assert!(due(&bridge).is_some_and(|second| second < first), "it stands still");
    let said = bridge.cli("status");
    assert_eq!(said.code, Some(10), "{said:?}");
    bridge.done("wait --active a --timeout 20s");
    let said = bridge.done("status");
    assert!(said.contains("a is active (primary)") && !said.contains("back to"), "{said}");
    assert!(bridge.done("explain --live web").contains("There is nothing to fail back to"));
}

#[test]
fn a_closed_window_keeps_it_and_an_open_one_lets_it_go() {
    // As far from now as can be.
    let noon_of_us = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let far = noon_of_us.saturating_add(jiff::SignedDuration::from_hours(12));
    let window = |cron: &str| {
        format!(
            "failback: {{ auto: {{ hold_down: 100ms, window: {{ cron: \"{cron}\", length: 1h }} }} }}"
        )
    };
    let bridge = on_standby(&window(&format!("{} {} * * *", far.minute(), far.hour())));
    bridge.assert_stays_on_b();
    bridge.assert_explains("not back to a now: the window is closed, it opens at ");
    let opens = far.strftime("%Y-%m-%dT%H:%M:00Z").to_string();
    assert!(bridge.cli("status").out.contains(&opens), "{opens}: {:?}", bridge.cli("status"));
    bridge.write(&window("* * * * *"));
    bridge.done("reload");
    bridge.done("wait --active a --timeout 20s");
}

#[test]
fn requests_in_flight_keep_it_until_they_are_few() {
    let bridge =
        on_standby("failback: { auto: { hold_down: 100ms, in_flight_below: 2 } }\nverify: 0s");
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(bridge.understudy.address());
        client.send("GET /slow?ms=60000 HTTP/1.1\r\nhost: a.example\r\n\r\n");
        clients.push(client);
    }
    bridge.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 2.0);
    // Had it gone back before they came, there would be nothing to see.
    if bridge.service()["active"] != "b" {
        bridge.done("switchover --to b");
        bridge.done("unpin");
    }
    bridge.assert_explains("not back to a now: fewer than 2 requests must be in flight");
    bridge.assert_stays_on_b();
    drop(clients.pop());
    bridge.done("wait --active a --timeout 20s");
    let service = bridge.service();
    assert_eq!(service["load"]["in_flight"], 1, "the other one finishes there: {service}");
}

#[test]
fn manual_waits_for_the_command_and_never_refuses_it() {
    let bridge = on_standby("failback: manual");
    bridge.assert_stays_on_b();
    bridge.assert_explains("not back to a now: failback is manual: `failback`");
    assert!(bridge.done("failback --dry-run").contains("web: b -> a: would be done"));
    assert_eq!(bridge.service()["active"], "b");
    assert!(bridge.done("failback --reason all-well").starts_with("web: b -> a, epoch "));
    drop(bridge);

    let bridge = on_standby("failback: never");
    bridge.assert_stays_on_b();
    bridge.assert_explains("not back to a now: this service never fails back: `switchover`");
    assert!(bridge.cli("failback").refused().contains("`never`"));
    bridge.done("switchover --to a");
    assert_eq!(bridge.service()["active"], "a");
}

#[test]
fn after_as_many_moves_as_allowed_it_locks_itself_and_says_so() {
    let bridge = on_standby(
        "failback: { auto: { hold_down: 50ms, lock_after: { switches: 2, within: 1h } } }",
    );
    bridge.done("wait --active a --timeout 20s");
    let said = bridge.wait_says("locked: no automatic moves, not even a failover, until `unlock`");
    for words in ["differs from the file: lock", "by the rules", "2 automatic moves within"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(bridge.events("locked").len(), 1);
    bridge.a.control("health=503");
    bridge.understudy.wait_health("a", "down");
    assert_eq!(bridge.b.journal(), [], "a locked service does not fail over");
    assert_ne!(bridge.service()["active"], "b");
    assert_eq!(bridge.cli("pin").code, Some(3), "nobody to stay on");
    bridge.done("unlock");
    bridge.done("wait --active b --timeout 20s");
    assert_eq!(bridge.served_by().as_deref(), Some("b"));
}
