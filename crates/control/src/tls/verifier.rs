//! Whether a backend is who it should be: its chain, its name, its key.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, SignatureScheme};

/// Judges what a backend shows. Whatever it shows, the handshake must be signed by its key.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Who vouches for it; `None`: nobody has to, only when the operator says `insecure: true`.
    pub(super) chain: Option<Arc<WebPkiServerVerifier>>,
    /// The name to verify, when it is not the one asked for.
    pub(super) name: Option<ServerName<'static>>,
    /// SHA-256 of the SubjectPublicKeyInfo (RFC 5280 4.1.2.7) that it may have; empty: any.
    pub(super) pins: Vec<[u8; 32]>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(chain) = &self.chain {
            let name = self.name.as_ref().unwrap_or(server_name);
            chain.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)?;
        }
        if !self.pins.is_empty() {
            let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
            let found = digest::digest(&digest::SHA256, key.as_ref());
            if !self.pins.iter().any(|pin| pin == found.as_ref()) {
                let found = BASE64_STANDARD.encode(found);
                let why = format!("the public key sha256//{found} is not among the pinned ones");
                return Err(rustls::Error::General(why));
            }
        }
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
