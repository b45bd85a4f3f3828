//! What a command would do now. Changes nothing, and cannot disagree with what it then does: a copy
//! is asked to obey.

use std::time::{Duration, Instant};

use super::{BackendId, Command, Effect, Failover, Input, PendingFailback, Reason, Refusal};

/// What a command would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The move that would follow at once, if any.
    pub moves: Option<PreviewedMove>,
    /// The failback that would then still be to come, and what blocks it.
    pub failback: Option<PendingFailback>,
}

/// A move that would follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let mut moves = copy.switching.under_way.map(|switch| PreviewedMove {
            from: copy.active,
            to: Some(switch.to),
            reason: switch.reason,
            planned: switch.planned,
            drain: switch.drain,
        });
        for effect in effects {
            match effect {
                Effect::Rejected { why } => return Err(why),
                Effect::ActiveChanged { from, to, reason, .. } => {
                    moves = Some(PreviewedMove { from, to, reason, planned: false, drain: None });
                }
                Effect::Hold { .. }
                | Effect::Release { .. }
                | Effect::Verified { .. }
                | Effect::HealthChanged { .. }
                | Effect::AdminChanged { .. }
                | Effect::Locked
                | Effect::Unlocked
                | Effect::DrillBegan { .. }
                | Effect::DrillEnded { .. } => {}
            }
        }
        Ok(Preview { moves, failback: copy.pending_failback() })
    }
}
