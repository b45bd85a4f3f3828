//! How jobs stand, for whoever asks.

use std::sync::Arc;
use std::time::Duration;

use config::model::JobTarget;
use routing::failover::Status;

use super::{Driver, now_ms};
use crate::command::{CommandError, JobShown};
use crate::driver::clock::from_ms;
use crate::jobs::{Entry, Words};
use crate::status::{JobBackend, JobStatus, Since};

impl Driver {
    /// How a job stands, and its latest runs.
    pub(in crate::driver) fn show_job(&self, job: &str) -> Result<JobShown, CommandError> {
        let entry = self.jobs.timetable.entry(job);
        let entry = entry.ok_or_else(|| CommandError::UnknownJob(job.to_owned()))?;
        let status = self.job_status(entry, &self.failover.status());
        let running = self.jobs.running.as_ref().map(|running| &running.run);
        let running = running.filter(|run| *run.job == *job);
        let ended = self.jobs.runs.get(job).into_iter().flatten();
        Ok(JobShown { status, runs: running.into_iter().chain(ended).cloned().collect() })
    }

    pub(in crate::driver) fn job_statuses(&self, status: &Status) -> Vec<JobStatus> {
        let entries = self.jobs.timetable.entries().iter();
        entries.map(|entry| self.job_status(entry, status)).collect()
    }

    fn job_status(&self, entry: &Entry, status: &Status) -> JobStatus {
        let Entry { job, saved, due_ms, .. } = entry;
        let running = self.jobs.running.as_ref().filter(|running| running.run.job == job.name);
        let (now_ms, timetable) = (now_ms(), &self.jobs.timetable);
        let backends = status.backends.iter().map(|backend| {
            let (name, is_active) = (self.name(backend.id), status.active == Some(backend.id));
            let fresh_ms = timetable.fresh_ms(entry, &name).filter(|_| !is_active);
            JobBackend {
                is_active,
                succeeded: saved.succeeded_ms.get(&name).copied().map(from_ms),
                age: fresh_ms.map(|ms| Duration::from_millis(now_ms.saturating_sub(ms))),
                is_stale: !is_active && timetable.is_stale(entry, &name, now_ms),
                name,
            }
        });
        // One of the active alone concerns those that it has run on, and all if that can be too long ago.
        let concerned = |backend: &JobBackend| match job.to {
            JobTarget::Standbys { .. } => true,
            JobTarget::Active => backend.succeeded.is_some() || job.max_age.is_some(),
        };
        JobStatus {
            name: job.name.clone(),
            schedule: Words(&job.schedule).to_string().into(),
            running: running.map(|running| {
                let to: Option<Arc<str>> = running.to.map(|to| self.name(to));
                (Since(running.began), to)
            }),
            due: due_ms.map(from_ms),
            began: saved.began_ms.map(from_ms),
            outcome: saved.outcome.clone(),
            words: saved.words.clone(),
            took: saved.took_ms.map(Duration::from_millis),
            failures: saved.failures,
            max_age: job.max_age.map(|max| max.age),
            backends: backends.filter(concerned).collect(),
        }
    }
}
