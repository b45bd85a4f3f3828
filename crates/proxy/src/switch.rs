//! Switching protocols: `Upgrade` in HTTP/1.1 (RFC 9110 7.8), extended CONNECT in HTTP/2 (RFC 8441),
//! and from one to the other for WebSocket.

use aws_lc_rs::rand;
use h2::ext::Protocol;
use http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use crate::answer::Failure;
use crate::downstream::reply::Upgrade;
use crate::head::tokens;
use crate::upstream::exchange::Exchange;
use crate::websocket;

const WEBSOCKET: &str = "websocket";

/// What a client wants to switch to, and how it asked.
#[derive(Debug)]
pub(crate) struct Switch {
    /// As `Upgrade` has it.
    protocols: HeaderValue,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    /// By `Upgrade`, with a key if it is for WebSocket.
    Upgrade { key: Option<HeaderValue> },
    /// By an extended CONNECT, which has no key; a backend of HTTP/1.1 is given this one.
    Connect { own_key: HeaderValue },
}

impl Switch {
    /// By an extended CONNECT.
    ///
    /// # Errors
    /// For anything but WebSocket.
    pub(crate) fn extended(protocol: &Protocol) -> Result<Self, Failure> {
        if protocol.as_str() != WEBSOCKET {
            return Err(Failure::NotImplemented);
        }
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| Failure::Exhausted)?;
        let own_key = websocket::key(random);
        let protocols = HeaderValue::from_static(WEBSOCKET);
        Ok(Self { protocols, asked: Asked::Connect { own_key } })
    }

    /// By a field `Upgrade` with these `protocols`.
    pub(crate) fn asked(protocols: &HeaderValue, headers: &HeaderMap) -> Self {
        let key = headers.get(SEC_WEBSOCKET_KEY).cloned();
        Self { protocols: protocols.clone(), asked: Asked::Upgrade { key } }
    }

    /// Whether it was asked for by an extended CONNECT.
    pub(crate) fn is_connect(&self) -> bool {
        match self.asked {
            Asked::Connect { .. } => true,
            Asked::Upgrade { .. } => false,
        }
    }

    pub(crate) fn is_websocket(&self) -> bool {
        tokens(&self.protocols).any(|token| token.eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
    }

    /// Whether a field of the client is not for any backend.
    pub(crate) fn is_withheld(&self, name: &HeaderName) -> bool {
        match self.asked {
            Asked::Upgrade { .. } => false,
            Asked::Connect { .. } => name == SEC_WEBSOCKET_KEY,
        }
    }

    /// Asks a backend of HTTP/1.1.
    pub(crate) fn ask_http1(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"upgrade: ");
        out.extend_from_slice(self.protocols.as_bytes());
        out.extend_from_slice(b"\r\nconnection: upgrade\r\n");
        if let Asked::Connect { own_key } = &self.asked {
            out.extend_from_slice(b"sec-websocket-key: ");
            out.extend_from_slice(own_key.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Asks a backend of HTTP/2.
    pub(crate) fn ask_http2(&self, request: &mut Request<()>, headers: &mut HeaderMap) {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(Protocol::from_static(WEBSOCKET));
        headers.remove(SEC_WEBSOCKET_KEY);
    }

    /// Whether a backend that answers with `status` has switched.
    pub(crate) fn is_accepted(exchange: &Exchange, status: StatusCode) -> bool {
        match exchange {
            Exchange::Http1(_) => status == StatusCode::SWITCHING_PROTOCOLS,
            Exchange::Http2(_) => status.is_success(),
        }
    }

    /// Makes a backend's consent into one that the client understands: its status, and its fields in
    /// `headers`. `None` when the backend has consented to something else.
    pub(crate) fn consent(
        &self,
        exchange: &Exchange,
        client: &Upgrade,
        status: StatusCode,
        headers: &mut HeaderMap,
    ) -> Option<StatusCode> {
        // RFC 9110 7.8: not to a protocol that was not asked for.
        if matches!(exchange, Exchange::Http1(_)) {
            let chosen = headers.get(UPGRADE)?;
            let was_asked = |chosen: &[u8]| {
                tokens(&self.protocols).any(|asked| asked.eq_ignore_ascii_case(chosen))
            };
            if !tokens(chosen).all(was_asked) {
                return None;
            }
        }
        if let (Exchange::Http1(_), Asked::Connect { own_key }) = (exchange, &self.asked) {
            let accept = headers.remove(SEC_WEBSOCKET_ACCEPT)?;
            if accept != websocket::accept(own_key.as_bytes()) {
                return None;
            }
        }
        match (exchange, client) {
            (Exchange::Http1(_), Upgrade::Http1(_))
            | (Exchange::Http2(_), Upgrade::Http2 { .. }) => Some(status),
            (Exchange::Http1(_), Upgrade::Http2 { .. }) => {
                headers.remove(UPGRADE);
                headers.remove(CONNECTION);
                Some(StatusCode::OK)
            }
            (Exchange::Http2(_), Upgrade::Http1(_)) => {
                if let Asked::Upgrade { key: Some(key) } = &self.asked {
                    headers.insert(SEC_WEBSOCKET_ACCEPT, websocket::accept(key.as_bytes()));
                }
                headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                Some(StatusCode::SWITCHING_PROTOCOLS)
            }
        }
    }
}
