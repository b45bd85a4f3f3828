//! What a worker is told and how it answers; how workers reach each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::model::{ListenAddress, StreamPolicy};
use routing::failover::BackendId;
use tokio::sync::{mpsc, oneshot};

use crate::downstream::bound::BoundSocket;
use crate::downstream::handover::StdSocket;
use crate::spec::{Drain, Leave, ServiceId, Snapshot, Tag};

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

/// Answers an order.
pub(crate) fn acknowledge(done: Option<oneshot::Sender<usize>>, count: usize) {
    if let Some(done) = done {
        // Control may have stopped waiting.
        let _ = done.send(count);
    }
}
