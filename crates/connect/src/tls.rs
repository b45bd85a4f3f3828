//! The TLS handshake with a backend, and what was agreed on.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connector::{Offer, Tls};
use crate::error::ConnectError;
use crate::stream::Socket;
use crate::words::in_words;

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Shakes hands over `socket` and offers what `offer` says (ALPN, RFC 7301). Whatever the backend
/// sent before the handshake, in the clear, is an error; nothing of it is ever taken for an answer.
///
/// # Errors
/// [`ConnectError::Tls`] with words for people; also when the backend does not agree to HTTP/2 and
/// nothing else was offered.
pub(crate) async fn handshake(
    tls: &Tls,
    offer: Offer,
    socket: Socket,
) -> Result<TlsStream<Socket>, ConnectError> {
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let connector = connector.with_alpn(protocols(offer));
    let stream = connector.connect(tls.server_name.clone(), socket).await.map_err(|error| {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                failed(error.kind(), "the backend closed the connection during the handshake")
            }
            _ => ConnectError::Tls(in_words(error)),
        }
    })?;
    if offer == Offer::Http2 && !is_http2(&stream) {
        return Err(failed(
            io::ErrorKind::Unsupported,
            "the backend does not agree to HTTP/2 (ALPN `h2`)",
        ));
    }
    Ok(stream)
}

/// Whether the backend chose HTTP/2.
pub(crate) fn is_http2(stream: &TlsStream<Socket>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// What a handshake that cannot even begin says.
pub(crate) fn without_settings() -> ConnectError {
    failed(io::ErrorKind::InvalidInput, "there are no TLS settings for an https backend")
}

fn failed(kind: io::ErrorKind, words: &str) -> ConnectError {
    ConnectError::Tls(io::Error::new(kind, words))
}

fn protocols(offer: Offer) -> Vec<Vec<u8>> {
    let protocols: &[&[u8]] = match offer {
        Offer::Both => &[HTTP2, HTTP1],
        Offer::Http1 => &[HTTP1],
        Offer::Http2 => &[HTTP2],
        Offer::Nothing => &[],
    };
    protocols.iter().map(|protocol| protocol.to_vec()).collect()
}
