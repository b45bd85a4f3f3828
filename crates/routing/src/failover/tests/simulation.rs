//! Random weather: probes, faults, orders, reloads and clock jumps, judged after every step.
//!
//! 256 seeds in an ordinary run. More: `UNDERSTUDY_SEEDS`, `UNDERSTUDY_STEPS`. One again:
//! `UNDERSTUDY_SEED`.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::thread;
use std::time::{Duration, Instant};

use super::super::{
    AdminState, AllDown, BackendId, Command, Damping, Effect, Failback, Failover, Input, Policy,
    Reason, Verdict,
};
use super::second_opinion::SecondOpinion;

const PROBE_INTERVAL_MS: u64 = 100;
const PROBE_JITTER_MS: u64 = 20;
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
        seen.extend(&World::run(seed, steps).seen);
    }
    if many {
        // A simulation that never gets somewhere proves nothing about it.
        let all = [
            "Startup",
            "Failover",
            "Failback",
            "Recovery",
            "Switchover",
            "Reload",
            "Locked",
            "LockedItself",
            "Unlocked",
            "Rejected",
        ];
        assert_eq!(seen, BTreeSet::from(all), "what happened in all runs");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 7, 42] {
        let (one, two) = (World::run(seed, 400), World::run(seed, 400));
        assert!(one.trace.len() > 400, "the trace has every step");
        assert_eq!(one.trace, two.trace);
    }
    assert_ne!(World::run(1, 100).trace, World::run(2, 100).trace, "seeds differ");
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

    fn policy(&mut self) -> Policy {
        let auto = Failback::Auto { hold_down: self.millis(&[0, 1, 500, 5000]) };
        Policy {
            rise: 1 + self.below(3) as u32,
            fall: 1 + self.below(3) as u32,
            failback: self.pick(&[auto, auto, auto, Failback::Manual]),
            all_down: self.pick(&[AllDown::Reject, AllDown::KeepLast]),
            startup_grace: self.millis(&[0, 300, 2000]),
            damping: Damping {
                window: self.millis(&[0, 700, 5000, 20_000]),
                cap: self.millis(&[0, 1500, 60_000]),
                lock_after: self.pick(&[0, 0, 1, 2, 3]),
            },
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
    probe_due: BTreeMap<BackendId, Duration>,
    trace: Vec<String>,
    seen: BTreeSet<&'static str>,
}

impl World {
    fn run(seed: u64, steps: u64) -> Self {
        let mut random = Random(seed);
        let start = Instant::now();
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
            probe_due: ids.iter().map(|&id| (id, Duration::ZERO)).collect(),
            ids,
            random,
            trace: vec![],
            seen: BTreeSet::new(),
        };
        for _ in 0..steps {
            world.pass_time();
            world.probe_all_due(Noise::Some);
            world.disturb();
        }
        world.faults_stop();
        world
    }

    fn apply(&mut self, input: Input) {
        let now = self.start + self.now;
        self.inputs += 1;
        self.trace.push(format!("{:?} {input:?}", self.now));
        let effects = self.failover.step(now, input.clone());
        for effect in &effects {
            self.trace.push(format!("  {effect:?}"));
            self.seen.insert(match effect {
                Effect::ActiveChanged { reason, .. } => match reason {
                    Reason::Startup => "Startup",
                    Reason::Failover => "Failover",
                    Reason::Failback => "Failback",
                    Reason::Recovery => "Recovery",
                    Reason::Switchover => "Switchover",
                    Reason::Reload => "Reload",
                },
                Effect::Locked if input == Input::Command(Command::Lock) => "Locked",
                Effect::Locked => "LockedItself",
                Effect::Unlocked => "Unlocked",
                Effect::Rejected { .. } => "Rejected",
                Effect::HealthChanged { .. } | Effect::AdminChanged { .. } => continue,
            });
        }
        self.opinion.judge(now, &input, &effects, &self.failover);
    }

    /// To the next probe or tick, or a random moment before.
    fn pass_time(&mut self) {
        let wake = self.failover.wake_at().map(|at| at - self.start);
        let any = self.now + Duration::from_millis(1 + self.random.below(150));
        let next = self.probe_due.values().copied().chain(wake).chain([any]).min();
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
            let (lost, unclear, wrong) = match noise {
                Noise::Some => (3, 3, 2),
                Noise::None => (0, 0, 0),
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
            self.apply(Input::Probe { backend: id, verdict });
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
            60..70 => self.apply(Input::Command(Command::Switchover(one))),
            70..80 => self.apply(Input::Command(Command::Failback)),
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
                self.apply(Input::Probe { backend: STRANGER, verdict });
            }
            150..165 => self.reload(),
            165..170 => self.now += self.random.millis(&[10_000, 100_000]),
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
        self.policy.failback = Failback::Auto { hold_down: Duration::from_millis(700) };
        self.policy.damping.lock_after = 0;
        self.apply_config();
        for id in self.ids.clone() {
            self.apply(Input::Command(Command::SetAdmin(id, AdminState::Ready)));
        }
        self.apply(Input::Command(Command::Unpin));
        self.apply(Input::Command(Command::Unlock));
        let works = self.random.pick(&self.ids);
        self.truth.insert(works, true);

        let verdicts = u64::from(self.policy.rise.max(self.policy.fall)) + 1;
        let probes = Duration::from_millis(verdicts * (PROBE_INTERVAL_MS + PROBE_JITTER_MS));
        let hold_down = self.policy.damping.cap.max(Duration::from_millis(700));
        let end = self.now + probes + hold_down + Duration::from_millis(PROBE_INTERVAL_MS);
        while self.now <= end {
            self.pass_time();
            self.probe_all_due(Noise::None);
        }
        let best = self.ids.iter().find(|id| self.truth[id]).copied();
        assert_eq!(self.failover.status().active, best, "the best that works serves in the end");
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
