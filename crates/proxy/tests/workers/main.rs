//! The data plane through its public face: real sockets, scripted backends, orders as control gives
//! them.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it must be")]

mod account;
mod backend;
mod deadlines;
mod hold;
mod listener;
mod replay;
mod rig;
mod switch;
