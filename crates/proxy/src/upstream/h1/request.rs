//! Request bodies on the wire (RFC 9112 section 6). Request heads are written by `head.rs`.

use std::io::Write as _;

use http::HeaderMap;

use super::body::is_forbidden_trailer;

/// How the end of a request body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// By its length.
    Length(u64),
    /// By a last chunk.
    Chunked,
}

/// Writes what stands before a piece of `length` bytes (more than 0), and returns what stands
/// behind it.
pub(crate) fn write_chunk(framing: Framing, length: usize, out: &mut Vec<u8>) -> &'static [u8] {
    if framing != Framing::Chunked {
        return b"";
    }
    // Cannot fail: the buffer grows.
    let _ = write!(out, "{length:x}\r\n");
    b"\r\n"
}

/// Writes the end of a body, with trailers if there are any.
pub(crate) fn write_end(framing: Framing, trailers: Option<&HeaderMap>, out: &mut Vec<u8>) {
    if framing != Framing::Chunked {
        return;
    }
    out.extend_from_slice(b"0\r\n");
    let allowed = trailers.into_iter().flatten().filter(|(name, _)| !is_forbidden_trailer(name));
    for (name, value) in allowed {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_trailers() {
        let mut out = Vec::new();
        let tail = write_chunk(Framing::Chunked, 26, &mut out);
        out.extend_from_slice(b"abcdefghijklmnopqrstuvwxyz");
        out.extend_from_slice(tail);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        trailers.insert("content-length", "7".parse().unwrap());
        write_end(Framing::Chunked, Some(&trailers), &mut out);
        assert_eq!(&out[..], b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nx-sum: 1\r\n\r\n");
    }

    #[test]
    fn a_body_of_known_length_needs_nothing() {
        let mut out = Vec::new();
        assert_eq!(write_chunk(Framing::Length(3), 3, &mut out), b"");
        write_end(Framing::Length(3), None, &mut out);
        assert!(out.is_empty());
    }
}
