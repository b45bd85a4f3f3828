//! Whom a probe over TLS believes.

use std::net::SocketAddr;
use std::sync::Arc;

use config::model::{Scheme, UpstreamProtocol};
use connect::Tls;
use health::{Cause, Outcome, Subject};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::{
    DEADLINE, OK, UNAVAILABLE, backend, outcome, read_request, start, subject, until_closed,
};

/// A private certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots: Arc::new(roots) }
    }

    pub(crate) fn issue(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key.serialize_der().try_into().unwrap())
    }

    /// What trusts this authority.
    pub(crate) fn client(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth()
    }

    /// A backend that answers over TLS as `name`.
    async fn backend(&self, name: &str) -> SocketAddr {
        let (certificate, key) = self.issue(name);
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        serve(config).await
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

async fn serve(config: ServerConfig) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    backend(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                read_request(&mut stream).await;
                let _ = stream.write_all(OK.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await
}

/// Connects to `address` and expects `name` there.
pub(crate) fn https(address: SocketAddr, name: &str, config: ClientConfig) -> Subject {
    let mut subject = subject(address);
    subject.destination.url.scheme = Scheme::Https;
    let server_name = ServerName::try_from(name.to_owned()).unwrap();
    subject.destination.tls = Some(Tls { config: Arc::new(config), server_name });
    subject
}

#[track_caller]
pub(crate) fn assert_tls(outcome: &Outcome, why: &str) {
    match outcome {
        Outcome::Fail(Cause::Tls(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_private_authority_passes() {
    let authority = Authority::new("company");
    let address = authority.backend("lm1.example").await;
    let by_name = https(address, "lm1.example", authority.client());
    assert_eq!(outcome(by_name).await, Outcome::Pass);

    let address = authority.backend("127.0.0.1").await;
    let by_address = https(address, "127.0.0.1", authority.client());
    assert_eq!(outcome(by_address).await, Outcome::Pass);
}

#[tokio::test]
async fn another_authority_is_not_believed() {
    let address = Authority::new("company").backend("lm1.example").await;
    let subject = https(address, "lm1.example", Authority::new("other").client());
    assert_tls(&outcome(subject).await, "unknown issuer");
}

#[tokio::test]
async fn another_name_is_not_believed() {
    let authority = Authority::new("company");
    let address = authority.backend("lm1.example").await;
    let subject = https(address, "lm2.example", authority.client());
    assert_tls(&outcome(subject).await, "lm2.example");
}

#[tokio::test]
async fn insecure_believes_anybody() {
    let address = Authority::new("company").backend("lm1.example").await;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    assert_eq!(outcome(https(address, "lm2.example", config)).await, Outcome::Pass);
}

#[tokio::test]
async fn plain_text_fails_the_handshake() {
    let address = backend(|_, mut stream| async move {
        let _ = stream.write_all(UNAVAILABLE.as_bytes()).await;
        until_closed(&mut stream).await;
    })
    .await;
    let subject = https(address, "lm1.example", Authority::new("company").client());
    assert_tls(&outcome(subject).await, "");
}

#[tokio::test]
async fn https_without_settings_fails() {
    let authority = Authority::new("company");
    let mut subject =
        https(authority.backend("lm1.example").await, "lm1.example", authority.client());
    subject.destination.tls = None;
    assert_tls(&outcome(subject).await, "settings");
}

#[tokio::test]
async fn a_backend_that_wants_a_certificate_of_us_refuses_by_tls() {
    let authority = Authority::new("company");
    for (protocol, alpn) in [(UpstreamProtocol::Http1, "http/1.1"), (UpstreamProtocol::Http2, "h2")]
    {
        let (certificate, key) = authority.issue("lm1.example");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&authority.roots), provider());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let mut subject = https(serve(config).await, "lm1.example", authority.client());
        subject.protocol = protocol;
        assert_tls(&outcome(subject).await, "wants a certificate of us");
    }
}

#[tokio::test]
async fn every_probe_sees_the_certificate_anew() {
    let authority = Authority::new("company");
    let (certificate, key) = authority.issue("lm1.example");
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sender, mut kinds) = mpsc::channel(64);
    let address = backend(move |_, stream| {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = sender.try_send(stream.get_ref().1.handshake_kind());
        }
    })
    .await;
    let (_prober, _reports) = start(https(address, "lm1.example", authority.client()));
    for _ in 0..3 {
        let kind = timeout(DEADLINE, kinds.recv()).await.expect("in time").unwrap();
        assert!(
            matches!(kind, Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)),
            "{kind:?}"
        );
    }
}

/// Stands for `insecure: true`.
#[derive(Debug)]
struct Anybody;

impl Anybody {
    fn schemes() -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}
