//! What goes into the decision and what comes out of it. Data only.

use std::time::{Duration, Instant};

use super::{
    AdminState, BackendId, Claim, GateResult, GateRun, Health, Policy, Settlement, Verdict,
};

/// Something that happened.
#[allow(clippy::large_enum_variant)] // Reloads are rare, and no input is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A probe ended. One of a backend that is no longer here is ignored.
    Probe {
        /// Whose.
        backend: BackendId,
        /// How.
        verdict: Verdict,
        /// What the backend said of itself. Matters with a pass only, and what is new counts once it
        /// was said in enough passes in a row.
        claim: Claim,
    },
    /// The operator asks for something.
    Command(Command),
    /// The backends (in priority order) or the policy changed. Known ids keep their health.
    Reconfigure {
        /// All backends, in priority order. Of an id given twice the first place counts.
        backends: Vec<BackendId>,
        /// The new policy.
        policy: Policy,
    },
    /// The failback window opened or closed. Until the first word of it, it is closed.
    Window {
        /// Whether it is open now.
        open: bool,
    },
    /// So many requests of the service are in flight. Counts for this step only; wanted while
    /// [`Failover::wants_in_flight`](super::Failover::wants_in_flight) says so.
    InFlight(usize),
    /// The answer to [`Effect::Hold`]. That to an older one is ignored.
    Held {
        /// The number in the effect.
        switch: u64,
        /// Whether every worker acknowledged in time.
        all: bool,
    },
    /// The first good answer of the active since the move of this epoch: live traffic, or a passed
    /// probe that began after it. One of another epoch is ignored.
    Answered {
        /// The epoch of the move.
        epoch: u64,
    },
    /// A gate that [`Effect::RunGate`] began has ended. Another than the one under way is ignored.
    GateFinished {
        /// Which.
        run: GateRun,
        /// How.
        result: GateResult,
    },
    /// A job of the service runs that must not meet a move: the rules and operators begin no planned
    /// move until it is over, or until it has kept one waiting for this long. `None`: none runs any
    /// more. What still runs when the move begins has to be stopped by the caller.
    Busy(Option<Duration>),
    /// Whether what this backend knows is too old for it to become active. While it is active that
    /// does not matter.
    Stale {
        /// Which.
        backend: BackendId,
        /// Whether it is.
        stale: bool,
    },
    /// Time passed.
    Tick,
}

/// What an operator may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Move to this backend now, and stay there; ends a drill. To the active: stay here, and be
    /// watched no more.
    Switchover {
        /// Where to.
        to: BackendId,
        /// How long the move is watched; zero: not at all.
        verify: Duration,
    },
    /// Move to the first eligible backend now, and unpin; ends a drill.
    Failback {
        /// How long the move is watched; zero: not at all.
        verify: Duration,
    },
    /// Stay on the active while it is eligible.
    Pin,
    /// End the pin.
    Unpin,
    /// No automatic move until unlocked, not even a failover.
    Lock,
    /// Allow automatic moves again, and forget flaps and earlier moves. If two claim the active role,
    /// accept that until it is over.
    Unlock,
    /// Set what is wished for a backend.
    SetAdmin(BackendId, AdminState),
    /// Treat the active as failed for a while, then return to it.
    Drill {
        /// For how long.
        length: Duration,
    },
    /// End the drill now.
    EndDrill,
    /// Say how the gate ended of which nobody knows.
    SettleGate(Settlement),
}

/// What the caller has to carry out or record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The traffic moves. At most one per step. Ends a hold.
    ActiveChanged {
        /// Who had it.
        from: Option<BackendId>,
        /// Who gets it; `None`: requests are held.
        to: Option<BackendId>,
        /// Why.
        reason: Reason,
        /// The number of this change; greater than any before. After gates, theirs.
        epoch: u64,
    },
    /// A move is coming, in rare cases right after another in the same step: have every worker start
    /// no more requests, then say [`Input::Held`]. A later one takes the place of an earlier one.
    Hold {
        /// The number to answer with.
        switch: u64,
        /// Whether the active that is left is eligible: then the move needs every acknowledgement.
        planned: bool,
        /// Answer only when no request is at any backend any more, or when those left after this
        /// time were cut. `None`: requests under way do not matter.
        drain: Option<Duration>,
    },
    /// The move is off: the active is who it was, and requests may start again.
    Release {
        /// The number of the hold.
        switch: u64,
        /// Why.
        why: Abort,
    },
    /// Run this gate, and say [`Input::GateFinished`] when it has ended, which it must within bounds.
    /// That it begins must be on record before it does. At most one runs at a time.
    RunGate {
        /// Which.
        run: GateRun,
        /// Whether it has been begun before: it is idempotent, never got through, or an operator said
        /// so.
        again: bool,
    },
    /// Nobody knows how this gate ended: the service waits for an operator to say. Told once.
    GateInDoubt {
        /// Which.
        run: GateRun,
    },
    /// A backend may not become active, because a gate of a move to it failed, until an operator
    /// unlocks the service or moves it there.
    Barred {
        /// Which.
        backend: BackendId,
    },
    /// The first good answer after an ordered move.
    Verified {
        /// The epoch of the move.
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
    /// A backend says another thing of itself than before. That it wants to serve is taken for
    /// granted. Not told when that is forgotten because it went down.
    ClaimChanged {
        /// Which.
        backend: BackendId,
        /// What it says now.
        claim: Claim,
    },
    /// Two backends or more claim the active role: automatic moves are frozen until that is over or
    /// the operator unlocks.
    DualActive,
    /// That is over: fewer than two claim it, or the operator unlocked. Told once.
    DualActiveCleared {
        /// Whether the operator did.
        by_operator: bool,
    },
    /// Automatic moves are off until the operator unlocks.
    Locked,
    /// Automatic moves are on again.
    Unlocked,
    /// The active is treated as failed from now on.
    DrillBegan {
        /// The active.
        backend: BackendId,
        /// When that ends by itself.
        until: Instant,
    },
    /// The drill is over; the backend may serve again.
    DrillEnded {
        /// Which.
        backend: BackendId,
        /// Whether that was before its time.
        early: bool,
    },
    /// A command was not carried out.
    Rejected {
        /// Why not.
        why: Refusal,
    },
}

/// Why the active changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first active since the start.
    Startup,
    /// The active was no longer eligible. From nobody: nor was the last active of the time before a
    /// restart.
    Failover,
    /// All conditions for a failback held, or the operator said so.
    Failback,
    /// A backend could be used after nobody could.
    Recovery,
    /// The operator moved the service.
    Switchover,
    /// A reload removed the active, changed the order or changed the policy.
    Reload,
    /// An ordered move did not work out: back to where it came from.
    Return,
    /// A drill began, or ended.
    Drill,
}

/// Why a move that had begun is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Abort {
    /// Whoever should have become active is not eligible any more.
    HeirLost,
    /// The rules or the operator say stay: the old active is back, a lock, another policy.
    Overruled,
    /// Not every worker acknowledged.
    Unacknowledged,
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such backend in this service.
    UnknownBackend,
    /// The backend is not eligible.
    NotEligible,
    /// There is no active.
    NothingActive,
    /// A move is under way.
    Switching,
    /// The policy says that this service never fails back.
    NeverFailsBack,
    /// Nobody else is eligible.
    NoStandby,
    /// The service is pinned.
    Pinned,
    /// The service is locked, or two claim the active role; to unlock helps in both cases.
    Locked,
    /// An ordered move is still being watched.
    Verifying,
    /// A drill runs already.
    Drilling,
    /// No drill runs.
    NoDrill,
    /// There is no gate in doubt.
    NoDoubt,
    /// A gate is in doubt.
    InDoubt,
}
