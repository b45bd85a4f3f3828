//! How a call of gRPC ended (`grpc-status`, `grpc-message`), in words.

use http::HeaderMap;

/// Most characters of a message that are shown.
const MOST_SHOWN: usize = 200;

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const NOT_FOUND: usize = 5;
const UNIMPLEMENTED: usize = 12;

/// How a call ended.
#[derive(Debug)]
pub(super) struct Status {
    /// `None`: it is no number.
    code: Option<usize>,
    message: String,
}

impl Status {
    /// The one among `fields`.
    pub(super) fn read(fields: &HeaderMap) -> Option<Self> {
        let code = fields.get("grpc-status")?.to_str().ok().and_then(|code| code.parse().ok());
        let message = fields.get("grpc-message").map_or(&[][..], |message| message.as_bytes());
        Some(Self { code, message: clean(&percent_decoded(message)) })
    }

    pub(super) fn is_ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Why there is nothing to say of `service`.
    pub(super) fn words(&self, service: &str) -> String {
        let what = match (self.code, service) {
            (Some(UNIMPLEMENTED), _) => "it has no health service".to_owned(),
            (Some(NOT_FOUND), "") => "it does not know the health of the whole server".to_owned(),
            (Some(NOT_FOUND), service) => format!("it does not know the service {service}"),
            (Some(code), _) => match NAMES.get(code) {
                Some(name) => format!("the call ended with {name} ({code})"),
                None => format!("the call ended with {code}"),
            },
            (None, _) => "the call ended with a status that is no number".to_owned(),
        };
        if self.message.is_empty() { what } else { format!("{what}: {}", self.message) }
    }
}

/// Without control characters, and not too long.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MOST_SHOWN).collect()
}

/// What is not percent-encoded as it should be stays as it is.
fn percent_decoded(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let hex = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        rest = match hex {
            Some((high, low)) => {
                decoded.push(high * 16 + low);
                &rest[3..]
            }
            None => {
                decoded.push(*first);
                after
            }
        };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: &str, message: &str, service: &str) -> String {
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", code.parse().unwrap());
        fields.insert("grpc-message", message.parse().unwrap());
        Status::read(&fields).unwrap().words(service)
    }

    #[test]
    fn a_status_is_told_in_words() {
        for (code, message, service, expected) in [
            ("12", "unknown%20method", "x", "it has no health service: unknown method"),
            ("5", "", "x", "it does not know the service x"),
            ("5", "", "", "it does not know the health of the whole server"),
            ("14", "%1b[2Jgone", "x", "the call ended with UNAVAILABLE (14): [2Jgone"),
            ("99", "100%", "x", "the call ended with 99: 100%"),
            ("", "%zz%4", "x", "the call ended with a status that is no number: %zz%4"),
        ] {
            assert_eq!(words(code, message, service), expected);
        }
        assert!(words("2", &"x".repeat(9999), "").len() < 300);
    }

    #[test]
    fn no_status_is_none() {
        assert!(Status::read(&HeaderMap::new()).is_none());
    }
}
