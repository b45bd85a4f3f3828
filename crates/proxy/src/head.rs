//! Request heads: what is refused, what is withheld, what is added.
//!
//! hyper has parsed them; this is about what a proxy must not pass on. The client's head is kept as
//! it came, and every attempt writes its own head for the backend from it.

use std::io::Write as _;
use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    FORWARDED, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, HeaderValue, Method, Version};
use smallvec::SmallVec;

use crate::answer::Failure;
use crate::upstream::h1::Framing;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY: HeaderName = HeaderName::from_static("proxy");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Who a client is, as backends are told.
#[derive(Debug)]
pub(crate) struct Identity {
    /// For `X-Forwarded-For`: the bare address.
    address: String,
    /// For `Forwarded`: an IPv6 address in brackets and quotes (RFC 7239 section 6).
    forwarded_for: String,
}

impl Identity {
    pub(crate) fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let forwarded_for = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        Self { address: address.to_string(), forwarded_for }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// A request head that is understood in one way only.
#[derive(Debug)]
pub(crate) struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// The authority asked for; `None` for an HTTP/1.0 client that named none.
    host: Option<HeaderValue>,
    /// Names that this message declares to be about one connection only.
    dropped: SmallVec<[HeaderName; 4]>,
    /// What the client wants to switch to.
    pub(crate) upgrade: Option<HeaderValue>,
    /// Sending it twice does what sending it once does (RFC 9110 9.2.2), or the client says that the
    /// server can tell.
    pub(crate) repeatable: bool,
    wants_trailers: bool,
    /// Whether the client understands interim responses and chunks.
    pub(crate) is_http_11: bool,
}

impl Head {
    /// Takes over a request head, or says why not.
    ///
    /// # Errors
    /// See [`Failure`]; never one that blames a backend.
    pub(crate) fn admit(parts: Parts) -> Result<Self, Failure> {
        let Parts { method, uri, version, headers, .. } = parts;
        if method == Method::CONNECT || method == Method::TRACE {
            return Err(Failure::MethodNotAllowed);
        }
        let seen = Seen::scan(&headers)?;
        let host = seen.host(&uri, version)?;
        check_target(&uri, &method)?;
        let upgrade = seen.upgrade(version);
        let Seen { dropped, wants_trailers, has_idempotency_key, .. } = seen;
        Ok(Self {
            repeatable: has_idempotency_key || method.is_idempotent(),
            method,
            uri: origin_form(uri),
            headers,
            host,
            dropped,
            upgrade,
            wants_trailers,
            is_http_11: version == Version::HTTP_11,
        })
    }

    /// The host asked for, as it came; empty when there is none.
    pub(crate) fn host(&self) -> &str {
        self.host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("")
    }

    /// The path asked for, as it came.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The method asked for.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Writes the head as a backend gets it (RFC 9112 section 3). `client` says who asks, `authority`
    /// the backend's own, for a client that named none.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        framing: Framing,
        client: &Identity,
        authority: impl FnOnce() -> HeaderValue,
    ) {
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        for part in [self.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        let own;
        let host = if let Some(host) = &self.host {
            host
        } else {
            own = authority();
            &own
        };
        write_field(out, b"host: ", host.as_bytes());
        for (name, value) in &self.headers {
            if !self.is_withheld(name, framing) {
                out.extend_from_slice(name.as_str().as_bytes());
                write_field(out, b": ", value.as_bytes());
            }
        }
        write_field(out, b"x-forwarded-for: ", client.address.as_bytes());
        write_field(out, b"x-forwarded-proto: ", b"http");
        write_field(out, b"x-forwarded-host: ", host.as_bytes());
        // RFC 7239 section 4. The host is quoted: it may hold a colon.
        out.extend_from_slice(b"forwarded: for=");
        out.extend_from_slice(client.forwarded_for.as_bytes());
        out.extend_from_slice(b";proto=http;host=\"");
        write_field(out, host.as_bytes(), b"\"");
        if self.wants_trailers {
            write_field(out, b"te: ", b"trailers");
        }
        if let Some(upgrade) = &self.upgrade {
            write_field(out, b"upgrade: ", upgrade.as_bytes());
            write_field(out, b"connection: ", b"upgrade");
        }
        match framing {
            Framing::None => {}
            Framing::Length(length) => {
                // Cannot fail: the buffer grows.
                let _ = write!(out, "content-length: {length}\r\n");
            }
            Framing::Chunked => write_field(out, b"transfer-encoding: ", b"chunked"),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether a field of the client is not for the backend.
    fn is_withheld(&self, name: &HeaderName, framing: Framing) -> bool {
        // Without a body, the client's own word (a POST of length 0) stands.
        (framing != Framing::None && name == CONTENT_LENGTH)
            || is_withheld(name)
            || self.dropped.contains(name)
    }
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9112 3.2: a path, a whole URL, or `*` for OPTIONS. (An authority alone is for CONNECT.)
fn check_target(uri: &Uri, method: &Method) -> Result<(), Failure> {
    let is_authority_alone = uri.authority().is_some() && uri.scheme().is_none();
    match uri.path() {
        "*" if method != Method::OPTIONS => {
            Err(Failure::BadRequest("the target * is for OPTIONS only"))
        }
        "*" => Ok(()),
        path if path.starts_with('/') && !is_authority_alone => Ok(()),
        _ => Err(Failure::BadRequest("malformed target")),
    }
}

/// The path and query alone (RFC 9112 3.2.1); the authority has become the host.
fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    uri.into_parts().path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from)
}

/// What one pass over the fields found.
#[derive(Debug, Default)]
struct Seen<'a> {
    host: Option<&'a HeaderValue>,
    hosts: usize,
    lengths: usize,
    is_chunked: bool,
    has_idempotency_key: bool,
    wants_trailers: bool,
    wants_upgrade: bool,
    upgrade: Option<&'a HeaderValue>,
    dropped: SmallVec<[HeaderName; 4]>,
}

impl<'a> Seen<'a> {
    fn scan(headers: &'a HeaderMap) -> Result<Self, Failure> {
        let mut seen = Self::default();
        for (name, value) in headers {
            if name == HOST {
                seen.host = Some(value);
                seen.hosts += 1;
            } else if name == CONTENT_LENGTH {
                seen.lengths += 1;
                if seen.lengths > 1 || value.as_bytes().contains(&b',') {
                    return Err(Failure::BadRequest("more than one content-length"));
                }
            } else if name == TRANSFER_ENCODING {
                // RFC 9112 6.1: any other coding, or the same twice, is read differently by others.
                if seen.is_chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Failure::BadRequest("the only transfer coding is chunked, once"));
                }
                seen.is_chunked = true;
            } else if name == CONNECTION {
                seen.connection(value)?;
            } else if name == TE {
                seen.wants_trailers |= tokens(value).any(|token| token == b"trailers");
            } else if name == UPGRADE {
                seen.upgrade = Some(value);
            } else if name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
                return Err(Failure::ExpectationFailed);
            } else if name == IDEMPOTENCY_KEY {
                seen.has_idempotency_key |= !value.is_empty();
            }
        }
        Ok(seen)
    }

    /// RFC 9110 7.6.1: fields named here are for this connection only. Fields that we rely on, or
    /// that every message needs, cannot be made to disappear that way.
    fn connection(&mut self, value: &HeaderValue) -> Result<(), Failure> {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"upgrade") {
                self.wants_upgrade = true;
            } else if !matches!(token, b"close" | b"keep-alive") {
                let name = HeaderName::from_bytes(token)
                    .map_err(|_| Failure::BadRequest("malformed connection field"))?;
                if !is_end_to_end(&name) {
                    self.dropped.push(name);
                }
            }
        }
        Ok(())
    }

    /// RFC 9112 3.2: exactly one `Host` from HTTP/1.1 on; an absolute target's authority wins.
    fn host(&self, uri: &Uri, version: Version) -> Result<Option<HeaderValue>, Failure> {
        let named = match self.host {
            None if version == Version::HTTP_10 => None,
            None => return Err(Failure::BadRequest("no host")),
            Some(_) if self.hosts > 1 => return Err(Failure::BadRequest("more than one host")),
            Some(host) if is_authority(host.as_bytes()) => Some(host.clone()),
            Some(_) => return Err(Failure::BadRequest("malformed host")),
        };
        match uri.authority() {
            None => Ok(named),
            Some(authority) if is_authority(authority.as_str().as_bytes()) => {
                HeaderValue::try_from(authority.as_str())
                    .map(Some)
                    .map_err(|_| Failure::BadRequest("malformed target"))
            }
            Some(_) => Err(Failure::BadRequest("malformed target")),
        }
    }

    /// What to switch to. HTTP/2 is not offered in the clear: `h2c` is as if it had not been asked.
    fn upgrade(&self, version: Version) -> Option<HeaderValue> {
        let upgrade = self.upgrade.filter(|_| self.wants_upgrade && version == Version::HTTP_11)?;
        let is_http2 = tokens(upgrade).any(|token| token.eq_ignore_ascii_case(b"h2c"));
        (!is_http2).then(|| upgrade.clone())
    }
}

/// Fields of a request that are never passed on as they came: those about one connection, those we
/// write ourselves, and those by which a client could pass for a proxy (`_` and `-` are the same to
/// many applications).
fn is_withheld(name: &HeaderName) -> bool {
    if [HOST, CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, EXPECT, FORWARDED].contains(name) {
        return true;
    }
    let text = name.as_str().as_bytes();
    match text[0] {
        b'x' => is_forged(text),
        b'k' | b'p' | b'h' => [KEEP_ALIVE, PROXY_CONNECTION, PROXY, HTTP2_SETTINGS].contains(name),
        _ => false,
    }
}

/// `X-Forwarded-*` and `X-Real-IP`, with any mixture of `-` and `_`.
fn is_forged(name: &[u8]) -> bool {
    let same = |pattern: &[u8]| {
        name.len() >= pattern.len()
            && name.iter().zip(pattern).all(|(byte, wanted)| match wanted {
                b'-' => matches!(byte, b'-' | b'_'),
                _ => byte == wanted,
            })
    };
    same(b"x-forwarded-") || (name.len() == b"x-real-ip".len() && same(b"x-real-ip"))
}

/// Fields that a `Connection` field cannot take out of a message.
pub(crate) fn is_end_to_end(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, CONTENT_TYPE, AUTHORIZATION, COOKIE, CACHE_CONTROL, IDEMPOTENCY_KEY]
        .contains(name)
}

/// The elements of a comma-separated list (RFC 9110 5.6.1), empty ones left out.
pub(crate) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty())
}

/// `host [":" port]` of RFC 3986 3.2 by its characters; no user information, nothing that another
/// parser could take for the end of it.
fn is_authority(bytes: &[u8]) -> bool {
    let host_length = match bytes {
        [b'[', ..] => bytes.iter().position(|byte| *byte == b']').map_or(0, |end| end + 1),
        _ => bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len()),
    };
    let (host, port) = bytes.split_at(host_length);
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:[]%".contains(byte);
    let is_port = port.is_empty() || (port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit));
    !host.is_empty() && host.iter().all(is_host) && is_port
}

#[cfg(test)]
mod tests;
