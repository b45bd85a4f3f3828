//! What is known of one backend: health from verdicts, the operator's wish, since when eligible.
//!
//! Knows nothing of the other backends and of who is active.

use std::time::Instant;

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
    /// No verdict yet. Never used for traffic.
    Unknown,
    /// Answering.
    Up,
    /// Not answering.
    Down,
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
    /// Consecutive verdicts against the present health.
    pub(super) streak: u32,
    /// Passes in a row since it became eligible, with the one that made it so.
    pub(super) passes: u32,
    eligible_since: Option<Instant>,
}

impl Backend {
    pub(super) fn new(id: BackendId) -> Self {
        let (health, admin) = (Health::Unknown, AdminState::Ready);
        Self { id, health, admin, streak: 0, passes: 0, eligible_since: None }
    }

    pub(super) fn is_eligible(&self) -> bool {
        self.health == Health::Up && self.admin == AdminState::Ready
    }

    /// Whether its first verdict could make it eligible.
    pub(super) fn is_awaited(&self) -> bool {
        self.health == Health::Unknown && self.admin == AdminState::Ready
    }

    pub(super) fn eligible_since(&self) -> Option<Instant> {
        self.eligible_since
    }

    /// Counts a verdict; true when it changed the health. The first one decides.
    pub(super) fn observe(&mut self, now: Instant, verdict: Verdict, rise: u32, fall: u32) -> bool {
        let changed = self.weigh(now, verdict, rise, fall);
        self.passes = match verdict {
            Verdict::Inconclusive => self.passes,
            Verdict::Pass if self.is_eligible() => self.passes.saturating_add(1),
            Verdict::Pass | Verdict::Fail => 0,
        };
        changed
    }

    fn weigh(&mut self, now: Instant, verdict: Verdict, rise: u32, fall: u32) -> bool {
        let (health, needed) = match (self.health, verdict) {
            (_, Verdict::Inconclusive) => return false,
            (Health::Unknown, Verdict::Pass) => (Health::Up, 1),
            (Health::Unknown, Verdict::Fail) => (Health::Down, 1),
            (Health::Down, Verdict::Pass) => (Health::Up, rise),
            (Health::Up, Verdict::Fail) => (Health::Down, fall),
            (Health::Up, Verdict::Pass) | (Health::Down, Verdict::Fail) => {
                self.streak = 0;
                return false;
            }
        };
        self.streak = self.streak.saturating_add(1);
        if self.streak < needed {
            return false;
        }
        self.streak = 0;
        self.health = health;
        self.refresh(now);
        true
    }

    /// True when that was another state before.
    pub(super) fn set_admin(&mut self, now: Instant, admin: AdminState) -> bool {
        let changed = self.admin != admin;
        self.admin = admin;
        self.refresh(now);
        changed
    }

    /// Any break, however short, starts the hold-down anew.
    fn refresh(&mut self, now: Instant) {
        self.eligible_since = self.is_eligible().then(|| self.eligible_since.unwrap_or(now));
        if !self.is_eligible() {
            self.passes = 0;
        }
    }
}
