//! The backend side: backends, connections to them, and the exchanges on those.

pub(crate) mod backend;
mod counting;
pub(crate) mod duplex;
pub(crate) mod exchange;
pub(crate) mod h1;
pub(crate) mod http2;
mod shared;

use http::{HeaderMap, StatusCode};
use hyper::ext::ReasonPhrase;

/// The head of a backend's response, over either version of HTTP.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    /// What the backend calls a status that has no name of its own.
    pub(crate) reason: Option<ReasonPhrase>,
    /// Ready to be passed on: end-to-end fields only. Of a 101, also what belongs to the switch.
    pub(crate) headers: HeaderMap,
}
