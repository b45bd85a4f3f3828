//! What a scrape shows of the decisions. Data only.

use std::sync::Arc;

use super::JobView;

/// What a scrape shows of the decisions; control hands in a new one at every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveView {
    /// One per service.
    pub services: Vec<ServiceView>,
}

/// One service of an [`ActiveView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: Arc<str>,
    /// Changes of the active so far.
    pub epoch: u64,
    /// Whether the first backend has the traffic.
    pub is_on_primary: bool,
    /// Whether automatic moves are off.
    pub is_locked: bool,
    /// Whether two backends or more claim the active role, so that automatic moves are frozen.
    pub is_dual_active: bool,
    /// Of a service with gates, which it has, and whether one is in doubt.
    pub gates: Option<GatesView>,
    /// Its jobs.
    pub jobs: Vec<JobView>,
    /// Backends in priority order.
    pub backends: Vec<BackendView>,
}

/// The gates of a [`ServiceView`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatesView {
    /// Those that it has, by name.
    pub names: Vec<&'static str>,
    /// Whether nobody knows how one ended.
    pub is_in_doubt: bool,
}

/// One backend of a [`ServiceView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it has the traffic.
    pub active: bool,
    /// `unknown`, `up` or `down`.
    pub health: &'static str,
    /// `ready`, `drain` or `maintenance`.
    pub admin: &'static str,
    /// The role that it claims: `active`, `standby`, `promoting` or `fenced`.
    pub role: Option<&'static str>,
    /// Whether its probes have told nothing for long.
    pub is_undecided: bool,
    /// Of a service with gates, whether it may not become active because one failed.
    pub is_barred: Option<bool>,
    /// Of a standby, whether a failover to it would work now.
    pub standby_ready: Option<bool>,
}
