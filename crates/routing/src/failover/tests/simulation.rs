//! Random weather: probes, faults, orders, reloads, restarts, clock jumps, and workers that answer
//! late, wrongly or not at all; judged after every step.
//!
//! 256 seeds in an ordinary run. More: `UNDERSTUDY_SEEDS`, `UNDERSTUDY_STEPS`. One again:
//! `UNDERSTUDY_SEED`.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use super::super::{
    AdminState, AllDown, BackendId, Blocker, Claim, Command, Conditions, Damping, Effect,
    Exclusive, Failback, Failover, Gate, GateResult, GateRule, GateRules, GateRun, Input, LockRule,
    Need, OnFailure, Policy, Preview, Reason, Refusal, Role, Saved, Settlement, Standing, Verdict,
    Wish,
};
use super::second_opinion::SecondOpinion;

const PROBE_INTERVAL_MS: u64 = 100;
const PROBE_JITTER_MS: u64 = 20;
/// One for all, so that the times in two traces are the same.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
const STRANGER: BackendId = BackendId(12_345);

#[test]
fn no_seed_breaks_a_rule() {
    let steps = from_env("UNDERSTUDY_STEPS").unwrap_or(400);
    let seeds = match from_env("UNDERSTUDY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("UNDERSTUDY_SEEDS").unwrap_or(256),
    };
    let many = seeds.end - seeds.start >= 256;
    let mut seen = BTreeSet::new();
    for seed in seeds {
        seen.append(&mut World::run(seed, steps).seen);
    }
    if many {
        // A simulation that never gets somewhere proves nothing about it.
        let all = [
            "moved: Startup Failover Failback Recovery Switchover Reload Return Drill",
            "held: planned unplanned drained",
            "released: HeirLost Overruled Unacknowledged",
            "said: Verified Locked LockedItself Unlocked DrillBegan DrillEnded DrillEndedEarly",
            "said: ClaimChanged DualActive DualActiveCleared DualActiveAccepted",
            "refused: UnknownBackend NotEligible NothingActive Switching NeverFailsBack NoStandby",
            "refused: Pinned Locked Verifying Drilling NoDrill NoDoubt InDoubt",
            "gate: Fence Demote Sync Promote Verify Again Owed InDoubt Barred",
            "blocked: NotEligible HoldDown Passes InFlight WindowClosed Pinned Locked Manual Never",
            "blocked: Switching Verifying Drill CalledOff DualActive Barred Stale Gate Job",
            "resumed: again without",
        ];
        let mut missing = vec![];
        for line in all {
            let (what, words) = line.split_once(": ").expect("a heading");
            let words = words.split(' ').map(|word| format!("{what} {word}"));
            missing.extend(words.filter(|word| !seen.contains(word)));
        }
        assert_eq!(missing, Vec::<String>::new(), "what never happened in all runs");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 7, 42] {
        let (one, two) = (World::run(seed, 400), World::run(seed, 400));
        assert!(one.trace.len() > 400, "the trace has every step");
        assert!(one.trace == two.trace, "seed {seed}: two traces");
    }
    assert!(World::run(1, 100).trace != World::run(2, 100).trace, "seeds differ");
}

fn from_env(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
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

    fn millis(&mut self, from: &[u64]) -> Duration {
        Duration::from_millis(self.pick(from))
    }

    fn claim(&mut self) -> Claim {
        let roles = [Role::Active, Role::Active, Role::Standby, Role::Promoting, Role::Fenced];
        let wishes = [Wish::Serve, Wish::Serve, Wish::Drain, Wish::Maintenance];
        let (role, wish) = (self.pick(&roles), self.pick(&wishes));
        let says = (self.percent(80), self.percent(40));
        Claim { role: says.0.then_some(role), wish: says.1.then_some(wish) }
    }

    /// None at all, strict ones, or any.
    fn gates(&mut self) -> GateRules {
        match self.below(4) {
            0 | 1 => GateRules::default(),
            2 => {
                let (failover, failback) = (self.strict_gates(), self.strict_gates());
                GateRules { failover, failback, switchover: self.strict_gates() }
            }
            _ => {
                let (failover, failback) = (self.some_gates(), self.some_gates());
                GateRules { failover, failback, switchover: self.some_gates() }
            }
        }
    }

    fn strict_gates(&mut self) -> Vec<GateRule> {
        let harm = self.pick(&[Gate::Fence, Gate::Demote]);
        let mut rules = vec![];
        for gate in [harm, Gate::Sync, Gate::Promote, Gate::Verify] {
            if gate == harm || gate == Gate::Promote || self.percent(40) {
                let need = Need::Required;
                let on_failure = self.pick(&[OnFailure::Abort, OnFailure::NextStandby]);
                rules.push(GateRule { gate, need, on_failure, idempotent: self.percent(50) });
            }
        }
        rules
    }

    fn some_gates(&mut self) -> Vec<GateRule> {
        let mut rules = vec![];
        for gate in [Gate::Fence, Gate::Demote, Gate::Sync, Gate::Promote, Gate::Verify] {
            if self.percent(45) {
                let need = self.pick(&[Need::Required, Need::IfReachable, Need::BestEffort]);
                let ends = [OnFailure::Abort, OnFailure::Continue, OnFailure::NextStandby];
                let (on_failure, idempotent) = (self.pick(&ends), self.percent(50));
                rules.push(GateRule { gate, need, on_failure, idempotent });
            }
        }
        rules
    }

    fn policy(&mut self) -> Policy {
        let auto = Failback::Auto(Conditions {
            hold_down: self.millis(&[0, 1, 500, 5000]),
            passes: self.pick(&[0, 0, 1, 2, 7]),
            in_flight_below: self.pick(&[None, None, Some(1), Some(5)]),
            windowed: self.pick(&[false, false, true]),
        });
        let lock = LockRule {
            switches: self.pick(&[0, 1, 2, 3, 5]),
            within: self.millis(&[0, 700, 5000, 50_000]),
        };
        let exclusive = Exclusive { drain: self.millis(&[0, 200, 3000]) };
        Policy {
            required_role: self.pick(&[None, None, Some(Role::Active), Some(Role::Standby)]),
            rise: 1 + self.below(3) as u32,
            fall: 1 + self.below(3) as u32,
            failback: self.pick(&[auto, auto, auto, auto, Failback::Manual, Failback::Never]),
            all_down: self.pick(&[AllDown::Reject, AllDown::KeepLast]),
            startup_grace: self.millis(&[0, 300, 2000]),
            damping: Damping {
                window: self.millis(&[0, 700, 5000, 20_000]),
                cap: self.millis(&[0, 1500, 20_000]),
            },
            lock: self.pick(&[None, None, Some(lock)]),
            exclusive: self.pick(&[None, None, Some(exclusive)]),
            gates: self.gates(),
        }
    }
}

struct World {
    seed: u64,
    /// How many were asked for, and how many inputs there were so far.
    steps: u64,
    inputs: u64,
    random: Random,
    start: Instant,
    now: Duration,
    failover: Failover,
    opinion: SecondOpinion,
    policy: Policy,
    ids: Vec<BackendId>,
    next_id: u32,
    /// Whether each backend really works.
    truth: BTreeMap<BackendId, bool>,
    /// What each really claims; nothing, if it is not here.
    claims: BTreeMap<BackendId, Claim>,
    /// How talkative they are, in percent of the changes.
    talkative: u64,
    probe_due: BTreeMap<BackendId, Duration>,
    /// The answers of the workers that are on their way.
    answers: Vec<(Duration, Input)>,
    /// Who was active before the last restart.
    before_restart: Option<BackendId>,
    /// How well the workers answer.
    workers: Noise,
    trace: Vec<String>,
    seen: BTreeSet<String>,
    seen_blocked: BTreeSet<&'static str>,
    /// The gate that was told last.
    last_run: Option<GateRun>,
}

impl World {
    fn run(seed: u64, steps: u64) -> Self {
        let mut random = Random(seed);
        let start = *START;
        let ids: Vec<_> = (0..1 + random.below(4) as u32).map(BackendId).collect();
        let policy = random.policy();
        let mut world = Self {
            seed,
            steps,
            inputs: 0,
            start,
            now: Duration::ZERO,
            failover: Failover::new(start, &ids, policy.clone()),
            opinion: SecondOpinion::new(start, &ids, policy.clone()),
            policy,
            next_id: ids.len() as u32,
            truth: ids.iter().map(|&id| (id, random.percent(80))).collect(),
            claims: BTreeMap::new(),
            talkative: random.pick(&[0, 30, 100]),
            probe_due: ids.iter().map(|&id| (id, Duration::ZERO)).collect(),
            ids,
            random,
            answers: vec![],
            before_restart: None,
            workers: Noise::Some,
            trace: vec![],
            seen: BTreeSet::new(),
            seen_blocked: BTreeSet::new(),
            last_run: None,
        };
        for _ in 0..steps {
            world.pass_time();
            world.probe_all_due(Noise::Some);
            world.deliver();
            world.disturb();
        }
        world.faults_stop();
        let blocked = world.seen_blocked.iter().map(|what| format!("blocked {what}"));
        world.seen.extend(blocked);
        world
    }

    fn apply(&mut self, input: Input) {
        let now = self.start + self.now;
        self.inputs += 1;
        self.trace.push(format!("{:?} {input:?}", self.now));
        let preview = match &input {
            Input::Command(command) => Some(self.failover.preview(now, command)),
            _ => None,
        };
        let effects = self.failover.step(now, input.clone());
        if let Some(preview) = preview {
            self.compare(preview, &effects);
        }
        for effect in &effects {
            self.trace.push(format!("  {effect:?}"));
            self.note(effect, &input);
            if let Effect::Hold { switch, .. } = *effect {
                self.answer(switch);
            }
            if let Effect::RunGate { run, .. } = *effect {
                self.finish(run);
            }
        }
        self.opinion.judge(now, &input, &effects, &self.failover);
        for blocker in self.failover.status().failback.map(|f| f.blockers).unwrap_or_default() {
            self.seen_blocked.insert(match blocker {
                Blocker::NotEligible { .. } => "NotEligible",
                Blocker::HoldDown { .. } => "HoldDown",
                Blocker::Passes { .. } => "Passes",
                Blocker::InFlight { .. } => "InFlight",
                Blocker::WindowClosed => "WindowClosed",
                Blocker::Pinned => "Pinned",
                Blocker::Locked => "Locked",
                Blocker::DualActive => "DualActive",
                Blocker::Manual => "Manual",
                Blocker::Never => "Never",
                Blocker::Switching => "Switching",
                Blocker::Verifying { .. } => "Verifying",
                Blocker::Drill { .. } => "Drill",
                Blocker::CalledOff { .. } => "CalledOff",
                Blocker::Barred => "Barred",
                Blocker::Stale => "Stale",
                Blocker::Gate => "Gate",
                Blocker::Job { .. } => "Job",
            });
        }
    }

    /// A preview and what then happened are the same.
    fn compare(&self, preview: Result<Preview, Refusal>, effects: &[Effect]) {
        let mut refused = None;
        let mut moves = self.failover.status().switch.map(|s| (s.from, Some(s.to), s.reason));
        for effect in effects {
            if let Effect::Rejected { why } = *effect {
                refused = Some(why);
            }
            if let Effect::ActiveChanged { from, to, reason, .. } = *effect {
                moves = Some((from, to, reason));
            }
        }
        match preview {
            Err(why) => assert_eq!(Some(why), refused, "foreseen: a refusal"),
            Ok(preview) => {
                assert_eq!(None, refused, "foreseen: no refusal");
                let status = self.failover.status();
                for effect in effects {
                    if let Effect::RunGate { run, again: false } = *effect
                        && status.active.is_none()
                    {
                        let first = preview.moves.as_ref().and_then(|m| m.gates.first().copied());
                        assert_eq!(first, Some((run.gate, run.backend)), "foreseen: the gate");
                    }
                }
                if status.gate.is_some() || status.waits_for_job {
                    return;
                }
                let foreseen = preview.moves.as_ref().map(|m| (m.from, m.to, m.reason));
                assert_eq!(foreseen, moves, "foreseen: the move");
                let held = effects.iter().find_map(|effect| match *effect {
                    Effect::Hold { planned, drain, .. } => Some((planned, drain)),
                    _ => None,
                });
                let how = preview.moves.as_ref().map(|m| (m.planned, m.drain));
                assert!(held.is_none() || how == held, "foreseen: how");
                assert_eq!(preview.failback, self.failover.status().failback, "foreseen: then");
            }
        }
    }

    fn note(&mut self, effect: &Effect, input: &Input) {
        let resumed = self.failover.status().active == self.before_restart;
        if let Effect::RunGate { run, again } = effect {
            self.seen.insert(format!("gate {:?}", run.gate));
            if *again {
                self.seen.insert("gate Again".to_owned());
            }
            if self.failover.status().active.is_some() {
                self.seen.insert("gate Owed".to_owned());
            }
        }
        let words = match effect {
            Effect::ActiveChanged { reason, .. } => {
                if *reason == Reason::Startup && self.before_restart.is_some() {
                    let how = if resumed { "again" } else { "without" };
                    self.seen.insert(format!("resumed {how}"));
                }
                format!("moved {reason:?}")
            }
            Effect::Hold { planned, drain, .. } => {
                if drain.is_some() {
                    self.seen.insert("held drained".to_owned());
                }
                format!("held {}", if *planned { "planned" } else { "unplanned" })
            }
            Effect::Release { why, .. } => format!("released {why:?}"),
            Effect::Locked if *input == Input::Command(Command::Lock) => "said Locked".to_owned(),
            Effect::Locked => "said LockedItself".to_owned(),
            Effect::Unlocked => "said Unlocked".to_owned(),
            Effect::Verified { .. } => "said Verified".to_owned(),
            Effect::DrillBegan { .. } => "said DrillBegan".to_owned(),
            Effect::DrillEnded { early: true, .. } => "said DrillEndedEarly".to_owned(),
            Effect::DrillEnded { early: false, .. } => "said DrillEnded".to_owned(),
            Effect::Rejected { why } => format!("refused {why:?}"),
            Effect::ClaimChanged { .. } => "said ClaimChanged".to_owned(),
            Effect::DualActive => "said DualActive".to_owned(),
            Effect::DualActiveCleared { by_operator: true } => "said DualActiveAccepted".to_owned(),
            Effect::DualActiveCleared { by_operator: false } => "said DualActiveCleared".to_owned(),
            Effect::GateInDoubt { .. } => "gate InDoubt".to_owned(),
            Effect::Barred { .. } => "gate Barred".to_owned(),
            Effect::RunGate { .. } => return,
            Effect::HealthChanged { .. } | Effect::AdminChanged { .. } => return,
        };
        self.seen.insert(words);
    }

    /// The workers will answer a hold: mostly well, sometimes late, badly, twice or never.
    fn answer(&mut self, switch: u64) {
        let (late, all, lost) = match self.workers {
            Noise::Some => {
                let late = self.random.millis(&[0, 0, 1, 20, 300, 3000, 8000, 12_000]);
                (late, self.random.percent(80), self.random.percent(10))
            }
            Noise::None => (Duration::ZERO, true, false),
        };
        if !lost {
            self.answers.push((self.now + late, Input::Held { switch, all }));
        }
    }

    /// A gate will end: mostly well and soon.
    fn finish(&mut self, run: GateRun) {
        self.last_run = Some(run);
        let (done, unreachable) = (GateResult::Done, GateResult::Unreachable);
        let results = [done, done, done, done, done, done, unreachable, GateResult::Failed];
        let (late, result) = match self.workers {
            Noise::Some => {
                (self.random.millis(&[0, 0, 1, 20, 300, 3000]), self.random.pick(&results))
            }
            Noise::None => (Duration::ZERO, done),
        };
        self.answers.push((self.now + late, Input::GateFinished { run, result }));
    }

    /// What has arrived of the workers' answers, and what they are asked.
    fn deliver(&mut self) {
        let mut rounds = 0;
        while let Some(at) = self.answers.iter().position(|(due, _)| *due <= self.now) {
            rounds += 1;
            assert!(rounds < 100, "moves follow moves without end");
            let (_, answer) = self.answers.swap_remove(at);
            self.apply(answer);
        }
        if self.failover.wants_in_flight() {
            let requests = match self.workers {
                Noise::Some => self.random.pick(&[0, 1, 3, 5, 9]),
                Noise::None => 0,
            };
            self.apply(Input::InFlight(requests));
        }
    }

    /// The process ends and starts again, with what it had saved.
    fn restart(&mut self) {
        let now = self.start + self.now;
        let saved = self.failover.saved(now);
        self.trace.push(format!("{:?} restart {saved:?}", self.now));
        self.before_restart = saved.active;
        let (ids, policy) = (self.ids.clone(), self.policy.clone());
        self.failover = Failover::resume(now, &ids, policy, saved.clone());
        // Whoever took the role is the candidate, although it was not announced any more.
        let holds = |id| saved.standings.contains(&(id, Standing::Holds));
        let taken = saved.active.filter(|&id| !holds(id));
        let taken = taken.and_then(|_| ids.iter().copied().find(|&id| holds(id)));
        let again = self.failover.saved(now);
        let pinned = saved.pinned && taken.is_none();
        let mut expected = Saved { active: taken.or(saved.active), pinned, ..saved };
        let here = |id: &BackendId| ids.contains(id);
        // A gate about one that is gone is forgotten.
        if let Some(run) = expected.gate.take_if(|run| !here(&run.backend) || !here(&run.to)) {
            let unsure = Standing::Unsure { repeatable: false };
            let about = expected.standings.iter_mut().filter(|(id, _)| *id == run.backend);
            about.for_each(|(_, standing)| *standing = unsure);
        }
        if let Some(run) = &mut expected.gate {
            run.from = run.from.filter(here);
        }
        assert_eq!(again, expected, "nothing is lost by a restart");
        self.opinion.restarted(now);
        self.answers.clear();
        // Before anything else happens there may be something to let go of.
        self.apply(Input::Tick);
    }

    /// To the next probe, answer or tick, or a random moment before.
    fn pass_time(&mut self) {
        let wake = self.failover.wake_at().map(|at| at - self.start);
        let any = self.now + Duration::from_millis(1 + self.random.below(150));
        let answers = self.answers.iter().map(|(due, _)| *due);
        let due = self.probe_due.values().copied().chain(answers);
        let next = due.chain(wake).chain([any]).min();
        self.now = self.now.max(next.unwrap_or(any));
        self.apply(Input::Tick);
    }

    fn probe_all_due(&mut self, noise: Noise) {
        for id in self.ids.clone() {
            if self.probe_due[&id] > self.now {
                continue;
            }
            let pause = PROBE_INTERVAL_MS + self.random.below(PROBE_JITTER_MS + 1);
            self.probe_due.insert(id, self.now + Duration::from_millis(pause));
            let (lost, unclear, wrong, silent) = match noise {
                Noise::Some => (3, 3, 2, 5),
                Noise::None => (0, 0, 0, 0),
            };
            if self.random.percent(lost) {
                continue;
            }
            let verdict = if self.random.percent(unclear) {
                Verdict::Inconclusive
            } else if self.truth[&id] != self.random.percent(wrong) {
                Verdict::Pass
            } else {
                Verdict::Fail
            };
            let mut claim = self.claims.get(&id).copied().unwrap_or_default();
            if self.random.percent(silent) {
                claim.role = None;
            }
            if self.random.percent(silent) {
                claim.wish = None;
            }
            self.apply(Input::Probe { backend: id, verdict, claim });
        }
    }

    /// One fault, order, reload or clock jump, or none.
    fn disturb(&mut self) {
        let some = if self.ids.is_empty() { STRANGER } else { self.random.pick(&self.ids) };
        let one = self.random.pick(&[some, some, some, STRANGER]);
        match self.random.below(1000) {
            0..60 => {
                let works = self.truth.entry(some).or_default();
                *works = !*works;
            }
            60..72 => {
                let verify = self.random.millis(&[0, 0, 500, 3000]);
                self.apply(Input::Command(Command::Switchover { to: one, verify }));
            }
            72..80 => {
                let verify = self.random.millis(&[0, 0, 500, 3000]);
                self.apply(Input::Command(Command::Failback { verify }));
            }
            80..86 => self.apply(Input::Command(Command::Pin)),
            86..95 => self.apply(Input::Command(Command::Unpin)),
            95..99 => self.apply(Input::Command(Command::Lock)),
            99..115 => self.apply(Input::Command(Command::Unlock)),
            115..140 => {
                let (ready, drain) = (AdminState::Ready, AdminState::Drain);
                let admin =
                    self.random.pick(&[ready, ready, ready, drain, AdminState::Maintenance]);
                self.apply(Input::Command(Command::SetAdmin(one, admin)));
            }
            140..150 => {
                let verdict = self.random.pick(&[Verdict::Pass, Verdict::Fail]);
                self.apply(Input::Probe { backend: STRANGER, verdict, claim: Claim::default() });
            }
            150..165 => self.reload(),
            165..170 => self.now += self.random.millis(&[10_000, 100_000]),
            170..180 => {
                let length = self.random.millis(&[0, 300, 3000, 20_000]);
                self.apply(Input::Command(Command::Drill { length }));
            }
            180..184 => self.apply(Input::Command(Command::EndDrill)),
            184..200 => {
                let open = self.random.percent(70);
                self.apply(Input::Window { open });
            }
            200..205 => {
                let requests = self.random.pick(&[0, 4, 5]);
                self.apply(Input::InFlight(requests));
            }
            205..225 => {
                let back = self.random.pick(&[0, 0, 0, 1]);
                let epoch = self.failover.status().epoch.saturating_sub(back);
                self.apply(Input::Answered { epoch });
            }
            225..230 => {
                let (switch, all) = (self.random.below(20), self.random.percent(50));
                self.apply(Input::Held { switch, all });
            }
            230..236 => self.restart(),
            236..300 if self.random.percent(self.talkative) => {
                let claim = self.random.claim();
                self.claims.insert(some, claim);
            }
            300..312 => {
                let limits = [Duration::ZERO, Duration::from_millis(300), Duration::from_secs(9)];
                let limit = self.random.pick(&limits);
                let busy = self.random.percent(60);
                self.apply(Input::Busy(busy.then_some(limit)));
            }
            312..324 => {
                let stale = self.random.percent(40);
                self.apply(Input::Stale { backend: one, stale });
            }
            324..344 => {
                let ways = [Settlement::Done, Settlement::Failed, Settlement::Again];
                let way = self.random.pick(&ways);
                self.apply(Input::Command(Command::SettleGate(way)));
            }
            344..350 => {
                if let Some(run) = self.last_run {
                    let result = self.random.pick(&[GateResult::Done, GateResult::Failed]);
                    let epoch = run.epoch - self.random.below(2);
                    self.apply(Input::GateFinished { run: GateRun { epoch, ..run }, result });
                }
            }
            _ => {}
        }
    }

    /// Some backends leave, some come, the order changes; the policy too, half the time.
    fn reload(&mut self) {
        let mut ids = self.ids.clone();
        ids.retain(|_| self.random.percent(70));
        for _ in 0..self.random.below(3) {
            ids.push(BackendId(self.next_id));
            self.next_id += 1;
        }
        for last in (1..ids.len()).rev() {
            ids.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        for &id in &ids {
            let works = self.random.percent(80);
            self.truth.entry(id).or_insert(works);
        }
        self.probe_due =
            ids.iter().map(|id| (*id, *self.probe_due.get(id).unwrap_or(&self.now))).collect();
        self.ids = ids;
        if self.random.percent(50) {
            self.policy = self.random.policy();
        }
        self.apply_config();
    }

    fn apply_config(&mut self) {
        let (backends, policy) = (self.ids.clone(), self.policy.clone());
        self.apply(Input::Reconfigure { backends, policy });
    }

    /// Liveness: with everything ready, free and telling the truth, the best backend that works
    /// serves within the bound.
    fn faults_stop(&mut self) {
        if self.ids.is_empty() {
            self.reload_one();
        }
        self.workers = Noise::None;
        self.policy.failback = Failback::Auto(Conditions {
            hold_down: Duration::from_millis(700),
            passes: 3,
            in_flight_below: Some(1),
            windowed: true,
        });
        self.policy.lock = None;
        self.policy.damping.cap = Duration::from_millis(1500);
        self.policy.required_role = self.random.pick(&[None, Some(Role::Active)]);
        self.apply_config();
        for id in self.ids.clone() {
            self.apply(Input::Command(Command::SetAdmin(id, AdminState::Ready)));
        }
        self.apply(Input::Command(Command::Unlock));
        self.apply(Input::Command(Command::EndDrill));
        self.apply(Input::Window { open: true });
        self.apply(Input::Busy(None));
        for backend in self.ids.clone() {
            self.apply(Input::Stale { backend, stale: false });
        }
        let works = self.random.pick(&self.ids);
        self.truth.insert(works, true);
        self.agree_on(works);

        let verdicts = u64::from(self.policy.rise.max(self.policy.fall)) + 4;
        let probes = Duration::from_millis(verdicts * (PROBE_INTERVAL_MS + PROBE_JITTER_MS));
        let hold_down = self.policy.damping.cap.max(Duration::from_millis(700));
        // A hold whose answer was lost, the pause after it, and a watch.
        let odds = Duration::from_secs(6 + 3) + Duration::from_secs(10) + Duration::from_secs(3);
        let end = self.now + probes + odds + hold_down + Duration::from_millis(PROBE_INTERVAL_MS);
        while self.now <= end {
            if self.failover.status().pinned {
                // A return may pin once more.
                self.apply(Input::Command(Command::Unpin));
            }
            let status = self.failover.status();
            if status.gate.is_some_and(|gate| gate.in_doubt) {
                let way = self.random.pick(&[Settlement::Done, Settlement::Failed]);
                self.apply(Input::Command(Command::SettleGate(way)));
            }
            if status.locked || status.backends.iter().any(|b| b.barred) {
                // The end of a gate that had begun before may have done that.
                self.apply(Input::Command(Command::Unlock));
            }
            self.pass_time();
            self.probe_all_due(Noise::None);
            self.deliver();
        }
        let fits = |id: &BackendId| self.policy.required_role.is_none() || *id == works;
        let best = self.ids.iter().find(|id| self.truth[id] && fits(id)).copied();
        assert_eq!(self.failover.status().active, best, "the best that works serves in the end");
    }

    /// One claims to be active, the others to be standbys, and all of them want requests.
    fn agree_on(&mut self, active: BackendId) {
        for &id in &self.ids {
            let role = if id == active { Role::Active } else { Role::Standby };
            self.claims.insert(id, Claim { role: Some(role), wish: Some(Wish::Serve) });
        }
    }

    fn reload_one(&mut self) {
        let id = BackendId(self.next_id);
        self.ids.push(id);
        self.truth.insert(id, true);
        self.probe_due.insert(id, self.now);
        self.apply_config();
    }
}

impl Drop for World {
    /// Says how to see a failure again.
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { seed, steps, inputs, now, trace, .. } = self;
            let tail = trace[trace.len().saturating_sub(12)..].join("\n");
            eprintln!(
                "seed {seed}, step {inputs}, at {now:?}; the last inputs and effects:\n{tail}"
            );
            eprintln!(
                "again: UNDERSTUDY_SEED={seed} UNDERSTUDY_STEPS={steps} cargo test -p routing no_seed"
            );
        }
    }
}

#[derive(Clone, Copy)]
enum Noise {
    Some,
    None,
}
