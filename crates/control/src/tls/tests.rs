//! Settings from real files, and handshakes in memory: who is chosen, who is let in, what stays.

mod chosen;
mod clients;
mod kept;
mod towards_backends;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use config::model::TlsPolicy;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConnection, DigitallySignedStruct, HandshakeKind, ProtocolVersion, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};
use tempfile::TempDir;

use super::*;

/// A folder with certificates.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A certificate for `names` that vouches for itself, and its key.
    fn pair(&self, stem: &str, names: &[&str]) -> CertificateFiles {
        self.pair_of(stem, &params(names), &KeyPair::generate().unwrap())
    }

    fn pair_of(&self, stem: &str, params: &CertificateParams, key: &KeyPair) -> CertificateFiles {
        let cert = params.self_signed(key).unwrap().pem();
        self.files(stem, &cert, key)
    }

    fn files(&self, stem: &str, cert: &str, key: &KeyPair) -> CertificateFiles {
        CertificateFiles {
            cert: self.write(&format!("{stem}.pem"), cert),
            key: self.write(&format!("{stem}.key"), &key.serialize_pem()),
        }
    }
}

/// Issues certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, folder: &Folder, name: &str, serial: u64) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[name]);
        params.serial_number = Some(SerialNumber::from(serial));
        folder.files(name, &params.signed_by(&key, &self.issuer).unwrap().pem(), &key)
    }

    /// The list of what is revoked; it is to be replaced in 2090.
    fn revoke(&self, serials: &[u64]) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

fn downstream(certificates: &[CertificateFiles]) -> DownstreamTls {
    let certificates = certificates.to_vec();
    DownstreamTls { certificates, policy: TlsPolicy::Intermediate, client_auth: None }
}

/// What came of building the settings of one listener after `old`.
type Built = Result<(TlsStore, Vec<String>), Vec<TlsProblem>>;

fn listen(
    tls: &DownstreamTls,
    old: &TlsStore,
    now: SystemTime,
) -> (Option<Arc<ServerConfig>>, Built) {
    let mut builder = TlsBuilder::new(old, now);
    let config = builder.server(tls, true, "listeners[0].tls");
    (config, builder.finish())
}

fn listens(tls: &DownstreamTls, old: &TlsStore) -> (Arc<ServerConfig>, TlsStore) {
    let (config, built) = listen(tls, old, SystemTime::now());
    let (store, _) = built.unwrap_or_else(|problems| panic!("{problems:?}"));
    (config.unwrap(), store)
}

/// A client that takes whatever it is shown.
#[derive(Clone)]
struct Client {
    versions: Vec<&'static SupportedProtocolVersion>,
    /// Signatures that it understands.
    schemes: Vec<SignatureScheme>,
    protocols: Vec<&'static [u8]>,
    certificate: Option<CertificateFiles>,
}

impl Client {
    fn new() -> Self {
        let all = aws_lc_rs::default_provider().signature_verification_algorithms;
        Self {
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            schemes: all.supported_schemes(),
            protocols: Vec::new(),
            certificate: None,
        }
    }

    fn config(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything(self.schemes.clone())));
        let mut config = match &self.certificate {
            Some(files) => {
                let provider = aws_lc_rs::default_provider();
                let nothing = Files::default();
                let mut loader = Loader::new(&nothing, SystemTime::now());
                let pair = loader.pair(files, &provider).unwrap();
                let ours = rustls::sign::SingleCertAndKey::from(Arc::clone(&pair.value));
                builder.with_client_cert_resolver(Arc::new(ours))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols.iter().map(|p| p.to_vec()).collect();
        Arc::new(config)
    }

    fn shake(&self, server: &Arc<ServerConfig>, name: &str) -> Result<Met, String> {
        shake(&self.config(), server, name)
    }
}

#[derive(Debug)]
struct Anything(Vec<SignatureScheme>);

impl ServerCertVerifier for Anything {
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
        self.0.clone()
    }
}

/// What came of a handshake.
#[derive(Debug)]
struct Met {
    /// What the server showed.
    shown: CertificateDer<'static>,
    version: ProtocolVersion,
    protocol: Option<Vec<u8>>,
    resumed: bool,
    /// Whether the client showed a certificate.
    knows_client: bool,
}

impl Met {
    fn names(&self) -> Vec<String> {
        let facts = certificate::facts(Path::new(""), std::slice::from_ref(&self.shown)).unwrap();
        facts[0].names.clone()
    }
}

/// A handshake in memory; goes on until nobody has anything to say, tickets included.
fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<Met, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        let mut there = &there[..];
        while !there.is_empty() {
            server.read_tls(&mut there).unwrap();
            server.process_new_packets().map_err(|error| error.to_string())?;
        }
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        let mut back = &back[..];
        while !back.is_empty() {
            client.read_tls(&mut back).unwrap();
            client.process_new_packets().map_err(|error| error.to_string())?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Met {
        shown: client.peer_certificates().unwrap()[0].clone(),
        version: client.protocol_version().unwrap(),
        protocol: server.alpn_protocol().map(<[u8]>::to_vec),
        resumed: server.handshake_kind() == Some(HandshakeKind::Resumed),
        knows_client: server.peer_certificates().is_some(),
    })
}
