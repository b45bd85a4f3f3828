//! A standby that would not work is found before it is needed, and the reason is said everywhere.

use std::time::{Duration, SystemTime};

use benches::condition::wait_for;
use benches::origin::Origin;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use crate::operator::Bridge;
use crate::stage::{Scene, backend_in};
use crate::tls::Authority;

/// A rehearsal of the way that the traffic takes may be ten seconds away.
const PATIENCE: Duration = Duration::from_secs(40);
const TIMING: &str = "interval: 100ms\n  confirm_interval: 20ms";

/// Waits until `b` is said to be not ready, and why.
fn wait_unready(service: impl Fn() -> Value, reason: &str) {
    wait_for(PATIENCE, &format!("b is not ready: {reason}"), || {
        let readiness = backend_in(&service(), "b")["readiness"].clone();
        let reasons = readiness["reasons"].to_string().to_lowercase();
        let is_so = readiness["ready"] == false && reasons.contains(reason);
        if is_so { Ok(()) } else { Err(readiness) }
    });
}

fn wait_ready(service: impl Fn() -> Value) {
    wait_for(PATIENCE, "b is ready", || {
        let readiness = backend_in(&service(), "b")["readiness"].clone();
        if readiness["ready"] == true { Ok(()) } else { Err(readiness) }
    });
}

/// The last day of a certificate's validity.
fn in_days(days: i64) -> Date {
    let now = Timestamp::now().to_zoned(TimeZone::UTC).date();
    now.checked_add(days.days()).expect("a date")
}

/// `a` with a certificate for a year, `b` with one until that day.
fn tls_pair(authority: &Authority, folder: &std::path::Path, b_until: Date) -> [Origin; 2] {
    let origin = |name, until| authority.origin_until(folder, name, "127.0.0.1", until);
    [origin("a", in_days(365)), origin("b", b_until)]
}

#[test]
fn a_certificate_that_expires_soon_or_has_expired_is_a_reason() {
    let authority = Authority::new("ours");
    for (days, reason) in [(3, "certificate"), (-2, "certificate")] {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b] = tls_pair(&authority, folder.path(), in_days(days));
        let service = format!(
            "health:\n  http: {{ path: /healthz }}\n  {TIMING}\ntls: {{ ca: \"{}\" }}",
            authority.file().display()
        );
        let scene = Scene::new(&[("a", a.url()), ("b", b.url())], &service);
        let understudy = &scene.understudy;
        understudy.wait_active("a");
        wait_unready(|| understudy.service(), reason);
        let ready =
            |backend| understudy.metrics().sum("understudy_standby_ready", &[("backend", backend)]);
        understudy.wait_metric("understudy_standby_ready", &[("backend", "b")], |sum| sum == 0.0);
        assert!(ready("b") == 0.0);
        // One that will expire still does its work.
        assert_eq!(understudy.health("b"), if days > 0 { "up" } else { "down" });
    }
}

#[test]
fn how_early_is_too_early_is_what_the_config_says() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().expect("a folder");
    let [a, b] = tls_pair(&authority, folder.path(), in_days(3));
    let service = format!(
        "health:\n  http: {{ path: /healthz }}\n  {TIMING}\ntls: {{ ca: \"{}\" }}\n\
         readiness: {{ certificate: 12h }}",
        authority.file().display()
    );
    let scene = Scene::new(&[("a", a.url()), ("b", b.url())], &service);
    scene.understudy.wait_active("a");
    wait_ready(|| scene.understudy.service());
}

#[test]
fn a_clock_that_is_wrong_is_a_reason_with_an_event_and_a_metric() {
    let bridge = Bridge::new(&format!("health:\n  http: {{ path: /healthz }}\n  {TIMING}"));
    let understudy = &bridge.understudy;
    wait_ready(|| bridge.service());
    understudy.wait_metric("understudy_standby_ready", &[("backend", "b")], |sum| sum == 1.0);
    assert!(bridge.events("standby_not_ready").is_empty());

    let wrong = Timestamp::try_from(SystemTime::now()).expect("a time") - 1.hour();
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&wrong).expect("a date");
    bridge.b.tell(&json!({ "health_field": format!("date: {date}") }));
    wait_unready(|| bridge.service(), "clock");
    understudy.wait_metric("understudy_standby_ready", &[("backend", "b")], |sum| sum == 0.0);
    let skew =
        || understudy.metrics().sum("understudy_backend_clock_skew_seconds", &[("backend", "b")]);
    assert!((-3700.0..-3500.0).contains(&skew()), "{}", skew());
    let events = bridge.events("standby_not_ready");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert!(events[0].to_string().contains("clock") && events[0]["backend"] == "b", "{events:#?}");
    let said = bridge.cli("status").out;
    assert!(said.contains("not ready") && said.contains("clock"), "{said}");
    // It is a warning and no more.
    assert_eq!(understudy.health("b"), "up");

    bridge.b.control("health_field=off");
    wait_ready(|| bridge.service());
    assert_eq!(bridge.events("standby_ready").len(), 1);
    assert_eq!(bridge.events("standby_not_ready").len(), 1);
}

#[test]
fn a_standby_that_is_down_is_not_ready_and_the_active_is_no_standby() {
    let mut bridge = Bridge::new(&format!("health:\n  http: {{ path: /healthz }}\n  {TIMING}"));
    wait_ready(|| bridge.service());
    assert!(backend_in(&bridge.service(), "a")["readiness"].is_null(), "{}", bridge.service());
    bridge.b.process.kill();
    wait_unready(|| bridge.service(), "down");
    bridge.b.revive();
    wait_ready(|| bridge.service());
    bridge.done("drain b --reason maintenance");
    wait_unready(|| bridge.service(), "drain");
}

/// The probe only connects; who would have to send requests would trust nobody there.
#[test]
fn what_the_probe_does_not_try_is_tried_all_the_same() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let folder = tempfile::tempdir().expect("a folder");
    let a = ours.origin_until(folder.path(), "a", "127.0.0.1", in_days(365));
    let b = theirs.origin_until(folder.path(), "b", "127.0.0.1", in_days(365));
    let service =
        format!("health:\n  tcp: {{}}\n  {TIMING}\ntls: {{ ca: \"{}\" }}", ours.file().display());
    let scene = Scene::new(&[("a", a.url()), ("b", b.url())], &service);
    scene.understudy.wait_active("a");
    scene.understudy.wait_health("b", "up");
    wait_unready(|| scene.understudy.service(), "way of the traffic fails");
    assert_eq!(scene.understudy.health("b"), "up");
}
