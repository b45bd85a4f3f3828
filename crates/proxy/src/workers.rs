//! The handle control holds: starts the workers, sends each message to all, awaits all answers.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use config::model::StreamPolicy;
use metrics::Metrics;
use routing::failover::BackendId;
use tokio::sync::mpsc;

use crate::downstream::bound::Bound;
use crate::order::{Order, Team};
use crate::pulse::Pulse;
use crate::spec::{Drain, Held, Leave, Notice, ServiceId, Snapshot, Tag};
use crate::worker::run;

/// Orders a worker may have outstanding. Control awaits every answer, so this is ample.
const MAILBOX: usize = 256;

/// How long a worker may take to acknowledge. It does so between two steps of its requests, each of
/// which takes microseconds; a worker that needs this long is gone or stuck.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(5);

/// A worker did not acknowledge: its thread is gone, or it was silent for too long.
#[derive(Debug, thiserror::Error)]
#[error("worker {worker} does not answer")]
pub struct Lost {
    /// Which.
    pub worker: usize,
}

/// All workers.
#[derive(Debug)]
pub struct Workers {
    team: Arc<Team>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads (at least 1) that have nothing to do yet. `notices` hears what live
    /// traffic meets; when it is full, a suspicion is dropped, and a first answer is told later.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        count: usize,
        metrics: Arc<Metrics>,
        notices: mpsc::Sender<Notice>,
    ) -> io::Result<Self> {
        let (mailboxes, receivers): (Vec<_>, Vec<_>) =
            (0..count.max(1)).map(|_| mpsc::channel(MAILBOX)).unzip();
        let connections = mailboxes.iter().map(|_| AtomicUsize::new(0)).collect();
        let team = Arc::new(Team { mailboxes, connections, by_client: Mutex::default() });
        let threads = receivers
            .into_iter()
            .enumerate()
            .map(|(index, mailbox)| {
                let (team, metrics, notices) =
                    (Arc::clone(&team), Arc::clone(&metrics), notices.clone());
                std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                    if let Err(error) = run(index, team, metrics, notices, mailbox) {
                        tracing::error!(worker = index, %error, "worker cannot start");
                    }
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { team, threads })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Asks them all whether they are alive.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse::of(Arc::clone(&self.team))
    }

    /// Replaces everything a worker knows, and begins to accept on `bound`. After the answer, no
    /// request is routed by the old snapshot.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn configure(&self, snapshot: Arc<Snapshot>, bound: Vec<Bound>) -> Result<(), Lost> {
        let mut sockets: Vec<Vec<_>> = self.threads.iter().map(|_| Vec::new()).collect();
        for listener in bound {
            for (mine, sockets) in sockets.iter_mut().zip(listener.sockets) {
                mine.push((listener.configured.clone(), sockets));
            }
        }
        let orders = sockets
            .into_iter()
            .map(|sockets| Order::Configure { snapshot: Arc::clone(&snapshot), sockets });
        self.team.tell(orders, ACKNOWLEDGE_WITHIN).await.map(|_| ())
    }

    /// Has every worker start no more requests of the service (they are held) until
    /// [`activate`](Self::activate) or [`release`](Self::release). With `drain`, answers only when no
    /// request, response or tunnel of the service is at any backend any more, or those left at the
    /// deadline were cut, or the hold has ended. At the beginning of a drain WebSockets get their
    /// goodbye, and what would never end by itself is closed: other tunnels, server-sent events and
    /// responses of gRPC.
    ///
    /// # Errors
    /// When a worker is lost, or could not cut everything.
    pub async fn hold(&self, service: ServiceId, drain: Option<Drain>) -> Result<Held, Lost> {
        let orders = self.threads.iter().map(|_| Order::Hold { service, drain });
        let within = drain.map_or(Duration::ZERO, |drain| drain.within) + ACKNOWLEDGE_WITHIN;
        self.team.tell(orders, within).await.map(|cut| Held { cut })
    }

    /// Undoes [`hold`](Self::hold): the active is who it was. Without a hold it does nothing.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn release(&self, service: ServiceId) -> Result<(), Lost> {
        let orders = self.threads.iter().map(|_| Order::Release { service });
        self.team.tell(orders, ACKNOWLEDGE_WITHIN).await.map(|_| ())
    }

    /// Moves a service to `active`, or holds its requests when `None`; ends a hold. After the answer,
    /// no request is sent to any other backend of the service. `leave` is about requests in flight on the old
    /// one, `streams` about responses and tunnels under way there; returns how many of those there
    /// were.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn activate(
        &self,
        service: ServiceId,
        epoch: u64,
        active: Option<BackendId>,
        leave: Leave,
        streams: StreamPolicy,
    ) -> Result<usize, Lost> {
        let order = || Order::Activate { service, epoch, active, leave, streams };
        self.team.tell(self.threads.iter().map(|_| order()), ACKNOWLEDGE_WITHIN).await
    }

    /// Sends requests that carry a field to a standby instead of the active, or with `None` no more. They
    /// are never held and never sent elsewhere: what cannot be answered there fails. It also ends when
    /// that backend becomes active or leaves the service; nothing begins where it is so already.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn tag(&self, service: ServiceId, tag: Option<Tag>) -> Result<(), Lost> {
        let orders = self.threads.iter().map(|_| Order::Tag { service, tag: tag.clone() });
        self.team.tell(orders, ACKNOWLEDGE_WITHIN).await.map(|_| ())
    }

    /// A suspected backend has answered a probe: requests that wait for the verdict may try it again.
    ///
    /// # Errors
    /// When a worker is lost.
    pub async fn cleared(&self, service: ServiceId, backend: BackendId) -> Result<(), Lost> {
        let orders = self.threads.iter().map(|_| Order::Cleared { service, backend });
        self.team.tell(orders, ACKNOWLEDGE_WITHIN).await.map(|_| ())
    }

    /// Stops accepting and lets running requests finish until `timeout`. Other orders are still
    /// carried out meanwhile: a request that is held needs an active to finish. Returns how many
    /// requests were not finished.
    pub async fn drain(&self, timeout: Duration) -> usize {
        let orders = self.threads.iter().map(|_| Order::Drain { timeout });
        self.team.tell(orders, timeout + ACKNOWLEDGE_WITHIN).await.unwrap_or_else(|lost| {
            tracing::error!(%lost, "not waiting for it");
            0
        })
    }

    /// For a process whose successor accepts from the same sockets: stops accepting at once, and leaves
    /// those who wait in the sockets to the successor. Every further request is answered, and is the
    /// last of its connection (HTTP/2: GOAWAY, streams finish). Connections that stay idle are closed
    /// only after `linger`: a client that is about to send loses no request. Otherwise as
    /// [`drain`](Self::drain); `timeout` includes `linger`.
    pub async fn retire(&self, linger: Duration, timeout: Duration) -> usize {
        let orders = self.threads.iter().map(|_| Order::Retire { linger, timeout });
        self.team.tell(orders, timeout + ACKNOWLEDGE_WITHIN).await.unwrap_or_else(|lost| {
            tracing::error!(%lost, "not waiting for it");
            0
        })
    }

    /// Ends the threads, and what they still serve.
    pub async fn stop(self) {
        let orders = self.threads.iter().map(|_| Order::Stop);
        if let Err(lost) = self.team.tell(orders, ACKNOWLEDGE_WITHIN).await {
            tracing::error!(%lost, "not waiting for it");
            return;
        }
        // Each has acknowledged as its last act but one.
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(|| {
            for thread in threads {
                let _ = thread.join();
            }
        });
        let _ = tokio::time::timeout(ACKNOWLEDGE_WITHIN, joined).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Mail, acknowledge};

    /// Two workers, of which the first is gone; the second acknowledges and says what it was told.
    #[tokio::test]
    async fn a_lost_worker_keeps_no_other_from_being_told_and_awaited() {
        let (gone, _) = mpsc::channel(1);
        let (mailbox, mut mail) = mpsc::channel(1);
        let connections = vec![AtomicUsize::new(0), AtomicUsize::new(0)];
        let team = Arc::new(Team {
            mailboxes: vec![gone, mailbox],
            connections,
            by_client: Mutex::default(),
        });
        let workers = Workers { team, threads: Vec::new() };
        let alive = tokio::spawn(async move {
            let Mail { order, done } = mail.recv().await.expect("an order");
            // Fails when nobody waits for the answer any more.
            matches!(order, Order::Stop) && done.expect("an answer is wanted").send(0).is_ok()
        });
        let orders = [Order::Stop, Order::Stop].into_iter();
        let told = workers.team.tell(orders, Duration::from_secs(5)).await;
        assert_eq!(told.map_err(|lost| lost.worker), Err(0));
        // Without senders, a worker that was told nothing waits no longer.
        drop(workers);
        assert!(alive.await.expect("no panic"), "the second was told, and waited for");
    }

    /// Other workers have sent it more connections than it has taken yet.
    #[tokio::test]
    async fn a_worker_whose_mailbox_is_full_is_alive_when_it_reads_it() {
        let (mailbox, mut mail) = mpsc::channel(1);
        mailbox.try_send(Mail { order: Order::Beat, done: None }).expect("there is room for one");
        let connections = vec![AtomicUsize::new(0)];
        let team =
            Arc::new(Team { mailboxes: vec![mailbox], connections, by_client: Mutex::default() });
        // On this one thread it does not read before it is asked.
        let alive = tokio::spawn(async move {
            while let Some(Mail { done, .. }) = mail.recv().await {
                acknowledge(done, 0);
            }
        });
        let pulse = Pulse::of(team);
        assert!(pulse.beat(Duration::from_secs(5)).await.is_ok());
        drop(pulse);
        alive.await.expect("no panic");
        // But not when it does not.
        let (mailbox, _mail) = mpsc::channel(1);
        mailbox.try_send(Mail { order: Order::Beat, done: None }).expect("there is room for one");
        let connections = vec![AtomicUsize::new(0)];
        let team =
            Arc::new(Team { mailboxes: vec![mailbox], connections, by_client: Mutex::default() });
        let lost = Pulse::of(team).beat(Duration::from_millis(10)).await;
        assert_eq!(lost.map_err(|lost| lost.worker), Err(0));
    }
}
