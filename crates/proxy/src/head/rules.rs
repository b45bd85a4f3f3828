//! What a request head must be, and what one pass over its fields finds out.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, MAX_FORWARDS, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Uri;
use http::{HeaderMap, HeaderValue, Method, Version};
use smallvec::SmallVec;

use super::fields::{IDEMPOTENCY_KEY, is_authority, is_end_to_end, tokens};
use crate::answer::Failure;
use crate::switch::Switch;

/// What HTTP/2 adds to the rules (RFC 9113 8.2.1, 8.3.1) and the parser leaves to us.
pub(super) fn check_http2(headers: &HeaderMap, uri: &Uri) -> Result<(), Failure> {
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
            && uri
                .authority()
                .is_some_and(|named| !bytes.eq_ignore_ascii_case(named.as_str().as_bytes()))
        {
            return Err(Failure::BadRequest("host is not the authority"));
        }
    }
    Ok(())
}

/// One hop less for an OPTIONS that has them counted (RFC 9110 7.6.2): whether this was the last.
pub(super) fn count_down(headers: &mut HeaderMap) -> bool {
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
pub(super) fn join_cookies(headers: &mut HeaderMap) {
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

/// RFC 9112 3.2: a path, a whole URL, or `*` for OPTIONS. (An authority alone is for CONNECT.)
pub(super) fn check_target(uri: &Uri, method: &Method) -> Result<(), Failure> {
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
pub(super) fn origin_form(uri: Uri) -> Uri {
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
pub(super) struct Seen<'a> {
    host: Option<&'a HeaderValue>,
    hosts: usize,
    lengths: usize,
    pub(super) length: Option<u64>,
    is_chunked: bool,
    pub(super) has_idempotency_key: bool,
    pub(super) wants_trailers: bool,
    wants_upgrade: bool,
    upgrade: Option<&'a HeaderValue>,
    pub(super) dropped: SmallVec<[HeaderName; 4]>,
}

impl<'a> Seen<'a> {
    pub(super) fn scan(headers: &'a HeaderMap) -> Result<Self, Failure> {
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
    pub(super) fn host(&self, uri: &Uri, version: Version) -> Result<Option<HeaderValue>, Failure> {
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
    pub(super) fn upgrade(&self, version: Version, headers: &HeaderMap) -> Option<Switch> {
        let upgrade = self.upgrade.filter(|_| self.wants_upgrade && version == Version::HTTP_11)?;
        let is_http2 = tokens(upgrade).any(|token| token.eq_ignore_ascii_case(b"h2c"));
        (!is_http2).then(|| Switch::asked(upgrade, headers))
    }
}
