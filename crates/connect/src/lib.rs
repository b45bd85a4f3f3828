//! Opens connections to backends: resolve, TCP or Unix socket, PROXY header, TLS, all within one
//! deadline.
//!
//! Used by the traffic and by the probes, so that a probe reaches a backend exactly as a request
//! does. Keeps no connection, sends no request, and draws no conclusion from a failure.

mod connector;
mod delegate;
mod error;
mod names;
mod proxy_header;
mod race;
mod stream;
mod tls;
mod words;

pub use connector::{Connected, Connector, Destination, Offer, Origin, Tls, keep_alive};
pub use error::ConnectError;
pub use names::{KnownNames, LookUp};
pub use stream::{Socket, Stream};

/// For [`delegate_io!`].
#[doc(hidden)]
pub mod io {
    pub use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
}
