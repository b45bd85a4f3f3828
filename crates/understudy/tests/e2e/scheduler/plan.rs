//! What happens in one schedule: all of it follows from a seed.

use std::fmt::Write as _;

use fastrand::Rng;
use serde_json::{Value, json};

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A scheduler is killed.
    Crash,
    /// It is stopped; its sockets stay.
    Hang,
    /// Nothing reaches it, and it goes on.
    Cut,
    /// Nothing: operators move the service.
    Orders,
}

/// Whether the gate that disables the jobs of the old one must succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    IfReachable,
}

/// Which of the two something is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever is the active then, or was it last.
    Active,
    /// The other one.
    Other,
}

/// When the next thing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So many milliseconds after the last.
    After(u64),
    /// When a scheduler has noted this of an order of a gate; if none does, after a while.
    Noted(&'static str),
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    /// The fault of this schedule.
    Break(Who),
    /// It is over, as soon as that is safe.
    Heal,
    /// SIGKILL of the balancer, and its next life after so many milliseconds.
    KillBalancer(u64),
    /// An operator's order, without waiting for its end.
    Order(&'static str, Option<Who>),
}

/// One schedule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) fault: Fault,
    pub(crate) need: Need,
    pub(crate) idempotent: bool,
    /// Whether a scheduler that is started again has its jobs as they were; else disabled.
    pub(crate) warm: bool,
    /// Gates and failback, as lines of the service.
    pub(crate) service: String,
    /// What orders meet at the schedulers.
    pub(crate) trouble: Value,
    pub(crate) deeds: Vec<(When, Deed)>,
}

impl Plan {
    /// That of this seed. Without islands nothing can be cut off.
    pub(crate) fn new(seed: u64, islands: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let fault = match random.u32(0..100) {
            0..35 => Fault::Crash,
            35..55 => Fault::Hang,
            55..80 if islands => Fault::Cut,
            _ => Fault::Orders,
        };
        let need = match fault {
            Fault::Crash if random.u32(0..100) < 75 => Need::IfReachable,
            Fault::Hang | Fault::Orders if random.bool() => Need::IfReachable,
            // What cannot be reached may be at work: it must be known to be harmless.
            Fault::Crash | Fault::Hang | Fault::Orders | Fault::Cut => Need::Required,
        };
        let idempotent = random.bool();
        let warm = random.bool();
        let service = service(&mut random, need, idempotent);
        let trouble = trouble(&mut random);
        let deeds = deeds(&mut random, fault);
        Self { seed, fault, need, idempotent, warm, service, trouble, deeds }
    }
}

fn service(random: &mut Rng, need: Need, idempotent: bool) -> String {
    let need = match need {
        Need::Required => "required",
        Need::IfReachable => "if_reachable",
    };
    let common = format!("deadline: 500ms, retries: 1, back_off: 20ms, idempotent: {idempotent}");
    let next = if random.u32(0..4) == 0 { ", on_failure: next_standby" } else { "" };
    let disable = format!(
        "{{ http: {{ url: /api/jobs/disable }}, need: {need}, on_failure: abort, {common} }}"
    );
    let enable = format!("{{ http: {{ url: /api/jobs/enable }}, {common}{next} }}");
    let export = format!("{{ http: {{ url: /api/export }}, need: best_effort, {common} }}");
    let seen =
        "{ http: { url: /api/jobs/enabled, method: GET }, deadline: 500ms, idempotent: true }";
    let verify = if random.bool() { format!(", verify: {seen}") } else { String::new() };
    let mut lines =
        format!("gates:\n  failover: {{ fence: {disable}, promote: {enable}{verify} }}\n");
    if random.bool() {
        let _ = writeln!(
            lines,
            "  failback: {{ demote: {disable}, sync: {export}, promote: {enable}{verify} }}"
        );
    }
    lines.push_str(match random.u32(0..3) {
        0 => "failback: manual\n",
        1 => "failback: { auto: { hold_down: 200ms } }\n",
        _ => "failback: { auto: { hold_down: 1s } }\n",
    });
    lines
}

/// Slow in the middle, or after the deadline; failing less often than it is tried, or more.
fn trouble(random: &mut Rng) -> Value {
    let mut of = || {
        let ms = |random: &mut Rng| match random.u32(0..10) {
            0..4 => 0,
            4..9 => random.u64(0..300),
            _ => random.u64(500..800),
        };
        let fails = if random.u32(0..4) == 0 { random.u32(1..4) } else { 0 };
        json!({ "before_ms": ms(random), "after_ms": ms(random), "fails": fails })
    };
    json!({ "enable": of(), "disable": of() })
}

fn deeds(random: &mut Rng, fault: Fault) -> Vec<(When, Deed)> {
    let mut deeds = Vec::new();
    let order = |random: &mut Rng| match random.u32(0..8) {
        0..3 => Deed::Order("switchover", Some(Who::Other)),
        3 => Deed::Order("failback", None),
        4 => Deed::Order("drain", Some(Who::Active)),
        5 => Deed::Order("unlock", None),
        6 => Deed::Order("unpin", None),
        _ => Deed::Order("drill", None),
    };
    let noted = |random: &mut Rng| {
        When::Noted(random.choice(["received", "carried out", "answered"]).expect("one of them"))
    };
    let kill = |random: &mut Rng| Deed::KillBalancer(random.u64(0..250));
    let soon = |random: &mut Rng| When::After(random.u64(0..250));
    if fault == Fault::Orders {
        for _ in 0..random.u32(2..4) {
            deeds.push((soon(random), order(random)));
            if random.u32(0..3) > 0 {
                deeds.push((noted(random), kill(random)));
            }
        }
        return deeds;
    }
    if random.u32(0..4) == 0 {
        deeds.push((soon(random), order(random)));
    }
    // Out of the blue, or whoever is in the middle of being promoted or fenced.
    let (when, who) = match random.u32(0..4) {
        0 => (noted(random), Who::Other),
        1 => (noted(random), Who::Active),
        _ => (soon(random), Who::Active),
    };
    if matches!(when, When::Noted(_)) {
        deeds.push((soon(random), Deed::Order("switchover", Some(Who::Other))));
    }
    deeds.push((when, Deed::Break(who)));
    if random.u32(0..3) > 0 {
        deeds.push((noted(random), kill(random)));
    }
    if random.u32(0..4) == 0 {
        deeds.push((soon(random), order(random)));
    }
    let heal = if random.bool() { When::After(random.u64(0..600)) } else { noted(random) };
    deeds.push((heal, Deed::Heal));
    if random.u32(0..4) == 0 {
        deeds.push((noted(random), kill(random)));
    }
    if random.u32(0..5) == 0 {
        deeds.push((soon(random), order(random)));
    }
    deeds
}
