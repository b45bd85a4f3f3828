//! Runs probes: what to send, when, how to judge.
//!
//! Turns probes into reports for control; never decides what follows from them. Knows nothing of the
//! data plane.

mod prober;

pub use prober::{Cause, Outcome, Prober, Report, Target, Tls};
