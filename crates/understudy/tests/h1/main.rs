//! What the proxy does with HTTP/1.1, byte by byte: raw clients, scripted backends, expected results.
//!
//! The tables are tables of behaviour, not of our implementation: `H1_PEER=nginx` runs them on nginx.
//! A row that nginx is known to treat otherwise says so and is skipped there.

mod answers;
mod backend;
mod bodies;
mod client;
mod fields;
mod framing;
mod identity;
mod interim;
mod rig;
mod target;
