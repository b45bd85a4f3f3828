//! Nobody is left: requests wait, up to the limit, for whoever comes back first.

use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch;
use benches::load::{Load, Plan};

use crate::stage::{PATIENCE, Stage, assert_none_failed, wait_served};

const HOLD: Duration = Duration::from_secs(30);
const SERVICE: &str = "health: { http: { path: /healthz }, interval: 200ms, confirm_interval: 20ms }\n\
                       hold: { timeout: 30s }";

fn bring_both_down(stage: &mut Stage) {
    stage.a.process.kill();
    stage.b.process.kill();
    stage.understudy.wait_service("nobody is active", |service| service["active"].is_null());
    let active = stage.understudy.metrics().sum("understudy_backend_active", &[]);
    assert!(active == 0.0, "{active} are active");
}

#[test]
fn a_request_waits_up_to_the_limit_and_is_then_told_when_to_come_back() {
    let limit = Duration::from_secs(3);
    let mut stage = Stage::new(&SERVICE.replace("30s", "3s"));
    bring_both_down(&mut stage);
    let begun = Instant::now();
    let answer = fetch::get(stage.understudy.address(), "/").expect("an answer");
    let waited = begun.elapsed();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(waited >= limit.mul_f64(0.95) && waited < limit * 7, "{waited:?}");
    let retry_after = answer.header("retry-after").expect("Retry-After").parse::<u32>();
    assert!(retry_after.is_ok_and(|seconds| seconds >= 1), "{answer:?}");
    assert_eq!(stage.metric("understudy_requests_rejected_total", &[("why", "timeout")]), 1);
    assert_eq!(stage.metric("understudy_requests_total", &[("class", "5xx")]), 1);
}

#[test]
fn the_first_to_come_back_serves_what_is_held() {
    for first in ["a", "b"] {
        let mut stage = Stage::new(SERVICE);
        bring_both_down(&mut stage);
        let load = Load::start(Plan::gets(stage.understudy.address(), 100));
        stage.understudy.wait_metric("understudy_requests_waiting", &[], |held| held >= 50.0);
        assert_eq!(load.samples(), [], "somebody was answered while nobody was active");
        let back = if first == "a" { &mut stage.a } else { &mut stage.b };
        back.revive();
        wait_for(PATIENCE, "what was held and more is answered", || {
            let answered = load.samples().len();
            if answered >= 150 { Ok(()) } else { Err(answered) }
        });
        let report = load.finish();
        eprintln!("{first} came back: {report}");
        assert_none_failed(&report);
        assert_eq!(report.origins(), [(first.to_owned(), report.samples.len())]);
        assert!(stage.metric("understudy_requests_held_total", &[]) >= 50);
        stage.assert_metrics_agree(&report);
    }
}

/// The standby has been ill for a while when the primary dies.
#[test]
fn a_primary_that_dies_without_a_standby_is_waited_for() {
    for first in ["a", "b"] {
        let mut stage = Stage::new(SERVICE);
        let load = Load::start(Plan::gets(stage.understudy.address(), 100));
        wait_served(&load, "a", 50);
        stage.b.process.kill();
        stage.understudy.wait_health("b", "down");
        wait_served(&load, "a", 50);
        stage.a.process.kill();
        stage.understudy.wait_service("nobody is active", |service| service["active"].is_null());
        stage.understudy.wait_metric("understudy_requests_waiting", &[], |held| held >= 20.0);
        let back = if first == "a" { &mut stage.a } else { &mut stage.b };
        back.revive();
        wait_served(&load, first, 100);
        let report = load.finish();
        eprintln!("no standby, {first} came back: {report}");
        assert_none_failed(&report);
        stage.assert_metrics_agree(&report);
    }
}

#[test]
fn a_client_that_leaves_gives_its_place_back_at_once() {
    let mut stage = Stage::new(SERVICE);
    bring_both_down(&mut stage);
    let patience = Duration::from_millis(300);
    let load = Load::start(Plan { patience, ..Plan::gets(stage.understudy.address(), 50) });
    stage.understudy.wait_metric("understudy_requests_held_total", &[], |held| held >= 20.0);
    let report = load.finish();
    assert!(report.samples.iter().all(|sample| sample.status.is_none()), "{report}");
    let gone = Instant::now();
    stage.understudy.wait_metric("understudy_requests_waiting", &[], |held| held == 0.0);
    assert!(gone.elapsed() < HOLD / 2, "held until the limit: {:?}", gone.elapsed());
    assert_eq!(stage.metric("understudy_requests_rejected_total", &[]), 0);
}
