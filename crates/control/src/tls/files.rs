//! The files that TLS settings are made of: read, judged, and kept when their successors are bad.
//!
//! What was fine once stays in use until something as good replaces it; what never was is an error.

use std::collections::HashMap;
use std::fs;
use std::hash::Hash;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use config::model::CertificateFiles;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;

use super::TlsError;
use super::certificate::{self, Facts};

/// SHA-256 of what files say.
type Digest = [u8; 32];

/// What files say, and what was made of it. The same one as long as they say the same.
#[derive(Debug)]
pub(super) struct Material<T> {
    digest: Digest,
    pub(super) value: T,
    /// The certificates in it.
    pub(super) facts: Vec<Facts>,
}

/// A certificate with its chain, and the key that goes with it.
pub(super) type Pair = Material<Arc<CertifiedKey>>;

/// Certificate authorities.
pub(super) type Authorities = Material<Arc<RootCertStore>>;

/// Revocation lists.
pub(super) type Revocations = Material<Vec<CertificateRevocationListDer<'static>>>;

/// A file that was fine once and is bad now: what it said before stays in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Which file.
    pub(crate) file: PathBuf,
    /// What is wrong with it.
    pub(crate) why: String,
    /// What it says; `None` when it cannot be read.
    digest: Option<Digest>,
}

/// Everything that the settings of one config are made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pairs: HashMap<CertificateFiles, Arc<Pair>>,
    authorities: HashMap<PathBuf, Arc<Authorities>>,
    revocations: HashMap<PathBuf, Arc<Revocations>>,
    /// The system's certificate authorities, read once.
    system: Option<Arc<RootCertStore>>,
    pub(super) refused: Vec<Refused>,
}

/// Where things are looked up while a config is built.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    pub(super) old: &'a Files,
    pub(super) new: Files,
    pub(super) warnings: Vec<String>,
    now: SystemTime,
}

/// What is wrong, and what the files say if they could be read.
struct Bad {
    why: TlsError,
    digest: Option<Digest>,
}

impl<'a> Loader<'a> {
    /// Loads what is not in `old`, and judges it as of `now`.
    pub(super) fn new(old: &'a Files, now: SystemTime) -> Self {
        Self { old, new: Files::default(), warnings: Vec::new(), now }
    }

    /// A certificate and its key.
    pub(super) fn pair(
        &mut self,
        files: &CertificateFiles,
        provider: &CryptoProvider,
    ) -> Result<Arc<Pair>, TlsError> {
        if let Some(pair) = self.new.pairs.get(files) {
            return Ok(Arc::clone(pair));
        }
        let old = self.old.pairs.get(files);
        let fresh = material(&[&files.cert, &files.key], old, |said| {
            let chain = chain(&files.cert, &said[0])?;
            let key = key(&files.key, &said[1])?;
            let facts = certificate::facts(&files.cert, &chain)?;
            Ok((Arc::new(certified(files, chain, key, provider)?), facts))
        });
        let fresh = fresh.and_then(|fresh| self.not_worse(&files.cert, fresh, old));
        let pair = self.kept_if_bad(&files.cert, fresh, old)?;
        if !old.is_some_and(|old| Arc::ptr_eq(old, &pair)) {
            self.warn_of_readers(&files.key);
            self.warn_of_time(&files.cert, &pair.facts);
        }
        self.new.pairs.insert(files.clone(), Arc::clone(&pair));
        Ok(pair)
    }

    /// The certificate authorities in a file.
    pub(super) fn authorities(&mut self, file: &Path) -> Result<Arc<Authorities>, TlsError> {
        if let Some(authorities) = self.new.authorities.get(file) {
            return Ok(Arc::clone(authorities));
        }
        let old = self.old.authorities.get(file);
        let fresh = material(&[file], old, |said| {
            let certificates = chain(file, &said[0])?;
            let facts = certificate::facts(file, &certificates)?;
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate).map_err(|error| TlsError::wrong(file, error))?;
            }
            Ok((Arc::new(roots), facts))
        });
        let authorities = self.kept_if_bad(file, fresh, old)?;
        if !old.is_some_and(|old| Arc::ptr_eq(old, &authorities)) {
            self.warn_of_time(file, &authorities.facts);
        }
        self.new.authorities.insert(file.to_owned(), Arc::clone(&authorities));
        Ok(authorities)
    }

    /// The revocation lists in a file, for certificates that `roots` issue.
    pub(super) fn revocations(
        &mut self,
        file: &Path,
        roots: &Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<Revocations>, TlsError> {
        if let Some(revocations) = self.new.revocations.get(file) {
            return Ok(Arc::clone(revocations));
        }
        let old = self.old.revocations.get(file);
        let mut warnings = Vec::new();
        let fresh = material(&[file], old, |said| {
            let lists = lists(file, &said[0])?;
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::clone(roots),
                Arc::clone(provider),
            );
            let judged = verifier.with_crls(lists.clone()).build();
            judged.map_err(|error| TlsError::wrong(file, error))?;
            warnings = certificate::stale_lists(file, &lists, self.now);
            Ok((lists, Vec::new()))
        });
        self.warnings.append(&mut warnings);
        let revocations = self.kept_if_bad(file, fresh, old)?;
        self.new.revocations.insert(file.to_owned(), Arc::clone(&revocations));
        Ok(revocations)
    }

    /// The certificate authorities of the system.
    pub(super) fn system(&mut self) -> Result<Arc<RootCertStore>, TlsError> {
        let known = self.new.system.as_ref().or(self.old.system.as_ref());
        let roots = known.map_or_else(system_roots, |roots| Ok(Arc::clone(roots)))?;
        self.new.system = Some(Arc::clone(&roots));
        Ok(roots)
    }

    /// An expired certificate does not replace one that is valid.
    fn not_worse(
        &self,
        file: &Path,
        fresh: Arc<Pair>,
        old: Option<&Arc<Pair>>,
    ) -> Result<Arc<Pair>, Bad> {
        let expired = |pair: &Pair| pair.facts.first().is_some_and(|leaf| leaf.ends <= self.now);
        if expired(&fresh) && old.is_some_and(|old| !expired(old)) {
            let why = TlsError::wrong(file, "the certificate in it has expired");
            return Err(Bad { why, digest: Some(fresh.digest) });
        }
        Ok(fresh)
    }

    /// What is there anew; if that is bad, what was there before.
    fn kept_if_bad<T>(
        &mut self,
        file: &Path,
        fresh: Result<Arc<Material<T>>, Bad>,
        old: Option<&Arc<Material<T>>>,
    ) -> Result<Arc<Material<T>>, TlsError> {
        match (fresh, old) {
            (Ok(fresh), _) => Ok(fresh),
            (Err(bad), None) => Err(bad.why),
            (Err(Bad { why, digest }), Some(old)) => {
                let (file, why) = (file.to_owned(), why.to_string());
                self.new.refused.push(Refused { file, why, digest });
                Ok(Arc::clone(old))
            }
        }
    }

    /// A private key is nobody else's business.
    fn warn_of_readers(&mut self, key: &Path) {
        let mode = fs::metadata(key).map_or(0, |file| file.permissions().mode());
        if mode & 0o077 != 0 {
            let (key, mode) = (key.display(), mode & 0o777);
            self.warnings.push(format!(
                "others than its owner may read or change the private key {key} (mode {mode:o}): \
                 `chmod 600` it"
            ));
        }
    }

    fn warn_of_time(&mut self, file: &Path, facts: &[Facts]) {
        let said = facts.iter().filter_map(|facts| facts.complaint(file, self.now));
        self.warnings.extend(said);
    }
}

impl Files {
    /// Everything that files were named for, by the file that has the certificates.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let pairs = self.pairs.keys().flat_map(|files| [files.cert.clone(), files.key.clone()]);
        let others = self.authorities.keys().chain(self.revocations.keys()).cloned();
        let mut paths: Vec<PathBuf> = pairs.chain(others).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The files that say something else than in `old`.
    pub(super) fn changed_from(&self, old: &Self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        changed.extend(differing(&self.pairs, &old.pairs).map(|files| files.cert.clone()));
        changed.extend(differing(&self.authorities, &old.authorities).cloned());
        changed.extend(differing(&self.revocations, &old.revocations).cloned());
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The file of each pair, and of each revocation list and authority.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let pairs = self.pairs.keys().map(|files| files.cert.clone());
        let others = self.authorities.keys().chain(self.revocations.keys()).cloned();
        let mut files: Vec<PathBuf> = pairs.chain(others).collect();
        files.sort_unstable();
        files.dedup();
        files
    }
}

/// What is named in both and not the same.
fn differing<'a, K: Hash + Eq, T>(
    new: &'a HashMap<K, Arc<T>>,
    old: &'a HashMap<K, Arc<T>>,
) -> impl Iterator<Item = &'a K> {
    new.iter().filter_map(|(name, new)| {
        old.get(name).is_some_and(|old| !Arc::ptr_eq(old, new)).then_some(name)
    })
}

/// Most bytes of one file; revocation lists are the longest.
const MOST_BYTES: u64 = 16 << 20;

/// What a file says. What is no file (a pipe, a device) could keep us waiting, or feed us, for ever.
fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    let facts = fs::metadata(file)?;
    if !facts.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if facts.len() > MOST_BYTES {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    fs::read(file)
}

/// Reads `files` and makes something of what they say, unless `old` was made of the same.
fn material<T>(
    files: &[&Path],
    old: Option<&Arc<Material<T>>>,
    make: impl FnOnce(&[Vec<u8>]) -> Result<(T, Vec<Facts>), TlsError>,
) -> Result<Arc<Material<T>>, Bad> {
    let read = |file: &&Path| {
        read_bounded(file).map_err(|why| TlsError::Read { file: file.to_path_buf(), why })
    };
    let said = files.iter().map(read).collect::<Result<Vec<_>, _>>();
    let said = said.map_err(|why| Bad { why, digest: None })?;
    let digest = digest_of(&said);
    if let Some(old) = old.filter(|old| old.digest == digest) {
        return Ok(Arc::clone(old));
    }
    let (value, facts) = make(&said).map_err(|why| Bad { why, digest: Some(digest) })?;
    Ok(Arc::new(Material { digest, value, facts }))
}

fn digest_of(said: &[Vec<u8>]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for content in said {
        // With its length, so that a byte cannot move from one file to the next unnoticed.
        context.update(&(content.len() as u64).to_be_bytes());
        context.update(content);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// At least one certificate.
fn chain(file: &Path, said: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(said).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| TlsError::wrong(file, error))?;
    if chain.is_empty() {
        let swapped = PrivateKeyDer::from_pem_slice(said).is_ok();
        let hint = if swapped { "; it has a private key" } else { "" };
        return Err(TlsError::wrong(file, format!("there is no `BEGIN CERTIFICATE` in it{hint}")));
    }
    Ok(chain)
}

fn key(file: &Path, said: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(said).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(said) => {
            TlsError::wrong(file, "its private key is encrypted: store it without a passphrase")
        }
        pem::Error::NoItemsFound => TlsError::wrong(file, "there is no private key in it"),
        error => TlsError::wrong(file, error),
    })
}

fn is_encrypted(said: &[u8]) -> bool {
    let label = b"BEGIN ENCRYPTED PRIVATE KEY";
    said.windows(label.len()).any(|window| window == label)
}

fn lists(file: &Path, said: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists = CertificateRevocationListDer::pem_slice_iter(said).collect::<Result<Vec<_>, _>>();
    let lists = lists.map_err(|error| TlsError::wrong(file, error))?;
    if lists.is_empty() {
        return Err(TlsError::wrong(file, "there is no `BEGIN X509 CRL` in it"));
    }
    Ok(lists)
}

fn certified(
    files: &CertificateFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| TlsError::wrong(&files.key, error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown is for keys that cannot say; ours all can.
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch(files.clone())),
        Err(error) => Err(TlsError::wrong(&files.cert, error)),
    }
}

fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TlsError::NoSystemRoots { why: why.join("; ") });
    }
    Ok(Arc::new(roots))
}
