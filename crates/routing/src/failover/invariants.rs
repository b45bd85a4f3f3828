//! What must hold after every step. Debug and test builds only; changes nothing.

use super::{
    AllDown, Backend, BackendId, Claim, Effect, Failback, Failover, Gate, GateRun, Health, Reason,
    Role, Standing, Wish,
};

impl Failover {
    /// Panics unless I1 to I24 hold. `before` is the state before the step, `effects` what it
    /// returned.
    pub(super) fn check_invariants(&self, before: &Self, effects: &[Effect]) {
        self.check_the_active();
        self.check_the_backends();
        self.check_the_damping();
        self.check_the_moves(before, effects);
        self.check_the_switch();
        self.check_what_is_watched();
        self.check_the_claims();
        self.check_the_freeze(before, effects);
        self.check_the_standings();
        self.check_the_gates(before, effects);
    }

    fn check_the_active(&self) {
        let under_way = self.switching.under_way.is_some();
        // In a drill it serves on until the move begins.
        let being_left = under_way || self.switching.waiting.is_some();
        let active = self.active.and_then(|id| self.backend(id));
        let last = self.last.and_then(|id| self.backend(id));

        let is_here = active.is_some() || self.active.is_none();
        assert!(is_here || under_way, "I1: the active is a backend, or being left");

        let may_be_used = |b: &Backend| match self.policy.all_down {
            AllDown::Reject => self.may_serve(b.id),
            AllDown::KeepLast => self.may_serve(b.id) || self.may_be_kept(b.id),
        };
        assert!(
            being_left || active.is_none_or(may_be_used),
            "I2: only keep_last uses a backend that is not eligible, unless it is being left"
        );

        // While frozen, `first_free` knows the last active only.
        let awaits = self.resuming.is_some();
        if self.first_free().is_some_and(|first| !awaits && !self.awaits_better(first)) {
            let serves = self.active.is_some_and(|id| self.may_serve(id));
            let waits = being_left || self.gates.under_way.is_some();
            assert!(serves || waits, "I3: whoever may serve is used");
        }

        assert!(!self.pinned || self.active_is_eligible(), "I4: a pin needs an eligible active");

        let (to, reason) = self.heir(false);
        match &self.switching.under_way {
            None => {
                let waiting = self.switching.waiting.map(|w| (Some(w.to), w.reason));
                // What else the rules want has to wait for the gate.
                let held_up = self.active.is_none() && to.is_some_and(|to| self.is_held_up(to));
                let settled = to == self.active || waiting == Some((to, reason)) || held_up;
                assert!(settled, "I5: asking twice changes nothing");
            }
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
            assert_eq!(since.is_some(), b.meets(&self.policy), "I7: eligible, so since when");
            assert!(since.is_none_or(|at| at <= self.now), "I7: not since a time to come");
            let undecided = b.health == Health::Unknown && !b.has_served;
            assert!(!undecided || b.streak == 0, "I7: unknown, so no verdict");
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
                    assert!(epoch > before.epoch, "I10: which never repeats");
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
                | Effect::RunGate { .. }
                | Effect::GateInDoubt { .. }
                | Effect::Barred { .. }
                | Effect::HealthChanged { .. }
                | Effect::AdminChanged { .. }
                | Effect::ClaimChanged { .. }
                | Effect::DualActive
                | Effect::DualActiveCleared { .. }
                | Effect::Locked
                | Effect::Unlocked
                | Effect::DrillBegan { .. }
                | Effect::DrillEnded { .. }
                | Effect::Rejected { .. } => {}
            }
        }
        assert!(turns <= 1 + moves, "I10: one move, hold or release a step, or a hold after it");
        assert!(moves <= 1, "I10: one move a step");
        assert_eq!(self.epoch > before.epoch, moves > 0, "I10: the epoch changes with the active");
        assert!(self.gates.number >= self.epoch, "I10: what is told was reserved");
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
            let goes = self.switching.under_way.map(|switch| switch.to);
            let waits = self.switching.waiting.map(|waiting| waiting.to);
            let gate = self.gates.under_way.is_some();
            let to = goes.or(waits).or(Some(order.to).filter(|_| gate));
            assert_eq!(to, Some(order.to), "I13: an order is under way, or waits, or is gone");
        }
        assert!(self.in_flight.is_none(), "I14: figures are not kept");
        assert!(!self.wants_in_flight() || self.switching.under_way.is_none(), "I14: nor wanted");
    }

    fn check_what_is_watched(&self) {
        if let Some(verifying) = &self.verifying {
            assert_eq!(verifying.epoch, self.epoch, "I15: the last move is what is watched");
            assert_ne!(verifying.origin, self.active, "I15: from elsewhere");
            let overdue = self.now >= verifying.until;
            let waits = self.switching.waiting.is_some() || self.switching.paused_until.is_some();
            let returns = self.switching.under_way.is_some() || waits;
            assert!(!overdue || returns, "I15: no longer than asked for, but for the return");
        }
        if let Some(drill) = &self.drill {
            assert!(self.backend(drill.backend).is_some(), "I16: a backend is drilled");
            assert!(drill.until > self.now, "I16: no longer than asked for");
            let waits = self.switching.waiting.is_some();
            let leaving = self.switching.under_way.is_some() || waits;
            assert!(leaving || !self.is_active(drill.backend), "I16: and does not serve");
            assert!(self.drilled.is_none(), "I16: the next drill ends the last");
            assert!(self.verifying.is_none(), "I16: no drill while a move is watched");
        }
        if let Some(drilled) = self.drilled {
            assert!(!self.pinned && !self.frozen(), "I16: a pin or a freeze ends the return");
            let switch = self.switching.under_way;
            let returns = switch.is_some_and(|s| s.to == drilled && s.reason == Reason::Drill);
            let gate = self.gates.under_way.is_some() || self.switching.waiting.is_some();
            let pause = self.switching.paused_until.is_some();
            let waits = gate || pause || self.is_awaited(drilled);
            assert!(returns || waits, "I16: a return is under way, or cannot be yet");
        }
        if self.resuming.is_some() {
            assert!(!self.served, "I17: whoever served has resumed");
            // It may have come while an order leads elsewhere.
            let moves = self.switching.under_way.is_some() || self.gates.under_way.is_some();
            let came = |id| moves && self.may_serve(id);
            let waits = self.last.is_some_and(|id| self.is_awaited(id) || came(id));
            assert!(waits, "I17: somebody is waited for");
        }
    }

    fn check_the_claims(&self) {
        for b in &self.backends {
            let claims_nothing = b.claim().role.is_none() && b.claim().wish.is_none();
            let known = b.health == Health::Up;
            assert!(known || claims_nothing, "I18: only of one that is up is a claim known");
            assert!(known || b.claim_streak() == 0, "I18: or changing");
        }
        let Some(active) = self.active.and_then(|id| self.backend(id)) else { return };
        if self.switching.under_way.is_none() {
            // Also of one that went down since.
            let Claim { role, wish } = active.last_word();
            let willing = !matches!(wish, Some(Wish::Drain | Wish::Maintenance));
            assert!(willing, "I19: who asks for a drain does not serve, not even by keep_last");
            let unfit = matches!(role, Some(Role::Promoting | Role::Fenced));
            assert!(!unfit, "I19: nor who is promoting or fenced");
            let required = self.policy.required_role;
            let wrong = required.is_some() && role.is_some() && role != required;
            assert!(!wrong, "I19: nor who claims another role than the required one");
        }
    }

    /// While frozen, nothing but an order, with the return that belongs to it, leads elsewhere.
    fn check_the_freeze(&self, before: &Self, effects: &[Effect]) {
        let actives = || self.backends.iter().filter(|b| b.claims_to_be_active());
        assert!(self.dual.is_none() || actives().count() >= 2, "I20: two are two");
        let unheard = actives().any(|b| self.needs_word(b));
        assert_eq!(unheard, self.suspects_two_actives(), "I20: else they are noticed, or asked");
        // A lock may be the consequence of the move, even right after an unlock.
        let locked = before.locked && self.locked && !effects.contains(&Effect::Unlocked);
        if !self.is_dual() && !locked {
            return;
        }
        let home = |to: Option<BackendId>| to.is_none() || to == before.last;
        for effect in effects {
            if let Effect::ActiveChanged { from, to, reason, .. } = *effect {
                // From nobody an order is done in the step that brings it.
                let at_once = from.is_none() && reason == Reason::Failback;
                let ordered = before.order.is_some_and(|order| Some(order.to) == to) || at_once;
                let begun = before.gates.attempt.as_ref().is_some_and(|a| Some(a.to) == to);
                let by_hand =
                    begun || ordered || matches!(reason, Reason::Switchover | Reason::Return);
                let allowed = by_hand || home(to);
                assert!(allowed, "I20: while frozen no move by itself to somebody else");
            }
        }
        if let Some(switch) = self.switching.under_way {
            let ordered = self.order.is_some() || switch.reason == Reason::Return;
            let allowed = ordered || Some(switch.to) == self.last;
            assert!(allowed, "I20: nor is one prepared");
        }
    }

    fn check_the_standings(&self) {
        let holds = |b: &&Backend| b.standing == Standing::Holds;
        assert!(self.backends.iter().filter(holds).count() <= 1, "I21: one holds the role");
        if let Some(active) = self.active.and_then(|id| self.backend(id)) {
            assert_eq!(active.standing, Standing::Holds, "I21: and the active does");
            assert!(!active.barred, "I21: nobody who is barred is active");
        }
    }

    fn check_the_gates(&self, before: &Self, effects: &[Effect]) {
        let mut runs = effects.iter().filter_map(|effect| match *effect {
            Effect::RunGate { run, again } => Some((run, again)),
            _ => None,
        });
        if let Some((run, again)) = runs.next() {
            self.check_a_run(before, run, again);
        }
        assert!(runs.next().is_none(), "I22: one gate at a time");
        if let Some(attempt) = &self.gates.attempt {
            assert!(self.active.is_none(), "I23: nobody is active while gates run");
            assert!(self.gates.under_way.is_some(), "I23: a gate runs, or all have passed");
            assert!(attempt.epoch > self.epoch, "I23: the heir serves under another number");
            assert!(!self.is_kept_out(attempt.to), "I23: the heir may become active");
        }
        let arrives = before.active.is_none() && self.active.is_some();
        if let Some(attempt) = before.gates.attempt.as_ref().filter(|_| arrives)
            && self.epoch == attempt.epoch
        {
            assert!(attempt.steps.len() <= 1, "I23: nobody becomes active before its gates passed");
        }
        if let Some(active) = self.active.filter(|_| self.active != before.active) {
            assert!(!self.is_held_up(active), "I23: nor while another gate is under way");
        }
        if self.gate_in_doubt() {
            assert!(self.gates.attempt.is_none(), "I24: nothing is attempted while in doubt");
            assert!(self.order.is_none(), "I24: nor ordered");
        }
    }

    fn check_a_run(&self, before: &Self, run: GateRun, again: bool) {
        let GateRun { epoch, gate, backend, to, .. } = run;
        let under_way = self.gates.under_way.map(|u| u.run);
        assert_eq!(under_way, Some(run), "I22: a gate that was begun is waited for");
        let was_under_way = before.gates.under_way.map(|u| u.run);
        assert!(self.backend(to).is_some(), "I22: it leads to a backend");
        assert!(self.backend(backend).is_some(), "I22: it is about a backend");
        let of_the_heir = matches!(gate, Gate::Sync | Gate::Promote | Gate::Verify);
        assert_eq!(of_the_heir, backend == to, "I22: a heir is not fenced, others not promoted");
        if was_under_way == Some(run) {
            return assert!(again, "I22: it has been begun before");
        }
        if self.active.is_some() {
            assert_eq!((epoch, Some(to)), (self.epoch, self.active), "I22: what is owed");
        } else {
            assert_eq!(epoch, self.gates.number, "I22: under the number reserved last");
            assert!(!again, "I22: of a move each gate runs once");
        }
    }

    fn is_active(&self, id: BackendId) -> bool {
        self.active == Some(id)
    }
}
