//! The switch protocol with everything that can go wrong around it: workers that hear and answer
//! late, answers that get lost, gates that fail, a process that dies at any moment; requests that start wherever each
//! worker believes, and last.
//!
//! The shell here drives the decision as a real one must: what has to be saved is saved before the
//! move is announced, and nothing else is decided until all workers have carried out a move, or are
//! given up. A global timeline is checked at every start of a request.
//!
//! Uses nothing but `std` and `routing`, because `mutations.rs` compiles it again for every
//! deliberate break of a rule. `UNDERSTUDY_SEEDS` (a quarter of them is played), `UNDERSTUDY_STEPS`
//! (tenths of seconds) and `UNDERSTUDY_SEED` as for the simulation of the rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;
use std::thread;
use std::time::{Duration, Instant};

use routing::failover::{
    AllDown, BackendId, Claim, Command, Conditions, Damping, Effect, Exclusive, Failback, Failover,
    Gate, GateResult, GateRule, GateRules, GateRun, Input, Need, OnFailure, Policy, Role, Saved,
    Settlement, Status, Verdict, Wish,
};

const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// How long the shell waits for acknowledgements, beyond a drain.
const PATIENCE: Duration = Duration::from_secs(2);
const HOLD_DOWN: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_millis(500);
/// When the decision takes no answer to a hold as a bad one, beyond a drain.
const DEADLINE: Duration = Duration::from_secs(6);

#[test]
fn one_active_on_every_worker_whatever_happens() {
    let seconds = from_env("UNDERSTUDY_STEPS").unwrap_or(400) / 10;
    let seeds = match from_env("UNDERSTUDY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("UNDERSTUDY_SEEDS").unwrap_or(256) / 4,
    };
    let many = seeds.end - seeds.start >= 64;
    let mut total = Figures::default();
    for seed in seeds {
        total.add(&World::run(seed, Duration::from_secs(seconds)));
    }
    println!("{total:?}");
    if many {
        let Figures { moves, crashes, called_off, went_on, cut, verified, .. } = total;
        let Figures { held_up, starts, gates, repeated, doubts, .. } = total;
        let all = [moves, crashes, called_off, went_on, cut, verified, held_up, starts];
        let all = all.into_iter().chain([gates, repeated, doubts]).collect::<Vec<_>>();
        assert!(all.iter().all(|figure| *figure >= 3), "everything happened, often: {total:?}");
    }
}

fn from_env(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

/// What happened.
#[derive(Clone, Debug, Default)]
struct Figures {
    moves: usize,
    crashes: usize,
    /// Planned moves that lacked an acknowledgement.
    called_off: usize,
    /// Unplanned ones.
    went_on: usize,
    /// Requests cut at the end of a drain.
    cut: usize,
    verified: usize,
    /// Requests that found no active, or a hold.
    held_up: usize,
    starts: usize,
    gates: usize,
    /// Gates that were run again.
    repeated: usize,
    /// Gates of which nobody knew how they ended.
    doubts: usize,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.moves += other.moves;
        self.crashes += other.crashes;
        self.called_off += other.called_off;
        self.went_on += other.went_on;
        self.cut += other.cut;
        self.verified += other.verified;
        self.held_up += other.held_up;
        self.starts += other.starts;
        self.gates += other.gates;
        self.repeated += other.repeated;
        self.doubts += other.doubts;
    }
}

/// What the shell tells a worker.
#[derive(Clone, Copy, Debug)]
enum Message {
    Hold { switch: u64, drain: Option<Duration> },
    Release,
    Activate { epoch: u64, active: Option<BackendId> },
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Probe(BackendId),
    Flip(BackendId),
    Claim(BackendId),
    Order,
    Request,
    Crash,
    Tick,
    Deliver {
        worker: usize,
        message: Message,
    },
    /// A drain may be over at this worker.
    Drained {
        worker: usize,
    },
    Held {
        worker: usize,
        switch: u64,
    },
    Activated {
        worker: usize,
        epoch: u64,
    },
    HoldOverdue {
        switch: u64,
    },
    ActivationOverdue {
        epoch: u64,
    },
    GateEnds {
        run: GateRun,
    },
    Settle,
}

#[derive(Clone, Debug, Default)]
struct Worker {
    active: Option<BackendId>,
    epoch: u64,
    holds: bool,
    draining: Option<Draining>,
    requests: Vec<Request>,
    /// When the last message to it arrives; messages stay in order.
    busy_until: Duration,
    /// It did not acknowledge a move that went on without it, and has not caught up since.
    astray: bool,
}

#[derive(Clone, Copy, Debug)]
struct Draining {
    switch: u64,
    until: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    backend: BackendId,
    ends: Duration,
    /// Of a worker that was given up while it ran.
    astray: bool,
}

/// A move that the workers are carrying out.
struct Activating {
    epoch: u64,
    missing: Vec<usize>,
}

/// A hold that the shell waits for.
struct Holding {
    switch: u64,
    missing: Vec<usize>,
}

struct World {
    seed: u64,
    random: Random,
    start: Instant,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event>,
    scheduled: u64,
    failover: Failover,
    policy: Policy,
    ids: Vec<BackendId>,
    truth: BTreeMap<BackendId, bool>,
    claims: BTreeMap<BackendId, Claim>,
    workers: Vec<Worker>,
    /// What is on disk, and when it was written.
    disk: (Duration, Saved),
    holding: Option<Holding>,
    activating: Option<Activating>,
    /// What waits until the workers have carried out a move.
    inbox: VecDeque<Input>,
    faulty: bool,
    /// How much slower than usual things go wrong: some moves need the time to end by themselves.
    calm: u64,
    /// The epoch announced last, of all processes.
    announced: u64,
    /// The highest epoch under which a request has started.
    newest_started: u64,
    /// The gates that were run, by all processes.
    begun: BTreeSet<(u64, Gate, BackendId)>,
    trace: Vec<String>,
    figures: Figures,
}

impl World {
    fn run(seed: u64, length: Duration) -> Figures {
        let mut random = Random(seed);
        let start = Instant::now();
        let ids: Vec<_> = (0..2 + random.below(2) as u32).map(BackendId).collect();
        let policy = policy(&mut random);
        let failover = Failover::new(start, &ids, policy.clone());
        let workers = vec![Worker::default(); 2 + random.below(3) as usize];
        let mut world = Self {
            seed,
            start,
            now: Duration::ZERO,
            events: BTreeMap::new(),
            scheduled: 0,
            disk: (Duration::ZERO, failover.saved(start)),
            failover,
            policy,
            truth: ids.iter().map(|&id| (id, true)).collect(),
            claims: ids.iter().map(|&id| (id, Claim::default())).collect(),
            ids,
            workers,
            holding: None,
            activating: None,
            inbox: VecDeque::new(),
            faulty: true,
            calm: random.pick(&[1, 1, 8]),
            announced: 0,
            newest_started: 0,
            begun: BTreeSet::new(),
            trace: vec![],
            figures: Figures::default(),
            random,
        };
        for id in world.ids.clone() {
            world.after_up_to(100, Event::Probe(id));
            world.after_up_to(8000, Event::Flip(id));
        }
        if world.random.percent(30) {
            for id in world.ids.clone() {
                world.after_up_to(8000, Event::Claim(id));
            }
        }
        world.after_up_to(3000 * world.calm, Event::Order);
        world.after_up_to(20, Event::Request);
        world.after_up_to(30_000, Event::Crash);
        world.play_until(length);
        world.end_well();
        world.figures.clone()
    }

    fn play_until(&mut self, end: Duration) {
        let mut at_once = 0;
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            at_once = if at > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 10_000, "time stands still");
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// Liveness: once nothing goes wrong any more, the right one serves, on every worker.
    fn end_well(&mut self) {
        self.faulty = false;
        self.play_until(self.now + Duration::from_secs(1));
        for command in [Command::Unlock, Command::EndDrill] {
            self.tell(Input::Command(command));
        }
        let works = self.random.pick(&self.ids);
        self.truth.insert(works, true);
        for claim in self.claims.values_mut() {
            *claim = Claim { role: Some(Role::Standby), wish: Some(Wish::Serve) };
        }
        // What was on its way, a hold without an answer, the pause after it, the watch of an order,
        // an operator's answer, the hold-down.
        let bound = Duration::from_secs(13 + 7 + 10 + 3 + 5) + HOLD_DOWN * 2;
        for _ in 0..bound.as_secs() {
            self.play_until(self.now + Duration::from_secs(1));
            // A return may have pinned.
            self.tell(Input::Command(Command::Unpin));
            let status = self.failover.status();
            if status.locked || status.backends.iter().any(|b| b.barred) {
                self.tell(Input::Command(Command::Unlock));
            }
        }
        let right = self.ids.iter().copied().find(|id| self.truth[id]);
        assert_eq!(self.failover.status().active, right, "the right one is active");
        for worker in &self.workers {
            assert_eq!((worker.active, worker.holds), (right, false), "and every worker knows");
            assert_eq!(worker.epoch, self.announced, "and by which epoch");
        }
        let starts = self.figures.starts;
        self.play_until(self.now + Duration::from_secs(1));
        assert!(self.figures.starts > starts, "and requests go on");
    }

    // === The outside ===

    fn happen(&mut self, event: Event) {
        match event {
            Event::Probe(backend) => {
                let wrong = self.faulty && self.random.percent(2);
                let passes = self.truth[&backend] != wrong;
                let verdict = if passes { Verdict::Pass } else { Verdict::Fail };
                let claim = self.claims[&backend];
                self.tell(Input::Probe { backend, verdict, claim });
                self.after(PROBE_INTERVAL, Event::Probe(backend));
            }
            Event::Flip(backend) if self.faulty => {
                let works = !self.truth[&backend];
                self.truth.insert(backend, works);
                let most = if works { 4000 } else { 1500 };
                self.after_up_to(most * self.calm, Event::Flip(backend));
            }
            Event::Order if self.faulty => {
                let command = self.command();
                self.tell(Input::Command(command));
                self.after_up_to(3000 * self.calm, Event::Order);
            }
            Event::Claim(backend) if self.faulty => {
                let roles = [Role::Active, Role::Active, Role::Standby, Role::Fenced];
                let role = Some(self.random.pick(&roles));
                let wish = Some(self.random.pick(&[Wish::Serve, Wish::Serve, Wish::Drain]));
                self.claims.insert(backend, Claim { role, wish });
                self.after_up_to(4000 * self.calm, Event::Claim(backend));
            }
            Event::Flip(_) | Event::Claim(_) | Event::Order => {}
            Event::Request => {
                let worker = self.random.below(self.workers.len() as u64) as usize;
                self.start_request(worker);
                self.after_up_to(20, Event::Request);
            }
            Event::Crash if self.faulty => {
                self.crash("between two inputs");
                self.after_up_to(30_000, Event::Crash);
            }
            Event::Crash => {}
            Event::Tick => self.tell(Input::Tick),
            Event::Deliver { worker, message } => self.deliver(worker, message),
            Event::Drained { worker } => self.drain(worker),
            Event::Held { worker, switch } => self.held(worker, switch),
            Event::Activated { worker, epoch } => self.activated(worker, epoch),
            Event::HoldOverdue { switch } => {
                // Where even the shell stays silent, the deadline of the decision stands in.
                let silent = self.faulty && self.random.percent(60);
                let waits = self.holding.as_ref().is_some_and(|holding| holding.switch == switch);
                if waits && !silent {
                    self.tell(Input::Held { switch, all: false });
                }
            }
            Event::ActivationOverdue { epoch } => self.give_up(epoch),
            Event::GateEnds { run } => {
                let (unreachable, failed) = (GateResult::Unreachable, GateResult::Failed);
                let bad = self.faulty && self.random.percent(20);
                let result = self.random.pick(&[unreachable, failed]);
                let result = if bad { result } else { GateResult::Done };
                self.tell(Input::GateFinished { run, result });
            }
            Event::Settle => {
                let ways = [Settlement::Done, Settlement::Failed, Settlement::Again];
                let way = self.random.pick(&ways);
                self.tell(Input::Command(Command::SettleGate(way)));
            }
        }
    }

    fn command(&mut self) -> Command {
        let to = self.random.pick(&self.ids);
        let verify = self.random.pick(&[Duration::ZERO, Duration::from_secs(1)]);
        let length = self.random.pick(&[Duration::from_secs(1), Duration::from_secs(4)]);
        self.random.pick(&[
            Command::Switchover { to, verify },
            Command::Switchover { to, verify },
            Command::Failback { verify },
            Command::Unpin,
            Command::Unpin,
            Command::Unpin,
            Command::Lock,
            Command::Unlock,
            Command::Unlock,
            Command::Drill { length },
            Command::EndDrill,
        ])
    }

    // === The workers ===

    fn start_request(&mut self, at: usize) {
        let now = self.now;
        for worker in &mut self.workers {
            worker.requests.retain(|request| request.ends > now);
        }
        let Worker { active, epoch, holds, astray, .. } = self.workers[at];
        let Some(backend) = active.filter(|_| !holds) else {
            self.figures.held_up += 1;
            return;
        };
        self.figures.starts += 1;
        if !astray {
            assert!(
                epoch >= self.newest_started,
                "worker {at} starts on {backend:?} of epoch {epoch} after the first of {}",
                self.newest_started
            );
            self.newest_started = epoch;
            if self.policy.exclusive.is_some() {
                let all = self.workers.iter().flat_map(|worker| &worker.requests);
                let mut others = all.filter(|request| !request.astray);
                let overlap = others.any(|request| request.backend != backend);
                assert!(
                    !overlap,
                    "worker {at} starts on {backend:?}, others have requests elsewhere"
                );
            }
        }
        let lasts = self.random.pick(&[1, 5, 20, 100, 400, 3000]);
        let ends = now + Duration::from_millis(lasts);
        self.workers[at].requests.push(Request { backend, ends, astray });
        if self.random.percent(5) && self.truth[&backend] {
            self.tell(Input::Answered { epoch });
        }
    }

    fn deliver(&mut self, at: usize, message: Message) {
        self.note(format!("worker {at} hears {message:?}"));
        let now = self.now;
        let worker = &mut self.workers[at];
        match message {
            Message::Hold { switch, drain: None } => {
                worker.holds = true;
                worker.draining = None;
                self.acknowledge(Event::Held { worker: at, switch });
            }
            Message::Hold { switch, drain: Some(drain) } => {
                worker.holds = true;
                worker.draining = Some(Draining { switch, until: now + drain });
                self.drain(at);
            }
            Message::Release => {
                worker.holds = false;
                worker.draining = None;
            }
            Message::Activate { epoch, active } => {
                worker.holds = false;
                worker.draining = None;
                worker.astray &= epoch < self.announced;
                (worker.epoch, worker.active) = (epoch, active);
                self.acknowledge(Event::Activated { worker: at, epoch });
            }
        }
    }

    /// Answers a drain when the last request is gone, or cut.
    fn drain(&mut self, at: usize) {
        let now = self.now;
        let worker = &mut self.workers[at];
        let Some(Draining { switch, until }) = worker.draining else { return };
        worker.requests.retain(|request| request.ends > now);
        if now >= until {
            self.figures.cut += worker.requests.len();
            worker.requests.clear();
        }
        match worker.requests.iter().map(|request| request.ends).max() {
            Some(last) => {
                let next = last.min(until) - now;
                self.after(next, Event::Drained { worker: at });
            }
            None => {
                worker.draining = None;
                self.acknowledge(Event::Held { worker: at, switch });
            }
        }
    }

    /// An answer travels to the shell: mostly at once, sometimes late, sometimes never.
    fn acknowledge(&mut self, answer: Event) {
        if self.faulty && self.random.percent(6) {
            return self.note(format!("lost: {answer:?}"));
        }
        let late = self.delay();
        self.after(late, answer);
    }

    // === The shell ===

    /// Feeds the decision, one input after another; not while the workers carry out a move.
    fn tell(&mut self, input: Input) {
        self.inbox.push_back(input);
        while self.activating.is_none()
            && let Some(input) = self.inbox.pop_front()
        {
            self.step(input);
        }
    }

    fn step(&mut self, input: Input) {
        let now = self.start + self.now;
        let before = self.failover.status();
        let effects = self.failover.step(now, input.clone());
        if !effects.is_empty() {
            self.note(format!("{input:?} -> {effects:?}"));
        }
        self.check_acknowledgement(&before, &input, &effects);
        if self.faulty && !effects.is_empty() && self.random.percent(1) {
            return self.crash("before anything is saved");
        }
        let saved = self.failover.saved(now);
        let is_news = saved.epoch != self.disk.1.epoch;
        self.disk = (self.now, saved);
        if self.faulty && is_news && self.random.percent(3) {
            return self.crash("before the move is announced");
        }
        for effect in effects {
            self.carry_out(effect, &input);
        }
        if let Some(wake) = self.failover.wake_at() {
            self.at(wake - self.start, Event::Tick);
        }
    }

    /// A planned move that lacks an acknowledgement leaves the service where it was; any move waits
    /// for all acknowledgements, or until it is said or plain that they do not come.
    fn check_acknowledgement(&mut self, before: &Status, input: &Input, effects: &[Effect]) {
        let gate = effects.iter().any(|effect| matches!(effect, Effect::RunGate { .. }));
        let moved = effects.iter().any(|effect| matches!(effect, Effect::ActiveChanged { .. }));
        let moved = moved || gate;
        let Some(under_way) = before.switch else { return };
        let Some(holding) = &self.holding else { panic!("a switch that nobody was told of") };
        let drain = self.policy.exclusive.map_or(Duration::ZERO, |exclusive| exclusive.drain);
        let overdue = self.start + self.now >= under_way.since + drain + DEADLINE;
        let number = holding.switch;
        let lost = matches!(*input, Input::Held { switch, all: false } if switch == number);
        if holding.missing.is_empty() || !(lost || overdue) {
            // From nobody to somebody who needs no drain nothing has to be acknowledged.
            let to_somebody = gate || self.failover.status().active.is_some();
            let one_to_another = before.active.is_some() && to_somebody;
            let early = moved && one_to_another && !holding.missing.is_empty();
            assert!(!early, "a move before all have acknowledged");
            return;
        }
        // What else this step brought may have made it necessary, or needless.
        if !matches!(input, Input::Held { .. } | Input::Tick) {
            return;
        }
        if under_way.planned {
            assert!(!moved, "a planned move without all acknowledgements");
            assert_eq!(self.failover.status().active, before.active, "it is where it was");
            let released = effects.iter().any(|effect| matches!(effect, Effect::Release { .. }));
            assert!(released, "and goes on there");
            self.figures.called_off += 1;
        } else {
            assert!(moved, "an unplanned move waits for nobody for ever");
            self.figures.went_on += 1;
        }
    }

    fn carry_out(&mut self, effect: Effect, input: &Input) {
        match effect {
            Effect::Hold { switch, drain, .. } => {
                let missing = (0..self.workers.len()).collect();
                self.holding = Some(Holding { switch, missing });
                self.send(Message::Hold { switch, drain });
                let patience = PATIENCE + drain.unwrap_or_default();
                self.after(patience, Event::HoldOverdue { switch });
            }
            Effect::Release { switch, .. } => {
                let held = self.holding.take().map(|holding| holding.switch);
                assert_eq!(held, Some(switch), "what is released was held");
                self.send(Message::Release);
            }
            Effect::ActiveChanged { from, to, epoch, .. } => {
                assert!(epoch > self.announced, "epoch {epoch} after {}", self.announced);
                self.announced = epoch;
                self.figures.moves += 1;
                let holding = self.holding.take();
                let all = matches!(input, Input::Held { all: true, .. });
                if from.is_some() && to.is_some() {
                    let missing = holding.as_ref().map(|holding| holding.missing.len());
                    assert!(missing.is_some(), "a move from one to another without a hold");
                    assert!(missing == Some(0) || !all, "not before all have acknowledged");
                }
                for at in holding.map(|holding| holding.missing).unwrap_or_default() {
                    self.goes_astray(at);
                }
                let missing = (0..self.workers.len()).collect();
                self.activating = Some(Activating { epoch, missing });
                self.send(Message::Activate { epoch, active: to });
                self.after(PATIENCE, Event::ActivationOverdue { epoch });
            }
            Effect::RunGate { run, again } => self.run_gate(run, again),
            Effect::GateInDoubt { .. } => {
                self.figures.doubts += 1;
                self.after_up_to(3000, Event::Settle);
            }
            Effect::Verified { epoch } => {
                assert_eq!(epoch, self.announced, "what is verified is the last move");
                self.figures.verified += 1;
            }
            Effect::HealthChanged { .. }
            | Effect::Barred { .. }
            | Effect::AdminChanged { .. }
            | Effect::ClaimChanged { .. }
            | Effect::DualActive
            | Effect::DualActiveCleared { .. }
            | Effect::Locked
            | Effect::Unlocked
            | Effect::DrillBegan { .. }
            | Effect::DrillEnded { .. }
            | Effect::Rejected { .. } => {}
        }
    }

    /// What runs is on record, runs once, and finds no request where it makes harmless.
    fn run_gate(&mut self, run: GateRun, again: bool) {
        self.figures.gates += 1;
        self.figures.repeated += usize::from(again);
        assert_eq!(self.disk.1.gate, Some(run), "it is on record before it begins");
        assert!(self.disk.1.epoch >= run.epoch, "and so is its number");
        let news = self.begun.insert((run.epoch, run.gate, run.backend));
        assert!(news || again, "{run:?} runs twice");
        if self.policy.exclusive.is_some() && matches!(run.gate, Gate::Fence | Gate::Demote) {
            let now = self.now;
            let all = self.workers.iter().flat_map(|worker| &worker.requests);
            let mut left = all.filter(|request| !request.astray && request.ends > now);
            let left = left.any(|request| request.backend == run.backend);
            assert!(!left, "requests are left where {run:?} makes harmless");
        }
        self.after_up_to(500, Event::GateEnds { run });
    }

    fn held(&mut self, worker: usize, switch: u64) {
        let Some(holding) = self.holding.as_mut().filter(|h| h.switch == switch) else { return };
        holding.missing.retain(|missing| *missing != worker);
        if holding.missing.is_empty() {
            self.tell(Input::Held { switch, all: true });
        }
    }

    fn activated(&mut self, worker: usize, epoch: u64) {
        let Some(activating) = self.activating.as_mut().filter(|a| a.epoch == epoch) else {
            return;
        };
        activating.missing.retain(|missing| *missing != worker);
        if activating.missing.is_empty() {
            self.activating = None;
            self.tell(Input::Tick);
        }
    }

    /// A worker does not carry out a move in time: the shell goes on without it.
    fn give_up(&mut self, epoch: u64) {
        let Some(activating) = self.activating.take_if(|a| a.epoch == epoch) else { return };
        for at in activating.missing {
            if self.workers[at].epoch < epoch {
                self.goes_astray(at);
            }
        }
        self.tell(Input::Tick);
    }

    /// From now on, until it hears of a move, this worker's requests prove nothing.
    fn goes_astray(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        worker.astray = true;
        for request in &mut worker.requests {
            request.astray = true;
        }
    }

    /// The process dies; another one starts with what is on disk.
    fn crash(&mut self, when: &str) {
        self.note(format!("crash {when}"));
        self.figures.crashes += 1;
        let now = self.start + self.now;
        let (written, mut saved) = self.disk.clone();
        let age = self.now - written;
        for switch in &mut saved.switches {
            *switch += age;
        }
        if let Some((_, ago)) = &mut saved.failed_back {
            *ago += age;
        }
        if let Some((_, rest)) = &mut saved.drill {
            *rest = rest.saturating_sub(age);
        }
        self.failover = Failover::resume(now, &self.ids, self.policy.clone(), saved);
        // Requests end with the process that relays them.
        self.workers = vec![Worker::default(); self.workers.len()];
        (self.holding, self.activating) = (None, None);
        self.inbox.clear();
        self.events.retain(|_, event| match event {
            Event::Probe(_)
            | Event::Flip(_)
            | Event::Claim(_)
            | Event::Order
            | Event::Request
            | Event::Crash => true,
            Event::Tick
            | Event::Deliver { .. }
            | Event::Drained { .. }
            | Event::Held { .. }
            | Event::Activated { .. }
            | Event::HoldOverdue { .. }
            | Event::ActivationOverdue { .. }
            | Event::GateEnds { .. }
            | Event::Settle => false,
        });
        self.after(Duration::ZERO, Event::Tick);
    }

    /// To every worker, in order, each in its own time.
    fn send(&mut self, message: Message) {
        for worker in 0..self.workers.len() {
            let late = self.delay();
            let arrives = (self.now + late).max(self.workers[worker].busy_until);
            self.workers[worker].busy_until = arrives;
            self.at(arrives, Event::Deliver { worker, message });
        }
    }

    fn delay(&mut self) -> Duration {
        let some = [0, 0, 0, 1, 2, 10, 50, 400];
        let most = if self.faulty && self.random.percent(2) {
            self.random.pick(&[1000, 3000, 9000])
        } else if self.faulty {
            self.random.pick(&some)
        } else {
            0
        };
        Duration::from_millis(most)
    }

    // === Time ===

    fn after(&mut self, pause: Duration, event: Event) {
        self.at(self.now + pause, event);
    }

    fn after_up_to(&mut self, millis: u64, event: Event) {
        let pause = Duration::from_millis(1 + self.random.below(millis));
        self.after(pause, event);
    }

    fn at(&mut self, time: Duration, event: Event) {
        self.scheduled += 1;
        self.events.insert((time.max(self.now), self.scheduled), event);
    }

    fn note(&mut self, text: String) {
        self.trace.push(format!("{:?} {text}", self.now));
    }
}

impl Drop for World {
    /// Says how to see a failure again.
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { seed, now, trace, .. } = self;
            let tail = trace[trace.len().saturating_sub(25)..].join("\n");
            eprintln!("seed {seed}, at {now:?}; the last of what happened:\n{tail}");
            eprintln!("again: UNDERSTUDY_SEED={seed} cargo test -p routing --test protocol");
        }
    }
}

fn policy(random: &mut Random) -> Policy {
    let drain = Exclusive { drain: DRAIN };
    Policy {
        required_role: None,
        rise: 2,
        fall: 2,
        failback: Failback::Auto(Conditions {
            hold_down: HOLD_DOWN,
            passes: random.pick(&[0, 3]),
            in_flight_below: None,
            windowed: false,
        }),
        all_down: random.pick(&[AllDown::Reject, AllDown::KeepLast]),
        startup_grace: Duration::from_millis(500),
        damping: Damping { window: Duration::from_secs(2), cap: HOLD_DOWN * 2 },
        lock: None,
        exclusive: random.pick(&[None, Some(drain)]),
        gates: gates(random),
    }
}

/// None, or what fences and promotes.
fn gates(random: &mut Random) -> GateRules {
    let mut list = || {
        let need = random.pick(&[Need::Required, Need::IfReachable, Need::BestEffort]);
        let on_failure =
            random.pick(&[OnFailure::Abort, OnFailure::Continue, OnFailure::NextStandby]);
        let idempotent = random.percent(50);
        let rule = |gate| GateRule { gate, need, on_failure, idempotent };
        vec![rule(Gate::Fence), rule(Gate::Promote)]
    };
    let rules = GateRules { failover: list(), failback: list(), switchover: list() };
    if random.percent(50) { rules } else { GateRules::default() }
}

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
