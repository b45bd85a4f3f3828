//! SIGSTOP of the balancer itself, as when a virtual machine is paused: what was not heard in that
//! time says nothing of the backends.

use std::thread;
use std::time::Duration;

use benches::load::{Load, Plan};

use crate::stage::{Stage, assert_none_failed, wait_served};

/// Probes so frequent that some are under way whenever the pause begins, and timeouts that have all
/// passed when it ends.
const SERVICE: &str = "health: { http: { path: /healthz }, interval: 50ms, timeout: 300ms, \
                       confirm_interval: 20ms }\ntimeouts: { response: 1s, connect: 1s }";

#[test]
fn our_own_pause_moves_nothing_and_fails_nothing() {
    let stage = Stage::new(SERVICE);
    let load = Load::start(Plan::gets(stage.understudy.address(), 200));
    wait_served(&load, "a", 100);
    let epoch = stage.understudy.epoch();
    for _ in 0..3 {
        stage.understudy.process.stop();
        // Longer than all the timeouts above, and four times that of a probe.
        thread::sleep(Duration::from_millis(1300));
        stage.understudy.process.resume();
        wait_served(&load, "a", 100);
        stage.wait_passes("a", 5);
    }
    let report = load.finish();
    eprintln!("paused: {report}");
    assert!(report.longest_gap() >= Duration::from_secs(1), "there was no pause: {report}");
    assert_none_failed(&report);
    assert_eq!(stage.understudy.epoch(), epoch);
    assert_eq!(stage.metric("understudy_probes_total", &[("verdict", "fail")]), 0);
    stage.assert_never_moved();
    stage.assert_metrics_agree(&report);
}

/// As when a virtual machine is paused with the backends in it, and we are the first to go on: the
/// answer to a probe that was under way could not come in time.
#[test]
fn a_pause_of_the_whole_machine_moves_nothing() {
    let stage = Stage::new(&SERVICE.replace("timeout: 300ms", "timeout: 500ms"));
    let epoch = stage.understudy.epoch();
    for _ in 0..3 {
        stage.a.process.stop();
        stage.b.process.stop();
        // Probes have begun by then, twenty times a second as they do; none has timed out.
        thread::sleep(Duration::from_millis(120));
        stage.understudy.process.stop();
        thread::sleep(Duration::from_millis(800));
        stage.understudy.process.resume();
        stage.a.process.resume();
        stage.b.process.resume();
        stage.wait_passes("a", 3);
        stage.wait_passes("b", 3);
    }
    assert!(stage.metric("understudy_probes_total", &[("verdict", "inconclusive")]) >= 1);
    assert_eq!(stage.metric("understudy_probes_total", &[("verdict", "fail")]), 0);
    assert_eq!(stage.understudy.epoch(), epoch);
    stage.assert_never_moved();
}
