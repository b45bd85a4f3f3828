//! What is remembered of the jobs of one service.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a job must not forget across a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedJob {
    /// Its times up to this one have been dealt with: it began then, was passed over, or was first seen.
    pub(crate) since_ms: u64,
    /// When it last began.
    pub(crate) began_ms: Option<u64>,
    /// Whether it has begun and not ended.
    pub(crate) under_way: bool,
    /// When its last run began that succeeded, by the backend that it was about.
    pub(crate) succeeded_ms: BTreeMap<Arc<str>, u64>,
    /// How often in a row it has failed.
    pub(crate) failures: u32,
    /// How its last run ended: `done`, `unreachable`, `failed`, `unknown` or `cancelled`; empty: none has.
    pub(crate) outcome: Arc<str>,
    /// The same in words.
    pub(crate) words: Arc<str>,
    /// How long its last run took.
    pub(crate) took_ms: Option<u64>,
}
