//! How a hook ended.

use std::time::Duration;

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// In short.
    pub outcome: Outcome,
    /// In words: the exit code and the first line, the status, what went wrong. No secrets.
    pub words: String,
    /// The beginning of what it wrote, or of the answer's body; as text.
    pub output: String,
    /// How many tries there were (at least 1).
    pub tries: u32,
    /// How long it took in all, pauses included.
    pub took: Duration,
}

/// How one try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// In short.
    pub outcome: Outcome,
    /// In words, as in [`Ended`].
    pub words: String,
    /// The beginning of what it wrote, or of the answer's body; as text.
    pub output: String,
    /// The status of the answer, of a request that was answered.
    pub status: Option<u16>,
}

impl Tried {
    /// One that brought nothing but words.
    pub(crate) fn ended(outcome: Outcome, words: String) -> Self {
        Self { outcome, words, output: String::new(), status: None }
    }
}

/// The same in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did what it should.
    Done,
    /// Nobody took the connection, at no try.
    Unreachable,
    /// It says that it failed, or it could not begin for another reason: no such program, a certificate
    /// that is not trusted, an unknown name.
    Failed,
    /// Nobody knows whether it was done: the answer was lost, or it was killed at its deadline.
    Unknown,
}
