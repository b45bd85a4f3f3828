//! What backends are told about a client's certificate: the certificate (RFC 9440), whose it is (RFC
//! 4514), and its fingerprint.
//!
//! It has been verified before it comes here; nothing is verified here. A client's own fields of
//! these names are dropped by `head.rs`.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, Class, Tag, ToDer};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate, X509Name};

/// The certificate itself (RFC 9440 section 2.2).
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// The subject.
const SUBJECT: HeaderName = HeaderName::from_static("x-client-cert-subject");
/// SHA-256 of the certificate, in hexadecimal.
const FINGERPRINT: HeaderName = HeaderName::from_static("x-client-cert-fingerprint");

/// The types of attributes that have a name (RFC 4514 section 3, RFC 4519, and the one for mail that
/// everybody uses); others are written as numbers.
const NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "sn"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "givenName"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The fields about the verified certificate of one connection; made once for all its requests.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl ClientCertificate {
    /// Of a verified chain, whose first certificate is the client's own. `None` if there is none.
    /// What cannot be understood, or a subject that is empty, gives no field.
    pub(crate) fn new(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let certificate = chain.first()?;
        let mut fields = vec![
            (CLIENT_CERT, format!(":{}:", BASE64.encode(certificate))),
            (FINGERPRINT, hexadecimal(digest(&SHA256, certificate).as_ref())),
        ];
        if let Ok((_, parsed)) = X509Certificate::from_der(certificate) {
            fields.push((SUBJECT, subject(parsed.subject())));
        }
        let fields = fields.into_iter().filter(|(_, text)| !text.is_empty());
        // Made of visible ASCII and blanks: no field is lost here.
        let fields = fields.filter_map(|(name, text)| Some((name, text.try_into().ok()?)));
        Some(Self { fields: fields.collect() })
    }

    /// Writes the fields for a backend of HTTP/1.1.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.fields {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }

    /// Puts the fields among those for a backend of HTTP/2, in the place of any that are there.
    pub(crate) fn insert(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.fields {
            headers.insert(name, value.clone());
        }
    }
}

/// Whether a field of a client is one that only we may send: also when there is no certificate.
pub(crate) fn is_about_certificate(name: &HeaderName) -> bool {
    // The chain is not sent (RFC 9440 section 2.3 leaves it to us); a client's would be believed.
    let name = name.as_str().as_bytes();
    let same = |other: &[u8]| {
        name.len() >= other.len()
            && name.iter().zip(other).all(|(byte, wanted)| match wanted {
                b'-' => matches!(byte, b'-' | b'_'),
                _ => byte == wanted,
            })
    };
    same(b"x-client-cert-")
        || (name.len() == b"client-cert".len() && same(b"client-cert"))
        || (name.len() == b"client-cert-chain".len() && same(b"client-cert-chain"))
}

/// The name as RFC 4514 section 2 writes it: the last part first.
fn subject(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

/// `type=value` (RFC 4514 sections 2.3 and 2.4). A type without a name, or a value that is no text,
/// is written as it is encoded.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    let name = NAMES.iter().find(|(other, _)| *other == number).map(|(_, name)| *name);
    if let (Some(name), Some(text)) = (name, text(value)) {
        return format!("{name}={}", escaped(&text));
    }
    let encoded = value.to_der_vec().unwrap_or_default();
    format!("{}=#{}", name.unwrap_or(&number), hexadecimal(&encoded))
}

/// A string of any of the kinds there are. T.61 is read as ISO 8859-1, as everybody does.
fn text(value: &Any<'_>) -> Option<String> {
    let data = value.data;
    match value.tag() {
        _ if value.class() != Class::Universal => None,
        Tag::Utf8String | Tag::NumericString | Tag::PrintableString | Tag::Ia5String => {
            str::from_utf8(data).ok().map(str::to_owned)
        }
        Tag::T61String => Some(data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString if data.len().is_multiple_of(2) => {
            let units = data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        Tag::UniversalString if data.len().is_multiple_of(4) => data
            .chunks_exact(4)
            .map(|four| char::from_u32(u32::from_be_bytes([four[0], four[1], four[2], four[3]])))
            .collect(),
        _ => None,
    }
}

/// RFC 4514 section 2.4. Everything but visible ASCII and the blank is written in hexadecimal too,
/// which it allows: so that it can be in a field, and nowhere looks like anything else.
fn escaped(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_special = b"\"+,;<>\\=".contains(&byte)
            || (at == 0 && matches!(byte, b'#' | b' '))
            || (at == last && byte == b' ');
        if is_special {
            escaped.push('\\');
            escaped.push(char::from(byte));
        } else if matches!(byte, b' '..=b'~') {
            escaped.push(char::from(byte));
        } else {
            // Cannot fail: the text grows.
            let _ = write!(escaped, "\\{byte:02X}");
        }
    }
    escaped
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
