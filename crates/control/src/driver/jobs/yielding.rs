//! What a job gives way to: moves, a process that takes over, our end.

use std::time::{Duration, Instant};

use hooks::{Ended, Outcome};
use routing::failover::Effect;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{ASIDE_PAUSE, ASIDE_WITHIN, CANCELLED, Driver, GONE_WITHIN, now_ms};
use crate::status::outcome_word;

impl Driver {
    /// Cancels the job under way before these effects are carried out, if they are of a move.
    pub(in crate::driver) async fn make_way(&mut self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::ActiveChanged { from, .. } => {
                    if let Some(from) = from {
                        self.jobs.timetable.was_active(self.name(from), now_ms());
                    }
                    self.cancel_job("the traffic moves").await;
                }
                Effect::Hold { .. } | Effect::RunGate { .. } => {
                    self.cancel_job("the traffic is about to move").await;
                }
                Effect::GateInDoubt { .. }
                | Effect::Barred { .. }
                | Effect::Release { .. }
                | Effect::Verified { .. }
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
    }

    /// Ends the job under way: its program is killed. It may have ended just before.
    pub(in crate::driver) async fn cancel_job(&mut self, why: &str) {
        let Some(running) = &self.jobs.running else { return };
        let took = running.turn_began.elapsed();
        self.jobs.task.abort_all();
        let gone = timeout(GONE_WITHIN, self.jobs.task.join_next()).await;
        // Whatever still hangs on it is let go.
        self.jobs.task = JoinSet::new();
        match gone {
            Ok(Some(Ok(ended))) => self.note_turn(outcome_word(ended.outcome), ended),
            Ok(Some(Err(_)) | None) | Err(_) => {
                let words = format!("cancelled: {why}");
                let output = String::new();
                let ended = Ended { outcome: Outcome::Unknown, words, output, tries: 1, took };
                self.note_turn(CANCELLED, ended);
            }
        }
        self.end_job();
    }

    /// Ends the job under way because we stop, and writes that down.
    pub(in crate::driver) async fn end_jobs(&mut self) {
        self.cancel_job("we stop").await;
        if std::mem::take(&mut self.jobs.is_unsaved) {
            self.keep(true).await;
        }
    }

    /// Whether no job stands in the way of another process that takes over. One that runs is waited for
    /// as a move would, within bounds, then cancelled.
    pub(in crate::driver) async fn job_lets_go(&mut self) -> bool {
        let now = Instant::now();
        let asked = self.jobs.asked_aside.filter(|(_, last)| last.elapsed() < ASIDE_PAUSE);
        let first = asked.map_or(now, |(first, _)| first);
        self.jobs.asked_aside = Some((first, now));
        let Some(running) = &self.jobs.running else { return true };
        let entry = self.jobs.timetable.entry(&running.run.job);
        let waits = entry.map_or(Duration::ZERO, |entry| entry.job.move_waits);
        if first.elapsed() < waits.min(ASIDE_WITHIN) {
            return false;
        }
        self.cancel_job("another process takes over").await;
        true
    }
}
