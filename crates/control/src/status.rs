//! What an operator may ask about the running services, as plain data.
//!
//! Times are kept as instants and written as seconds relative to the moment of writing, so a status
//! does not grow stale between two changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use routing::failover::{AdminState, Health, Reason};
use serde::{Serialize, Serializer};

/// Everything an operator may ask, at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// In the order of the config.
    pub services: Vec<Arc<ServiceStatus>>,
}

impl Status {
    /// The service with this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceStatus> {
        self.services.iter().find(|service| &*service.name == name).map(|service| &**service)
    }
}

/// One service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The name of the backend that has the traffic; `None` while requests are held or rejected.
    pub active: Option<Arc<str>>,
    /// Changes of the active so far.
    pub epoch: u64,
    /// When the active last changed, or when the service began.
    #[serde(rename = "since_seconds")]
    pub since: Since,
    /// Whether the active is the first backend.
    pub on_primary: bool,
    /// Whether the operator asked to stay here.
    pub pinned: bool,
    /// Whether automatic moves are off.
    pub locked: bool,
    /// When the service fails back if nothing else happens.
    #[serde(rename = "failback_due_in_seconds")]
    pub failback_due: Option<Until>,
    /// In priority order: the first is the primary.
    pub backends: Vec<BackendStatus>,
}

impl ServiceStatus {
    /// Whether the first round of verdicts is in: somebody is active, or everybody has been checked.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.active.is_some()
            || self.backends.iter().all(|backend| backend.health != Health::Unknown)
    }
}

/// One backend of a service.
#[derive(Clone, Debug, Serialize)]
pub struct BackendStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub url: Arc<str>,
    /// What the probes say.
    #[serde(serialize_with = "write_health")]
    pub health: Health,
    /// What the operator wishes.
    #[serde(serialize_with = "write_admin")]
    pub admin: AdminState,
    /// Whether it has the traffic.
    pub active: bool,
    /// The probe that ended last.
    pub last_probe: Option<LastProbe>,
}

/// A probe that ended.
#[derive(Clone, Debug, Serialize)]
pub struct LastProbe {
    /// `pass`, `inconclusive`, or why it failed.
    pub outcome: Arc<str>,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "write_millis")]
    pub took: Duration,
    /// When it ended.
    #[serde(rename = "ago_seconds")]
    pub ended: Since,
}

/// A moment that has passed; written as seconds since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(pub Instant);

impl Since {
    /// How long ago.
    #[must_use]
    pub fn ago(self) -> Duration {
        self.0.elapsed()
    }
}

impl Serialize for Since {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(seconds(self.ago()))
    }
}

/// A moment to come; written as seconds from now, 0 when it has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(pub Instant);

impl Until {
    /// How long it still takes; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

impl Serialize for Until {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(seconds(self.left()))
    }
}

/// Seconds to the millisecond: more digits would only be noise to a reader.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

pub(crate) fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    }
}

pub(crate) fn admin_word(admin: AdminState) -> &'static str {
    match admin {
        AdminState::Ready => "ready",
        AdminState::Drain => "drain",
        AdminState::Maintenance => "maintenance",
    }
}

pub(crate) fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Startup => "startup",
        Reason::Failover => "failover",
        Reason::Failback => "failback",
        Reason::Recovery => "recovery",
        Reason::Switchover => "switchover",
        Reason::Reload => "reload",
    }
}

pub(crate) fn write_health<S: Serializer>(health: &Health, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(health_word(*health))
}

pub(crate) fn write_admin<S: Serializer>(admin: &AdminState, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(admin_word(*admin))
}

pub(crate) fn write_reason<S: Serializer>(reason: &Reason, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(reason_word(*reason))
}

fn write_millis<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}
