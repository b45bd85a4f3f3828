//! Response heads (RFC 9112 sections 4 and 6.3): parse, refuse what is ambiguous, and leave out what
//! is about one connection only.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::ext::ReasonPhrase;
use smallvec::SmallVec;

use super::{Decoder, Malformed};
use crate::head::{KEEP_ALIVE, PROXY_CONNECTION, is_end_to_end, tokens};
use crate::upstream::ResponseHead;

/// Most fields of a response head.
const MAX_FIELDS: usize = 100;

/// Most bytes of a response head.
const MAX_HEAD: usize = 64 * 1024;

/// A response head that is understood in one way only.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) head: ResponseHead,
    /// How the body ends.
    pub(crate) body: Decoder,
    /// Whether the backend keeps the connection open after it.
    pub(crate) keeps_open: bool,
}

/// What has arrived so far.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Not a whole head.
    Partial,
    /// A head; it has been taken out of the input.
    Head(Head),
}

/// Takes a response head to a request with `method` from the front of `input`.
///
/// # Errors
/// When it is malformed, ambiguous, or too large.
pub(crate) fn parse(input: &mut BytesMut, method: &Method) -> Result<Parsed, Malformed> {
    let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, input, &mut space)
        .map_err(|error| match error {
            httparse::Error::TooManyHeaders => Malformed("too many fields"),
            httparse::Error::Status => Malformed("status"),
            httparse::Error::Version => Malformed("version"),
            httparse::Error::HeaderName
            | httparse::Error::HeaderValue
            | httparse::Error::NewLine
            | httparse::Error::Token => Malformed("field"),
        })?;
    let httparse::Status::Complete(length) = parsed else {
        return if input.len() > MAX_HEAD {
            Err(Malformed("head too large"))
        } else {
            Ok(Parsed::Partial)
        };
    };
    if length > MAX_HEAD {
        return Err(Malformed("head too large"));
    }
    let status =
        StatusCode::from_u16(response.code.unwrap_or(0)).map_err(|_| Malformed("status"))?;
    let is_http_11 = response.version == Some(1);
    // hyper has words of its own for a status without a name.
    let reason = match status.canonical_reason() {
        Some(_) => None,
        None => Some(reason_phrase(response.reason.unwrap_or(""))?),
    };

    // The fields are noted as places in the input, so that it can be cut off and shared by them.
    let start = input.as_ptr() as usize;
    let mut places: SmallVec<[(HeaderName, std::ops::Range<usize>); 16]> = SmallVec::new();
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed("field"))?;
        let from = field.value.as_ptr() as usize - start;
        places.push((name, from..from + field.value.len()));
    }
    let bytes = input.split_to(length).freeze();
    let fields = Fields::sort(&bytes, &mut places, status)?;
    let keeps_open = !fields.says_close && (is_http_11 || fields.says_keep_alive);
    let body = fields.body(status, method, is_http_11)?;
    let head = ResponseHead { status, reason, headers: fields.kept };
    Ok(Parsed::Head(Head { head, body, keeps_open }))
}

fn reason_phrase(text: &str) -> Result<ReasonPhrase, Malformed> {
    ReasonPhrase::try_from(text.as_bytes().to_vec()).map_err(|_| Malformed("reason"))
}

/// The fields of a head, those for us apart from those for the client.
struct Fields {
    kept: HeaderMap,
    length: Option<u64>,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
}

impl Fields {
    fn sort(
        bytes: &Bytes,
        places: &mut SmallVec<[(HeaderName, std::ops::Range<usize>); 16]>,
        status: StatusCode,
    ) -> Result<Self, Malformed> {
        let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
        let mut fields = Self {
            kept: HeaderMap::with_capacity(places.len()),
            length: None,
            is_chunked: false,
            says_close: false,
            says_keep_alive: false,
        };
        let mut dropped: SmallVec<[HeaderName; 2]> = SmallVec::new();
        for (name, place) in places.drain(..) {
            let value = HeaderValue::from_maybe_shared(bytes.slice(place))
                .map_err(|_| Malformed("field value"))?;
            if name == CONTENT_LENGTH {
                let length = parse_length(value.as_bytes())?;
                if fields.length.replace(length).is_some() {
                    return Err(Malformed("more than one content-length"));
                }
                // RFC 9110 8.6: these have none, and must not say they had.
                if status == StatusCode::NO_CONTENT || status.is_informational() {
                    continue;
                }
            } else if name == TRANSFER_ENCODING {
                if fields.is_chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("transfer-encoding"));
                }
                fields.is_chunked = true;
                continue;
            } else if name == CONNECTION {
                fields.connection(&value, &mut dropped);
                if !is_switch {
                    continue;
                }
            } else if (name == UPGRADE && !is_switch && status != StatusCode::UPGRADE_REQUIRED)
                || name == TE
                || name == KEEP_ALIVE
                || name == PROXY_CONNECTION
            {
                continue;
            }
            fields.kept.append(name, value);
        }
        if !is_switch {
            // RFC 9110 15.5.22: a 426 without it would ask for nothing.
            let stays =
                |name: &HeaderName| status == StatusCode::UPGRADE_REQUIRED && name == UPGRADE;
            for name in dropped.into_iter().filter(|name| !stays(name)) {
                fields.kept.remove(name);
            }
        }
        Ok(fields)
    }

    fn connection(&mut self, value: &HeaderValue, dropped: &mut SmallVec<[HeaderName; 2]>) {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"close") {
                self.says_close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.says_keep_alive = true;
            } else if let Ok(name) = HeaderName::from_bytes(token)
                && !is_end_to_end(&name)
            {
                dropped.push(name);
            }
        }
    }

    /// How the body ends (RFC 9112 6.3). What RFC 9112 lets a recipient guess is refused.
    fn body(
        &self,
        status: StatusCode,
        method: &Method,
        is_http_11: bool,
    ) -> Result<Decoder, Malformed> {
        if self.is_chunked && self.length.is_some() {
            return Err(Malformed("transfer-encoding with content-length"));
        }
        if self.is_chunked && !is_http_11 {
            return Err(Malformed("transfer-encoding in HTTP/1.0"));
        }
        let has_none = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(match self.length {
            _ if has_none => Decoder::length(0),
            _ if self.is_chunked => Decoder::chunked(),
            Some(length) => Decoder::length(length),
            None => Decoder::until_closed(),
        })
    }
}

/// Digits only (RFC 9110 8.6); no sign, no list.
fn parse_length(value: &[u8]) -> Result<u64, Malformed> {
    const WRONG: Malformed = Malformed("content-length");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(WRONG)
}

#[cfg(test)]
mod tests;
