//! Probers against real backends on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees that in #[test] only"
)]

mod http;
mod http2;
mod shown;
mod support;
mod tasks;
mod tls;
mod ways;
