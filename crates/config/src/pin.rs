//! Pinned public keys: `sha256//` and the Base64 of a SHA-256 digest, as curl and browsers write them.

use crate::problem::quoted;
use crate::report::Complaint;

/// What a pin begins with.
const PREFIX: &str = "sha256//";
/// RFC 4648 4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// How to get one, from the certificate of a backend.
const COMMAND: &str = "openssl x509 -in backend.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64";

/// What a pin looks like, for the schema.
pub(crate) const PATTERN: &str = "^sha256//[A-Za-z0-9+/]{43}=$";

/// The digest in a pin.
pub(crate) fn parse_pin(text: &str) -> Result<[u8; 32], Complaint> {
    text.strip_prefix(PREFIX).and_then(decode).ok_or_else(|| {
        let complaint = Complaint::new(format!("{} is not a pin", quoted(text)));
        let bare = text.trim_start_matches("sha256/");
        match decode(bare) {
            Some(_) => complaint.advice(format!("write {}", quoted(&format!("{PREFIX}{bare}")))),
            None => complaint.advice(format!("write `{PREFIX}` and what this prints: {COMMAND}")),
        }
    })
}

/// A pin as a user would write it.
pub(crate) fn show_pin(digest: &[u8; 32]) -> String {
    let mut text = PREFIX.to_owned();
    for group in digest.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..4 {
            let sextet = ALPHABET[bits >> (18 - 6 * digit) & 63];
            text.push(if digit <= group.len() { char::from(sextet) } else { '=' });
        }
    }
    text
}

/// 32 bytes in Base64: 43 digits, of which the last has two bits to spare, and one `=`.
fn decode(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=').filter(|digits| digits.len() == 43)?;
    let (mut digest, mut bytes) = ([0; 32], 0..32);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            digest[bytes.next()?] = u8::try_from(bits >> held & 0xff).ok()?;
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of nothing.
    const EMPTY: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn pins_are_digests_in_base64() {
        let digest = parse_pin(EMPTY).unwrap();
        assert_eq!(digest[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(digest[28..], [0x78, 0x52, 0xb8, 0x55]);
        assert_eq!(show_pin(&digest), EMPTY);
    }

    #[test]
    fn shown_pins_read_the_same() {
        for seed in 0..=255_u8 {
            let mut digest = [seed; 32];
            for (index, byte) in digest.iter_mut().enumerate() {
                *byte = byte.wrapping_mul(31).wrapping_add(u8::try_from(index).unwrap() ^ seed);
            }
            assert_eq!(parse_pin(&show_pin(&digest)), Ok(digest));
        }
    }

    #[test]
    fn what_is_no_pin_says_how_to_get_one() {
        let advice = |text: &str| parse_pin(text).unwrap_err().advice.unwrap();
        let bare = EMPTY.trim_start_matches(PREFIX);
        assert_eq!(advice(bare), format!("write `{EMPTY}`"));
        assert_eq!(advice(&format!("sha256/{bare}")), format!("write `{EMPTY}`"));
        for bad in [
            "",
            PREFIX,
            "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==",
            "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "sha256//47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256//e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            "sha256//ü7DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ] {
            assert!(advice(bad).contains("openssl dgst -sha256"), "{bad}");
        }
    }
}
