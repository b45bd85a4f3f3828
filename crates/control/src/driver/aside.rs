//! Another process takes over: this driver decides nothing more, and does as it is told.

use std::sync::Arc;
use std::time::Instant;

use proxy::{Drain, Leave, Lost};
use routing::failover::{Input, Reason};
use tokio::sync::oneshot;

use super::clock::Clock;
use super::{Driver, acknowledged};
use crate::forwarders::{Activation, Said};
use crate::state::{SavedService, epoch_from};
use crate::streams;

impl Driver {
    /// Stops deciding, and says what the other process must know. `None` while a move is under way, or
    /// an operator waits for its first good answer.
    pub(super) fn stand_aside(&mut self) -> Option<SavedService> {
        let status = self.failover.status();
        let is_moving = status.switch.is_some() || self.asked.is_some();
        if self.succession.is_some() || is_moving {
            return None;
        }
        self.aside = true;
        Some(self.saved())
    }

    /// The other process did not take over: decide again, with epochs that it has not used, and have the
    /// workers where we think they are.
    pub(super) async fn step_back_in(&mut self) {
        if !std::mem::take(&mut self.aside) {
            return;
        }
        let clock = Clock::look();
        self.failover.skip_epochs(epoch_from(self.failover.status().epoch, clock.wall));
        self.keep(true).await;
        let status = self.failover.status();
        let name = status.active.map(|active| self.name(active));
        let streams = streams::policy(self.settings.streams, Reason::Failover);
        let (active, leave) = (status.active, Leave::Finish);
        let activation = Activation { epoch: status.epoch, active, name, leave, streams };
        let told = self.forwarders.activate(self.id, &self.name, activation);
        let _ = acknowledged(told, &self.board).await;
        // Nothing was heard of the backends meanwhile.
        self.backends.values().for_each(|watched| watched.prober.suspect());
        self.tell_probers();
        self.step(Input::Tick).await;
    }

    /// Has our workers do what the other process says, without holding up verdicts: a drain takes its
    /// time.
    pub(super) fn obey(&mut self, said: Said, done: oneshot::Sender<Result<usize, Lost>>) {
        let (forwarders, id) = (Arc::clone(&self.forwarders), self.id);
        let left = self.failover.status().active.and_then(|active| self.backends.get(&active));
        let leave = left.map_or(Leave::Finish, |left| left.evidence.leave());
        let backend = |name: Arc<str>| self.backend(&name).ok();
        let activation = match said.clone() {
            Said::Activate { active, epoch } => {
                let streams = streams::policy(self.settings.streams, Reason::Failover);
                let (id, name) = (active.clone().and_then(backend), active);
                self.since = Instant::now();
                Some(Activation { epoch, active: id, name, leave, streams })
            }
            Said::Hold { .. } | Said::Release => None,
        };
        tokio::spawn(async move {
            let workers = forwarders.workers();
            let answer = match (said, activation) {
                (Said::Hold { drain }, _) => {
                    let drain = drain.map(|within| Drain { within, leave });
                    workers.hold(id, drain).await.map(|held| held.cut)
                }
                (Said::Release, _) => workers.release(id).await.map(|()| 0),
                (Said::Activate { .. }, Some(to)) => {
                    workers.activate(id, to.epoch, to.active, to.leave, to.streams).await
                }
                (Said::Activate { .. }, None) => Ok(0),
            };
            // The other process may have stopped waiting.
            let _ = done.send(answer);
        });
    }
}
