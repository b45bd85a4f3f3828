//! The origin's journal: which requests arrived where, and when.
//!
//! One line per request, `<unix ns> <name> <method> <path> <id> [<body fingerprint>]`, each written by
//! one system call, so that what was recorded survives the death of its writer.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One request that arrived at an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// The origin's name.
    pub origin: String,
    /// The request's method.
    pub method: String,
    /// The request's path, without the query.
    pub path: String,
    /// The order's id, `-` for anything but an order.
    pub id: String,
    /// The [`fingerprint`] of the body, for an order.
    pub body: Option<u64>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ns, origin, method, path, id, body } = self;
        write!(f, "{at_ns} {origin} {method} {path} {id}")?;
        match body {
            Some(body) => write!(f, " {body:016x}"),
            None => Ok(()),
        }
    }
}

impl Entry {
    /// Reads one line; `None` if it is not one of ours.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let at_ns = words.next()?.parse().ok()?;
        let mut text = || words.next().map(str::to_owned);
        let (origin, method, path, id) = (text()?, text()?, text()?, text()?);
        let body = match words.next() {
            Some(hex) => Some(u64::from_str_radix(hex, 16).ok()?),
            None => None,
        };
        Some(Self { at_ns, origin, method, path, id, body })
    }
}

/// Reads a whole journal; a missing file is an empty journal.
///
/// # Errors
///
/// When the file cannot be read, or has a line that is not an [`Entry`].
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    text.lines()
        .map(|line| {
            Entry::parse(line).ok_or_else(|| io::Error::other(format!("not an entry: {line:?}")))
        })
        .collect()
}

/// The time that one request spent at an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// When its head had arrived, in nanoseconds since the Unix epoch.
    pub begun_ns: u64,
    /// When its answer was ready, or nobody wanted it any more; `None`: its process ended before.
    pub ended_ns: Option<u64>,
    /// The origin's name.
    pub origin: String,
    /// The process, which is another one after each start.
    pub process: u32,
    /// What the balancer said in `x-understudy-epoch`.
    pub epoch: Option<u64>,
    /// The request's path, without the query.
    pub path: String,
}

/// Reads the spans that an origin has written, in the order of their beginnings.
///
/// # Errors
///
/// When the file cannot be read, or has a line that is not one of a span.
pub fn read_spans(path: &Path) -> io::Result<Vec<Span>> {
    let text = fs::read_to_string(path)?;
    let mut spans: Vec<Span> = Vec::new();
    let mut open = HashMap::new();
    for line in text.lines() {
        let wrong = || io::Error::other(format!("not a line of a span: {line:?}"));
        let words: Vec<_> = line.split(' ').collect();
        let [at, what, process, number, rest @ ..] = words.as_slice() else { return Err(wrong()) };
        let at_ns = at.parse().map_err(|_| wrong())?;
        let process: u32 = process.parse().map_err(|_| wrong())?;
        let id = (process, (*number).to_owned());
        match (*what, rest) {
            ("begin", [origin, epoch, path]) => {
                open.insert(id, spans.len());
                spans.push(Span {
                    begun_ns: at_ns,
                    ended_ns: None,
                    origin: (*origin).to_owned(),
                    process,
                    epoch: epoch.parse().ok(),
                    path: (*path).to_owned(),
                });
            }
            ("end", []) => {
                let place = open.remove(&id).ok_or_else(wrong)?;
                spans[place].ended_ns = Some(at_ns);
            }
            _ => return Err(wrong()),
        }
    }
    Ok(spans)
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Tells bodies apart (FNV-1a, 64 bits); no protection against anybody who means harm.
#[must_use]
pub fn fingerprint(body: &[u8]) -> u64 {
    body.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        for body in [None, Some(fingerprint(b"one book"))] {
            let entry = Entry {
                at_ns: 17,
                origin: "a".into(),
                method: "POST".into(),
                path: "/orders/9".into(),
                id: "9".into(),
                body,
            };
            assert_eq!(Entry::parse(&entry.to_string()), Some(entry));
        }
    }

    #[test]
    fn a_torn_line_is_not_an_entry() {
        assert_eq!(Entry::parse("17 a POST /orders/9"), None);
        assert_eq!(Entry::parse("x a POST /orders/9 9"), None);
        assert_eq!(Entry::parse("17 a POST /orders/9 9 xyz"), None);
    }

    #[test]
    fn bodies_are_told_apart() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_ne!(fingerprint(b"ab"), fingerprint(b"ba"));
    }
}
