//! Another process takes over: everybody stands aside, or steps back in.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use config::model::ListenAddress;
use proxy::Bound;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{DriverHandle, Supervisor};
use crate::driver::Order;
use crate::state::SavedService;
use crate::takeover::{Aside, Scope};

/// From one try to stand aside to the next, while a move is under way.
const MOVE_PAUSE: Duration = Duration::from_millis(50);

impl Supervisor {
    /// Keeps duplicates of new listeners' sockets, for a successor.
    pub(super) fn note_sockets(&mut self, bound: &[Bound]) {
        for listener in bound {
            match listener.share() {
                Ok(sockets) => drop(self.sockets.insert(listener.configured.clone(), sockets)),
                Err(error) => tracing::warn!(
                    listener = %listener.configured,
                    %error,
                    "a successor will have to bind this listener itself"
                ),
            }
        }
    }

    /// Has every driver decide nothing more, and lets go of the state, for somebody who will serve
    /// `scope`.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub(super) async fn stand_aside(&mut self, scope: &Scope) -> Result<Aside, String> {
        let lost = Scope::of(&self.running.config).lost_with(scope);
        if !lost.is_empty() {
            return Err(format!(
                "the new config is without {}: put it in force by a reload of the running process \
                 first, then take over",
                lost.join(", ")
            ));
        }
        // All at once: whoever stands aside does not fail over.
        let drivers = self.drivers.load_full();
        let asked: JoinSet<_> = drivers.values().cloned().map(stand_aside).collect();
        let Ok(answers) = timeout(self.driven_within, asked.join_all()).await else {
            self.step_back_in().await;
            return Err("a service is being moved: try again".to_owned());
        };
        let mut services = BTreeMap::new();
        for (name, saved) in answers {
            let Some(saved) = saved else {
                self.step_back_in().await;
                return Err(format!("service {name} is not driven"));
            };
            services.insert(name.to_string(), saved);
        }
        let shared = |(address, sockets): (&ListenAddress, &Vec<OwnedFd>)| {
            let sockets = sockets.iter().map(OwnedFd::try_clone).collect::<Result<Vec<_>, _>>();
            sockets.map(|sockets| (address.to_string(), sockets))
        };
        let listeners = self.sockets.iter().map(shared).collect::<Result<Vec<_>, _>>();
        let listeners = match listeners {
            Ok(listeners) => listeners,
            Err(error) => {
                self.step_back_in().await;
                return Err(format!("the sockets cannot be handed over: {error}"));
            }
        };
        self.aside = true;
        self.notifiers.stop().await;
        self.board.close_state().await;
        Ok(Aside { listeners, services })
    }

    /// Takes everything back: the other process did not take over. It may have decided things before.
    pub(super) async fn step_back_in(&mut self) {
        let mut saved = BTreeMap::new();
        if std::mem::take(&mut self.aside) {
            saved = self.board.reopen_state(self.running.config.state_dir.clone()).await;
            self.notify().await;
        }
        for driver in self.drivers.load_full().values() {
            let saved = saved.remove(&*driver.name).map(Box::new);
            // A driver that has ended has nothing to take back.
            let _ = driver.orders.send(Order::StepBackIn { saved }).await;
        }
    }
}

/// Has a driver decide nothing more, as soon as no move is under way. `None`: it has ended.
async fn stand_aside(driver: DriverHandle) -> (Arc<str>, Option<SavedService>) {
    loop {
        let (reply, answer) = oneshot::channel();
        let asked = driver.orders.send(Order::StandAside { reply }).await;
        let answered = if asked.is_ok() { answer.await.ok() } else { None };
        match answered {
            Some(None) => {}
            Some(saved @ Some(_)) => return (driver.name, saved),
            None => return (driver.name, None),
        }
        // A move takes milliseconds, a drain seconds.
        tokio::time::sleep(MOVE_PAUSE).await;
    }
}
