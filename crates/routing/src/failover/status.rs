//! Everything an operator may ask of a service. Changes nothing.

use std::time::{Duration, Instant};

use super::{
    AdminState, BackendId, DrillStatus, Failover, Health, PendingFailback, SwitchStatus,
    VerifyingStatus,
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
    /// Whether automatic moves are off.
    pub locked: bool,
    /// The hold-down in force, with damping; `None` when the service does not fail back by itself.
    pub hold_down: Option<Duration>,
    /// Flaps in a row.
    pub flaps: u32,
    /// Automatic moves that count against the lock rule.
    pub recent_switches: usize,
    /// The failback to the first backend; `None` when that is the active, or nobody is.
    pub failback: Option<PendingFailback>,
    /// The move under way.
    pub switch: Option<SwitchStatus>,
    /// The ordered move that is being watched.
    pub verifying: Option<VerifyingStatus>,
    /// The drill that runs.
    pub drill: Option<DrillStatus>,
    /// In priority order.
    pub backends: Vec<BackendStatus>,
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
    /// Consecutive verdicts against the present health.
    pub streak: u32,
    /// Passed probes in a row since it became eligible.
    pub passes: u32,
    /// Since when it is eligible.
    pub eligible_since: Option<Instant>,
}

impl BackendStatus {
    /// Whether the next verdicts could change the health: then they should come quickly.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.health == Health::Unknown || self.streak > 0
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
            streak: b.streak,
            passes: b.passes,
            eligible_since: b.eligible_since(),
        });
        Status {
            active: self.active,
            epoch: self.epoch,
            pinned: self.pinned,
            locked: self.locked,
            hold_down: self.hold_down(),
            flaps: self.flaps,
            recent_switches: self.recent_switches(),
            failback: self.pending_failback(),
            switch: self.switch_status(),
            verifying: self.verifying_status(),
            drill: self.drill_status(),
            backends: backends.collect(),
        }
    }
}
