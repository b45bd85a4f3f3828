//! The scenario language: a script in, the events out as text.
//!
//! ```text
//! backends a b c                      first line, optional (default: a b); letters in priority order
//! policy fall 1 hold_down 30s manual  next line, optional; see `policy` for the words
//! at 1.2s probe a fail                one input; several are joined by `;`
//! late 9s tick                        the same, but no tick came since the line before
//! ```
//!
//! Like the real driver, a script sends a tick whenever `wake_at` says so.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::super::{
    AdminState, AllDown, BackendId, Command, Conditions, Damping, Effect, Failback, Failover,
    Health, Input, LockRule, Policy, Reason, Refusal, Verdict,
};

/// Runs the script and compares what it says, line by line.
#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    let actual = Run::of(script);
    let trimmed: Vec<_> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let expected = trimmed.join("\n");
    assert!(actual == expected, "\n--- expected\n{expected}\n--- actual\n{actual}\n");
}

/// By itself after this hold-down.
pub(super) fn auto(hold_down: Duration) -> Failback {
    Failback::Auto(Conditions { hold_down, passes: 0, in_flight_below: None, windowed: false })
}

pub(super) fn default_policy() -> Policy {
    Policy {
        rise: 2,
        fall: 3,
        failback: auto(Duration::from_secs(10)),
        all_down: AllDown::Reject,
        startup_grace: Duration::from_secs(2),
        damping: Damping { window: Duration::from_secs(60), cap: Duration::from_secs(300) },
        lock: None,
        exclusive: None,
    }
}

struct Run {
    start: Instant,
    now: Duration,
    failover: Failover,
    policy: Policy,
    said: Vec<String>,
}

impl Run {
    fn of(script: &str) -> String {
        let mut lines = script.lines().map(str::trim).filter(|l| !l.is_empty()).peekable();
        let backends = lines.next_if(|l| l.starts_with("backends "));
        let words = lines.next_if(|l| l.starts_with("policy "));
        let policy = policy(default_policy(), &words.map_or(vec![], |l| words_of(l, "policy ")));
        let start = Instant::now();
        let ids = ids(&words_of(backends.unwrap_or("backends a b"), "backends "));
        let failover = Failover::new(start, &ids, policy.clone());
        let mut run = Self { start, now: Duration::ZERO, failover, policy, said: vec![] };
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
            self.now = at - self.start;
            self.step(Input::Tick);
        }
    }

    fn statement(&mut self, words: &[&str]) {
        let input = match words {
            ["tick"] => Input::Tick,
            ["probe", backend, verdict] => {
                let verdict = match *verdict {
                    "pass" => Verdict::Pass,
                    "fail" => Verdict::Fail,
                    "unclear" => Verdict::Inconclusive,
                    _ => panic!("no such verdict: {verdict}"),
                };
                Input::Probe { backend: id(backend), verdict }
            }
            ["command", command @ ..] => Input::Command(self::command(command)),
            ["reload", rest @ ..] => {
                let with = rest.iter().position(|w| *w == "with").unwrap_or(rest.len());
                self.policy = policy(self.policy.clone(), rest.get(with + 1..).unwrap_or(&[]));
                Input::Reconfigure { backends: ids(&rest[..with]), policy: self.policy.clone() }
            }
            ["show"] => return self.show(),
            ["show", backend] => return self.show_backend(id(backend)),
            _ => panic!("no such statement: {words:?}"),
        };
        self.step(input);
    }

    fn step(&mut self, input: Input) {
        for effect in self.failover.step(self.start + self.now, input) {
            self.say(&effect_text(effect));
        }
    }

    fn show(&mut self) {
        let status = self.failover.status();
        let mut text = format!("status {} epoch {}", name(status.active), status.epoch);
        for (word, on) in [("pinned", status.pinned), ("locked", status.locked)] {
            if on {
                let _ = write!(text, " {word}");
            }
        }
        if let Some(hold_down) = status.hold_down {
            let _ = write!(text, " hold_down {}", seconds(hold_down));
        }
        if let Some((backend, at)) = status.failback_due {
            let at = seconds(at - self.start);
            let _ = write!(text, " failback {} at {at}", name(Some(backend)));
        }
        self.say(&text);
    }

    fn show_backend(&mut self, id: BackendId) {
        let status = self.failover.status();
        let backend = status.backends.iter().find(|b| b.id == id).expect("a backend");
        let since = backend.eligible_since.map_or("not eligible".to_owned(), |at| {
            format!("eligible since {}", seconds(at - self.start))
        });
        let doubt = if backend.in_doubt() { " in doubt" } else { "" };
        let (health, streak) = (health_text(backend.health), backend.streak);
        let admin = admin_text(backend.admin);
        self.say(&format!("{} {health} {admin} streak {streak} {since}{doubt}", name(Some(id))));
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
            "hold_down" => policy.failback = auto(duration(value())),
            "manual" => policy.failback = Failback::Manual,
            "reject" => policy.all_down = AllDown::Reject,
            "keep_last" => policy.all_down = AllDown::KeepLast,
            "grace" => policy.startup_grace = duration(value()),
            "window" => policy.damping.window = duration(value()),
            "cap" => policy.damping.cap = duration(value()),
            "lock_after" => {
                policy.lock = Some(LockRule {
                    switches: value().parse().expect("a number"),
                    within: Duration::MAX,
                });
            }
            _ => panic!("no such policy: {word}"),
        }
    }
    policy
}

fn command(words: &[&str]) -> Command {
    match words {
        ["switchover", backend] => Command::Switchover(id(backend)),
        ["failback"] => Command::Failback,
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

fn effect_text(effect: Effect) -> String {
    match effect {
        Effect::ActiveChanged { from, to, reason, epoch } => {
            let reason = match reason {
                Reason::Startup => "startup",
                Reason::Failover => "failover",
                Reason::Failback => "failback",
                Reason::Recovery => "recovery",
                Reason::Switchover => "switchover",
                Reason::Reload => "reload",
            };
            format!("{} -> {} {reason} {epoch}", name(from), name(to))
        }
        Effect::HealthChanged { backend, health } => {
            format!("{} {}", name(Some(backend)), health_text(health))
        }
        Effect::AdminChanged { backend, admin } => {
            format!("{} {}", name(Some(backend)), admin_text(admin))
        }
        Effect::Locked => "locked".to_owned(),
        Effect::Unlocked => "unlocked".to_owned(),
        Effect::Rejected { why } => match why {
            Refusal::UnknownBackend => "rejected unknown backend".to_owned(),
            Refusal::NotEligible => "rejected not eligible".to_owned(),
            Refusal::NothingActive => "rejected nothing active".to_owned(),
        },
    }
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
