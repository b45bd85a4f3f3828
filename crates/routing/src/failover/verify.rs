//! Watches an ordered move for a while: when its backend fails, the service goes back.
//!
//! It fails when it is not eligible any more, or has given no good answer by the end. The service is
//! pinned where it goes back to. An answer that comes before it is back there still counts.

use std::time::Instant;

use super::{BackendId, Effect, Failover, Order, after};

/// An ordered move that is being watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyingStatus {
    /// Where the service would go back to.
    pub origin: Option<BackendId>,
    /// When the watch ends.
    pub until: Instant,
    /// Whether there was a good answer.
    pub answered: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Verifying {
    pub(super) origin: Option<BackendId>,
    pub(super) epoch: u64,
    pub(super) until: Instant,
    pub(super) answered: bool,
}

impl Failover {
    /// Watches the move that was just made, if it was ordered so.
    pub(super) fn watch(&mut self, origin: Option<BackendId>, order: Option<Order>) {
        let order = order.filter(|order| !order.verify.is_zero());
        self.verifying = order.map(|order| Verifying {
            origin,
            epoch: self.epoch,
            until: after(self.now, order.verify),
            answered: false,
        });
    }

    pub(super) fn answered(&mut self, epoch: u64, out: &mut Vec<Effect>) {
        if let Some(verifying) = &mut self.verifying
            && verifying.epoch == epoch
            && !verifying.answered
        {
            verifying.answered = true;
            out.push(Effect::Verified { epoch });
        }
    }

    /// Rule 3: where the service goes back to now.
    pub(super) fn returns_to(&self) -> Option<BackendId> {
        let Verifying { origin, until, .. } = self.verifying?;
        let serves = self.active.is_some_and(|id| self.may_serve(id));
        // Had it answered, the watch would be over.
        let silent = self.now >= until;
        let paused = serves && self.switching.paused_until.is_some();
        origin.filter(|&origin| (silent || !serves) && !paused && self.may_serve(origin))
    }

    /// The watch is over in time when there was an answer, or there is no way back.
    pub(super) fn let_go_of_verification(&mut self) {
        let way_back = |v: &Verifying| v.origin.is_some_and(|origin| self.may_serve(origin));
        let lasts = |v: &Verifying| self.now < v.until || (!v.answered && way_back(v));
        self.verifying = self.verifying.filter(lasts);
    }

    pub(super) fn verifying_status(&self) -> Option<VerifyingStatus> {
        let Verifying { origin, until, answered, .. } = self.verifying?;
        Some(VerifyingStatus { origin, until, answered })
    }
}
