//! What operators ask of a service, who they are, and what they are told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};
use routing::failover::{AdminState, Refusal, Settlement};
use serde::Serialize;

use crate::status::JobStatus;

/// What an operator may ask of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Move to this backend now, and stay there. Answered when the move has been verified, or has
    /// come to nothing.
    Switchover {
        /// The name of the backend.
        to: String,
        /// How long the move is watched, and taken back if it does not work out; `None`: as
        /// configured.
        verify: Option<Duration>,
    },
    /// The same at a time to come; one at a time, a second takes the place of the first.
    SwitchoverAt {
        /// The name of the backend.
        to: String,
        /// How long the move is watched; `None`: as configured.
        verify: Option<Duration>,
        /// When.
        at: SystemTime,
    },
    /// Forget the move that is to come.
    CancelSwitchover,
    /// Move to the first eligible backend now, and unpin.
    Failback {
        /// How long the move is watched; `None`: as configured.
        verify: Option<Duration>,
    },
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
    /// Treat the active as failed for this long, then return by itself.
    Drill {
        /// How long.
        length: Duration,
    },
    /// Send the requests that carry a field to a standby for this long; all others stay.
    DrillTagged {
        /// The name of the standby; `None`: the first eligible one.
        backend: Option<String>,
        /// The field.
        header: HeaderName,
        /// Its value; `None`: any.
        value: Option<HeaderValue>,
        /// How long.
        length: Duration,
    },
    /// End a drill of either kind now.
    EndDrill,
    /// Say how the gate ended of which nobody knows.
    SettleGate(Settlement),
}

/// Who asks, and why: what an audit wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operator {
    /// The name of the token, or the user on this machine.
    pub who: Arc<str>,
    /// Where from: an address, or `unix socket, pid 17`.
    pub from: Arc<str>,
    /// The reason given; empty when none was.
    pub why: Arc<str>,
}

impl Operator {
    /// The program itself: a scheduled order, a test.
    #[must_use]
    pub fn local(who: &str) -> Self {
        Self { who: who.into(), from: "this process".into(), why: "".into() }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// One sentence for people.
    pub text: String,
    /// The move that it made; `None` when the traffic stayed where it was.
    pub moved: Option<Moved>,
}

/// A move that an operator ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Who had the traffic.
    pub from: Option<Arc<str>>,
    /// Who has it.
    pub to: Option<Arc<str>>,
    /// The number of the change; also that of its incident.
    pub epoch: u64,
    /// From the order to the first good answer of the new active; `None` when it was not waited for.
    #[serde(skip)]
    pub verified_after: Option<Duration>,
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
    /// The service has no job of this name.
    #[error("there is no job {0:?} in this service")]
    UnknownJob(String),
    /// The decision refused it.
    #[error("{}", refusal(.0))]
    Refused(Refusal),
    /// The decision refused it, because these backends claim the active role.
    #[error("{0} claim the active role: stop one of them, or unlock the service first")]
    DualActive(String),
    /// It cannot be, for the reason given.
    #[error("{0}")]
    Impossible(String),
    /// The move was called off before the traffic moved.
    #[error("the move was called off: {0}")]
    CalledOff(String),
    /// The move was made and taken back.
    #[error("the move was taken back: {0}")]
    Returned(String),
    /// The service is being removed, or everything is stopping.
    #[error("the service is stopping")]
    Stopping,
}

impl CommandError {
    /// One word for programs; it never changes.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::UnknownService(_) => "unknown-service",
            Self::UnknownBackend(_) | Self::Refused(Refusal::UnknownBackend) => "unknown-backend",
            Self::UnknownJob(_) => "unknown-job",
            Self::Refused(Refusal::NotEligible) => "not-eligible",
            Self::Refused(Refusal::NothingActive) => "nothing-active",
            Self::Refused(Refusal::Switching) => "switching",
            Self::Refused(Refusal::NeverFailsBack) => "never-fails-back",
            Self::Refused(Refusal::NoStandby) => "no-standby",
            Self::Refused(Refusal::Pinned) => "pinned",
            Self::Refused(Refusal::Locked) => "locked",
            Self::Refused(Refusal::Verifying) => "verifying",
            Self::Refused(Refusal::Drilling) => "drilling",
            Self::Refused(Refusal::NoDrill) => "no-drill",
            Self::Refused(Refusal::NoDoubt) => "no-doubt",
            Self::Refused(Refusal::InDoubt) => "in-doubt",
            Self::DualActive(_) => "dual-active",
            Self::Impossible(_) => "impossible",
            Self::CalledOff(_) => "called-off",
            Self::Returned(_) => "returned",
            Self::Stopping => "stopping",
        }
    }
}

/// Why the decision refuses, and what to do about it.
pub(crate) fn refusal(why: &Refusal) -> &'static str {
    match why {
        Refusal::UnknownBackend => "there is no such backend in this service",
        Refusal::NotEligible => "the backend is not eligible: it must be up and ready",
        Refusal::NothingActive => "no backend is active",
        Refusal::Switching => "a move is under way: wait until it is done",
        Refusal::NeverFailsBack => {
            "failback is `never` for this service: use switchover, and say where to"
        }
        Refusal::NoStandby => "no other backend is eligible",
        Refusal::Pinned => "the service is pinned: unpin it first",
        Refusal::Locked => "the service is locked: unlock it first",
        Refusal::Verifying => "an ordered move is still being watched: wait until that is over",
        Refusal::Drilling => "a drill runs: end it first",
        Refusal::NoDrill => "no drill runs",
        Refusal::NoDoubt => "it is known of every gate how it ended",
        Refusal::InDoubt => "nobody knows how a gate ended: say so first, with `gate`",
    }
}

/// What a move would do, and what speaks against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Who has the traffic.
    pub from: Option<Arc<str>>,
    /// Who would get it.
    pub to: Option<Arc<str>>,
    /// Whether the order would be carried out.
    pub possible: bool,
    /// What would happen, step by step, in words.
    pub steps: Vec<String>,
    /// What stands in its way, in words; empty when it is possible.
    pub blockers: Vec<String>,
    /// What an operator should know all the same, in words.
    pub warnings: Vec<String>,
}

/// One probe, shown.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeShown {
    /// `pass`, `fail` or `inconclusive`.
    pub verdict: &'static str,
    /// Why.
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// The exchange, line by line: `> ` sent, `< ` received, `* ` what happened.
    pub exchange: Vec<String>,
}

/// One run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// Which job.
    pub job: Arc<str>,
    /// When it began; `None`: it waits for its turn.
    pub began: Option<SystemTime>,
    /// Who ordered it; `None`: its schedule.
    pub by: Option<Operator>,
    /// `done`, `unreachable`, `failed`, `unknown` or `cancelled`; `None`: it has not ended.
    pub outcome: Option<&'static str>,
    /// One for each standby, or one for the active; those that have ended.
    pub turns: Vec<JobTurn>,
}

/// A run of a job, for one standby or for the active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTurn {
    /// The standby; `None`: it was about the active alone.
    pub backend: Option<Arc<str>>,
    /// `done`, `unreachable`, `failed`, `unknown` or `cancelled`.
    pub outcome: &'static str,
    /// The same in words.
    pub words: Arc<str>,
    /// The beginning of what it wrote, or of the answer's body.
    pub output: Arc<str>,
    /// How many tries there were.
    pub tries: u32,
    /// How long it took.
    pub took: Duration,
}

/// How a job stands, and its latest runs, newest first.
#[derive(Clone, Debug)]
pub struct JobShown {
    /// How it stands.
    pub status: JobStatus,
    /// Those since the start, a few.
    pub runs: Vec<JobRun>,
}
