//! Spans of requests and switches, sent to a collector by the OpenTelemetry Protocol (OTLP 1.x).
//!
//! A thread of its own beside the traffic: nothing waits for it, and what does not fit is dropped and
//! counted. Makes no record and decides nothing; whether a request is sampled was decided when it came.

mod export;
mod ids;
mod request;
mod send;
mod span;
mod switch;
mod watch;
mod wire;

pub use export::{Exporter, start};
