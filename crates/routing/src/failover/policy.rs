//! When the active changes: what the configuration says about it. Data only.

use std::time::Duration;

use super::{GateRules, Role};

/// When the active changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Consecutive passes that bring a backend up, or make a changed claim count (at least 1; 0 is
    /// taken as 1).
    pub rise: u32,
    /// Consecutive failures that take it down (at least 1; 0 is taken as 1).
    pub fall: u32,
    /// The role that a backend must claim to be eligible; `None`: any but [`Role::Promoting`] and
    /// [`Role::Fenced`], or none.
    pub required_role: Option<Role>,
    /// How a recovered higher-priority backend gets the service back.
    pub failback: Failback,
    /// What to do when nobody is eligible.
    pub all_down: AllDown,
    /// How long, from the start, a lower-priority backend waits for the first verdict on a
    /// higher-priority one, and everybody until it is known how the last active of the time before a
    /// restart is, or whether two are active.
    pub startup_grace: Duration,
    /// What repeated failovers do to the hold-down.
    pub damping: Damping,
    /// When the service locks itself; `None`: never.
    pub lock: Option<LockRule>,
    /// Strict moves; `None`: moves are overlap-free for new requests only.
    pub exclusive: Option<Exclusive>,
    /// What must happen in the applications before the traffic moves.
    pub gates: GateRules,
}

/// How a recovered higher-priority backend gets the service back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// By itself, once all of this holds.
    Auto(Conditions),
    /// When the operator says so.
    Manual,
    /// Not at all: the order is no preference once somebody serves. The order to fail back is
    /// refused as well; only a switchover moves the service.
    Never,
}

/// What must hold, all of it, before the service fails back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Eligible without a break for this long (doubled by the damping).
    pub hold_down: Duration,
    /// At least this many probes have passed in a row since it became eligible; 0 and 1: no matter.
    pub passes: u32,
    /// Fewer than this many requests of the service are in flight.
    pub in_flight_below: Option<usize>,
    /// The failback window is open; the caller says when. False: always open.
    pub windowed: bool,
}

/// What to do when nobody is eligible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllDown {
    /// No active: requests are held, then answered 503.
    Reject,
    /// Keep sending to the last active, unless the operator, or what it said of itself last, forbids
    /// it.
    KeepLast,
}

/// What repeated failovers do to the hold-down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damping {
    /// Leaving a backend that went down within this time after a failback to it is a flap: it doubles
    /// the hold-down. A failback that outlives it resets the hold-down. Zero turns the damping off.
    pub window: Duration,
    /// The hold-down never grows beyond this.
    pub cap: Duration,
}

/// After this many automatic moves within this time the service locks itself (not while nobody
/// serves).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRule {
    /// So many failovers and failbacks (at least 1; 0 is taken as 1).
    pub switches: u32,
    /// Within this time; one that is exactly as old does not count any more.
    pub within: Duration,
}

/// Strict moves: no two backends ever work on requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exclusive {
    /// How long requests at the old active may take; then they are cut.
    pub drain: Duration,
}
