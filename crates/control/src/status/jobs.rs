//! How jobs stand, as plain data.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Since;

/// A job of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStatus {
    /// Its name.
    pub name: Arc<str>,
    /// When it runs, in words.
    pub schedule: Arc<str>,
    /// Since when it runs, and about which backend; `None`: it does not.
    pub running: Option<(Since, Option<Arc<str>>)>,
    /// When it is due next, if it runs by itself; it may have to wait from then on.
    pub due: Option<SystemTime>,
    /// When it last began.
    pub began: Option<SystemTime>,
    /// How its last run ended: `done`, `unreachable`, `failed`, `unknown` or `cancelled`; empty: none has.
    pub outcome: Arc<str>,
    /// The same in words.
    pub words: Arc<str>,
    /// How long its last run took.
    pub took: Option<Duration>,
    /// How often in a row it has failed.
    pub failures: u32,
    /// How old its last success for a standby may be.
    pub max_age: Option<Duration>,
    /// What it has done for each backend that it has been about, or may be.
    pub backends: Vec<JobBackend>,
}

/// What a job has done for one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobBackend {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is the active.
    pub is_active: bool,
    /// When its last run began that succeeded.
    pub succeeded: Option<SystemTime>,
    /// How old what the backend has is, by that or by when it was active itself; `None`: not known, or
    /// it is active.
    pub age: Option<Duration>,
    /// Whether that is too old.
    pub is_stale: bool,
}
