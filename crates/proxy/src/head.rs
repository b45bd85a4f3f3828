//! Request heads: what is refused, what is withheld, what is added.
//!
//! hyper and h2 have parsed them; this is about what a proxy must not pass on. The client's head is
//! kept as it came, and every attempt writes its own head for the backend from it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use config::model::{BackendUrl, DownstreamLimits, RedirectHttps};
use h2::ext::Protocol;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    FORWARDED, HOST, HeaderName, MAX_FORWARDS, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use smallvec::SmallVec;

use crate::answer::{self, Failure, Kind};
use crate::body::ResponseBody;
use crate::downstream::client::Known;
use crate::downstream::is_about_certificate;
use crate::grpc;
use crate::switch::Switch;
use crate::upstream::h1::Framing;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY: HeaderName = HeaderName::from_static("proxy");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

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
    pub(crate) switch: Option<Switch>,
    /// Sending it twice does what sending it once does (RFC 9110 9.2.2), or the client says that the
    /// server can tell.
    pub(crate) repeatable: bool,
    wants_trailers: bool,
    version: Version,
    is_grpc: bool,
    is_last_hop: bool,
    /// How long a client of gRPC waits.
    patience: Option<Duration>,
    length: Option<u64>,
}

impl Head {
    /// Takes over a request head, or says why not, and to what kind of client.
    ///
    /// # Errors
    /// See [`Failure`]; never one that blames a backend.
    pub(crate) fn admit(parts: Parts, limits: &DownstreamLimits) -> Result<Self, (Failure, Kind)> {
        let is_grpc = parts.version == Version::HTTP_2 && grpc::is_grpc(&parts.headers);
        Self::read(parts, limits, is_grpc).map_err(|failure| (failure, Kind::new(is_grpc, None)))
    }

    fn read(parts: Parts, limits: &DownstreamLimits, is_grpc: bool) -> Result<Self, Failure> {
        let Parts { method, uri, version, mut headers, extensions, .. } = parts;
        let protocol = extensions.get::<Protocol>();
        if (method == Method::CONNECT && protocol.is_none()) || method == Method::TRACE {
            return Err(Failure::MethodNotAllowed);
        }
        if uri.path_and_query().is_some_and(|target| target.as_str().len() > limits.uri_bytes) {
            return Err(Failure::UriTooLong);
        }
        if headers.len() > limits.headers {
            return Err(Failure::HeadersTooLarge);
        }
        if version == Version::HTTP_2 {
            check_http2(&headers, &uri)?;
            join_cookies(&mut headers);
        }
        let is_last_hop = method == Method::OPTIONS && count_down(&mut headers);
        let seen = Seen::scan(&headers)?;
        let host = seen.host(&uri, version)?;
        check_target(&uri, &method)?;
        if seen.length.is_some_and(|length| limits.body_bytes.is_some_and(|most| length > most)) {
            return Err(Failure::ContentTooLarge);
        }
        let switch = match protocol {
            Some(protocol) => Some(Switch::extended(protocol)?),
            None => seen.upgrade(version, &headers),
        };
        let Seen { dropped, wants_trailers, has_idempotency_key, length, .. } = seen;
        Ok(Self {
            // What has been switched to cannot be started again without its client's knowing.
            repeatable: has_idempotency_key || method.is_idempotent(),
            method: if switch.is_some() { Method::GET } else { method },
            uri: origin_form(uri),
            patience: grpc::timeout(&headers).filter(|_| is_grpc),
            headers,
            host,
            dropped,
            switch,
            wants_trailers,
            version,
            is_grpc,
            is_last_hop,
            length,
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

    /// The client's address, as far as it is known: behind trusted proxies, what they say.
    pub(crate) fn client(&self, known: &Known) -> String {
        known.claims(&self.headers).map_or_else(
            || known.identity.address().to_owned(),
            |claims| claims.client().to_string(),
        )
    }

    /// The method asked for.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Whether the client understands interim responses and chunks.
    pub(crate) fn is_http_11(&self) -> bool {
        self.version != Version::HTTP_10
    }

    /// Whether it is to go no further than to us.
    pub(crate) fn is_last_hop(&self) -> bool {
        self.is_last_hop
    }

    /// Whether the client looks for a status of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// How the client wants to be told of a failure, if its time ends at `deadline`.
    pub(crate) fn kind(&self, deadline: Option<Instant>) -> Kind {
        Kind::new(self.is_grpc, deadline)
    }

    /// Sends the client to the same over `https`.
    pub(crate) fn redirect(&self, redirect: RedirectHttps) -> Response<ResponseBody> {
        answer::redirect(redirect.status, &self.https_location(redirect))
    }

    /// How long the body was announced to be.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// When the request is given up, if it began at `begun` and may take `limit` in all.
    pub(crate) fn deadline(&self, begun: Instant, limit: Option<Duration>) -> Option<Instant> {
        let limit = match (self.patience, limit.filter(|_| self.switch.is_none())) {
            (Some(patience), Some(limit)) => Some(patience.min(limit)),
            (patience, limit) => patience.or(limit),
        };
        limit.and_then(|limit| begun.checked_add(limit))
    }

    /// Where the client finds the same over `https`.
    fn https_location(&self, redirect: RedirectHttps) -> String {
        let host = self.host();
        let name = match host.rfind(':') {
            Some(colon) if !host[colon..].contains(']') => &host[..colon],
            _ => host,
        };
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target } else { "/" };
        match redirect.port {
            443 => format!("https://{name}{target}"),
            port => format!("https://{name}:{port}{target}"),
        }
    }

    /// The head as a backend of HTTP/2 gets it (RFC 9113 section 8.3.1).
    pub(crate) fn request(
        &self,
        client: &Known,
        url: &BackendUrl,
        framing: Framing,
    ) -> Request<()> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 6);
        for (name, value) in &self.headers {
            if !self.is_withheld(name, framing) {
                headers.append(name.clone(), value.clone());
            }
        }
        let host = self.host_for(url);
        let claims = client.claims(&self.headers);
        client.identity.insert(&mut headers, &host, claims.as_ref());
        if let Some(certificate) = &client.certificate {
            certificate.insert(&mut headers);
        }
        if self.wants_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Framing::Length(length) = framing {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = self.method.clone();
        let scheme = match url.scheme {
            config::model::Scheme::Http => Scheme::HTTP,
            config::model::Scheme::Https => Scheme::HTTPS,
        };
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(scheme);
        uri.authority = Authority::from_maybe_shared(bytes::Bytes::copy_from_slice(host.as_bytes())).ok();
        uri.path_and_query =
            self.uri.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
        if let Ok(uri) = Uri::from_parts(uri) {
            *request.uri_mut() = uri;
        }
        if let Some(switch) = &self.switch {
            switch.ask_http2(&mut request, &mut headers);
        }
        *request.headers_mut() = headers;
        request
    }

    /// The authority asked for, or the backend's own for a client that named none.
    fn host_for(&self, url: &BackendUrl) -> HeaderValue {
        self.host.clone().unwrap_or_else(|| {
            HeaderValue::try_from(url.authority())
                .unwrap_or_else(|_| HeaderValue::from_static("backend"))
        })
    }

    /// Writes the head as a backend of HTTP/1.1 gets it (RFC 9112 section 3). `client` says who asks,
    /// `url` what to call a backend when the client named no host.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        framing: Framing,
        client: &Known,
        url: &BackendUrl,
    ) {
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        for part in [self.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        let own;
        let host = if let Some(host) = &self.host {
            host
        } else {
            own = self.host_for(url);
            &own
        };
        write_field(out, b"host: ", host.as_bytes());
        for (name, value) in &self.headers {
            if !self.is_withheld(name, framing) {
                out.extend_from_slice(name.as_str().as_bytes());
                write_field(out, b": ", value.as_bytes());
            }
        }
        client.identity.write(out, host.as_bytes(), client.claims(&self.headers).as_ref());
        if let Some(certificate) = &client.certificate {
            certificate.write(out);
        }
        if self.wants_trailers {
            write_field(out, b"te: ", b"trailers");
        }
        if let Some(switch) = &self.switch {
            switch.ask_http1(out);
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
            || self.switch.as_ref().is_some_and(|switch| switch.is_withheld(name))
    }
}

/// What HTTP/2 adds to the rules (RFC 9113 8.2.1, 8.3.1) and the parser leaves to us.
fn check_http2(headers: &HeaderMap, uri: &Uri) -> Result<(), Failure> {
    // An extended CONNECT has one, too (RFC 8441 4). Without an authority the parser keeps none.
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_known && (uri.authority().is_some() || uri.scheme().is_some()) {
        return Err(Failure::BadRequest("the scheme is http or https"));
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for (name, value) in headers {
        let bytes = value.as_bytes();
        if is_blank(bytes.first()) || is_blank(bytes.last()) {
            return Err(Failure::BadRequest("blanks around a field value"));
        }
        if name == HOST
            && uri.authority().is_some_and(|named| !bytes.eq_ignore_ascii_case(named.as_str().as_bytes()))
        {
            return Err(Failure::BadRequest("host is not the authority"));
        }
    }
    Ok(())
}

/// One hop less for an OPTIONS that has them counted (RFC 9110 7.6.2): whether this was the last.
fn count_down(headers: &mut HeaderMap) -> bool {
    let Some(left) = headers.get(MAX_FORWARDS) else { return false };
    let left: Option<u32> = left.to_str().ok().and_then(|text| text.parse().ok());
    match left {
        Some(0) => true,
        Some(left) => {
            headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            false
        }
        None => false,
    }
}

/// RFC 9113 8.2.3: HTTP/2 may send a cookie in crumbs; HTTP/1.1 knows one field only.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // Made of values; cannot fail.
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(COOKIE, joined);
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
    match uri.into_parts().path_and_query {
        // RFC 9112 3.2.1: an empty path is sent as `/`.
        Some(target) if target.as_str().starts_with('?') => {
            target.to_string().parse().unwrap_or_else(|_| Uri::from_static("/"))
        }
        Some(target) => Uri::from(target),
        None => Uri::from_static("/"),
    }
}

/// What one pass over the fields found.
#[derive(Debug, Default)]
struct Seen<'a> {
    host: Option<&'a HeaderValue>,
    hosts: usize,
    lengths: usize,
    length: Option<u64>,
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
                let length = value.to_str().ok().and_then(|text| text.parse().ok());
                seen.length = Some(length.ok_or(Failure::BadRequest("malformed content-length"))?);
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
            None if version == Version::HTTP_2 && uri.authority().is_some() => None,
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

    /// What to switch to. HTTP/2 is not offered that way: `h2c` is as if it had not been asked.
    fn upgrade(&self, version: Version, headers: &HeaderMap) -> Option<Switch> {
        let upgrade = self.upgrade.filter(|_| self.wants_upgrade && version == Version::HTTP_11)?;
        let is_http2 = tokens(upgrade).any(|token| token.eq_ignore_ascii_case(b"h2c"));
        (!is_http2).then(|| Switch::asked(upgrade, headers))
    }
}

/// Fields of a request that are never passed on as they came: those about one connection, those we
/// write ourselves, and those by which a client could pass for a proxy (`_` and `-` are the same to
/// many applications).
pub(crate) fn is_withheld(name: &HeaderName) -> bool {
    if [HOST, CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, EXPECT, FORWARDED].contains(name) {
        return true;
    }
    let text = name.as_str().as_bytes();
    match text[0] {
        b'x' => is_forged(text) || is_about_certificate(name),
        b'c' => is_about_certificate(name),
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
