//! The handle control holds: starts the workers, sends each message to all, awaits all answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::Metrics;
use routing::failover::BackendId;
use tokio::sync::mpsc;

use crate::spec::{Leave, ServiceId, Snapshot, Suspicion};

/// A worker did not acknowledge: its thread is gone, or it was silent for too long.
#[derive(Debug, thiserror::Error)]
#[error("worker {worker} does not answer")]
pub struct Lost {
    /// Which.
    pub worker: usize,
}

/// A listener's sockets, one per worker, bound and not yet accepting.
#[derive(Debug)]
pub struct Bound {
    /// As asked for.
    pub configured: SocketAddr,
    /// As bound: the port is never 0.
    pub local: SocketAddr,
}

/// Binds one socket per worker to `address`.
///
/// # Errors
/// As the system says, for example when the address is in use.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    let _ = workers;
    Ok(Bound { configured: address, local: address })
}

/// All workers.
#[derive(Debug)]
pub struct Workers {}

impl Workers {
    /// Starts `count` threads (at least 1) that have nothing to do yet. `suspicions` hears what live
    /// traffic meets; when it is full, a suspicion is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        count: usize,
        metrics: Arc<Metrics>,
        suspicions: mpsc::Sender<Suspicion>,
    ) -> io::Result<Self> {
        let _ = (count, metrics, suspicions);
        Ok(Self {})
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        1
    }

    /// Replaces everything a worker knows, and begins to accept on `bound`. After the answer, no
    /// request is routed by the old snapshot.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn configure(&self, snapshot: Arc<Snapshot>, bound: Vec<Bound>) -> Result<(), Lost> {
        let _ = (snapshot, bound);
        Ok(())
    }

    /// Moves a service to `active`, or holds its requests when `None`. After the answer, no request
    /// is sent to any other backend of the service. `leave` is about requests in flight on the old one.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn activate(
        &self,
        service: ServiceId,
        epoch: u64,
        active: Option<BackendId>,
        leave: Leave,
    ) -> Result<(), Lost> {
        let _ = (service, epoch, active, leave);
        Ok(())
    }

    /// A suspected backend has answered a probe: requests that wait for the verdict may try it again.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn cleared(&self, service: ServiceId, backend: BackendId) -> Result<(), Lost> {
        let _ = (service, backend);
        Ok(())
    }

    /// Stops accepting, lets running requests finish until `timeout`, then ends the threads.
    /// Returns how many requests were cut off.
    pub async fn shut_down(self, timeout: Duration) -> usize {
        let _ = timeout;
        0
    }
}
