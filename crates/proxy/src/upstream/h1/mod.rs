//! HTTP/1.1 towards backends: how heads and bodies look on the wire.
//!
//! Pure functions over bytes; the socket is `exchange.rs`'s. Towards clients hyper does this. Towards
//! backends we do it ourselves, because a proxy needs to know what a client library hides: whether
//! a single byte of a request has left, what came before the final response, and that a response
//! can be understood in one way only. It is also half of what a request costs.

mod body;
mod connection;
mod request;
mod response;

pub(crate) use body::{Decoded, Decoder, is_forbidden_trailer};
pub(crate) use connection::Connection;
pub(crate) use request::{Framing, write_chunk, write_end};
pub(crate) use response::{Head, Parsed, parse};

/// A backend's bytes that cannot be understood in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed response: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);
