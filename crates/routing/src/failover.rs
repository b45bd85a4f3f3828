//! Decides which backend of a service is active.
//!
//! Does no I/O, reads no clock, spawns nothing. Same inputs, same decisions.

use std::time::{Duration, Instant};

/// Names one backend for as long as the process runs; never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u32);

/// The result of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The backend answered as it should.
    Pass,
    /// It did not.
    Fail,
    /// We cannot tell, for example because we were late ourselves. Changes nothing.
    Inconclusive,
}

/// What the probes say of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// No verdict yet. Never used for traffic.
    Unknown,
    /// Answering.
    Up,
    /// Not answering.
    Down,
}

/// What the operator wishes for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// May be active.
    Ready,
    /// No new requests; running ones finish.
    Drain,
    /// No requests at all.
    Maintenance,
}

/// Why the active changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first active since the start.
    Startup,
    /// The active was no longer eligible.
    Failover,
    /// A higher-priority backend had been eligible for the hold-down.
    Failback,
    /// A backend became eligible after nobody was.
    Recovery,
    /// The operator moved the service.
    Switchover,
    /// A reload removed the active or changed the order.
    Reload,
}

/// When the active changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Consecutive passes that bring a backend up (at least 1).
    pub rise: u32,
    /// Consecutive failures that take it down (at least 1).
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
    /// Keep sending to the last active.
    KeepLast,
}

/// What repeated failovers do to the hold-down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damping {
    /// A failover within this time after a failback is a flap: it doubles the hold-down. A failback
    /// that outlives it resets the hold-down.
    pub window: Duration,
    /// The hold-down never grows beyond this.
    pub cap: Duration,
    /// After this many flaps in a row the service locks itself; 0 never locks.
    pub lock_after: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A probe ended.
    Probe {
        /// Whose.
        backend: BackendId,
        /// How.
        verdict: Verdict,
    },
    /// The operator asks for something.
    Command(Command),
    /// The backends (in priority order) or the policy changed. Known ids keep their health.
    Reconfigure {
        /// All backends, in priority order.
        backends: Vec<BackendId>,
        /// The new policy.
        policy: Policy,
    },
    /// Time passed.
    Tick,
}

/// What an operator may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Move to this backend now, and stay there.
    Switchover(BackendId),
    /// Move to the first eligible backend now, and unpin.
    Failback,
    /// Stay on the active while it is eligible.
    Pin,
    /// End the pin.
    Unpin,
    /// No automatic move until unlocked, not even a failover.
    Lock,
    /// Allow automatic moves again.
    Unlock,
    /// Set what is wished for a backend.
    SetAdmin(BackendId, AdminState),
}

/// What the caller has to carry out or record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The traffic moves. At most one per step.
    ActiveChanged {
        /// Who had it.
        from: Option<BackendId>,
        /// Who gets it; `None`: requests are held.
        to: Option<BackendId>,
        /// Why.
        reason: Reason,
        /// The number of this change; one more than the last.
        epoch: u64,
    },
    /// A backend came up or went down.
    HealthChanged {
        /// Which.
        backend: BackendId,
        /// Its health now.
        health: Health,
    },
    /// An operator's wish took effect.
    AdminChanged {
        /// Which.
        backend: BackendId,
        /// Its admin state now.
        admin: AdminState,
    },
    /// Automatic moves are off until the operator unlocks.
    Locked,
    /// Automatic moves are on again.
    Unlocked,
    /// A command was not carried out.
    Rejected {
        /// Why not.
        why: Refusal,
    },
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such backend in this service.
    UnknownBackend,
    /// The backend is not eligible.
    NotEligible,
    /// There is no active to pin.
    NothingActive,
}

/// Everything an operator may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The active, if any.
    pub active: Option<BackendId>,
    /// Changes of the active so far.
    pub epoch: u64,
    /// Whether the operator asked to stay here.
    pub pinned: bool,
    /// Whether automatic moves are off.
    pub locked: bool,
    /// The hold-down in force, with damping; `None` when failback is manual.
    pub hold_down: Option<Duration>,
    /// The failback that would happen if nothing else did.
    pub failback_due: Option<(BackendId, Instant)>,
    /// In priority order.
    pub backends: Vec<BackendStatus>,
}

/// One backend of a [`Status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Which.
    pub id: BackendId,
    /// What the probes say.
    pub health: Health,
    /// What the operator wishes.
    pub admin: AdminState,
    /// Consecutive verdicts against the present health.
    pub streak: u32,
    /// Since when it may be active.
    pub eligible_since: Option<Instant>,
}

impl BackendStatus {
    /// Whether the next verdicts could change the health: then they should come quickly.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.health == Health::Unknown || self.streak > 0
    }
}

/// The decision of one service.
#[derive(Clone, Debug)]
pub struct Failover {}

impl Failover {
    /// A service nobody has served yet. `backends` in priority order, ids unique.
    #[must_use]
    pub fn new(now: Instant, backends: &[BackendId], policy: Policy) -> Self {
        let _ = (now, backends, policy);
        Self {}
    }

    /// Takes one input and says what follows. Total: every input is allowed at every time.
    #[must_use]
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        let _ = (now, input);
        Vec::new()
    }

    /// When to send [`Input::Tick`], derived from the state; later than the last `now`.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Everything an operator may ask.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            active: None,
            epoch: 0,
            pinned: false,
            locked: false,
            hold_down: None,
            failback_due: None,
            backends: Vec::new(),
        }
    }
}
