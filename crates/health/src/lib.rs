//! Runs probes: what to send, when, how to judge.
//!
//! Turns probes into reports for control; never decides what follows from them. Knows nothing of the
//! data plane.

mod cadence;
mod http;
mod lateness;
mod probe;
mod prober;
mod report;
mod transcript;

pub use prober::{Prober, Shown, Subject, show};
pub use report::{Cause, Outcome, Report};
