//! Everybody who forwards: our workers and, while it still has requests, the process before us.
//!
//! What holds after an answer holds for all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::model::StreamPolicy;
use proxy::{Drain, Held, Leave, Lost, ServiceId, Workers};
use routing::failover::BackendId;
use serde::{Deserialize, Serialize};

use crate::takeover::Predecessor;

/// How long the process before us may take to acknowledge, beyond a drain.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(2);

/// Somebody did not acknowledge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silent {
    #[error(transparent)]
    Worker(#[from] Lost),
    #[error("the process before us, which still has requests, does not answer")]
    Predecessor,
}

/// Where the traffic of a service goes.
#[derive(Clone, Debug)]
pub(crate) struct Activation {
    pub(crate) epoch: u64,
    pub(crate) active: Option<BackendId>,
    /// The name of the active.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) leave: Leave,
    /// Whether the old active works.
    pub(crate) planned: bool,
    pub(crate) streams: StreamPolicy,
}

/// What the process before us is told to do with what it still has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// Start no more requests, and with a drain answer only when none is left.
    Hold { drain: Option<Duration> },
    /// Go on as before.
    Release,
    /// Send to this backend, by its name, or hold.
    Activate {
        active: Option<Arc<str>>,
        epoch: u64,
        /// Whether the old active works. Earlier versions do not say.
        #[serde(default)]
        planned: bool,
    },
}

pub(crate) struct Forwarders {
    workers: Workers,
    predecessor: Mutex<Option<Predecessor>>,
}

impl Forwarders {
    pub(crate) fn new(workers: Workers, predecessor: Option<Predecessor>) -> Self {
        Self { workers, predecessor: Mutex::new(predecessor) }
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Ends what only lives here; the process before us goes on alone.
    pub(crate) fn into_workers(self) -> Workers {
        self.workers
    }

    /// See [`Workers::hold`].
    pub(crate) async fn hold(
        &self,
        service: ServiceId,
        name: &Arc<str>,
        drain: Option<Drain>,
    ) -> Result<Held, Silent> {
        let within = drain.map(|drain| drain.within);
        let said = Said::Hold { drain: within };
        let (held, before) = tokio::join!(
            self.workers.hold(service, drain),
            self.tell_predecessor(name, said, within.unwrap_or_default()),
        );
        Ok(Held { cut: held?.cut + before? })
    }

    /// See [`Workers::release`].
    pub(crate) async fn release(&self, service: ServiceId, name: &Arc<str>) -> Result<(), Silent> {
        let (released, before) = tokio::join!(
            self.workers.release(service),
            self.tell_predecessor(name, Said::Release, Duration::ZERO),
        );
        released?;
        before.map(|_| ())
    }

    /// See [`Workers::activate`].
    pub(crate) async fn activate(
        &self,
        service: ServiceId,
        name: &Arc<str>,
        to: Activation,
    ) -> Result<usize, Silent> {
        let Activation { epoch, active, name: active_name, leave, planned, streams } = to;
        let said = Said::Activate { active: active_name, epoch, planned };
        let (activated, before) = tokio::join!(
            self.workers.activate(service, epoch, active, leave, streams),
            self.tell_predecessor(name, said, Duration::ZERO),
        );
        Ok(activated? + before?)
    }

    /// How many requests or streams it had to do with; 0 when there is no process before us any more.
    async fn tell_predecessor(
        &self,
        service: &Arc<str>,
        said: Said,
        drain: Duration,
    ) -> Result<usize, Silent> {
        let Some(predecessor) = self.predecessor() else { return Ok(0) };
        match predecessor.tell(service, said, drain + ACKNOWLEDGE_WITHIN).await {
            Some(count) => Ok(count),
            // It is gone, and with it all that it had.
            None if predecessor.is_gone() => {
                *self.predecessor.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Ok(0)
            }
            None => Err(Silent::Predecessor),
        }
    }

    fn predecessor(&self) -> Option<Predecessor> {
        self.predecessor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
