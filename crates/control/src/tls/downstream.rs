//! TLS settings towards clients.

use std::sync::Arc;

use config::model::{ClientAuthMode, TlsPolicy};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::TlsError;
use super::files::{Authorities, Pair, Revocations};
use super::resolver::Resolver;

/// What settings are made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// The first is the default.
    pub(super) certificates: Vec<Arc<Pair>>,
    pub(super) policy: TlsPolicy,
    pub(super) http2: bool,
    pub(super) client_auth: Option<Auth>,
}

/// How clients show who they are.
#[derive(Clone, Debug)]
pub(super) struct Auth {
    pub(super) mode: ClientAuthMode,
    pub(super) ca: Arc<Authorities>,
    pub(super) lists: Vec<Arc<Revocations>>,
}

/// Settings by what they are made of, and what encrypts session tickets by how clients are
/// authenticated. A ticket stands for that authentication, so it must be of no use where another one
/// is asked for, or where it would not be granted any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    settings: Vec<(Parts, Arc<ServerConfig>)>,
    tickets: Vec<(Option<Auth>, Arc<dyn ProducesTickets>)>,
}

impl Servers {
    /// The settings made of `parts`: from here, else from `old`, else built.
    pub(super) fn settings(
        &mut self,
        parts: Parts,
        old: &Self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let tickets = self.tickets(parts.client_auth.as_ref(), old)?;
        let find = |list: &Self| {
            let known = list.settings.iter().find(|(known, _)| known.same_as(&parts));
            known.map(|(_, config)| Arc::clone(config))
        };
        if let Some(config) = find(self) {
            return Ok(config);
        }
        let config = match find(old) {
            Some(config) => config,
            None => Arc::new(parts.build(tickets, provider)?),
        };
        self.settings.push((parts, Arc::clone(&config)));
        Ok(config)
    }

    /// The same for all workers and all configs, as long as clients are authenticated alike.
    fn tickets(
        &mut self,
        auth: Option<&Auth>,
        old: &Self,
    ) -> Result<Arc<dyn ProducesTickets>, TlsError> {
        let mut known = self.tickets.iter().chain(&old.tickets);
        let known = known.find(|(known, _)| same_auth(known.as_ref(), auth));
        let known = known.map(|(_, tickets)| Arc::clone(tickets));
        let tickets = match known {
            Some(tickets) => tickets,
            None => Ticketer::new()?,
        };
        if !self.tickets.iter().any(|(known, _)| same_auth(known.as_ref(), auth)) {
            self.tickets.push((auth.cloned(), Arc::clone(&tickets)));
        }
        Ok(tickets)
    }
}

impl Parts {
    fn same_as(&self, other: &Self) -> bool {
        same(&self.certificates, &other.certificates)
            && self.policy == other.policy
            && self.http2 == other.http2
            && same_auth(self.client_auth.as_ref(), other.client_auth.as_ref())
    }

    /// All suites of TLS 1.2 that the library has are ephemeral and authenticated. Data before the
    /// end of the handshake is not accepted: it could be played again.
    fn build(
        &self,
        tickets: Arc<dyn ProducesTickets>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions(self.policy))?
            .with_client_cert_verifier(self.verifier(provider)?);
        let resolver = Resolver::new(self.certificates.iter().map(Arc::clone));
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        // Some clients name the version they mean, or none at all.
        let mut protocols: Vec<&[u8]> = vec![b"http/1.1", b"http/1.0"];
        if self.http2 {
            protocols.insert(0, b"h2");
        }
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.ticketer = tickets;
        // Sessions are in the tickets, and nowhere else.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(Auth { mode, ca, lists }) = &self.client_auth else {
            return Ok(WebPkiClientVerifier::no_client_auth());
        };
        let lists = lists.iter().flat_map(|lists| lists.value.iter().cloned());
        let roots = Arc::clone(&ca.value);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(lists);
        let builder = match mode {
            ClientAuthMode::Required => builder,
            ClientAuthMode::Optional => builder.allow_unauthenticated(),
        };
        Ok(builder.build()?)
    }
}

fn versions(policy: TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    static MODERN: [&SupportedProtocolVersion; 1] = [&TLS13];
    static INTERMEDIATE: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match policy {
        TlsPolicy::Modern => &MODERN,
        TlsPolicy::Intermediate => &INTERMEDIATE,
    }
}

fn same_auth(a: Option<&Auth>, b: Option<&Auth>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a.mode == b.mode && Arc::ptr_eq(&a.ca, &b.ca) && same(&a.lists, &b.lists)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}
