//! Owns the workers and the drivers: starts them, puts a new config in force, stops them.
//!
//! Reloads and the stop are carried out one after the other, in the order they were asked for.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use config::model::{Config, ListenAddress, Workers as WorkerCount};
use health::Surroundings;
use proxy::{Bound, Lost, Pulse, ServiceId, Snapshot, Workers};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use self::notices::{NOTICES, hand_over};
use self::restart::keep_until_restart;
use self::surroundings::Shared;
use crate::blueprint::{Blueprint, Plan};
use crate::board::Board;
use crate::driver::{Driver, Order, acknowledged};
use crate::forwarders::Forwarders;
use crate::handle::{ListeningOn, ReloadError, Reloaded, Source, StartError};
use crate::notify::Notifiers;
use crate::state::{SavedService, Write};
use crate::takeover::{Aside, Inherited, Predecessor, Scope};

/// Reloads that wait; more wait with their callers.
const REQUESTS: usize = 16;

/// Well above what the workers of a driver may take to acknowledge.
const DRIVEN_WITHIN: Duration = Duration::from_secs(15);

/// How long a process that takes over waits for the first verdicts before it accepts.
const CHECKED_WITHIN: Duration = Duration::from_secs(10);

/// How long idle connections of clients stay open when another process has taken over: whoever is
/// about to send on one still gets an answer.
const LINGER: Duration = Duration::from_secs(5);

/// How often certificates that expire soon are called to mind.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the supervisor is asked for.
pub(crate) enum Request {
    Reload {
        text: String,
        reply: oneshot::Sender<Result<Reloaded, ReloadError>>,
    },
    LoadFiles {
        done: oneshot::Sender<()>,
    },
    ShutDown {
        reply: oneshot::Sender<usize>,
    },
    /// Another process wants to take over.
    StandAside {
        scope: Scope,
        reply: oneshot::Sender<Result<Aside, String>>,
    },
    /// It did not.
    StepBackIn {
        done: oneshot::Sender<()>,
    },
    /// It has: finish what is under way.
    Retire {
        reply: oneshot::Sender<usize>,
    },
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
    pub(crate) files: watch::Receiver<Arc<Vec<PathBuf>>>,
    pub(crate) pulse: Pulse,
}

struct Supervisor {
    source: Source,
    running: Arc<Blueprint>,
    forwarders: Arc<Forwarders>,
    /// The sockets of each listener, for a successor.
    sockets: HashMap<ListenAddress, Vec<OwnedFd>>,
    /// Another process decides.
    aside: bool,
    drivers: Arc<ArcSwap<Drivers>>,
    tasks: BTreeMap<ServiceId, JoinHandle<()>>,
    listening: Arc<ArcSwap<Vec<ListeningOn>>>,
    /// The files that the running config names.
    files: watch::Sender<Arc<Vec<PathBuf>>>,
    board: Arc<Board>,
    /// What is running is not in force everywhere: the same config again is not nothing.
    unfinished: bool,
    /// How long drivers may take to follow a plan or to stop.
    driven_within: Duration,
    probers: Shared,
    notifiers: Notifiers,
}

pub(crate) async fn start(
    config: Config,
    source: Source,
    board: Arc<Board>,
    saved: BTreeMap<String, SavedService>,
    inherited: Inherited,
) -> Result<Started, StartError> {
    let supervisor = Supervisor::start(config, source, board, saved, inherited).await?;
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let (drivers, listening) = (supervisor.drivers.clone(), supervisor.listening.clone());
    let files = supervisor.files.subscribe();
    let pulse = supervisor.forwarders.workers().pulse();
    tokio::spawn(supervisor.run(inbox));
    Ok(Started { drivers, listening, requests, files, pulse })
}

fn listening_on(bound: &Bound) -> ListeningOn {
    ListeningOn { configured: bound.configured.clone(), local: bound.local.clone() }
}

impl Supervisor {
    async fn start(
        config: Config,
        source: Source,
        board: Arc<Board>,
        saved: BTreeMap<String, SavedService>,
        mut inherited: Inherited,
    ) -> Result<Self, StartError> {
        let tracer = board.traces.tracer(&config, board.metrics());
        let running = Blueprint::build_all(config, None, board.metrics().clone()).await?;
        let running = Arc::new(running.traced_by(tracer));
        let count = match running.config.workers {
            WorkerCount::Count(count) => count,
            WorkerCount::Auto => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let predecessor = inherited.take_predecessor().map_err(StartError::Takeover)?;
        let bound = running.bind(count, None, &mut inherited)?;
        let (notify, notices) = mpsc::channel(NOTICES);
        let workers = Workers::start(count, board.metrics().clone(), notify);
        let workers = workers.map_err(StartError::Workers)?;
        let mut supervisor = Self {
            probers: Shared::start(&running.config.witnesses, &board),
            notifiers: Notifiers::default(),
            source,
            forwarders: Arc::new(Forwarders::new(workers, predecessor.clone())),
            sockets: HashMap::new(),
            aside: false,
            drivers: Arc::default(),
            tasks: BTreeMap::new(),
            listening: Arc::default(),
            files: watch::Sender::default(),
            board,
            running,
            unfinished: false,
            driven_within: DRIVEN_WITHIN,
        };
        // Before anything can happen that they tell.
        supervisor.notify().await;
        supervisor.board.traces.show(supervisor.running.ways.clone());
        supervisor.note_sockets(&bound);
        supervisor.note_listening(&bound.iter().map(listening_on).collect::<Vec<_>>());
        tokio::spawn(hand_over(notices, supervisor.drivers.clone()));
        let snapshot = supervisor.running.snapshot.clone();
        let workers = supervisor.forwarders.workers();
        match predecessor {
            // Clients may connect from here on; their requests are held until the first verdicts.
            None => {
                workers.configure(snapshot, bound).await?;
                supervisor.drive_first(saved).await;
            }
            // They are better off with the process before us until we know whom to ask.
            Some(predecessor) => {
                workers.configure(snapshot.clone(), Vec::new()).await?;
                let had = saved.iter().filter(|(_, saved)| saved.active.is_some());
                let had: Vec<String> = had.map(|(name, _)| name.clone()).collect();
                supervisor.drive_first(saved).await;
                supervisor.board.await_first_verdicts(&had, CHECKED_WITHIN).await;
                if let Err(why) = predecessor.ready().await {
                    return Err(StartError::Takeover(io::Error::other(why)));
                }
                supervisor.forwarders.workers().configure(snapshot, bound).await?;
                supervisor.await_its_end(predecessor);
            }
        }
        supervisor.board.loaded();
        supervisor.board.runs_with(supervisor.running.config.clone());
        supervisor.board.certified(supervisor.running.tls(), None);
        supervisor.running.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        supervisor.files.send_replace(Arc::new(supervisor.running.tls().paths()));
        Ok(supervisor)
    }

    /// Has the notifiers and logs of the running config at work.
    async fn notify(&mut self) {
        self.board.write_to(self.running.logs.clone());
        self.notifiers.follow(&self.running.notifiers, &self.board).await;
    }

    /// Starts all drivers, each from what was saved of its service.
    async fn drive_first(&mut self, saved: BTreeMap<String, SavedService>) {
        let running = self.running.clone();
        // Nobody has to change over, so nobody can be late.
        let _ = self.drive(&running, saved).await;
    }

    /// Says in the status that the process before us still has requests, until it has none.
    fn await_its_end(&self, predecessor: Predecessor) {
        let board = self.board.clone();
        board.change_process(|process| process.predecessor = true);
        // Ends with that process, which ends within its `shutdown_timeout`.
        tokio::spawn(async move {
            predecessor.gone().await;
            tracing::info!("the process before us is gone");
            board.change_process(|process| process.predecessor = false);
        });
    }

    /// Ends on a request to shut down, or when every handle is gone.
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut days = interval_at(Instant::now() + DAY, DAY);
        days.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let request = tokio::select! {
                request = requests.recv() => request,
                _ = days.tick() => {
                    let certificates = self.running.tls().certificates();
                    self.board.call_to_mind(certificates, SystemTime::now());
                    continue;
                }
            };
            match request {
                Some(Request::Reload { text, reply }) => {
                    let result = self.reload(&text).await;
                    match &result {
                        Ok(reloaded) => self.board.reloaded(reloaded),
                        Err(error) => self.board.reload_failed(error),
                    }
                    // Whoever asked may be gone; the reload was carried out all the same.
                    let _ = reply.send(result);
                }
                // Whoever takes over has read them already; whoever steps back in is told again.
                Some(Request::LoadFiles { done }) if self.aside => drop(done.send(())),
                Some(Request::LoadFiles { done }) => {
                    let same = self.running.config.clone();
                    match self.change_to(same, Vec::new()).await {
                        Ok(reloaded) => self.board.loaded_again(&reloaded),
                        Err(error) => self.board.reload_failed(&error),
                    }
                    let _ = done.send(());
                }
                Some(Request::ShutDown { reply }) => {
                    let drained = self.drain().await;
                    let _ = reply.send(self.end(drained).await);
                    return;
                }
                Some(Request::StandAside { scope, reply }) => {
                    let _ = reply.send(self.stand_aside(&scope).await);
                }
                Some(Request::StepBackIn { done }) => {
                    self.step_back_in().await;
                    let _ = done.send(());
                }
                Some(Request::Retire { reply }) => {
                    // Those of the new process stay open; ours would take clients away from it.
                    self.sockets.clear();
                    self.board.stop();
                    let timeout = self.running.config.shutdown_timeout;
                    let retired = self.forwarders.workers().retire(LINGER, timeout).await;
                    let _ = reply.send(self.end(retired).await);
                    return;
                }
                None => break,
            }
        }
        let drained = self.drain().await;
        self.end(drained).await;
    }

    /// Stops accepting and lets running requests finish. Returns how many were cut off.
    async fn drain(&mut self) -> usize {
        self.board.stop();
        // As long as anybody holds a socket the system takes connections at it.
        self.sockets.clear();
        self.forwarders.workers().drain(self.running.config.shutdown_timeout).await
    }

    async fn reload(&mut self, text: &str) -> Result<Reloaded, ReloadError> {
        if self.aside {
            return Err(ReloadError::Stopping);
        }
        let loaded = config::load(&self.source.file, text, &self.source.base)
            .map_err(ReloadError::Config)?;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let (config, waiting) = keep_until_restart(loaded.config, &self.running.config);
        warnings.extend(waiting.iter().cloned());
        let changed = self.change_to(config, warnings).await;
        if changed.is_ok() {
            self.board.change_process(|process| process.drift = waiting);
        }
        changed
    }

    /// Builds everything, then swaps, then retires. Until everything is built nothing has changed.
    async fn change_to(
        &mut self,
        config: Config,
        mut warnings: Vec<String>,
    ) -> Result<Reloaded, ReloadError> {
        let next = Arc::new(
            Blueprint::build_all(config, Some(self.running.clone()), self.board.metrics().clone())
                .await?,
        );
        warnings.extend(next.warnings.iter().cloned());
        if next.same_as(&self.running) && !self.unfinished {
            self.board.certified(next.tls(), Some(self.running.tls()));
            // It knows which files are bad.
            self.running = next;
            return Ok(Reloaded { changes: None, warnings });
        }
        let workers = self.forwarders.workers().count();
        let bound = next.bind(workers, Some(&self.running), &mut Inherited::default())?;
        let opened: Vec<ListeningOn> = bound.iter().map(listening_on).collect();
        let changes = next.changes_from(&self.running);
        self.board.certified(next.tls(), Some(self.running.tls()));
        self.files.send_replace(Arc::new(next.tls().paths()));

        // A backend that goes is known to the workers until its traffic has moved away.
        let overlap = next.overlap(&self.running);
        let first = overlap.clone().unwrap_or_else(|| next.snapshot.clone());
        self.note_sockets(&bound);
        let mut configured = self.configure(first, bound).await.map_err(ReloadError::from);
        let followed = self.drive(&next, BTreeMap::new()).await;
        self.running = match overlap {
            None => next,
            Some(_) if followed.is_ok() => {
                let last = self.configure(next.snapshot.clone(), Vec::new()).await;
                configured = configured.and(last.map_err(ReloadError::from));
                next
            }
            // A driver may still send traffic to backends that should be gone: they stay known, also
            // to the next reload, until it has followed.
            Some(overlap) => Arc::new(next.with_snapshot(overlap)),
        };
        self.board.runs_with(self.running.config.clone());
        self.notify().await;
        self.board.traces.show(self.running.ways.clone());
        self.note_listening(&opened);
        let listeners = &self.running.config.listeners;
        self.sockets.retain(|address, _| listeners.iter().any(|l| l.address == *address));
        let finished = configured.and(followed);
        self.unfinished = finished.is_err();
        finished?;
        Ok(Reloaded { changes: Some(changes), warnings })
    }

    async fn configure(&self, snapshot: Arc<Snapshot>, bound: Vec<Bound>) -> Result<(), Lost> {
        acknowledged(self.forwarders.workers().configure(snapshot, bound), &self.board).await
    }

    /// Has exactly the services of `next` driven, by its plans.
    ///
    /// # Errors
    /// Which driver did not follow its plan in time.
    async fn drive(
        &mut self,
        next: &Blueprint,
        mut saved: BTreeMap<String, SavedService>,
    ) -> Result<(), ReloadError> {
        let order: Vec<ServiceId> = next.services.iter().map(|plan| plan.id).collect();
        let (mut kept, removed): (Drivers, Drivers) = self
            .drivers
            .load()
            .as_ref()
            .clone()
            .into_iter()
            .partition(|(id, _)| order.contains(id));
        let mut following = Vec::new();
        self.probers.ask(&next.config.witnesses, &self.board);
        let probers = self.probers.handle();
        for plan in &next.services {
            if let Some(driver) = kept.get(&plan.id) {
                following.push(follow(
                    driver.clone(),
                    plan.clone(),
                    probers.clone(),
                    self.driven_within,
                ));
            } else {
                let saved = saved.remove(&*plan.name).unwrap_or_default();
                let (forwarders, board) = (self.forwarders.clone(), self.board.clone());
                let (orders, task) =
                    Driver::start(plan.clone(), saved, probers.clone(), forwarders, board);
                kept.insert(plan.id, DriverHandle { name: plan.name.clone(), orders });
                self.tasks.insert(plan.id, task);
            }
        }
        self.drivers.store(Arc::new(kept));
        // All at once: each may have to wait for the first verdicts on new backends.
        let following: JoinSet<_> = following.into_iter().collect();
        let followed = following.join_all().await.into_iter().collect();
        for gone in removed.values() {
            self.board.keep(Write::Forget(gone.name.clone())).await;
        }
        self.retire(removed.into_keys().collect()).await;
        self.board.arrange(&order);
        followed
    }

    /// Waits for drivers that nobody can reach any more to end.
    async fn retire(&mut self, services: Vec<ServiceId>) {
        for mut task in services.into_iter().filter_map(|id| self.tasks.remove(&id)) {
            if timeout(self.driven_within, &mut task).await.is_err() {
                tracing::error!("a driver did not end in time");
                task.abort();
                // What it holds of the workers is let go only now.
                let _ = task.await;
            }
        }
    }

    fn note_listening(&self, opened: &[ListeningOn]) {
        let known = self.listening.load();
        let listeners = self.running.config.listeners.iter().filter_map(|listener| {
            let mut all = opened.iter().chain(known.iter());
            all.find(|listening| listening.configured == listener.address).cloned()
        });
        self.listening.store(Arc::new(listeners.collect()));
    }

    /// Ends the drivers, which have driven until now so that a failover could save what was held; then
    /// the workers. Returns `cut_off`, how many requests were.
    async fn end(mut self, cut_off: usize) -> usize {
        self.drivers.store(Arc::default());
        let all: Vec<ServiceId> = self.tasks.keys().copied().collect();
        self.retire(all).await;
        self.notifiers.stop().await;
        self.board.close_state().await;
        match Arc::into_inner(self.forwarders) {
            Some(forwarders) => forwarders.into_workers().stop().await,
            None => tracing::error!("a driver did not end: its workers are left behind"),
        }
        self.board.flush_logs().await;
        cut_off
    }
}

/// Has a driver follow a plan, and waits until it does.
async fn follow(
    driver: DriverHandle,
    plan: Plan,
    surroundings: Arc<Surroundings>,
    within: Duration,
) -> Result<(), ReloadError> {
    let service = plan.name.clone();
    let (done, finished) = oneshot::channel();
    let order = Order::Follow { plan: Box::new(plan), surroundings, done };
    let followed = async { driver.orders.send(order).await.is_ok() && finished.await.is_ok() };
    let followed = timeout(within, followed).await.unwrap_or(false);
    if followed { Ok(()) } else { Err(ReloadError::Unfinished { service }) }
}

mod aside;
mod notices;
mod restart;
mod surroundings;
#[cfg(test)]
mod tests;
