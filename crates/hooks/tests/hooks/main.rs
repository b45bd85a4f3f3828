//! Hooks with real programs and real servers on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees that in #[test] only"
)]

mod programs;
mod requests;
mod support;
mod tries;
