//! What is known of one backend: health from verdicts, the operator's wish, what it says of itself,
//! since when it is eligible.
//!
//! Knows nothing of the other backends and of who is active.

use std::time::Instant;

use super::claim::Claims;
use super::{Claim, Policy, Standing};

/// Names one backend for as long as the process runs; never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u32);

/// The result of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The backend answered as it should.
    Pass,
    /// It did not.
    Fail,
    /// We cannot tell, for example because we were late ourselves. Changes nothing.
    Inconclusive,
}

/// What the probes say of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// No verdict yet, or too few after a restart. Never used for traffic.
    Unknown,
    /// Answering.
    Up,
    /// Not answering.
    Down,
}

/// The part that a backend says it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It does the work.
    Active,
    /// It is ready to do it.
    Standby,
    /// It is on its way from standby to active. Never used for traffic.
    Promoting,
    /// It must not do it. Never used for traffic.
    Fenced,
}

/// What a backend asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// Requests, as ever.
    Serve,
    /// No new requests; running ones finish.
    Drain,
    /// No requests at all.
    Maintenance,
}

/// What the operator wishes for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// May be active.
    Ready,
    /// No new requests; running ones finish.
    Drain,
    /// No requests at all.
    Maintenance,
}

#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) id: BackendId,
    pub(super) health: Health,
    pub(super) admin: AdminState,
    claims: Claims,
    /// The step that brought its last pass; 0: that pass spoke of another role than the active one.
    pub(super) heard: u64,
    /// Whether it was the last active before a restart: one lost probe right after it must not cost
    /// it the service, so no single failure takes it down.
    pub(super) has_served: bool,
    /// Consecutive verdicts against the present health.
    pub(super) streak: u32,
    /// Passes in a row since it became eligible, with the one that made it so.
    pub(super) passes: u32,
    eligible_since: Option<Instant>,
    /// Whether it holds the active role in its application.
    pub(super) standing: Standing,
    /// A gate of its move failed.
    pub(super) barred: bool,
    /// What it knows is too old.
    pub(super) stale: bool,
}

impl Backend {
    pub(super) fn new(id: BackendId) -> Self {
        let (health, admin) = (Health::Unknown, AdminState::Ready);
        let (claims, eligible_since) = (Claims::default(), None);
        let (heard, has_served, streak, passes) = (0, false, 0, 0);
        Self {
            id,
            health,
            admin,
            claims,
            heard,
            has_served,
            streak,
            passes,
            eligible_since,
            standing: Standing::Standby,
            barred: false,
            stale: false,
        }
    }

    pub(super) fn is_eligible(&self) -> bool {
        self.eligible_since.is_some()
    }

    /// What makes it eligible under this policy.
    pub(super) fn meets(&self, policy: &Policy) -> bool {
        self.health == Health::Up
            && self.admin == AdminState::Ready
            && self.claim().allows(policy.required_role)
    }

    /// Whether its first verdict could make it eligible.
    pub(super) fn is_awaited(&self) -> bool {
        self.health == Health::Unknown && self.admin == AdminState::Ready
    }

    /// Whether its probes say that it is of no use: down, or not by its own word.
    pub(super) fn has_failed(&self, policy: &Policy) -> bool {
        match self.health {
            Health::Unknown => false,
            Health::Up => !self.claim().allows(policy.required_role),
            Health::Down => true,
        }
    }

    /// What it says of itself, as far as it counts.
    pub(super) fn claim(&self) -> Claim {
        self.claims.confirmed()
    }

    /// The same, but of one that is down what counted before that.
    pub(super) fn last_word(&self) -> Claim {
        self.claims.last_word(self.health)
    }

    /// Passes in a row that claim something else.
    pub(super) fn claim_streak(&self) -> u32 {
        self.claims.streak()
    }

    /// Whether it would work as the active if it were asked to.
    pub(super) fn claims_to_be_active(&self) -> bool {
        let usable = self.health == Health::Up && self.admin == AdminState::Ready;
        let claim = self.claim();
        usable && claim.role == Some(Role::Active) && !claim.is_unwilling()
    }

    pub(super) fn eligible_since(&self) -> Option<Instant> {
        self.eligible_since
    }

    /// Counts a verdict, and what came with it. The first verdict decides, with one exception.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        verdict: Verdict,
        claim: Claim,
        policy: &Policy,
    ) {
        match verdict {
            Verdict::Inconclusive => return,
            Verdict::Pass => self.passed(claim, policy),
            Verdict::Fail => self.failed(policy),
        }
        self.refresh(now, policy);
        self.passes = match verdict {
            Verdict::Pass if self.is_eligible() => self.passes.saturating_add(1),
            Verdict::Pass | Verdict::Fail | Verdict::Inconclusive => 0,
        };
    }

    fn passed(&mut self, claim: Claim, policy: &Policy) {
        let needed = match self.health {
            Health::Unknown => 1,
            Health::Down => policy.rise,
            Health::Up => {
                self.streak = 0;
                return self.claims.weigh(claim, policy.rise);
            }
        };
        if self.tips(needed) {
            self.health = Health::Up;
            self.claims.believe(claim);
        }
    }

    fn failed(&mut self, policy: &Policy) {
        let needed = match self.health {
            Health::Unknown if !self.has_served => 1,
            Health::Unknown | Health::Up => policy.fall,
            Health::Down => {
                self.streak = 0;
                return;
            }
        };
        self.claims.interrupt();
        if self.tips(needed) {
            self.health = Health::Down;
            self.claims.forget();
        }
    }

    /// Counts a verdict against the present health; true when that was the last one needed.
    fn tips(&mut self, needed: u32) -> bool {
        self.streak = self.streak.saturating_add(1);
        let tips = self.streak >= needed;
        if tips {
            self.streak = 0;
        }
        tips
    }

    /// True when that was another state before.
    pub(super) fn set_admin(&mut self, now: Instant, admin: AdminState, policy: &Policy) -> bool {
        let changed = self.admin != admin;
        self.admin = admin;
        self.refresh(now, policy);
        changed
    }

    /// Any break, however short, starts the hold-down anew.
    pub(super) fn refresh(&mut self, now: Instant, policy: &Policy) {
        self.eligible_since = self.meets(policy).then(|| self.eligible_since.unwrap_or(now));
        if !self.is_eligible() {
            self.passes = 0;
        }
    }
}
