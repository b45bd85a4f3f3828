//! Probers against real backends on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees that in #[test] only"
)]

mod answers;
mod exec;
mod grpc;
mod http;
mod http2;
mod rounds;
mod shown;
mod support;
mod talk;
mod tasks;
mod tls;
mod ways;
mod witnesses;
