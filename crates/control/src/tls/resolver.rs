//! Which certificate a client is shown: by the name it asks for and the signatures it understands.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::files::Pair;

/// The certificates of one listener.
#[derive(Debug)]
pub(super) struct Resolver {
    /// By name in lower case, wildcards as they are written; per name what is cheaper to sign with
    /// comes first.
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// The first of the config, and those for the same names.
    default: Vec<Arc<CertifiedKey>>,
}

impl Resolver {
    /// `pairs` in the order of the config; the first is the default.
    pub(super) fn new(pairs: impl Iterator<Item = Arc<Pair>>) -> Self {
        let mut names: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        let mut default: Vec<Arc<CertifiedKey>> = Vec::new();
        let mut default_names = Vec::new();
        for (place, pair) in pairs.enumerate() {
            let leaf = pair.facts.first();
            let own: Vec<String> =
                leaf.iter().flat_map(|leaf| &leaf.names).map(|n| n.to_ascii_lowercase()).collect();
            if place == 0 {
                default_names.clone_from(&own);
            }
            if place == 0 || own.iter().any(|name| default_names.contains(name)) {
                default.push(Arc::clone(&pair.value));
            }
            for name in own {
                names.entry(name).or_default().push(Arc::clone(&pair.value));
            }
        }
        // Stable: among equals the order of the config holds.
        names.values_mut().for_each(|keys| keys.sort_by_key(|key| cost(key)));
        default.sort_by_key(|key| cost(key));
        Self { names, default }
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let wildcard = name.as_deref().and_then(|name| name.split_once('.'));
        let wildcard = wildcard.map(|(_, rest)| format!("*.{rest}"));
        let named = [name, wildcard].into_iter().flatten().filter_map(|name| self.names.get(&name));
        let all = named.chain([&self.default]).flatten();
        let understood = all.clone().find(|key| key.key.choose_scheme(schemes).is_some());
        // A client that understands none of them is told so by the library.
        understood.or_else(|| all.clone().next()).cloned()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

/// RSA signatures cost a server about ten times as much.
fn cost(key: &CertifiedKey) -> u8 {
    u8::from(key.key.algorithm() == SignatureAlgorithm::RSA)
}
