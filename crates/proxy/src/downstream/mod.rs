//! The client side: listeners, client connections, and who the clients are.

pub(crate) mod bound;
mod certificate;
mod claims;
pub(crate) mod client;
mod conversation;
pub(crate) mod handover;
mod http1;
mod http2;
mod identity;
pub(crate) mod incoming;
pub(crate) mod listener;
mod proxy_header;
pub(crate) mod reply;
mod socket;

pub(crate) use certificate::{ClientCertificate, is_about_certificate};
pub(crate) use claims::Claims;
pub(crate) use conversation::converse;
pub(crate) use identity::{Identity, contains};
