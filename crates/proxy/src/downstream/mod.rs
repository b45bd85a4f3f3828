//! Who is at the other end of a client connection, as a balancer in front of us, its headers or its
//! certificate say.
//!
//! Pure, but for the reading of a PROXY header; knows nothing of listeners and TLS.

mod certificate;
mod claims;
mod identity;
mod proxy_header;

pub(crate) use certificate::{ClientCertificate, is_about_certificate};
pub(crate) use claims::Claims;
pub(crate) use identity::{Identity, contains};
pub(crate) use proxy_header::{Proxied, ProxyHeaderError, read};
