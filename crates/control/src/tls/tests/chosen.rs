//! What a client is shown, and how they talk.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use super::*;

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let folder = Folder::new();
    let mut only_common = params(&[]);
    only_common.distinguished_name.push(DnType::CommonName, "common.test");
    let mut also_common = params(&["alternative.test"]);
    also_common.distinguished_name.push(DnType::CommonName, "not-this.test");
    let key = || KeyPair::generate().unwrap();
    let tls = downstream(&[
        folder.pair("default", &["first.test"]),
        folder.pair("wild", &["*.wild.test"]),
        folder.pair("exact", &["exact.wild.test"]),
        folder.pair_of("common", &only_common, &key()),
        folder.pair_of("both", &also_common, &key()),
    ]);
    let (config, _) = listens(&tls, &TlsStore::default());
    for (asked, shown) in [
        ("first.test", "first.test"),
        ("FIRST.Test", "first.test"),
        ("a.wild.test", "*.wild.test"),
        ("exact.wild.test", "exact.wild.test"),
        // A wildcard stands for one label, and not for none (RFC 6125 6.4.3).
        ("a.b.wild.test", "first.test"),
        ("wild.test", "first.test"),
        ("common.test", "common.test"),
        ("alternative.test", "alternative.test"),
        // The common name counts only without alternatives.
        ("not-this.test", "first.test"),
        ("unknown.test", "first.test"),
        // An address is no name to ask for: no SNI.
        ("127.0.0.1", "first.test"),
    ] {
        assert_eq!(Client::new().shake(&config, asked).unwrap().names(), [shown], "{asked}");
    }
}

#[test]
fn of_two_kinds_of_keys_for_one_name_a_client_gets_what_it_understands() {
    let folder = Folder::new();
    let pair = |stem: &str, name: &str, algorithm| {
        folder.pair_of(stem, &params(&[name]), &KeyPair::generate_for(algorithm).unwrap())
    };
    let tls = downstream(&[
        pair("rsa", "a.test", &PKCS_RSA_SHA256),
        pair("ecdsa", "a.test", &PKCS_ECDSA_P256_SHA256),
        pair("other", "b.test", &PKCS_ECDSA_P256_SHA256),
    ]);
    let (config, _) = listens(&tls, &TlsStore::default());
    let is_rsa = |client: &Client, name: &str| {
        let met = client.shake(&config, name).unwrap();
        let shown = met.shown.as_ref();
        let rsa_encryption = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        (shown.windows(9).any(|window| window == rsa_encryption), met.names())
    };
    let (a, b) = (vec!["a.test".to_owned()], vec!["b.test".to_owned()]);
    let only = |schemes: &[SignatureScheme]| Client { schemes: schemes.to_vec(), ..Client::new() };
    let rsa = only(&[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]);
    let ecdsa = only(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
    // The cheaper one for those who understand both.
    assert_eq!(is_rsa(&Client::new(), "a.test"), (false, a.clone()));
    assert_eq!(is_rsa(&rsa, "a.test"), (true, a.clone()));
    assert_eq!(is_rsa(&ecdsa, "a.test"), (false, a.clone()));
    assert_eq!(is_rsa(&ecdsa, "unknown.test"), (false, a.clone()));
    assert_eq!(is_rsa(&rsa, "unknown.test"), (true, a.clone()));
    // None for this name: better the default than nothing.
    assert_eq!(is_rsa(&rsa, "b.test"), (true, a.clone()));
    assert_eq!(is_rsa(&ecdsa, "b.test"), (false, b));
    let old = Client { versions: vec![&rustls::version::TLS12], ..rsa };
    assert_eq!(is_rsa(&old, "a.test"), (true, a));
    let neither = only(&[SignatureScheme::ED25519]);
    assert!(neither.shake(&config, "a.test").is_err());
}

#[test]
fn the_policy_says_which_versions() {
    let folder = Folder::new();
    let intermediate = downstream(&[folder.pair("a", &["a.test"])]);
    let modern = DownstreamTls { policy: TlsPolicy::Modern, ..intermediate.clone() };
    let old = Client { versions: vec![&rustls::version::TLS12], ..Client::new() };
    let version = |tls: &DownstreamTls, client: &Client| {
        let (config, _) = listens(tls, &TlsStore::default());
        client.shake(&config, "a.test").map(|met| met.version).ok()
    };
    let (tls12, tls13) = (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3);
    assert_eq!(version(&intermediate, &Client::new()), Some(tls13));
    assert_eq!(version(&intermediate, &old), Some(tls12));
    assert_eq!(version(&modern, &Client::new()), Some(tls13));
    assert_eq!(version(&modern, &old), None);
}

#[test]
fn every_suite_of_tls_1_2_is_ephemeral_and_authenticated() {
    let folder = Folder::new();
    let (config, _) = listens(&downstream(&[folder.pair("a", &["a"])]), &TlsStore::default());
    for suite in &config.crypto_provider().cipher_suites {
        let name = format!("{:?}", suite.suite());
        let is_aead = name.contains("GCM") || name.contains("CHACHA20_POLY1305");
        assert!(is_aead && (name.starts_with("TLS13_") || name.contains("ECDHE")), "{name}");
    }
    assert_eq!(config.max_early_data_size, 0);
    assert!(!config.session_storage.can_cache(), "sessions are in tickets only");
}

#[test]
fn http_2_is_offered_unless_it_is_off() {
    let folder = Folder::new();
    let tls = downstream(&[folder.pair("a", &["a.test"])]);
    let nothing = TlsStore::default();
    let mut builder = TlsBuilder::new(&nothing, SystemTime::now());
    let [with, without] = [true, false].map(|http2| builder.server(&tls, http2, "x").unwrap());
    let agreed = |config, protocols: &[&'static [u8]]| {
        let client = Client { protocols: protocols.to_vec(), ..Client::new() };
        client.shake(config, "a.test").ok().and_then(|met| met.protocol)
    };
    let (h1, h2): (&[u8], &[u8]) = (b"http/1.1", b"h2");
    assert_eq!(agreed(&with, &[h1, h2]).as_deref(), Some(h2));
    assert_eq!(agreed(&with, &[h1]).as_deref(), Some(h1));
    assert_eq!(agreed(&with, &[]), None);
    assert_eq!(agreed(&without, &[h2, h1]).as_deref(), Some(h1));
}
