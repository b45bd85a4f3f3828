//! The handle that everybody else holds: ask, command, reload, stop.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::model::{Config, ListenAddress};
use metrics::Metrics;
use routing::failover::{AdminState, Refusal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::blueprint::BuildError;
use crate::board::Board;
use crate::driver::Order;
use crate::events::Event;
use crate::status::Status;
use crate::supervisor::{self, Drivers, Request};

/// The running load balancer. A clone is another handle to the same one; when the last is dropped,
/// everything stops.
#[derive(Clone)]
pub struct Control {
    board: Arc<Board>,
    drivers: Arc<ArcSwap<Drivers>>,
    listening: Arc<ArcSwap<Vec<ListeningOn>>>,
    requests: mpsc::Sender<Request>,
}

/// Where a config came from, so that a reload can name it and resolve its relative paths.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its name in messages.
    pub file: String,
    /// Its folder.
    pub base: PathBuf,
}

/// A bound listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListeningOn {
    /// As configured.
    pub configured: ListenAddress,
    /// As bound: the port is never 0.
    pub local: ListenAddress,
}

/// What an operator may ask of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Move to the backend of this name now, and stay there.
    Switchover(String),
    /// Move to the first eligible backend now, and unpin.
    Failback,
    /// Stay on the active while it is eligible.
    Pin,
    /// End the pin.
    Unpin,
    /// No automatic move until unlocked, not even a failover.
    Lock,
    /// Allow automatic moves again.
    Unlock,
    /// Set what is wished for the backend of this name.
    SetAdmin(String, AdminState),
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no service of this name.
    #[error("there is no service {0:?}")]
    UnknownService(String),
    /// The service has no backend of this name.
    #[error("there is no backend {0:?} in this service")]
    UnknownBackend(String),
    /// The decision refused it.
    #[error("{}", refusal(.0))]
    Refused(Refusal),
    /// The service is being removed, or everything is stopping.
    #[error("the service is stopping")]
    Stopping,
}

fn refusal(why: &Refusal) -> &'static str {
    match why {
        Refusal::UnknownBackend => "there is no such backend in this service",
        Refusal::NotEligible => "the backend is not eligible: it must be up and ready",
        Refusal::NothingActive => "no backend is active",
    }
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
    /// Everything is stopping.
    #[error("stopping")]
    Stopping,
}

impl ReloadError {
    /// Whether nothing changed: the config that was in force before still is.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Config(_) | Self::Build(_) | Self::Read { .. } | Self::Stopping => true,
            Self::Lost(_) | Self::Unfinished { .. } => false,
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Control {
    /// Builds everything `config` asks for, binds its listeners, starts the workers and one driver
    /// per service, on the current tokio runtime. Requests are held until the first verdicts.
    ///
    /// # Errors
    /// When something cannot be built, bound or started; then nothing was.
    pub async fn start(config: Config, source: Source) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let board = Arc::new(Board::new(metrics));
        let started = supervisor::start(config, source, board.clone()).await?;
        Ok(Self {
            board,
            drivers: started.drivers,
            listening: started.listening,
            requests: started.requests,
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

    /// Whether clients are served as well as they can be.
    ///
    /// # Errors
    /// Why not: a service whose first verdicts are not in yet, a lost worker, or stopping.
    pub fn ready(&self) -> Result<(), String> {
        self.board.ready()
    }

    /// Asks something of a service.
    ///
    /// # Errors
    /// When there is no such service or backend, or the decision refuses.
    pub async fn command(&self, service: &str, command: Command) -> Result<(), CommandError> {
        let orders = self
            .drivers
            .load()
            .values()
            .find(|driver| &*driver.name == service)
            .map(|driver| driver.orders.clone())
            .ok_or_else(|| CommandError::UnknownService(service.to_owned()))?;
        let (reply, answer) = oneshot::channel();
        orders.send(Order::Command { command, reply }).await.map_err(|_| CommandError::Stopping)?;
        answer.await.map_err(|_| CommandError::Stopping)?
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

    /// Records a reload that failed before there was a text to load.
    pub(crate) fn refuse(&self, error: &ReloadError) {
        self.board.reload_failed(error);
    }

    /// Stops accepting, lets running requests finish for up to the config's `shutdown_timeout`, then
    /// ends everything. Returns how many requests were cut off.
    pub async fn shut_down(&self) -> usize {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::ShutDown { reply }).await.is_err() {
            return 0;
        }
        answer.await.unwrap_or_default()
    }
}
