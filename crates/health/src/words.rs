//! What was found out, in words for people.

use std::fmt;

use crate::report::{Cause, Doubt, Outcome};

/// Most characters of a backend's own words that are repeated.
const MOST_CHARACTERS: usize = 80;

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Fail(cause) => write!(f, "fail: {cause}"),
            Self::Inconclusive(doubt) => write!(f, "inconclusive: {doubt}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "cannot connect: {why}"),
            Self::Resolve(why) => write!(f, "no address: {why}"),
            Self::Broken(why) => write!(f, "broken off: {why}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Timeout => f.write_str("no complete answer in time"),
            Self::Status(status) => write!(f, "answered {status}"),
            Self::Unexpected(what) => f.write_str(what),
            Self::Grpc(what) => write!(f, "gRPC health: {what}"),
            Self::Program(what) => write!(f, "the program: {what}"),
            Self::Agent(what) => write!(f, "the agent says {what}"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("we were late ourselves"),
            Self::Exhausted(what) => write!(f, "we have run out: {what}"),
            Self::CutOff => f.write_str("no witness answers, we are cut off"),
            Self::Busy => f.write_str("too many programs run already"),
            Self::Silent => f.write_str("nobody said anything"),
            Self::Program(what) => write!(f, "the program: {what}"),
        }
    }
}

/// The beginning of what came, for a message: no control character reaches a terminal or a log.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing came".to_owned();
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MOST_CHARACTERS)]);
    let mut characters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let shown: String = characters.by_ref().take(MOST_CHARACTERS).collect();
    let more = if characters.next().is_some() { "..." } else { "" };
    format!("came \"{}{more}\"", shown.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_shown_short_and_clean() {
        assert_eq!(excerpt(b""), "nothing came");
        assert_eq!(excerpt(b"-ERR\x1b[2J\r\n"), "came \"-ERR [2J\"");
        let long = excerpt(&[b'x'; 1 << 20]);
        assert_eq!(long, format!("came \"{}...\"", "x".repeat(80)));
        assert!(excerpt(&[0xff; 1000]).chars().count() < 100);
    }
}
