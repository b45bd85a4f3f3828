//! The PROXY header (versions 1 and 2) with which a balancer in front of us says whom it speaks for.
//!
//! Not one byte behind the header is read: what follows belongs to TLS or HTTP. Whose word is
//! believed, and how long to wait for it, is the listener's business.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What every header begins with has at least this length. The shortest header of version 1
/// (`PROXY UNKNOWN`) is longer, so that reading this much never reads too much.
const OPENING: usize = 12;

/// The first bytes of version 2 and of version 1.
const SIGNATURE: &[u8; OPENING] = b"\r\n\r\n\0\r\nQUIT\n";
const PROXY: &[u8] = b"PROXY ";

/// Most bytes of a header of version 1, with its line end (section 2.1 of the specification).
const MAX_LINE: usize = 107;

/// Bytes of a header of version 2 before its addresses.
const FIXED: usize = OPENING + 4;

/// Most bytes of addresses and additions (TLV) in a header of version 2; what balancers send has a
/// few hundred.
const MAX_VARIABLE: usize = 4096;

/// What a PROXY header says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxied {
    /// The sender speaks for itself (a probe of its own), or says nothing that we can use: the
    /// socket's own addresses stand.
    Local,
    /// The sender speaks for someone else. IPv4 addresses in the clothes of IPv6 are IPv4.
    From {
        /// The client's address.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
}

/// Why a connection has no PROXY header that can be relied on; it is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyHeaderError {
    /// The connection failed.
    #[error("cannot read the PROXY header: {0}")]
    Broken(#[from] io::Error),
    /// The connection ended first.
    #[error("the connection ended within the PROXY header")]
    Cut,
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// Version 1 ends within 107 bytes.
    #[error("the PROXY header has more than 107 bytes")]
    LineTooLong,
    /// Version 1: what is wrong with the line.
    #[error("malformed PROXY header: {0}")]
    Line(v1::BinaryParseError),
    /// Version 1: a byte that has no place in a line.
    #[error("malformed PROXY header: {0}")]
    Forbidden(&'static str),
    /// Version 2: addresses and additions of more than 4096 bytes.
    #[error("the PROXY header announces {0} bytes of addresses")]
    TooLong(usize),
    /// Version 2: what is wrong with the header.
    #[error("malformed PROXY header: {0}")]
    Binary(v2::ParseError),
}

/// Reads the header that `stream` begins with, and nothing behind it. Not safe to cancel: what has
/// been read is lost.
///
/// # Errors
/// When the stream does not begin with a header, or with one that is malformed, too long or cut off.
/// As soon as that can be known: a client that sends something else is not waited for.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Proxied, ProxyHeaderError> {
    let mut opening = [0; OPENING];
    let mut filled = 0;
    while filled < OPENING {
        filled += fill(stream, &mut opening[filled..]).await?;
        let so_far = &opening[..filled];
        if !SIGNATURE.starts_with(so_far)
            && !so_far.iter().zip(PROXY).all(|(is, to_be)| is == to_be)
        {
            return Err(ProxyHeaderError::Missing);
        }
    }
    if &opening == SIGNATURE { binary(stream).await } else { line(stream, &opening).await }
}

/// Reads some bytes, at least one.
async fn fill(
    stream: &mut (impl AsyncRead + Unpin),
    into: &mut [u8],
) -> Result<usize, ProxyHeaderError> {
    match stream.read(into).await? {
        0 => Err(ProxyHeaderError::Cut),
        count => Ok(count),
    }
}

/// Fills all of `into`.
async fn fill_all(
    stream: &mut (impl AsyncRead + Unpin),
    into: &mut [u8],
) -> Result<(), ProxyHeaderError> {
    let mut filled = 0;
    while filled < into.len() {
        filled += fill(stream, &mut into[filled..]).await?;
    }
    Ok(())
}

// === Version 1 ===

/// The rest of a line. Its length is not announced: what is certain to come is its end, two bytes,
/// or one behind a carriage return.
async fn line(
    stream: &mut (impl AsyncRead + Unpin),
    opening: &[u8; OPENING],
) -> Result<Proxied, ProxyHeaderError> {
    let mut line = [0; MAX_LINE];
    line[..OPENING].copy_from_slice(opening);
    let mut filled = OPENING;
    check_bytes(&line[..filled])?;
    while !line[..filled].contains(&b'\n') {
        let certain = if line[..filled].ends_with(b"\r") { 1 } else { 2 };
        let end = (filled + certain).min(MAX_LINE);
        if filled == end {
            return Err(ProxyHeaderError::LineTooLong);
        }
        let from = filled - 1;
        filled += fill(stream, &mut line[filled..end]).await?;
        check_bytes(&line[from..filled])?;
    }
    understand_line(&line[..filled])
}

/// A line ends where its first carriage return is, and by both bytes.
fn check_bytes(bytes: &[u8]) -> Result<(), ProxyHeaderError> {
    for (at, byte) in bytes.iter().enumerate() {
        let follows_return = at > 0 && bytes[at - 1] == b'\r';
        if follows_return && *byte != b'\n' {
            return Err(ProxyHeaderError::Forbidden("a carriage return without a line feed"));
        } else if *byte == b'\n' && at > 0 && !follows_return {
            return Err(ProxyHeaderError::Forbidden("a line feed without a carriage return"));
        }
    }
    Ok(())
}

fn understand_line(line: &[u8]) -> Result<Proxied, ProxyHeaderError> {
    // Whatever follows this word is to be ignored.
    if line.starts_with(b"PROXY UNKNOWN ") || line == b"PROXY UNKNOWN\r\n" {
        return Ok(Proxied::Local);
    }
    // The parser of numbers that is used for ports takes a sign.
    if line.contains(&b'+') {
        return Err(ProxyHeaderError::Forbidden("a sign before a number"));
    }
    let header = v1::Header::try_from(line).map_err(ProxyHeaderError::Line)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => Proxied::Local,
        v1::Addresses::Tcp4(ip) => Proxied::of(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        v1::Addresses::Tcp6(ip) => Proxied::of(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
    })
}

// === Version 2 ===

async fn binary(stream: &mut (impl AsyncRead + Unpin)) -> Result<Proxied, ProxyHeaderError> {
    let mut fixed = [0; FIXED];
    fixed[..OPENING].copy_from_slice(SIGNATURE);
    fill_all(stream, &mut fixed[OPENING..]).await?;
    let length = usize::from(u16::from_be_bytes([fixed[FIXED - 2], fixed[FIXED - 1]]));
    if length > MAX_VARIABLE {
        return Err(ProxyHeaderError::TooLong(length));
    }
    let mut header = vec![0; FIXED + length];
    header[..FIXED].copy_from_slice(&fixed);
    fill_all(stream, &mut header[FIXED..]).await?;
    understand_binary(&header)
}

fn understand_binary(header: &[u8]) -> Result<Proxied, ProxyHeaderError> {
    // LOCAL: the family is to be ignored and the addresses skipped, whatever they are.
    if header[OPENING] == 0x20 {
        return Ok(Proxied::Local);
    }
    let header = v2::Header::try_from(header).map_err(ProxyHeaderError::Binary)?;
    for addition in header.tlvs() {
        addition.map_err(ProxyHeaderError::Binary)?;
    }
    Ok(match (header.protocol, header.addresses) {
        (v2::Protocol::Stream, v2::Addresses::IPv4(ip)) => Proxied::of(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        (v2::Protocol::Stream, v2::Addresses::IPv6(ip)) => Proxied::of(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        // No address of a client of TCP: nothing that we can use.
        (v2::Protocol::Stream, v2::Addresses::Unspecified | v2::Addresses::Unix(_))
        | (v2::Protocol::Unspecified | v2::Protocol::Datagram, _) => Proxied::Local,
    })
}

impl Proxied {
    fn of<A: Into<IpAddr>>(source: (A, u16), destination: (A, u16)) -> Self {
        let socket = |(address, port): (A, u16)| {
            SocketAddr::new(Into::<IpAddr>::into(address).to_canonical(), port)
        };
        Self::From { source: socket(source), destination: socket(destination) }
    }
}

#[cfg(test)]
mod tests;
