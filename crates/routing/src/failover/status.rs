//! Everything an operator may ask of a service. Changes nothing.

use std::time::{Duration, Instant};

use super::{AdminState, BackendId, Failover, Health};

/// Everything an operator may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The active, if any.
    pub active: Option<BackendId>,
    /// Changes of the active so far.
    pub epoch: u64,
    /// Whether the operator asked to stay here.
    pub pinned: bool,
    /// Whether automatic moves are off.
    pub locked: bool,
    /// The hold-down in force, with damping; `None` when failback is manual.
    pub hold_down: Option<Duration>,
    /// The failback that would happen if nothing else did.
    pub failback_due: Option<(BackendId, Instant)>,
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
    /// Since when it may be active.
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
            eligible_since: b.eligible_since(),
        });
        Status {
            active: self.active,
            epoch: self.epoch,
            pinned: self.pinned,
            locked: self.locked,
            hold_down: self.hold_down(),
            failback_due: self.failback_due(),
            backends: backends.collect(),
        }
    }
}
