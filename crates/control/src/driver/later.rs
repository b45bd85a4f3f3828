//! A switchover that is ordered for later: kept, cancelled, made in its time, or said to be missed.

use std::time::{Duration, SystemTime};

use routing::failover::Health;

use super::Driver;
use super::clock::{from_ms, to_ms};
use super::keep::{LATE, mark};
use super::operate::Next;
use crate::command::{Command, CommandError, Operator};
use crate::state::SavedSwitchover;

impl Driver {
    pub(super) async fn schedule(
        &mut self,
        to: &str,
        verify: Option<Duration>,
        at: SystemTime,
        by: &Operator,
    ) -> Result<Next, CommandError> {
        self.backend(to)?;
        if at <= SystemTime::now() {
            return Err(CommandError::Impossible("that time has passed".to_owned()));
        }
        let verify = verify.unwrap_or(self.settings.verify);
        let verify_ms = u64::try_from(verify.as_millis()).unwrap_or(u64::MAX);
        let mark = mark(by, SystemTime::now());
        let scheduled = SavedSwitchover { to: to.into(), at_ms: to_ms(at), verify_ms, mark };
        let instead = self.kept.scheduled.replace(scheduled).is_some();
        self.kept.was_due = false;
        self.keep(false).await;
        let instead = if instead { ", instead of the one ordered before" } else { "" };
        Ok(self.kept_done(&format!("will move to {to} then{instead}")))
    }

    pub(super) async fn cancel_schedule(&mut self) -> Result<Next, CommandError> {
        if self.kept.scheduled.take().is_none() {
            return Err(CommandError::Impossible("no move is ordered for later".to_owned()));
        }
        self.keep(false).await;
        Ok(self.kept_done("the move that was to come is cancelled"))
    }

    /// Makes a move that was ordered for now.
    pub(super) async fn carry_out_schedule(&mut self) {
        let now = SystemTime::now();
        let Some(scheduled) = &self.kept.scheduled else { return };
        let Ok(late) = now.duration_since(from_ms(scheduled.at_ms)) else { return };
        if late <= LATE && self.is_unknown(&scheduled.to) {
            self.kept.was_due = true;
            return;
        }
        let was_due = std::mem::take(&mut self.kept.was_due);
        let Some(scheduled) = self.kept.scheduled.take() else { return };
        // On the disk before it is begun, unless the store says that it cannot be: it is never begun
        // twice.
        self.keep(false).await;
        self.board.publish_decision(self.id, self.status());
        let SavedSwitchover { to, verify_ms, mark, .. } = scheduled;
        let by = Operator { who: mark.who, from: mark.from, why: mark.why };
        let what = format!("switchover to {to}, ordered before");
        if late > LATE {
            let missed = if was_due {
                format!("not made: nothing was known of {to} for {LATE:?}")
            } else {
                "not made: nobody was running at its time".to_owned()
            };
            return self.record_scheduled(&what, &by, false, &missed);
        }
        let verify = Some(Duration::from_millis(verify_ms));
        let command = Command::Switchover { to: to.to_string(), verify };
        let result = Box::pin(self.carry_out(command, &by)).await;
        let outcome = match &result {
            Ok(Next::Done(done)) => done.text.clone(),
            Ok(Next::Wait) => "begun".to_owned(),
            Err(error) => error.to_string(),
        };
        self.record_scheduled(&what, &by, result.is_ok(), &outcome);
    }

    /// Nobody waits to be told that it was refused: the log has to be loud.
    fn record_scheduled(&self, what: &str, by: &Operator, done: bool, outcome: &str) {
        if !done {
            tracing::warn!(service = %self.name, order = what, who = %by.who, "refused: {outcome}");
        }
        self.record_order(what, by, done, outcome);
    }

    /// Whether nothing is known of a backend yet, as after a start.
    fn is_unknown(&self, name: &str) -> bool {
        let id = self.backend(name).ok();
        let status = self.failover.status();
        status.backends.iter().any(|b| Some(b.id) == id && b.health == Health::Unknown)
    }
}

#[cfg(test)]
mod tests;
