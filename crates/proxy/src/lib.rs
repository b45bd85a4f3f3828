//! The data plane: listeners, workers, connection pools, forward, hold and replay.
//!
//! Workers share nothing; control tells them what to do by [`Workers`]' messages, each acknowledged
//! by every worker. Knows nothing of probes.
//!
//! The way in is `forward.rs`: the life of a request, top to bottom.

mod answer;
mod body;
mod downstream;
mod drain;
mod edge;
mod flight;
mod forward;
mod grpc;
mod head;
mod hold;
mod latency;
mod leaving;
mod lost;
#[cfg(test)]
mod mutate;
mod order;
mod pulse;
mod recorder;
mod service;
mod signs;
mod spec;
mod stamp;
mod switch;
mod tags;
mod trace;
mod tunnel;
mod upstream;
mod websocket;
mod worker;
mod workers;

pub use downstream::bound::{Bound, bind};
pub use pulse::Pulse;
pub use spec::{
    Answered, BackendSpec, Drain, Held, Leave, ListenerSpec, Notice, ServiceId, ServiceSpec,
    Snapshot, Suspicion, Symptom, Tag, TraceSpec,
};
pub use workers::{Lost, Workers};
