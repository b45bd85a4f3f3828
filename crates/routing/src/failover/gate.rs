//! What must happen in the applications before the traffic moves, and what is known of it.

use super::{BackendId, Reason};

/// A step of the application's own that goes with a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// Makes a backend harmless that may still hold the active role, whether it cooperates or not.
    Fence,
    /// Has a backend give up the active role.
    Demote,
    /// Brings the heir up to date.
    Sync,
    /// Has the heir take the active role.
    Promote,
    /// Sees that the heir has taken it.
    Verify,
}

/// Which list of gates a move goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Away from an active that is not eligible, or from nobody.
    Failover,
    /// Away from an eligible active, by the rules: a failback, a return, the end of a drill.
    Failback,
    /// Away from an eligible active because an operator says so: a switchover, a drill.
    Switchover,
}

/// Whether a gate must succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Yes.
    Required,
    /// Unless nothing could be reached: then it never began.
    IfReachable,
    /// No.
    BestEffort,
}

/// What becomes of the move when a gate that must succeed does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// It ends: the service is locked, and goes back to where it was if that is eligible.
    Abort,
    /// It goes on as if the gate had succeeded.
    Continue,
    /// Somebody else's turn: the heir is barred until an operator unlocks.
    NextStandby,
}

/// One gate of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GateRule {
    /// Which.
    pub gate: Gate,
    /// Whether it must succeed.
    pub need: Need,
    /// What if it does not.
    pub on_failure: OnFailure,
    /// Whether to run it twice does no harm: then it is run again when nobody knows how it ended.
    pub idempotent: bool,
}

/// The gates of a service. Each list is in the order of [`Gate`], no gate twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateRules {
    /// Of failovers.
    pub failover: Vec<GateRule>,
    /// Of failbacks.
    pub failback: Vec<GateRule>,
    /// Of switchovers.
    pub switchover: Vec<GateRule>,
}

impl GateRules {
    /// Those of one direction.
    #[must_use]
    pub fn of(&self, direction: Direction) -> &[GateRule] {
        match direction {
            Direction::Failover => &self.failover,
            Direction::Failback => &self.failback,
            Direction::Switchover => &self.switchover,
        }
    }

    /// Whether there are none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failover.is_empty() && self.failback.is_empty() && self.switchover.is_empty()
    }
}

/// One run of a gate. Epoch, gate and backend together never come twice, unless the same run is
/// repeated because it is idempotent, never began, or an operator says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GateRun {
    /// The epoch of the move it belongs to: what the heir will serve under. That of the active when a
    /// fence is made up for.
    pub epoch: u64,
    /// Which gate.
    pub gate: Gate,
    /// Which list it is from.
    pub direction: Direction,
    /// Whom it is about: the heir, or who may still hold the role.
    pub backend: BackendId,
    /// Who was active before the move, if anybody; still here.
    pub from: Option<BackendId>,
    /// The heir; the active when a fence is made up for.
    pub to: BackendId,
    /// Why the service moves.
    pub reason: Reason,
}

/// How a run of a gate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GateResult {
    /// It did what it should.
    Done,
    /// Nothing of it has begun: nobody could be reached.
    Unreachable,
    /// It did not, or nobody knows.
    Failed,
}

/// What an operator says of a gate of which nobody knows how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// It has succeeded.
    Done,
    /// It has failed.
    Failed,
    /// Run it again.
    Again,
}

/// Whether a backend holds the active role in its application, as far as gates have told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It does not.
    #[default]
    Standby,
    /// It does.
    Holds,
    /// A gate that should have changed it did not succeed, for all that is known.
    Unsure {
        /// Whether that gate may be run again without an operator.
        repeatable: bool,
    },
}

/// A gate that has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateStatus {
    /// Which.
    pub run: GateRun,
    /// Whether nobody knows how it ended, and the service waits for an operator to say.
    pub in_doubt: bool,
}
