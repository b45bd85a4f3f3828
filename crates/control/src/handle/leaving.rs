//! The handle's part in leaving: to another process that takes over, or for good.

use tokio::sync::oneshot;

use super::{Control, Request};
use crate::driver::Order;
use crate::forwarders::Said;
use crate::takeover::{Aside, Scope};

impl Control {
    /// Returns once there is no process before us that still has requests.
    pub(crate) async fn until_alone(&self) {
        let mut status = self.subscribe();
        // Ends with us at the latest.
        let _ = status.wait_for(|status| !status.process.predecessor).await;
    }

    /// Has everybody decide nothing more, for another process that takes over and will serve `scope`.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) async fn stand_aside(&self, scope: Scope) -> Result<Aside, String> {
        let (reply, answer) = oneshot::channel();
        let stopping = || "this process is stopping".to_owned();
        let asked = self.requests.send(Request::StandAside { scope, reply }).await;
        asked.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// The other process did not take over: go on.
    pub(crate) async fn step_back_in(&self) {
        let (done, finished) = oneshot::channel();
        if self.requests.send(Request::StepBackIn { done }).await.is_ok() {
            // Fails when everything is stopping.
            let _ = finished.await;
        }
    }

    /// Does what the other process says with requests that are still here; returns how many it had to
    /// do with, or `None` when not every worker did.
    pub(crate) async fn obey(&self, service: &str, said: Said) -> Option<usize> {
        let (done, answer) = oneshot::channel();
        // A service that is not here has no requests.
        match self.ask(service, Order::Obey { said, done }, answer).await {
            Ok(answer) => answer.ok(),
            Err(_) => Some(0),
        }
    }

    /// Another process has taken over.
    pub(crate) fn succeeded(&self) {
        self.succeeded.send_replace(true);
    }

    /// Returns once another process has taken over: what is left is to [`retire`](Self::retire).
    pub async fn until_succeeded(&self) {
        let mut succeeded = self.succeeded.subscribe();
        // The sender lives as long as we do.
        let _ = succeeded.wait_for(|succeeded| *succeeded).await;
    }

    /// Lets running requests finish for up to the config's `shutdown_timeout` while another process
    /// accepts, then ends everything. Returns how many requests were cut off.
    pub async fn retire(&self) -> usize {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Retire { reply }).await.is_err() {
            return 0;
        }
        answer.await.unwrap_or_default()
    }

    /// Stops accepting, lets running requests finish for up to the config's `shutdown_timeout`, then
    /// ends everything. Returns how many requests were cut off.
    pub async fn shut_down(&self) -> usize {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::ShutDown { reply }).await.is_err() {
            return 0;
        }
        answer.await.unwrap_or_default()
    }
}
