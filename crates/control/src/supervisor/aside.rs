//! Another process takes over: everybody stands aside, or steps back in.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use config::model::ListenAddress;
use proxy::Bound;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{DriverHandle, Supervisor};
use crate::driver::Order;
use crate::state::SavedService;
use crate::takeover::Aside;

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

    /// Has every driver decide nothing more, and lets go of the state.
    pub(super) async fn stand_aside(&mut self) -> Result<Aside, String> {
        let mut services = BTreeMap::new();
        for driver in self.drivers.load_full().values() {
            let asked = stand_aside(driver);
            let Ok(Some(saved)) = timeout(self.driven_within, asked).await else {
                self.step_back_in().await;
                return Err(format!("service {} is being moved: try again", driver.name));
            };
            services.insert(driver.name.to_string(), saved);
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
        self.board.close_state().await;
        Ok(Aside { listeners, services })
    }

    /// Takes everything back: the other process did not take over.
    pub(super) async fn step_back_in(&mut self) {
        if std::mem::take(&mut self.aside) {
            self.board.reopen_state(self.running.config.state_dir.clone()).await;
        }
        for driver in self.drivers.load_full().values() {
            // A driver that has ended has nothing to take back.
            let _ = driver.orders.send(Order::StepBackIn).await;
        }
    }
}

/// Has a driver decide nothing more. `None`: a move is under way, or it has ended.
async fn stand_aside(driver: &DriverHandle) -> Option<SavedService> {
    loop {
        let (reply, answer) = oneshot::channel();
        driver.orders.send(Order::StandAside { reply }).await.ok()?;
        if let Some(saved) = answer.await.ok()? {
            return Some(saved);
        }
        // A move takes milliseconds, a drain seconds.
        tokio::time::sleep(MOVE_PAUSE).await;
    }
}
