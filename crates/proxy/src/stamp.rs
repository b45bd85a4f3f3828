//! The epoch field: tells a backend under which epoch we believe it to be active, so that what it
//! writes to elsewhere can refuse an active of the past. Clients cannot say it.

use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field of one epoch, ready to be written.
#[derive(Debug)]
pub(crate) struct Stamp {
    name: HeaderName,
    value: HeaderValue,
    /// As a line of HTTP/1.1.
    line: Vec<u8>,
}

impl Stamp {
    pub(crate) fn new(name: &HeaderName, epoch: u64) -> Rc<Self> {
        let line = format!("{name}: {epoch}\r\n").into_bytes();
        Rc::new(Self { name: name.clone(), value: HeaderValue::from(epoch), line })
    }

    /// Whether a field of this name could pass for ours: `_` and `-` are the same to many
    /// applications. Names are lower case.
    pub(crate) fn is_claimed_by(&self, name: &HeaderName) -> bool {
        let (claim, own) = (name.as_str().as_bytes(), self.name.as_str().as_bytes());
        let plain = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
        claim.len() == own.len() && claim.iter().map(plain).eq(own.iter().map(plain))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.line);
    }

    pub(crate) fn insert(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }

    /// Takes out what could pass for it.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        let claims = headers.keys().filter(|name| self.is_claimed_by(name));
        for claim in claims.cloned().collect::<Vec<_>>() {
            headers.remove(claim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_a_claim() {
        let stamp = Stamp::new(&HeaderName::from_static("x-under_study-epoch"), 7);
        let claims = ["x-under_study-epoch", "X-Under-Study-Epoch", "x_under_study_epoch"];
        for claim in claims {
            assert!(stamp.is_claimed_by(&HeaderName::try_from(claim).expect("a name")), "{claim}");
        }
        let others = ["x-under-study-epoch-", "x-under-study-epoc", "x-under.study-epoch", "x"];
        for other in others {
            assert!(!stamp.is_claimed_by(&HeaderName::try_from(other).expect("a name")), "{other}");
        }
    }
}
