//! Who holds the active role in the application, as far as gates have told, and who must not get it.
//!
//! * Whoever passes the last gate of its own, or becomes active, *holds* the role, and nobody else
//!   does. One that was not made harmless for sure, or did not take the role for sure, is *unsure*, and
//!   every later attempt begins with it.
//! * A fence is *owed* to one that is unsure although nothing speaks against trying again: nothing was
//!   reached, or it is idempotent. It is made up for once a probe passes there, while the active goes on
//!   serving. Without an active nothing is: the next attempt begins with it.

use super::gates::{Kind, harms};
use super::{
    BackendId, Direction, Effect, Failover, Gate, GateResult, GateRule, GateRun, Reason, Standing,
};

impl Failover {
    /// What the end of a gate says of the one that it was about.
    pub(super) fn note_standing(&mut self, run: GateRun, result: GateResult, never_began: bool) {
        let GateRun { gate, direction, backend: id, .. } = run;
        let list = self.policy.gates.of(direction);
        let is_last = list.iter().all(|rule| rule.gate <= gate);
        let unsure = Standing::Unsure { repeatable: false };
        match (gate, result) {
            (Gate::Fence | Gate::Demote, GateResult::Done) => {
                let others = list.iter().filter(|rule| harms(rule.gate) && rule.gate != gate);
                let done = |rule: &GateRule| self.tried(rule.gate, id) == Some(GateResult::Done);
                if self.rule(direction, gate).is_some() && others.copied().all(|r| done(&r)) {
                    self.stands(id, Standing::Standby);
                }
            }
            (Gate::Fence | Gate::Demote, GateResult::Unreachable | GateResult::Failed) => {
                let idempotent = |gate| self.rule(direction, gate).is_some_and(|r| r.idempotent);
                let harmless = |gate, result| match result {
                    GateResult::Done | GateResult::Unreachable => true,
                    GateResult::Failed => idempotent(gate),
                };
                let tried = self.gates.tried.iter().filter(|&&(g, b, _)| b == id && harms(g));
                let repeatable =
                    harmless(gate, result) && tried.clone().all(|&(g, _, r)| harmless(g, r));
                self.stands(id, Standing::Unsure { repeatable });
            }
            (Gate::Sync, _) => {}
            (Gate::Promote | Gate::Verify, GateResult::Unreachable) if never_began => {}
            (Gate::Promote | Gate::Verify, GateResult::Done) if is_last => self.takes_the_role(id),
            (Gate::Promote | Gate::Verify, _) => self.stands(id, unsure),
        }
    }

    /// This one holds the role now. Whoever held it, and was no concern of any gate, does not.
    pub(super) fn takes_the_role(&mut self, id: BackendId) {
        let forget = self.policy.gates.is_empty();
        for backend in &mut self.backends {
            backend.standing = match backend.standing {
                _ if backend.id == id => Standing::Holds,
                Standing::Standby | Standing::Holds => Standing::Standby,
                Standing::Unsure { .. } if forget => Standing::Standby,
                Standing::Unsure { repeatable } => Standing::Unsure { repeatable },
            };
        }
    }

    pub(super) fn stands(&mut self, id: BackendId, standing: Standing) {
        if let Some(backend) = self.backends.iter_mut().find(|b| b.id == id) {
            backend.standing = standing;
        }
    }

    pub(super) fn standing(&self, id: BackendId) -> Option<Standing> {
        self.backend(id).map(|b| b.standing)
    }

    /// Whether a gate that failed, or its age, keeps this one from becoming active. The last active
    /// is never too old: nobody knows more.
    pub(super) fn is_kept_out(&self, id: BackendId) -> bool {
        self.is_too_old(id) || self.backend(id).is_some_and(|b| b.barred)
    }

    pub(super) fn is_too_old(&self, id: BackendId) -> bool {
        self.last != Some(id) && self.backend(id).is_some_and(|b| b.stale)
    }

    pub(super) fn set_stale(&mut self, id: BackendId, stale: bool) {
        if let Some(backend) = self.backends.iter_mut().find(|b| b.id == id) {
            backend.stale = stale;
        }
    }

    // === What is owed ===

    /// Begins a fence that is owed to the one whose probe has just passed, or the next gate of one
    /// that has just been made up for.
    pub(super) fn make_up(&mut self, passed: Option<BackendId>, out: &mut Vec<Effect>) {
        let made_up = self.gates.made_up.take();
        self.gates.owed_after = self.gates.owed_after.filter(|&at| self.now < at);
        let rested = passed.filter(|_| self.gates.owed_after.is_none());
        let Some((id, to)) = made_up.or(rested).zip(self.active) else { return };
        let owed = self.standing(id) == Some(Standing::Unsure { repeatable: true });
        let moves = self.switching.under_way.is_some() || self.switching.waiting.is_some();
        if !owed || id == to || moves || self.gates.under_way.is_some() {
            return;
        }
        let direction = Direction::Failover;
        let rules = self.policy.gates.of(direction).iter().filter(|rule| harms(rule.gate));
        let next = rules.copied().find(|r| self.tried(r.gate, id) != Some(GateResult::Done));
        let Some(GateRule { gate, idempotent, .. }) = next else { return };
        if self.tried(gate, id) == Some(GateResult::Failed) && !idempotent {
            return self.stands(id, Standing::Unsure { repeatable: false });
        }
        let (epoch, from, reason) = (self.epoch, Some(id), Reason::Failover);
        let run = GateRun { epoch, gate, direction, backend: id, from, to, reason };
        self.run(run, Kind::Owed, out);
    }
}
