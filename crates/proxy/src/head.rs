//! Request heads: what is refused, what is withheld, what is added.
//!
//! hyper and h2 have parsed them; this is about what a proxy must not pass on. The client's head is
//! kept as it came, and every attempt writes its own head for the backend from it.

mod fields;
mod rules;

use std::io::Write as _;
use std::time::{Duration, Instant};

use config::model::{BackendUrl, DownstreamLimits, RedirectHttps};
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, HeaderName, TE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use smallvec::SmallVec;

use crate::answer::{self, Failure, Kind};
use crate::body::ResponseBody;
use crate::downstream::client::Known;
use crate::grpc;
use crate::stamp::Stamp;
use crate::switch::Switch;
use crate::trace::Trace;
use crate::upstream::h1::Framing;

use rules::{Seen, check_http2, check_target, count_down, join_cookies, origin_form};

pub(crate) use fields::{
    KEEP_ALIVE, PROXY_CONNECTION, goes_on, is_authority, is_end_to_end, is_withheld, tokens,
};

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
    /// Its place in a distributed trace; `None`: what it carries of one passes on as it came.
    pub(crate) trace: Option<Box<Trace>>,
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
            trace: None,
            // What asks by CONNECT asks by GET in HTTP/1.1 (RFC 8441 5).
            method: if protocol.is_some() { Method::GET } else { method },
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

    /// Whether a trusted proxy says that the client came to it by `https`.
    pub(crate) fn is_https(&self, known: &Known) -> bool {
        known.claims(&self.headers).is_some_and(|claims| claims.is_https())
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

    /// What a backend of HTTP/2 can be asked to switch to: WebSocket (RFC 8441). Any other wish is as if
    /// it had not been asked, which a server may always do (RFC 9110 7.8).
    pub(crate) fn switch_over_http2(&self) -> Option<&Switch> {
        self.switch.as_ref().filter(|switch| switch.is_websocket() && self.method == Method::GET)
    }

    /// Whether it has a field of this name, with this value if one is given.
    pub(crate) fn carries(&self, name: &HeaderName, value: Option<&HeaderValue>) -> bool {
        let mut values = self.headers.get_all(name).iter();
        values.any(|found| value.is_none_or(|value| found == value))
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

    /// The head as a backend of HTTP/2 gets it (RFC 9113 section 8.3.1); `None` if there is no way to
    /// say it.
    pub(crate) fn request(
        &self,
        client: &Known,
        url: &BackendUrl,
        framing: Framing,
        stamp: Option<&Stamp>,
    ) -> Option<Request<()>> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 8);
        for (name, value) in &self.headers {
            if !self.is_withheld(name, framing, stamp) {
                headers.append(name.clone(), value.clone());
            }
        }
        let host = self.host_for(url);
        let claims = client.claims(&self.headers);
        client.identity.insert(&mut headers, &host, claims.as_ref());
        if let Some(certificate) = &client.certificate {
            certificate.insert(&mut headers);
        }
        if let Some(stamp) = stamp {
            stamp.insert(&mut headers);
        }
        if let Some(trace) = &self.trace {
            trace.insert(&mut headers);
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
        uri.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
        uri.path_and_query =
            self.uri.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        if let Some(switch) = self.switch_over_http2() {
            switch.ask_http2(&mut request, &mut headers);
        }
        *request.headers_mut() = headers;
        Some(request)
    }

    /// The authority asked for, or the backend's own for a client that named none.
    fn host_for(&self, url: &BackendUrl) -> HeaderValue {
        self.host.clone().unwrap_or_else(|| {
            HeaderValue::try_from(url.authority())
                .unwrap_or_else(|_| HeaderValue::from_static("backend"))
        })
    }

    /// Writes the head as a backend of HTTP/1.1 gets it (RFC 9112 section 3). `client` says who asks,
    /// `url` what to call a backend when the client named no host, `stamp` under which epoch.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        framing: Framing,
        client: &Known,
        url: &BackendUrl,
        stamp: Option<&Stamp>,
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
            if !self.is_withheld(name, framing, stamp) {
                out.extend_from_slice(name.as_str().as_bytes());
                write_field(out, b": ", value.as_bytes());
            }
        }
        client.identity.write(out, host.as_bytes(), client.claims(&self.headers).as_ref());
        if let Some(certificate) = &client.certificate {
            certificate.write(out);
        }
        if let Some(stamp) = stamp {
            stamp.write(out);
        }
        if let Some(trace) = &self.trace {
            trace.write(out);
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
    fn is_withheld(&self, name: &HeaderName, framing: Framing, stamp: Option<&Stamp>) -> bool {
        // Without a body, the client's own word (a POST of length 0) stands.
        (framing != Framing::None && name == CONTENT_LENGTH)
            || is_withheld(name)
            || self.dropped.contains(name)
            || self.switch.as_ref().is_some_and(|switch| switch.is_withheld(name))
            || stamp.is_some_and(|stamp| stamp.is_claimed_by(name))
            || self.trace.as_ref().is_some_and(|trace| trace.is_withheld(name))
    }
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
