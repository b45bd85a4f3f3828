//! The data plane through its public face: real sockets, scripted backends, orders as control gives
//! them.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it must be")]

mod account;
mod backend;
mod client;
mod deadlines;
mod drains;
mod drills;
mod epochs;
mod frames;
mod hold;
mod http2;
mod listener;
mod replay;
mod rig;
mod sockets;
mod streams_clients;
mod streams_ended;
mod streams_fenced;
mod streams_lost;
mod streams_many;
mod suspicion;
mod switch;
mod takeover;
mod traces;
mod translated;
