//! What outlives a restart, and how the decision goes on from it.
//!
//! The last active stays the candidate: a restart is not a failback. It serves again as soon as it is
//! eligible, with its pin; until then, within the start-up grace, everybody waits for its first
//! verdict. When that is bad, or the grace is over, or the operator does not want it, the rules go on
//! without it: the pin is gone, and somebody else's turn is a failover if it is down, a start
//! otherwise. Nobody is used unchecked.

use std::time::{Duration, Instant};

use super::drill::Drill;
use super::{AdminState, BackendId, Failover, Policy, after};

/// What outlives a restart. Ages and remaining times are as of the moment of
/// [`Failover::resume`]: the caller adds the time in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The active, or the one before there was none.
    pub active: Option<BackendId>,
    /// The number of the last change; the next one is one more.
    pub epoch: u64,
    /// Whether the operator asked to stay on the active.
    pub pinned: bool,
    /// Whether automatic moves are off.
    pub locked: bool,
    /// Flaps in a row.
    pub flaps: u32,
    /// Who was failed back to, and how long ago, if the damping window has not passed since.
    pub failed_back: Option<(BackendId, Duration)>,
    /// The ages of the moves that count against the lock rule, oldest first.
    pub switches: Vec<Duration>,
    /// What the operator wishes for each backend.
    pub admin: Vec<(BackendId, AdminState)>,
    /// Whose failure is drilled, and for how long still. Zero: over, but not returned from yet.
    pub drill: Option<(BackendId, Duration)>,
}

/// The last active of the time before the restart is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resuming {
    /// Whether it was pinned.
    pub(super) pinned: bool,
}

impl Resuming {
    pub(super) fn unpinned(self) -> Self {
        Self { pinned: false }
    }
}

impl Failover {
    /// A service that goes on after a restart. What `saved` says of backends that are not here any
    /// more is dropped. Follow it with a [`Tick`](super::Input::Tick): something may be over already.
    #[must_use]
    pub fn resume(now: Instant, backends: &[BackendId], policy: Policy, saved: Saved) -> Self {
        let mut resumed = Self::new(now, backends, policy);
        let known = |id: &BackendId| backends.contains(id);
        let ago = |age: Duration| now.checked_sub(age);
        resumed.last = saved.active.filter(known);
        // A process that another took over from may still have requests there.
        if let Some(last) = resumed.last {
            resumed.switching.note_straggler(last);
        }
        resumed.resuming = resumed.last.map(|_| Resuming { pinned: saved.pinned });
        resumed.epoch = saved.epoch;
        resumed.locked = saved.locked;
        resumed.flaps = if resumed.policy.damping.window.is_zero() { 0 } else { saved.flaps };
        resumed.failed_back = saved.failed_back.and_then(|(id, age)| Some((id, ago(age)?)));
        resumed.recent = saved.switches.into_iter().filter_map(ago).collect();
        for (id, admin) in saved.admin {
            if let Some(backend) = resumed.backends.iter_mut().find(|b| b.id == id) {
                backend.set_admin(now, admin);
            }
        }
        let drill = saved.drill.filter(|(id, _)| known(id));
        resumed.drill = drill.map(|(backend, rest)| Drill { backend, until: after(now, rest) });
        resumed
    }

    /// What to keep for [`Failover::resume`]. To be kept safe before the effects of a step are
    /// announced.
    #[must_use]
    pub fn saved(&self, now: Instant) -> Saved {
        let age = |at: Instant| now.saturating_duration_since(at);
        let running = self.drill.map(|d| (d.backend, d.until.saturating_duration_since(now)));
        Saved {
            active: self.last,
            epoch: self.epoch,
            pinned: self.pinned || self.resuming.is_some_and(|resuming| resuming.pinned),
            locked: self.locked,
            flaps: self.flaps,
            failed_back: self.failed_back.map(|(id, at)| (id, age(at))),
            switches: self.recent.iter().map(|&at| age(at)).collect(),
            admin: self.backends.iter().map(|b| (b.id, b.admin)).collect(),
            drill: running.or(self.drilled.map(|id| (id, Duration::ZERO))),
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Waits no more when the last active has turned out to be of no use, or the grace is over.
    pub(super) fn let_go_of_resumption(&mut self) {
        let hope = |id: BackendId| self.may_serve(id) || self.is_awaited(id);
        self.resuming = self.resuming.filter(|_| self.last.is_some_and(hope));
    }
}
