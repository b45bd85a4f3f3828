//! Who a client is, as backends are told: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! A client is what its socket (or a PROXY header) says. What it writes about itself is dropped by
//! `head.rs`; only a trusted proxy's word is taken over, see `claims.rs`.

use std::net::IpAddr;

use config::model::Scheme;
use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::claims::Claims;

/// Who is asking, one client after the other.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What the client speaks: `http`, `https`.
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The authority that the client asked for.
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The port that the client connected to.
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// What a client without an address is called. RFC 7239 section 6.2 has this word, and those who
/// read `X-Forwarded-For` have known it for longer than that; `unix:`, which others send, they would
/// have to take for a host and a port.
pub(super) const UNKNOWN: &str = "unknown";

/// Who the client of one connection is. What every request of the connection says is written once.
#[derive(Debug)]
pub(crate) struct Identity {
    /// IPv4 in the clothes of IPv6 is IPv4. `None`: a client of a Unix socket.
    peer: Option<IpAddr>,
    is_trusted: bool,
    scheme: Scheme,
    /// For `X-Forwarded-For`: the bare address.
    address: HeaderValue,
    port: Option<HeaderValue>,
    /// An element of `Forwarded`, up to the host, which is in quotes as it may hold a colon.
    element: String,
    /// The fields of a request of an untrusted client, up to the host in `Forwarded`.
    fields: Vec<u8>,
}

impl Identity {
    /// `peer` is the other end of the socket, or what a PROXY header says it is; `None` for a Unix
    /// socket. `port` is the one that the client connected to, if there is one. `trusted` are the
    /// networks of proxies whose word is taken; a client without an address is in none.
    pub(crate) fn new(
        peer: Option<IpAddr>,
        scheme: Scheme,
        port: Option<u16>,
        trusted: &[IpNet],
    ) -> Self {
        let peer = peer.map(|address| address.to_canonical());
        let address = peer.map_or_else(|| UNKNOWN.to_owned(), |address| address.to_string());
        let proto = name(scheme);
        let element = format!("for={};proto={proto};host=\"", node(peer));
        let mut fields = format!("x-forwarded-for: {address}\r\nx-forwarded-proto: {proto}\r\n");
        if let Some(port) = port {
            fields.push_str(&format!("x-forwarded-port: {port}\r\n"));
        }
        fields.push_str("forwarded: ");
        fields.push_str(&element);
        Self {
            peer,
            is_trusted: peer.is_some_and(|address| contains(trusted, address)),
            scheme,
            address: value(address.as_bytes()),
            port: port.map(HeaderValue::from),
            element,
            fields: fields.into_bytes(),
        }
    }

    /// Whether it is a trusted proxy.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The other end's address, or `unknown`. Behind a trusted proxy that is the proxy; who is
    /// behind it, [`Claims::client`] says.
    pub(crate) fn address(&self) -> &str {
        self.address.to_str().unwrap_or(UNKNOWN)
    }

    /// Whether the client came over TLS to us.
    pub(crate) fn is_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// What a trusted proxy says about a request with these fields, to be asked for once per
    /// request; `None` when the other end is not trusted. `trusted` as in [`Identity::new`].
    pub(crate) fn claims(&self, headers: &HeaderMap, trusted: &[IpNet]) -> Option<Claims> {
        let peer = self.peer.filter(|_| self.is_trusted)?;
        Some(Claims::read(headers, peer, trusted))
    }

    /// Writes the fields for a backend of HTTP/1.1. `host` is what the request asks for, and has the
    /// characters of an authority.
    pub(crate) fn write(&self, out: &mut Vec<u8>, host: &[u8], claims: Option<&Claims>) {
        let Some(claims) = claims else {
            for part in [&self.fields, host, b"\"\r\nx-forwarded-host: ", host, b"\r\n"] {
                out.extend_from_slice(part);
            }
            return;
        };
        self.write_claimed(out, host, claims);
    }

    /// Puts the fields among those for a backend of HTTP/2, in the place of any that are there.
    /// `host` as in [`Identity::write`].
    pub(crate) fn insert(
        &self,
        headers: &mut HeaderMap,
        host: &HeaderValue,
        claims: Option<&Claims>,
    ) {
        let mut forwarded = Vec::with_capacity(self.element.len() + host.len() + 1);
        self.forwarded(&mut forwarded, host.as_bytes(), claims);
        headers.insert(FORWARDED, value(&forwarded));
        let mut port = self.port.clone();
        let mut address = self.address.clone();
        let mut proto = HeaderValue::from_static(name(self.scheme));
        let mut asked_for = host.clone();
        if let Some(claims) = claims {
            let mut chain = Vec::new();
            self.chain(&mut chain, claims);
            address = value(&chain);
            port = self.port_claimed(host.as_bytes(), claims).map(value);
            proto = claims.proto.clone().unwrap_or(proto);
            asked_for = claims.host.clone().unwrap_or(asked_for);
        }
        headers.insert(X_FORWARDED_FOR, address);
        headers.insert(X_FORWARDED_PROTO, proto);
        headers.insert(X_FORWARDED_HOST, asked_for);
        match port {
            Some(port) => headers.insert(X_FORWARDED_PORT, port),
            None => headers.remove(X_FORWARDED_PORT),
        };
    }

    fn write_claimed(&self, out: &mut Vec<u8>, host: &[u8], claims: &Claims) {
        let proto = claims.proto.as_ref().map_or(name(self.scheme).as_bytes(), |p| p.as_bytes());
        out.extend_from_slice(b"x-forwarded-for: ");
        self.chain(out, claims);
        for part in [b"\r\nx-forwarded-proto: ", proto, b"\r\nx-forwarded-host: "] {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(claims.host.as_ref().map_or(host, |host| host.as_bytes()));
        if let Some(port) = self.port_claimed(host, claims) {
            out.extend_from_slice(b"\r\nx-forwarded-port: ");
            out.extend_from_slice(port);
        }
        out.extend_from_slice(b"\r\nforwarded: ");
        self.forwarded(out, host, Some(claims));
        out.extend_from_slice(b"\r\n");
    }

    /// `X-Forwarded-For`: those before the other end, and the other end.
    fn chain(&self, out: &mut Vec<u8>, claims: &Claims) {
        out.extend_from_slice(claims.chain.as_bytes());
        if !claims.chain.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(self.address.as_bytes());
    }

    /// `Forwarded`: what those before us wrote, and our own element, about what we saw ourselves.
    fn forwarded(&self, out: &mut Vec<u8>, host: &[u8], claims: Option<&Claims>) {
        if let Some(claims) = claims.filter(|claims| !claims.forwarded.is_empty()) {
            out.extend_from_slice(claims.forwarded.as_bytes());
            out.extend_from_slice(b", ");
        }
        for part in [self.element.as_bytes(), host, b"\""] {
            out.extend_from_slice(part);
        }
    }

    /// The port that the client behind a trusted proxy connected to: what the proxy says. A proxy
    /// that speaks of scheme or host and not of the port still means its own port, not ours.
    fn port_claimed<'a>(&'a self, host: &'a [u8], claims: &'a Claims) -> Option<&'a [u8]> {
        if let Some(port) = &claims.port {
            return Some(port.as_bytes());
        }
        if claims.proto.is_none() && claims.host.is_none() {
            return self.port.as_ref().map(HeaderValue::as_bytes);
        }
        let host = claims.host.as_ref().map_or(host, |host| host.as_bytes());
        let proto = claims.proto.as_ref().map_or(name(self.scheme).as_bytes(), |p| p.as_bytes());
        port_in(host).or(match proto {
            b"https" | b"wss" => Some(b"443"),
            b"http" | b"ws" => Some(b"80"),
            _ => None,
        })
    }
}

/// Whether `address` is in one of `networks`. IPv4 in the clothes of IPv6 is IPv4.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The address as RFC 7239 section 6 writes it: IPv6 in brackets, and therefore in quotes.
pub(super) fn node(address: Option<IpAddr>) -> String {
    match address {
        None => UNKNOWN.to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
    }
}

/// The port in `host[:port]`.
fn port_in(host: &[u8]) -> Option<&[u8]> {
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    let port = &host[colon + 1..];
    (!port.is_empty() && port.iter().all(u8::is_ascii_digit)).then_some(port)
}

fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

/// What we write is made of characters that a field may have; should it not be, nobody is told.
fn value(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes).unwrap_or(HeaderValue::from_static(UNKNOWN))
}

#[cfg(test)]
mod tests;
