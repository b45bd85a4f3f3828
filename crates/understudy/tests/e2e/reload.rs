//! A hundred reloads under load: nothing fails, and who did not change does not notice.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::journal::now_ns;
use benches::load::{Load, Plan};
use benches::origin::Origin;

use crate::stage::{PATIENCE, Stage, assert_none_failed, origin_binary, wait_served, yaml};

const SERVICE: &str = "health: { http: { path: /healthz }, fall: 3, rise: 2 }";
const THRESHOLDS: &str = "health: { http: { path: /healthz }, fall: 5, rise: 4 }";
const RELOADS: &str = "understudy_reloads_total";

/// A configuration to load, and the names of the backends that are then in force.
struct Step {
    text: String,
    /// `None` when the file is broken and the one before stays in force.
    backends: Option<&'static [&'static str]>,
}

fn steps(a: &Origin, b: &Origin, c: &Origin) -> Vec<Step> {
    let good = |origins: &[&Origin], service, backends| Step {
        text: yaml(origins, service),
        backends: Some(backends),
    };
    let broken = |text: String| Step { text, backends: None };
    vec![
        good(&[a, b], THRESHOLDS, &["a", "b"]),
        good(&[a, b, c], THRESHOLDS, &["a", "b", "c"]),
        broken(yaml(&[a, b], "helth: {}")),
        good(&[a, c, b], SERVICE, &["a", "c", "b"]),
        broken("services: [unclosed".to_owned()),
        good(&[b, a], SERVICE, &["b", "a"]),
        broken(String::new()),
        good(&[a, b], SERVICE, &["a", "b"]),
        broken(yaml(&[a, a], SERVICE)),
        good(&[c, a, b], SERVICE, &["c", "a", "b"]),
        good(&[a, b], SERVICE, &["a", "b"]),
    ]
}

/// How the balancer hears of a new file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Notice {
    /// By SIGHUP, besides seeing it.
    Hangup,
    /// By seeing that the file was replaced.
    Replaced,
}

/// Loads one step and waits until it is in force, or refused.
fn take(stage: &Stage, step: &Step, notice: Notice) {
    let result = if step.backends.is_some() { "success" } else { "failure" };
    let before = stage.understudy.metrics().sum(RELOADS, &[("result", result)]);
    let new = stage.folder.path().join("new.yaml");
    fs::write(&new, &step.text).expect("a file");
    fs::rename(&new, &stage.config).expect("rename");
    if notice == Notice::Hangup {
        stage.understudy.process.signal("HUP");
    }
    stage.understudy.wait_metric(RELOADS, &[("result", result)], |count| count > before);
    let Some(expected) = step.backends else { return };
    stage.understudy.wait_service(&format!("the backends are {expected:?}"), |service| {
        let backends = service["backends"].as_array().into_iter().flatten();
        backends.map(|backend| backend["name"].as_str()).eq(expected.iter().copied().map(Some))
    });
}

/// Runs through `count` steps under load, with a stream open all the time.
fn reload_under_load(count: usize, notice: Notice) {
    let stage = Stage::new(SERVICE);
    let c = Origin::start(&origin_binary(), stage.folder.path(), "c");
    let steps = steps(&stage.a, &stage.b, &c);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    let events = stream(stage.understudy.address());
    wait_served(&load, "a", 100);
    let probes = |verdict| {
        ["a", "b"].map(|backend| {
            let labels = [("backend", backend), ("verdict", verdict)];
            stage.understudy.metrics().sum("understudy_probes_total", &labels)
        })
    };
    let (begun, probes_before) = (Instant::now(), probes("pass"));
    let (mut epoch, mut last_probes) = (stage.understudy.epoch(), probes_before);
    for step in steps.iter().cycle().take(count) {
        take(&stage, step, notice);
        // Unchanged backends keep their health, and their counters never go back.
        for backend in ["a", "b"] {
            assert_eq!(stage.understudy.health(backend), "up", "{}", step.text);
            let labels = [("backend", backend), ("state", "up")];
            assert_eq!(stage.metric("understudy_backend_health", &labels), 1);
        }
        let (now_epoch, now_probes) = (stage.understudy.epoch(), probes("pass"));
        assert!(now_epoch >= epoch, "epoch {epoch} became {now_epoch}");
        assert!(now_probes.iter().zip(last_probes).all(|(now, before)| *now >= before));
        (epoch, last_probes) = (now_epoch, now_probes);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    wait_served(&load, &stage.understudy.active().expect("an active"), 100);
    let report = load.finish();

    eprintln!("{count} reloads in {elapsed:.1} s: {report}");
    assert_none_failed(&report);
    assert_eq!(probes("fail"), [0.0, 0.0]);
    // A backend that was forgotten and met again would be probed at once, every time.
    for (now, before) in probes("pass").iter().zip(probes_before) {
        assert!(now - before <= elapsed * 1.5 + 3.0, "{} probes in {elapsed} s", now - before);
    }
    let seen = events.load(Ordering::Relaxed);
    wait_for(PATIENCE, "the stream goes on", || {
        let now = events.load(Ordering::Relaxed);
        if now > seen + 3 { Ok(()) } else { Err((seen, now)) }
    });
}

/// Opens a stream of events through the balancer; counts what arrives, for as long as it arrives.
fn stream(address: SocketAddr) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let ours = Arc::clone(&count);
    thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.write_all(b"GET /sse?ms=20 HTTP/1.1\r\nhost: events\r\n\r\n").expect("write");
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|size| size > 0) {
            ours.fetch_add(1, Ordering::Relaxed);
        }
    });
    count
}

#[test]
fn a_hundred_reloads_by_signal_fail_nothing_and_forget_nothing() {
    reload_under_load(100, Notice::Hangup);
}

#[test]
fn a_file_replaced_by_rename_is_loaded_without_a_signal() {
    reload_under_load(22, Notice::Replaced);
}

#[test]
fn a_signal_alone_loads_the_file_again() {
    let stage = Stage::new(SERVICE);
    let success = |stage: &Stage| stage.metric(RELOADS, &[("result", "success")]);
    let before = success(&stage) as f64;
    stage.understudy.process.signal("HUP");
    stage.understudy.wait_metric(RELOADS, &[("result", "success")], |count| count > before);
    assert_eq!(stage.metric("understudy_config_last_reload_successful", &[]), 1);
}

#[test]
fn a_reload_without_the_active_moves_the_service_and_fails_nothing() {
    let stage = Stage::new(SERVICE);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 100);
    let without = Step { text: yaml(&[&stage.b], SERVICE), backends: Some(&["b"]) };
    take(&stage, &without, Notice::Hangup);
    stage.understudy.wait_active("b");
    wait_served(&load, "b", 100);
    let report = load.finish();

    eprintln!("the active was removed: {report}");
    assert_none_failed(&report);
    // Nobody waits for verdicts, let alone until a hold ends, after ten seconds.
    assert!(report.longest_gap() < Duration::from_secs(5), "{report}");
    assert_eq!(stage.metric("understudy_backend_active", &[("backend", "a")]), 0);
    stage.assert_metrics_agree(&report);
    let arrived = stage.a.journal().len() + stage.b.journal().len();
    assert_eq!(arrived, report.samples.len(), "requests in flight finish where they are");
}

#[test]
fn a_new_primary_gets_the_service_after_the_hold_down_only() {
    let quick = format!("{SERVICE}\nfailback: {{ auto: {{ hold_down: 1s }} }}");
    let stage = Stage::new(&quick);
    let c = Origin::start(&origin_binary(), stage.folder.path(), "c");
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 100);
    let text = yaml(&[&c, &stage.a, &stage.b], &quick);
    let reloaded_ns = now_ns();
    take(&stage, &Step { text, backends: Some(&["c", "a", "b"]) }, Notice::Hangup);
    wait_served(&load, "c", 100);
    let report = load.finish();

    eprintln!("a new primary: {report}");
    assert_none_failed(&report);
    let first = c.journal()[0].at_ns;
    assert!(Duration::from_nanos(first - reloaded_ns) >= Duration::from_secs(1), "too early");
    assert_eq!(stage.b.journal(), []);
    stage.assert_metrics_agree(&report);
}
