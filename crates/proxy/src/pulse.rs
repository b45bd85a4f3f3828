//! Whether the workers are alive: asked beside everything else that they are told.

use std::sync::Arc;
use std::time::Duration;

use crate::order::{Order, Team};
use crate::workers::Lost;

/// Asks the workers of one [`Workers`](crate::Workers) whether they are alive. Keeps nothing running.
#[derive(Clone, Debug)]
pub struct Pulse {
    team: Arc<Team>,
}

impl Pulse {
    pub(crate) fn of(team: Arc<Team>) -> Self {
        Self { team }
    }

    /// Returns once every worker has answered, as it answers any order: between two steps of its requests.
    ///
    /// # Errors
    /// Which worker did not, `within` that time.
    pub async fn beat(&self, within: Duration) -> Result<(), Lost> {
        let orders = self.team.mailboxes.iter().map(|_| Order::Beat);
        self.team.tell(orders, within).await.map(|_| ())
    }
}
