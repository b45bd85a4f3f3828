//! The JSON of `/api/v1`: what the server writes and the command line reads.
//!
//! Within a version fields are only added, so whoever reads ignores those that it does not know. A key
//! of a request that we do not know is an error: the client believes it means something. Relative times
//! are numbers of seconds, to the millisecond; absolute ones are seconds since 1970, with the same in
//! words of RFC 3339 beside them.

mod answer;
mod from_control;
mod record;
pub mod request;
mod status;

pub use answer::{Answer, Done, Moved, Preview, ProbeShown, Problem, Reloaded};
pub use record::{Counts, Event, Events, Incident, IncidentSummary, Incidents, Step, Took};
pub use status::{
    AdminState, Backend, Drift, Drill, Failback, Health, LastProbe, Load, Operator, Process,
    Scheduled, Service, Services, Status, Switching,
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
