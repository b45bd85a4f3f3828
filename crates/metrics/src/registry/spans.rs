//! What is counted of spans of traces.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::Metrics;
use crate::exposition::Exposition;
use crate::names::Id;

/// What became of spans. Counted by whoever loses or exports them, without a lock.
#[derive(Debug, Default)]
pub struct Spans {
    exported: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

impl Spans {
    /// So many were taken by the collector.
    pub fn exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Relaxed);
    }

    /// So many will never get there: no room for them, or the collector did not take them.
    pub fn dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Relaxed);
    }

    /// A try to send some failed.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn collect(&self, to: &mut Exposition) {
        to.counter(Id::SpansExported, &[], self.exported.load(Relaxed));
        to.counter(Id::SpansDropped, &[], self.dropped.load(Relaxed));
        to.counter(Id::SpanExportFailures, &[], self.failures.load(Relaxed));
    }
}

impl Metrics {
    /// Where spans are counted.
    #[must_use]
    pub fn spans(&self) -> Arc<Spans> {
        Arc::clone(&self.lock().spans)
    }
}
