//! What an operator may ask about the running services, as plain data.
//!
//! Times are kept as instants, so that a status does not grow stale between two changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use config::model::Level;
use routing::failover::{AdminState, Gate, Health, Reason, Role, Standing, Wish};
use serde::{Serialize as _, Serializer};

use hooks::Outcome;

use crate::command::Operator;
use crate::rounds::Rounds;

pub use self::jobs::{JobBackend, JobStatus};

mod jobs;

/// Everything an operator may ask, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// In the order of the config.
    pub services: Vec<Arc<ServiceStatus>>,
    /// The process as a whole.
    pub process: Arc<ProcessStatus>,
}

/// What concerns no service in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessStatus {
    /// The folder in which decisions are kept; `None`: in memory, a restart forgets them.
    pub state_dir: Option<PathBuf>,
    /// What is wrong with keeping them, in words; `None`: nothing.
    pub state_problem: Option<String>,
    /// Where the file and what runs differ, in words: keys that wait for a restart, a file that was
    /// refused.
    pub drift: Vec<String>,
    /// Whether the process that ran before still finishes its requests: planned moves wait for it.
    pub predecessor: bool,
    /// How many witnesses are asked whether we are cut off.
    pub witnesses: usize,
    /// Since when none of them answers; `None`: one does, or there are none.
    pub cut_off: Option<Since>,
}

impl Status {
    /// The service with this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceStatus> {
        self.services.iter().find(|service| &*service.name == name).map(|service| &**service)
    }
}

/// One service.
#[derive(Clone, Debug)]
pub struct ServiceStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The name of the backend that has the traffic; `None` while requests are held or rejected.
    pub active: Option<Arc<str>>,
    /// Changes of the active so far.
    pub epoch: u64,
    /// When the active last changed, or when the service began.
    pub since: Since,
    /// Whether the active is the first backend.
    pub on_primary: bool,
    /// Whether the operator asked to stay here.
    pub pinned: bool,
    /// Whether automatic moves are off.
    pub locked: bool,
    /// The hold-down in force, with damping; `None` when nothing fails back by itself.
    pub hold_down: Option<Duration>,
    /// Flaps in a row; each doubles the hold-down.
    pub flaps: u32,
    /// Two backends or more claim the active role.
    pub dual_active: Option<DualActive>,
    /// The way back to the highest-priority backend above the active; `None` on the primary, and while
    /// nobody is active.
    pub failback: Option<FailbackStatus>,
    /// A move under way.
    pub switching: Option<Switching>,
    /// Until when an ordered move is watched.
    pub verifying: Option<Until>,
    /// The gates that it has, by name; `None`: none.
    pub gates: Option<Arc<[&'static str]>>,
    /// The gate that has begun and not ended.
    pub gate: Option<GateStatus>,
    /// A drill under way.
    pub drill: Option<DrillStatus>,
    /// An ordered move that is to come.
    pub scheduled: Option<Scheduled>,
    /// What operators changed at run time, against what the file says.
    pub drift: Vec<Drift>,
    /// Its jobs, in the order of the config.
    pub jobs: Vec<JobStatus>,
    /// In priority order: the first is the primary.
    pub backends: Vec<BackendStatus>,
}

/// Two backends or more claim the active role: automatic moves are frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DualActive {
    /// Which.
    pub backends: Vec<Arc<str>>,
    /// Since when.
    pub since: Since,
    /// Whether an operator has said that automatic moves go on all the same.
    pub accepted: bool,
}

/// When a service fails back, and why not now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailbackStatus {
    /// The backend it would go to.
    pub to: Arc<str>,
    /// When, if nothing but time is missing.
    pub due: Option<Until>,
    /// What is missing, in words.
    pub waits_for: Vec<String>,
}

/// A move under way: requests are held until every worker has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switching {
    /// Who gets the traffic.
    pub to: Arc<str>,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Since,
}

/// A gate that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStatus {
    /// Which.
    pub gate: &'static str,
    /// The backend that it is about.
    pub backend: Arc<str>,
    /// The epoch of its move.
    pub epoch: u64,
    /// Whether nobody knows how it ended: then nothing moves until an operator says so.
    pub in_doubt: bool,
}

/// A drill under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillStatus {
    /// The backend that is treated as failed, or, for tagged requests, the one that gets them.
    pub backend: Arc<str>,
    /// The field that tags requests; `None`: the drill is for all of them.
    pub tag: Option<Arc<str>>,
    /// When it ends by itself.
    pub until: Until,
}

/// An ordered move that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// Where to.
    pub to: Arc<str>,
    /// When.
    pub at: SystemTime,
    /// Who ordered it.
    pub by: Operator,
}

/// Something that an operator changed, and the file does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// What it is about: `admin state of web-1`, `pin`, `lock`.
    pub what: Arc<str>,
    /// What the file says.
    pub file: Arc<str>,
    /// What holds now.
    pub now: Arc<str>,
    /// Since when.
    pub since: SystemTime,
    /// Who changed it, and why.
    pub by: Operator,
}

impl ServiceStatus {
    /// Whether the first round of verdicts is in: somebody is active, or everybody has been checked.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.active.is_some()
            || self.backends.iter().all(|backend| backend.health != Health::Unknown)
    }
}

/// One backend of a service.
#[derive(Clone, Debug)]
pub struct BackendStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub url: Arc<str>,
    /// What the probes say.
    pub health: Health,
    /// What the operator wishes.
    pub admin: AdminState,
    /// Whether it has the traffic.
    pub active: bool,
    /// Since when it may have the traffic; `None`: it may not.
    pub eligible_since: Option<Since>,
    /// The role that it claims.
    pub role: Option<Role>,
    /// What it asks for.
    pub wish: Option<Wish>,
    /// By how many milliseconds its clock is ahead of ours (negative: behind), if its answers tell.
    pub clock_ahead_ms: Option<i64>,
    /// The round of probes that ended last.
    pub last_probe: Option<LastProbe>,
    /// The latest rounds, with the last.
    pub rounds: Rounds,
    /// When the last round ended that told anything; `None`: there was none yet.
    pub last_verdict: Option<Since>,
    /// Why there has been none for long; `None`: they come.
    pub undecided: Option<Arc<str>>,
    /// Whether it holds the active role in its application: `holds`, `standby` or `unsure`; `None`: the
    /// service has no gates.
    pub standing: Option<&'static str>,
    /// Whether it may not become active until unlocked, because a gate of a move to it failed.
    pub barred: bool,
    /// Whether a failover to it would work now; `None`: it is active.
    pub readiness: Option<Readiness>,
}

/// Whether a failover to a standby would work now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether nothing speaks against it.
    pub is_ready: bool,
    /// What speaks against it, in sentences; empty: nothing.
    pub reasons: Arc<[String]>,
    /// What else there is to know: it would promote itself.
    pub notes: Arc<[String]>,
}

/// What a service is working on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests begun and not ended, those that are held among them.
    pub in_flight: u64,
    /// Requests that wait for an active.
    pub held: u64,
    /// Requests that had to wait for an active, since the start.
    pub held_total: u64,
    /// Requests that were sent again, since the start.
    pub replayed_total: u64,
    /// Requests that failed because of a backend or of us, since the start.
    pub failed_total: u64,
    /// Requests that could not wait, or had waited for too long, since the start.
    pub rejected_total: u64,
    /// Requests, responses and tunnels at each backend, by its name.
    pub backends: Vec<(Arc<str>, u64)>,
}

/// A round of probes that ended.
#[derive(Clone, Debug)]
pub struct LastProbe {
    /// `pass`, `inconclusive`, or why it failed.
    pub outcome: Arc<str>,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub ended: Since,
    /// Whether the backend still answers, as far as the round can tell.
    pub is_alive: bool,
    /// How each probe of the round ended.
    pub checks: Arc<[CheckStatus]>,
}

/// One probe of a round.
#[derive(Clone, Debug)]
pub struct CheckStatus {
    /// Its name.
    pub name: Arc<str>,
    /// What it shows.
    pub level: Level,
    /// `pass`, `inconclusive`, or why it failed.
    pub outcome: Arc<str>,
    /// How long it took.
    pub took: Duration,
}

/// A moment that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(pub Instant);

impl Since {
    /// How long ago.
    #[must_use]
    pub fn ago(self) -> Duration {
        self.0.elapsed()
    }
}

/// A moment to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(pub Instant);

impl Until {
    /// How long it still takes; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The word for a health.
#[must_use]
pub fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    }
}

/// The word for a role.
#[must_use]
pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::Active => "active",
        Role::Standby => "standby",
        Role::Promoting => "promoting",
        Role::Fenced => "fenced",
    }
}

/// The word for what a backend asks for.
#[must_use]
pub fn wish_word(wish: Wish) -> &'static str {
    match wish {
        Wish::Serve => "serve",
        Wish::Drain => "drain",
        Wish::Maintenance => "maintenance",
    }
}

/// The word for what a probe shows.
#[must_use]
pub fn level_word(level: Level) -> &'static str {
    match level {
        Level::Alive => "alive",
        Level::Ready => "ready",
    }
}

/// The word for an admin state.
#[must_use]
pub fn admin_word(admin: AdminState) -> &'static str {
    match admin {
        AdminState::Ready => "ready",
        AdminState::Drain => "drain",
        AdminState::Maintenance => "maintenance",
    }
}

/// The word for a reason.
#[must_use]
pub fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Startup => "startup",
        Reason::Failover => "failover",
        Reason::Failback => "failback",
        Reason::Recovery => "recovery",
        Reason::Switchover => "switchover",
        Reason::Reload => "reload",
        Reason::Return => "return",
        Reason::Drill => "drill",
    }
}

/// A gate as a word, as in configs and metrics.
pub(crate) fn gate_word(gate: Gate) -> &'static str {
    match gate {
        Gate::Fence => "fence",
        Gate::Demote => "demote",
        Gate::Sync => "sync",
        Gate::Promote => "promote",
        Gate::Verify => "verify",
    }
}

/// What is known of who holds the active role, as a word.
pub(crate) fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Standby => "standby",
        Standing::Holds => "holds",
        Standing::Unsure { .. } => "unsure",
    }
}

/// How a hook ended, as a word.
pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Unreachable => "unreachable",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

pub(crate) fn write_health<S: Serializer>(health: &Health, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(health_word(*health))
}

pub(crate) fn write_role<S: Serializer>(role: &Option<Role>, to: S) -> Result<S::Ok, S::Error> {
    role.map(role_word).serialize(to)
}

pub(crate) fn write_wish<S: Serializer>(wish: &Option<Wish>, to: S) -> Result<S::Ok, S::Error> {
    wish.map(wish_word).serialize(to)
}

pub(crate) fn write_admin<S: Serializer>(admin: &AdminState, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(admin_word(*admin))
}

pub(crate) fn write_reason<S: Serializer>(reason: &Reason, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(reason_word(*reason))
}
