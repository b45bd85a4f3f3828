//! TLS on both sides: settings built once from files, and kept as long as nothing of them changes.
//!
//! Traffic and probes get the same settings unless a probe has its own: a probe that trusts somebody
//! the traffic does not trust would call a backend up that cannot serve.

mod certificate;
mod downstream;
mod files;
mod resolver;
mod upstream;
mod verifier;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use config::model::{CertificateFiles, DownstreamTls, UpstreamTls};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, ServerConfig};

pub(crate) use certificate::time_left;
pub use certificate::{Certificate, Usage};
pub(crate) use files::Refused;

use certificate::Facts;
use downstream::Servers;
use files::{Files, Loader};
use upstream::Clients;

/// Why TLS settings cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// A file does not say what it should.
    #[error("{} cannot be used: {why}", file.display())]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A private key belongs to another certificate.
    #[error("{} is not the private key of {}", .0.key.display(), .0.cert.display())]
    Mismatch(CertificateFiles),
    /// The system has no certificate authorities.
    #[error(
        "no certificate authorities found on this system ({why}); \
         install the package ca-certificates, or name a file with `tls: {{ ca: FILE }}`"
    )]
    NoSystemRoots {
        /// What went wrong while looking, if anything did.
        why: String,
    },
    /// A certificate cannot be verified under this name.
    #[error("{0:?} cannot be the name on a certificate")]
    Name(Arc<str>),
    /// The cryptography library refuses.
    #[error("cannot set up TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// It cannot verify certificates with what it was given.
    #[error("cannot verify certificates: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

impl TlsError {
    fn wrong(file: &Path, why: impl fmt::Display) -> Self {
        Self::Wrong { file: file.to_owned(), why: why.to_string() }
    }
}

/// TLS settings that a config asks for and that cannot be built.
#[derive(Debug)]
pub struct TlsProblem {
    /// Where the config asks for them, for example `listeners[0].tls.certificates[1]`.
    pub place: String,
    /// Why they cannot be built.
    pub why: TlsError,
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// The settings of one config, with what they were made of. Kept from one config to the next: as
/// long as nothing changes, the same settings are handed out, and sessions are resumed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsStore {
    files: Files,
    clients: Clients,
    servers: Servers,
    certificates: Vec<Certificate>,
}

impl TlsStore {
    /// Every certificate in every file, in the order of the config.
    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// All files, keys included.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.files.paths()
    }

    /// What can be refused, one file each: certificates stand for their keys.
    pub(crate) fn watched(&self) -> Vec<PathBuf> {
        self.files.watched()
    }

    /// Files that are bad now; what they said before is in use.
    pub(crate) fn refused(&self) -> &[Refused] {
        &self.files.refused
    }

    /// The files that say something else than they did for `old`.
    pub(crate) fn changed_from(&self, old: &Self) -> Vec<PathBuf> {
        self.files.changed_from(&old.files)
    }
}

/// Builds the settings of one config.
#[derive(Debug)]
pub(crate) struct TlsBuilder<'a> {
    loader: Loader<'a>,
    old: &'a TlsStore,
    clients: Clients,
    servers: Servers,
    certificates: Vec<Certificate>,
    problems: Vec<TlsProblem>,
    provider: Arc<CryptoProvider>,
}

impl<'a> TlsBuilder<'a> {
    /// Uses what `old` has, and judges certificates as of `now`.
    pub(crate) fn new(old: &'a TlsStore, now: SystemTime) -> Self {
        Self {
            loader: Loader::new(&old.files, now),
            old,
            clients: Clients::default(),
            servers: Servers::default(),
            certificates: Vec::new(),
            problems: Vec::new(),
            // Named here, so that no process-wide default is needed.
            provider: Arc::new(aws_lc_rs::default_provider()),
        }
    }

    /// Settings towards backends, which the config asks for at `place`. `None`: there is a problem.
    pub(crate) fn client(&mut self, tls: &UpstreamTls, place: &str) -> Option<Arc<ClientConfig>> {
        let problems = self.problems.len();
        let parts = self.client_parts(tls, place);
        if self.problems.len() > problems {
            return None;
        }
        let built = self.clients.settings(parts, &self.old.clients, &self.provider);
        self.noted(place, built)
    }

    /// Settings towards clients, which the config asks for at `place`. `None`: there is a problem.
    pub(crate) fn server(
        &mut self,
        tls: &DownstreamTls,
        http2: bool,
        place: &str,
    ) -> Option<Arc<ServerConfig>> {
        let problems = self.problems.len();
        let parts = self.server_parts(tls, http2, place);
        if self.problems.len() > problems {
            return None;
        }
        let built = self.servers.settings(parts, &self.old.servers, &self.provider);
        self.noted(place, built)
    }

    /// Something that is wrong at `place`.
    pub(crate) fn problem(&mut self, place: String, why: TlsError) {
        // A file that is named twice is wrong once.
        let said = why.to_string();
        if !self.problems.iter().any(|problem| problem.why.to_string() == said) {
            self.problems.push(TlsProblem { place, why });
        }
    }

    /// What was built, with warnings.
    ///
    /// # Errors
    /// Every problem.
    pub(crate) fn finish(self) -> Result<(TlsStore, Vec<String>), Vec<TlsProblem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let Self { loader: Loader { new: files, warnings, .. }, clients, servers, .. } = self;
        let store = TlsStore { files, clients, servers, certificates: self.certificates };
        Ok((store, warnings))
    }

    fn client_parts(&mut self, tls: &UpstreamTls, place: &str) -> upstream::Parts {
        use config::model::Trust;
        let trust = match &tls.trust {
            Trust::System => {
                let roots = self.loader.system();
                self.noted(place, roots).map(upstream::Trusted::System)
            }
            Trust::Ca(file) => {
                let authorities = self.loader.authorities(file);
                let authorities = self.noted(&format!("{place}.ca"), authorities);
                if let Some(authorities) = &authorities {
                    self.list(Usage::Authority, file, &authorities.facts);
                }
                authorities.map(upstream::Trusted::Authorities)
            }
            Trust::Insecure => Some(upstream::Trusted::Anybody),
        };
        let certificate = tls.certificate.as_ref().and_then(|files| {
            let place = format!("{place}.certificate");
            self.pair(Usage::Upstream, files, &place)
        });
        upstream::Parts {
            // Without it there is a problem, and nobody looks at it.
            trust: trust.unwrap_or(upstream::Trusted::Anybody),
            verify_name: tls.verify_name.clone(),
            pins: tls.pins.clone(),
            certificate,
        }
    }

    fn server_parts(&mut self, tls: &DownstreamTls, http2: bool, place: &str) -> downstream::Parts {
        let certificates = tls.certificates.iter().enumerate().filter_map(|(index, files)| {
            self.pair(Usage::Listener, files, &format!("{place}.certificates[{index}]"))
        });
        let certificates = certificates.collect();
        let client_auth = tls.client_auth.as_ref().and_then(|auth| {
            let place = format!("{place}.client_auth");
            let ca = self.loader.authorities(&auth.ca);
            let ca = self.noted(&format!("{place}.ca"), ca)?;
            self.list(Usage::Authority, &auth.ca, &ca.facts);
            let lists = auth.crl.iter().enumerate().filter_map(|(index, file)| {
                let lists = self.loader.revocations(file, &ca.value, &self.provider);
                self.noted(&format!("{place}.crl[{index}]"), lists)
            });
            let lists = lists.collect();
            Some(downstream::Auth { mode: auth.mode, ca, lists })
        });
        downstream::Parts { certificates, policy: tls.policy, http2, client_auth }
    }

    fn pair(
        &mut self,
        usage: Usage,
        files: &CertificateFiles,
        place: &str,
    ) -> Option<Arc<files::Pair>> {
        let pair = self.loader.pair(files, &self.provider);
        let about_key = match &pair {
            Err(TlsError::Read { file, .. } | TlsError::Wrong { file, .. }) => *file == files.key,
            Err(TlsError::Mismatch(_)) => true,
            _ => false,
        };
        let key = if about_key { "key" } else { "cert" };
        let pair = self.noted(&format!("{place}.{key}"), pair)?;
        self.list(usage, &files.cert, &pair.facts);
        Some(pair)
    }

    /// The good of a result; the bad becomes a problem at `place`.
    fn noted<T>(&mut self, place: &str, result: Result<T, TlsError>) -> Option<T> {
        result.map_err(|why| self.problem(place.to_owned(), why)).ok()
    }

    fn list(&mut self, usage: Usage, file: &Path, facts: &[Facts]) {
        let known = |known: &Certificate| known.usage == usage && known.file == file;
        if self.certificates.iter().any(known) {
            return;
        }
        self.certificates.extend(facts.iter().map(|facts| Certificate {
            usage,
            file: file.to_owned(),
            names: facts.names.clone(),
            begins: facts.begins,
            ends: facts.ends,
        }));
    }
}

#[cfg(test)]
mod tests;
