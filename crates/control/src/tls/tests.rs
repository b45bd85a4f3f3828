//! Settings from real files: who is chosen, what stays the same, what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::model::{ClientAuth, ClientAuthMode, TlsPolicy, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use tempfile::TempDir;

use super::*;

/// A folder with certificates.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A certificate for `names` that vouches for itself, and its key.
    fn pair(&self, stem: &str, names: &[&str]) -> CertificateFiles {
        self.pair_of(stem, params(names), &KeyPair::generate().unwrap())
    }

    fn pair_of(&self, stem: &str, params: CertificateParams, key: &KeyPair) -> CertificateFiles {
        let cert = params.self_signed(key).unwrap().pem();
        CertificateFiles {
            cert: self.write(&format!("{stem}.pem"), &cert),
            key: self.write(&format!("{stem}.key"), &key.serialize_pem()),
        }
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

type Built = Result<(TlsStore, Vec<String>), Vec<TlsProblem>>;

/// Builds settings for one listener after `old`.
fn listen(tls: &DownstreamTls, old: &TlsStore) -> (Option<Arc<ServerConfig>>, Built) {
    let mut builder = TlsBuilder::new(old, SystemTime::now());
    let config = builder.server(tls, true, "listeners[0].tls");
    (config, builder.finish())
}

fn listens(tls: &DownstreamTls, old: &TlsStore) -> (Arc<ServerConfig>, TlsStore) {
    let (config, built) = listen(tls, old);
    let (store, _) = built.unwrap_or_else(|problems| panic!("{problems:?}"));
    (config.unwrap(), store)
}

#[test]
fn settings_stay_the_same_ones_until_a_file_changes() {
    let folder = Folder::new();
    let tls = downstream(&[folder.pair("a", &["a.test"])]);
    let (first, store) = listens(&tls, &TlsStore::default());
    let (same, store) = listens(&tls, &store);
    assert!(Arc::ptr_eq(&first, &same));
    folder.pair("a", &["a.test"]);
    let (other, store) = listens(&tls, &store);
    assert!(!Arc::ptr_eq(&first, &other));
    assert!(Arc::ptr_eq(&first.ticketer, &other.ticketer), "sessions go on");
    assert_eq!(store.refused(), []);
}
