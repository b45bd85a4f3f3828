//! How a worker stops serving: by itself, or because a successor serves from the same sockets.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::order::acknowledge;
use crate::worker::Worker;

/// How often it is looked whether all have gone.
const LOOK: Duration = Duration::from_millis(10);

impl Worker {
    /// Carries out control's order; see [`crate::Workers::drain`].
    pub(crate) async fn drain(
        self: Rc<Self>,
        timeout: Duration,
        done: Option<oneshot::Sender<usize>>,
    ) {
        for listener in self.listeners.borrow().iter() {
            listener.close();
        }
        let deadline = Instant::now() + timeout;
        self.close_idle();
        loop {
            // Not sooner: what is in a socket's queue is still being accepted.
            sleep(LOOK).await;
            let is_done = self.clients.borrow().is_empty() && self.flights.len() == 0;
            if is_done || Instant::now() >= deadline {
                break;
            }
        }
        acknowledge(done, self.flights.len());
    }

    /// Carries out control's order; see [`crate::Workers::retire`].
    pub(crate) async fn retire(
        self: Rc<Self>,
        linger: Duration,
        timeout: Duration,
        done: Option<oneshot::Sender<usize>>,
    ) {
        for listener in self.listeners.borrow().iter() {
            listener.retire();
        }
        self.wake_clients();
        let now = Instant::now();
        let (close_idle_at, deadline) = (now + linger.min(timeout), now + timeout);
        loop {
            // Not sooner: another worker may just have handed over a connection.
            sleep(LOOK).await;
            // Also connections whose handshake is under way are about to send a request.
            let is_done = self.open.get() == 0 && self.flights.len() == 0;
            if is_done || Instant::now() >= deadline {
                break;
            }
            if Instant::now() >= close_idle_at && !self.is_draining() {
                self.close_idle();
            }
        }
        acknowledge(done, self.flights.len());
    }

    fn close_idle(&self) {
        self.draining.set(true);
        self.wake_clients();
    }
}
