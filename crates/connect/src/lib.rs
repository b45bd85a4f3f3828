//! Opens connections to backends: resolve, TCP or Unix socket, PROXY header, TLS, all within one
//! deadline.
//!
//! Used by the traffic and by the probes, so that a probe reaches a backend exactly as a request
//! does. Keeps no connection, sends no request, and draws no conclusion from a failure.

mod connector;
mod error;
mod names;
mod stream;

pub use connector::{Connected, Connector, Destination, Offer, Origin, Tls};
pub use error::ConnectError;
pub use stream::{Socket, Stream};
