//! Which fields pass on, which do not, and how their values are taken apart.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    FORWARDED, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use crate::downstream::is_about_certificate;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(crate) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(super) const PROXY: HeaderName = HeaderName::from_static("proxy");
pub(super) const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

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
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    let host_length = match bytes {
        [b'[', ..] => bytes.iter().position(|byte| *byte == b']').map_or(0, |end| end + 1),
        _ => bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len()),
    };
    let (host, port) = bytes.split_at(host_length);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(byte);
    let is_host = match host {
        // RFC 3986 3.2.2: an address of IPv6, or of a later version.
        [b'[', inside @ .., b']'] => {
            !inside.is_empty() && inside.iter().all(|byte| is_name(byte) || *byte == b':')
        }
        name => !name.is_empty() && name.iter().all(is_name),
    };
    let is_port = port.is_empty() || (port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit));
    is_host && is_port
}

/// Whether a response goes on for as long as there is news.
pub(crate) fn goes_on(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    headers.get(CONTENT_TYPE).is_some_and(|media_type| {
        let bytes = media_type.as_bytes();
        bytes.get(..EVENTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(EVENTS))
    })
}
