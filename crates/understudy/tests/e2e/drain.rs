//! A backend that asks to be drained: by its probes, by an agent beside it, or in what it answers to
//! clients. Nothing is lost, and what runs may finish.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use benches::fetch::get;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use serde_json::json;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::operator::Bridge;
use crate::stage::{
    Scene, Stage, assert_none_failed, origin_binary, wait_served, wait_verdicts, wait_wish,
};

const HOLD_DOWN: Duration = Duration::from_secs(1);
const BACK: &str = "failback: { auto: { hold_down: 1s } }";
const TIMING: &str = "interval: 100ms\n  confirm_interval: 20ms\n  rise: 2\n  fall: 3";

/// `a` asks for it, a slow request finishes there, and when it is taken back `a` gets the service back.
fn drained(probe: &str, ask: &str, take_back: &str) {
    let bridge = Bridge::new(&format!("health:\n  http: {probe}\n  {TIMING}\n{BACK}"));
    let understudy = &bridge.understudy;
    let address = understudy.address();
    let load = Load::start(Plan::gets(address, 100));
    wait_served(&load, "a", 100);
    assert_eq!(bridge.b.journal(), [], "traffic before its time");
    let slow = thread::spawn(move || get(address, "/slow?ms=3000"));
    understudy.wait_service("it runs", |_| {
        bridge.a.journal().iter().any(|entry| entry.path.starts_with("/slow"))
    });

    bridge.a.control(ask);
    wait_served(&load, "b", 100);
    assert!(!slow.is_finished(), "it was over before the service moved");
    wait_wish(understudy, "a", "drain");
    assert_eq!(understudy.health("a"), "up", "{ask}: a wish is not an illness");
    let answer = slow.join().expect("no panic").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")), "{ask}");
    assert_eq!(understudy.active().as_deref(), Some("b"), "{ask}");

    let taken_back = Instant::now();
    bridge.a.control(take_back);
    wait_served(&load, "a", 100);
    assert!(taken_back.elapsed() >= HOLD_DOWN, "{ask}: back after {:?}", taken_back.elapsed());
    let report = load.finish();
    eprintln!("{ask}: {report}");
    assert_none_failed(&report);
    let arrived = bridge.a.journal().len() + bridge.b.journal().len();
    assert_eq!(arrived, report.samples.len() + 1, "{ask}: something was sent twice");
    let failures = understudy.metrics().sum("understudy_probes_total", &[("verdict", "fail")]);
    assert!(failures == 0.0, "{ask}: {failures} probes failed");
}

#[test]
fn a_field_in_the_answer_to_a_probe_drains() {
    drained("{ path: /healthz }", "health_field=understudy-drain:1", "health_field=off");
}

#[test]
fn a_503_with_the_field_is_no_failure() {
    let probe = "{ path: /healthz, status: 200 }";
    let ask = "health=503&health_field=understudy-drain:1";
    drained(probe, ask, "health=200&health_field=off");
}

#[test]
fn a_status_can_drain() {
    let probe = "{ path: /healthz, status: 200, drain: { status: [404] } }";
    drained(probe, "health=404", "health=200");
}

/// The default takes a 404 for an answer like others.
#[test]
fn a_status_drains_only_where_that_is_configured() {
    let stage = Stage::new(&format!("health:\n  http: {{ path: /healthz }}\n  {TIMING}"));
    stage.a.control("health=404&health_field=understudy-drain:0");
    stage.wait_passes("a", 10);
    stage.assert_never_moved();
}

/// `a` at one address, with an agent, and `b` at another one, where there is none.
struct WithAgent {
    scene: Scene,
    agent: Agent,
    a: Origin,
    b: Origin,
    _folder: TempDir,
}

impl WithAgent {
    fn new() -> Self {
        let agent = Agent::start("up ready");
        let folder = tempfile::tempdir().expect("a folder");
        let start = |name: &str, host: &str| {
            let address: SocketAddr = format!("{host}:0").parse().expect("an address");
            Origin::start_at(&origin_binary(), folder.path(), name, address)
        };
        let (a, b) = (start("a", "127.0.0.1"), start("b", "127.0.0.2"));
        let service = format!(
            "health:\n  probes:\n    - {{ name: page, http: {{ path: /healthz }} }}\n    \
             - {{ name: agent, agent: {{ port: {} }} }}\n  {TIMING}\n\
             failback: {{ auto: {{ hold_down: 100ms }} }}",
            agent.port()
        );
        let scene = Scene::new(&[("a", a.url()), ("b", b.url())], &service);
        scene.understudy.wait_active("a");
        scene.understudy.wait_health("b", "up");
        Self { scene, agent, a, b, _folder: folder }
    }

    /// Waits until the agent has been heard often enough for anything.
    fn wait_heard(&self) {
        let goal = self.agent.asked() + 10;
        self.scene.understudy.wait_service("the agent is asked", |_| self.agent.asked() >= goal);
        wait_verdicts(&self.scene.understudy, "b", "pass", 5);
    }
}

#[test]
fn an_agent_drains_and_calls_back_and_what_it_said_last_holds() {
    let with = WithAgent::new();
    let understudy = &with.scene.understudy;
    let load = Load::start(Plan::gets(understudy.address(), 100));
    wait_served(&load, "a", 50);
    assert_eq!(with.b.journal(), [], "traffic before its time");
    // A weight is taken back by another weight, as in HAProxy.
    for (ask, wish, back) in
        [("drain", "drain", "ready"), ("maint", "maintenance", "ready"), ("0%", "drain", "100%")]
    {
        with.agent.say(ask);
        wait_served(&load, "b", 50);
        wait_wish(understudy, "a", wish);
        // That it is up takes nothing back.
        with.agent.say("up");
        with.wait_heard();
        assert_eq!(understudy.active().as_deref(), Some("b"), "after {ask}, up");
        with.agent.say(back);
        wait_served(&load, "a", 50);
    }
    with.agent.say("down #full");
    wait_served(&load, "b", 50);
    understudy.wait_health("a", "down");
    with.agent.say("up ready");
    wait_served(&load, "a", 50);
    understudy.wait_health("a", "up");
    let report = load.finish();
    eprintln!("agent: {report}");
    assert_none_failed(&report);
    let arrived = with.a.journal().len() + with.b.journal().len();
    assert!(arrived >= report.samples.len(), "{report}");
}

#[test]
fn an_agent_that_is_gone_or_talks_nonsense_changes_nothing() {
    let with = WithAgent::new();
    with.agent.say("perhaps, 17 weeks");
    with.wait_heard();
    let WithAgent { scene, agent, a: _a, b, _folder } = with;
    let understudy = &scene.understudy;
    drop(agent);
    wait_verdicts(understudy, "a", "pass", 10);
    assert_eq!(understudy.active().as_deref(), Some("a"));
    assert_eq!(scene.metric("understudy_service_transitions_total", &[]), 1, "only the start");
    assert_eq!(scene.metric("understudy_probes_total", &[("verdict", "fail")]), 0);
    assert_eq!(b.journal(), []);
}

/// Probes so rare that only what clients are answered can make them come. The rest of `health` follows.
const RARE: &str = "interval: 1m\n  confirm_interval: 50ms\n  rise: 2\n  fall: 3";

#[test]
fn the_field_in_an_answer_to_a_client_asks_for_probes_and_decides_nothing() {
    let stage = Stage::new(&format!("health:\n  http: {{ path: /healthz }}\n  {RARE}"));
    let address = stage.understudy.address();
    let shown = |answer: &benches::fetch::Answer| answer.header("understudy-drain").is_some();
    stage.a.tell(&json!({ "field": "understudy-drain: 1" }));
    assert_eq!(get(stage.a.address(), "/").as_ref().map(shown).ok(), Some(true), "it is sent");
    let before = stage.metric("understudy_probes_total", &[("backend", "a")]);
    let asked_since = Instant::now();
    let load = Load::start(Plan::gets(address, 100));
    wait_served(&load, "a", 100);
    let probed = [("backend", "a")];
    let goal = before as f64 + 2.0;
    stage.understudy.wait_metric("understudy_probes_total", &probed, |sum| sum >= goal);
    assert!(!shown(&get(address, "/").expect("an answer")), "clients are told");
    wait_served(&load, "a", 100);
    let suspicions = stage.metric("understudy_suspicions_total", &[("symptom", "drain")]);
    assert!(suspicions >= 1, "nothing was suspected");
    // Each of the two workers says it once a second, and perhaps once more at either end.
    let most = 2 * (asked_since.elapsed().as_secs() + 2);
    assert!(suspicions <= most, "suspected {suspicions} times, not {most}");
    stage.assert_never_moved();
    let report = load.finish();
    assert_none_failed(&report);

    // And when the probe says the same, the next one is not waited for.
    stage.a.control("health_field=understudy-drain:1");
    let load = Load::start(Plan::gets(address, 100));
    wait_served(&load, "b", 101);
    assert_none_failed(&load.finish());
}
