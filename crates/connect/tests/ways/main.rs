//! The ways to a backend, walked to real sockets on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees that in #[test] only"
)]

mod addresses;
mod proxy_header;
mod support;
mod tls;
mod unix;
