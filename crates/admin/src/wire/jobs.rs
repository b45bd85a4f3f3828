//! Jobs: how they stand, and how they went.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Operator, millis, seconds};

/// A job of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// When it runs, in words.
    pub schedule: String,
    /// For how long it has been running; `null`: it does not.
    #[schema(minimum = 0.0)]
    pub running_for_seconds: Option<f64>,
    /// The standby that it is about at present.
    pub running_to: Option<String>,
    /// When it is due next, if it runs by itself; it may have to wait from then on.
    pub due: Option<Timestamp>,
    /// When it last began; `null`: never, as far as is known.
    pub began: Option<Timestamp>,
    /// How its last run ended: `done`, `unreachable`, `failed`, `unknown` or `cancelled`; empty: none has.
    pub outcome: String,
    /// The same in words.
    pub words: String,
    /// How long its last run took.
    #[schema(minimum = 0.0)]
    pub took_seconds: Option<f64>,
    /// How often in a row it has failed.
    pub failures: u32,
    /// How old its last success for a standby may be; `null`: no matter.
    #[schema(minimum = 0.0)]
    pub max_age_seconds: Option<f64>,
    /// What it has done for each backend.
    pub backends: Vec<JobBackend>,
}

/// What a job has done for one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobBackend {
    /// Its name.
    pub name: String,
    /// Whether it is the active.
    pub active: bool,
    /// When the last run began that succeeded.
    pub succeeded: Option<Timestamp>,
    /// How old what it has is, by that or by when it was active itself; `null`: not known, or it is
    /// active.
    #[schema(minimum = 0.0)]
    pub age_seconds: Option<f64>,
    /// Whether that is too old.
    pub stale: bool,
}

/// A job and its latest runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobShown {
    /// How it stands.
    pub job: Job,
    /// A few since the start, newest first; one that has not ended is the first.
    pub runs: Vec<JobRun>,
}

/// One run of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobRun {
    /// Which job.
    pub job: String,
    /// When it began; `null`: it waits for its turn.
    pub began: Option<Timestamp>,
    /// Who ordered it; `null`: its schedule.
    pub by: Option<Operator>,
    /// `done`, `unreachable`, `failed`, `unknown` or `cancelled`; `null`: it has not ended.
    pub outcome: Option<String>,
    /// One for each standby, or one for the active; those that have ended.
    pub turns: Vec<JobTurn>,
}

/// A run of a job, for one standby or for the active.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobTurn {
    /// The standby; `null`: it was about the active alone.
    pub backend: Option<String>,
    /// `done`, `unreachable`, `failed`, `unknown` or `cancelled`.
    pub outcome: String,
    /// The same in words.
    pub words: String,
    /// The beginning of what it wrote, or of the answer's body.
    pub output: String,
    /// How many tries there were.
    pub tries: u32,
    /// How long it took.
    #[schema(minimum = 0.0)]
    pub took_ms: f64,
}

fn timestamp(at: Option<SystemTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::try_from(at).ok())
}

impl From<&control::JobStatus> for Job {
    fn from(job: &control::JobStatus) -> Self {
        let (since, to) = job.running.clone().unzip();
        Self {
            name: job.name.to_string(),
            schedule: job.schedule.to_string(),
            running_for_seconds: since.map(|since: control::Since| seconds(since.ago())),
            running_to: to.flatten().map(|to| to.to_string()),
            due: timestamp(job.due),
            began: timestamp(job.began),
            outcome: job.outcome.to_string(),
            words: job.words.to_string(),
            took_seconds: job.took.map(seconds),
            failures: job.failures,
            max_age_seconds: job.max_age.map(seconds),
            backends: job.backends.iter().map(JobBackend::from).collect(),
        }
    }
}

impl From<&control::JobBackend> for JobBackend {
    fn from(backend: &control::JobBackend) -> Self {
        Self {
            name: backend.name.to_string(),
            active: backend.is_active,
            succeeded: timestamp(backend.succeeded),
            age_seconds: backend.age.map(seconds),
            stale: backend.is_stale,
        }
    }
}

impl From<control::JobShown> for JobShown {
    fn from(shown: control::JobShown) -> Self {
        let runs = shown.runs.into_iter().map(JobRun::from).collect();
        Self { job: Job::from(&shown.status), runs }
    }
}

impl From<control::JobRun> for JobRun {
    fn from(run: control::JobRun) -> Self {
        let turns = run.turns.iter().map(|turn| JobTurn {
            backend: turn.backend.as_ref().map(ToString::to_string),
            outcome: turn.outcome.to_owned(),
            words: turn.words.to_string(),
            output: turn.output.to_string(),
            tries: turn.tries,
            took_ms: millis(turn.took),
        });
        Self {
            job: run.job.to_string(),
            began: timestamp(run.began),
            by: run.by.as_ref().map(Operator::from),
            outcome: run.outcome.map(str::to_owned),
            turns: turns.collect(),
        }
    }
}
