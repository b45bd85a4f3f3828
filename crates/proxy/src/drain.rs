//! Emptying the backends of a service before its traffic may go elsewhere.
//!
//! A drain is over with its last request, not with the next sweep: a move takes no longer than what it
//! waits for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::flight::Flights;
use crate::order::acknowledge;
use crate::service::Service;
use crate::spec::{Drain, Leave, ServiceId};
use crate::worker::Worker;

/// How long what was cut may take to be gone: each needs a wake-up. After the first time it is cut the
/// hard way; after the second, something is wrong.
const CUT_WITHIN: Duration = Duration::from_millis(300);
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// The drains of a service that are under way.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    under_way: Cell<usize>,
    left: Notify,
}

impl Drains {
    /// Whether somebody waits for requests to leave their backends.
    pub(crate) fn any(&self) -> bool {
        self.under_way.get() > 0
    }

    /// A request has left its backend, or the hold has ended.
    pub(crate) fn look(&self) {
        if self.any() {
            self.left.notify_waiters();
        }
    }
}

/// Counts a drain.
struct UnderWay {
    service: Rc<Service>,
    /// Which hold it belongs to.
    number: u64,
}

impl UnderWay {
    fn begin(service: &Rc<Service>) -> Self {
        let drains = &service.drains;
        drains.under_way.set(drains.under_way.get() + 1);
        Self { service: Rc::clone(service), number: service.hold_number() }
    }

    /// Whether the hold it belongs to goes on.
    fn is_on(&self) -> bool {
        self.service.hold_number() == self.number
    }

    /// Waits until no request is at a backend, or the hold has ended.
    async fn wait(&self, flights: &Flights) {
        while self.is_on() && flights.is_any_at_backend(&self.service) {
            self.service.drains.left.notified().await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let drains = &self.service.drains;
        drains.under_way.set(drains.under_way.get() - 1);
    }
}

impl Worker {
    /// Carries out control's order; see [`crate::Workers::hold`].
    pub(crate) fn hold(
        &self,
        id: ServiceId,
        drain: Option<Drain>,
        done: Option<oneshot::Sender<usize>>,
    ) {
        let Some(service) = self.service(id) else { return acknowledge(done, 0) };
        let leave = drain.map_or(Leave::Finish, |drain| drain.leave);
        let streams = service.hold(leave, &self.flights);
        let Some(drain) = drain else { return acknowledge(done, 0) };
        service.drain_hold();
        let under_way = UnderWay::begin(&service);
        let flights = Rc::clone(&self.flights);
        service.cells.streams_left.add(streams as u64);
        flights.end_endless(&service);
        let deadline = Instant::now() + drain.within;
        tokio::task::spawn_local(empty(under_way, flights, deadline, done));
    }
}

/// Waits until the backends have nothing to do, and cuts what is left when the time is over. Without
/// an answer, something could not be cut.
async fn empty(
    under_way: UnderWay,
    flights: Rc<Flights>,
    deadline: Instant,
    done: Option<oneshot::Sender<usize>>,
) {
    let service = &under_way.service;
    let mut cut = 0;
    if timeout_at(deadline, under_way.wait(&flights)).await.is_err() {
        cut = flights.cut(service);
        service.cells.cut.add(cut as u64);
        if timeout(CUT_WITHIN, under_way.wait(&flights)).await.is_err() {
            flights.cut_hard(service);
        }
        if timeout(GONE_WITHIN, under_way.wait(&flights)).await.is_err() {
            tracing::error!(service = %service.spec().name, "requests could not be cut");
            return;
        }
    }
    if under_way.is_on() {
        service.cut_unsent();
    }
    acknowledge(done, cut);
}
