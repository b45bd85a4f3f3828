//! A span as OTLP knows it: data only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A stretch of time in a trace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) place: Place,
    /// The span that it is part of; `None`: it is the whole.
    pub(crate) parent: Option<[u8; 8]>,
    /// Whether that one is in another process.
    pub(crate) is_parent_remote: bool,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) began: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) events: Vec<Event>,
    /// Spans elsewhere that it has to do with.
    pub(crate) links: Vec<Place>,
    /// What went wrong, in words; empty: something; `None`: nothing.
    pub(crate) error: Option<String>,
}

/// A trace and a span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
}

/// Whose side of something it is. The numbers are OTLP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// What is said of a span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Flag(bool),
    Number(i64),
    Real(f64),
}

/// Something that happened during a span, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) at: SystemTime,
    pub(crate) name: &'static str,
    pub(crate) attributes: Vec<(&'static str, Value)>,
}

impl Span {
    /// A span of which nothing more is known.
    pub(crate) fn new(
        place: Place,
        name: &str,
        kind: Kind,
        began: SystemTime,
        took: Duration,
    ) -> Self {
        Self {
            place,
            parent: None,
            is_parent_remote: false,
            name: name.to_owned(),
            kind,
            began,
            ended: began + took,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            error: None,
        }
    }

    /// Says something of it.
    pub(crate) fn say(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push((key, value.into()));
    }
}

/// As OTLP counts it.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// In milliseconds: our attributes of this kind end in `_ms`.
impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Real((duration.as_secs_f64() * 1e6).round() / 1e3)
    }
}
