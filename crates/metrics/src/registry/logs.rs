//! What is counted of logs. Any thread counts: it happens once per batch of lines, not per request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Metrics;
use crate::exposition::Exposition;
use crate::names::Id;

/// Lines of one log.
#[derive(Debug, Default)]
pub struct LogCounts {
    written: AtomicU64,
    dropped: AtomicU64,
}

impl LogCounts {
    /// So many lines more were written.
    pub fn written(&self, lines: u64) {
        self.written.fetch_add(lines, Relaxed);
    }

    /// So many more were not.
    pub fn dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
    }

    /// Lines written, and lines dropped.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        (self.written.load(Relaxed), self.dropped.load(Relaxed))
    }
}

/// The logs that there are, or have been.
#[derive(Debug, Default)]
pub(super) struct Logs {
    access: Option<Arc<LogCounts>>,
    events: Option<Arc<LogCounts>>,
}

impl Logs {
    pub(super) fn collect(&self, to: &mut Exposition) {
        if let Some(counts) = &self.access {
            let (written, dropped) = counts.get();
            to.counter(Id::AccessLogWritten, &[], written);
            to.counter(Id::AccessLogDropped, &[], dropped);
        }
        if let Some(counts) = &self.events {
            let (written, dropped) = counts.get();
            to.counter(Id::EventLogWritten, &[], written);
            to.counter(Id::EventLogDropped, &[], dropped);
        }
    }
}

impl Metrics {
    /// The counts of the access log; a scrape shows them from now on.
    #[must_use]
    pub fn access_log(&self) -> Arc<LogCounts> {
        Arc::clone(self.lock().logs.access.get_or_insert_default())
    }

    /// The same of the event log.
    #[must_use]
    pub fn event_log(&self) -> Arc<LogCounts> {
        Arc::clone(self.lock().logs.events.get_or_insert_default())
    }
}
