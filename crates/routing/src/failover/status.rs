//! Everything an operator may ask of a service. Changes nothing.

use std::time::{Duration, Instant};

use super::{
    AdminState, BackendId, Claim, DrillStatus, Failover, GateStatus, Health, PendingFailback,
    Standing, SwitchStatus, VerifyingStatus,
};

/// Everything an operator may ask, as of the last input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The active, if any.
    pub active: Option<BackendId>,
    /// The number of the last change of the active.
    pub epoch: u64,
    /// Whether the operator asked to stay here.
    pub pinned: bool,
    /// Whether automatic moves are off, by a lock.
    pub locked: bool,
    /// The hold-down in force, with damping; `None` when the service does not fail back by itself.
    pub hold_down: Option<Duration>,
    /// Flaps in a row.
    pub flaps: u32,
    /// Automatic moves that count against the lock rule.
    pub recent_switches: usize,
    /// Since when two backends or more claim the active role, if they do.
    pub dual_active: Option<DualActiveStatus>,
    /// The failback to the first backend; `None` when that is the active, or nobody is.
    pub failback: Option<PendingFailback>,
    /// The move under way.
    pub switch: Option<SwitchStatus>,
    /// The ordered move that is being watched.
    pub verifying: Option<VerifyingStatus>,
    /// The drill that runs.
    pub drill: Option<DrillStatus>,
    /// The gate that has begun and not ended.
    pub gate: Option<GateStatus>,
    /// Whether a planned move waits for a job to end.
    pub waits_for_job: bool,
    /// In priority order.
    pub backends: Vec<BackendStatus>,
}

/// Two backends or more claim the active role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DualActiveStatus {
    /// Since when.
    pub since: Instant,
    /// Whether the operator has said that automatic moves go on all the same.
    pub accepted: bool,
}

/// One backend of a [`Status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Which.
    pub id: BackendId,
    /// What the probes say.
    pub health: Health,
    /// What the operator wishes.
    pub admin: AdminState,
    /// What it says of itself, as far as it counts; forgotten when it goes down.
    pub claim: Claim,
    /// Consecutive verdicts against the present health.
    pub streak: u32,
    /// Passed probes in a row that say something else than `claim`.
    pub claim_streak: u32,
    /// Whether it has to say again that it is active, since another says so, too.
    pub needs_word: bool,
    /// Passed probes in a row since it became eligible.
    pub passes: u32,
    /// Since when it is eligible.
    pub eligible_since: Option<Instant>,
    /// Whether it holds the active role in its application.
    pub standing: Standing,
    /// Whether it may not become active because a gate failed.
    pub barred: bool,
    /// Whether what it knows is too old for it to become active.
    pub stale: bool,
}

impl BackendStatus {
    /// Whether the next verdicts could change the health, or what counts as the claim, or tell whether
    /// two are active: then they should come quickly.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        let changes = self.health == Health::Unknown || self.streak > 0 || self.claim_streak > 0;
        changes || self.needs_word
    }
}

impl Failover {
    /// Everything an operator may ask.
    #[must_use]
    pub fn status(&self) -> Status {
        let backends = self.backends.iter().map(|b| BackendStatus {
            id: b.id,
            health: b.health,
            admin: b.admin,
            claim: b.claim(),
            streak: b.streak,
            claim_streak: b.claim_streak(),
            needs_word: self.needs_word(b),
            passes: b.passes,
            eligible_since: b.eligible_since(),
            standing: b.standing,
            barred: b.barred,
            stale: b.stale,
        });
        Status {
            active: self.active,
            epoch: self.epoch,
            pinned: self.pinned,
            locked: self.locked,
            hold_down: self.hold_down(),
            flaps: self.flaps,
            recent_switches: self.recent_switches(),
            dual_active: self.dual_status(),
            failback: self.pending_failback(),
            switch: self.switch_status(),
            verifying: self.verifying_status(),
            drill: self.drill_status(),
            gate: self.gate_status(),
            waits_for_job: self.switching.waits_for_job_until().is_some(),
            backends: backends.collect(),
        }
    }
}
