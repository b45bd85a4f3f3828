//! The way of finished records to whoever makes traces of them.

use std::sync::Arc;

use metrics::Spans;
use tokio::sync::mpsc;

use crate::record::Record;

/// Takes records of traced requests. Never waits: what finds no room is dropped and counted.
#[derive(Clone, Debug)]
pub struct Tracer {
    records: mpsc::Sender<Box<Record>>,
    spans: Arc<Spans>,
}

impl Tracer {
    /// One for `records`; counts in `spans` those for which it has no room.
    #[must_use]
    pub fn new(records: mpsc::Sender<Box<Record>>, spans: Arc<Spans>) -> Self {
        Self { records, spans }
    }

    /// Hands over `record`.
    pub fn hand(&self, record: Box<Record>) {
        // One of the request, and one for each step.
        let spans = 1 + record.steps.len() as u64;
        if self.records.try_send(record).is_err() {
            self.spans.dropped(spans);
        }
    }
}
