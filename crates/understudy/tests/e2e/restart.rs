//! What was announced holds after a restart, also after SIGKILL at any moment; and nobody is used
//! unchecked.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::get;
use benches::journal::now_ns;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use benches::process::{Process, free_address};
use benches::understudy::Understudy;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin_client::Operator;
use crate::stage::{PATIENCE, alone, binary, origin_binary, yaml_kept, yaml_of};

const QUICK: &str = "health: { http: { path: /healthz }, interval: 100ms, confirm_interval: 20ms, \
                     rise: 1 }";
const KILLS: usize = 200;

/// Backends, and a config for processes that follow each other with one memory.
struct Memory {
    origins: Vec<Origin>,
    config: PathBuf,
    listen: SocketAddr,
    operator: Operator,
    folder: TempDir,
    // Last: the next test begins when all the others are gone.
    _alone: fs::File,
}

impl Memory {
    fn new(names: &[&str], service: &str) -> Self {
        let alone = alone();
        let folder = tempfile::tempdir().expect("a folder");
        let start = |name: &&str| Origin::start(&origin_binary(), folder.path(), name);
        let origins: Vec<_> = names.iter().map(start).collect();
        let listen = free_address().expect("a port");
        let any = "127.0.0.1:0".parse().expect("an address");
        let backends: Vec<_> = origins.iter().map(|o| (o.name(), o.url())).collect();
        let service = format!("{QUICK}\n{service}");
        let config = folder.path().join("understudy.yaml");
        let yaml = yaml_kept(folder.path(), [listen, any], &backends, &service);
        fs::write(&config, yaml).expect("a config");
        let operator = Operator::new(folder.path());
        Self { origins, config, listen, operator, folder, _alone: alone }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(&self.config);
        command
    }

    fn start(&self) -> Understudy {
        Understudy::start(self.command())
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The greatest epoch that a backend has seen; each was seen by one only.
    fn seen(&self) -> u64 {
        let mut all: Vec<_> = self
            .origins
            .iter()
            .flat_map(Origin::spans)
            .map(|span| (span.epoch.expect("an epoch"), span.origin))
            .collect();
        all.sort();
        all.dedup();
        let twice = all.windows(2).find(|pair| pair[0].0 == pair[1].0);
        assert_eq!(twice, None, "an epoch at two backends");
        all.last().map_or(0, |(epoch, _)| *epoch)
    }

    fn wait_up(&self) {
        for origin in &self.origins {
            self.operator.wait_health(origin.name(), "up");
        }
    }
}

fn epoch(service: &Value) -> u64 {
    service["epoch"].as_u64().unwrap_or_else(|| panic!("no epoch: {service}"))
}

/// One thing that is decided: what was announced of it, and what was asked for since without an answer.
#[derive(Clone, Debug, PartialEq)]
struct Decided<T> {
    announced: T,
    asked: Option<T>,
}

impl<T: Clone + PartialEq + std::fmt::Debug> Decided<T> {
    fn new(announced: T) -> Self {
        Self { announced, asked: None }
    }

    /// Asks for it; whether that was answered. The answer must be yes.
    fn ask(&mut self, wanted: T, order: impl FnOnce() -> std::io::Result<bool>) -> bool {
        self.asked = Some(wanted.clone());
        match order() {
            Ok(carried_out) => {
                if carried_out {
                    self.announced = wanted;
                }
                self.asked = None;
                true
            }
            Err(_) => false,
        }
    }

    /// After a restart it is one of the two, and is announced by that.
    fn settle(&mut self, now: T, what: &str) {
        let expected = [Some(&self.announced), self.asked.as_ref()];
        assert!(expected.contains(&Some(&now)), "{what} is {now:?} after a restart: {self:?}");
        *self = Self::new(now);
    }
}

/// All that several operators decide at the same time, each for itself.
#[derive(Debug)]
struct Decisions {
    /// Who is active, and whether it is pinned: one operator.
    active: Decided<(String, bool)>,
    locked: Decided<bool>,
    /// What is wished for the third backend.
    wish: Decided<&'static str>,
    /// The greatest that was announced.
    epoch: u64,
}

impl Decisions {
    /// Lets all of them work until the process is gone, which `kill` sees to; it is told how to learn how
    /// many orders were answered.
    fn work(
        &mut self,
        operator: &Operator,
        seed: u64,
        kill: impl FnOnce(&dyn Fn() -> usize),
    ) -> usize {
        let orders = Mutex::new(0);
        let ordered = |what: &str, body: &Value| -> std::io::Result<(bool, u64)> {
            let answer = operator.order(what, body)?;
            *orders.lock().expect("no panic") += 1;
            let is_done = answer.status == 200;
            // While a move is under way some things are refused.
            assert!(is_done || answer.status == 409, "{what}: {}", answer.text());
            let done: Value = serde_json::from_slice(&answer.body)?;
            Ok((is_done, done["moved"]["epoch"].as_u64().unwrap_or_default()))
        };
        let Self { active, locked, wish, epoch } = self;
        let mut randoms = [1, 2, 3].map(|place| fastrand::Rng::with_seed(seed + place));
        let [moves, locks, wishes] = &mut randoms;
        thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    let (now, _) = active.announced.clone();
                    let other = if now == "a" { "b" } else { "a" };
                    let ((wanted, pinned), what, body) = match moves.u8(0..4) {
                        0 => ((now.as_str(), true), "pin", json!({})),
                        1 => ((now.as_str(), false), "unpin", json!({})),
                        _ => ((other, true), "switchover", json!({ "to": other })),
                    };
                    let asked = active.ask((wanted.to_owned(), pinned), || {
                        let (is_done, at) = ordered(what, &body)?;
                        *epoch = at.max(*epoch);
                        Ok(is_done)
                    });
                    if !asked {
                        return;
                    }
                }
            });
            scope.spawn(|| {
                let mut lock = || {
                    let (wanted, what) =
                        locks.choice([(true, "lock"), (false, "unlock")]).expect("one");
                    locked.ask(wanted, || Ok(ordered(what, &json!({}))?.0))
                };
                while lock() {}
            });
            scope.spawn(|| {
                let mut set = || {
                    let wanted = *wishes.choice(&["drain", "maintenance", "ready"]).expect("one");
                    let what = format!("backends/c/{wanted}");
                    wish.ask(wanted, || Ok(ordered(&what, &json!({}))?.0))
                };
                while set() {}
            });
            kill(&|| *orders.lock().expect("no panic"));
        });
        orders.into_inner().expect("no panic")
    }

    /// Everything that was announced holds.
    fn settle(&mut self, service: &Value, seen: u64) {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let is = |key: &str| service[key].as_bool().expect("yes or no");
        self.active.settle((text(&service["active"]), is("pinned")), "active and pin");
        self.locked.settle(is("locked"), "the lock");
        let c = &service["backends"][2];
        assert_eq!(c["name"], "c");
        let wish = ["drain", "maintenance", "ready"].into_iter().find(|wish| c["admin"] == *wish);
        self.wish.settle(wish.expect("one of them"), "what is wished for c");
        let now = epoch(service);
        assert!(now > self.epoch && now > seen, "{now}: announced {}, seen {seen}", self.epoch);
        self.epoch = now;
    }
}

#[test]
fn what_was_announced_survives_200_kills() {
    let kills = std::env::var("UNDERSTUDY_KILLS").map_or(KILLS, |n| n.parse().expect("a number"));
    let memory = Memory::new(&["a", "b", "c"], "failback: manual");
    let mut running = memory.start();
    memory.wait_up();
    let service = memory.operator.wait_active("a");
    let mut decisions = Decisions {
        active: Decided::new(("a".to_owned(), false)),
        locked: Decided::new(false),
        wish: Decided::new("ready"),
        epoch: epoch(&service),
    };
    // So that backends see epochs, and moves their first good answers.
    let load = Load::start(Plan::gets(memory.listen, 100));
    let seed = fastrand::u64(..u64::MAX / 2);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (begun, mut orders) = (Instant::now(), 0);
    for kill in 0..kills {
        // In the midst of work, however slow the machine is: some orders on, and a little more.
        let (least, more) = (random.usize(0..9), Duration::from_micros(random.u64(0..10_000)));
        orders += decisions.work(&memory.operator, seed + kill as u64, |answered| {
            wait_for(PATIENCE, "orders are answered", || match answered() {
                enough if enough >= least => Ok(()),
                few => Err(few),
            });
            // A random moment is what is wanted here, not a condition.
            thread::sleep(more);
            running.process.kill();
        });
        let seen = memory.seen();
        running = memory.start();
        let service = memory.operator.wait("somebody is active", |s| !s["active"].is_null());
        decisions.settle(&service, seen);
        assert_eq!(memory.operator.process()["state_problem"], Value::Null);
        let log = running.process.stderr();
        assert!(!log.contains("state.redb"), "something is wrong with the state: {log}");
    }
    let took = begun.elapsed();
    eprintln!("{kills} kills in {took:?}, {orders} orders answered; {decisions:?}");
    assert!(orders > kills * 2, "only {orders} orders were answered: that shows nothing");
    drop(load);
    memory.seen();
}

/// The check above can fail.
#[test]
fn a_decision_that_was_forgotten_is_found() {
    let found = |decided: &Decided<u32>, now| {
        let mut decided = decided.clone();
        std::panic::catch_unwind(move || decided.settle(now, "it")).is_err()
    };
    let mut decided = Decided::new(1);
    assert!(decided.ask(2, || Ok(true)) && decided.ask(3, || Ok(false)));
    assert!(!found(&decided, 2) && found(&decided, 1) && found(&decided, 3));
    assert!(!decided.ask(4, || Err(std::io::ErrorKind::ConnectionReset.into())));
    assert!(!found(&decided, 2) && !found(&decided, 4) && found(&decided, 1));
}

/// Stops the running process, does something to its state, and starts the next one.
fn meddled(memory: &Memory, meddle: impl FnOnce()) -> (Understudy, u64) {
    let mut old = memory.start();
    memory.wait_up();
    memory.operator.wait("somebody is active", |service| !service["active"].is_null());
    memory.operator.switchover("b");
    let before = epoch(&memory.operator.wait_active("b"));
    old.process.signal("TERM");
    assert_eq!(old.process.wait_exit(PATIENCE).code(), Some(0));
    meddle();
    (memory.start(), before)
}

/// Its service runs, from the beginning, with a later epoch than before; and the log says this.
fn assert_begun_anew(memory: &Memory, new: &Understudy, before: u64, said: &[&str]) {
    let service = memory.operator.wait_active("a");
    assert!(epoch(&service) > before, "{before}, then {service}");
    assert_eq!(service["pinned"], false);
    let answer = get(memory.listen, "/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")));
    wait_for(PATIENCE, &format!("the log says {said:?}"), || {
        let log = new.process.stderr();
        if said.iter().all(|words| log.contains(words)) { Ok(()) } else { Err(log) }
    });
    // And it goes on being the one in charge.
    memory.operator.wait_health("b", "up");
    memory.operator.switchover("b");
}

#[test]
fn a_broken_or_foreign_state_is_set_aside_and_it_runs() {
    let memory = Memory::new(&["a", "b"], "failback: manual");
    let file = memory.state().join("state.redb");
    let aside = |kind: &str| {
        let entries = fs::read_dir(memory.state()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().contains(kind)).count()
    };
    let lost = "pins, locks, admin states, scheduled switchovers, events and incidents from before \
                are lost";
    let (broken, before) = meddled(&memory, || {
        let mut bytes = fs::read(&file).expect("the state");
        let middle = bytes.len() / 2;
        bytes[4096..middle].fill(0xa5);
        fs::write(&file, bytes).expect("a file");
    });
    assert_begun_anew(&memory, &broken, before, &["was broken", lost]);
    assert_eq!(aside(".broken-"), 1, "nothing is deleted");
    assert_eq!(memory.operator.process()["state_problem"], Value::Null);
    drop(broken);

    let (foreign, before) = meddled(&memory, || fs::write(&file, "dear diary").expect("a file"));
    assert_begun_anew(&memory, &foreign, before, &["was not ours", lost]);
    assert_eq!(aside(".foreign-"), 1);
    drop(foreign);

    // What was begun anew is kept as before.
    let _again = memory.start();
    assert_eq!(memory.operator.wait_active("b")["pinned"], true);
}

#[test]
fn a_newer_state_stays_as_it_is_and_it_runs_in_memory() {
    let memory = Memory::new(&["a", "b"], "failback: manual");
    let file = memory.state().join("state.redb");
    let mut newer = Vec::new();
    let (new, before) = meddled(&memory, || {
        newer = fs::read(&file).expect("the state");
        // The number of redb's file format, in each of its two commit slots.
        for slot in [64, 192] {
            newer[slot] = 200;
        }
        fs::write(&file, &newer).expect("a file");
    });
    assert_begun_anew(&memory, &new, before, &["was written by a newer version", "move it away"]);
    let problem = memory.operator.process()["state_problem"].clone();
    assert!(problem.as_str().is_some_and(|problem| problem.contains("newer")), "{problem}");
    drop(new);
    assert!(fs::read(&file).expect("the state") == newer, "the file was changed");
}

#[test]
fn a_state_that_cannot_be_written_is_said_and_it_runs_in_memory() {
    let memory = Memory::new(&["a", "b"], "failback: manual");
    // Root may write everywhere, but not below a file.
    let (new, before) = meddled(&memory, || {
        fs::rename(memory.state(), memory.folder.path().join("gone")).expect("rename");
        fs::write(memory.folder.path().join("file"), "").expect("a file");
        let yaml = fs::read_to_string(&memory.config).expect("the config");
        let state = memory.state().display().to_string();
        let yaml =
            yaml.replace(&state, &memory.folder.path().join("file/state").display().to_string());
        fs::write(&memory.config, yaml).expect("a config");
    });
    assert_begun_anew(
        &memory,
        &new,
        before,
        &["will not survive a restart", "set another state_dir"],
    );
    assert_ne!(memory.operator.process()["state_problem"], Value::Null);
}

#[test]
fn a_second_process_on_the_same_state_does_not_start() {
    let memory = Memory::new(&["a", "b"], "");
    let _first = memory.start();
    let before = memory.operator.wait_active("a");
    let yaml = fs::read_to_string(&memory.config).expect("the config");
    let port = memory.listen.port().to_string();
    let yaml = yaml.replace(&format!(":{port}\""), ":0\"").replace("admin.sock", "second.sock");
    let second = memory.folder.path().join("second.yaml");
    fs::write(&second, yaml).expect("a config");
    let mut command = Command::new(binary());
    command.args(["run", "-c"]).arg(&second);
    let mut second = Process::start("a second", command);
    let status = second.wait_exit(PATIENCE);
    let log = second.stderr();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("another understudy runs with state_dir"), "{log}");
    assert!(log.contains("--takeover"), "it says what to do: {log}");
    // The first has not noticed.
    let after = memory.operator.wait_active("a");
    assert_eq!(epoch(&before), epoch(&after));
    memory.operator.wait_health("b", "up");
    memory.operator.switchover("b");
}

#[test]
fn a_restart_is_no_failback() {
    let hold_down = Duration::from_millis(1500);
    let memory = Memory::new(&["a", "b"], "failback: { auto: { hold_down: 1500ms } }");
    let mut old = memory.start();
    memory.wait_up();
    memory.operator.wait_active("a");
    memory.operator.switchover("b");
    memory.operator.have("backends/a/maintenance");
    memory.operator.have("unpin");
    old.process.kill();
    let old_requests = memory.origins[0].spans().len();

    // The wish survives, and keeps it there.
    let mut new = memory.start();
    let service = memory.operator.wait_active("b");
    assert_eq!(service["backends"][0]["admin"], "maintenance", "{service}");
    memory.operator.wait_health("a", "up");
    assert_eq!(
        memory.operator.service().expect("a status")["failback_due_in_seconds"],
        Value::Null
    );
    memory.operator.have("backends/a/ready");
    new.process.kill();

    let restarted = now_ns();
    let new = memory.start();
    memory.operator.wait_active("b");
    let load = Load::start(Plan::gets(memory.listen, 100));
    memory.operator.wait_active("a");
    wait_for(PATIENCE, "a serves", || {
        if memory.origins[0].spans().len() > old_requests { Ok(()) } else { Err(()) }
    });
    let report = load.finish();
    assert!(report.failed().is_empty(), "{report}");
    let first = memory.origins[0].spans()[old_requests].begun_ns;
    let waited = Duration::from_nanos(first - restarted);
    assert!(waited >= hold_down, "failed back after {waited:?}");
    let origins: Vec<_> = report.origins().into_iter().map(|(name, _)| name).collect();
    assert_eq!(origins, ["b", "a"]);
    drop(new);
}

#[test]
fn nobody_is_used_unchecked_after_a_restart() {
    let memory = Memory::new(&["a", "b"], "failback: manual\nstartup_grace: 20s");
    let mut old = memory.start();
    memory.wait_up();
    memory.operator.wait_active("a");
    memory.operator.switchover("b");
    old.process.kill();
    let requests = || memory.origins.iter().map(|origin| origin.spans().len()).collect::<Vec<_>>();
    let before = requests();

    // Nobody answers the first probes.
    memory.origins.iter().for_each(|origin| origin.process.stop());
    let mut new = memory.start();
    let listen = memory.listen;
    let asked = thread::spawn(move || get(listen, "/"));
    memory.operator.wait("the request is held", |service| service["load"]["held"] == 1);
    memory.origins.iter().for_each(|origin| origin.process.resume());
    let answer = asked.join().expect("no panic").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("b")));
    assert_eq!(requests(), [before[0], before[1] + 1]);
    new.process.kill();

    // The last active is ill: it gets nothing.
    memory.origins[1].control("health=503");
    let _new = memory.start();
    let answer = get(listen, "/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")));
    assert_eq!(requests(), [before[0] + 1, before[1] + 1]);
    assert_eq!(memory.operator.wait_active("a")["pinned"], false, "the pin has gone with it");
}

#[test]
fn without_a_state_dir_it_says_that_decisions_are_in_memory() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let a = Origin::start(&origin_binary(), folder.path(), "a");
    let config = folder.path().join("understudy.yaml");
    fs::write(&config, yaml_of(&[("a", a.url())], QUICK)).expect("a config");
    let mut command = Command::new(binary());
    command.args(["run", "-c"]).arg(&config);
    let understudy = Understudy::start(command);
    wait_for(PATIENCE, "the log says so", || {
        let log = understudy.process.stderr();
        if log.contains("decisions are in memory") { Ok(()) } else { Err(log) }
    });
    let explain = Command::new(binary()).args(["explain"]).arg(&config).output().expect("it runs");
    let explained = String::from_utf8_lossy(&explain.stdout).into_owned();
    assert!(explained.contains("Decisions live in memory"), "{explained}");
}
