//! What a scrape shows of the process itself, beside its reloads.

use super::Metrics;
use crate::exposition::Exposition;
use crate::names::Id;

/// What was last noted.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// `None` until somebody has looked.
    is_state_kept: Option<bool>,
}

impl Process {
    pub(super) fn collect(&self, to: &mut Exposition) {
        if let Some(is_kept) = self.is_state_kept {
            to.gauge(Id::StateKept, &[], f64::from(u8::from(is_kept)));
        }
    }
}

impl Metrics {
    /// Notes whether what is decided is kept as the config asks.
    pub fn state_kept(&self, is_so: bool) {
        self.lock().process.is_state_kept = Some(is_so);
    }
}
