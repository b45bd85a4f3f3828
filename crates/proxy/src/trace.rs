//! The place of a request in a distributed trace (W3C Trace Context, level 1).
//!
//! While traces are off none of this runs, and what a client sends passes on as it came. Otherwise a
//! span of ours comes between: backends are told the span of the attempt as their parent.

use std::cell::Cell;

use access::TraceContext;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::spec::TraceSpec;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How long a `traceparent` of version 00 is (3.2.2).
const LENGTH: usize = 55;
/// Most members of a `tracestate` (3.3.1.1).
const MOST_MEMBERS: usize = 32;
/// Most characters of a key, and of a value, in it (3.3.1.3).
const MOST_CHARACTERS: usize = 256;
/// Of the part of a key before and behind its `@`.
const MOST_TENANT: usize = 241;
const MOST_SYSTEM: usize = 14;

/// A request's trace, and what becomes of the fields about it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) context: TraceContext,
    /// Whether the client's `tracestate` goes with it.
    keeps_state: bool,
    /// Which attempt is under way, from 0.
    attempt: Cell<u32>,
}

/// What a client says of the trace that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent {
    trace: [u8; 16],
    span: [u8; 8],
    is_sampled: bool,
}

// === impl Trace ===

impl Trace {
    /// Goes on with the trace that `headers` name, if whoever sent them is believed, or begins one.
    pub(crate) fn begin(spec: TraceSpec, headers: &HeaderMap, is_believed: bool) -> Box<Self> {
        let parent = is_believed.then(|| Parent::read(headers)).flatten();
        let span = random(|| fastrand::u64(..).to_be_bytes());
        let context = match parent {
            Some(Parent { trace, span: parent, is_sampled }) => {
                TraceContext { trace, span, parent: Some(parent), is_sampled, waited_for: None }
            }
            None => {
                let trace = random(|| fastrand::u128(..).to_be_bytes());
                let is_sampled = is_chosen(spec.sample);
                TraceContext { trace, span, parent: None, is_sampled, waited_for: None }
            }
        };
        let keeps_state = parent.is_some() && is_sound_state(headers);
        Box::new(Self { context, keeps_state, attempt: Cell::new(0) })
    }

    /// The attempt of this number, from 0, is what backends are told from now on.
    pub(crate) fn attempts(&self, number: usize) {
        self.attempt.set(u32::try_from(number).unwrap_or(u32::MAX));
    }

    /// Whether a field of the client gives way to ours.
    pub(crate) fn is_withheld(&self, name: &HeaderName) -> bool {
        *name == TRACEPARENT || (!self.keeps_state && *name == TRACESTATE)
    }

    /// Writes the field for a backend of HTTP/1.1.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"traceparent: ");
        out.extend_from_slice(&self.field());
        out.extend_from_slice(b"\r\n");
    }

    /// The same among those for a backend of HTTP/2.
    pub(crate) fn insert(&self, headers: &mut HeaderMap) {
        // Digits and dashes are what a value may consist of.
        if let Ok(value) = HeaderValue::from_bytes(&self.field()) {
            headers.insert(TRACEPARENT, value);
        }
    }

    fn field(&self) -> [u8; LENGTH] {
        let mut field = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.context.trace, &mut field[3..35]);
        write_hex(&self.context.attempt(self.attempt.get()), &mut field[36..52]);
        write_hex(&[u8::from(self.context.is_sampled)], &mut field[53..]);
        field
    }
}

/// A random id. All zeros means none (3.2.2.3, 3.2.2.4), so that is drawn again.
fn random<const N: usize>(draw: impl Fn() -> [u8; N]) -> [u8; N] {
    loop {
        let id = draw();
        if id != [0; N] {
            return id;
        }
    }
}

/// Whether a trace that begins here is among the share that is followed.
fn is_chosen(share: f64) -> bool {
    // From 0 to below 1: nothing is below 0, and everything is below 1.
    fastrand::f64() < share
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

// === impl Parent ===

impl Parent {
    /// `None` where the client names no trace, or not in a way that is understood (4.3).
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        match (fields.next(), fields.next()) {
            (Some(only), None) => Self::parse(only.as_bytes()),
            (None, _) | (Some(_), Some(_)) => None,
        }
    }

    fn parse(field: &[u8]) -> Option<Self> {
        let known = field.get(..LENGTH)?;
        let [version] = read_hex(&known[..2])?;
        match (version, field.get(LENGTH)) {
            (0xff, _) | (0, Some(_)) => return None,
            // Of later versions what version 00 has comes first (3.2.4).
            (_, None | Some(b'-')) => {}
            (_, Some(_)) => return None,
        }
        if [known[2], known[35], known[52]] != *b"---" {
            return None;
        }
        let trace = read_hex(&known[3..35]).filter(|id| *id != [0; 16])?;
        let span = read_hex(&known[36..52]).filter(|id| *id != [0; 8])?;
        let [flags] = read_hex(&known[53..])?;
        Some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

/// Lower case only (3.2.1).
fn read_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Whether the fields `tracestate` say something, and nothing that nobody understands (3.3.1). Members
/// may be empty.
fn is_sound_state(headers: &HeaderMap) -> bool {
    let members = headers.get_all(TRACESTATE).iter().flat_map(|field| {
        let members = field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii_start);
        // Blanks at the end belong to no value.
        members.map(<[u8]>::trim_ascii_end).filter(|member| !member.is_empty())
    });
    let mut count = 0;
    for member in members {
        count += 1;
        if count > MOST_MEMBERS || !is_member(member) {
            return false;
        }
    }
    count > 0
}

fn is_member(member: &[u8]) -> bool {
    let Some(middle) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..middle], &member[middle + 1..]);
    let is_value = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    is_key(key) && (1..=MOST_CHARACTERS).contains(&value.len()) && value.iter().all(is_value)
}

fn is_key(key: &[u8]) -> bool {
    let rest = |part: &[u8]| {
        part.iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
    };
    let begins_with_letter = |part: &[u8]| part.first().is_some_and(u8::is_ascii_lowercase);
    match key.iter().position(|byte| *byte == b'@') {
        None => begins_with_letter(key) && key.len() <= MOST_CHARACTERS && rest(key),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            let first = tenant.first();
            first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                && tenant.len() <= MOST_TENANT
                && rest(tenant)
                && begins_with_letter(system)
                && system.len() <= MOST_SYSTEM
                && rest(system)
        }
    }
}

#[cfg(test)]
mod tests;
