//! What live traffic tells the drivers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use proxy::{Notice, Suspicion};
use tokio::sync::mpsc;

use super::Drivers;
use crate::driver::Order;

/// Notices that wait to be handed to a driver; more are dropped by the workers.
pub(super) const NOTICES: usize = 256;

/// Hands what the workers tell to the drivers until the workers are gone. A driver that is too busy to
/// take it has enough to go on, and learns of a first good answer by its probes.
pub(super) async fn hand_over(mut notices: mpsc::Receiver<Notice>, drivers: Arc<ArcSwap<Drivers>>) {
    while let Some(notice) = notices.recv().await {
        let (service, order) = match notice {
            Notice::Suspicion(Suspicion { service, backend, symptom }) => {
                (service, Order::Suspect { backend, symptom })
            }
            Notice::Answered(answered) => (answered.service, Order::Answered(answered)),
        };
        if let Some(driver) = drivers.load().get(&service) {
            let _ = driver.orders.try_send(order);
        }
    }
}
