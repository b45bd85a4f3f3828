//! Plays one schedule: two schedulers, the balancer before them, a client, and whatever breaks.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use benches::fetch::{self, Answer};
use benches::understudy::Understudy;
use serde_json::{Value, json};
use standins::Standin;
use standins::journal::{Note, Reader, now_ns};

use super::check::{Death, Record};
use super::plan::{Deed, Fault, Need, Plan, When, Who};
use crate::admin_client::Operator;
use crate::house::{House, backends};
use crate::island::Island;
use crate::stage::{backend_in, standins_binary};

/// How long something is waited for that a schedule may not bring about at all.
const WHILE: Duration = Duration::from_millis(1200);
/// How long the service may take to end well, or to say whom it waits for.
const END: Duration = Duration::from_secs(30);
/// From one look to the next.
const LOOK: Duration = Duration::from_millis(8);
const NAMES: [&str; 2] = ["a", "b"];

/// Everything of one schedule.
pub(crate) struct Play<'a> {
    plan: &'a Plan,
    islands: Option<&'a [Island; 2]>,
    house: House,
    operator: Operator,
    schedulers: [Standin; 2],
    readers: [Reader; 2],
    /// `None` between two lives.
    balancer: Option<Understudy>,
    address: Arc<Mutex<Option<SocketAddr>>>,
    orders: Vec<JoinHandle<()>>,
    client: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    /// The last that was the active.
    active: usize,
    broken: Option<usize>,
    record: Record,
    /// What an operator had to do.
    pub(crate) helped: Vec<String>,
}

impl<'a> Play<'a> {
    pub(crate) fn new(plan: &'a Plan, islands: Option<&'a [Island; 2]>) -> Self {
        let house = House::among_others();
        let program = standins_binary();
        let schedulers = [0, 1].map(|place| {
            let name = NAMES[place];
            let (state, trouble) = (house.file(&format!("{name}.state")), house.file("trouble"));
            let arguments = format!(
                "--fencing --state {} --trouble {} {} {}",
                state.display(),
                trouble.display(),
                if place == 0 { "--enabled" } else { "" },
                if plan.warm { "" } else { "--disabled-at-start" },
            );
            let (program, listen) = match islands {
                None => (program.clone(), String::from("127.0.0.1:0")),
                Some(islands) => {
                    let island = &islands[place];
                    (island.inhabitant(&program, house.path()), island.listen())
                }
            };
            Standin::start_on(&program, house.path(), "scheduler", name, &listen, &arguments)
        });
        let readers = schedulers.each_ref().map(|scheduler| Reader::new(scheduler.journal()));
        let operator = Operator::new(house.path());
        let mut play = Self {
            plan,
            islands,
            house,
            operator,
            schedulers,
            readers,
            balancer: None,
            address: Arc::default(),
            orders: Vec::new(),
            client: None,
            over: Arc::default(),
            active: 0,
            broken: None,
            record: Record::default(),
            helped: Vec::new(),
        };
        play.open();
        play
    }

    fn open(&mut self) {
        let service: String =
            self.plan.service.lines().map(|line| format!("    {line}\n")).collect();
        let [a, b] = &self.schedulers;
        let balancer = self.house.open(&format!(
            "services:\n  web:\n    backends:\n{}    health: {{ http: {{ path: /ping, status: 200 }}, \
             interval: 50ms, timeout: 400ms, confirm_interval: 20ms, rise: 2, fall: 2 }}\n    \
             hold: {{ timeout: 3s }}\n    exclusive: {{ drain: 500ms }}\n{service}",
            backends("http", &[a, b])
        ));
        self.be_there(balancer);
        self.operator.wait_active("a");
        self.operator.wait_health("b", "up");
        let (address, over) = (Arc::clone(&self.address), Arc::clone(&self.over));
        // Ends with `over`, and each request within the limits of the balancer.
        self.client = Some(thread::spawn(move || {
            while !over.load(Relaxed) {
                let there = *address.lock().expect("no panic");
                if let Some(there) = there {
                    // What becomes of it is what the schedulers write down.
                    let _ = fetch::get(there, "/work");
                }
                thread::sleep(Duration::from_millis(30));
            }
        }));
        fs::write(self.house.file("trouble"), self.plan.trouble.to_string()).expect("a file");
    }

    fn be_there(&mut self, balancer: Understudy) {
        *self.address.lock().expect("no panic") = Some(balancer.address());
        self.balancer = Some(balancer);
    }

    /// Does what is planned, then lets it end well.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for (when, deed) in &self.plan.deeds {
            match when {
                When::After(ms) => thread::sleep(Duration::from_millis(*ms)),
                When::Noted(what) => self.wait_noted(what),
            }
            self.act(deed);
        }
        self.end_well()
    }

    /// All that was written down, when nothing runs any more.
    pub(crate) fn record(&mut self) -> Record {
        self.end();
        self.record.notes = self.readers.iter_mut().flat_map(|r| r.notes().to_vec()).collect();
        std::mem::take(&mut self.record)
    }

    /// The balancer's log, the status and the last orders, for whoever looks for a reason.
    pub(crate) fn story(&mut self) -> String {
        let status = self.status().map(|status| status.to_string());
        let log = self.balancer.as_ref().map(|balancer| balancer.process.stderr());
        let mut notes: Vec<Note> =
            self.readers.iter_mut().flat_map(|reader| reader.notes().to_vec()).collect();
        notes.sort_by_key(|note| note.at_ns);
        let told = notes.iter().filter(|note| note.what != "executed" && note.what != "worked");
        let told: Vec<_> = told
            .map(|n| format!("{} {} {} {}", n.at_ns / 1_000_000, n.by, n.what, n.more))
            .collect();
        format!(
            "{:#?}\noperator: {:?}\ndeaths: {:?}\nstatus: {status:?}\n{}\n{}",
            self.plan,
            self.helped,
            self.record.deaths,
            told.join("\n"),
            log.unwrap_or_default()
        )
    }

    fn end(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(mut balancer) = self.balancer.take() {
            balancer.process.kill();
        }
        self.client.take().into_iter().chain(self.orders.drain(..)).for_each(|thread| {
            // A panic there has been printed.
            let _ = thread.join();
        });
    }

    fn status(&self) -> Option<Value> {
        self.balancer.as_ref()?;
        self.operator.service().ok().filter(|service| !service.is_null())
    }

    fn look(&mut self) -> Option<Value> {
        let status = self.status()?;
        if let Some(place) = NAMES.iter().position(|name| status["active"] == *name) {
            self.active = place;
        }
        Some(status)
    }

    /// Waits until one more order is noted so, for a while.
    fn wait_noted(&mut self, what: &str) {
        let mut count = || {
            let of = |reader: &mut Reader| {
                reader.notes().iter().filter(|note| note.what == what).count()
            };
            self.readers.iter_mut().map(of).sum::<usize>()
        };
        let (before, begun) = (count(), Instant::now());
        while count() == before && begun.elapsed() < WHILE {
            thread::sleep(LOOK);
        }
    }

    fn place(&mut self, who: Who) -> usize {
        self.look();
        match who {
            Who::Active => self.active,
            Who::Other => 1 - self.active,
        }
    }

    fn act(&mut self, deed: &Deed) {
        match deed {
            Deed::Break(who) => {
                let place = self.place(*who);
                self.break_(place);
            }
            Deed::Heal => self.heal(WHILE),
            Deed::KillBalancer(ms) => {
                let Some(mut balancer) = self.balancer.take() else { return };
                balancer.process.kill();
                *self.address.lock().expect("no panic") = None;
                self.record.kills += 1;
                thread::sleep(Duration::from_millis(*ms));
                let balancer = self.house.open_again();
                self.be_there(balancer);
            }
            Deed::Order(what, who) => {
                let place = who.map(|who| self.place(who));
                self.order(what, place);
            }
        }
    }

    /// Gives an order on a thread of its own: its answer may take as long as the gates.
    fn order(&mut self, what: &str, place: Option<usize>) {
        let (what, body) = match (what, place.map(|place| NAMES[place])) {
            ("drain", Some(name)) => (format!("backends/{name}/drain"), json!({})),
            ("drill", _) => (String::from("drill"), json!({ "length_seconds": 1 })),
            (what, Some(name)) => (what.to_owned(), json!({ "to": name })),
            (what, None) => (what.to_owned(), json!({})),
        };
        let operator = self.operator.clone();
        self.orders.push(thread::spawn(move || {
            // It may be refused, and the balancer may be gone: that is part of the schedule.
            let _ = operator.order(&what, &body);
        }));
    }

    fn break_(&mut self, place: usize) {
        if self.broken.is_some() {
            return;
        }
        match self.plan.fault {
            Fault::Crash => {
                let death = Death { name: NAMES[place].to_owned(), at_ns: now_ns() };
                self.schedulers[place].process.kill();
                self.record.deaths.push(death);
            }
            Fault::Hang => self.schedulers[place].process.stop(),
            Fault::Cut => {
                if let Some(islands) = self.islands {
                    islands[place].cut();
                }
            }
            Fault::Orders => return,
        }
        self.broken = Some(place);
    }

    /// Mends what is broken, if that becomes safe in this time. One that comes back with its jobs
    /// enabled, or with no memory of having had them, is started again only after it has been left;
    /// nobody could tell otherwise, but for a fence that must succeed.
    fn heal(&mut self, patience: Duration) {
        let Some(place) = self.broken else { return };
        match self.plan.fault {
            Fault::Hang => self.schedulers[place].process.resume(),
            Fault::Cut => {
                if let Some(islands) = self.islands {
                    islands[place].mend();
                }
            }
            Fault::Crash => {
                if !self.wait_left(place, patience) {
                    return;
                }
                self.schedulers[place].revive();
            }
            Fault::Orders => return,
        }
        self.broken = None;
    }

    fn wait_left(&mut self, place: usize, patience: Duration) -> bool {
        let is_strict = self.plan.need == Need::Required;
        if is_strict && self.plan.warm {
            return true;
        }
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.look() {
                if status["active"] == NAMES[1 - place] && status["gate"].is_null() {
                    return true;
                }
                let waits = status["gate"].is_null() && status["switching"].is_null();
                if is_strict && waits && is_stuck(&status) {
                    return true;
                }
                if patience > WHILE && is_stuck(&status) {
                    self.help(&status);
                }
            }
            thread::sleep(LOOK);
        }
        false
    }

    /// Nothing breaks any more: the service ends healthy, or says that it waits for an operator, who
    /// then helps.
    fn end_well(&mut self) -> Result<(), String> {
        fs::write(self.house.file("trouble"), "{}").expect("a file");
        self.order("backends/a/ready", None);
        self.order("backends/b/ready", None);
        self.heal(END);
        if self.broken.is_some() {
            return Err(String::from("what is broken was never left"));
        }
        let (begun, mut helps) = (Instant::now(), 0);
        loop {
            thread::sleep(LOOK);
            let Some(status) = self.look() else { return Err(String::from("no status")) };
            let healthy = self.is_healthy(&status);
            if healthy.is_ok() && !is_stuck(&status) {
                return Ok(());
            }
            if begun.elapsed() > END {
                return Err(format!("neither healthy nor waiting: {healthy:?}"));
            }
            if is_stuck(&status) && status["switching"].is_null() && helps < 20 {
                self.says_why(&status)?;
                self.help(&status);
                helps += 1;
            }
        }
    }

    /// It serves, jobs are enabled at the active and nowhere else, and no gate is owed.
    fn is_healthy(&self, status: &Value) -> Result<(), String> {
        let Some(active) = NAMES.iter().position(|name| status["active"] == *name) else {
            return Err(format!("nobody is active: {status}"));
        };
        if !(status["gate"].is_null() && status["switching"].is_null()) {
            return Err(format!("a move is under way: {status}"));
        }
        for (place, name) in NAMES.iter().enumerate() {
            let wanted = if place == active { "holds" } else { "standby" };
            let backend = backend_in(status, name);
            if backend["standing"] != wanted || backend["health"] != "up" {
                return Err(format!("{name}: {backend}"));
            }
            let enabled = self.enabled(place);
            if enabled != Some(place == active) {
                return Err(format!("{name} has jobs enabled: {enabled:?}; active {active}"));
            }
        }
        let there = self.balancer.as_ref().map(Understudy::address).expect("it runs");
        match fetch::get(there, "/work") {
            Ok(Answer { status: 200, .. }) => Ok(()),
            other => Err(format!("no service: {other:?}")),
        }
    }

    /// What the scheduler itself says, if it is there.
    fn enabled(&self, place: usize) -> Option<bool> {
        if self.broken == Some(place) {
            return None;
        }
        let answer = fetch::get(self.schedulers[place].address(), "/api/jobs").ok()?;
        let jobs: Value = serde_json::from_slice(&answer.body).ok()?;
        jobs["enabled"].as_bool()
    }

    /// Whoever asks is told what the service waits for.
    fn says_why(&self, status: &Value) -> Result<(), String> {
        let said = self.house.cli("status").out;
        let words = ["in doubt", "locked", "may not become active"];
        if words.iter().any(|words| said.contains(words)) {
            Ok(())
        } else if self.status().is_some_and(|now| now != *status) {
            // It has gone on meanwhile.
            Ok(())
        } else {
            Err(format!("waits, and does not say for what:\n{said}\n{status}"))
        }
    }

    /// Does what the status asks of an operator: who looks at the application, and tells the truth.
    fn help(&mut self, status: &Value) {
        let gate = &status["gate"];
        let what = if gate["in_doubt"] == true {
            let place =
                NAMES.iter().position(|name| gate["backend"] == *name).expect("one of both");
            self.wait_answered(place);
            let wanted = match gate["gate"].as_str() {
                Some("fence" | "demote") => Some(false),
                Some("promote" | "verify") => Some(true),
                _ => None,
            };
            match (wanted, self.enabled(place)) {
                (Some(wanted), Some(is)) if wanted == is => "gate done",
                (Some(true), _) => "gate failed",
                _ => "gate again",
            }
        } else if gate.is_null() {
            "unlock"
        } else {
            return;
        };
        if what == "gate again" {
            self.record.agains += 1;
        }
        self.helped.push(what.to_owned());
        let _ = self.house.cli(what);
    }

    /// Waits until what this scheduler has received has come to its end.
    fn wait_answered(&mut self, place: usize) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            let notes = self.readers[place].notes();
            let life = notes.iter().rposition(|note| note.what == "started").unwrap_or(0);
            let count = |what: &str| notes[life..].iter().filter(|note| note.what == what).count();
            if count("received") == count("answered") {
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Play<'_> {
    fn drop(&mut self) {
        self.end();
        if let (Some(place), Fault::Cut, Some(islands)) =
            (self.broken, self.plan.fault, self.islands)
        {
            islands[place].mend();
        }
    }
}

/// Whether it waits for an operator.
fn is_stuck(status: &Value) -> bool {
    let barred = NAMES.iter().any(|name| backend_in(status, name)["barred"] == true);
    status["gate"]["in_doubt"] == true || status["locked"] == true || barred
}
