//! The scenario language: a script in, the events out as text.
//!
//! ```text
//! backends a b c                      first line, optional (default: a b); letters in priority order
//! policy fall 1 hold_down 30s manual  next line, optional; see `policy` for the words
//! by hand                             next line, optional: holds are shown, and answered by `held`
//! at 1.2s probe a fail                one input; several are joined by `;`
//! at 1.3s probe a pass standby drain  a probe that brings a claim: role, wish, both or none
//! late 9s tick                        the same, but no tick came since the line before
//! at 2s gate done                     the gate that was told last has ended
//! ```
//!
//! Like the real driver, a script sends a tick whenever `wake_at` says so. Unless it is by hand, all
//! workers acknowledge every hold at once, and nothing is said of it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::super::{
    Abort, AdminState, AllDown, BackendId, Blocker, Claim, Command, Conditions, Damping, Direction,
    Effect, Exclusive, Failback, Failover, Gate, GateResult, GateRule, GateRules, GateRun, Health,
    Input, LockRule, Need, OnFailure, Policy, PreviewedMove, Reason, Refusal, Role, Saved,
    Settlement, Standing, Verdict, Wish,
};

/// Runs the script and compares what it says, line by line.
#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    let actual = Run::of(script);
    let trimmed: Vec<_> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let expected = trimmed.join("\n");
    assert!(actual == expected, "\n--- expected\n{expected}\n--- actual\n{actual}\n");
}

pub(super) fn default_policy() -> Policy {
    Policy {
        required_role: None,
        rise: 2,
        fall: 3,
        failback: Failback::Auto(default_conditions()),
        all_down: AllDown::Reject,
        startup_grace: Duration::from_secs(2),
        damping: Damping { window: Duration::from_secs(60), cap: Duration::from_secs(300) },
        lock: None,
        exclusive: None,
        gates: GateRules::default(),
    }
}

fn default_conditions() -> Conditions {
    Conditions {
        hold_down: Duration::from_secs(10),
        passes: 0,
        in_flight_below: None,
        windowed: false,
    }
}

struct Run {
    start: Instant,
    now: Duration,
    failover: Failover,
    policy: Policy,
    backends: Vec<BackendId>,
    by_hand: bool,
    /// The gates that were told, of all processes.
    runs: Vec<GateRun>,
    said: Vec<String>,
}

impl Run {
    fn of(script: &str) -> String {
        let mut lines = script.lines().map(str::trim).filter(|l| !l.is_empty()).peekable();
        let backends = lines.next_if(|l| l.starts_with("backends "));
        let words = lines.next_if(|l| l.starts_with("policy "));
        let policy = policy(default_policy(), &words.map_or(vec![], |l| words_of(l, "policy ")));
        let by_hand = lines.next_if_eq(&"by hand").is_some();
        let start = Instant::now();
        let ids = ids(&words_of(backends.unwrap_or("backends a b"), "backends "));
        let failover = Failover::new(start, &ids, policy.clone());
        let (now, runs, said) = (Duration::ZERO, vec![], vec![]);
        let mut run = Self { start, now, failover, policy, backends: ids, by_hand, runs, said };
        for line in lines {
            run.line(line);
        }
        run.said.join("\n")
    }

    fn line(&mut self, line: &str) {
        let (pace, rest) = line.split_once(' ').expect("at or late");
        let (time, statements) = rest.split_once(' ').expect("a time");
        let time = duration(time);
        assert!(time >= self.now, "time runs backwards: {line}");
        match pace {
            "at" => self.tick_until(time),
            "late" => {}
            _ => panic!("neither at nor late: {line}"),
        }
        self.now = time;
        for statement in statements.split(';') {
            self.statement(&statement.split_whitespace().collect::<Vec<_>>());
        }
    }

    fn tick_until(&mut self, time: Duration) {
        while let Some(at) = self.failover.wake_at().filter(|&at| at <= self.start + time) {
            assert!(at > self.start + self.now || self.said.is_empty(), "woken for the past");
            self.now = at - self.start;
            self.step(Input::Tick);
        }
    }

    fn statement(&mut self, words: &[&str]) {
        let input = match words {
            ["tick"] => Input::Tick,
            ["probe", backend, verdict, claim @ ..] => {
                let verdict = match *verdict {
                    "pass" => Verdict::Pass,
                    "fail" => Verdict::Fail,
                    "unclear" => Verdict::Inconclusive,
                    _ => panic!("no such verdict: {verdict}"),
                };
                Input::Probe { backend: id(backend), verdict, claim: self::claim(claim) }
            }
            ["command", command @ ..] => Input::Command(self::command(command)),
            ["reload", rest @ ..] => {
                let with = rest.iter().position(|w| *w == "with").unwrap_or(rest.len());
                self.policy = policy(self.policy.clone(), rest.get(with + 1..).unwrap_or(&[]));
                self.backends = ids(&rest[..with]);
                let (backends, policy) = (self.backends.clone(), self.policy.clone());
                Input::Reconfigure { backends, policy }
            }
            ["window", "opens"] => Input::Window { open: true },
            ["window", "closes"] => Input::Window { open: false },
            ["requests", requests] => Input::InFlight(requests.parse().expect("a number")),
            ["held", number, "all"] => held(number, true),
            ["held", number, "lost"] => held(number, false),
            ["answered", epoch] => Input::Answered { epoch: epoch.parse().expect("a number") },
            ["gate", how] => {
                let run = *self.runs.last().expect("a gate");
                Input::GateFinished { run, result: result(how) }
            }
            ["gate", number, how] => {
                let run = self.runs[number.parse::<usize>().expect("a number") - 1];
                Input::GateFinished { run, result: result(how) }
            }
            ["busy", "over"] => Input::Busy(None),
            ["busy", limit] => Input::Busy(Some(duration(limit))),
            ["stale", backend] => Input::Stale { backend: id(backend), stale: true },
            ["fresh", backend] => Input::Stale { backend: id(backend), stale: false },
            ["restart", backends @ ..] => return self.restart(backends),
            ["show"] => return self.show(),
            ["show", "failback"] => return self.show_failback(),
            ["show", "switch"] => return self.show_switch(),
            ["show", "gates"] => return self.show_gates(),
            ["show", "counts"] => return self.show_counts(),
            ["show", backend] => return self.show_backend(id(backend)),
            ["preview", command @ ..] => return self.preview(self::command(command)),
            _ => panic!("no such statement: {words:?}"),
        };
        self.step(input);
    }

    fn step(&mut self, input: Input) {
        let mut next = Some(input);
        let mut rounds = 0;
        while let Some(input) = next.take() {
            rounds += 1;
            assert!(rounds < 10, "moves follow moves without end");
            for effect in self.failover.step(self.start + self.now, input) {
                match effect {
                    Effect::Hold { switch, .. } if !self.by_hand => {
                        next = Some(Input::Held { switch, all: true });
                    }
                    effect => {
                        if let Effect::RunGate { run, .. } = effect {
                            self.runs.push(run);
                        }
                        self.say(&self.effect_text(effect));
                    }
                }
            }
        }
    }

    /// With nothing but what had to be saved, and these backends or those there are.
    fn restart(&mut self, backends: &[&str]) {
        let now = self.start + self.now;
        let saved = self.failover.saved(now);
        let same = backends.is_empty();
        if !same {
            self.backends = ids(backends);
        }
        let (policy, copy) = (self.policy.clone(), saved.clone());
        self.failover = Failover::resume(now, &self.backends, policy, copy);
        let again = self.failover.saved(now);
        // Whoever took the role is the candidate, although it was not announced any more.
        let holds = |id| saved.standings.contains(&(id, Standing::Holds));
        let taken = saved.active.filter(|&id| !holds(id));
        let taken = taken.and_then(|_| self.backends.iter().copied().find(|&id| holds(id)));
        let saved = Saved { active: taken.or(saved.active), ..saved };
        assert!(!same || again == saved, "one restart right after another: {saved:?} {again:?}");
    }

    fn show(&mut self) {
        let status = self.failover.status();
        let mut text = format!("status {} epoch {}", name(status.active), status.epoch);
        for (word, on) in [("pinned", status.pinned), ("locked", status.locked)] {
            if on {
                let _ = write!(text, " {word}");
            }
        }
        if let Some(dual) = status.dual_active {
            let accepted = if dual.accepted { ", accepted" } else { "" };
            let _ = write!(text, " dual since {}{accepted}", self.time(dual.since));
        }
        if let Some(hold_down) = status.hold_down {
            let _ = write!(text, " hold_down {}", seconds(hold_down));
        }
        if let Some(failback) = status.failback
            && let Some(due) = failback.due
        {
            let _ = write!(text, " failback {} at {}", name(Some(failback.to)), self.time(due));
        }
        if let Some(verifying) = status.verifying {
            let _ = write!(text, " verifying until {}", self.time(verifying.until));
            let _ = write!(text, " or back to {}", name(verifying.origin));
            if verifying.answered {
                text.push_str(", answered");
            }
        }
        if let Some(drill) = status.drill {
            let until = self.time(drill.until);
            let _ = write!(text, " drill {} until {until}", name(Some(drill.backend)));
        }
        self.say(&text);
    }

    fn show_failback(&mut self) {
        let asks = if self.failover.wants_in_flight() { ", asks for requests" } else { "" };
        let Some(failback) = self.failover.status().failback else {
            return self.say(&format!("failback none{asks}"));
        };
        let blockers: Vec<_> = failback.blockers.iter().map(|b| self.blocker_text(b)).collect();
        let due = failback.due.map(|due| format!(" at {}", self.time(due))).unwrap_or_default();
        let to = name(Some(failback.to));
        self.say(&format!("failback {to}{due}: {}{asks}", blockers.join(", ")));
    }

    fn show_switch(&mut self) {
        let text = self.failover.status().switch.map_or("no switch".to_owned(), |switch| {
            let (from, to) = (name(switch.from), name(Some(switch.to)));
            let planned = if switch.planned { " planned" } else { "" };
            let (reason, since) = (reason_text(switch.reason), self.time(switch.since));
            format!("switch {from} -> {to} {reason}{planned} since {since}")
        });
        self.say(&text);
    }

    fn show_gates(&mut self) {
        let status = self.failover.status();
        let mut words: Vec<_> = status
            .backends
            .iter()
            .map(|b| {
                let standing = match b.standing {
                    Standing::Standby => "stands by",
                    Standing::Holds => "holds",
                    Standing::Unsure { repeatable: true } => "unsure, to be repeated",
                    Standing::Unsure { repeatable: false } => "unsure",
                };
                let barred = if b.barred { ", barred" } else { "" };
                let stale = if b.stale { ", stale" } else { "" };
                format!("{} {standing}{barred}{stale}", name(Some(b.id)))
            })
            .collect();
        if let Some(gate) = status.gate {
            let doubt = if gate.in_doubt { " in doubt" } else { "" };
            words.push(format!("{}{doubt}", run_text(gate.run)));
        }
        if status.waits_for_job {
            words.push("waits for a job".to_owned());
        }
        self.say(&words.join("; "));
    }

    fn show_counts(&mut self) {
        let status = self.failover.status();
        self.say(&format!("{} flaps, {} switches", status.flaps, status.recent_switches));
    }

    fn preview(&mut self, command: Command) {
        let now = self.start + self.now;
        let text = match self.failover.preview(now, &command) {
            Err(why) => refusal_text(why).to_owned(),
            Ok(preview) => match preview.moves {
                None => "no move".to_owned(),
                Some(PreviewedMove { from, to, reason, planned, drain, gates }) => {
                    let planned = if planned { " planned" } else { "" };
                    let drain = drain.map(|d| format!(" drain {}", seconds(d)));
                    let (from, to, reason) = (name(from), name(to), reason_text(reason));
                    let gates = gates
                        .iter()
                        .map(|&(gate, id)| format!(", {} {}", gate_text(gate), name(Some(id))));
                    let (drain, gates) = (drain.unwrap_or_default(), gates.collect::<String>());
                    format!("{from} -> {to} {reason}{planned}{drain}{gates}")
                }
            },
        };
        self.say(&format!("would: {text}"));
    }

    fn time(&self, at: Instant) -> String {
        seconds(at - self.start)
    }

    fn blocker_text(&self, blocker: &Blocker) -> String {
        match *blocker {
            Blocker::NotEligible { health, admin, claim } => {
                format!("{} {}{}", health_text(health), admin_text(admin), claim_text(claim))
            }
            Blocker::HoldDown { until } => format!("hold-down until {}", self.time(until)),
            Blocker::Passes { have, need } => format!("passes {have} of {need}"),
            Blocker::InFlight { below } => format!("requests below {below}"),
            Blocker::WindowClosed => "window closed".to_owned(),
            Blocker::Pinned => "pinned".to_owned(),
            Blocker::Locked => "locked".to_owned(),
            Blocker::DualActive => "dual".to_owned(),
            Blocker::Manual => "manual".to_owned(),
            Blocker::Never => "never".to_owned(),
            Blocker::Switching => "switching".to_owned(),
            Blocker::Verifying { until } => format!("verifying until {}", self.time(until)),
            Blocker::Drill { until } => format!("drill until {}", self.time(until)),
            Blocker::CalledOff { until } => format!("called off until {}", self.time(until)),
            Blocker::Barred => "barred".to_owned(),
            Blocker::Stale => "stale".to_owned(),
            Blocker::Gate => "gate".to_owned(),
            Blocker::Job { until } => format!("job until {}", self.time(until)),
        }
    }

    fn show_backend(&mut self, id: BackendId) {
        let status = self.failover.status();
        let backend = status.backends.iter().find(|b| b.id == id).expect("a backend");
        let since = backend.eligible_since.map_or("not eligible".to_owned(), |at| {
            format!("eligible since {}", seconds(at - self.start))
        });
        let word = if backend.needs_word { " needs word" } else { "" };
        let doubt = if backend.in_doubt() { " in doubt" } else { "" };
        let (health, streak) = (health_text(backend.health), backend.streak);
        let (admin, claim) = (admin_text(backend.admin), claim_text(backend.claim));
        let id = name(Some(id));
        self.say(&format!("{id} {health} {admin}{claim} streak {streak} {since}{word}{doubt}"));
    }

    fn effect_text(&self, effect: Effect) -> String {
        match effect {
            Effect::ActiveChanged { from, to, reason, epoch } => {
                format!("{} -> {} {} {epoch}", name(from), name(to), reason_text(reason))
            }
            Effect::Hold { switch, planned, drain } => {
                let planned = if planned { " planned" } else { "" };
                let drain = drain.map(|drain| format!(" drain {}", seconds(drain)));
                format!("hold {switch}{planned}{}", drain.unwrap_or_default())
            }
            Effect::Release { switch, why } => {
                let why = match why {
                    Abort::HeirLost => "heir lost",
                    Abort::Overruled => "overruled",
                    Abort::Unacknowledged => "unacknowledged",
                };
                format!("release {switch} {why}")
            }
            Effect::RunGate { run, again } => {
                format!("run {}{}", run_text(run), if again { " again" } else { "" })
            }
            Effect::GateInDoubt { run } => format!("in doubt {}", run_text(run)),
            Effect::Barred { backend } => format!("{} barred", name(Some(backend))),
            Effect::Verified { epoch } => format!("verified {epoch}"),
            Effect::HealthChanged { backend, health } => {
                format!("{} {}", name(Some(backend)), health_text(health))
            }
            Effect::AdminChanged { backend, admin } => {
                format!("{} {}", name(Some(backend)), admin_text(admin))
            }
            Effect::ClaimChanged { backend, claim } => {
                format!("{} claims{}", name(Some(backend)), claim_text(claim))
            }
            Effect::DualActive => "dual".to_owned(),
            Effect::DualActiveCleared { by_operator: false } => "dual is over".to_owned(),
            Effect::DualActiveCleared { by_operator: true } => "dual accepted".to_owned(),
            Effect::Locked => "locked".to_owned(),
            Effect::Unlocked => "unlocked".to_owned(),
            Effect::DrillBegan { backend, until } => {
                format!("drill {} until {}", name(Some(backend)), self.time(until))
            }
            Effect::DrillEnded { backend, early } => {
                let early = if early { " early" } else { "" };
                format!("drill {} ended{early}", name(Some(backend)))
            }
            Effect::Rejected { why } => refusal_text(why).to_owned(),
        }
    }

    fn say(&mut self, text: &str) {
        self.said.push(format!("{} {text}", seconds(self.now)));
    }
}

/// `base` with the words applied.
fn policy(base: Policy, words: &[&str]) -> Policy {
    let mut policy = base;
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let mut value = || *words.next().expect("a value");
        match word {
            "rise" => policy.rise = value().parse().expect("a number"),
            "fall" => policy.fall = value().parse().expect("a number"),
            "role" => policy.required_role = Some(value()).filter(|word| *word != "any").map(role),
            "hold_down" => conditions(&mut policy).hold_down = duration(value()),
            "passes" => conditions(&mut policy).passes = value().parse().expect("a number"),
            "below" => {
                let below = value().parse().expect("a number");
                conditions(&mut policy).in_flight_below = Some(below);
            }
            "windowed" => conditions(&mut policy).windowed = true,
            "manual" => policy.failback = Failback::Manual,
            "never" => policy.failback = Failback::Never,
            "reject" => policy.all_down = AllDown::Reject,
            "keep_last" => policy.all_down = AllDown::KeepLast,
            "grace" => policy.startup_grace = duration(value()),
            "window" => policy.damping.window = duration(value()),
            "cap" => policy.damping.cap = duration(value()),
            "lock_after" => {
                let switches = value().parse().expect("a number");
                policy.lock = Some(LockRule { switches, within: duration(value()) });
            }
            "never_lock" => policy.lock = None,
            "exclusive" => policy.exclusive = Some(Exclusive { drain: duration(value()) }),
            "shared" => policy.exclusive = None,
            "gates" => {
                let list = gates(value());
                let (failover, failback, switchover) = (list.clone(), list.clone(), list);
                policy.gates = GateRules { failover, failback, switchover };
            }
            "failover" => policy.gates.failover = gates(value()),
            "failback" => policy.gates.failback = gates(value()),
            "switchover" => policy.gates.switchover = gates(value()),
            _ => panic!("no such policy: {word}"),
        }
    }
    policy
}

/// Those of the policy, which becomes auto if it was not.
fn conditions(policy: &mut Policy) -> &mut Conditions {
    if !matches!(policy.failback, Failback::Auto(_)) {
        policy.failback = Failback::Auto(default_conditions());
    }
    let Failback::Auto(conditions) = &mut policy.failback else { unreachable!("it is auto") };
    conditions
}

/// `fence:if_reachable:next,promote:again`, or `none`.
fn gates(words: &str) -> Vec<GateRule> {
    words.split(',').filter(|word| *word != "none").map(gate_rule).collect()
}

fn gate_rule(words: &str) -> GateRule {
    let mut words = words.split(':');
    let gate = match words.next() {
        Some("fence") => Gate::Fence,
        Some("demote") => Gate::Demote,
        Some("sync") => Gate::Sync,
        Some("promote") => Gate::Promote,
        Some("verify") => Gate::Verify,
        other => panic!("no such gate: {other:?}"),
    };
    let (need, on_failure, idempotent) = (Need::Required, OnFailure::Abort, false);
    let mut rule = GateRule { gate, need, on_failure, idempotent };
    for word in words {
        match word {
            "if_reachable" => rule.need = Need::IfReachable,
            "best_effort" => rule.need = Need::BestEffort,
            "continue" => rule.on_failure = OnFailure::Continue,
            "next" => rule.on_failure = OnFailure::NextStandby,
            "again" => rule.idempotent = true,
            _ => panic!("no such word of a gate: {word}"),
        }
    }
    rule
}

fn result(word: &str) -> GateResult {
    match word {
        "done" => GateResult::Done,
        "unreachable" => GateResult::Unreachable,
        "failed" => GateResult::Failed,
        _ => panic!("no such result: {word}"),
    }
}

fn gate_text(gate: Gate) -> &'static str {
    match gate {
        Gate::Fence => "fence",
        Gate::Demote => "demote",
        Gate::Sync => "sync",
        Gate::Promote => "promote",
        Gate::Verify => "verify",
    }
}

fn run_text(run: GateRun) -> String {
    let GateRun { epoch, gate, backend, from, to, reason, direction } = run;
    let (gate, reason) = (gate_text(gate), reason_text(reason));
    let list = match direction {
        Direction::Failover => "failover",
        Direction::Failback => "failback",
        Direction::Switchover => "switchover",
    };
    let (backend, from, to) = (name(Some(backend)), name(from), name(Some(to)));
    format!("{gate} {backend} {epoch} of {list}: {from} -> {to} {reason}")
}

fn held(number: &str, all: bool) -> Input {
    Input::Held { switch: number.parse().expect("a number"), all }
}

fn command(words: &[&str]) -> Command {
    let none = Duration::ZERO;
    match words {
        ["switchover", backend] => Command::Switchover { to: id(backend), verify: none },
        ["switchover", backend, "verify", verify] => {
            Command::Switchover { to: id(backend), verify: duration(verify) }
        }
        ["failback"] => Command::Failback { verify: none },
        ["failback", "verify", verify] => Command::Failback { verify: duration(verify) },
        ["drill", length] => Command::Drill { length: duration(length) },
        ["end_drill"] => Command::EndDrill,
        ["settle", "done"] => Command::SettleGate(Settlement::Done),
        ["settle", "failed"] => Command::SettleGate(Settlement::Failed),
        ["settle", "again"] => Command::SettleGate(Settlement::Again),
        ["pin"] => Command::Pin,
        ["unpin"] => Command::Unpin,
        ["lock"] => Command::Lock,
        ["unlock"] => Command::Unlock,
        ["ready", backend] => Command::SetAdmin(id(backend), AdminState::Ready),
        ["drain", backend] => Command::SetAdmin(id(backend), AdminState::Drain),
        ["maintenance", backend] => Command::SetAdmin(id(backend), AdminState::Maintenance),
        _ => panic!("no such command: {words:?}"),
    }
}

fn reason_text(reason: Reason) -> &'static str {
    match reason {
        Reason::Startup => "startup",
        Reason::Failover => "failover",
        Reason::Failback => "failback",
        Reason::Recovery => "recovery",
        Reason::Switchover => "switchover",
        Reason::Reload => "reload",
        Reason::Return => "return",
        Reason::Drill => "drill",
    }
}

fn refusal_text(why: Refusal) -> &'static str {
    match why {
        Refusal::UnknownBackend => "rejected unknown backend",
        Refusal::NotEligible => "rejected not eligible",
        Refusal::NothingActive => "rejected nothing active",
        Refusal::Switching => "rejected switching",
        Refusal::NeverFailsBack => "rejected never fails back",
        Refusal::NoStandby => "rejected no standby",
        Refusal::Pinned => "rejected pinned",
        Refusal::Locked => "rejected locked",
        Refusal::Verifying => "rejected verifying",
        Refusal::Drilling => "rejected drilling",
        Refusal::NoDrill => "rejected no drill",
        Refusal::NoDoubt => "rejected no doubt",
        Refusal::InDoubt => "rejected in doubt",
    }
}

fn claim(words: &[&str]) -> Claim {
    let mut claim = Claim::default();
    for &word in words {
        match word {
            "serve" => claim.wish = Some(Wish::Serve),
            "drain" => claim.wish = Some(Wish::Drain),
            "maintenance" => claim.wish = Some(Wish::Maintenance),
            _ => claim.role = Some(role(word)),
        }
    }
    claim
}

fn role(word: &str) -> Role {
    match word {
        "active" => Role::Active,
        "standby" => Role::Standby,
        "promoting" => Role::Promoting,
        "fenced" => Role::Fenced,
        _ => panic!("no such role: {word}"),
    }
}

/// With a space before each word; nothing for what is not said.
fn claim_text(claim: Claim) -> String {
    let role = claim.role.map(|role| match role {
        Role::Active => " active",
        Role::Standby => " standby",
        Role::Promoting => " promoting",
        Role::Fenced => " fenced",
    });
    let wish = claim.wish.map(|wish| match wish {
        Wish::Serve => " serve",
        Wish::Drain => " drain",
        Wish::Maintenance => " maintenance",
    });
    [role.unwrap_or_default(), wish.unwrap_or_default()].concat()
}

fn health_text(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    }
}

fn admin_text(admin: AdminState) -> &'static str {
    match admin {
        AdminState::Ready => "ready",
        AdminState::Drain => "drain",
        AdminState::Maintenance => "maintenance",
    }
}

fn words_of<'a>(line: &'a str, head: &str) -> Vec<&'a str> {
    line.strip_prefix(head).unwrap_or_default().split_whitespace().collect()
}

fn ids(words: &[&str]) -> Vec<BackendId> {
    words.iter().map(|w| id(w)).collect()
}

fn id(letter: &str) -> BackendId {
    assert!(letter.len() == 1, "backends are letters: {letter}");
    BackendId(u32::from(letter.as_bytes()[0] - b'a'))
}

fn name(id: Option<BackendId>) -> String {
    id.map_or("none".to_owned(), |id| char::from(b'a' + id.0 as u8).to_string())
}

fn duration(text: &str) -> Duration {
    match text {
        "forever" => Duration::MAX,
        _ => {
            let number = text.strip_suffix('s').expect("seconds, as 1.5s");
            Duration::from_millis((number.parse::<f64>().expect("a number") * 1000.0) as u64)
        }
    }
}

fn seconds(duration: Duration) -> String {
    if duration == Duration::MAX {
        return "forever".to_owned();
    }
    format!("{}s", duration.as_millis() as f64 / 1000.0)
}
