//! What a person wants to know of a certificate: whose it is, and until when.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use super::TlsError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate with less time left is worth a warning: who renews by hand has three weeks.
const SOON: Duration = Duration::from_secs(21 * 24 * 60 * 60);

/// A certificate that was loaded from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// What for.
    pub usage: Usage,
    /// In which file.
    pub file: PathBuf,
    /// Names and addresses it is for, or whose it is when it is for none.
    pub names: Vec<String>,
    /// When it begins to be valid.
    pub begins: SystemTime,
    /// When it expires.
    pub ends: SystemTime,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// Shown to clients.
    Listener,
    /// Shown to backends.
    Upstream,
    /// Issues certificates that we trust.
    Authority,
}

impl Usage {
    /// As metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Upstream => "upstream",
            Self::Authority => "ca",
        }
    }
}

impl Certificate {
    /// Whole days until it expires, rounded down; negative when it has.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> i64 {
        days_left(self.ends, now)
    }

    /// What an operator should know as of `now`: that it has expired, does so within 21 days, or is
    /// not valid yet.
    #[must_use]
    pub fn complaint(&self, now: SystemTime) -> Option<String> {
        let Self { names, begins, ends, .. } = self;
        let facts = Facts { names: names.clone(), begins: *begins, ends: *ends };
        facts.complaint(&self.file, now)
    }
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) names: Vec<String>,
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

impl Facts {
    pub(super) fn complaint(&self, file: &Path, now: SystemTime) -> Option<String> {
        let what = format!("the certificate of {} in {}", self.names.join(", "), file.display());
        if self.begins > now {
            return Some(format!("{what} is not valid yet"));
        }
        time_left(&what, self.ends, now)
    }
}

/// What an operator should know of `what`, which expires at `ends`, as of `now`.
pub(crate) fn time_left(what: &str, ends: SystemTime, now: SystemTime) -> Option<String> {
    match ends.duration_since(now) {
        Err(_) | Ok(Duration::ZERO) => Some(format!("{what} has expired")),
        Ok(left) if left < DAY => Some(format!("{what} expires within a day")),
        Ok(left) if left < SOON => {
            Some(format!("{what} expires in {}", Days(left.as_secs() / DAY.as_secs())))
        }
        Ok(_) => None,
    }
}

struct Days(u64);

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 day"),
            days => write!(f, "{days} days"),
        }
    }
}

fn days_left(ends: SystemTime, now: SystemTime) -> i64 {
    let seconds = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    (seconds(ends) - seconds(now)).div_euclid(24 * 60 * 60)
}

/// What certificates say of themselves.
pub(super) fn facts(
    file: &Path,
    certificates: &[CertificateDer<'_>],
) -> Result<Vec<Facts>, TlsError> {
    let facts = certificates.iter().enumerate().map(|(place, certificate)| {
        let wrong = |why: &dyn fmt::Display| {
            TlsError::wrong(file, format!("certificate {} in it cannot be read: {why}", place + 1))
        };
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|why| wrong(&why))?;
        if !rest.is_empty() {
            return Err(wrong(&"there is something behind it"));
        }
        let validity = parsed.validity();
        let names = names(&parsed);
        Ok(Facts { names, begins: time(validity.not_before), ends: time(validity.not_after) })
    });
    facts.collect()
}

/// RFC 6125 6.4.4: the common name counts only when there is no name of the other kind.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map(|names| names.value.general_names.iter());
    let names: Vec<String> = alternatives.into_iter().flatten().filter_map(name).collect();
    if !names.is_empty() {
        return names;
    }
    let subject = certificate.subject();
    let common = subject.iter_common_name().filter_map(|name| name.as_str().ok());
    let common: Vec<String> = common.map(str::to_owned).collect();
    if common.is_empty() { vec![subject.to_string()] } else { common }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| Ipv4Addr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| Ipv6Addr::from(b).to_string()),
        },
        GeneralName::URI(name) => Some((*name).to_owned()),
        _ => None,
    }
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let at = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    at.unwrap_or(UNIX_EPOCH)
}

/// A list that should have been replaced by now still revokes what it names, but not what was
/// revoked since.
pub(super) fn stale_lists(
    file: &Path,
    lists: &[CertificateRevocationListDer<'_>],
    now: SystemTime,
) -> Vec<String> {
    let stale = lists.iter().filter_map(|list| {
        let (_, list) = CertificateRevocationList::from_der(list).ok()?;
        let next = time(list.next_update()?);
        let issuer = list.issuer();
        (next <= now).then(|| {
            let file = file.display();
            format!("the revocation list of {issuer} in {file} should have been replaced by now")
        })
    });
    stale.collect()
}
