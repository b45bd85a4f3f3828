//! Two that claim the active role at once: nobody can know which of them is right, so no automatic
//! move is made until it is over.
//!
//! Counted are the backends that are up, that the operator calls ready, whose role is active, and who
//! do not ask to be left: one that does makes room for the other. From two on the choice is frozen as
//! by a lock, and unlocking accepts the situation: automatic moves go on, until it ends and a new one
//! begins. Nothing of it outlives a restart: the probes find it again.
//!
//! Two that exchange their roles are probed at different moments, so for a while the old word of one
//! stands beside the new word of the other. Hence it begins only when two of them were heard since the
//! last one joined: whoever was not is in doubt, so that it is probed at once, and its next pass
//! decides. A failure does not; who does not answer goes down.

use std::mem;
use std::time::Instant;

use super::{Backend, DualActiveStatus, Effect, Failover};

#[derive(Clone, Copy, Debug)]
pub(super) struct Dual {
    since: Instant,
    /// Whether the operator said that automatic moves go on all the same.
    accepted: bool,
}

/// Those that claim the active role.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Actives {
    count: usize,
    /// The step in which the last of them became one.
    joined: u64,
}

impl Failover {
    /// Whether no automatic move to somebody else may be made.
    pub(super) fn frozen(&self) -> bool {
        self.locked || self.is_dual()
    }

    /// Whether two claim the active role, and the operator has not accepted it.
    pub(super) fn is_dual(&self) -> bool {
        self.dual.is_some_and(|dual| !dual.accepted)
    }

    /// Whether two may claim the active role, but not both were heard since the second does.
    pub(super) fn suspects_two_actives(&self) -> bool {
        self.dual.is_none() && self.actives.count >= 2
    }

    /// Whether this one has to say again that it is active.
    pub(super) fn needs_word(&self, backend: &Backend) -> bool {
        let is_one = backend.claims_to_be_active();
        is_one && self.suspects_two_actives() && backend.heard < self.actives.joined
    }

    /// Looks whether it begins or ends.
    pub(super) fn look_for_two_actives(&mut self, out: &mut Vec<Effect>) {
        let actives = || self.backends.iter().filter(|b| b.claims_to_be_active());
        let count = actives().count();
        // A step concerns one backend, or removes some: more of them, so one joined them.
        let joined = if count > self.actives.count { self.steps } else { self.actives.joined };
        let heard = actives().filter(|b| b.heard >= joined).count();
        self.actives = Actives { count, joined };
        let since = self.now;
        match self.dual {
            None if heard >= 2 => {
                self.dual = Some(Dual { since, accepted: false });
                out.push(Effect::DualActive);
            }
            Some(Dual { accepted, .. }) if count < 2 => {
                self.dual = None;
                if !accepted {
                    out.push(Effect::DualActiveCleared { by_operator: false });
                }
            }
            None | Some(_) => {}
        }
    }

    /// The operator says that automatic moves go on all the same.
    pub(super) fn accept_two_actives(&mut self, out: &mut Vec<Effect>) {
        if let Some(dual) = &mut self.dual
            && !mem::replace(&mut dual.accepted, true)
        {
            out.push(Effect::DualActiveCleared { by_operator: true });
        }
    }

    pub(super) fn dual_status(&self) -> Option<DualActiveStatus> {
        self.dual.map(|Dual { since, accepted }| DualActiveStatus { since, accepted })
    }
}
