//! Clients that show who they are, and sessions that go on or must not.

use config::model::{ClientAuth, ClientAuthMode};

use super::*;

/// A listener that asks for certificates of `ca.pem`.
fn asking(folder: &Folder, mode: ClientAuthMode, crl: &[&str]) -> DownstreamTls {
    let at = |name: &str| folder.0.path().join(name);
    let certificate = CertificateFiles { cert: at("server.pem"), key: at("server.key") };
    if !certificate.cert.exists() {
        folder.pair("server", &["a.test"]);
    }
    let crl = crl.iter().map(|name| at(name)).collect();
    let client_auth = Some(ClientAuth { ca: at("ca.pem"), mode, crl });
    DownstreamTls { client_auth, ..downstream(&[certificate]) }
}

fn with(certificate: &CertificateFiles) -> Client {
    Client { certificate: Some(certificate.clone()), ..Client::new() }
}

#[test]
fn a_client_must_or_may_show_a_certificate_and_a_shown_one_must_be_good() {
    let folder = Folder::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    folder.write("ca.pem", &ours.pem);
    let good = ours.issue(&folder, "good", 1);
    let foreign = theirs.issue(&folder, "foreign", 1);
    let met = |mode, client: &Client| {
        let (config, _) = listens(&asking(&folder, mode, &[]), &TlsStore::default());
        client.shake(&config, "a.test").map(|met| met.knows_client).ok()
    };
    use ClientAuthMode::{Optional, Required};
    for (mode, client, expected) in [
        (Required, with(&good), Some(true)),
        (Required, Client::new(), None),
        (Required, with(&foreign), None),
        (Optional, with(&good), Some(true)),
        (Optional, Client::new(), Some(false)),
        (Optional, with(&foreign), None),
    ] {
        assert_eq!(met(mode, &client), expected, "{mode:?}");
        let old = Client { versions: vec![&rustls::version::TLS12], ..client };
        assert_eq!(met(mode, &old), expected, "{mode:?}, TLS 1.2");
    }
}

#[test]
fn a_revoked_certificate_is_refused_and_an_authority_must_have_a_list() {
    let folder = Folder::new();
    let (ours, also_ours) = (Authority::new("ours"), Authority::new("also ours"));
    folder.write("ca.pem", &format!("{}{}", ours.pem, also_ours.pem));
    folder.write("crl.pem", &ours.revoke(&[2]));
    let [good, revoked] = [("good", 1), ("revoked", 2)].map(|(n, s)| ours.issue(&folder, n, s));
    let unlisted = also_ours.issue(&folder, "unlisted", 1);
    let enters = |crl: &[&str], certificate: &CertificateFiles| {
        let tls = asking(&folder, ClientAuthMode::Required, crl);
        let (config, _) = listens(&tls, &TlsStore::default());
        with(certificate).shake(&config, "a.test").is_ok()
    };
    assert_eq!([&good, &revoked, &unlisted].map(|c| enters(&[], c)), [true, true, true]);
    let with_list = [&good, &revoked, &unlisted].map(|c| enters(&["crl.pem"], c));
    assert_eq!(with_list, [true, false, false]);
    folder.write("also.pem", &also_ours.revoke(&[]));
    let both = ["crl.pem", "also.pem"];
    assert_eq!([&good, &revoked, &unlisted].map(|c| enters(&both, c)), [true, false, true]);
}

#[test]
fn a_list_that_should_have_been_replaced_is_used_with_a_warning() {
    let folder = Folder::new();
    let ours = Authority::new("ours");
    folder.write("ca.pem", &ours.pem);
    folder.write("crl.pem", &ours.revoke(&[2]));
    let tls = asking(&folder, ClientAuthMode::Required, &["crl.pem"]);
    // 2100.
    let late = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_102_444_800);
    let (_, built) = listen(&tls, &TlsStore::default(), late);
    let warnings = built.unwrap().1;
    assert!(
        warnings.iter().any(|w| w.contains("crl.pem should have been replaced")),
        "{warnings:?}"
    );
    let (_, built) = listen(&tls, &TlsStore::default(), SystemTime::now());
    assert_eq!(built.unwrap().1, Vec::<String>::new());
}

#[test]
fn a_session_goes_on_where_clients_are_authenticated_alike_and_nowhere_else() {
    let folder = Folder::new();
    let ours = Authority::new("ours");
    folder.write("ca.pem", &ours.pem);
    folder.write("other-ca.pem", &Authority::new("other").pem);
    folder.write("crl.pem", &ours.revoke(&[]));
    let required = asking(&folder, ClientAuthMode::Required, &[]);
    let anyone = DownstreamTls { client_auth: None, ..required.clone() };
    let modern = DownstreamTls { policy: TlsPolicy::Modern, ..required.clone() };
    let optional = asking(&folder, ClientAuthMode::Optional, &[]);
    let revoking = asking(&folder, ClientAuthMode::Required, &["crl.pem"]);
    let mut elsewhere = required.clone();
    if let Some(auth) = &mut elsewhere.client_auth {
        auth.ca = folder.0.path().join("other-ca.pem");
        auth.mode = ClientAuthMode::Optional;
    }
    let nothing = TlsStore::default();
    let mut builder = TlsBuilder::new(&nothing, SystemTime::now());
    let mut server = |tls: &DownstreamTls| builder.server(tls, true, "x").unwrap();
    let [required, anyone, modern, optional, revoking, elsewhere] =
        [&required, &anyone, &modern, &optional, &revoking, &elsewhere].map(&mut server);

    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let resumes = |first: &Arc<ServerConfig>, second: &Arc<ServerConfig>| {
            let certificate = ours.issue(&folder, "client", 7);
            let client = Client { versions: vec![version], ..with(&certificate) }.config();
            shake(&client, first, "a.test").unwrap();
            // Refused is not resumed either.
            shake(&client, second, "a.test").is_ok_and(|met| met.resumed)
        };
        assert!(resumes(&required, &required), "{version:?}");
        assert!(resumes(&anyone, &anyone), "{version:?}");
        for other in [&anyone, &optional, &revoking] {
            assert!(!resumes(&required, other), "{version:?}");
            assert!(!resumes(other, &required), "{version:?}");
        }
        // Of another authority: only who shows nothing gets in.
        let client = Client { versions: vec![version], ..Client::new() }.config();
        shake(&client, &optional, "a.test").unwrap();
        assert!(!shake(&client, &elsewhere, "a.test").unwrap().resumed, "{version:?}");
    }
    assert!(Arc::ptr_eq(&required.ticketer, &modern.ticketer));
}

#[test]
fn a_list_that_has_changed_ends_the_sessions_that_the_old_one_allowed() {
    let folder = Folder::new();
    let ours = Authority::new("ours");
    folder.write("ca.pem", &ours.pem);
    folder.write("crl.pem", &ours.revoke(&[]));
    let tls = asking(&folder, ClientAuthMode::Required, &["crl.pem"]);
    let (before, store) = listens(&tls, &TlsStore::default());
    let client = with(&ours.issue(&folder, "client", 7)).config();
    assert!(!shake(&client, &before, "a.test").unwrap().resumed);
    assert!(shake(&client, &before, "a.test").unwrap().resumed);
    folder.write("crl.pem", &ours.revoke(&[7]));
    let (after, _) = listens(&tls, &store);
    let said = shake(&client, &after, "a.test").unwrap_err();
    assert!(said.to_lowercase().contains("revoked"), "{said}");
}

#[test]
fn sessions_go_on_when_the_certificate_or_the_policy_has_changed() {
    let folder = Folder::new();
    let tls = downstream(&[folder.pair("a", &["a.test"])]);
    let (before, store) = listens(&tls, &TlsStore::default());
    let client = Client::new().config();
    shake(&client, &before, "a.test").unwrap();
    folder.pair("a", &["a.test"]);
    let (after, _) = listens(&DownstreamTls { policy: TlsPolicy::Modern, ..tls }, &store);
    assert!(shake(&client, &after, "a.test").unwrap().resumed);
}
