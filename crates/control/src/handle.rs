//! The handle that everybody else holds: ask, command, reload, stop.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use config::model::{Config, ListenAddress};
use metrics::Metrics;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::blueprint::BuildError;
use crate::board::Board;
use crate::command::{
    Command, CommandError, Done, JobRun, JobShown, Operator, Preview, ProbeShown,
};
use crate::driver::Order;
use crate::events::Event;
use crate::state::{Opened, StateError, Store};
use crate::status::{Load, Status};
use crate::supervisor::{self, Drivers, Request};
use crate::takeover::Inherited;

mod leaving;
mod notifiers;
mod pulse;
mod shown;

pub use pulse::Stuck;

/// How long a process that takes over waits for the state to be let go.
const STATE_WITHIN: Duration = Duration::from_secs(10);

/// The running load balancer. A clone is another handle to the same one; when the last is dropped,
/// everything stops.
#[derive(Clone)]
pub struct Control {
    pub(crate) board: Arc<Board>,
    drivers: Arc<ArcSwap<Drivers>>,
    listening: Arc<ArcSwap<Vec<ListeningOn>>>,
    requests: mpsc::Sender<Request>,
    files: watch::Receiver<Arc<Vec<PathBuf>>>,
    /// The config file, if there is one.
    file: Option<Arc<PathBuf>>,
    /// Whether another process has taken over.
    succeeded: watch::Sender<bool>,
    workers: proxy::Pulse,
}

/// Which events are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only those with a greater number.
    pub after: Option<u64>,
    /// Only those with a smaller number.
    pub before: Option<u64>,
    /// Only those of this service.
    pub service: Option<String>,
    /// At most so many, the latest.
    pub limit: usize,
}

/// Where a config came from, so that a reload can name it and resolve its relative paths.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its name in messages.
    pub file: String,
    /// Its folder.
    pub base: PathBuf,
    /// The file itself; `None` when the config is in none.
    pub path: Option<PathBuf>,
}

/// A bound listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListeningOn {
    /// As configured.
    pub configured: ListenAddress,
    /// As bound: the port is never 0.
    pub local: ListenAddress,
}

/// Why nothing could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config asks for something that cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A thread could not be started.
    #[error("cannot start a worker thread")]
    Workers(#[source] io::Error),
    /// A worker ended before it began.
    #[error(transparent)]
    Lost(#[from] proxy::Lost),
    /// Another process has the state.
    #[error(
        "another understudy runs with state_dir {}: stop it first, take over from it with \
         --takeover, or choose another state_dir",
        .0.display()
    )]
    InUse(PathBuf),
    /// The running process cannot be reached any more.
    #[error("cannot take over from the running process")]
    Takeover(#[source] io::Error),
}

/// A reload that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// What changed, in words; `None` when the config is the running one.
    pub changes: Option<String>,
    /// What an operator should know, for example that a key takes effect at the next start only.
    pub warnings: Vec<String>,
}

/// Why a reload failed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The text is not a valid config. Nothing changed.
    #[error("{0}")]
    Config(config::Problems),
    /// It asks for something that cannot be built. Nothing changed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The file could not be read. Nothing changed.
    #[error("cannot read {}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A worker did not take the new config, which is in force elsewhere. A restart is needed.
    #[error("the new config is in force, but not everywhere: a restart is needed")]
    Lost(#[from] proxy::Lost),
    /// A driver did not change over in time. The new config is in force, but the backends that it
    /// leaves out are still there. Another reload, also of the same config, tries again.
    #[error(
        "the new config is in force, but service {service} has not changed over in time: \
         backends that should be gone may still be in use; reload again"
    )]
    Unfinished {
        /// Which service.
        service: Arc<str>,
    },
    /// The config was given on the command line, or on standard input.
    #[error("the config is in no file: there is nothing to read again")]
    NoFile,
    /// Everything is stopping.
    #[error("stopping")]
    Stopping,
}

impl ReloadError {
    /// Whether nothing changed: the config that was in force before still is.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Build(_)
            | Self::Read { .. }
            | Self::NoFile
            | Self::Stopping => true,
            Self::Lost(_) | Self::Unfinished { .. } => false,
        }
    }
}

/// Opening the state fails for no other reason; see [`Store::open`].
fn in_use(error: StateError) -> StartError {
    match error {
        StateError::InUse(folder) => StartError::InUse(folder),
        StateError::Behind(_) | StateError::Closed => StartError::InUse(PathBuf::new()),
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Control {
    /// Builds everything `config` asks for, binds its listeners or takes them from what was
    /// `inherited`, starts the workers and one driver per service, on the current tokio runtime.
    /// Requests are held until the first verdicts.
    ///
    /// # Errors
    /// When something cannot be built, bound or started; then nothing was.
    pub async fn start(
        config: Config,
        source: Source,
        inherited: Inherited,
    ) -> Result<Self, StartError> {
        let (folder, is_takeover) = (config.state_dir.clone(), inherited.is_takeover());
        let within = if is_takeover { STATE_WITHIN } else { Duration::ZERO };
        let opened =
            tokio::task::spawn_blocking(move || Store::open_within(folder.as_deref(), within));
        let opened = opened.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()));
        let Opened { store, services: mut saved, notes } = opened.map_err(in_use)?;
        // What is running knows better than what it has written.
        saved.extend(inherited.services.clone());
        let board = Arc::new(Board::new(Metrics::new(), store));
        board.note_state(notes);
        if config.state_dir.is_none() {
            tracing::info!(
                "no state_dir: decisions are in memory, a restart forgets who was active, pins, \
                 locks and maintenance"
            );
        }
        board.look_at_state();
        board.change_process(|process| process.state_dir.clone_from(&config.state_dir));
        let file = source.path.clone().map(Arc::new);
        let started = supervisor::start(config, source, board.clone(), saved, inherited).await?;
        Ok(Self {
            board,
            drivers: started.drivers,
            listening: started.listening,
            requests: started.requests,
            files: started.files,
            file,
            succeeded: watch::Sender::new(false),
            workers: started.pulse,
        })
    }

    /// The bound listeners, in the order of the config.
    #[must_use]
    pub fn listening(&self) -> Arc<Vec<ListeningOn>> {
        self.listening.load_full()
    }

    /// How everything stands.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.board.status()
    }

    /// Hears of every change of the status, also of every probe.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Status>> {
        self.board.subscribe()
    }

    /// The latest events with a greater number than `after`, oldest first; 0 for all that are kept
    /// (the last 1,000).
    #[must_use]
    pub fn events(&self, after: u64) -> Vec<Event> {
        self.board.events(after)
    }

    /// All metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.board.metrics()
    }

    /// The files of the logs were renamed: they are opened anew, by their names. Loses no line.
    pub fn reopen_logs(&self) {
        self.board.reopen_logs();
    }

    /// Whether clients are served as well as they can be.
    ///
    /// # Errors
    /// Why not: a service whose first verdicts are not in yet, a lost worker, or stopping.
    pub fn ready(&self) -> Result<(), String> {
        self.board.ready()
    }

    /// Hears of every event as it happens. Who falls behind misses some, and asks
    /// [`Control::history`] for them.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Event>> {
        self.board.follow()
    }

    /// Events that are kept, also of earlier runs when there is a `state_dir`: oldest first, of those
    /// with a greater number than `after` and a smaller one than `before` the latest `limit`.
    pub async fn history(&self, query: HistoryQuery) -> Vec<Value> {
        self.board.history(&query)
    }

    /// The latest `limit` incidents, newest first, of one service or of all.
    pub async fn incidents(&self, service: Option<&str>, limit: usize) -> Vec<Value> {
        self.board.incidents(service, limit)
    }

    /// One incident; `None` when it is not kept (any more).
    pub async fn incident(&self, id: u64) -> Option<Value> {
        self.board.incident(id)
    }

    /// What a service is working on now; `None` when there is no such service.
    #[must_use]
    pub fn load(&self, service: &str) -> Option<Load> {
        self.board.load(service)
    }

    /// Asks something of a service, and waits until it is done. That it was asked, by whom and why,
    /// is recorded, also when it is refused.
    ///
    /// # Errors
    /// When there is no such service or backend, when the decision refuses, or when an ordered move
    /// comes to nothing.
    pub async fn command(
        &self,
        service: &str,
        command: Command,
        by: Operator,
    ) -> Result<Done, CommandError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Command { command, by, reply };
        self.ask(service, order, answer).await?
    }

    /// What a switchover to the backend `to` would do, or without it a failback, and what speaks
    /// against it. Changes nothing.
    ///
    /// # Errors
    /// When there is no such service or backend.
    pub async fn preview(
        &self,
        service: &str,
        to: Option<String>,
    ) -> Result<Preview, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.ask(service, Order::Preview { to, reply }, answer).await?
    }

    /// Probes a backend once, now, and shows the exchange. The verdict counts for nothing.
    ///
    /// # Errors
    /// When there is no such service or backend.
    pub async fn probe(&self, service: &str, backend: String) -> Result<ProbeShown, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.ask(service, Order::Probe { backend, reply }, answer).await?
    }

    /// Runs a job of a service once, now, and says how it went; or, if not `wait`, that it will. That it
    /// was asked, by whom and why, is recorded, also when it is refused.
    ///
    /// # Errors
    /// When there is no such service or job, nobody is active or no standby will do, a move is under way,
    /// or it runs already.
    pub async fn run_job(
        &self,
        service: &str,
        job: String,
        wait: bool,
        by: Operator,
    ) -> Result<JobRun, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.ask(service, Order::RunJob { job, wait, by, reply }, answer).await?
    }

    /// How a job of a service stands, and its latest runs.
    ///
    /// # Errors
    /// When there is no such service or job.
    pub async fn job(&self, service: &str, job: String) -> Result<JobShown, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.ask(service, Order::ShowJob { job, reply }, answer).await?
    }

    async fn ask<T>(
        &self,
        service: &str,
        order: Order,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, CommandError> {
        let orders = self
            .drivers
            .load()
            .values()
            .find(|driver| &*driver.name == service)
            .map(|driver| driver.orders.clone())
            .ok_or_else(|| CommandError::UnknownService(service.to_owned()))?;
        orders.send(order).await.map_err(|_| CommandError::Stopping)?;
        answer.await.map_err(|_| CommandError::Stopping)
    }

    /// Reads the config file again and puts it in force, or changes nothing; like a SIGHUP. That it was
    /// asked, by whom and why, is recorded.
    ///
    /// # Errors
    /// As [`Control::reload`]; also when the config is in no file.
    pub async fn reload_file(&self, by: Operator) -> Result<Reloaded, ReloadError> {
        let reloaded = self.read_again().await;
        let outcome = match &reloaded {
            Ok(Reloaded { changes, .. }) => changes.as_deref().unwrap_or("nothing changed").into(),
            // All of it is in an event of its own.
            Err(error) => error.to_string().lines().next().unwrap_or_default().into(),
        };
        self.board.ordered("reload", by, reloaded.is_ok(), outcome);
        reloaded
    }

    async fn read_again(&self) -> Result<Reloaded, ReloadError> {
        let Some(file) = &self.file else { return Err(ReloadError::NoFile) };
        match tokio::fs::read_to_string(&**file).await {
            Ok(text) => self.reload(text).await,
            Err(source) => {
                let error = ReloadError::Read { file: file.to_path_buf(), source };
                self.refuse(&error);
                Err(error)
            }
        }
    }

    /// Puts a new config in force, or changes nothing. Reloads are carried out one after the other,
    /// in the order of the calls, also when the caller stops waiting.
    ///
    /// # Errors
    /// When the config is refused; also when it is in force, but not everywhere: then
    /// [`ReloadError::is_refusal`] says no.
    pub async fn reload(&self, text: String) -> Result<Reloaded, ReloadError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(Request::Reload { text, reply })
            .await
            .map_err(|_| ReloadError::Stopping)?;
        answer.await.map_err(|_| ReloadError::Stopping)?
    }

    /// The files that the config in force names: certificates, keys, authorities, revocation lists.
    pub(crate) fn files(&self) -> watch::Receiver<Arc<Vec<PathBuf>>> {
        self.files.clone()
    }

    /// Puts in force what those files say now. What is bad does not take the place of what is good.
    /// How it went is recorded.
    pub(crate) async fn load_files_again(&self) {
        let (done, finished) = oneshot::channel();
        if self.requests.send(Request::LoadFiles { done }).await.is_ok() {
            // Fails when everything is stopping.
            let _ = finished.await;
        }
    }

    /// Records a reload that failed before there was a text to load.
    pub(crate) fn refuse(&self, error: &ReloadError) {
        self.board.reload_failed(error);
    }
}
