//! A new process takes over from the running one under load, and nobody notices.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::{Answer, get};
use benches::load::{Load, Plan, Requests};
use benches::origin::Origin;
use benches::process::{Process, free_address};
use benches::report::Report;
use benches::understudy::Understudy;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin_client::Operator;
use crate::client::Client;
use crate::stage::{PATIENCE, alone, binary, origin_binary, yaml_kept};

const QUICK: &str = "health: { http: { path: /healthz }, interval: 100ms, confirm_interval: 20ms }";

/// Two backends, and a config for processes that follow each other.
struct House {
    a: Origin,
    b: Origin,
    config: PathBuf,
    addresses: [SocketAddr; 2],
    operator: Operator,
    folder: TempDir,
    // Last: the next test begins when all the others are gone.
    _alone: fs::File,
}

impl House {
    fn new(service: &str) -> Self {
        let alone = alone();
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b] = ["a", "b"].map(|name| Origin::start(&origin_binary(), folder.path(), name));
        let addresses = [(); 2].map(|()| free_address().expect("a port"));
        let config = folder.path().join("understudy.yaml");
        let operator = Operator::new(folder.path());
        let house = Self { a, b, config, addresses, operator, folder, _alone: alone };
        fs::write(&house.config, house.yaml(service)).expect("a config");
        house
    }

    fn yaml(&self, service: &str) -> String {
        let backends = [("a", self.a.url()), ("b", self.b.url())];
        yaml_kept(self.folder.path(), self.addresses, &backends, &format!("{QUICK}\n{service}"))
    }

    fn command(&self, takeover: bool) -> Command {
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(&self.config);
        if takeover {
            command.arg("--takeover");
        }
        command
    }

    /// The first process, once both backends are up.
    fn first(&self) -> Understudy {
        let first = Understudy::start(self.command(false));
        self.operator.wait_active("a");
        self.operator.wait_health("b", "up");
        first
    }

    fn next(&self) -> Understudy {
        Understudy::start(self.command(true))
    }

    fn loads(&self) -> Loads {
        let plan = |rate, requests| Plan { requests, ..Plan::gets(self.addresses[0], rate) };
        let path = || String::from("/");
        let loads = [
            plan(250, Requests::Gets { path: path() }),
            plan(125, Requests::Fresh { path: path() }),
            plan(125, Requests::Orders { work: Duration::from_millis(10) }),
        ];
        let loads = Loads(loads.map(Load::start));
        loads.wait_more();
        loads
    }
}

/// Shorter than any time for which requests may wait; how much shorter is for the benches to say.
const NO_HOLD: Duration = Duration::from_secs(5);

/// Requests on connections that are kept, on new ones, and orders: 500 a second in all.
struct Loads([Load; 3]);

impl Loads {
    /// Waits until each goes on.
    fn wait_more(&self) {
        let counts = || self.0.each_ref().map(|load| load.samples().len());
        let before = counts();
        wait_for(PATIENCE, "the load goes on", || {
            let now = counts();
            if now.iter().zip(before).all(|(now, before)| *now > before + 50) {
                Ok(())
            } else {
                Err((before, now))
            }
        });
    }

    /// None failed. The longest time in which none of a kind succeeded.
    fn assert_none_failed(self) -> Duration {
        let reports = self.0.map(Load::finish);
        for report in &reports {
            eprintln!("{report}");
        }
        for report in &reports {
            let failed: Vec<_> = report.failed().into_iter().take(5).collect();
            assert!(failed.is_empty(), "{} failed: {failed:#?}", report.failed().len());
        }
        reports.iter().map(Report::longest_gap).max().unwrap_or_default()
    }
}

/// On the standby, pinned, with the epoch.
fn assert_kept(service: &Value, epoch: u64) -> u64 {
    assert_eq!(service["active"], "b", "{service}");
    assert_eq!(service["pinned"], true, "{service}");
    let now = service["epoch"].as_u64().expect("an epoch");
    assert!(now >= epoch, "the epoch went back from {epoch} to {now}");
    now
}

fn assert_ends_well(mut old: Understudy) {
    let status = old.process.wait_exit(PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", old.process.stderr());
}

#[test]
fn five_takeovers_in_a_row_lose_no_request() {
    let house = House::new("");
    let mut running = house.first();
    house.operator.switchover("b");
    let mut epoch = assert_kept(&house.operator.wait_there(), 0);
    let loads = house.loads();
    for round in 0..5 {
        let begun = Instant::now();
        let old = std::mem::replace(&mut running, house.next());
        let serves = begun.elapsed();
        // Whoever asks gets the new one from now on.
        epoch = assert_kept(&house.operator.wait_there(), epoch);
        loads.wait_more();
        assert_ends_well(old);
        eprintln!("takeover {round}: serves after {serves:?}, alone after {:?}", begun.elapsed());
        epoch = assert_kept(&house.operator.wait_there(), epoch);
    }
    let gap = loads.assert_none_failed();
    assert!(gap < NO_HOLD, "{gap:?}");
    assert_eq!(house.operator.process()["state_problem"], Value::Null);
    // The last one is in charge, and what it decides is kept.
    let moved = house.operator.must("failback", &json!({}));
    assert!(moved["moved"]["epoch"].as_u64().expect("an epoch") > epoch, "{moved}");
    assert_eq!(house.operator.wait_active("a")["pinned"], false);
}

/// A process that was not started by us, but by one that was; killed when dropped.
struct Grandchild(String);

impl Grandchild {
    /// The successor that `old` says it has started.
    fn of(old: &Understudy) -> Self {
        Self(wait_for(PATIENCE, "it says whom it has started", || {
            let log = old.process.stderr();
            let line = log.lines().find(|line| line.contains("a successor starts"));
            let digits = line.and_then(|line| line.split_once("\"pid\":"));
            let number = digits.map(|(_, rest)| {
                let digits = rest.trim_start_matches(['"', ' ']);
                digits.chars().take_while(char::is_ascii_digit).collect::<String>()
            });
            number.filter(|number| !number.is_empty()).ok_or(log)
        }))
    }

    fn signal(&self, signal: &str) {
        let kill = ["-c", "kill -\"$1\" \"$2\"", "sh", signal, &self.0];
        let _ = Command::new("sh").args(kill).output();
    }

    fn is_running(&self) -> bool {
        // Nobody may be there to reap it.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }
}

impl Drop for Grandchild {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal("KILL");
        }
    }
}

#[test]
fn a_signal_has_a_new_binary_take_over() {
    let house = House::new("");
    let old = house.first();
    house.operator.switchover("b");
    let epoch = assert_kept(&house.operator.wait_there(), 0);
    let loads = house.loads();
    old.process.signal("USR2");
    let successor = Grandchild::of(&old);
    assert_ends_well(old);
    assert_kept(&house.operator.wait_there(), epoch);
    loads.wait_more();
    let gap = loads.assert_none_failed();
    assert!(gap < NO_HOLD, "{gap:?}");
    assert!(successor.is_running());
    successor.signal("TERM");
    wait_for(PATIENCE, "it ends", || if successor.is_running() { Err(()) } else { Ok(()) });
}

/// Starts it as systemd does with a socket unit.
fn activated(house: &House, socket: &TcpListener) -> Understudy {
    // The socket comes as standard input and is moved to descriptor 3: so nothing here needs to run
    // between fork and exec.
    let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&0 </dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(binary()).args(["run", "-c"]).arg(&house.config);
    let socket = OwnedFd::from(socket.try_clone().expect("a socket"));
    Understudy::of(Process::start_with("understudy", command, Stdio::from(socket)))
}

#[test]
fn with_a_socket_of_systemd_clients_wait_through_a_restart() {
    let house = House::new("");
    let socket = TcpListener::bind(house.addresses[0]).expect("a socket");
    let mut running = activated(&house, &socket);
    house.operator.wait_active("a");
    house.operator.wait_health("b", "up");
    house.operator.switchover("b");
    let mut epoch = assert_kept(&house.operator.wait_there(), 0);
    let fresh = Requests::Fresh { path: String::from("/slow?ms=5") };
    let load = Load::start(Plan { requests: fresh, ..Plan::gets(house.addresses[0], 500) });
    for _ in 0..5 {
        let served = load.samples().len();
        wait_for(PATIENCE, "it serves", || {
            if load.samples().len() > served + 100 { Ok(()) } else { Err(()) }
        });
        running.process.signal("TERM");
        assert_ends_well(running);
        // Nobody accepts, and everybody may connect.
        let ended = load.now();
        let due = ended + Duration::from_millis(100);
        wait_for(PATIENCE, "requests are due", || if load.now() > due { Ok(()) } else { Err(()) });
        let answered = load.samples().iter().any(|sample| sample.scheduled > ended);
        assert!(!answered, "somebody answers");
        running = activated(&house, &socket);
        epoch = assert_kept(&house.operator.wait_active("b"), epoch);
    }
    let report = load.finish();
    eprintln!("socket activation: {report}");
    let failed: Vec<_> = report.failed().into_iter().take(5).collect();
    assert!(failed.is_empty(), "{} failed: {failed:#?}", report.failed().len());
}

#[test]
fn a_successor_that_cannot_serve_changes_nothing() {
    let house = House::new("");
    let mut old = house.first();
    house.operator.switchover("b");
    let mut epoch = assert_kept(&house.operator.wait_there(), 0);
    let loads = house.loads();
    let good = fs::read_to_string(&house.config).expect("the config");
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("bound");
    let blocked = good.replace("listeners:\n", &format!("listeners:\n  - address: \"{taken}\"\n"));
    let without = good.replace("listeners:\n", "listeners:\n  - \"127.0.0.1:0\"\nx-before:\n");
    let renamed = good.replace("name: b,", "name: c,");
    assert!(without != good && renamed != good, "{good}");
    let cases = [
        ("services: [unclosed", 2, "error"),
        (blocked.as_str(), 1, "cannot listen"),
        (without.as_str(), 1, "the new config is without listener"),
        (renamed.as_str(), 1, "the new config is without backend"),
    ];
    for (config, code, why) in cases {
        let file = house.folder.path().join("successor.yaml");
        fs::write(&file, config).expect("a config");
        let mut command = Command::new(binary());
        command.args(["run", "--takeover", "-c"]).arg(&file);
        let mut successor = Process::start("a successor", command);
        let status = successor.wait_exit(PATIENCE);
        assert_eq!(status.code(), Some(code), "{}", successor.stderr());
        assert!(successor.stderr().contains(why), "{why}: {}", successor.stderr());
        assert!(old.process.is_running(), "{}", old.process.stderr());
        epoch = assert_kept(&house.operator.wait_active("b"), epoch);
    }
    loads.wait_more();
    loads.assert_none_failed();
    assert_in_charge(&house, epoch);
}

/// Moves there and back, and keeps what it decides.
fn assert_in_charge(house: &House, epoch: u64) {
    house.operator.wait_health("a", "up");
    let moved = house.operator.must("failback", &json!({}));
    assert!(moved["moved"]["epoch"].as_u64().expect("an epoch") > epoch, "{moved}");
    assert_eq!(house.operator.process()["state_problem"], Value::Null);
    let answer = get(house.addresses[0], "/").expect("an answer");
    assert_eq!(answer.header("x-origin"), Some("a"));
}

#[test]
fn a_successor_that_is_killed_before_it_serves_changes_nothing() {
    let house = House::new("");
    let mut old = house.first();
    house.operator.switchover("b");
    let mut epoch = assert_kept(&house.operator.wait_there(), 0);
    // A successor looks at the active before it serves; these look for longer than they live.
    let good = fs::read_to_string(&house.config).expect("the config");
    let patient = good.replace("path: /healthz }", "path: /slow?ms=1500 }, timeout: 5s");
    assert_ne!(good, patient);
    fs::write(house.folder.path().join("successor.yaml"), patient).expect("a config");
    let loads = house.loads();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..20 {
        let mut command = Command::new(binary());
        command.args(["run", "--takeover", "-c"]).arg(house.folder.path().join("successor.yaml"));
        let mut successor = Process::start("a successor", command);
        // A random moment is what is wanted here, not a condition.
        thread::sleep(Duration::from_micros(random.u64(0..400_000)));
        assert!(successor.is_running(), "{}", successor.stderr());
        successor.kill();
        assert!(old.process.is_running(), "{}", old.process.stderr());
        epoch = assert_kept(&house.operator.wait_active("b"), epoch);
    }
    let log = old.process.stderr();
    let had_begun = log.matches("not taken over").count();
    assert!(had_begun >= 5, "most were killed before they asked for anything:\n{log}");
    loads.wait_more();
    loads.assert_none_failed();
    assert!(old.process.is_running());
    assert_in_charge(&house, epoch);
    // And whoever comes next and lives takes over.
    let _next = house.next();
    assert_ends_well(old);
    assert_eq!(house.operator.wait_there()["active"], "a");
}

/// A request that takes its time, on a connection to the process that runs now.
fn slow(house: &House, ms: u32) -> thread::JoinHandle<Answer> {
    let (address, before) = (house.addresses[0], house.a.spans().len());
    let asked = thread::spawn(move || get(address, &format!("/slow?ms={ms}")).expect("an answer"));
    wait_for(PATIENCE, "the request is there", || {
        if house.a.spans().len() > before { Ok(()) } else { Err(()) }
    });
    asked
}

#[test]
fn a_move_after_a_takeover_moves_what_the_old_process_still_has() {
    let house = House::new("exclusive: { drain: 8s }");
    let old = house.first();
    // It keeps its connection to the old process.
    let mut kept = Client::connect(house.addresses[0]);
    let ask = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(kept.send(ask).response().expect("one").header("x-origin"), Some("a"));
    let asked = slow(&house, 3000);
    let _new = house.next();
    assert_eq!(house.operator.process()["predecessor"], true);
    // Ordered at the new one; the old one holds too, and its request ends first.
    let moved = house.operator.switchover("b");
    assert_eq!(moved["moved"]["to"], "b", "{moved}");
    assert!(asked.is_finished() || !house.a.spans().iter().any(|span| span.ended_ns.is_none()));
    let answer = get(house.addresses[0], "/").expect("an answer");
    assert_eq!(answer.header("x-origin"), Some("b"));
    let answer = kept.send(ask).response().expect("the old process answers");
    assert_eq!(answer.header("x-origin"), Some("b"), "the old process has moved as well");
    assert_eq!(asked.join().expect("no panic").status, 200, "nothing was cut");
    let ends = house.a.spans().iter().map(|span| span.ended_ns.expect("ended")).max();
    let begins = house.b.spans().iter().map(|span| span.begun_ns).min();
    assert!(begins > ends, "the new one began at {begins:?}, the old one ended at {ends:?}");
    drop(kept);
    assert_ends_well(old);
    assert_eq!(house.operator.process()["predecessor"], false);
}

/// While the first of three processes still has a request the second stays in charge, so that a move
/// waits for it.
#[test]
fn a_third_process_waits_until_the_first_is_gone() {
    let house = House::new("exclusive: { drain: 9s }");
    let first = house.first();
    let asked = slow(&house, 4000);
    let second = house.next();
    let third = Process::start("the third", house.command(true));
    let moved = house.operator.switchover("b");
    assert_eq!(moved["moved"]["to"], "b", "{moved}");
    let answer = get(house.addresses[0], "/").expect("an answer");
    assert_eq!(answer.header("x-origin"), Some("b"));
    assert_eq!(asked.join().expect("no panic").status, 200, "nothing was cut");
    let ends = house.a.spans().iter().map(|span| span.ended_ns.expect("ended")).max();
    let begins = house.b.spans().iter().map(|span| span.begun_ns).min();
    assert!(begins > ends, "the new one began at {begins:?}, the old one ended at {ends:?}");
    assert_ends_well(first);
    let _third = Understudy::of(third);
    assert_ends_well(second);
    assert_eq!(house.operator.wait_there()["active"], "b");
}
