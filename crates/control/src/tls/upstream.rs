//! TLS settings towards backends.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

use super::TlsError;
use super::files::{Authorities, Pair};
use super::verifier::Verifier;

/// What settings are made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) trust: Trusted,
    /// The name to verify, when it is not the one asked for.
    pub(super) verify_name: Option<Arc<str>>,
    /// SHA-256 of the public keys that are good; empty: any.
    pub(super) pins: Vec<[u8; 32]>,
    /// What we show.
    pub(super) certificate: Option<Arc<Pair>>,
}

/// Who is trusted.
#[derive(Clone, Debug)]
pub(super) enum Trusted {
    System(Arc<RootCertStore>),
    Authorities(Arc<Authorities>),
    Anybody,
}

/// Settings by what they are made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients(Vec<(Parts, Arc<ClientConfig>)>);

impl Clients {
    /// The settings made of `parts`: from here, else from `old`, else built.
    pub(super) fn settings(
        &mut self,
        parts: Parts,
        old: &Self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        let find = |list: &Self| {
            let known = list.0.iter().find(|(known, _)| known.same_as(&parts));
            known.map(|(_, config)| Arc::clone(config))
        };
        if let Some(config) = find(self) {
            return Ok(config);
        }
        let config = match find(old) {
            Some(config) => config,
            None => Arc::new(parts.build(provider)?),
        };
        self.0.push((parts, Arc::clone(&config)));
        Ok(config)
    }
}

impl Parts {
    fn same_as(&self, other: &Self) -> bool {
        let same_certificate = match (&self.certificate, &other.certificate) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_certificate
            && self.trust.same_as(&other.trust)
            && self.verify_name == other.verify_name
            && self.pins == other.pins
    }

    /// TLS 1.2 and 1.3. What is offered by ALPN is said with each connection.
    fn build(&self, provider: &Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
        let roots = match &self.trust {
            Trusted::System(roots) => Some(roots),
            Trusted::Authorities(authorities) => Some(&authorities.value),
            Trusted::Anybody => None,
        };
        let chain = roots.map(|roots| {
            let (roots, provider) = (Arc::clone(roots), Arc::clone(provider));
            WebPkiServerVerifier::builder_with_provider(roots, provider).build()
        });
        let name = self.verify_name.as_ref().map(|name| {
            ServerName::try_from(name.to_string()).map_err(|_| TlsError::Name(Arc::clone(name)))
        });
        let verifier = Verifier {
            chain: chain.transpose()?,
            name: name.transpose()?,
            pins: self.pins.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        Ok(match &self.certificate {
            Some(pair) => {
                let ours = SingleCertAndKey::from(Arc::clone(&pair.value));
                builder.with_client_cert_resolver(Arc::new(ours))
            }
            None => builder.with_no_client_auth(),
        })
    }
}

impl Trusted {
    fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::System(a), Self::System(b)) => Arc::ptr_eq(a, b),
            (Self::Authorities(a), Self::Authorities(b)) => Arc::ptr_eq(a, b),
            (Self::Anybody, Self::Anybody) => true,
            (Self::System(_) | Self::Authorities(_) | Self::Anybody, _) => false,
        }
    }
}
