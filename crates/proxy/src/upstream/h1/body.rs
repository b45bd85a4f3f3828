//! Response bodies: takes them apart as they arrive (RFC 9112 sections 6 and 7).

use bytes::{Buf, Bytes, BytesMut};
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE,
    HeaderName, SET_COOKIE, TRAILER,
};
use http::{HeaderMap, HeaderValue};

use super::Malformed;
use crate::head::is_withheld;

/// Most bytes of a line that tells a chunk's size: extensions are allowed, and ignored.
const MAX_SIZE_LINE: usize = 256;

/// Most bytes of trailers, and most trailer fields.
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_FIELDS: usize = 64;

/// Where in a body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoder(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes are missing.
    Length(u64),
    /// The body ends with the connection.
    UntilClosed,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// What the input holds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// Part of the body; not empty.
    Data(Bytes),
    /// What follows the body.
    Trailers(HeaderMap),
    /// The end.
    End,
    /// Nothing, until more arrives.
    More,
}

impl Decoder {
    pub(crate) fn length(length: u64) -> Self {
        Self(if length == 0 { State::Done } else { State::Length(length) })
    }

    pub(crate) fn chunked() -> Self {
        Self(State::ChunkSize)
    }

    pub(crate) fn until_closed() -> Self {
        Self(State::UntilClosed)
    }

    /// Whether nothing is missing.
    pub(crate) fn is_done(self) -> bool {
        self.0 == State::Done
    }

    /// How many bytes are missing, when that is known.
    pub(crate) fn remaining(self) -> Option<u64> {
        match self.0 {
            State::Length(length) => Some(length),
            State::Done => Some(0),
            State::UntilClosed
            | State::ChunkSize
            | State::ChunkData(_)
            | State::ChunkEnd
            | State::Trailers => None,
        }
    }

    /// Takes the next part from the front of `input`.
    ///
    /// # Errors
    /// When the framing is broken.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Malformed> {
        loop {
            match self.0 {
                State::Done => return Ok(Decoded::End),
                State::UntilClosed | State::Length(_) | State::ChunkData(_) if input.is_empty() => {
                    return Ok(Decoded::More);
                }
                State::UntilClosed => return Ok(Decoded::Data(input.split().freeze())),
                State::Length(missing) => {
                    let data = take(input, missing);
                    *self = Self::length(missing - data.len() as u64);
                    return Ok(Decoded::Data(data));
                }
                State::ChunkData(missing) => {
                    let data = take(input, missing);
                    self.0 = match missing - data.len() as u64 {
                        0 => State::ChunkEnd,
                        missing => State::ChunkData(missing),
                    };
                    return Ok(Decoded::Data(data));
                }
                State::ChunkEnd => {
                    if input.len() < 2 {
                        return Ok(Decoded::More);
                    }
                    if !input.starts_with(b"\r\n") {
                        return Err(Malformed("end of a chunk"));
                    }
                    input.advance(2);
                    self.0 = State::ChunkSize;
                }
                State::ChunkSize => match chunk_size(input)? {
                    None => return Ok(Decoded::More),
                    Some(0) => self.0 = State::Trailers,
                    Some(size) => self.0 = State::ChunkData(size),
                },
                State::Trailers => {
                    let Some(trailers) = trailers(input)? else { return Ok(Decoded::More) };
                    self.0 = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Decoded::Trailers(trailers));
                    }
                }
            }
        }
    }

    /// The connection has ended: whether that is the end of the body, too.
    ///
    /// # Errors
    /// When part of the body is missing.
    pub(crate) fn closed(&mut self) -> Result<(), Malformed> {
        match self.0 {
            State::UntilClosed | State::Done => {
                self.0 = State::Done;
                Ok(())
            }
            State::Length(_)
            | State::ChunkSize
            | State::ChunkData(_)
            | State::ChunkEnd
            | State::Trailers => Err(Malformed("the body ends too early")),
        }
    }
}

fn take(input: &mut BytesMut, at_most: u64) -> Bytes {
    let length = usize::try_from(at_most).map_or(input.len(), |most| most.min(input.len()));
    input.split_to(length).freeze()
}

/// Takes a chunk's size line: hexadecimal digits, perhaps extensions, CRLF and nothing less.
fn chunk_size(input: &mut BytesMut) -> Result<Option<u64>, Malformed> {
    let line_end = input.iter().take(MAX_SIZE_LINE).position(|byte| *byte == b'\n');
    let Some(line_end) = line_end else {
        return if input.len() >= MAX_SIZE_LINE {
            Err(Malformed("chunk size line too long"))
        } else {
            Ok(None)
        };
    };
    let line = &input[..line_end];
    let Some(line) = line.strip_suffix(b"\r") else {
        return Err(Malformed("chunk size line end"));
    };
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = &line[digits..];
    let is_plain = rest.is_empty()
        || (rest.trim_ascii_start().starts_with(b";")
            && !rest.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
    if !(1..=16).contains(&digits) || !is_plain {
        return Err(Malformed("chunk size"));
    }
    let size = line[..digits].iter().fold(0, |size: u64, digit| {
        size << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or(0))
    });
    input.advance(line_end + 1);
    Ok(Some(size))
}

/// Takes the trailer section, with its empty line. Fields that must not come after the body
/// (RFC 9110 6.5.1) are left out.
fn trailers(input: &mut BytesMut) -> Result<Option<HeaderMap>, Malformed> {
    let mut space = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    let parsed =
        httparse::parse_headers(input, &mut space).map_err(|_| Malformed("trailer fields"))?;
    let too_large = Err(Malformed("trailers too large"));
    let httparse::Status::Complete((length, fields)) = parsed else {
        return if input.len() > MAX_TRAILERS { too_large } else { Ok(None) };
    };
    if length > MAX_TRAILERS {
        return too_large;
    }
    let mut trailers = HeaderMap::new();
    for field in fields {
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(field.name.as_bytes()), HeaderValue::from_bytes(field.value))
        else {
            return Err(Malformed("trailer fields"));
        };
        if !is_forbidden_trailer(&name) {
            trailers.append(name, value);
        }
    }
    input.advance(length);
    Ok(Some(trailers))
}

/// Fields that frame, route, authenticate or describe a message cannot follow its body, nor can those
/// that we withhold from its head: some servers put the two together (RFC 9110 6.5.1).
pub(crate) fn is_forbidden_trailer(name: &HeaderName) -> bool {
    [
        AUTHORIZATION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        COOKIE,
        SET_COOKIE,
        TRAILER,
    ]
    .contains(name)
        || is_withheld(name)
}

#[cfg(test)]
mod tests;
