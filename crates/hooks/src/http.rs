//! One HTTP request and its answer, on a connection of its own.
//!
//! Knows no time, follows no redirect, judges nothing: whoever calls drops it at the deadline.

use std::error::Error;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use config::model::{BackendUrl, Scheme, UpstreamProtocol};
use connect::{Connected, Offer, Stream};
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response};

mod http1;
mod http2;

/// Most bytes of fields in an answer.
const MOST_HEADER_BYTES: u32 = 64 * 1024;

/// Which HTTP is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
}

impl Version {
    /// What is spoken with a server at `url` once it has chosen.
    #[must_use]
    pub fn on(connected: &Connected, protocol: UpstreamProtocol, url: &BackendUrl) -> Self {
        match (url.scheme, protocol) {
            (Scheme::Https, _) if connected.is_http2 => Self::Http2,
            (Scheme::Http, UpstreamProtocol::Http2) => Self::Http2,
            (Scheme::Https, _) => Self::Http1,
            (Scheme::Http, UpstreamProtocol::Auto | UpstreamProtocol::Http1) => Self::Http1,
        }
    }
}

/// What is offered to a server that is to speak `protocol`.
#[must_use]
pub fn offer(protocol: UpstreamProtocol) -> Offer {
    match protocol {
        UpstreamProtocol::Auto => Offer::Both,
        UpstreamProtocol::Http1 => Offer::Http1,
        UpstreamProtocol::Http2 => Offer::Http2,
    }
}

/// Gives a request the address, the host and the fields that its version asks for; takes away those
/// that it forbids.
///
/// # Errors
/// `host` is none.
pub fn addressed(
    mut request: Request<Bytes>,
    version: Version,
    scheme: Scheme,
    host: HeaderValue,
    path: PathAndQuery,
) -> Result<Request<Bytes>, http::Error> {
    match version {
        Version::Http1 => http1::address(&mut request, host, path),
        Version::Http2 => http2::address(&mut request, scheme, &host, path)?,
    }
    Ok(request)
}

/// A part of an answer, as it comes.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Status and fields.
    Head(&'a Response<()>),
    /// The next bytes of its body.
    Data(&'a [u8]),
    /// The fields behind its body.
    Trailers(&'a HeaderMap),
}

/// Why there is no complete answer.
#[derive(Debug)]
pub enum Broken {
    /// In TLS. A TLS 1.3 server that refuses us says so only after the handshake.
    Tls(String),
    /// Otherwise.
    Other(String),
}

impl Broken {
    /// The cause in an error and all that led to it.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = Some(error);
        while let Some(error) = source {
            if let Some(tls) = error.downcast_ref::<io::Error>().filter(|error| is_tls(error)) {
                return Self::Tls(tls.to_string());
            }
            source = error.source();
            if let Some(inner) = source {
                text = format!("{text}: {inner}");
            }
        }
        Self::Other(text)
    }

    /// The same of an error of HTTP/2, which hides what broke its connection.
    #[must_use]
    pub fn of_http2(error: &h2::Error) -> Self {
        match error.get_io() {
            Some(error) => Self::of(error),
            None => Self::of(error),
        }
    }
}

/// See [`connect::Stream`].
fn is_tls(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// Sends a request that is [`addressed`], and lets `hear` have the answer. Ends with it, or when that
/// has heard enough.
///
/// # Errors
/// The answer did not come, or not whole.
pub async fn exchange(
    stream: Stream,
    version: Version,
    request: Request<Bytes>,
    hear: impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> Result<(), Broken> {
    match version {
        Version::Http1 => {
            http1::exchange(stream, request, hear).await.map_err(|error| Broken::of(&error))
        }
        Version::Http2 => {
            http2::exchange(stream, request, hear).await.map_err(|error| Broken::of_http2(&error))
        }
    }
}
