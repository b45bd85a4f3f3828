//! Fields about certificates: of real ones, of names byte by byte, and of bytes that are neither.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use x509_parser::prelude::FromDer as _;

use super::*;
use crate::mutate::{Mutator, SEEDS, cases};

fn certificate(name: &[(DnType, &str)]) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in name {
        params.distinguished_name.push(kind.clone(), *value);
    }
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").der().clone()
}

fn fields(chain: &[CertificateDer<'_>]) -> Vec<(String, String)> {
    let certificate = ClientCertificate::new(chain).expect("a certificate");
    let mut out = Vec::new();
    certificate.write(&mut out);
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with("\r\n"));
    let mut lines: Vec<_> = text
        .split_terminator("\r\n")
        .map(|line| line.split_once(": ").expect("a field"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // The same for HTTP/2, and in the place of what the client sent.
    let mut headers = HeaderMap::new();
    for (name, _) in &lines {
        let name = HeaderName::try_from(name).unwrap();
        headers.append(name.clone(), HeaderValue::from_static("forged"));
        headers.append(name, HeaderValue::from_static("twice"));
    }
    certificate.insert(&mut headers);
    let mut http2: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
        .collect();
    http2.sort();
    lines.sort();
    assert_eq!(lines, http2);
    lines
}

#[test]
fn of_a_real_certificate() {
    let own = certificate(&[
        (DnType::CountryName, "CH"),
        (DnType::OrganizationName, "Acme, Inc."),
        (DnType::CommonName, "J\u{fc}rg"),
    ]);
    let issuer = certificate(&[(DnType::CommonName, "issuer")]);
    let fields = fields(&[own.clone(), issuer]);
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["client-cert", "x-client-cert-fingerprint", "x-client-cert-subject"]);

    let inner = fields[0].1.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
    assert_eq!(BASE64.decode(inner.expect("between colons")).expect("base64"), own.as_ref());
    let sum = digest(&SHA256, &own);
    let expected: Vec<String> = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fields[1].1, expected.concat());
    assert_eq!(fields[2].1, r"CN=J\C3\BCrg,O=Acme\, Inc.,C=CH");
}

#[test]
fn without_a_certificate_or_a_subject() {
    assert!(ClientCertificate::new(&[]).is_none());
    let fields = fields(&[certificate(&[])]);
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["client-cert", "x-client-cert-fingerprint"]);
}

#[test]
fn the_fingerprint_of_the_standard() {
    // FIPS 180, the sum of `abc`: what is no certificate has one too.
    let fields = fields(&[CertificateDer::from(b"abc".to_vec())]);
    assert_eq!(
        fields,
        [
            ("client-cert".to_owned(), ":YWJj:".to_owned()),
            (
                "x-client-cert-fingerprint".to_owned(),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
            ),
        ]
    );
}

/// One value in DER; short ones only.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).expect("short")][..], content].concat()
}

const CN: &[u8] = &[0x55, 4, 3];
const OU: &[u8] = &[0x55, 4, 11];
const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 0x19];
const UID: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
const MAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
/// 1.3.6.1.4.1.1466.0
const NAMELESS: &[u8] = &[0x2b, 6, 1, 4, 1, 0x8b, 0x3a, 0];

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const UNIVERSAL: u8 = 0x1c;
const BMP: u8 = 0x1e;

/// An attribute of a name in DER.
fn pair(kind: &[u8], tag: u8, content: &[u8]) -> Vec<u8> {
    der(0x30, &[der(6, kind), der(tag, content)].concat())
}

/// The text of a name of parts, each of attributes.
fn named(parts: &[&[Vec<u8>]]) -> String {
    let parts: Vec<_> = parts.iter().map(|pairs| der(0x31, &pairs.concat())).collect();
    let name = der(0x30, &parts.concat());
    let (rest, name) = X509Name::from_der(&name).expect("a name");
    assert!(rest.is_empty());
    subject(&name)
}

#[test]
fn subjects() {
    let net = [pair(DC, IA5, b"net")];
    let example = [pair(DC, IA5, b"example")];
    let sales = [pair(OU, UTF8, b"Sales"), pair(CN, UTF8, b"J.  Smith")];
    let common = |name: &[u8]| [pair(CN, UTF8, name)];
    // RFC 4514 section 4.
    for (parts, expected) in [
        (&[&net[..], &example, &[pair(UID, UTF8, b"jsmith")]][..], "UID=jsmith,DC=example,DC=net"),
        (&[&net, &example, &sales], "OU=Sales+CN=J.  Smith,DC=example,DC=net"),
        (
            &[&net, &example, &common(b"James \"Jim\" Smith, III")],
            r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#,
        ),
        (&[&net, &common(b"Before\rAfter")], r"CN=Before\0DAfter,DC=net"),
        (&[&[pair(NAMELESS, 4, b"Hi")]], "1.3.6.1.4.1.1466.0=#04024869"),
        (&[&common("Lu\u{10d}i\u{107}".as_bytes())], r"CN=Lu\C4\8Di\C4\87"),
        (&[&[pair(MAIL, IA5, b"a@b")]], "emailAddress=a@b"),
        (&[], ""),
    ] {
        assert_eq!(named(parts), expected);
    }
}

#[test]
fn values() {
    let cases: &[(u8, &[u8], &str)] = &[
        (UTF8, b" a ", r"CN=\ a\ "),
        (UTF8, b"  ", r"CN=\ \ "),
        (UTF8, b" ", r"CN=\ "),
        (UTF8, b"#a#", r"CN=\#a#"),
        (UTF8, b"a=b", r"CN=a\=b"),
        (UTF8, b"a+b;c<d>e\\f", r"CN=a\+b\;c\<d\>e\\f"),
        (UTF8, b"a\0\r\nX-Admin: 1\x7f", r"CN=a\00\0D\0AX-Admin: 1\7F"),
        (UTF8, b"", "CN="),
        (UTF8, b"\xff", "CN=#0c01ff"),
        (PRINTABLE, b"plain", "CN=plain"),
        (TELETEX, b"J\xfcrg", r"CN=J\C3\BCrg"),
        (BMP, b"\0J\x01\x0d", r"CN=J\C4\8D"),
        (BMP, b"\xd8\x3c\xdf\xad", r"CN=\F0\9F\8E\AD"),
        (BMP, b"\xd8\x3c", "CN=#1e02d83c"),
        (BMP, b"\0J\0", "CN=#1e03004a00"),
        (UNIVERSAL, b"\0\x01\xf3\xad", r"CN=\F0\9F\8E\AD"),
        (UNIVERSAL, b"\0\x11\0\0", "CN=#1c0400110000"),
        (4, b"Hi", "CN=#04024869"),
        // A string by its number only.
        (0x8c, b"Hi", "CN=#8c024869"),
        (0x30, b"\x0c\x00", "CN=#30020c00"),
    ];
    for (tag, content, expected) in cases {
        assert_eq!(named(&[&[pair(CN, *tag, content)]]), *expected);
    }
}

#[test]
fn what_only_we_may_send() {
    for (name, is) in [
        ("client-cert", true),
        ("client_cert", true),
        ("client-cert-chain", true),
        ("client-cert_chain", true),
        ("x-client-cert-subject", true),
        ("x_client_cert_subject", true),
        ("x-client-cert-fingerprint", true),
        ("x-client-cert-issuer", true),
        ("x-client-certificate", false),
        ("client-certificate", false),
        ("client-cert-chains", false),
        ("client", false),
        ("x-client-ip", false),
    ] {
        assert_eq!(is_about_certificate(&HeaderName::from_static(name)), is, "{name}");
    }
}

#[test]
fn no_mutation_panics_or_gets_out_as_another_field() {
    let own = certificate(&[
        (DnType::CountryName, "CH"),
        (DnType::OrganizationName, "Acme, Inc."),
        (DnType::CommonName, "J\u{fc}rg"),
    ]);
    for seed in SEEDS {
        let mut mutator = Mutator::new(seed);
        let mut understood = 0;
        for _ in 0..cases() {
            let bytes = mutator.mutate(&[&own]);
            let certificate = ClientCertificate::new(&[CertificateDer::from(bytes)]);
            let fields = certificate.expect("bytes").fields;
            understood += usize::from(fields.len() == 3);
            for (name, value) in &fields {
                let is_visible = value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
                assert!(is_visible, "{name}: {value:?}");
            }
        }
        assert!(understood > cases() / 50, "only {understood} were understood");
    }
}
