//! What a scrape shows of certificates and of the files they are in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exposition::Exposition;
use crate::names::Id;

/// A certificate that was loaded from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateView {
    /// What for: `listener`, `upstream` or `ca`.
    pub usage: &'static str,
    /// In which file.
    pub file: Arc<str>,
    /// Whose it is.
    pub name: Arc<str>,
    /// When it expires, in seconds since the Unix epoch.
    pub expires: f64,
}

/// A file that TLS settings are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// Which file.
    pub file: Arc<str>,
    /// Whether what it says now is in use, and not what it said before.
    pub in_use: bool,
}

/// Certificates and files as they were last shown, and how often each file was refused.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    /// The earliest end, by use, file and name: a file may have two of the same name.
    expires: BTreeMap<(&'static str, Arc<str>, Arc<str>), f64>,
    files: BTreeMap<Arc<str>, File>,
}

#[derive(Debug, Default)]
struct File {
    in_use: bool,
    refusals: u64,
}

impl Certificates {
    /// Replaces what is shown. A file that is named no more is forgotten, with its count.
    pub(crate) fn show(&mut self, certificates: Vec<CertificateView>, files: Vec<FileView>) {
        self.expires.clear();
        for CertificateView { usage, file, name, expires } in certificates {
            let earliest = self.expires.entry((usage, file, name)).or_insert(expires);
            *earliest = earliest.min(expires);
        }
        let mut old = std::mem::take(&mut self.files);
        for FileView { file, in_use } in files {
            let refusals = old.remove(&file).map_or(0, |old| old.refusals);
            self.files.insert(file, File { in_use, refusals });
        }
    }

    pub(crate) fn refuse(&mut self, file: &str) {
        if let Some(file) = self.files.get_mut(file) {
            file.refusals += 1;
        }
    }

    pub(crate) fn collect(&self, to: &mut Exposition) {
        for ((usage, file, name), expires) in &self.expires {
            to.gauge(Id::CertificateExpires, &[usage, file, name], *expires);
        }
        for (name, File { in_use, refusals }) in &self.files {
            to.counter(Id::CertificateRefusals, &[name], *refusals);
            to.gauge(Id::CertificateInUse, &[name], f64::from(u8::from(*in_use)));
        }
    }
}
