//! Response bodies: the same bytes however they arrive, and no guessing at framing.

use super::*;
use crate::mutate::{Mutator, SEEDS, cases};

/// What became of a body.
#[derive(Debug, PartialEq)]
struct Outcome {
    data: Vec<u8>,
    trailers: Vec<(String, String)>,
    /// What the body left of the input.
    left: Vec<u8>,
    /// Whether the end was reached before the connection ended.
    complete: bool,
}

/// Feeds `pieces` and then the end of the connection.
fn run<'a>(
    mut decoder: Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Outcome, Malformed> {
    let mut input = BytesMut::new();
    let (mut data, mut trailers, mut complete) = (Vec::new(), Vec::new(), false);
    let (mut fed, mut calls) = (0, 0);
    // In the end once more, so that what has no bytes is looked at, too.
    for piece in pieces.into_iter().chain([&[][..]]) {
        input.extend_from_slice(piece);
        fed += piece.len();
        loop {
            calls += 1;
            assert!(calls <= 4 * fed + 8, "decodes on and on");
            let (before, was_done) = (input.len(), decoder.is_done());
            match decoder.decode(&mut input)? {
                Decoded::Data(more) => {
                    assert!(!more.is_empty(), "nothing is no part of a body");
                    assert!(input.len() < before, "data without input");
                    data.extend_from_slice(&more);
                    assert!(data.len() <= fed, "more comes out than went in");
                }
                Decoded::Trailers(fields) => {
                    assert!(trailers.is_empty(), "trailers twice");
                    trailers.extend(fields.iter().map(|(name, value)| {
                        let value = String::from_utf8_lossy(value.as_bytes());
                        (name.to_string(), value.into_owned())
                    }));
                }
                Decoded::More => break,
                Decoded::End => {
                    assert!(decoder.is_done());
                    assert!(!was_done || input.len() == before, "taken from what follows");
                    complete = true;
                    break;
                }
            }
        }
    }
    decoder.closed()?;
    assert!(decoder.is_done());
    Ok(Outcome { data, trailers, left: input.to_vec(), complete })
}

/// The outcome at once, byte by byte, and cut in two at every place: always the same.
#[track_caller]
fn every_way(decoder: Decoder, input: &[u8]) -> Result<Outcome, Malformed> {
    let at_once = run(decoder, [input]);
    let bytewise = run(decoder, input.chunks(1));
    assert_eq!(bytewise, at_once, "{:?} byte by byte", input.escape_ascii().to_string());
    for at in 0..=input.len() {
        let (front, back) = input.split_at(at);
        assert_eq!(run(decoder, [front, back]), at_once, "cut at {at}");
    }
    at_once
}

fn outcome(data: &[u8], trailers: &[(&str, &str)], left: &[u8]) -> Outcome {
    let trailers = trailers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Outcome { data: data.to_vec(), trailers, left: left.to_vec(), complete: true }
}

#[test]
fn length() {
    let of = |length, input| every_way(Decoder::length(length), input);
    assert_eq!(of(5, b"hello"), Ok(outcome(b"hello", &[], b"")));
    assert_eq!(of(5, b"hello, world"), Ok(outcome(b"hello", &[], b", world")));
    assert_eq!(of(0, b"HTTP/1.1"), Ok(outcome(b"", &[], b"HTTP/1.1")));
    assert_eq!(of(6, b"hello"), Err(Malformed("the body ends too early")));
    assert_eq!(of(u64::MAX, b"hello"), Err(Malformed("the body ends too early")));
}

#[test]
fn until_the_connection_ends() {
    let ended = Outcome { complete: false, ..outcome(b"hello\r\n0\r\n\r\n", &[], b"") };
    assert_eq!(every_way(Decoder::until_closed(), b"hello\r\n0\r\n\r\n"), Ok(ended));
    let nothing = Outcome { complete: false, ..outcome(b"", &[], b"") };
    assert_eq!(every_way(Decoder::until_closed(), b""), Ok(nothing));
}

#[test]
fn remaining() {
    let mut decoder = Decoder::length(5);
    assert_eq!(decoder.remaining(), Some(5));
    decoder.decode(&mut BytesMut::from("he")).unwrap();
    assert_eq!((decoder.remaining(), decoder.is_done()), (Some(3), false));
    decoder.decode(&mut BytesMut::from("llo")).unwrap();
    assert_eq!((decoder.remaining(), decoder.is_done()), (Some(0), true));
    assert_eq!(Decoder::length(0).remaining(), Some(0));
    assert_eq!(Decoder::chunked().remaining(), None);
    assert_eq!(Decoder::until_closed().remaining(), None);
}

#[test]
fn chunks() {
    let cases: &[(&[u8], Outcome)] = &[
        (b"0\r\n\r\n", outcome(b"", &[], b"")),
        (b"5\r\nhello\r\n0\r\n\r\n", outcome(b"hello", &[], b"")),
        (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\nHTTP/1.1", outcome(b"abc", &[], b"HTTP/1.1")),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", outcome(b"01234567890123456789", &[], b"")),
        (b"0000000000000002\r\nhi\r\n000\r\n\r\n", outcome(b"hi", &[], b"")),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", outcome(b"\r\n\r\n", &[], b"")),
        (b"2;a\r\nhi\r\n0;b=\"c d\"\r\n\r\n", outcome(b"hi", &[], b"")),
        (b"2 ;a\r\nhi\r\n0\t;\xe9\r\n\r\n", outcome(b"hi", &[], b"")),
        (b"2\r\nhi\r\n0\r\nX-Sum: 7\r\nx-sum: 8\r\n\r\n", outcome(b"hi", &[("x-sum", "7"), ("x-sum", "8")], b"")),
        (
            b"0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: h\r\nX: y\r\nSet-Cookie: a\r\n\
              Connection: close\r\nAuthorization: b\r\nTrailer: x\r\n\r\n",
            outcome(b"", &[("x", "y")], b""),
        ),
        (b"0\r\nContent-Length: 9\r\n\r\n", outcome(b"", &[], b"")),
    ];
    for (input, expected) in cases {
        let shown = input.escape_ascii();
        assert_eq!(every_way(Decoder::chunked(), input).as_ref(), Ok(expected), "{shown}");
    }
}

#[test]
fn malformed_chunks() {
    const SIZE: &str = "chunk size";
    const LINE: &str = "chunk size line end";
    const END: &str = "end of a chunk";
    let cases: &[(&[u8], &str)] = &[
        (b"0x10\r\n", SIZE),
        (b"+5\r\n", SIZE),
        (b"-5\r\n", SIZE),
        (b" 5\r\n", SIZE),
        (b"5 \r\n", SIZE),
        (b"5 5\r\n", SIZE),
        (b"\r\n", SIZE),
        (b";a\r\n", SIZE),
        (b"g\r\n", SIZE),
        (b"5,\r\n", SIZE),
        (b"5_0\r\n", SIZE),
        (b"5\r\r\n", SIZE),
        (b"00000000000000005\r\n", SIZE),
        (b"10000000000000000\r\n", SIZE),
        (b"5;a\0b\r\n", SIZE),
        (b"5;a\rb\r\n", SIZE),
        (b"5;\x7f\r\n", SIZE),
        (b"5\x0b;a\r\n", SIZE),
        (b"\xef\xbc\x95\r\n", SIZE),
        (b"5\n", LINE),
        (b"\n", LINE),
        (b"5;a\n", LINE),
        (b"0\n\r\n", LINE),
        (b"2\r\nhi0\r\n\r\n", END),
        (b"2\r\nhi\n0\r\n\r\n", END),
        (b"2\r\nhi\r0\r\n\r\n", END),
        (b"2\r\nhix\r\n0\r\n\r\n", END),
        (b"2\r\nhi\r\n\r\n", SIZE),
        (b"0\r\n X: y\r\n\r\n", "trailer fields"),
        (b"0\r\nX : y\r\n\r\n", "trailer fields"),
        (b"0\r\nX: a\0\r\n\r\n", "trailer fields"),
        (b"0\r\nX: a\r\n b\r\n\r\n", "trailer fields"),
        (b"0\r\nX\r\n\r\n", "trailer fields"),
    ];
    for (input, reason) in cases {
        let shown = input.escape_ascii();
        let outcome = every_way(Decoder::chunked(), input);
        assert_eq!(outcome, Err(Malformed(reason)), "{shown}");
    }
}

#[test]
fn a_size_line_has_an_end() {
    // With its end, 256 bytes.
    let longest = |extra: usize| format!("2;{}\r\nhi\r\n0\r\n\r\n", "a".repeat(252 + extra));
    assert_eq!(run(Decoder::chunked(), [longest(0).as_bytes()]), Ok(outcome(b"hi", &[], b"")));
    assert_eq!(
        run(Decoder::chunked(), longest(0).as_bytes().chunks(1)),
        Ok(outcome(b"hi", &[], b""))
    );
    let too_long = Err(Malformed("chunk size line too long"));
    assert_eq!(run(Decoder::chunked(), [longest(1).as_bytes()]), too_long);
    assert_eq!(run(Decoder::chunked(), longest(1).as_bytes().chunks(1)), too_long);
    let zeros = "0".repeat(300);
    assert_eq!(run(Decoder::chunked(), zeros.as_bytes().chunks(1)), too_long);
}

#[test]
fn trailers_have_bounds() {
    let refused = |input: &str| {
        let at_once = run(Decoder::chunked(), [input.as_bytes()]).is_err();
        let in_pieces = run(Decoder::chunked(), input.as_bytes().chunks(100)).is_err();
        assert_eq!(at_once, in_pieces, "it depends on how {} bytes arrive", input.len());
        at_once
    };
    let large = |bytes: usize| {
        let frame = "x: \r\n\r\n".len();
        format!("0\r\nx: {}\r\n\r\n", "y".repeat(bytes - frame))
    };
    assert!(!refused(&large(MAX_TRAILERS)));
    assert!(refused(&large(MAX_TRAILERS + 1)));
    assert!(refused(&large(3 * MAX_TRAILERS)));
    let many = |fields: usize| format!("0\r\n{}\r\n", "x: y\r\n".repeat(fields));
    assert!(!refused(&many(MAX_TRAILER_FIELDS)));
    assert!(refused(&many(MAX_TRAILER_FIELDS + 1)));
}

/// Cut off anywhere, a chunked body is not complete; cut off at its end, it is.
#[test]
fn cut_off() {
    let input = b"5\r\nhello\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n";
    for end in 0..input.len() {
        let cut = run(Decoder::chunked(), [&input[..end]]);
        assert_eq!(cut, Err(Malformed("the body ends too early")), "after {end} bytes");
    }
    assert_eq!(run(Decoder::chunked(), [&input[..]]), Ok(outcome(b"helloabc", &[("x", "y")], b"")));
}

/// The largest size there is must not overflow anything.
#[test]
fn a_chunk_of_any_size() {
    let mut decoder = Decoder::chunked();
    let mut input = BytesMut::from("ffffffffffffffff\r\nhello");
    assert_eq!(decoder.decode(&mut input), Ok(Decoded::Data(Bytes::from("hello"))));
    assert_eq!(decoder.decode(&mut input), Ok(Decoded::More));
    assert!(decoder.closed().is_err());
}

/// Whatever a backend sends: no panic, no endless loop, no more out than in, and the same result
/// however it arrives.
#[test]
fn mutated_bodies() {
    let corpus: &[&[u8]] = &[
        b"5\r\nhello\r\n0\r\n\r\n",
        b"1\r\na\r\n10;ext=\"1\"\r\n0123456789abcdef\r\n0\r\nX-Sum: 7\r\nY: z\r\n\r\nHTTP/1.1 200",
        b"2\r\n\r\n\r\n02 ; a\r\nhi\r\n00\r\n\r\n",
    ];
    for seed in SEEDS {
        let mut mutator = Mutator::new(seed);
        for index in 0..cases() {
            let input = mutator.mutate(corpus);
            let step = 1 + mutator.below(7);
            let decoder = match mutator.below(4) {
                0 => Decoder::length(mutator.below(64) as u64),
                1 => Decoder::until_closed(),
                _ => Decoder::chunked(),
            };
            let same = std::panic::catch_unwind(|| {
                run(decoder, [&input[..]]) == run(decoder, input.chunks(step))
            });
            let shown = input.escape_ascii();
            let place = format!("seed {seed}, case {index}, {decoder:?} by {step}: {shown}");
            assert!(matches!(same, Ok(true)), "{place}");
        }
    }
}
