//! The data plane: listeners, workers, connection pools, forward, hold and replay.
//!
//! Workers share nothing; control tells them what to do by [`Workers`]' messages, each acknowledged
//! by every worker. Knows nothing of probes.
//!
//! The way in is `forward.rs`: the life of a request, top to bottom.

mod answer;
mod backend;
mod body;
mod client;
mod connect;
#[allow(dead_code, unused_imports, reason = "listeners and heads do not ask it yet")]
mod downstream;
mod exchange;
mod flight;
mod forward;
#[allow(dead_code, reason = "answers and trailers are not made for gRPC yet")]
mod grpc;
mod h1;
mod head;
mod hold;
mod listener;
#[cfg(test)]
#[allow(clippy::duplicate_mod, reason = "the same mutations, for what is not HTTP/1.1")]
#[path = "h1/mutate.rs"]
mod mutate;
mod service;
mod spec;
mod tunnel;
#[allow(dead_code, reason = "tunnels do not say goodbye yet")]
mod websocket;
mod worker;
mod workers;

pub use listener::{Bound, bind};
pub use spec::{
    BackendSpec, Leave, ListenerSpec, ServiceId, ServiceSpec, Snapshot, Suspicion, Symptom, Tls,
};
pub use workers::{Lost, Workers};
