//! The way to a load balancer: Unix socket, TCP or TLS, under one deadline. Speaks no HTTP.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::endpoint::{Endpoint, is_loopback};

/// To look up, connect and shake hands.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// An open connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What is needed to get there.
pub(super) struct Transport {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
}

impl Transport {
    /// # Errors
    /// When there is no authority to trust.
    pub(super) fn new(endpoint: Endpoint, ca: Option<&Path>) -> anyhow::Result<Self> {
        let tls = match (&endpoint, ca) {
            (Endpoint::Tcp { https: true, .. }, ca) => Some(connector(ca)?),
            (Endpoint::Tcp { https: false, .. }, Some(_)) => {
                return Err(anyhow!("--ca is for https: {endpoint} is in the clear"));
            }
            (Endpoint::Unix(_) | Endpoint::Tcp { https: false, .. }, _) => None,
        };
        Ok(Self { endpoint, tls })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Goes there.
    ///
    /// # Errors
    /// Why nobody was reached, and what to try.
    pub(super) async fn connect(&self) -> anyhow::Result<Box<dyn Stream>> {
        match tokio::time::timeout(CONNECT_WITHIN, self.open()).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&io::ErrorKind::TimedOut.into())),
        }
    }

    async fn open(&self) -> io::Result<Box<dyn Stream>> {
        let (host, port) = match &self.endpoint {
            Endpoint::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Endpoint::Tcp { host, port, .. } => (host.as_str(), *port),
        };
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            // What goes in the clear because it stays on this machine must stay there, whatever the
            // name was looked up to.
            if is_loopback(host) && !stream.peer_addr()?.ip().is_loopback() {
                let elsewhere = format!("{host} is not this machine");
                return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, elsewhere));
            }
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }

    fn unreachable(&self, error: &io::Error) -> anyhow::Error {
        let endpoint = &self.endpoint;
        let why = match (error.kind(), endpoint) {
            (io::ErrorKind::NotFound, Endpoint::Unix(_)) => "it does not exist".to_owned(),
            (io::ErrorKind::ConnectionRefused, _) => "nobody answers there".to_owned(),
            (io::ErrorKind::PermissionDenied, _) => "this user may not open it".to_owned(),
            (io::ErrorKind::TimedOut, _) => "no answer in time".to_owned(),
            (_, _) => error.to_string(),
        };
        let advice = match (error.kind(), endpoint) {
            (io::ErrorKind::PermissionDenied, Endpoint::Unix(_)) => {
                "try as the user that Understudy runs as (sudo), or --url with a token"
            }
            (_, Endpoint::Unix(_)) => {
                "is Understudy running? If it is, say where: -c FILE (its config), --socket PATH, or \
                 --url URL (its admin address)"
            }
            (_, Endpoint::Tcp { https: true, .. })
                if error.get_ref().is_some_and(is_certificate) =>
            {
                "--ca FILE names the authority of its certificate"
            }
            (_, Endpoint::Tcp { .. }) => {
                "is Understudy running there, and is this its `admin.address`?"
            }
        };
        anyhow!("cannot ask {endpoint}: {why}; {advice}")
    }
}

fn is_certificate(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
}

fn connector(ca: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let broken = || format!("cannot read the authorities in {}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).with_context(broken)? {
                roots.add(certificate.with_context(broken)?).with_context(broken)?;
            }
            if roots.is_empty() {
                return Err(anyhow!("there is no certificate in {}", file.display()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(anyhow!("this system trusts no authority: name one with --ca FILE"));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
