//! Handles of the stand-ins' processes, and what they wrote down.
//!
//! A stand-in behaves as one of the applications that the balancer must serve, as far as that matters
//! for a move. It knows nothing of the balancer but the fields that it is sent.

pub mod journal;
mod standin;

pub use standin::{Standin, binary};
