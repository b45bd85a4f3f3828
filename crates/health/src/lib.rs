//! Runs probes: what to send, when, how to judge.
//!
//! Turns probes into reports for control; never decides what follows from them. Knows nothing of the
//! data plane.

mod agent;
mod answer;
mod cadence;
mod exec;
mod grpc;
mod http;
mod lateness;
mod memory;
mod probe;
mod prober;
mod report;
mod round;
mod tcp;
mod transcript;
mod witness;
mod words;

pub use exec::Programs;
pub use prober::{Prober, Shown, Subject, Surroundings, show};
pub use report::{Cause, Check, Doubt, Outcome, Report};
pub use witness::Witnesses;
