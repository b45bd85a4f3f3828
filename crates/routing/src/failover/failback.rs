//! What a failback waits for: the conditions of the policy, and what an operator has to say.

use std::time::Instant;

use super::backend::Backend;
use super::{AdminState, BackendId, Claim, Failback, Failover, Health, Reason, Refusal, after};

/// The failback to the first backend of a service that another one serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingFailback {
    /// The first backend.
    pub to: BackendId,
    /// When it will happen, if only time is missing and nothing else changes.
    pub due: Option<Instant>,
    /// Why not now. Never empty.
    pub blockers: Vec<Blocker>,
}

/// Why a failback does not happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocker {
    /// The backend is not eligible.
    NotEligible {
        /// What the probes say.
        health: Health,
        /// What the operator wishes.
        admin: AdminState,
        /// What the backend says of itself.
        claim: Claim,
    },
    /// It has not been eligible for long enough.
    HoldDown {
        /// When it will have been.
        until: Instant,
    },
    /// Too few probes have passed in a row.
    Passes {
        /// So many did.
        have: u32,
        /// So many must.
        need: u32,
    },
    /// Too many requests are in flight, or it is not known how many.
    InFlight {
        /// There must be fewer than this.
        below: usize,
    },
    /// The failback window is closed.
    WindowClosed,
    /// The operator said stay.
    Pinned,
    /// The service is locked.
    Locked,
    /// Two backends or more claim the active role, and the operator has not accepted it.
    DualActive,
    /// The service fails back when the operator says so.
    Manual,
    /// The service never fails back.
    Never,
    /// A move is under way.
    Switching,
    /// An ordered move is still being watched.
    Verifying {
        /// When that ends.
        until: Instant,
    },
    /// The backend is treated as failed.
    Drill {
        /// When that ends.
        until: Instant,
    },
    /// A move was called off because not every worker acknowledged it.
    CalledOff {
        /// When the next one may be tried.
        until: Instant,
    },
    /// A gate of a move to this backend failed.
    Barred,
    /// What the backend knows is too old.
    Stale,
    /// A gate is under way, or nobody knows how one ended.
    Gate,
    /// A job runs that must not meet a move.
    Job {
        /// When the move begins all the same.
        until: Instant,
    },
}

impl Blocker {
    /// When time alone removes it.
    fn until(&self) -> Option<Instant> {
        match *self {
            Self::HoldDown { until }
            | Self::Verifying { until }
            | Self::Drill { until }
            | Self::CalledOff { until }
            | Self::Job { until } => Some(until),
            Self::NotEligible { .. }
            | Self::Passes { .. }
            | Self::InFlight { .. }
            | Self::WindowClosed
            | Self::Pinned
            | Self::Locked
            | Self::DualActive
            | Self::Manual
            | Self::Never
            | Self::Switching
            | Self::Barred
            | Self::Stale
            | Self::Gate => None,
        }
    }
}

impl Failover {
    /// Whether the number of requests in flight is all that a failback still needs: then say
    /// [`Input::InFlight`](super::Input::InFlight) from time to time.
    #[must_use]
    pub fn wants_in_flight(&self) -> bool {
        let only_that = |b| matches!(self.blockers(b)[..], [Blocker::InFlight { .. }]);
        self.switching.under_way.is_none() && self.higher().any(only_that)
    }

    /// Rule 5: whom to fail back to now. Of several the highest priority wins.
    pub(super) fn ripe(&self) -> Option<BackendId> {
        self.higher().find(|b| self.blockers(b).is_empty()).map(|b| b.id)
    }

    /// Whom the order to fail back would move to; it skips all conditions.
    pub(super) fn failback_by_order(&self) -> Result<BackendId, Refusal> {
        if self.policy.failback == Failback::Never {
            return Err(Refusal::NeverFailsBack);
        }
        // Not `first_free`: an order may leave the backend of a lock.
        let first = self.backends.iter().find(|b| self.may_be_ordered(b.id).is_ok());
        first.map(|b| b.id).ok_or(Refusal::NotEligible)
    }

    pub(super) fn pending_failback(&self) -> Option<PendingFailback> {
        let first = self.higher().next()?;
        let mut blockers = self.blockers(first);
        if self.switching.under_way.is_some() {
            blockers.push(Blocker::Switching);
        }
        if self.gates.under_way.is_some() {
            blockers.push(Blocker::Gate);
        }
        if let Some(until) = self.switching.waits_for_job_until() {
            blockers.push(Blocker::Job { until });
        }
        let due = blockers.iter().map(Blocker::until).collect::<Option<Vec<_>>>();
        let due = due.and_then(|times| times.into_iter().max());
        Some(PendingFailback { to: first.id, due, blockers })
    }

    /// When the next of all that blocks a failback goes by itself: the failback may be due then, or
    /// what else it needs can be asked for.
    pub(super) fn failback_nears(&self) -> Option<Instant> {
        let blockers = self.higher().flat_map(|b| self.blockers(b));
        blockers.filter_map(|b| b.until()).filter(|&until| until > self.now).min()
    }

    /// Everything that keeps the service from failing back to this one now.
    fn blockers(&self, backend: &Backend) -> Vec<Blocker> {
        let mut blockers = self.general_blockers();
        let Backend { health, admin, .. } = *backend;
        if backend.eligible_since().is_none() {
            blockers.push(Blocker::NotEligible { health, admin, claim: backend.claim() });
        }
        if backend.barred {
            blockers.push(Blocker::Barred);
        }
        if self.is_too_old(backend.id) {
            blockers.push(Blocker::Stale);
        }
        if let Some(drill) = self.drill.filter(|drill| drill.backend == backend.id) {
            blockers.push(Blocker::Drill { until: drill.until });
        } else if self.drilled != Some(backend.id) {
            self.push_policy_blockers(backend, &mut blockers);
        }
        blockers
    }

    /// What keeps the service from going back by itself to whomever.
    fn general_blockers(&self) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        if self.pinned {
            blockers.push(Blocker::Pinned);
        }
        if self.locked {
            blockers.push(Blocker::Locked);
        }
        if self.is_dual() {
            blockers.push(Blocker::DualActive);
        }
        if let Some(verifying) = &self.verifying {
            blockers.push(Blocker::Verifying { until: verifying.until });
        }
        if let Some(until) = self.switching.paused_until {
            blockers.push(Blocker::CalledOff { until });
        }
        blockers
    }

    /// What the policy says. No matter after a drill.
    fn push_policy_blockers(&self, backend: &Backend, blockers: &mut Vec<Blocker>) {
        let conditions = match self.policy.failback {
            Failback::Auto(conditions) => conditions,
            Failback::Manual => return blockers.push(Blocker::Manual),
            Failback::Never => return blockers.push(Blocker::Never),
        };
        if let (Some(since), Some(hold_down)) = (backend.eligible_since(), self.hold_down()) {
            let until = after(since, hold_down);
            if self.now < until {
                blockers.push(Blocker::HoldDown { until });
            }
            let (have, need) = (backend.passes, conditions.passes);
            if need > 1 && have < need {
                blockers.push(Blocker::Passes { have, need });
            }
        }
        if conditions.windowed && !self.window_open {
            blockers.push(Blocker::WindowClosed);
        }
        if let Some(below) = conditions.in_flight_below
            && self.in_flight.is_none_or(|requests| requests >= below)
            && !self.fails_back()
        {
            blockers.push(Blocker::InFlight { below });
        }
    }

    /// Whether a failback of the rules is under way, or waits to begin: it met every condition when it
    /// was wanted first.
    fn fails_back(&self) -> bool {
        let by_rule = |reason| matches!(reason, Reason::Failback | Reason::Reload);
        let switch = self.switching.under_way.as_ref();
        let waits = self.switching.waiting.is_some_and(|w| by_rule(w.reason));
        self.order.is_none() && (waits || switch.is_some_and(|s| s.planned && by_rule(s.reason)))
    }

    /// The backends of higher priority than the active; none if there is no active.
    fn higher(&self) -> impl Iterator<Item = &Backend> {
        self.active.into_iter().flat_map(|active| self.above(active))
    }
}
