//! Holding: a request waits, within bounds, until its service has an active for it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::downstream::client::Watched;
use crate::flight::{Flight, Phase, Signal};
use crate::service::{Moment, Service};
use crate::upstream::backend::Backend;

/// Why a request cannot wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many requests or bytes as allowed are waiting already.
    Full,
    /// It has waited for as long as allowed.
    Expired,
    /// The time for the whole request is over.
    Overdue,
    /// The client is gone.
    ClientGone,
}

/// A request's time in the queue: the limit is on the sum of its waits.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// What earlier waits took; `None` before the first.
    spent: Option<Duration>,
}

/// Counts a waiting request for as long as it waits.
struct Slot<'a> {
    service: &'a Service,
    flight: &'a Flight,
    bytes: usize,
}

impl Hold {
    /// Waits until somebody is active, and not the one that failed this request at `failed` unless
    /// that one has answered a probe since. `bytes` of body are kept while waiting.
    ///
    /// # Errors
    /// When the request cannot wait (any longer).
    pub(crate) async fn wait(
        &mut self,
        service: &Rc<Service>,
        flight: &Flight,
        failed: Option<(&Rc<Backend>, Moment)>,
        bytes: usize,
    ) -> Result<(), Refused> {
        let is_over = || {
            let has_news = failed.is_none_or(|(_, moment)| service.moment() != moment);
            has_news && service.active().is_some()
        };
        // Whoever need not wait takes nobody's place: at a failover the hold may be full.
        if is_over() {
            return Ok(());
        }
        let began = Instant::now();
        let since = began - self.spent.unwrap_or_default();
        let slot = Slot::take(service, flight, bytes).ok_or(Refused::Full)?;
        if self.spent.is_none() {
            service.cells.held_total.inc();
        }
        flight.enter(Phase::Held, failed.map(|(backend, _)| backend), since);
        flight.note(|recording| recording.held_from(began, service.epoch()));
        let outcome = poll_fn(|_| {
            if flight.client_gone() {
                return Poll::Ready(Err(Refused::ClientGone));
            }
            if is_over() {
                return Poll::Ready(Ok(()));
            }
            match flight.signal() {
                Signal::Expired if flight.is_overdue() => Poll::Ready(Err(Refused::Overdue)),
                Signal::Expired => Poll::Ready(Err(Refused::Expired)),
                Signal::None | Signal::Abandon | Signal::Close => Poll::Pending,
            }
        })
        .await;
        drop(slot);
        flight.note(|recording| recording.held(service.epoch()));
        self.spent = Some(since.elapsed());
        outcome
    }
}

// === impl Slot ===

impl<'a> Slot<'a> {
    fn take(service: &'a Service, flight: &'a Flight, bytes: usize) -> Option<Self> {
        if !service.may_hold(bytes) {
            return None;
        }
        service.held.set(service.held.get() + 1);
        service.held_bytes.set(service.held_bytes.get() + bytes);
        service.cells.held.inc();
        service.cells.held_bytes.add(bytes as u64);
        flight.watch_client(Watched::Yes);
        Some(Self { service, flight, bytes })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.flight.watch_client(Watched::No);
        self.service.held.set(self.service.held.get() - 1);
        self.service.held_bytes.set(self.service.held_bytes.get() - self.bytes);
        self.service.cells.held.dec();
        self.service.cells.held_bytes.sub(self.bytes as u64);
    }
}
