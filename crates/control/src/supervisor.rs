//! Owns the workers and the drivers: starts them, puts a new config in force, stops them.
//!
//! Reloads and the stop are carried out one after the other, in the order they were asked for.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use config::model::{Config, Workers as WorkerCount};
use proxy::{Bound, Lost, ServiceId, Snapshot, Suspicion, Workers};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::blueprint::{Blueprint, BuildError, Plan};
use crate::board::Board;
use crate::driver::{Driver, Order, acknowledged};
use crate::handle::{ListeningOn, ReloadError, Reloaded, Source, StartError};

/// Suspicions that wait to be handed to a driver; more are dropped by the workers.
const SUSPICIONS: usize = 256;

/// Reloads that wait; more wait with their callers.
const REQUESTS: usize = 16;

/// How long drivers may take to follow a plan or to stop: well above what their workers may take to
/// acknowledge.
const DRIVEN_WITHIN: Duration = Duration::from_secs(15);

/// What the supervisor is asked for.
pub(crate) enum Request {
    Reload { text: String, reply: oneshot::Sender<Result<Reloaded, ReloadError>> },
    ShutDown { reply: oneshot::Sender<usize> },
}

/// How to reach the driver of each service.
pub(crate) type Drivers = BTreeMap<ServiceId, DriverHandle>;

#[derive(Clone)]
pub(crate) struct DriverHandle {
    pub(crate) name: Arc<str>,
    pub(crate) orders: mpsc::Sender<Order>,
}

/// What the handle needs of a started supervisor.
pub(crate) struct Started {
    pub(crate) drivers: Arc<ArcSwap<Drivers>>,
    pub(crate) listening: Arc<ArcSwap<Vec<ListeningOn>>>,
    pub(crate) requests: mpsc::Sender<Request>,
}

struct Supervisor {
    source: Source,
    running: Arc<Blueprint>,
    workers: Arc<Workers>,
    drivers: Arc<ArcSwap<Drivers>>,
    tasks: BTreeMap<ServiceId, JoinHandle<()>>,
    listening: Arc<ArcSwap<Vec<ListeningOn>>>,
    board: Arc<Board>,
}

pub(crate) async fn start(
    config: Config,
    source: Source,
    board: Arc<Board>,
) -> Result<Started, StartError> {
    let running = Arc::new(build(config, None).await?);
    let count = match running.config.workers {
        WorkerCount::Count(count) => count,
        WorkerCount::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let bound = running.bind(count, None)?;
    let (suspect, suspicions) = mpsc::channel(SUSPICIONS);
    let workers = Workers::start(count, board.metrics().clone(), suspect);
    let mut supervisor = Supervisor {
        source,
        workers: Arc::new(workers.map_err(StartError::Workers)?),
        drivers: Arc::default(),
        tasks: BTreeMap::new(),
        listening: Arc::default(),
        board,
        running,
    };
    supervisor.note_listening(&bound.iter().map(listening_on).collect::<Vec<_>>());
    // Clients may connect from here on; their requests are held until the first verdicts.
    supervisor.workers.configure(supervisor.running.snapshot.clone(), bound).await?;
    supervisor.drive(&supervisor.running.clone()).await;
    supervisor.board.loaded();
    tokio::spawn(hand_over(suspicions, supervisor.drivers.clone()));
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let (drivers, listening) = (supervisor.drivers.clone(), supervisor.listening.clone());
    tokio::spawn(supervisor.run(inbox));
    Ok(Started { drivers, listening, requests })
}

/// Builds on a thread that may wait for files: a probe must not be late because of a reload.
async fn build(config: Config, running: Option<Arc<Blueprint>>) -> Result<Blueprint, BuildError> {
    let built = tokio::task::spawn_blocking(move || Blueprint::build(config, running.as_deref()));
    built.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))
}

/// Hands suspicions to the drivers until the workers are gone. A driver that is too busy to take one
/// has enough to go on.
async fn hand_over(mut suspicions: mpsc::Receiver<Suspicion>, drivers: Arc<ArcSwap<Drivers>>) {
    while let Some(Suspicion { service, backend, symptom }) = suspicions.recv().await {
        if let Some(driver) = drivers.load().get(&service) {
            let _ = driver.orders.try_send(Order::Suspect { backend, symptom });
        }
    }
}

fn listening_on(bound: &Bound) -> ListeningOn {
    ListeningOn { configured: bound.configured, local: bound.local }
}

impl Supervisor {
    /// Ends on a request to shut down, or when every handle is gone.
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Reload { text, reply } => {
                    let result = self.reload(&text).await;
                    match &result {
                        Ok(reloaded) => self.board.reloaded(reloaded),
                        Err(error) => self.board.reload_failed(error),
                    }
                    // Whoever asked may be gone; the reload was carried out all the same.
                    let _ = reply.send(result);
                }
                Request::ShutDown { reply } => {
                    let _ = reply.send(self.shut_down().await);
                    return;
                }
            }
        }
        self.shut_down().await;
    }

    /// Builds everything, then swaps, then retires. Until everything is built nothing has changed.
    async fn reload(&mut self, text: &str) -> Result<Reloaded, ReloadError> {
        let loaded = config::load(&self.source.file, text, &self.source.base)
            .map_err(ReloadError::Config)?;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let config = keep_until_restart(loaded.config, &self.running.config, &mut warnings);
        let next = Arc::new(build(config, Some(self.running.clone())).await?);
        if next.same_as(&self.running) {
            return Ok(Reloaded { changes: None, warnings });
        }
        let bound = next.bind(self.workers.count(), Some(&self.running))?;
        let opened: Vec<ListeningOn> = bound.iter().map(listening_on).collect();
        let changes = next.changes_from(&self.running);

        // A backend that goes is known to the workers until its traffic has moved away.
        let overlap = next.overlap(&self.running);
        let first = overlap.clone().unwrap_or_else(|| next.snapshot.clone());
        let mut configured = self.configure(first, bound).await;
        self.drive(&next).await;
        if overlap.is_some() {
            configured = configured.and(self.configure(next.snapshot.clone(), Vec::new()).await);
        }
        self.running = next;
        self.note_listening(&opened);
        configured?;
        Ok(Reloaded { changes: Some(changes), warnings })
    }

    async fn configure(&self, snapshot: Arc<Snapshot>, bound: Vec<Bound>) -> Result<(), Lost> {
        acknowledged(self.workers.configure(snapshot, bound), &self.board).await
    }

    /// Has exactly the services of `next` driven, by its plans.
    async fn drive(&mut self, next: &Blueprint) {
        let order: Vec<ServiceId> = next.services.iter().map(|plan| plan.id).collect();
        let (mut kept, removed): (Drivers, Drivers) = self
            .drivers
            .load()
            .as_ref()
            .clone()
            .into_iter()
            .partition(|(id, _)| order.contains(id));
        let mut following = Vec::new();
        for plan in &next.services {
            if let Some(driver) = kept.get(&plan.id) {
                following.push(follow(driver.clone(), plan.clone()));
            } else {
                let (workers, board) = (self.workers.clone(), self.board.clone());
                let (orders, task) = Driver::start(plan.clone(), workers, board);
                kept.insert(plan.id, DriverHandle { name: plan.name.clone(), orders });
                self.tasks.insert(plan.id, task);
            }
        }
        self.drivers.store(Arc::new(kept));
        // All at once: each may have to wait for the first verdicts on new backends.
        let mut following: JoinSet<()> = following.into_iter().collect();
        while following.join_next().await.is_some() {}
        self.retire(removed.into_keys().collect()).await;
        self.board.arrange(order);
    }

    /// Waits for drivers that nobody can reach any more to end.
    async fn retire(&mut self, services: Vec<ServiceId>) {
        for task in services.into_iter().filter_map(|id| self.tasks.remove(&id)) {
            let abort = task.abort_handle();
            if timeout(DRIVEN_WITHIN, task).await.is_err() {
                tracing::error!("a driver did not end in time");
                abort.abort();
            }
        }
    }

    fn note_listening(&self, opened: &[ListeningOn]) {
        let known = self.listening.load();
        let listeners = self.running.config.listeners.iter().filter_map(|listener| {
            let mut all = opened.iter().chain(known.iter());
            all.find(|listening| listening.configured == listener.address).copied()
        });
        self.listening.store(Arc::new(listeners.collect()));
    }

    /// Ends the drivers, then the workers once their requests are done. Returns how many requests
    /// were cut off.
    async fn shut_down(mut self) -> usize {
        self.board.stop();
        self.drivers.store(Arc::default());
        let all: Vec<ServiceId> = self.tasks.keys().copied().collect();
        self.retire(all).await;
        let Some(workers) = Arc::into_inner(self.workers) else {
            tracing::error!("a driver did not end: running requests are cut off");
            return 0;
        };
        workers.shut_down(self.running.config.shutdown_timeout).await
    }
}

/// Has a driver follow a plan, and waits until it does.
async fn follow(driver: DriverHandle, plan: Plan) {
    let name = plan.name.clone();
    let (done, finished) = oneshot::channel();
    let order = Order::Follow { plan: Box::new(plan), done };
    let followed = async { driver.orders.send(order).await.is_ok() && finished.await.is_ok() };
    if !timeout(DRIVEN_WITHIN, followed).await.unwrap_or(false) {
        tracing::error!(service = %name, "the driver did not take the new config");
    }
}

/// What takes effect at a start only stays as it is, with a warning.
fn keep_until_restart(mut new: Config, running: &Config, warnings: &mut Vec<String>) -> Config {
    let mut keep = |key: &str| {
        warnings.push(format!("`{key}` has changed: it takes effect after a restart only"));
    };
    if new.workers != running.workers {
        keep("workers");
        new.workers = running.workers;
    }
    if new.admin != running.admin {
        keep("admin");
        new.admin.clone_from(&running.admin);
    }
    new
}
