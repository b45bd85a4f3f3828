//! What must hold after every step. Debug and test builds only; changes nothing.

use std::time::Instant;

use super::{AllDown, Effect, Failback, Failover, Health};

impl Failover {
    /// Panics unless I1 to I10 hold. `epoch_before` is the epoch before the step, `effects` what it
    /// returned.
    pub(super) fn check_invariants(&self, now: Instant, epoch_before: u64, effects: &[Effect]) {
        let active = self.active.and_then(|id| self.backend(id));
        let last = self.last.and_then(|id| self.backend(id));
        let changes: Vec<_> =
            effects.iter().filter(|e| matches!(e, Effect::ActiveChanged { .. })).collect();

        assert_eq!(
            active.is_some(),
            self.active.is_some(),
            "I1: the active is one of the backends"
        );

        let may_be_used = active.is_none_or(|b| match self.policy.all_down {
            AllDown::Reject => b.is_eligible(),
            AllDown::KeepLast => b.is_eligible() || self.is_ready(b.id),
        });
        assert!(may_be_used, "I2: only keep_last may use a backend that is not eligible");

        // While locked, `first_eligible` knows the last active only.
        if self.first_eligible().is_some_and(|first| !self.awaits_better(first, now)) {
            assert!(self.active_is_eligible(), "I3: whoever may serve, and is eligible, is used");
        }

        assert!(!self.pinned || self.active_is_eligible(), "I4: a pin needs an eligible active");

        assert_eq!(self.choose(now), self.active, "I5: asking twice changes nothing");

        assert!(self.wake_at().is_none_or(|at| at > now), "I6: the next tick lies in the future");

        for (at, b) in self.backends.iter().enumerate() {
            assert_eq!(
                b.eligible_since().is_some(),
                b.is_eligible(),
                "I7: eligible, so since when"
            );
            assert!(b.health != Health::Unknown || b.streak == 0, "I7: unknown, so no verdict");
            assert!(self.backends[..at].iter().all(|x| x.id != b.id), "I7: ids are unique");
        }

        assert_eq!(last.is_some(), self.last.is_some(), "I8: the last active is a backend");
        assert!(active.is_none() || self.last == self.active, "I8: the active is the last active");

        let base = match self.policy.failback {
            Failback::Auto(conditions) => Some(conditions.hold_down),
            Failback::Manual | Failback::Never => None,
        };
        assert_eq!(self.hold_down().is_some(), base.is_some(), "I9: manual has no hold-down");
        if let (Some(now), Some(base)) = (self.hold_down(), base) {
            assert!(now >= base, "I9: damping never shortens the hold-down");
            assert!(now <= base.max(self.policy.damping.cap), "I9: the cap holds");
            assert!(self.flaps > 0 || now == base, "I9: no flap, no damping");
        }

        assert!(changes.len() <= 1, "I10: one move a step");
        let counted = epoch_before + changes.len() as u64;
        assert_eq!(self.epoch, counted, "I10: the epoch counts the moves");
        for change in changes {
            let Effect::ActiveChanged { from, to, epoch, .. } = *change else { continue };
            assert!(from != to && to == self.active, "I10: the move is the one announced");
            assert_eq!(epoch, self.epoch, "I10: the epoch announced is the one in force");
        }
    }
}
