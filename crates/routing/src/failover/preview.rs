//! What a command would do now. Changes nothing, and cannot disagree with what it then does: a copy
//! is asked to obey.

use std::time::{Duration, Instant};

use super::switch::Switch;
use super::{BackendId, Command, Effect, Failover, Gate, Input, PendingFailback, Reason, Refusal};

/// What a command would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The move that would follow at once, or when a gate or a job under way has ended, if any.
    pub moves: Option<PreviewedMove>,
    /// The failback that would then still be to come, and what blocks it.
    pub failback: Option<PendingFailback>,
}

/// A move that would follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedMove {
    /// Who has the traffic.
    pub from: Option<BackendId>,
    /// Who would get it; `None`: nobody.
    pub to: Option<BackendId>,
    /// Why.
    pub reason: Reason,
    /// Whether it would be called off unless every worker acknowledges.
    pub planned: bool,
    /// How long requests under way could finish before they are cut; `None`: they do not matter.
    pub drain: Option<Duration>,
    /// What would happen in the applications before that, in order, and to whom; as far as it has not
    /// happened yet.
    pub gates: Vec<(Gate, BackendId)>,
}

impl Failover {
    /// What this command would do now.
    ///
    /// # Errors
    ///
    /// Why it would be refused.
    pub fn preview(&self, now: Instant, command: &Command) -> Result<Preview, Refusal> {
        let mut copy = self.clone();
        let effects = copy.step(now, Input::Command(*command));
        let mut moves = copy.coming();
        for effect in effects {
            match effect {
                Effect::Rejected { why } => return Err(why),
                Effect::ActiveChanged { from, to, reason, .. } if copy.gates.attempt.is_none() => {
                    let (planned, drain, gates) = (false, None, Vec::new());
                    moves = Some(PreviewedMove { from, to, reason, planned, drain, gates });
                }
                Effect::ActiveChanged { .. } => {}
                Effect::Hold { .. }
                | Effect::Release { .. }
                | Effect::RunGate { .. }
                | Effect::GateInDoubt { .. }
                | Effect::Barred { .. }
                | Effect::Verified { .. }
                | Effect::HealthChanged { .. }
                | Effect::AdminChanged { .. }
                | Effect::ClaimChanged { .. }
                | Effect::DualActive
                | Effect::DualActiveCleared { .. }
                | Effect::Locked
                | Effect::Unlocked
                | Effect::DrillBegan { .. }
                | Effect::DrillEnded { .. } => {}
            }
        }
        Ok(Preview { moves, failback: copy.pending_failback() })
    }

    /// The move that is under way or waits.
    fn coming(&self) -> Option<PreviewedMove> {
        let from = self.active;
        let plan = |to, reason| self.plan(to, self.direction(reason)).into();
        if let Some(Switch { to, reason, planned, drain, .. }) = self.switching.under_way {
            let gates = plan(to, reason);
            return Some(PreviewedMove { from, to: Some(to), reason, planned, drain, gates });
        }
        if let Some(attempt) = &self.gates.attempt {
            let (to, gates) = (Some(attempt.to), attempt.steps.iter().copied().collect());
            let (reason, planned, drain) = (attempt.reason, false, None);
            return Some(PreviewedMove { from, to, reason, planned, drain, gates });
        }
        let waits = self.switching.waiting.map(|waiting| (waiting.to, waiting.reason));
        let ordered = self.order.map(|order| (order.to, order.reason));
        let (to, reason) = waits.or(ordered)?;
        let (planned, drain) = (self.active_is_eligible(), self.drain_before(to));
        Some(PreviewedMove { from, to: Some(to), reason, planned, drain, gates: plan(to, reason) })
    }
}
