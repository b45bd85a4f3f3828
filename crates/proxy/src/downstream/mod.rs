//! The client side: listeners, client connections, and who the clients are.

pub(crate) mod certificate;
mod claims;
pub(crate) mod client;
mod conversation;
mod http1;
mod http2;
pub(crate) mod identity;
pub(crate) mod incoming;
pub(crate) mod listener;
mod proxy_header;
pub(crate) mod reply;
mod socket;

pub(crate) use conversation::converse;
