//! TLS: whom we believe, what we ask for, what we agree on, and how we say what is wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::model::{ProxyVersion, Scheme};
use connect::{ConnectError, Connected, Connector, Destination, Offer, Origin, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{DEADLINE, SHORT, at, listener, talk};

/// A private certificate authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots: Arc::new(roots) }
    }

    fn issue(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key.serialize_der().try_into().unwrap())
    }

    /// What trusts this authority and has no certificate of its own.
    fn client(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn server(
    (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    alpn: &[&[u8]],
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// Connects to `address` and expects `name` there.
fn https(address: SocketAddr, name: &str, config: ClientConfig) -> Destination {
    let mut destination = at(address);
    destination.url.scheme = Scheme::Https;
    let server_name = ServerName::try_from(name.to_owned()).unwrap();
    destination.tls = Some(Tls { config: Arc::new(config), server_name });
    destination
}

/// The handshake from both sides.
async fn shake(
    listener: &TcpListener,
    config: ServerConfig,
    destination: Destination,
    offer: Offer,
) -> (Result<Connected, ConnectError>, io::Result<tokio_rustls::server::TlsStream<TcpStream>>) {
    let connector = Connector::new(destination);
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(config)).accept(stream).await
    };
    tokio::join!(connector.connect(offer, Origin::Local, DEADLINE), accepting)
}

#[track_caller]
fn assert_tls(opened: Result<Connected, ConnectError>, words: &str) {
    match opened {
        Err(ConnectError::Tls(error)) => assert!(error.to_string().contains(words), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_name_is_asked_for_and_verified() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let config = server(authority.issue("a.example", |_| {}), &[]);
    let destination = https(address, "a.example", authority.client());
    let (ours, theirs) = shake(&listener, config, destination, Offer::Http1).await;
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
    assert_eq!(theirs.get_ref().1.server_name(), Some("a.example"));
    talk(&mut ours.stream, &mut theirs).await;
}

#[tokio::test]
async fn an_address_is_verified_and_not_asked_for() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let config = server(authority.issue("127.0.0.1", |_| {}), &[]);
    let destination = https(address, "127.0.0.1", authority.client());
    let (ours, theirs) = shake(&listener, config, destination, Offer::Http1).await;
    ours.unwrap();
    // Server Name Indication is for names only (RFC 6066 section 3).
    assert_eq!(theirs.unwrap().get_ref().1.server_name(), None);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let authority = Authority::new("company");
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 2);
    };
    let early = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(4090, 1, 1);
        params.not_after = date_time_ymd(4090, 1, 2);
    };
    let (listener, address) = listener().await;
    for (identity, words) in [
        (authority.issue("a.example", expired), "the certificate expired "),
        (authority.issue("a.example", early), "the certificate is not valid yet"),
        (
            authority.issue("b.example", |_| {}),
            "the certificate is for `b.example`, not for `a.example`",
        ),
        (Authority::new("other").issue("a.example", |_| {}), "unknown issuer"),
    ] {
        let destination = https(address, "a.example", authority.client());
        let config = server(identity, &[]);
        let (ours, _) = shake(&listener, config, destination, Offer::Http1).await;
        assert_tls(ours, words);
    }
}

#[tokio::test]
async fn what_is_offered_is_agreed_on() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let (h2, h1) = both.split_at(1);
    for (offer, speaks, is_http2) in [
        (Offer::Both, both, Some(true)),
        (Offer::Both, h1, Some(false)),
        (Offer::Both, h2, Some(true)),
        (Offer::Both, &[], Some(false)),
        (Offer::Http1, both, Some(false)),
        (Offer::Http1, &[], Some(false)),
        (Offer::Http1, h2, None),
        (Offer::Http2, both, Some(true)),
        (Offer::Http2, h1, None),
        (Offer::Http2, &[], None),
    ] {
        let config = server(authority.issue("a.example", |_| {}), speaks);
        let destination = https(address, "a.example", authority.client());
        let (ours, _) = shake(&listener, config, destination, offer).await;
        match (ours, is_http2) {
            (Ok(connected), Some(expected)) => {
                assert_eq!(connected.is_http2, expected, "{offer:?} {speaks:?}");
            }
            (Err(ConnectError::Tls(error)), None) => {
                let words = error.to_string();
                assert!(words.contains("ALPN"), "{offer:?} {speaks:?}: {words}");
            }
            (other, _) => panic!("{offer:?} {speaks:?}: {other:?}"),
        }
    }
}

/// Somebody in between may answer in the clear before the backend does. nginx once took that for the
/// backend's answer (CVE-2026-1642).
#[tokio::test]
async fn plain_text_before_the_handshake_is_an_error() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let config = server(authority.issue("a.example", |_| {}), &[b"http/1.1"]);
    let backend = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        // The backend itself would shake hands.
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    let connector = Connector::new(https(address, "a.example", authority.client()));
    let opened = connector.connect(Offer::Http1, Origin::Local, DEADLINE).await;
    assert_tls(opened, "what the backend sent is not TLS");
    backend.await.unwrap();
}

#[tokio::test]
async fn a_backend_that_hangs_up_is_said_to() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let connector = Connector::new(https(address, "a.example", authority.client()));
    let backend = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Unread bytes would make it a reset.
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
    };
    let (opened, ()) =
        tokio::join!(connector.connect(Offer::Http1, Origin::Local, DEADLINE), backend);
    assert_tls(opened, "closed the connection during the handshake");
}

#[tokio::test]
async fn a_backend_that_does_not_shake_hands_is_late() {
    let authority = Authority::new("company");
    let (_listener, address) = listener().await;
    let connector = Connector::new(https(address, "a.example", authority.client()));
    let late = connector.connect(Offer::Http1, Origin::Local, SHORT).await.unwrap_err();
    assert!(matches!(late, ConnectError::Timeout(SHORT)), "{late}");
}

#[tokio::test]
async fn without_settings_nothing_is_sent_in_the_clear() {
    let (listener, address) = listener().await;
    let mut destination = https(address, "a.example", Authority::new("company").client());
    destination.tls = None;
    let connector = Connector::new(destination);
    assert_tls(connector.connect(Offer::Http1, Origin::Local, DEADLINE).await, "no TLS settings");
    let nobody = futures_util::FutureExt::now_or_never(listener.accept());
    assert!(nobody.is_none(), "it is not even connected to");
}

#[tokio::test]
async fn the_end_of_the_certificate_is_told() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let identity =
        authority.issue("a.example", |params| params.not_after = date_time_ymd(2087, 6, 5));
    let destination = https(address, "a.example", authority.client());
    let (ours, _theirs) = shake(&listener, server(identity, &[]), destination, Offer::Both).await;
    // `date -d 2087-06-05T00:00Z +%s`
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(3_705_609_600);
    assert_eq!(ours.unwrap().stream.certificate_expires(), Some(expected));
}

#[tokio::test]
async fn a_session_is_resumed_and_its_certificate_still_known() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let config = Arc::new(server(authority.issue("a.example", |_| {}), &[]));
    let connector = Connector::new(https(address, "a.example", authority.client()));
    for resumed in [false, true] {
        let accepting = async {
            let (stream, _) = listener.accept().await.unwrap();
            TlsAcceptor::from(Arc::clone(&config)).accept(stream).await
        };
        let (ours, theirs) =
            tokio::join!(connector.connect(Offer::Http1, Origin::Local, DEADLINE), accepting);
        let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
        talk(&mut ours.stream, &mut theirs).await;
        let kind = theirs.get_ref().1.handshake_kind();
        assert_eq!(kind == Some(HandshakeKind::Resumed), resumed, "{kind:?}");
        assert!(ours.stream.certificate_expires().is_some());
    }
}

#[tokio::test]
async fn the_proxy_header_comes_before_the_handshake() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let mut destination = https(address, "a.example", authority.client());
    destination.proxy_protocol = Some(ProxyVersion::V1);
    let connector = Connector::new(destination);
    let config = server(authority.issue("a.example", |_| {}), &[]);
    let accepting = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut header = [0; 15];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(&header, b"PROXY UNKNOWN\r\n");
        TlsAcceptor::from(Arc::new(config)).accept(stream).await
    };
    let (ours, theirs) =
        tokio::join!(connector.connect(Offer::Http1, Origin::Local, DEADLINE), accepting);
    talk(&mut ours.unwrap().stream, &mut theirs.unwrap()).await;
}

#[tokio::test]
async fn our_certificate_is_shown_and_its_lack_is_said_in_words() {
    let authority = Authority::new("company");
    let (listener, address) = listener().await;
    let wants = || {
        let roots = Arc::clone(&authority.roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let (certificate, key) = authority.issue("a.example", |_| {});
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap()
    };
    let (certificate, key) = authority.issue("proxy.example", |_| {});
    let shows = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(Arc::clone(&authority.roots))
        .with_client_auth_cert(vec![certificate.clone()], key)
        .unwrap();
    let destination = https(address, "a.example", shows);
    let (ours, theirs) = shake(&listener, wants(), destination, Offer::Http1).await;
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
    assert_eq!(theirs.get_ref().1.peer_certificates(), Some(&[certificate][..]));
    talk(&mut ours.stream, &mut theirs).await;

    // With TLS 1.3 the handshake is over before the backend can object (RFC 8446 section 4.4.2.4).
    let destination = https(address, "a.example", authority.client());
    let (ours, theirs) = shake(&listener, wants(), destination, Offer::Http1).await;
    assert!(theirs.is_err());
    let refused = ours.unwrap().stream.read_u8().await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    assert_eq!(refused.to_string(), "the backend wants a certificate of us, and we have none");
}
