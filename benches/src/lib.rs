//! What the end-to-end tests and the comparisons share: child processes, a load generator that tells
//! the truth, and the origin's journal.
//!
//! Knows nothing of the proxy under test beyond its command line and its sockets.

pub mod build;
pub mod condition;
pub mod fetch;
pub mod journal;
pub mod load;
pub mod origin;
pub mod process;
pub mod report;
pub mod scrape;
pub mod script;
pub mod understudy;
