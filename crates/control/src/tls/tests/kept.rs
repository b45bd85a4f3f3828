//! What stays from one config to the next, and what is said of bad files.

use std::time::Duration;

use config::model::{ClientAuth, ClientAuthMode};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(year: i32, month: u8, day: u8) -> SystemTime {
    date_time_ymd(year, month, day).into()
}

/// A certificate for `a.test` that is valid from 2020 until the beginning of `year`.
fn until(folder: &Folder, year: i32) -> CertificateFiles {
    let mut params = params(&["a.test"]);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    folder.pair_of("a", &params, &KeyPair::generate().unwrap())
}

#[test]
fn settings_stay_the_same_ones_until_a_file_changes() {
    let folder = Folder::new();
    let tls = downstream(&[folder.pair("a", &["a.test"])]);
    let (first, store) = listens(&tls, &TlsStore::default());
    let (same, store) = listens(&tls, &store);
    assert!(Arc::ptr_eq(&first, &same));
    folder.pair("a", &["a.test"]);
    let (other, after) = listens(&tls, &store);
    assert!(!Arc::ptr_eq(&first, &other));
    assert_eq!(after.changed_from(&store), [tls.certificates[0].cert.clone()]);
    assert_eq!(after.refused(), []);
    let (back, _) = listens(&tls, &after);
    assert!(Arc::ptr_eq(&other, &back));
}

#[test]
fn a_bad_pair_is_refused_with_what_is_wrong_and_keeps_the_old_one() {
    let folder = Folder::new();
    let tls = downstream(&[folder.pair("a", &["a.test"])]);
    let CertificateFiles { cert, key } = tls.certificates[0].clone();
    let [good_cert, good_key] = [&cert, &key].map(|file| fs::read_to_string(file).unwrap());
    let other = folder.pair("other", &["other.test"]);
    let other_key = fs::read_to_string(&other.key).unwrap();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &good_cert[..good_cert.len() / 2];
    let (config, store) = listens(&tls, &TlsStore::default());
    for (bad_cert, bad_key, place, said) in [
        ("", &*good_key, "cert", "a.pem cannot be used: there is no `BEGIN CERTIFICATE` in it"),
        (&good_key, &good_cert, "cert", "in it; it has a private key"),
        (broken, &good_key, "cert", "a.pem cannot be used: certificate 1 in it cannot be read"),
        (cut, &good_key, "cert", "a.pem cannot be used: "),
        (&good_cert, "", "key", "a.key cannot be used: there is no private key in it"),
        (&good_cert, encrypted, "key", "store it without a passphrase"),
        (&good_cert, &other_key, "key", "a.key is not the private key of "),
    ] {
        folder.write("a.pem", bad_cert);
        folder.write("a.key", bad_key);
        let (_, built) = listen(&tls, &TlsStore::default(), SystemTime::now());
        let problems = built.unwrap_err();
        assert_eq!(problems.len(), 1);
        let problem = problems[0].to_string();
        assert!(problem.contains(said), "{problem}");
        let place = format!("listeners[0].tls.certificates[0].{place}: ");
        assert!(problem.starts_with(&place), "{problem}");

        let (kept, bad) = listens(&tls, &store);
        assert!(Arc::ptr_eq(&config, &kept), "{said}");
        assert_eq!(bad.refused().len(), 1, "{said}");
        assert!(bad.refused()[0].why.contains(said), "{:?}", bad.refused());
        // The same again is nothing new; what was good is still there to be kept.
        let (kept, again) = listens(&tls, &bad);
        assert!(Arc::ptr_eq(&config, &kept), "{said}");
        assert_eq!(again.refused(), bad.refused());
    }
    folder.write("a.pem", &good_cert);
    folder.write("a.key", &good_key);
    let (back, store) = listens(&tls, &store);
    assert!(Arc::ptr_eq(&config, &back));
    fs::remove_file(&cert).unwrap();
    let (kept, gone) = listens(&tls, &store);
    assert!(Arc::ptr_eq(&config, &kept));
    assert!(gone.refused()[0].why.starts_with("cannot read"), "{:?}", gone.refused());
}

#[test]
fn a_bad_authority_or_list_keeps_the_old_one_while_the_rest_takes_effect() {
    let folder = Folder::new();
    let ours = Authority::new("ours");
    let ca = folder.write("ca.pem", &ours.pem);
    let crl = vec![folder.write("crl.pem", &ours.revoke(&[2]))];
    let client_auth = Some(ClientAuth { ca, mode: ClientAuthMode::Required, crl });
    let certificates = downstream(&[folder.pair("a", &["a.test"])]);
    let tls = DownstreamTls { client_auth, ..certificates };
    let (_, store) = listens(&tls, &TlsStore::default());
    folder.write("ca.pem", "nonsense");
    folder.write("crl.pem", &ours.pem);
    folder.pair("a", &["new.test"]);
    let (config, store) = listens(&tls, &store);
    let files: Vec<_> = store.refused().iter().map(|r| r.file.file_name().unwrap()).collect();
    assert_eq!(files, ["ca.pem", "crl.pem"]);
    let [good, revoked] = [("good", 1), ("revoked", 2)].map(|(name, serial)| Client {
        certificate: Some(ours.issue(&folder, name, serial)),
        ..Client::new()
    });
    assert_eq!(good.shake(&config, "a.test").unwrap().names(), ["new.test"]);
    assert!(revoked.shake(&config, "a.test").is_err());
}

#[test]
fn an_expired_certificate_is_taken_with_a_warning_unless_it_would_replace_a_valid_one() {
    let folder = Folder::new();
    let now = at(2026, 1, 1);
    let tls = downstream(&[until(&folder, 2025)]);
    let (_, built) = listen(&tls, &TlsStore::default(), now);
    let (expired, warnings) = built.unwrap();
    assert!(warnings[0].contains("a.test") && warnings[0].ends_with("has expired"), "{warnings:?}");

    until(&folder, 2024);
    let (_, built) = listen(&tls, &expired, now);
    let (also_expired, warnings) = built.unwrap();
    assert_eq!(also_expired.refused(), [], "no worse than the one before");
    assert_eq!(warnings.len(), 1);

    until(&folder, 2030);
    let (_, built) = listen(&tls, &also_expired, now);
    let (valid, warnings) = built.unwrap();
    assert_eq!((valid.refused(), warnings), (&[][..], Vec::new()));
    assert_eq!(valid.certificates()[0].ends, at(2030, 1, 1));

    until(&folder, 2025);
    let (_, built) = listen(&tls, &valid, now);
    let (kept, _) = built.unwrap();
    assert!(kept.refused()[0].why.contains("has expired"), "{:?}", kept.refused());
    assert_eq!(kept.certificates()[0].ends, at(2030, 1, 1));
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place_and_once_per_file() {
    let folder = Folder::new();
    let good = folder.pair("good", &["a.test"]);
    let missing = |name: &str| folder.0.path().join(name);
    let bad = CertificateFiles { cert: missing("no.pem"), key: good.key.clone() };
    let client_auth = Some(ClientAuth {
        ca: missing("no-ca.pem"),
        mode: ClientAuthMode::Required,
        crl: vec![missing("no-crl.pem")],
    });
    let tls = DownstreamTls { client_auth, ..downstream(&[good, bad]) };
    let upstream = UpstreamTls {
        trust: config::model::Trust::Ca(missing("no-ca.pem")),
        certificate: Some(CertificateFiles { cert: missing("b.pem"), key: missing("b.key") }),
        ..UpstreamTls::default()
    };
    let nothing = TlsStore::default();
    let mut builder = TlsBuilder::new(&nothing, SystemTime::now());
    assert!(builder.server(&tls, true, "listeners[2].tls").is_none());
    assert!(builder.client(&upstream, "services.web.tls").is_none());
    let problems = builder.finish().unwrap_err();
    let places: Vec<_> = problems.iter().map(|problem| &*problem.place).collect();
    assert_eq!(
        places,
        [
            "listeners[2].tls.certificates[1].cert",
            "listeners[2].tls.client_auth.ca",
            "services.web.tls.certificate.cert",
        ]
    );
}

#[test]
fn a_key_that_others_may_read_is_warned_of_once() {
    let folder = Folder::new();
    let tls = downstream(&[folder.pair("a", &["a.test"])]);
    fs::set_permissions(&tls.certificates[0].key, fs::Permissions::from_mode(0o640)).unwrap();
    let (_, built) = listen(&tls, &TlsStore::default(), SystemTime::now());
    let (store, warnings) = built.unwrap();
    assert!(warnings[0].contains("a.key (mode 640)"), "{warnings:?}");
    let (_, built) = listen(&tls, &store, SystemTime::now());
    assert_eq!(built.unwrap().1, Vec::<String>::new());
}

#[test]
fn a_certificate_is_complained_of_three_weeks_before_it_expires() {
    let folder = Folder::new();
    let (_, store) = listens(&downstream(&[until(&folder, 2030)]), &TlsStore::default());
    let certificate = &store.certificates()[0];
    assert_eq!(
        (certificate.usage, &certificate.names[..]),
        (Usage::Listener, &["a.test".into()][..])
    );
    let said = |now| {
        certificate.complaint(now).map(|said| said.replace(&*folder.0.path().to_string_lossy(), ""))
    };
    let end = at(2030, 1, 1);
    let what = "the certificate of a.test in /a.pem";
    assert_eq!(said(end - 21 * DAY), None);
    assert_eq!(
        said(end - 21 * DAY + Duration::from_secs(1)),
        Some(format!("{what} expires in 20 days"))
    );
    assert_eq!(said(end - DAY), Some(format!("{what} expires in 1 day")));
    assert_eq!(said(end - Duration::from_secs(1)), Some(format!("{what} expires within a day")));
    assert_eq!(said(end), Some(format!("{what} has expired")));
    assert_eq!(said(at(2019, 1, 1)), Some(format!("{what} is not valid yet")));
    let days = |now| certificate.days_left(now);
    assert_eq!(
        [days(end - DAY), days(end - DAY / 2), days(end), days(end + DAY / 2)],
        [1, 0, 0, -1]
    );
}

/// What is no file would feed us, or keep us waiting, for ever.
#[test]
fn a_device_in_the_place_of_a_certificate_is_refused() {
    let folder = Folder::new();
    let mut files = folder.pair("a", &["a.test"]);
    files.cert = "/dev/zero".into();
    let (_, built) = listen(&downstream(&[files]), &TlsStore::default(), SystemTime::now());
    let problems = built.unwrap_err();
    let said = problems[0].to_string();
    assert!(said.contains("cannot read /dev/zero: it is not a regular file"), "{said}");
}
