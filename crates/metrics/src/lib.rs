//! Declares every metric once, keeps the counts, and writes them in Prometheus' text format.
//!
//! A worker owns its cells and is the only one that writes them: relaxed load and store, no
//! read-modify-write, no cache line shared between cores. A scrape sums the workers.

pub mod cells;
mod certificates;
mod exposition;
pub mod names;
mod registry;

pub use certificates::{CertificateView, FileView};
pub use registry::{
    ActiveView, BackendView, Counted, GatesView, JobBackendView, JobView, LogCounts, Metrics,
    ProbeView, ServiceView, Spans,
};
