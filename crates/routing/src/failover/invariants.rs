//! What must hold after every step. Debug and test builds only; changes nothing.

use super::{AllDown, Backend, BackendId, Effect, Failback, Failover, Health, Reason};

impl Failover {
    /// Panics unless I1 to I17 hold. `before` is the state before the step, `effects` what it
    /// returned.
    pub(super) fn check_invariants(&self, before: &Self, effects: &[Effect]) {
        self.check_the_active();
        self.check_the_backends();
        self.check_the_damping();
        self.check_the_moves(before, effects);
        self.check_the_switch();
        self.check_what_is_watched();
    }

    fn check_the_active(&self) {
        let under_way = self.switching.under_way.is_some();
        let active = self.active.and_then(|id| self.backend(id));
        let last = self.last.and_then(|id| self.backend(id));

        let is_here = active.is_some() || self.active.is_none();
        assert!(is_here || under_way, "I1: the active is a backend, or being left");

        let may_be_used = |b: &Backend| match self.policy.all_down {
            AllDown::Reject => self.may_serve(b.id),
            AllDown::KeepLast => self.may_serve(b.id) || self.may_be_kept(b.id),
        };
        assert!(
            under_way || active.is_none_or(may_be_used),
            "I2: only keep_last uses a backend that is not eligible, unless it is being left"
        );

        // While locked, `first_free` knows the last active only.
        let awaits = self.resuming.is_some();
        if self.first_free().is_some_and(|first| !awaits && !self.awaits_better(first)) {
            let serves = self.active.is_some_and(|id| self.may_serve(id));
            assert!(serves || under_way, "I3: whoever may serve is used");
        }

        assert!(!self.pinned || self.active_is_eligible(), "I4: a pin needs an eligible active");

        let (to, reason) = self.heir(false);
        match &self.switching.under_way {
            None => assert_eq!(to, self.active, "I5: asking twice changes nothing"),
            Some(s) => {
                assert_eq!((to, reason), (Some(s.to), s.reason), "I5: nor for a move under way");
            }
        }

        assert!(self.wake_at().is_none_or(|at| at > self.now), "I6: the next tick is to come");

        assert_eq!(last.is_some(), self.last.is_some(), "I8: the last active is a backend");
        assert!(active.is_none() || self.last == self.active, "I8: the active is the last active");
        assert!(self.served || self.active.is_none(), "I8: whoever is active has served");
    }

    fn check_the_backends(&self) {
        for (at, b) in self.backends.iter().enumerate() {
            let since = b.eligible_since();
            assert_eq!(since.is_some(), b.is_eligible(), "I7: eligible, so since when");
            assert!(since.is_none_or(|at| at <= self.now), "I7: not since a time to come");
            assert!(b.health != Health::Unknown || b.streak == 0, "I7: unknown, so no verdict");
            assert!(b.is_eligible() || b.passes == 0, "I7: passes count while eligible");
            assert!(b.streak == 0 || b.passes == 0, "I7: a doubt ends the passes");
            assert!(self.backends[..at].iter().all(|x| x.id != b.id), "I7: ids are unique");
        }
    }

    fn check_the_damping(&self) {
        let base = match self.policy.failback {
            Failback::Auto(conditions) => Some(conditions.hold_down),
            Failback::Manual | Failback::Never => None,
        };
        assert_eq!(self.hold_down().is_some(), base.is_some(), "I9: only auto has a hold-down");
        if let (Some(now), Some(base)) = (self.hold_down(), base) {
            assert!(now >= base, "I9: damping never shortens the hold-down");
            assert!(now <= base.max(self.policy.damping.cap), "I9: the cap holds");
            assert!(self.flaps > 0 || now == base, "I9: no flap, no damping");
        }
        assert!(self.recent.is_sorted(), "I11: moves are counted in order");
        assert!(self.recent.iter().all(|&at| at <= self.now), "I11: none is to come");
        let most = self.policy.lock.map_or(0, |rule| rule.switches.max(1) as usize);
        assert!(self.recent.len() <= most, "I11: no more are kept than the rule needs");
    }

    fn check_the_moves(&self, before: &Self, effects: &[Effect]) {
        let mut moves = 0;
        let mut turns = 0;
        for effect in effects {
            match *effect {
                Effect::ActiveChanged { from, to, epoch, .. } => {
                    (moves, turns) = (moves + 1, turns + 1);
                    assert_eq!((from, to), (before.active, self.active), "I10: the move is told");
                    assert_ne!(from, to, "I10: a move goes somewhere else");
                    assert_eq!(epoch, self.epoch, "I10: the epoch told is the one in force");
                    let held = before.switching.under_way.is_some();
                    let needs_it = from.is_some() && to.is_some();
                    assert!(held || !needs_it, "I12: no move to somebody without a hold");
                    let drain = before.switching.under_way.and_then(|switch| switch.drain);
                    let strict = self.policy.exclusive.is_some() && needs_it;
                    assert!(drain.is_some() || !strict, "I12: nor, if exclusive, without a drain");
                }
                Effect::Hold { switch, drain, .. } => {
                    turns += 1;
                    assert!(switch > before.switching.holds(), "I13: numbers are not used twice");
                    assert_eq!(drain, self.policy.exclusive.map(|x| x.drain), "I13: as configured");
                }
                Effect::Release { switch, .. } => {
                    turns += 1;
                    let held = before.switching.under_way.map(|held| held.number);
                    assert_eq!(held, Some(switch), "I13: what is released was held");
                    assert!(self.switching.under_way.is_none(), "I13: and is not any more");
                }
                Effect::Verified { .. }
                | Effect::HealthChanged { .. }
                | Effect::AdminChanged { .. }
                | Effect::Locked
                | Effect::Unlocked
                | Effect::DrillBegan { .. }
                | Effect::DrillEnded { .. }
                | Effect::Rejected { .. } => {}
            }
        }
        assert!(turns <= 1 + moves, "I10: one move, hold or release a step, or a hold after it");
        assert!(moves <= 1, "I10: one move a step");
        assert_eq!(self.epoch, before.epoch + moves, "I10: the epoch counts the moves");
        let changed = before.active != self.active;
        assert_eq!(changed, moves > 0, "I10: no move goes untold");
    }

    fn check_the_switch(&self) {
        if let Some(switch) = &self.switching.under_way {
            assert_ne!(self.active, Some(switch.to), "I13: a switch goes somewhere else");
            assert!(self.backend(switch.to).is_some(), "I13: to a backend");
            assert_eq!(switch.planned, self.active_is_eligible(), "I13: planned, so well");
            assert!(switch.until > self.now, "I13: it has an end that is to come");
            assert!(self.wake_at().is_some_and(|at| at <= switch.until), "I13: of which we wake");
            let strict = self.policy.exclusive.is_some();
            assert!(!strict || switch.drain.is_some(), "I13: an exclusive one drains");
            let ordered = self.order.is_some() || self.drill.is_some();
            assert!(
                self.switching.paused_until.is_none() || !switch.planned || ordered,
                "I14: the rules begin nothing planned during a pause"
            );
        }
        if let Some(order) = self.order {
            let to = self.switching.under_way.map(|switch| switch.to);
            assert_eq!(to, Some(order.to), "I13: an order is under way, or gone");
        }
        assert!(self.in_flight.is_none(), "I14: figures are not kept");
        assert!(!self.wants_in_flight() || self.switching.under_way.is_none(), "I14: nor wanted");
    }

    fn check_what_is_watched(&self) {
        if let Some(verifying) = &self.verifying {
            assert_eq!(verifying.epoch, self.epoch, "I15: the last move is what is watched");
            assert_ne!(verifying.origin, self.active, "I15: from elsewhere");
            let overdue = self.now >= verifying.until;
            let returns =
                self.switching.under_way.is_some() || self.switching.paused_until.is_some();
            assert!(!overdue || returns, "I15: no longer than asked for, but for the return");
        }
        if let Some(drill) = &self.drill {
            assert!(self.backend(drill.backend).is_some(), "I16: a backend is drilled");
            assert!(drill.until > self.now, "I16: no longer than asked for");
            let leaving = self.switching.under_way.is_some();
            assert!(leaving || !self.is_active(drill.backend), "I16: and does not serve");
            assert!(self.drilled.is_none(), "I16: the next drill ends the last");
            assert!(self.verifying.is_none(), "I16: no drill while a move is watched");
        }
        if let Some(drilled) = self.drilled {
            assert!(!self.pinned && !self.locked, "I16: the operator's word ends the return");
            let switch = self.switching.under_way;
            let returns = switch.is_some_and(|s| s.to == drilled && s.reason == Reason::Drill);
            let waits = self.switching.paused_until.is_some() || self.is_awaited(drilled);
            assert!(returns || waits, "I16: a return is under way, or cannot be yet");
        }
        if self.resuming.is_some() {
            assert!(!self.served, "I17: whoever served has resumed");
            assert!(self.last.is_some_and(|id| self.is_awaited(id)), "I17: somebody is waited for");
        }
    }

    fn is_active(&self, id: BackendId) -> bool {
        self.active == Some(id)
    }
}
