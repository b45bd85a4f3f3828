//! WebSocket, as far as a proxy needs it that relays bytes: where frames end, a goodbye between two
//! of them, and the handshake that HTTP/1.1 has and HTTP/2 has not.
//!
//! Frames are not checked, only counted: the two ends do that.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;

/// Longest head of a frame: two bytes, eight of length, four of mask (RFC 6455 5.2).
const MAX_HEAD: usize = 14;

/// Most bytes of a reason: those of a control frame, less the code (RFC 6455 5.5).
const MAX_REASON: usize = 123;

/// What every server adds to a key (RFC 6455 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;
const SHORT_LENGTH: u8 = 0x7f;

// === Where frames end ===

/// Where one direction of a WebSocket stands, whatever the pieces its bytes come in. What is not
/// WebSocket is taken for frames of odd lengths; it does no harm but that the place is wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frames {
    place: Place,
    has_closed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// This much of the next frame's head is known; with nothing, we stand between two frames.
    Head { bytes: [u8; MAX_HEAD], filled: usize },
    /// This many bytes of the payload are missing; not 0.
    Payload(u64),
}

impl Default for Place {
    fn default() -> Self {
        Self::Head { bytes: [0; MAX_HEAD], filled: 0 }
    }
}

impl Frames {
    /// Takes note of the next bytes.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let taken = self.feed_to_boundary(piece);
            piece = &piece[taken..];
        }
    }

    /// Takes note of the next bytes up to the end of the frame that they belong to, and says how many
    /// these are: all of `piece` if the frame does not end in it. At least one, if there is one.
    pub(crate) fn feed_to_boundary(&mut self, piece: &[u8]) -> usize {
        let mut taken = 0;
        while taken < piece.len() {
            taken += self.step(&piece[taken..]);
            if self.is_between() {
                break;
            }
        }
        taken
    }

    /// Whether all frames so far are complete, so that another may be put in here.
    pub(crate) fn is_between(&self) -> bool {
        self.until_boundary() == 0
    }

    /// How many bytes certainly belong to the frame we are in: reading no more never goes past its
    /// end, and reading until this is 0 ends there. 0 between two frames.
    pub(crate) fn until_boundary(&self) -> u64 {
        match &self.place {
            Place::Head { filled: 0, .. } => 0,
            Place::Head { bytes, filled } => {
                let head = head_length(bytes, *filled);
                let payload = if *filled < 2 || wide(bytes[1]) > 0 { 0 } else { short(bytes[1]) };
                (head - filled) as u64 + payload
            }
            Place::Payload(missing) => *missing,
        }
    }

    /// Whether a close frame has come, or begun to: no other may follow it (RFC 6455 5.5.1).
    pub(crate) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Takes one byte of a head, or all of a payload.
    fn step(&mut self, piece: &[u8]) -> usize {
        match &mut self.place {
            Place::Head { bytes, filled } => {
                bytes[*filled] = piece[0];
                *filled += 1;
                self.has_closed |= *filled == 1 && piece[0] & OPCODE == CLOSE;
                if *filled == head_length(bytes, *filled) {
                    self.place = match payload_length(bytes) {
                        0 => Place::default(),
                        length => Place::Payload(length),
                    };
                }
                1
            }
            Place::Payload(missing) => {
                let taken = usize::try_from(*missing).unwrap_or(usize::MAX).min(piece.len());
                *missing -= taken as u64;
                if *missing == 0 {
                    self.place = Place::default();
                }
                taken
            }
        }
    }
}

/// The length of a frame's head, as far as can be said when `filled` bytes of it are known.
fn head_length(bytes: &[u8; MAX_HEAD], filled: usize) -> usize {
    let mask = if bytes[1] & MASKED == 0 { 0 } else { 4 };
    if filled < 2 { 2 } else { 2 + wide(bytes[1]) + mask }
}

/// How many bytes of length follow the second byte.
fn wide(second: u8) -> usize {
    match second & SHORT_LENGTH {
        127 => 8,
        126 => 2,
        _ => 0,
    }
}

fn short(second: u8) -> u64 {
    u64::from(second & SHORT_LENGTH)
}

/// The length of the payload, of a complete head.
fn payload_length(bytes: &[u8; MAX_HEAD]) -> u64 {
    match wide(bytes[1]) {
        0 => short(bytes[1]),
        wide => bytes[2..2 + wide].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    }
}

// === A goodbye ===

/// Why a WebSocket is closed (RFC 6455 7.4, and its registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// 1001: this end is going away.
    GoingAway,
    /// 1012: the service restarts; come again, after a random time of 5 to 30 seconds.
    ServiceRestart,
}

impl CloseCode {
    fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::ServiceRestart => 1012,
        }
    }
}

/// A close frame (RFC 6455 5.5.1). To a backend it is masked, with four random bytes; to a client it
/// is not. Of `reason` at most 123 bytes are sent.
pub(crate) fn close_frame(code: CloseCode, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let code = code.number().to_be_bytes();
    let payload = code.into_iter().chain(reason.bytes().take(end));
    // At most 125: a control frame has its length in one byte.
    let mut frame = vec![FINAL | CLOSE, (code.len() + end) as u8];
    match mask {
        None => frame.extend(payload),
        Some(mask) => {
            frame[1] |= MASKED;
            frame.extend(mask);
            frame.extend(payload.zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
    }
    frame
}

// === The handshake ===

/// A `Sec-WebSocket-Key` of 16 random bytes (RFC 6455 4.1). An extended CONNECT (RFC 8441) has none;
/// translated to HTTP/1.1 it needs one.
pub(crate) fn key(random: [u8; 16]) -> HeaderValue {
    header(BASE64.encode(random))
}

/// The `Sec-WebSocket-Accept` that belongs to a key (RFC 6455 4.2.2).
pub(crate) fn accept(key: &[u8]) -> HeaderValue {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.trim_ascii(), MAGIC].concat());
    header(BASE64.encode(sum))
}

/// Base64 has only characters that a field may have.
fn header(base64: String) -> HeaderValue {
    HeaderValue::try_from(base64).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
