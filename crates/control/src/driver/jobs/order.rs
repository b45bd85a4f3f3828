//! Jobs that operators order.

use routing::failover::Refusal;
use tokio::sync::oneshot;

use config::model::JobTarget;

use super::{Driver, Ordered, nobody_will_do, will_do};
use crate::command::{CommandError, JobRun, Operator};

impl Driver {
    /// Has a job run as soon as the one under way is over. Answered when it has ended, or, if nobody
    /// wants to `wait`, at once.
    pub(in crate::driver) fn order_job(
        &mut self,
        job: &str,
        wait: bool,
        by: Operator,
        reply: oneshot::Sender<Result<JobRun, CommandError>>,
    ) {
        let what = format!("run job {job}");
        if let Err(why) = self.may_order_job(job) {
            self.record_order(&what, &by, false, &why.to_string());
            let _ = reply.send(Err(why));
            return;
        }
        let outcome = if self.jobs.running.is_some() { "waits for its turn" } else { "begun" };
        self.record_order(&what, &by, true, outcome);
        let mut ordered = Ordered { job: job.into(), by, reply: Some(reply) };
        if !wait && let Some(reply) = ordered.reply.take() {
            let by = Some(ordered.by.clone());
            let job = ordered.job.clone();
            let run = JobRun { job, began: None, by, outcome: None, turns: Vec::new() };
            // Whoever asked may be gone; it runs all the same.
            let _ = reply.send(Ok(run));
        }
        self.jobs.ordered.push_back(ordered);
    }

    fn may_order_job(&self, job: &str) -> Result<(), CommandError> {
        if self.aside {
            let why = "another process has taken over: ask that one";
            return Err(CommandError::Impossible(why.to_owned()));
        }
        let entry = self.jobs.timetable.entry(job);
        let entry = entry.ok_or_else(|| CommandError::UnknownJob(job.to_owned()))?;
        let running = self.jobs.running.as_ref().map(|running| &running.run.job);
        let mut ordered = self.jobs.ordered.iter().map(|ordered| &ordered.job);
        if running == Some(&entry.job.name) || ordered.any(|ordered| *ordered == entry.job.name) {
            return Err(CommandError::Impossible(format!("job {job} runs already")));
        }
        let status = self.failover.status();
        if status.active.is_none() {
            return Err(CommandError::Refused(Refusal::NothingActive));
        }
        if status.waits_for_job {
            let why = "a move waits for the job that runs: try again when it is done";
            return Err(CommandError::Impossible(why.to_owned()));
        }
        if !self.is_free(&status) {
            return Err(CommandError::Refused(Refusal::Switching));
        }
        let standbys: Vec<_> = self.standbys(&status).collect();
        if entry.job.to != JobTarget::Active && !will_do(&standbys, entry.job.to) {
            return Err(nobody_will_do(entry.job.to));
        }
        Ok(())
    }
}
