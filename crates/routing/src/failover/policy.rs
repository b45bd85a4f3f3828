//! When the active changes: what the configuration says about it. Data only.

use std::time::Duration;

/// When the active changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Consecutive passes that bring a backend up (at least 1; 0 is taken as 1).
    pub rise: u32,
    /// Consecutive failures that take it down (at least 1; 0 is taken as 1).
    pub fall: u32,
    /// How a recovered higher-priority backend gets the service back.
    pub failback: Failback,
    /// What to do when nobody is eligible.
    pub all_down: AllDown,
    /// How long, from the start, a lower-priority backend waits for the first verdict on a
    /// higher-priority one.
    pub startup_grace: Duration,
    /// What repeated failovers do to the hold-down.
    pub damping: Damping,
}

/// How a recovered higher-priority backend gets the service back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// By itself, after being eligible without a break for `hold_down`.
    Auto {
        /// How long it must have been eligible.
        hold_down: Duration,
    },
    /// When the operator says so.
    Manual,
}

/// What to do when nobody is eligible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllDown {
    /// No active: requests are held, then answered 503.
    Reject,
    /// Keep sending to the last active, unless the operator wants it drained or in maintenance.
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
    /// After this many flaps in a row the service locks itself; 0 never locks.
    pub lock_after: u32,
}
