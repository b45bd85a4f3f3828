//! What a worker is told and how it answers; how workers are reached, also by each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::model::{ListenAddress, StreamPolicy};
use futures_util::future::join_all;
use routing::failover::BackendId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::downstream::bound::BoundSocket;
use crate::downstream::handover::StdSocket;
use crate::spec::{Drain, Leave, ServiceId, Snapshot, Tag};
use crate::workers::Lost;

/// What a worker is told. Each is answered through `done` after it has been carried out.
#[derive(Debug)]
pub(crate) enum Order {
    Configure {
        snapshot: Arc<Snapshot>,
        sockets: Vec<(ListenAddress, Vec<BoundSocket>)>,
    },
    Hold {
        service: ServiceId,
        drain: Option<Drain>,
    },
    Release {
        service: ServiceId,
    },
    Activate {
        service: ServiceId,
        epoch: u64,
        active: Option<BackendId>,
        leave: Leave,
        streams: StreamPolicy,
    },
    Tag {
        service: ServiceId,
        tag: Option<Tag>,
    },
    Cleared {
        service: ServiceId,
        backend: BackendId,
    },
    Drain {
        timeout: Duration,
    },
    Retire {
        linger: Duration,
        timeout: Duration,
    },
    /// Nothing: the answer says that it is alive.
    Beat,
    /// End, with whatever is still being served.
    Stop,
    /// From another worker: a connection that it has no need of.
    Adopt {
        listener: ListenAddress,
        socket: StdSocket,
        peer: Option<SocketAddr>,
    },
}

/// An order and where to acknowledge it: with how many requests were cut off by [`Order::Drain`],
/// [`Order::Retire`] or [`Order::Hold`], or how many streams were left behind by [`Order::Activate`]; else 0.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) order: Order,
    pub(crate) done: Option<oneshot::Sender<usize>>,
}

/// What all workers have in common: how to reach each other, and how busy each is.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) mailboxes: Vec<mpsc::Sender<Mail>>,
    /// Open client connections; written only by the worker itself, at accept and close.
    pub(crate) connections: Vec<AtomicUsize>,
    /// Open connections by listener and client address, over all workers; written at accept and close.
    pub(crate) by_client: Mutex<HashMap<(ListenAddress, IpAddr), usize>>,
}

impl Team {
    /// Sends one order to each worker and awaits all answers, all at once and all within one
    /// deadline: a worker that is lost keeps no other from hearing of it.
    pub(crate) async fn tell(
        &self,
        orders: impl Iterator<Item = Order>,
        within: Duration,
    ) -> Result<usize, Lost> {
        let deadline = Instant::now() + within;
        let told = self.mailboxes.iter().zip(orders).map(|(mailbox, order)| {
            timeout_at(deadline, async move {
                let (done, answer) = oneshot::channel();
                // A full mailbox may be one that is being emptied: connections that other workers have
                // no need of come the same way, and many at a time.
                mailbox.send(Mail { order, done: Some(done) }).await.ok()?;
                answer.await.ok()
            })
        });
        let mut sum = 0;
        let mut lost = None;
        for (worker, answered) in join_all(told).await.into_iter().enumerate() {
            match answered.ok().flatten() {
                Some(count) => sum += count,
                None => lost = lost.or(Some(Lost { worker })),
            }
        }
        lost.map_or(Ok(sum), Err)
    }
}

/// Answers an order.
pub(crate) fn acknowledge(done: Option<oneshot::Sender<usize>>, count: usize) {
    if let Some(done) = done {
        // Control may have stopped waiting.
        let _ = done.send(count);
    }
}
