//! The turns of a job: one for each standby, or one for the active.

use std::sync::Arc;
use std::time::Instant;

use config::model::JobTarget;
use hooks::{About, Ended};
use routing::failover::BackendId;

use super::{CANCELLED, DONE, Driver, Running, SHOWN, answer, badness, has_role, now_ms};
use crate::blueprint::PlannedJob;
use crate::command::JobTurn;
use crate::events::Kind;
use crate::jobs::Ending;
use crate::status::outcome_word;

impl Driver {
    /// Begins the next turn of the job under way. Returns whether there is one.
    pub(super) fn begin_turn(&mut self, target: JobTarget) -> bool {
        let status = self.failover.status();
        let fits: Vec<BackendId> = self
            .standbys(&status)
            .filter(|standby| has_role(standby, target))
            .map(|standby| standby.id)
            .collect();
        let epoch = status.epoch;
        let Some(running) = &mut self.jobs.running else { return false };
        running.to = match target {
            JobTarget::Active if running.run.turns.is_empty() => None,
            JobTarget::Active => return false,
            // One that has gone down meanwhile has no turn.
            JobTarget::Standbys { .. } => {
                let next = std::iter::from_fn(|| running.left.pop_front());
                let Some(next) = next.into_iter().find(|next| fits.contains(next)) else {
                    return false;
                };
                Some(next)
            }
        };
        (running.turn_began_ms, running.turn_began) = (now_ms(), Instant::now());
        let (from, to, began_ms) = (running.from, running.to, running.turn_began_ms);
        let job = running.run.job.clone();
        let planned = self.settings.jobs.iter().find(|planned| planned.job.name == job);
        let Some(PlannedJob { job, call }) = planned.cloned() else { return false };
        let party = |id| self.backends.get(&id).map(|watched| watched.plan.party());
        let about_whom = to.unwrap_or(from);
        let id = format!("{}-{}-{began_ms}-{}", self.name, job.name, self.name(about_whom));
        let about = About {
            service: self.name.clone(),
            hook: job.name.clone(),
            kind: "job",
            from: party(from),
            to: to.and_then(party),
            backend: party(about_whom),
            reason: "",
            epoch,
            id: id.into(),
        };
        self.jobs
            .task
            .spawn(async move { hooks::run(&call, &about, &job.tries, job.idempotent).await });
        true
    }

    /// The turn under way has ended.
    pub(in crate::driver) async fn job_ended(&mut self, ended: Ended) {
        let outcome = outcome_word(ended.outcome);
        self.note_turn(outcome, ended);
        let running = self.jobs.running.as_ref();
        let entry = running.and_then(|running| self.jobs.timetable.entry(&running.run.job));
        let target = entry.map(|entry| entry.job.to);
        if !target.is_some_and(|target| self.begin_turn(target)) {
            self.end_job();
        }
    }

    /// Writes down how a turn ended.
    pub(super) fn note_turn(&mut self, outcome: &'static str, ended: Ended) {
        let Some(running) = &self.jobs.running else { return };
        let job = running.run.job.clone();
        let name = |id: BackendId| self.backends.get(&id).map(|b| b.plan.name().clone());
        let (about, backend) =
            (name(running.to.unwrap_or(running.from)), running.to.and_then(name));
        let began_ms = running.turn_began_ms;
        let succeeded = outcome == DONE;
        let words: Arc<str> = ended.words.into();
        let (tries, took) = (ended.tries, ended.took);
        self.jobs.timetable.turn_ended(&job, &Ending { backend: about, began_ms, succeeded });
        self.board.metrics().job(&self.name, &job, outcome);
        self.board.record(
            &self.name,
            Kind::JobEnded {
                job,
                backend: backend.clone(),
                outcome,
                words: words.clone(),
                tries,
                took: Some(took),
            },
        );
        let output = ended.output.into();
        let turn = JobTurn { backend, outcome, words, output, tries, took };
        if let Some(running) = &mut self.jobs.running {
            running.run.turns.push(turn);
        }
        self.jobs.is_unsaved = true;
    }

    /// The job under way is over.
    pub(super) fn end_job(&mut self) {
        let Some(Running { mut run, began, reply, .. }) = self.jobs.running.take() else { return };
        let worst = run.turns.iter().max_by_key(|turn| badness(turn.outcome));
        let outcome = worst.map_or(CANCELLED, |turn| turn.outcome);
        let words = worst.map_or_else(String::new, |turn| match &turn.backend {
            Some(backend) if run.turns.len() > 1 => format!("for {backend}: {}", turn.words),
            Some(_) | None => turn.words.to_string(),
        });
        run.outcome = Some(outcome);
        self.jobs.timetable.ended(&run.job, outcome, &words, began.elapsed());
        let runs = self.jobs.runs.entry(run.job.clone()).or_default();
        runs.push_front(run.clone());
        runs.truncate(SHOWN);
        self.jobs.is_unsaved = true;
        answer(reply, Ok(run));
    }
}
