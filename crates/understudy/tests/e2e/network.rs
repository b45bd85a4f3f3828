//! The network between the balancer and the primary: closed ports, packets that disappear, names.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::get;
use benches::journal::Entry;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use benches::process::{free_address, installed};
use benches::report::Report;

use crate::stage::{
    PATIENCE, Scene, Stage, assert_none_failed, assert_one_switch, may_run, origin_binary,
    wait_served,
};

const QUICK: &str = "health: { http: { path: /healthz }, interval: 200ms, timeout: 300ms, \
                     confirm_interval: 50ms }\nreplay: { settle: 300ms }";

/// The same, with timeouts of the request path that cannot have helped.
const PATIENT: &str = "health: { http: { path: /healthz }, interval: 200ms, timeout: 300ms, \
                       confirm_interval: 50ms }\nreplay: { settle: 300ms }\n\
                       timeouts: { connect: 30s, response: 60s }";

/// The failover is the only one, and the metrics tell what the clients saw.
fn assert_moved_once(stage: &Stage, report: &Report) {
    let failovers = [("reason", "failover")];
    assert_eq!(stage.metric("understudy_service_transitions_total", &failovers), 1);
    assert_eq!(stage.understudy.active().as_deref(), Some("b"));
    stage.assert_metrics_agree(report);
}

#[test]
fn a_primary_whose_port_closes_is_left_and_nothing_fails() {
    let stage = Stage::new(QUICK);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 100);
    stage.assert_primary_only();
    stage.a.control("refuse_ms=60000");
    wait_served(&load, "b", 200);
    let report = load.finish();
    eprintln!("port closed: {report}");
    assert_none_failed(&report);
    assert_moved_once(&stage, &report);
}

#[test]
fn a_primary_that_was_never_there_delays_nobody_by_more_than_a_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let b = Origin::start(&origin_binary(), folder.path(), "b");
    let nobody = format!("http://{}", free_address().expect("an address"));
    let graceful = format!("{QUICK}\nstartup_grace: 1m\nhold: {{ timeout: 1m }}");
    let scene = Scene::new(&[("a", nobody), ("b", b.url())], &graceful);
    let begun = Instant::now();
    let answer = get(scene.understudy.address(), "/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("b")), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    scene.understudy.wait_health("a", "down");
}

#[test]
fn backends_are_found_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |name| Origin::start(&origin_binary(), folder.path(), name);
    let (mut a, b) = (start("a"), start("b"));
    let by_name = |origin: &Origin| format!("http://localhost:{}", origin.address().port());
    let scene = Scene::new(&[("a", by_name(&a)), ("b", by_name(&b))], QUICK);
    scene.understudy.wait_active("a");
    scene.understudy.wait_health("b", "up");
    let load = Load::start(Plan::gets(scene.understudy.address(), 200));
    wait_served(&load, "a", 100);
    a.process.kill();
    wait_served(&load, "b", 100);
    let report = load.finish();
    eprintln!("by name: {report}");
    assert_none_failed(&report);
    assert_one_switch(&report);
}

#[test]
fn a_primary_that_takes_no_new_connections_is_left_though_the_old_ones_work() {
    let Some(firewall) = Firewall::new() else { return };
    let stage = Stage::new(PATIENT);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 100);
    stage.assert_primary_only();
    let _hole = firewall.drop_packets_to(&stage.a, &["--syn"]);
    wait_served(&load, "b", 200);
    let report = load.finish();
    eprintln!("no new connections: {report}");
    assert_none_failed(&report);
    assert!(report.longest_gap() < Duration::from_secs(15), "{report}");
    assert_moved_once(&stage, &report);
}

#[test]
fn a_primary_that_is_cut_off_is_left_and_no_get_fails() {
    let Some(firewall) = Firewall::new() else { return };
    let stage = Stage::new(PATIENT);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 100);
    stage.assert_primary_only();
    let _hole = firewall.drop_packets_to(&stage.a, &[]);
    wait_served(&load, "b", 200);
    let report = load.finish();
    eprintln!("cut off: {report}");
    assert_none_failed(&report);
    assert_one_switch(&report);
    assert!(report.longest_gap() < Duration::from_secs(15), "{report}");
    assert!(stage.metric("understudy_requests_replayed_total", &[]) >= 1);
    assert_moved_once(&stage, &report);
}

#[test]
fn an_order_on_its_way_to_a_primary_that_is_cut_off_is_executed_once_at_most() {
    let Some(firewall) = Firewall::new() else { return };
    let stage = Stage::new(QUICK);
    let load =
        Load::start(Plan::orders(stage.understudy.address(), 200, Duration::from_millis(20)));
    wait_served(&load, "a", 100);
    let hole = firewall.drop_packets_to(&stage.a, &[]);
    wait_served(&load, "b", 100);
    wait_for(PATIENCE, "an order is given up", || {
        let samples = load.samples();
        let given_up = samples.iter().any(|sample| sample.status == Some(504));
        if given_up { Ok(()) } else { Err(samples.len()) }
    });
    // What the network swallowed is sent again by the system, and may be executed late.
    drop(hole);
    stage.understudy.wait_health("a", "up");
    wait_served(&load, "b", 100);
    let report = load.finish();
    eprintln!("orders, cut off: {report}");
    let ids = |entries: &[Entry]| -> BTreeSet<String> {
        entries.iter().map(|entry| entry.id.clone()).collect()
    };
    let (of_a, of_b) = (stage.a.journal(), stage.b.journal());
    assert_eq!(ids(&of_a).len(), of_a.len(), "the primary executed an order twice");
    assert_eq!(ids(&of_b).len(), of_b.len(), "the standby executed an order twice");
    assert_eq!(ids(&of_a).intersection(&ids(&of_b)).count(), 0, "both executed an order");
    assert!(!report.failed().is_empty(), "no order was in flight: {report}");
    for failed in report.failed() {
        assert!(matches!(failed.status, Some(502 | 504)), "{failed:?}");
        assert!(!ids(&of_b).contains(&failed.index.to_string()), "failed, but done: {failed:?}");
    }
    stage.assert_metrics_agree(&report);
}

/// Makes packets to one port of the loopback interface disappear.
struct Firewall;

/// As long as it lives.
struct Hole(Vec<String>);

impl Firewall {
    /// `None`, and a line that says so, where there is no `iptables` or no right to use it. With
    /// `UNDERSTUDY_NO_SKIP=1` in the environment the test fails there.
    fn new() -> Option<Self> {
        let usable = installed("iptables").is_some() && iptables("-L", &[String::from("INPUT")]);
        may_run(usable, "iptables and root's rights").then_some(Self)
    }

    fn drop_packets_to(&self, origin: &Origin, which: &[&str]) -> Hole {
        let port = origin.address().port().to_string();
        let rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", &port];
        let rule: Vec<_> = rule.iter().chain(which).chain(&["-j", "DROP"]).collect();
        let rule: Vec<_> = rule.into_iter().map(|&word| word.to_owned()).collect();
        assert!(iptables("-I", &rule), "the firewall takes no rule");
        Hole(rule)
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        let closed = iptables("-D", &self.0);
        assert!(closed || std::thread::panicking(), "this rule is left: {:?}", self.0);
    }
}

fn iptables(action: &str, words: &[String]) -> bool {
    let path = installed("iptables").unwrap_or_else(|| "iptables".into());
    // -w: somebody else may be changing the tables.
    let run = Command::new(path).args(["-w", "10", action]).args(words).output();
    run.is_ok_and(|output| output.status.success())
}
