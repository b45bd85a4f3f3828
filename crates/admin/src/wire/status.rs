//! How everything stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Job;

/// How everything stands, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// In the order of the config.
    pub services: Vec<Service>,
    /// What concerns no service in particular.
    pub process: Process,
}

/// Every service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Services {
    /// In the order of the config.
    pub services: Vec<Service>,
}

/// What concerns no service in particular.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// The folder in which decisions are kept; `null`: in memory, a restart forgets them.
    pub state_dir: Option<String>,
    /// What is wrong with keeping them, in words; `null`: nothing.
    pub state_problem: Option<String>,
    /// Where the file and what runs differ, in words.
    pub drift: Vec<String>,
    /// Whether the process that ran before still finishes its requests.
    pub predecessor: bool,
    /// How many witnesses are asked whether it is we who are cut off.
    #[serde(default)]
    pub witnesses: usize,
    /// For how long none of them has answered: nothing is decided then; `null`: one does, or there
    /// are none.
    #[serde(default)]
    #[schema(minimum = 0.0)]
    pub cut_off_for_seconds: Option<f64>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The backend that has the traffic; `null` while requests are held or rejected.
    pub active: Option<String>,
    /// The number of the last change of the active.
    pub epoch: u64,
    /// How long ago the active last changed, or the service began.
    #[schema(minimum = 0.0)]
    pub since_seconds: f64,
    /// Whether the active is the first backend.
    pub on_primary: bool,
    /// Whether an operator asked to stay here.
    pub pinned: bool,
    /// Whether automatic moves are off.
    pub locked: bool,
    /// The hold-down in force, with damping; `null` when nothing fails back by itself.
    #[schema(minimum = 0.0)]
    pub hold_down_seconds: Option<f64>,
    /// Flaps in a row; each doubles the hold-down.
    pub flaps: u32,
    /// Two backends or more claim the active role; `null`: no two do.
    #[serde(default)]
    pub dual_active: Option<DualActive>,
    /// How long until the service fails back by itself, if nothing but time is missing.
    #[schema(minimum = 0.0)]
    pub failback_due_in_seconds: Option<f64>,
    /// The way back; `null` on the primary, and while nobody is active.
    pub failback: Option<Failback>,
    /// A move under way.
    pub switching: Option<Switching>,
    /// How much longer an ordered move is watched.
    #[schema(minimum = 0.0)]
    pub verifying_for_seconds: Option<f64>,
    /// The gates that it has, in the order in which they run; `null`: none.
    #[serde(default)]
    pub gates: Option<Vec<String>>,
    /// The gate that has begun and not ended.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// A drill under way.
    pub drill: Option<Drill>,
    /// An ordered move that is to come.
    pub scheduled: Option<Scheduled>,
    /// What operators changed at run time, against what the file says.
    pub drift: Vec<Drift>,
    /// What the service is working on.
    pub load: Load,
    /// Its jobs, in the order of the config.
    #[serde(default)]
    pub jobs: Vec<Job>,
    /// In priority order: the first is the primary.
    pub backends: Vec<Backend>,
}

/// Two backends or more claim the active role: no automatic moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DualActive {
    /// Which.
    pub backends: Vec<String>,
    /// How long ago that began.
    #[schema(minimum = 0.0)]
    pub since_seconds: f64,
    /// Whether an operator has said that automatic moves go on all the same.
    pub accepted: bool,
}

/// When a service fails back, and why not now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failback {
    /// The backend it would go to.
    pub to: String,
    /// How long until then, if nothing but time is missing.
    #[schema(minimum = 0.0)]
    pub due_in_seconds: Option<f64>,
    /// What is missing, in words.
    pub waits_for: Vec<String>,
}

/// A move under way: requests are held until every worker has acknowledged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Switching {
    /// Who gets the traffic.
    pub to: String,
    /// Why: `startup`, `failover`, `failback`, `recovery`, `switchover`, `reload`, `return`, `drill`.
    pub reason: String,
    /// How long ago it began.
    #[schema(minimum = 0.0)]
    pub since_seconds: f64,
}

/// A gate that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gate {
    /// `fence`, `demote`, `sync`, `promote` or `verify`.
    pub gate: String,
    /// The backend that it is about.
    pub backend: String,
    /// The epoch of its move.
    pub epoch: u64,
    /// Whether nobody knows how it ended: nothing moves until an operator says so.
    pub in_doubt: bool,
}

/// A drill under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drill {
    /// The backend that is treated as failed, or, for tagged requests, the one that gets them.
    pub backend: String,
    /// The field that tags requests; `null`: the drill is for all of them.
    pub tag: Option<String>,
    /// How long until it ends by itself.
    #[schema(minimum = 0.0)]
    pub ends_in_seconds: f64,
}

/// An ordered move that is to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scheduled {
    /// Where to.
    pub to: String,
    /// When.
    pub at: Timestamp,
    /// How long until then.
    #[schema(minimum = 0.0)]
    pub in_seconds: f64,
    /// Who ordered it.
    pub by: Operator,
}

/// Something that an operator changed, and the file does not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// What it is about: `admin state of web-1`, `pin`, `lock`.
    pub what: String,
    /// What the file says.
    pub file: String,
    /// What holds now.
    pub now: String,
    /// Since when.
    pub since: Timestamp,
    /// How long ago.
    #[schema(minimum = 0.0)]
    pub since_seconds: f64,
    /// Who changed it, and why.
    pub by: Operator,
}

/// Who asked for something, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operator {
    /// The name of the token, or the user on the machine.
    pub who: String,
    /// Where from: an address, or `unix socket, pid 17`.
    pub from: String,
    /// The reason given; empty when none was.
    pub why: String,
}

/// What a service is working on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Load {
    /// Requests begun and not ended, those that are held among them.
    pub in_flight: u64,
    /// Requests that wait for an active.
    pub held: u64,
    /// Requests that had to wait for an active, since the start of the process.
    pub held_total: u64,
    /// Requests that were sent again, since then.
    pub replayed_total: u64,
    /// Requests that failed because of a backend or of us, since then.
    pub failed_total: u64,
    /// Requests that could not wait, or had waited for too long, since then.
    pub rejected_total: u64,
}

/// One backend of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What the probes say.
    pub health: Health,
    /// What the operator wishes.
    pub admin: AdminState,
    /// Whether it has the traffic.
    pub active: bool,
    /// For how long it may have the traffic; `null`: it may not.
    #[schema(minimum = 0.0)]
    pub eligible_for_seconds: Option<f64>,
    /// Requests, responses and tunnels at it.
    #[serde(default)]
    pub in_flight: u64,
    /// The role that it claims; `null`: it says nothing on that.
    #[serde(default)]
    pub role: Option<Role>,
    /// What it asks for; `null`: it says nothing on that.
    #[serde(default)]
    pub wish: Option<Wish>,
    /// By how much its clock is ahead of ours, by the `Date` of its answers; negative: behind.
    #[serde(default)]
    pub clock_ahead_seconds: Option<f64>,
    /// The round of probes that ended last.
    pub last_probe: Option<LastProbe>,
    /// How long ago the last round ended that told anything; `null`: there was none yet.
    #[serde(default)]
    #[schema(minimum = 0.0)]
    pub last_verdict_ago_seconds: Option<f64>,
    /// Why there has been none for long; `null`: they come.
    #[serde(default)]
    pub undecided: Option<String>,
    /// Whether it holds the active role in its application: `holds`, `standby` or `unsure`; `null`: the
    /// service has no gates.
    #[serde(default)]
    pub standing: Option<String>,
    /// Whether it may not become active until unlocked, because a gate of a move to it failed.
    #[serde(default)]
    pub barred: bool,
    /// Whether a failover to it would work now; `null`: it has the traffic.
    #[serde(default)]
    pub readiness: Option<Readiness>,
}

/// Whether a failover to a standby would work now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether nothing speaks against it.
    pub ready: bool,
    /// What speaks against it, in words; empty: nothing.
    pub reasons: Vec<String>,
    /// What else there is to know, for example that it promotes itself.
    pub notes: Vec<String>,
}

/// The part that a backend says it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It does the work.
    Active,
    /// It is ready to do it.
    Standby,
    /// It is on its way from standby to active.
    Promoting,
    /// It must not do it.
    Fenced,
}

/// What a backend asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Requests, as ever.
    Serve,
    /// No new requests; running ones may finish.
    Drain,
    /// No requests at all.
    Maintenance,
}

/// What probes say of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not checked yet.
    Unknown,
    /// It passes.
    Up,
    /// It fails.
    Down,
}

/// What an operator wishes for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdminState {
    /// It may have the traffic.
    Ready,
    /// No new requests; running ones may finish.
    Drain,
    /// Out of use.
    Maintenance,
}

/// A round of probes that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LastProbe {
    /// `pass`, `inconclusive`, or why it failed.
    pub outcome: String,
    /// How long it took.
    #[schema(minimum = 0.0)]
    pub took_ms: f64,
    /// How long ago it ended.
    #[schema(minimum = 0.0)]
    pub ago_seconds: f64,
    /// Whether the backend still answers, as far as the round can tell.
    #[serde(default = "yes")]
    pub alive: bool,
    /// How each probe of the round ended, in the order of the config; those not asked are left out.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// One probe of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it shows: `alive` or `ready`.
    pub level: String,
    /// `pass`, `inconclusive`, or why it failed.
    pub outcome: String,
    /// How long it took.
    #[schema(minimum = 0.0)]
    pub took_ms: f64,
}

/// A server that does not say so has not asked.
fn yes() -> bool {
    true
}

impl Status {
    /// The service with this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

impl Health {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Promoting => "promoting",
            Self::Fenced => "fenced",
        }
    }
}

impl AdminState {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }
}
