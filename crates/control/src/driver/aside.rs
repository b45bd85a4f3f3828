//! Another process takes over: this driver decides nothing more, and does as it is told.

use std::sync::Arc;
use std::time::Instant;

use proxy::{Drain, Leave, Lost};
use routing::failover::Input;
use tokio::sync::oneshot;

use super::window::Window;
use super::{Driver, acknowledged, keep};
use crate::forwarders::{Activation, Said};
use crate::state::SavedService;
use crate::streams;

impl Driver {
    /// Stops deciding, and says what the other process must know. `None` while a move is under way, or
    /// an operator waits for its first good answer. A gate in doubt does not keep it from that: it is
    /// on record, and whoever waits for an operator may do so in the other process.
    pub(super) async fn stand_aside(&mut self) -> Option<SavedService> {
        let status = self.failover.status();
        let gate_runs = status.gate.is_some_and(|gate| !gate.in_doubt);
        let is_moving = status.switch.is_some() || gate_runs || self.asked.is_some();
        if self.succession.is_some() || is_moving {
            return None;
        }
        if !self.job_lets_go().await {
            return None;
        }
        self.aside = true;
        Some(self.saved())
    }

    /// The other process did not take over: decide again as after a restart, from what it has written or
    /// said last. Requests are held until the first verdict.
    pub(super) async fn step_back_in(&mut self, saved: Option<Box<SavedService>>) {
        if !std::mem::take(&mut self.aside) {
            return;
        }
        // At once: requests wait for the first verdict.
        for watched in self.backends.values_mut() {
            watched.told = None;
            watched.prober.suspect();
        }
        let ours = self.saved();
        let mut last = saved.map(|saved| *saved).filter(|saved| saved.epoch >= ours.epoch);
        let saved = last.get_or_insert(ours);
        if let Some((active, epoch)) = self.obeyed.take().filter(|(_, epoch)| *epoch > saved.epoch)
        {
            saved.obeyed(active, epoch);
        }
        self.jobs.go_on(saved, &self.settings.jobs);
        let held = self.forwarders.workers().hold(self.id, None);
        let _ = acknowledged(held, &self.board).await;
        let status = self.failover.status();
        let names = status.backends.iter().map(|backend| (backend.id, self.name(backend.id)));
        let names: Vec<_> = names.collect();
        let policy = self.failover.policy().clone();
        (self.failover, self.kept) = keep::resume(last.unwrap_or_default(), &names, policy);
        self.window = Window::new(self.settings.failback_window.clone());
        self.tell_probers();
        self.step(Input::Tick).await;
    }

    /// Has our workers do what the other process says, without holding up verdicts: a drain takes its
    /// time.
    pub(super) fn obey(&mut self, said: Said, done: oneshot::Sender<Result<usize, Lost>>) {
        let (forwarders, id) = (Arc::clone(&self.forwarders), self.id);
        let before = match &self.obeyed {
            Some((name, _)) => name.clone().and_then(|name| self.backend(&name).ok()),
            None => self.failover.status().active,
        };
        let left = before.and_then(|active| self.backends.get(&active));
        let leave = left.map_or(Leave::Finish, |left| left.evidence.leave());
        let backend = |name: Arc<str>| self.backend(&name).ok();
        let activation = match said.clone() {
            Said::Activate { active, epoch, planned } => {
                let streams = streams::policy(self.settings.streams, planned);
                let (id, name) = (active.clone().and_then(backend), active);
                self.since = Instant::now();
                self.obeyed = Some((name.clone(), epoch));
                Some(Activation { epoch, active: id, name, leave, planned, streams })
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
