//! A drill: the active is treated as failed for a while, then the service returns to it.
//!
//! It returns at once, whatever the failback policy says, unless the operator pinned or locked the
//! service meanwhile, or two claim the active role. What the operator orders ends the drill, without
//! a return. Verdicts on the drilled backend count as always; so it is found out when it really
//! fails, and nothing has to be restored.

use std::time::{Duration, Instant};

use super::{BackendId, Effect, Failover, Order, Reason, Refusal, after};

/// A drill that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrillStatus {
    /// Who is treated as failed.
    pub backend: BackendId,
    /// When that ends.
    pub until: Instant,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Drill {
    pub(super) backend: BackendId,
    pub(super) until: Instant,
}

impl Failover {
    pub(super) fn is_drilled(&self, id: BackendId) -> bool {
        self.drill.is_some_and(|drill| drill.backend == id)
    }

    pub(super) fn begin_drill(
        &mut self,
        length: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let backend = self.active.ok_or(Refusal::NothingActive)?;
        let refusals = [
            (self.gate_in_doubt(), Refusal::InDoubt),
            (self.drill.is_some(), Refusal::Drilling),
            (self.switching.under_way.is_some() || self.order.is_some(), Refusal::Switching),
            (self.verifying.is_some(), Refusal::Verifying),
            (self.frozen(), Refusal::Locked),
            (self.pinned, Refusal::Pinned),
        ];
        if let Some((_, why)) = refusals.into_iter().find(|(applies, _)| *applies) {
            return Err(why);
        }
        let mut others = self.backends.iter().filter(|b| b.id != backend && self.may_serve(b.id));
        let to = others.next().ok_or(Refusal::NoStandby)?.id;
        let until = after(self.now, length);
        self.drill = Some(Drill { backend, until });
        // One that was just over has not been returned from, but this one begins where it led.
        self.drilled = None;
        self.order = Some(Order { to, reason: Reason::Drill, verify: Duration::ZERO });
        out.push(Effect::DrillBegan { backend, until });
        Ok(())
    }

    pub(super) fn end_drill(&mut self, early: bool, out: &mut Vec<Effect>) {
        let Some(Drill { backend, .. }) = self.drill.take() else { return };
        self.order = self.order.filter(|order| order.reason != Reason::Drill);
        self.drilled = Some(backend);
        out.push(Effect::DrillEnded { backend, early });
    }

    /// Ends the drill in time, or early when nobody else may serve; then looks after the return.
    pub(super) fn end_drill_if_over(&mut self, out: &mut Vec<Effect>) {
        if let Some(Drill { backend, until }) = self.drill {
            let over = self.now >= until;
            let awaits = !self.served && self.backends.iter().any(|b| self.is_awaited(b.id));
            let alone = self.first_free().is_none() && !awaits;
            if over || alone || self.backend(backend).is_none() {
                self.end_drill(!over, out);
            }
        }
        let returns = |id: &BackendId| {
            let free = !self.pinned && !self.frozen() && self.last != Some(*id);
            free && (self.may_serve(*id) || self.is_awaited(*id))
        };
        self.drilled = self.drilled.filter(returns);
    }

    /// Ends a drill that could not begin: its move was called off.
    pub(super) fn end_drill_that_never_left(&mut self, out: &mut Vec<Effect>) {
        if self.active.is_some_and(|active| self.is_drilled(active)) {
            self.end_drill(true, out);
            self.drilled = None;
        }
    }

    /// Rule 4: where the service goes back to now.
    pub(super) fn returns_from_drill(&self) -> Option<BackendId> {
        let serves = self.active.is_some_and(|id| self.may_serve(id));
        let paused = serves && self.switching.paused_until.is_some();
        self.drilled.filter(|&id| !paused && self.may_serve(id))
    }

    pub(super) fn drill_status(&self) -> Option<DrillStatus> {
        self.drill.map(|Drill { backend, until }| DrillStatus { backend, until })
    }
}
