//! What outlives a restart: from the decision to the state, and back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use routing::failover::{AdminState, BackendId, Effect, Failover, GateRun, Policy, Reason, Saved};

use super::Driver;
use super::clock::Clock;
use crate::command::Operator;
use crate::state::{
    SavedAdmin, SavedDrill, SavedFailback, SavedGate, SavedMark, SavedService, SavedSwitchover,
    Write, epoch_from,
};

/// What is remembered beside the decision: who wanted what, and what is to come.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Who set the admin state of a backend, by its name.
    pub(super) admin: BTreeMap<Arc<str>, SavedMark>,
    pub(super) pin: SavedMark,
    pub(super) lock: SavedMark,
    pub(super) scheduled: Option<SavedSwitchover>,
    /// It was due, and nothing was known of its backend. Not remembered.
    pub(super) was_due: bool,
}

/// Why what was kept last is not on the disk; `None`: it is. Whoever waits for the disk says so.
pub(super) type Unkept = Arc<Mutex<Option<String>>>;

/// Whether an effect changes what must not be forgotten.
pub(super) fn matters(effect: &Effect) -> bool {
    match effect {
        Effect::ActiveChanged { .. }
        | Effect::AdminChanged { .. }
        | Effect::Locked
        | Effect::Unlocked
        | Effect::DrillBegan { .. }
        | Effect::DrillEnded { .. }
        | Effect::RunGate { .. }
        | Effect::GateInDoubt { .. }
        | Effect::Barred { .. }
        | Effect::Release { .. } => true,
        Effect::Hold { .. }
        | Effect::Verified { .. }
        | Effect::HealthChanged { .. }
        | Effect::ClaimChanged { .. }
        | Effect::DualActive
        | Effect::DualActiveCleared { .. }
        | Effect::Rejected { .. } => false,
    }
}

/// The decision of a service, going on from what was `saved` of it.
pub(super) fn resume(
    saved: SavedService,
    backends: &[(BackendId, Arc<str>)],
    policy: Policy,
) -> (Failover, Kept) {
    let clock = Clock::look();
    let id = |name: &Arc<str>| backends.iter().find(|(_, known)| known == name).map(|(id, _)| *id);
    let (admin, standings) = (saved.admin.iter(), saved.standings.iter());
    let core = Saved {
        active: saved.active.as_ref().and_then(id),
        epoch: epoch_from(saved.epoch, clock.wall),
        pinned: saved.pinned,
        locked: saved.locked,
        flaps: saved.flaps,
        failed_back: saved
            .failed_back
            .as_ref()
            .and_then(|failback| Some((id(&failback.backend)?, clock.age(failback.at_ms)))),
        switches: saved.switches_ms.iter().map(|&ms| clock.age(ms)).collect(),
        admin: admin.clone().filter_map(|(name, wish)| Some((id(name)?, wish.state))).collect(),
        drill: saved
            .drill
            .as_ref()
            .and_then(|drill| Some((id(&drill.backend)?, clock.left(drill.until_ms)))),
        standings: standings
            .filter_map(|(name, saved)| Some((id(name)?, (*saved).into())))
            .collect(),
        barred: saved.barred.iter().filter_map(id).collect(),
        gate: saved.gate.as_ref().and_then(|gate| gate_run(gate, id)),
    };
    let kept = Kept {
        admin: admin.map(|(name, wish)| (name.clone(), wish.mark.clone())).collect(),
        pin: saved.pin,
        lock: saved.lock,
        scheduled: saved.scheduled,
        was_due: false,
    };
    let ids: Vec<BackendId> = backends.iter().map(|(id, _)| *id).collect();
    let failover = Failover::resume(clock.now, &ids, policy, core);
    (failover, kept)
}

/// A gate under way; `None`: one of its backends is gone.
fn gate_run(saved: &SavedGate, id: impl Fn(&Arc<str>) -> Option<BackendId>) -> Option<GateRun> {
    Some(GateRun {
        epoch: saved.epoch,
        gate: saved.gate,
        direction: saved.direction,
        backend: id(&saved.backend)?,
        from: saved.from.as_ref().and_then(&id),
        to: id(&saved.to)?,
        reason: saved.reason,
    })
}

/// Who did something, at `at`.
pub(super) fn mark(by: &Operator, at: SystemTime) -> SavedMark {
    let at_ms = super::clock::to_ms(at);
    SavedMark { who: by.who.clone(), from: by.from.clone(), why: by.why.clone(), at_ms }
}

/// The rules, where operators would be named.
fn rules(why: &str) -> SavedMark {
    let by = Operator { why: why.into(), ..Operator::local(RULES) };
    mark(&by, SystemTime::now())
}

/// The name of the rules where operators are named.
const RULES: &str = "the rules";

/// A word on the disk is a single step: it stays usable whatever happened elsewhere.
fn lock(unkept: &Unkept) -> MutexGuard<'_, Option<String>> {
    unkept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Driver {
    /// Notes who did what a step has done: an operator, or the rules. A lock by order is noted where
    /// it is ordered.
    pub(super) fn note_marks(&mut self, effects: &[Effect], is_lock: bool) {
        for effect in effects {
            match *effect {
                Effect::Locked if !is_lock => {
                    if let Some(why) = self.failed_gate() {
                        self.kept.lock = rules(why);
                        continue;
                    }
                    let rule = self.failover.policy().lock.map_or_else(String::new, |rule| {
                        format!("{} automatic moves within {:?}", rule.switches, rule.within)
                    });
                    self.kept.lock = rules(&rule);
                }
                Effect::ActiveChanged { reason: Reason::Return, .. } => {
                    self.kept.pin = rules("an ordered move was taken back");
                }
                // Whoever orders a move pins the service once the traffic has moved, no sooner.
                Effect::ActiveChanged { reason: Reason::Switchover, .. } => {
                    let by = self.asked.as_ref().map(|asked| mark(&asked.by, SystemTime::now()));
                    self.kept.pin = by.unwrap_or_default();
                }
                Effect::ActiveChanged { .. }
                | Effect::RunGate { .. }
                | Effect::GateInDoubt { .. }
                | Effect::Barred { .. }
                | Effect::AdminChanged { .. }
                | Effect::Locked
                | Effect::Unlocked
                | Effect::DrillBegan { .. }
                | Effect::DrillEnded { .. }
                | Effect::Release { .. }
                | Effect::Hold { .. }
                | Effect::Verified { .. }
                | Effect::HealthChanged { .. }
                | Effect::ClaimChanged { .. }
                | Effect::DualActive
                | Effect::DualActiveCleared { .. }
                | Effect::Rejected { .. } => {}
            }
        }
    }

    /// Why the service is locked, in words.
    pub(super) fn lock_words(&self) -> Arc<str> {
        let SavedMark { who, why, .. } = &self.kept.lock;
        match (&**who == RULES, why.is_empty()) {
            (true, _) => why.clone(),
            (false, true) => format!("ordered by {who}").into(),
            (false, false) => format!("ordered by {who}, {why}").into(),
        }
    }

    /// Whether a step with these effects is one of a move: requests wait, or are about to.
    pub(super) fn traffic_waits(&self, effects: &[Effect]) -> bool {
        let of_move = |effect: &Effect| {
            matches!(
                effect,
                Effect::ActiveChanged { .. } | Effect::Hold { .. } | Effect::Release { .. }
            )
        };
        self.failover.status().switch.is_some() || effects.iter().any(of_move)
    }

    /// Writes down what must not be forgotten, before it is acted upon. A disk that does not take it
    /// stops nothing: it is said, and tried again; nor does one that is slow hold up the traffic, when
    /// it `is_urgent`. Else the store bounds how long it takes.
    pub(super) async fn keep(&mut self, is_urgent: bool) {
        let write = Write::Service(self.name.clone(), Box::new(self.saved()));
        let (board, unkept) = (self.board.clone(), Arc::new(Mutex::new(None)));
        *lock(&unkept) = Some("the disk has not answered yet".to_owned());
        self.unkept = unkept.clone();
        let kept = tokio::spawn(async move {
            let why = board.keep(write).await;
            *lock(&unkept) = why;
        });
        if is_urgent {
            // It goes on writing after that.
            let _ = tokio::time::timeout(KEPT_WITHIN, kept).await;
        } else {
            let _ = kept.await;
        }
    }

    /// What whoever is told `text` must know if what was kept last is not on the disk.
    pub(super) fn with_unkept(&self, mut text: String) -> String {
        if let Some(why) = &*lock(&self.unkept) {
            text += &format!(", but not on the disk yet: a restart may forget it: {why}");
        }
        text
    }

    /// All that must not be forgotten.
    pub(super) fn saved(&self) -> SavedService {
        let clock = Clock::look();
        let core = self.failover.saved(clock.now);
        let wish = |(id, state): (BackendId, AdminState)| {
            let name = self.name(id);
            let mark = self.kept.admin.get(&name).cloned().unwrap_or_default();
            (name, SavedAdmin { state, mark })
        };
        let standings = core.standings.into_iter();
        let mut jobs = SavedService::default();
        self.jobs.save(&mut jobs);
        let wishes = core.admin.into_iter().filter(|(_, state)| *state != AdminState::Ready);
        SavedService {
            active: core.active.map(|id| self.name(id)),
            epoch: core.epoch,
            pinned: core.pinned,
            pin: self.kept.pin.clone(),
            locked: core.locked,
            lock: self.kept.lock.clone(),
            flaps: core.flaps,
            failed_back: core.failed_back.map(|(id, age)| SavedFailback {
                backend: self.name(id),
                at_ms: clock.ms_ago(age),
            }),
            admin: wishes.map(wish).collect(),
            switches_ms: core.switches.into_iter().map(|age| clock.ms_ago(age)).collect(),
            drill: core.drill.map(|(id, left)| SavedDrill {
                backend: self.name(id),
                until_ms: clock.ms_in(left),
            }),
            scheduled: self.kept.scheduled.clone(),
            standings: standings.map(|(id, at)| (self.name(id), at.into())).collect(),
            barred: core.barred.into_iter().map(|id| self.name(id)).collect(),
            // While we end none begins any more.
            gate: core.gate.filter(|_| !self.is_ending).map(|run| self.saved_gate(run)),
            jobs: jobs.jobs,
            was_active_ms: jobs.was_active_ms,
        }
    }

    fn saved_gate(&self, run: GateRun) -> SavedGate {
        SavedGate {
            epoch: run.epoch,
            gate: run.gate,
            direction: run.direction,
            backend: self.name(run.backend),
            from: run.from.map(|from| self.name(from)),
            to: self.name(run.to),
            reason: run.reason,
        }
    }

    /// When the ordered move that is to come is due, or to be looked at again.
    pub(super) fn scheduled_at(&self) -> Option<Instant> {
        let at = super::clock::from_ms(self.kept.scheduled.as_ref()?.at_ms);
        // If it is due already, nothing is known of its backend yet.
        let now = SystemTime::now();
        Some(Clock::wake_for(if at > now { at } else { now + LOOK_AGAIN }))
    }
}

/// How long the traffic waits for the disk.
const KEPT_WITHIN: Duration = Duration::from_millis(250);

/// How soon to look again whether an ordered move can be made.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How late an ordered move may be and still be made: later, whoever ordered it is not looking any
/// more.
pub(super) const LATE: Duration = Duration::from_secs(60);
