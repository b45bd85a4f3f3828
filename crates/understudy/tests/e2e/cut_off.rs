//! The network between us and everybody is gone: then it is we who are cut off, and nothing is decided.
//! The same without witnesses takes the backends down. And names whose servers are gone are still known.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use benches::condition::wait_for;
use benches::fetch::get;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use benches::understudy::Understudy;

use crate::island::Island;
use crate::stage::{
    PATIENCE, alone, assert_none_failed, binary, may_run, origin_binary, wait_served,
    wait_verdicts, yaml_of,
};

const SERVICE: &str = "health: { http: { path: /healthz }, interval: 100ms, timeout: 300ms, \
                       confirm_interval: 20ms }\nhold: { timeout: 1s }\nfailback: manual";

/// An origin that lives there.
fn inhabitant(island: &Island, folder: &Path, name: &str) -> Origin {
    let there = island.inhabitant(&origin_binary(), folder);
    let address: SocketAddr = island.listen().parse().expect("an address");
    Origin::start_at(&there, folder, name, address)
}

/// The balancer with these lines before all others.
fn start(folder: &Path, head: &str, backends: &[(&str, String)]) -> Understudy {
    let config = folder.join("cut.yaml");
    fs::write(&config, format!("{head}{}", yaml_of(backends, SERVICE))).expect("a config");
    let mut command = Command::new(binary());
    command.args(["run", "-c"]).arg(&config);
    Understudy::start(command)
}

fn ready(understudy: &Understudy) -> (u16, String) {
    let answer = get(understudy.admin(), "/readyz").expect("an answer");
    (answer.status, answer.text())
}

#[test]
fn whoever_is_cut_off_holds_the_last_decision_and_says_so() {
    let _alone = alone();
    let Some(island) = Island::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let [a, b] = ["a", "b"].map(|name| inhabitant(&island, folder.path(), name));
    let head = format!("witnesses: [\"{}\"]\n", island.witness());
    let understudy = start(folder.path(), &head, &[("a", a.url()), ("b", b.url())]);
    understudy.wait_active("a");
    understudy.wait_health("b", "up");
    assert_eq!(ready(&understudy).0, 200);
    let (epoch, begun) = (understudy.epoch(), understudy.metrics());
    for _ in 0..2 {
        island.cut();
        wait_for(PATIENCE, "it says that it is cut off", || {
            let (status, text) = ready(&understudy);
            if status == 503 && text.contains("cut off") { Ok(()) } else { Err((status, text)) }
        });
        wait_verdicts(&understudy, "a", "inconclusive", 10);
        wait_verdicts(&understudy, "b", "inconclusive", 10);
        assert!(understudy.metrics().sum("understudy_cut_off", &[]) == 1.0);
        assert_eq!((understudy.health("a"), understudy.health("b")), ("up".into(), "up".into()));
        assert_eq!((understudy.active().as_deref(), understudy.epoch()), (Some("a"), epoch));
        island.mend();
        wait_for(PATIENCE, "it is ready again", || {
            let (status, text) = ready(&understudy);
            if status == 200 { Ok(()) } else { Err((status, text)) }
        });
        wait_verdicts(&understudy, "a", "pass", 3);
        let load = Load::start(Plan::gets(understudy.address(), 100));
        wait_served(&load, "a", 101);
        assert_none_failed(&load.finish());
    }
    let failed = [("verdict", "fail")];
    let ended = understudy.metrics();
    let name = "understudy_probes_total";
    assert!(ended.sum(name, &failed) == begun.sum(name, &failed), "a backend was blamed");
    assert_eq!(understudy.epoch(), epoch);
}

/// The contrast: the same cut, and nobody who could be asked.
#[test]
fn without_witnesses_the_same_cut_takes_the_backends_down() {
    let _alone = alone();
    let Some(island) = Island::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let [a, b] = ["a", "b"].map(|name| inhabitant(&island, folder.path(), name));
    let understudy = start(folder.path(), "", &[("a", a.url()), ("b", b.url())]);
    understudy.wait_active("a");
    understudy.wait_health("b", "up");
    island.cut();
    understudy.wait_health("a", "down");
    understudy.wait_health("b", "down");
    understudy.wait_service("nobody is active", |service| service["active"].is_null());
    let (_, text) = ready(&understudy);
    assert!(!text.contains("cut off"), "{text}");
    assert!(understudy.metrics().sum("understudy_cut_off", &[]) == 0.0);
    island.mend();
    understudy.wait_health("a", "up");
}

/// One backend that dies, and a witness that answers: that is the backend's.
#[test]
fn a_witness_that_answers_takes_no_verdict_back() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let origin = |name| Origin::start(&origin_binary(), folder.path(), name);
    let (a, b) = (origin("a"), origin("b"));
    let witness = TcpListener::bind("127.0.0.1:0").expect("a port");
    let head = format!("witnesses: [\"{}\"]\n", witness.local_addr().expect("an address"));
    let understudy = start(folder.path(), &head, &[("a", a.url()), ("b", b.url())]);
    understudy.wait_active("a");
    understudy.wait_health("b", "up");
    let load = Load::start(Plan::gets(understudy.address(), 200));
    wait_served(&load, "a", 100);
    // It accepts, and never answers: a timeout, as when the network is gone.
    a.process.stop();
    wait_served(&load, "b", 100);
    let report = load.finish();
    assert_none_failed(&report);
    assert_eq!(ready(&understudy).0, 200, "{:?}", ready(&understudy));
}

/// A hosts file of its own, which is emptied while the balancer runs.
#[test]
fn addresses_that_are_known_outlive_their_names() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    let private = |program: &Path| {
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
        command.args(["-m", "sh", "-c", script, "sh"]).arg(&hosts).arg(program);
        command
    };
    fs::write(&hosts, "127.0.0.1 localhost a.backends.invalid b.backends.invalid\n")
        .expect("a file");
    let usable = private(Path::new("true")).output().is_ok_and(|output| output.status.success());
    if !may_run(usable, "`unshare -m` and root's rights") {
        return;
    }
    let origin = |name| Origin::start(&origin_binary(), folder.path(), name);
    let (mut a, b) = (origin("a"), origin("b"));
    let url = |o: &Origin| format!("http://{}.backends.invalid:{}", o.name(), o.address().port());
    let config = folder.path().join("names.yaml");
    let backends = [("a", url(&a)), ("b", url(&b))];
    fs::write(&config, yaml_of(&backends, SERVICE)).expect("a config");
    let start = || {
        let mut command = private(binary());
        command.args(["run", "-c"]).arg(&config);
        Understudy::start(command)
    };
    let understudy = start();
    understudy.wait_active("a");
    understudy.wait_health("b", "up");
    let load = Load::start(Plan::gets(understudy.address(), 100));
    wait_served(&load, "a", 50);
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("a file");
    // Names are looked up again after 5 s: 10 probes a second pass for longer than that.
    wait_verdicts(&understudy, "a", "pass", 70);
    wait_verdicts(&understudy, "b", "pass", 1);
    // No request has ever gone to the standby: what its probes know must do.
    a.process.kill();
    understudy.wait_active("b");
    wait_served(&load, "b", 50);
    let report = load.finish();
    assert_none_failed(&report);
    let failed = understudy
        .metrics()
        .sum("understudy_probes_total", &[("verdict", "fail"), ("backend", "b")]);
    assert!(failed == 0.0, "{failed} probes failed");
    drop(understudy);
    // The names are really gone: who did not know them learns nothing.
    let late = start();
    late.wait_health("a", "down");
    let last = late.service()["backends"][0]["last_probe"].to_string();
    assert!(last.contains("backends.invalid"), "{last}");
}
