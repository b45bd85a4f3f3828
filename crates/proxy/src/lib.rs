//! The data plane: listeners, workers, connection pools, forward, hold and replay.
//!
//! Workers share nothing; control tells them what to do by [`Workers`]' messages, each acknowledged
//! by every worker. Knows nothing of probes.

mod spec;
mod workers;

pub use spec::{
    BackendSpec, Leave, ListenerSpec, ServiceId, ServiceSpec, Snapshot, Suspicion, Symptom, Tls,
};
pub use workers::{Bound, Lost, Workers, bind};
