//! Frames in pieces of any size, close frames byte by byte, and the handshake's sums.

use super::*;
use crate::mutate::{Mutator, SEEDS, cases};

/// A frame with a head of its own making: the shortest that holds the length, or a longer one.
fn frame(first: u8, payload: usize, mask: Option<[u8; 4]>, wide: usize) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match wide {
        0 => frame.push(masked | u8::try_from(payload).unwrap()),
        2 => {
            frame.push(masked | 126);
            frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
        }
        8 => {
            frame.push(masked | 127);
            frame.extend((payload as u64).to_be_bytes());
        }
        _ => panic!("no such length"),
    }
    frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    // Payloads that look like heads.
    frame.extend(std::iter::repeat_n(0x88, payload));
    frame
}

fn every_kind() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for mask in [None, Some([1, 2, 3, 4]), Some([0x88; 4])] {
        for (payload, wide) in
            [(0, 0), (1, 0), (125, 0), (0, 2), (126, 2), (300, 2), (0, 8), (7, 8), (65536, 8)]
        {
            for first in [0x81, 0x01, 0x80, 0x89] {
                frames.push(frame(first, payload, mask, wide));
            }
        }
    }
    frames
}

/// Where frames end, counted from the beginning.
fn ends(frames: &[Vec<u8>]) -> Vec<usize> {
    let lengths = frames.iter().map(Vec::len);
    lengths
        .scan(0, |end, length| {
            *end += length;
            Some(*end)
        })
        .collect()
}

#[test]
fn every_frame_byte_by_byte() {
    for bytes in every_kind() {
        let mut frames = Frames::default();
        assert!(frames.is_between());
        for (at, byte) in bytes.iter().enumerate() {
            frames.feed(&[*byte]);
            let left = bytes.len() - at - 1;
            assert_eq!(frames.is_between(), left == 0, "{at} of {:?}", &bytes[..2]);
            let promised = frames.until_boundary();
            assert!(promised <= left as u64, "{promised} of {left}");
            assert!(promised > 0 || left == 0);
        }
        assert!(!frames.has_closed());
    }
}

#[test]
fn pieces_of_any_size() {
    let all = every_kind();
    let ends = ends(&all);
    let bytes = all.concat();
    for seed in SEEDS {
        let mut mutator = Mutator::new(seed);
        for most in [16, 1000, 100_000] {
            let (mut by_piece, mut by_boundary) = (Frames::default(), Frames::default());
            let mut at = 0;
            while at < bytes.len() {
                let piece = &bytes[at..(at + 1 + mutator.below(most)).min(bytes.len())];
                by_piece.feed(piece);
                let mut taken = 0;
                while taken < piece.len() {
                    let next = ends[ends.partition_point(|end| *end <= at + taken)];
                    let expected = (next - at - taken).min(piece.len() - taken);
                    assert_eq!(by_boundary.feed_to_boundary(&piece[taken..]), expected);
                    taken += expected;
                }
                at += piece.len();
                assert_eq!(
                    by_piece.is_between(),
                    ends.binary_search(&at).is_ok(),
                    "seed {seed}, at {at}"
                );
                assert_eq!(by_piece.until_boundary(), by_boundary.until_boundary());
            }
        }
    }
}

#[test]
fn reading_no_more_than_promised_ends_at_the_boundary() {
    for bytes in every_kind() {
        for begun in 1..bytes.len().min(20) {
            let mut frames = Frames::default();
            frames.feed(&bytes[..begun]);
            let mut at = begun;
            let mut reads = 0;
            while frames.until_boundary() > 0 {
                let next = at + usize::try_from(frames.until_boundary()).unwrap();
                frames.feed(&bytes[at..next]);
                at = next;
                reads += 1;
            }
            assert_eq!(at, bytes.len());
            // The head's beginning, its rest, the payload.
            assert!(reads <= 3, "{reads}");
        }
    }
}

#[test]
fn a_close_frame_is_noticed_by_its_first_byte() {
    let mut frames = Frames::default();
    // In a payload it is none.
    frames.feed(&frame(0x82, 20, None, 0));
    assert!(!frames.has_closed());
    frames.feed(&[0x88]);
    assert!(frames.has_closed() && !frames.is_between());
    frames.feed(&[0]);
    assert!(frames.has_closed() && frames.is_between());
}

#[test]
fn the_longest_length_there_can_be() {
    let mut frames = Frames::default();
    frames.feed(&[0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(frames.until_boundary(), u64::MAX);
    frames.feed(&[0; 100]);
    assert_eq!(frames.until_boundary(), u64::MAX - 100);
}

#[test]
fn no_bytes_upset_the_count() {
    let corpus: Vec<Vec<u8>> = every_kind().into_iter().filter(|f| f.len() < 400).collect();
    let corpus: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
    for seed in SEEDS {
        let mut mutator = Mutator::new(seed);
        for _ in 0..cases() {
            let bytes = mutator.mutate(&corpus);
            let (mut whole, mut single) = (Frames::default(), Frames::default());
            whole.feed(&bytes);
            bytes.chunks(1).for_each(|byte| single.feed(byte));
            assert_eq!(whole.until_boundary(), single.until_boundary(), "{bytes:?}");
            assert_eq!(whole.has_closed(), single.has_closed(), "{bytes:?}");
        }
    }
}

#[test]
fn close_frames() {
    let plain = close_frame(CloseCode::ServiceRestart, "moved", None);
    assert_eq!(plain, [&[0x88, 7, 0x03, 0xf4][..], b"moved"].concat());
    assert_eq!(close_frame(CloseCode::GoingAway, "", None), [0x88, 2, 0x03, 0xe9]);
    let masked = close_frame(CloseCode::GoingAway, "bye", Some([1, 2, 3, 4]));
    assert_eq!(masked, [0x88, 0x85, 1, 2, 3, 4, 0x03 ^ 1, 0xe9 ^ 2, b'b' ^ 3, b'y' ^ 4, b'e' ^ 1]);
}

#[test]
fn a_reason_is_cut_at_a_character() {
    for (reason, length) in [
        ("x".repeat(123), 123),
        ("x".repeat(124), 123),
        ("x".repeat(500), 123),
        ("\u{e9}".repeat(80), 122),
        ("\u{1f3ad}".repeat(40), 120),
    ] {
        for mask in [None, Some([9, 8, 7, 6])] {
            let bytes = close_frame(CloseCode::GoingAway, &reason, mask);
            let head = if mask.is_some() { 6 } else { 2 };
            assert_eq!(bytes.len(), head + 2 + length);
            assert_eq!(usize::from(bytes[1] & 0x7f), 2 + length);
            let mut frames = Frames::default();
            frames.feed(&bytes);
            assert!(frames.is_between() && frames.has_closed());
            if mask.is_none() {
                assert_eq!(str::from_utf8(&bytes[4..]).unwrap(), &reason[..length]);
            }
        }
    }
}

#[test]
fn the_handshake_of_the_standard() {
    // RFC 6455 1.3.
    assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(accept(b" dGhlIHNhbXBsZSBub25jZQ==\t"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
