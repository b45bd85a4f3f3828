//! The JSON of `/api/v1`: what the server writes and the command line reads.
//!
//! Within a version fields are only added, so whoever reads ignores those that it does not know. A key
//! of a request that we do not know is an error: the client believes it means something. Relative times
//! are numbers of seconds, to the millisecond; absolute ones are seconds since 1970, with the same in
//! words of RFC 3339 beside them.

mod answer;
mod from_control;
mod jobs;
mod record;
pub mod request;
mod seen;
mod status;

pub use answer::{Answer, Done, Moved, NotifierTest, Preview, ProbeShown, Problem, Reloaded};
pub use jobs::{Job, JobBackend, JobRun, JobShown, JobTurn};
pub use record::{
    Counts, Event, Events, GateRecord, Incident, IncidentSummary, Incidents, Step, Took,
};
pub use seen::{BackendProbes, ConfigShown, Probes, Round, Whoami};
pub use status::{
    AdminState, Backend, Check, Drift, Drill, DualActive, Failback, Gate, Health, LastProbe, Load,
    Operator, Process, Readiness, Role, Scheduled, Service, Services, Status, Switching, Wish,
};

/// The path under which everything of this version is found.
pub const BASE: &str = "/api/v1";

/// A duration in seconds, to the millisecond.
pub(crate) fn seconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

/// A duration in milliseconds, to the microsecond.
pub(crate) fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
