//! Gates around a move: in order, once, and on record; what becomes of the move when one fails.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use control::{Control, Inherited, Kind, Source, Status};
use tempfile::TempDir;

use crate::harness::{
    Backend, config, get, moves, order, start_on, switchover, wait_for, wait_for_active, web,
};

/// A folder with a program that notes what it is called for; for `promote` it waits until it may end,
/// and fails where it is told to.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: TempDir::new().expect("a folder") };
        desk.allow();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on programs end.
    fn allow(&self) {
        fs::write(self.path("go"), "").expect("a file");
    }

    /// From now on they do not.
    fn detain(&self) {
        fs::remove_file(self.path("go")).expect("it was there");
    }

    /// From now on `gate` fails for `backend`.
    fn spoil(&self, gate: &str, backend: &str) {
        fs::write(self.path(&format!("bad-{gate}-{backend}")), "").expect("a file");
    }

    fn gate(&self, gate: &str, more: &str) -> String {
        let script = "echo \"$UNDERSTUDY_GATE $UNDERSTUDY_BACKEND $UNDERSTUDY_EPOCH\" >> log; \
                      while [ ! -e go ]; do sleep 0.01; done; \
                      echo said by $UNDERSTUDY_GATE; \
                      [ ! -e bad-$UNDERSTUDY_GATE-$UNDERSTUDY_BACKEND ]";
        let script = script.replace('"', "\\\"");
        let folder = self.folder.path().display();
        format!(
            "{gate}: {{ exec: {{ command: [sh, -c, \"{script}\"], directory: {folder} }}{more} }}"
        )
    }

    /// What was called, as `gate backend`, and the epochs.
    fn log(&self) -> (Vec<String>, Vec<u64>) {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines = text.lines().map(|line| line.rsplit_once(' ').expect("three words"));
        lines
            .map(|(what, epoch)| (what.to_owned(), epoch.parse::<u64>().expect("a number")))
            .unzip()
    }
}

fn gates(desk: &Desk, more: &str) -> String {
    let (fence, promote) = (desk.gate("fence", more), desk.gate("promote", more));
    format!("gates: {{ failover: {{ {fence}, {promote} }} }}")
}

async fn pair(more: &str) -> (Backend, Backend, Control) {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], more), "a").await;
    let up = |status: &Arc<Status>| web(status).backends[1].eligible_since.is_some();
    wait_for(&control, "b is not up", up).await;
    (a, b, control)
}

/// The outcomes of gates in the events, as `gate backend outcome`.
fn ended(control: &Control) -> Vec<String> {
    let events = control.events(0).into_iter().filter_map(|event| match event.kind {
        Kind::GateEnded { gate, backend, outcome, .. } => {
            Some(format!("{gate} {backend} {outcome}"))
        }
        _ => None,
    });
    events.collect()
}

#[tokio::test]
async fn at_a_failover_the_old_one_is_fenced_and_the_new_one_promoted_before_it_has_traffic() {
    let desk = Desk::new();
    let (mut a, _b, control) = pair(&gates(&desk, "")).await;
    assert_eq!(desk.log().0, Vec::<String>::new(), "whoever begins holds the role already");
    desk.detain();
    a.kill().await;
    wait_for(&control, "no gate runs", |status| web(status).gate.is_some()).await;
    assert_eq!(web(&control.status()).active, None, "nobody is active meanwhile");
    let waiting = tokio::spawn({
        let control = control.clone();
        async move { get(&control).await }
    });
    desk.allow();
    wait_for_active(&control, "b").await;
    assert_eq!(waiting.await.expect("no panic"), (200, "b".to_owned()), "it was held");
    let (called, epochs) = desk.log();
    assert_eq!(called, ["fence a", "promote b"]);
    let epoch = web(&control.status()).epoch;
    assert_eq!(epochs, [epoch, epoch], "they are told the epoch that b serves under");
    assert_eq!(ended(&control), ["fence a done", "promote b done"]);
    assert_eq!(moves(&control)[1..], ["a->- Failover", "-->b Failover"]);
}

#[tokio::test]
async fn a_gate_that_fails_locks_the_service_and_the_old_one_takes_the_role_again() {
    let desk = Desk::new();
    let (_a, _b, control) = pair(&gates(&desk, "")).await;
    desk.spoil("promote", "b");
    let told = order(&control, switchover("b")).await.expect_err("its gate fails");
    assert!(told.to_string().contains("gate promote of b"), "{told}");
    wait_for_active(&control, "a").await;
    assert_eq!(desk.log().0, ["fence a", "promote b", "fence b", "promote a"]);
    let status = control.status();
    let service = web(&status);
    assert!(service.locked && service.backends[1].barred, "{service:#?}");
    let lock = service.drift.iter().find(|drift| &*drift.what == "lock").expect("it is locked");
    assert!(lock.by.why.contains("gate promote of b"), "{lock:?}");
    assert_eq!(get(&control).await, (200, "a".to_owned()));
    let epochs = desk.log().1;
    assert!(epochs.is_sorted() && epochs[1] < epochs[2], "another attempt, another epoch");
    assert_eq!(service.epoch, epochs[3]);
    let incidents = control.incidents(None, 10).await;
    let incident = incidents.iter().find(|i| i["reason"] == "switchover").expect("it is recorded");
    assert_eq!((&incident["to"], &incident["outcome"]), (&"b".into(), &"returned".into()));
}

#[tokio::test]
async fn what_a_gate_said_is_in_the_incident() {
    let desk = Desk::new();
    let (_a, _b, control) = pair(&gates(&desk, "")).await;
    let done = order(&control, switchover("b")).await.expect("it moves");
    assert!(done.text.starts_with("a -> b, epoch "), "{}", done.text);
    let incidents = control.incidents(None, 10).await;
    let incident = incidents.iter().find(|i| i["reason"] == "switchover").expect("it is recorded");
    let gates = incident["gates"].as_array().expect("a list");
    assert_eq!(gates.len(), 2, "{incident}");
    assert_eq!((&gates[1]["gate"], &gates[1]["backend"]), (&"promote".into(), &"b".into()));
    assert_eq!(gates[1]["output"].as_str().map(str::trim), Some("said by promote"));
}

#[tokio::test]
async fn a_fence_that_nobody_heard_is_made_up_for_when_the_old_one_is_back() {
    let desk = Desk::new();
    let promote = desk.gate("promote", "");
    let fence = "fence: { http: { url: /fence }, need: if_reachable }";
    let keys = format!("gates: {{ failover: {{ {fence}, {promote} }} }}");
    let (mut a, _b, control) = pair(&format!("{keys}\n    failback: manual")).await;
    a.kill().await;
    wait_for_active(&control, "b").await;
    assert_eq!(ended(&control), ["fence a unreachable", "promote b done"]);
    let standing = |status: &Arc<Status>| web(status).backends[0].standing;
    assert_eq!(standing(&control.status()), Some("unsure"));
    a.revive().await;
    wait_for(&control, "it is not fenced", |status| standing(status) == Some("standby")).await;
    assert_eq!(ended(&control)[2..], ["fence a done"]);
    assert_eq!(web(&control.status()).active.as_deref(), Some("b"), "b went on serving");
}

#[tokio::test]
async fn a_fence_that_was_made_up_for_is_in_no_doubt_after_a_restart() {
    let (desk, state) = (Desk::new(), TempDir::new().expect("a folder"));
    let (mut a, b) = (Backend::start("a").await, Backend::start("b").await);
    let fence = "fence: { http: { url: /fence }, need: if_reachable }";
    let keys = format!("gates: {{ failover: {{ {fence}, {} }} }}", desk.gate("promote", ""));
    let text = config(&[&a, &b], &format!("{keys}\n    failback: manual"));
    let start = || async {
        let loaded = config::load("test.yaml", &text, &PathBuf::new());
        let mut config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
        config.state_dir = Some(state.path().to_owned());
        let started = Control::start(config, Source::default(), Inherited::default()).await;
        started.expect("it starts")
    };
    let standing = |status: &Arc<Status>| web(status).backends[0].standing;
    let control = start().await;
    let up = |status: &Arc<Status>| web(status).backends[1].eligible_since.is_some();
    wait_for_active(&control, "a").await;
    wait_for(&control, "b is not up", up).await;
    a.kill().await;
    wait_for_active(&control, "b").await;
    a.revive().await;
    wait_for(&control, "it is not fenced", |status| standing(status) == Some("standby")).await;
    control.shut_down().await;
    drop(control);

    let control = start().await;
    wait_for_active(&control, "b").await;
    let status = control.status();
    assert!(web(&status).gate.is_none(), "{:?}", web(&status).gate);
    assert_eq!(standing(&status), Some("standby"));
}

#[tokio::test]
async fn gates_that_are_gone_by_a_reload_stop_nothing() {
    let desk = Desk::new();
    let keys = gates(&desk, "");
    let (a, b, control) = pair(&keys).await;
    control.reload(config(&[&a, &b], "")).await.expect("it is in force");
    order(&control, switchover("b")).await.expect("it moves");
    assert_eq!(desk.log().0, Vec::<String>::new());
}
