//! Certificates in files, clients and backends that speak TLS.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::harness::PATIENCE;

/// Issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `name` and its key, as PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("parameters");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    /// Writes a certificate for `name` and its key where `stem` says.
    pub(crate) fn write(&self, stem: &Path, name: &str) {
        let (certificate, key) = self.issue(name);
        fs::write(stem.with_extension("pem"), certificate).expect("a file");
        write_key(&stem.with_extension("key"), &key);
    }

    /// A client that trusts this authority and keeps its sessions.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("an authority"))
            .expect("an authority");
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let builder = ClientConfig::builder_with_provider(provider.into());
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

pub(crate) fn write_key(file: &Path, key: &str) {
    fs::write(file, key).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("a file");
}

/// What a client got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) body: String,
    pub(crate) resumed: bool,
}

/// Asks at `address`, as if it were `name`; why there is no answer otherwise.
pub(crate) async fn get_tls(
    client: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> Result<Got, String> {
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned();
        Ok::<_, std::io::Error>(Got { body, resumed })
    };
    let asked = timeout(PATIENCE, asked).await.expect("an end in time");
    asked.map_err(|error| error.to_string())
}

/// A server that speaks TLS and answers every request with its name.
pub(crate) struct TlsBackend {
    pub(crate) address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    task: JoinHandle<()>,
}

impl TlsBackend {
    pub(crate) async fn start(name: &'static str, authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let config = Arc::new(Mutex::new(server_config(authority)));
        let current = Arc::clone(&config);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(Arc::clone(&current.lock().expect("no panic")));
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                    }
                    let length = name.len();
                    let answer = format!(
                        "HTTP/1.1 200 X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}"
                    );
                    stream.write_all(answer.as_bytes()).await?;
                    stream.shutdown().await
                });
            }
        });
        Self { address, config, task }
    }

    /// From now on shows a certificate of `authority`.
    pub(crate) fn show(&self, authority: &Authority) {
        *self.config.lock().expect("no panic") = server_config(authority);
    }
}

impl Drop for TlsBackend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn server_config(authority: &Authority) -> Arc<ServerConfig> {
    let (certificate, key) = authority.issue("127.0.0.1");
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ServerConfig::builder_with_provider(provider.into());
    let builder =
        builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![certificate], key).expect("a pair"))
}
