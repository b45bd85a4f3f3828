//! What each request met, for the access log and for traces.
//!
//! A worker makes a [`Record`] of each request that somebody wants to hear of, and writes it with its
//! own [`Pen`] into a buffer of its own; a [`Writer`]'s thread writes full buffers. Knows nothing of
//! workers, sockets of clients, or decisions.

mod clock;
mod format;
mod pen;
mod record;
mod sink;
mod tracer;
mod writer;

pub use pen::{LineWriter, Log, Pen};
pub use record::{End, Outcome, Record, Step, TraceContext, What};
pub use tracer::Tracer;
pub use writer::{OpenError, Writer};
