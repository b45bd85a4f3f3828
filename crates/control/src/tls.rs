//! TLS settings towards backends, built once and given to traffic and probes alike.
//!
//! A probe that trusts somebody the traffic does not trust would call a backend up that cannot serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::model::Trust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Why TLS settings cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate authority's file cannot be read.
    #[error("cannot read the certificate authorities in {}: {why}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// It is not a PEM file with certificates.
    #[error("{} is not a PEM file with certificates: {why}", file.display())]
    Pem {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system has no certificate authorities.
    #[error(
        "no certificate authorities found on this system ({why}); \
         install the package ca-certificates, or name a file with `tls: {{ ca: FILE }}`"
    )]
    NoSystemRoots {
        /// What went wrong while looking, if anything did.
        why: String,
    },
    /// The cryptography library refuses.
    #[error("cannot set up TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Settings by whom they trust. Kept from one config to the next: as long as nothing changes, the
/// same settings are handed out, and sessions are resumed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsStore {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    trust: Trust,
    /// The content of the file that `trust` names.
    pem: Vec<u8>,
    config: Arc<ClientConfig>,
}

impl TlsStore {
    /// The settings for `trust`: from here, else from `old` when its file still has the same
    /// content, else built.
    pub(crate) fn settings(
        &mut self,
        trust: &Trust,
        old: &Self,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.trust == *trust) {
            return Ok(entry.config.clone());
        }
        let pem = match trust {
            Trust::Ca(file) => {
                fs::read(file).map_err(|why| TlsError::Read { file: file.clone(), why })?
            }
            Trust::System | Trust::Insecure => Vec::new(),
        };
        let known = old.entries.iter().find(|entry| entry.trust == *trust && entry.pem == pem);
        let config = match known {
            Some(entry) => entry.config.clone(),
            None => Arc::new(build(trust, &pem)?),
        };
        self.entries.push(Entry { trust: trust.clone(), pem, config: config.clone() });
        Ok(config)
    }
}

/// TLS 1.2 and 1.3, with the provider named here, so that no process-wide default is needed.
fn build(trust: &Trust, pem: &[u8]) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::Ca(file) => builder.with_root_certificates(roots_from(file, pem)?),
        Trust::Insecure => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAnybody { algorithms })),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TlsError::NoSystemRoots { why: why.join("; ") });
    }
    Ok(roots)
}

fn roots_from(file: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let wrong = |why: String| TlsError::Pem { file: file.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no `BEGIN CERTIFICATE` in it".to_owned()));
    }
    Ok(roots)
}

/// Accepts every certificate, for `insecure: true`. The handshake must still be signed by the key of
/// the certificate that was shown.
#[derive(Debug)]
struct TrustAnybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    fn authority() -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem()
    }

    fn settings(trust: &Trust, old: &TlsStore) -> (TlsStore, Arc<ClientConfig>) {
        let mut store = TlsStore::default();
        let config = store.settings(trust, old).unwrap();
        (store, config)
    }

    #[test]
    fn settings_stay_the_same_ones_until_the_file_changes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let trust = Trust::Ca(file.path().to_owned());
        fs::write(file.path(), authority()).unwrap();
        let (first, config) = settings(&trust, &TlsStore::default());
        let (second, same) = settings(&trust, &first);
        assert!(Arc::ptr_eq(&config, &same));
        fs::write(file.path(), authority() + &authority()).unwrap();
        let (_, other) = settings(&trust, &second);
        assert!(!Arc::ptr_eq(&config, &other));
    }

    #[test]
    fn only_http_1_is_offered() {
        let (_, config) = settings(&Trust::Insecure, &TlsStore::default());
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[test]
    fn a_bad_file_is_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let fail = || {
            let mut store = TlsStore::default();
            store.settings(&Trust::Ca(file.clone()), &TlsStore::default()).unwrap_err().to_string()
        };
        let missing = fail();
        assert!(missing.starts_with("cannot read") && missing.contains("ca.pem"), "{missing}");
        let key = KeyPair::generate().unwrap().serialize_pem();
        let broken = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n";
        for content in ["", "nonsense", &key, broken] {
            fs::write(&file, content).unwrap();
            let said = fail();
            assert!(said.contains("ca.pem is not a PEM file with certificates"), "{said}");
        }
    }
}
