//! PROXY headers: what is understood, what is refused, and that nothing behind one is touched.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::*;
use crate::mutate::{Mutator, SEEDS, cases};

/// What follows a header. Looks like one, so that reading on would be noticed.
const BEHIND: &[u8] = b"\r\nPROXY GET / HTTP/1.1\r\n\r\n";

/// Bytes that arrive in pieces; then the end of the connection.
struct Pieces(VecDeque<Vec<u8>>);

impl Pieces {
    fn new(pieces: &[&[u8]]) -> Self {
        Self(pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect())
    }

    /// What has not been read.
    fn rest(&self) -> Vec<u8> {
        self.0.iter().flatten().copied().collect()
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let count = into.remaining().min(piece.len());
            into.put_slice(&piece[..count]);
            piece.drain(..count);
            if !piece.is_empty() {
                self.0.push_front(piece);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Nothing here ever waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

fn read_pieces(pieces: &[&[u8]]) -> (Result<Proxied, ProxyHeaderError>, Vec<u8>) {
    let mut stream = Pieces::new(pieces);
    let result = now(read(&mut stream));
    (result, stream.rest())
}

/// A header of version 2; `announced` bytes of `variable` are said to follow.
fn version_2(command: u8, family: u8, announced: usize, variable: &[u8]) -> Vec<u8> {
    let announced = u16::try_from(announced).expect("16 bits").to_be_bytes();
    [SIGNATURE, &[command, family][..], &announced, variable].concat()
}

fn whole_2(command: u8, family: u8, variable: &[u8]) -> Vec<u8> {
    version_2(command, family, variable.len(), variable)
}

const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x1f, 0x90, 0x01, 0xbb];

fn v6(source: &str) -> Vec<u8> {
    let octets = |address: &str| address.parse::<std::net::Ipv6Addr>().unwrap().octets();
    [&octets(source)[..], &octets("2001:db8::1")[..], &[0x1f, 0x90, 0x01, 0xbb]].concat()
}

fn from(source: &str, destination: &str) -> Proxied {
    Proxied::From { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn good() -> Vec<(Vec<u8>, Proxied)> {
    let four = from("192.0.2.7:8080", "198.51.100.1:443");
    let six = from("[2001:db8::7]:8080", "[2001:db8::1]:443");
    let text = |line: &str| line.as_bytes().to_vec();
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    assert_eq!(longest.len(), MAX_LINE);
    let ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let unique_id = [&V4[..], &[5, 0, 3, 1, 2, 3]].concat();
    let two_additions = [&v6("2001:db8::7")[..], &[4, 0, 0, 0xe0, 0, 1, 9]].concat();
    let much = [&V4[..], &[4, 0x0f, 0xf1], &[0; 0x0ff1]].concat();
    assert_eq!(much.len(), MAX_VARIABLE);
    vec![
        (text("PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\n"), four),
        (text("PROXY TCP4 1.2.3.4 5.6.7.8 0 1\r\n"), from("1.2.3.4:0", "5.6.7.8:1")),
        (text("PROXY TCP6 2001:db8::7 2001:db8::1 8080 443\r\n"), six),
        (
            text(&format!("PROXY TCP6 {ones} {ones} 65535 65535\r\n")),
            from(&format!("[{ones}]:65535"), &format!("[{ones}]:65535")),
        ),
        (
            text("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 8080 443\r\n"),
            from("192.0.2.7:8080", "198.51.100.1:443"),
        ),
        (text("PROXY UNKNOWN\r\n"), Proxied::Local),
        (text(&format!("PROXY UNKNOWN {ones} {ones} 65535 65535\r\n")), Proxied::Local),
        (text("PROXY UNKNOWN a b c d e f g +1\r\n"), Proxied::Local),
        (text(&longest), Proxied::Local),
        (whole_2(0x21, 0x11, &V4), four),
        (whole_2(0x21, 0x11, &unique_id), four),
        (whole_2(0x21, 0x11, &much), four),
        (whole_2(0x21, 0x21, &v6("2001:db8::7")), six),
        (whole_2(0x21, 0x21, &two_additions), six),
        (whole_2(0x21, 0x21, &v6("::ffff:192.0.2.7")), from("192.0.2.7:8080", "[2001:db8::1]:443")),
        (whole_2(0x21, 0x12, &V4), Proxied::Local),
        (whole_2(0x21, 0x10, &V4), Proxied::Local),
        (whole_2(0x21, 0x31, &[b'/'; 216]), Proxied::Local),
        (whole_2(0x21, 0x00, &[]), Proxied::Local),
        (whole_2(0x20, 0x00, &[]), Proxied::Local),
        (whole_2(0x20, 0x11, &V4), Proxied::Local),
        // LOCAL: neither the family nor what follows has to make sense.
        (whole_2(0x20, 0x11, &[]), Proxied::Local),
        (whole_2(0x20, 0xff, &[1, 2, 3]), Proxied::Local),
    ]
}

#[test]
fn every_header_in_every_two_pieces() {
    for (header, expected) in good() {
        for at in 0..=header.len() {
            let (first, second) = header.split_at(at);
            for behind in [BEHIND, b"\n", b""] {
                let (result, rest) = read_pieces(&[first, second, behind]);
                assert_eq!(result.expect("understood"), expected, "{header:?} split at {at}");
                assert_eq!(rest, behind, "{header:?} split at {at}");
            }
        }
    }
}

#[test]
fn every_header_byte_by_byte_and_with_what_follows_in_one_piece() {
    for (header, expected) in good() {
        let all = [&header, BEHIND].concat();
        let single: Vec<&[u8]> = all.chunks(1).collect();
        for pieces in [&single[..], &[&all[..]]] {
            let (result, rest) = read_pieces(pieces);
            assert_eq!(result.expect("understood"), expected, "{header:?}");
            assert_eq!(rest, BEHIND, "{header:?}");
        }
    }
}

#[test]
fn a_header_that_is_cut_off_says_so() {
    for (header, _) in good() {
        for length in 0..header.len() {
            let (result, _) = read_pieces(&[&header[..length]]);
            assert!(matches!(result, Err(ProxyHeaderError::Cut)), "{result:?} after {length}");
        }
    }
}

#[test]
fn refused_with_a_reason() {
    let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    let endless = format!("PROXY TCP4 {}", "1".repeat(500));
    let text: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1\r\n", "does not begin with a PROXY header"),
        (b"G", "does not begin with a PROXY header"),
        (b"\x16\x03\x01", "does not begin with a PROXY header"),
        (b"PRI * HTTP/2.0\r\n", "does not begin with a PROXY header"),
        (b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "does not begin with a PROXY header"),
        (b"PROXY\tTCP4 1.2.3.4", "does not begin with a PROXY header"),
        (b"\r\n\r\n\0\r\nQUIX\n", "does not begin with a PROXY header"),
        (too_long.as_bytes(), "more than 107 bytes"),
        (endless.as_bytes(), "more than 107 bytes"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "a line feed without"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX", "a carriage return without"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n", "a carriage return without"),
        (b"PROXY UNKNOWN\n", "a line feed without"),
        (b"PROXY \r\nGET /", "malformed"),
        (b"PROXY TCP4\r\n", "malformed"),
        (b"PROXY UNKNOWNX\r\n", "malformed"),
        (b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "malformed"),
        (b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", "malformed"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "malformed"),
        (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \xff\r\n", "malformed"),
    ];
    let binary = [
        (whole_2(0x11, 0x11, &V4), "malformed"),
        (whole_2(0x31, 0x11, &V4), "malformed"),
        (whole_2(0x22, 0x11, &V4), "malformed"),
        (whole_2(0x21, 0x41, &V4), "malformed"),
        (whole_2(0x21, 0x13, &V4), "malformed"),
        (whole_2(0x21, 0x11, &V4[..11]), "malformed"),
        (whole_2(0x21, 0x21, &V4), "malformed"),
        (whole_2(0x21, 0x31, &[b'/'; 215]), "malformed"),
        // Additions that end in the middle.
        (whole_2(0x21, 0x11, &[&V4[..], &[4]].concat()), "malformed"),
        (whole_2(0x21, 0x11, &[&V4[..], &[4, 0, 2, 1]].concat()), "malformed"),
        (version_2(0x21, 0x11, MAX_VARIABLE + 1, &V4), "announces 4097 bytes"),
        (version_2(0x20, 0x00, 65535, &[]), "announces 65535 bytes"),
    ];
    let text = text.iter().map(|(bytes, reason)| (bytes.to_vec(), *reason));
    for (bytes, reason) in text.chain(binary) {
        for pieces in [&bytes.chunks(1).collect::<Vec<_>>()[..], &[&bytes[..]]] {
            let complaint = read_pieces(pieces).0.expect_err("refused").to_string();
            let shown = String::from_utf8_lossy(&bytes);
            assert!(complaint.contains(reason), "{shown:?}: {complaint}");
        }
    }
}

#[test]
fn whatever_is_certainly_no_header_is_not_waited_for() {
    // Waits for ever once the bytes are used up.
    struct Silent(Pieces);
    impl AsyncRead for Silent {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.0.is_empty() {
                return Poll::Pending;
            }
            Pin::new(&mut self.0).poll_read(context, into)
        }
    }
    for bytes in [&b"G"[..], b"PROXX", b"\r\n\r\n\x01", b"\r\n\r\nG", b"PROXY \r\nGET "] {
        let mut stream = Silent(Pieces::new(&[bytes]));
        now(read(&mut stream)).expect_err("refused");
    }
}

#[test]
fn a_broken_connection_is_its_own_error() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }
    assert!(matches!(now(read(&mut Broken)), Err(ProxyHeaderError::Broken(_))));
}

#[test]
fn no_mutation_panics_or_reads_past_the_header() {
    let corpus: Vec<Vec<u8>> = good().into_iter().map(|(header, _)| header).collect();
    let corpus: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
    for seed in SEEDS {
        let mut mutator = Mutator::new(seed);
        for case in 0..cases() {
            let bytes = mutator.mutate(&corpus);
            let (result, rest) = read_pieces(&[&bytes, BEHIND]);
            if result.is_err() {
                continue;
            }
            let all = [&bytes, BEHIND].concat();
            let header = &all[..all.len() - rest.len()];
            let end = match header.strip_prefix(SIGNATURE) {
                Some(fixed) => FIXED + usize::from(u16::from_be_bytes([fixed[2], fixed[3]])),
                None => all.iter().position(|byte| *byte == b'\n').expect("a line") + 1,
            };
            assert_eq!(header.len(), end, "seed {seed}, case {case}: {bytes:?}");
            // What was read says the same again, however it comes.
            let single: Vec<&[u8]> = header.chunks(1).collect();
            let again = read_pieces(&single);
            assert_eq!(again.0.expect("the same"), result.expect("checked"), "{bytes:?}");
        }
    }
}
