//! What is counted and shown of the jobs of a service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Metrics, entry};
use crate::exposition::Exposition;
use crate::names::Id;

/// How a run of a job may have ended.
const OUTCOMES: [&str; 5] = ["done", "unreachable", "failed", "unknown", "cancelled"];

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it runs.
    pub is_running: bool,
    /// How long its last run took.
    pub took: Option<Duration>,
    /// How often in a row it has failed.
    pub failures: u32,
    /// What it has done for each backend.
    pub backends: Vec<JobBackendView>,
}

/// What a job has done for one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobBackendView {
    /// Its name.
    pub name: Arc<str>,
    /// When its last run began that succeeded.
    pub succeeded: Option<SystemTime>,
    /// Whether that is too long ago; `None`: it cannot be.
    pub is_stale: Option<bool>,
}

/// The jobs of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    shown: Vec<JobView>,
    runs: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Jobs {
    pub(super) fn show(&mut self, shown: &[JobView]) {
        self.runs.retain(|name, _| shown.iter().any(|job| *job.name == **name));
        for job in shown {
            entry(&mut self.runs, &job.name, none);
        }
        self.shown = shown.to_vec();
    }

    fn count(&mut self, job: &str, outcome: &str) {
        *entry(entry(&mut self.runs, job, none), outcome, || 0) += 1;
    }

    pub(super) fn collect(&self, service: &str, to: &mut Exposition) {
        for (job, outcomes) in &self.runs {
            for (outcome, count) in outcomes {
                to.counter(Id::JobRuns, &[service, job, outcome], *count);
            }
        }
        for job in &self.shown {
            let names = [service, &*job.name];
            to.gauge(Id::JobRunning, &names, f64::from(u8::from(job.is_running)));
            to.gauge(Id::JobFailures, &names, f64::from(job.failures));
            if let Some(took) = job.took {
                to.gauge(Id::JobDuration, &names, took.as_secs_f64());
            }
            for backend in &job.backends {
                let names = [service, &*job.name, &*backend.name];
                if let Some(at) = backend.succeeded {
                    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
                    to.gauge(Id::JobLastSuccess, &names, since.as_secs_f64());
                }
                if let Some(is_stale) = backend.is_stale {
                    to.gauge(Id::JobStale, &names, f64::from(u8::from(is_stale)));
                }
            }
        }
    }
}

fn none() -> BTreeMap<String, u64> {
    OUTCOMES.iter().map(|outcome| ((*outcome).to_owned(), 0)).collect()
}

impl Metrics {
    /// Counts a run of a job, for one standby or for the active.
    pub fn job(&self, service: &str, job: &str, outcome: &str) {
        self.lock().service(service).jobs.count(job, outcome);
    }
}
