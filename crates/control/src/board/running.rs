//! The config in force, for whoever wants to read it.

use std::sync::Arc;

use config::model::Config;

use super::Board;

impl Board {
    /// From now on this one is in force.
    pub(crate) fn runs_with(&self, config: Config) {
        self.config.store(Some(Arc::new(config)));
    }

    /// The one in force; `None` before the first is.
    pub(crate) fn config(&self) -> Option<Arc<Config>> {
        self.config.load_full()
    }
}
