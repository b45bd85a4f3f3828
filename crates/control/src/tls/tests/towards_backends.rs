//! Which backends are believed.

use ::aws_lc_rs::digest;
use config::model::Trust;

use super::*;

/// Whether a backend with `certificate` is believed when asked for `name`.
fn believes(tls: &UpstreamTls, certificate: &CertificateFiles, name: &str) -> Result<(), String> {
    let nothing = TlsStore::default();
    let mut builder = TlsBuilder::new(&nothing, SystemTime::now());
    let client = builder.client(tls, "services.web.tls").unwrap();
    builder.finish().unwrap();
    let (server, _) = listens(&downstream(std::slice::from_ref(certificate)), &nothing);
    shake(&client, &server, name).map(drop)
}

fn trusting(ca: PathBuf) -> UpstreamTls {
    UpstreamTls { trust: Trust::Ca(ca), ..UpstreamTls::default() }
}

/// As `openssl pkey -pubout -outform der | openssl dgst -sha256` says.
fn pin(certificate: &CertificateFiles) -> [u8; 32] {
    let key = KeyPair::from_pem(&fs::read_to_string(&certificate.key).unwrap()).unwrap();
    use rcgen::PublicKeyData as _;
    let digest = digest::digest(&digest::SHA256, &key.subject_public_key_info());
    digest.as_ref().try_into().unwrap()
}

#[test]
fn only_the_named_authority_is_trusted_and_the_name_must_match() {
    let folder = Folder::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let trusting = trusting(folder.write("ca.pem", &ours.pem));
    let (good, foreign) = (ours.issue(&folder, "a.test", 1), theirs.issue(&folder, "b.test", 1));
    assert_eq!(believes(&trusting, &good, "a.test"), Ok(()));
    assert!(believes(&trusting, &good, "other.test").is_err());
    assert!(believes(&trusting, &foreign, "b.test").is_err());
    let insecure = UpstreamTls { trust: Trust::Insecure, ..UpstreamTls::default() };
    assert_eq!(believes(&insecure, &foreign, "other.test"), Ok(()));
}

#[test]
fn the_name_to_verify_may_differ_from_the_one_asked_for() {
    let folder = Folder::new();
    let ours = Authority::new("ours");
    let certificate = ours.issue(&folder, "inside.test", 1);
    let verify_name = Some("inside.test".into());
    let tls = UpstreamTls { verify_name, ..trusting(folder.write("ca.pem", &ours.pem)) };
    assert_eq!(believes(&tls, &certificate, "asked.test"), Ok(()));
    let other = ours.issue(&folder, "asked.test", 2);
    assert!(believes(&tls, &other, "asked.test").is_err(), "asked for, but not the one to verify");
}

#[test]
fn a_pinned_key_is_wanted_besides_trust_and_instead_of_it_when_nobody_is_distrusted() {
    let folder = Folder::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let good = ours.issue(&folder, "a.test", 1);
    let foreign = theirs.issue(&folder, "b.test", 1);
    let pins =
        |pins: &[[u8; 32]], tls: &UpstreamTls| UpstreamTls { pins: pins.to_vec(), ..tls.clone() };
    let trusting = trusting(folder.write("ca.pem", &ours.pem));
    let (good_pin, foreign_pin) = (pin(&good), pin(&foreign));
    assert_eq!(believes(&pins(&[[0; 32], good_pin], &trusting), &good, "a.test"), Ok(()));
    let said = believes(&pins(&[foreign_pin], &trusting), &good, "a.test").unwrap_err();
    assert!(said.contains("not among the pinned ones"), "{said}");
    assert!(believes(&pins(&[foreign_pin], &trusting), &foreign, "b.test").is_err(), "not trusted");
    let insecure = UpstreamTls { trust: Trust::Insecure, ..UpstreamTls::default() };
    assert_eq!(believes(&pins(&[foreign_pin], &insecure), &foreign, "x.test"), Ok(()));
    assert!(believes(&pins(&[good_pin], &insecure), &foreign, "x.test").is_err());
}

#[test]
fn a_backend_that_asks_is_shown_our_certificate() {
    let folder = Folder::new();
    let ours = Authority::new("ours");
    let ca = folder.write("ca.pem", &ours.pem);
    let client_auth = Some(config::model::ClientAuth {
        ca: ca.clone(),
        mode: config::model::ClientAuthMode::Required,
        crl: Vec::new(),
    });
    let server = downstream(&[ours.issue(&folder, "a.test", 1)]);
    let (server, _) = listens(&DownstreamTls { client_auth, ..server }, &TlsStore::default());
    let shows = |certificate| {
        let tls = UpstreamTls { certificate, ..trusting(ca.clone()) };
        let nothing = TlsStore::default();
        let mut builder = TlsBuilder::new(&nothing, SystemTime::now());
        let client = builder.client(&tls, "services.web.tls").unwrap();
        let used: Vec<Usage> = builder.certificates.iter().map(|listed| listed.usage).collect();
        (shake(&client, &server, "a.test").map(|met| met.knows_client).ok(), used)
    };
    assert_eq!(shows(None), (None, vec![Usage::Authority]));
    let shown = shows(Some(ours.issue(&folder, "us", 2)));
    assert_eq!(shown, (Some(true), vec![Usage::Authority, Usage::Upstream]));
}

#[test]
fn the_same_settings_are_given_to_all_who_ask_alike_until_a_file_changes() {
    let folder = Folder::new();
    let tls = trusting(folder.write("ca.pem", &Authority::new("ours").pem));
    let named = UpstreamTls { server_name: Some("a.test".into()), ..tls.clone() };
    let pinned = UpstreamTls { pins: vec![[7; 32]], ..tls.clone() };
    let build = |old: &TlsStore| {
        let mut builder = TlsBuilder::new(old, SystemTime::now());
        let configs = [&tls, &named, &pinned].map(|tls| builder.client(tls, "x").unwrap());
        (configs, builder.finish().unwrap().0)
    };
    let ([plain, named, pinned], store) = build(&TlsStore::default());
    // The name to ask for goes with each connection.
    assert!(Arc::ptr_eq(&plain, &named) && !Arc::ptr_eq(&plain, &pinned));
    let (same, store) = build(&store);
    assert!(Arc::ptr_eq(&plain, &same[0]) && Arc::ptr_eq(&pinned, &same[2]));
    folder.write("ca.pem", &Authority::new("new").pem);
    let (other, _) = build(&store);
    assert!(!Arc::ptr_eq(&plain, &other[0]) && !Arc::ptr_eq(&pinned, &other[2]));
}
