//! Whether everything that must move does: the drivers and the workers.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Control;
use crate::driver::Order;
use crate::supervisor::Drivers;

/// Who does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// A thread that forwards.
    #[error("worker {0} does not answer")]
    Worker(usize),
    /// Whoever decides for a service.
    #[error("the driver of service {0} does not answer")]
    Driver(Arc<str>),
}

impl Control {
    /// Returns once every driver and every worker has answered: failovers happen, and requests are
    /// forwarded. How the backends are does not matter. The longest that a driver waits for anything
    /// by design is five seconds, for a worker; `within` should be more than that.
    ///
    /// # Errors
    /// Who did not answer `within` that time. Never while everything is ending.
    pub async fn pulse(&self, within: Duration) -> Result<(), Stuck> {
        let deadline = Instant::now() + within;
        all_drive(&self.drivers, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        match self.workers.beat(left).await {
            // There is always a service; without drivers everything is ending, workers last.
            Err(lost) if !self.drivers.load().is_empty() => Err(Stuck::Worker(lost.worker)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Asks all drivers at once, and waits for all of them.
async fn all_drive(drivers: &ArcSwap<Drivers>, deadline: Instant) -> Result<(), Stuck> {
    let asked_of = drivers.load_full();
    let mut asked = Vec::with_capacity(asked_of.len());
    for (id, driver) in asked_of.iter() {
        let (done, answer) = oneshot::channel();
        let sent = timeout_at(deadline, driver.orders.send(Order::Beat { done })).await;
        asked.push((*id, &driver.name, sent.is_ok_and(|sent| sent.is_ok()).then_some(answer)));
    }
    for (id, name, answer) in asked {
        let answered = match answer {
            Some(answer) => timeout_at(deadline, answer).await.is_ok_and(|beat| beat.is_ok()),
            None => false,
        };
        // One that was removed meanwhile owes no answer.
        if !answered && drivers.load().contains_key(&id) {
            return Err(Stuck::Driver(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proxy::ServiceId;
    use tokio::sync::mpsc;

    use super::*;
    use crate::supervisor::DriverHandle;

    const SOON: Duration = Duration::from_millis(200);

    /// A driver, and what it is told.
    fn driver(name: &str) -> (DriverHandle, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(1);
        (DriverHandle { name: name.into(), orders }, inbox)
    }

    /// Answers as a driver does that has nothing else to do.
    fn at_work(mut inbox: mpsc::Receiver<Order>) {
        tokio::spawn(async move {
            while let Some(order) = inbox.recv().await {
                if let Order::Beat { done } = order {
                    let _ = done.send(());
                }
            }
        });
    }

    async fn asked(drivers: &ArcSwap<Drivers>) -> Result<(), Stuck> {
        all_drive(drivers, Instant::now() + SOON).await
    }

    #[tokio::test]
    async fn one_driver_that_does_not_answer_is_named() {
        let ((a, a_inbox), (b, b_inbox)) = (driver("a"), driver("b"));
        at_work(a_inbox);
        let drivers: Drivers = [(ServiceId(1), a.clone()), (ServiceId(2), b)].into();
        let drivers = ArcSwap::from_pointee(drivers);
        // It takes an order and says nothing.
        assert_eq!(asked(&drivers).await, Err(Stuck::Driver("b".into())));
        // Its queue is full.
        assert_eq!(asked(&drivers).await, Err(Stuck::Driver("b".into())));
        // It is gone, by a panic for example.
        drop(b_inbox);
        assert_eq!(asked(&drivers).await, Err(Stuck::Driver("b".into())));
        // It was removed.
        drivers.store(Arc::new([(ServiceId(1), a)].into()));
        assert_eq!(asked(&drivers).await, Ok(()));
    }

    #[tokio::test]
    async fn one_that_is_removed_while_it_is_asked_owes_no_answer() {
        let (gone, _inbox) = driver("gone");
        let drivers = Arc::new(ArcSwap::from_pointee(Drivers::from([(ServiceId(1), gone)])));
        let asked = tokio::spawn({
            let drivers = drivers.clone();
            async move { asked(&drivers).await }
        });
        tokio::task::yield_now().await;
        drivers.store(Arc::default());
        assert_eq!(asked.await.expect("no panic"), Ok(()));
    }
}
