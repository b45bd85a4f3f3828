//! What outlives a restart, and how the decision goes on from it.
//!
//! The last active stays the candidate: a restart is not a failback. It serves again as soon as it is
//! eligible, with its pin; until then, within the start-up grace, everybody waits until it is known.
//! One lost probe does not tell: it takes as many failures as later, too. When it is down, or claims
//! what makes it of no use, or the grace is over, or the operator does not want it, the rules go on
//! without it: the pin is gone, and somebody else's turn is a failover if its probes were against it,
//! a start otherwise. Nobody is used unchecked.
//!
//! Where gates had already given the role to another, that one is the candidate. Of a move that had
//! begun only the gate under way is gone on with (`gates.rs`); then it is planned anew, under another
//! number. What is too old, and whether a job runs, is not kept: the caller says so again.

use std::time::{Duration, Instant};

use super::drill::Drill;
use super::{AdminState, BackendId, Failover, GateRun, Policy, Standing, after};

/// What outlives a restart. Ages and remaining times are as of the moment of
/// [`Failover::resume`]: the caller adds the time in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The active, or the one before there was none.
    pub active: Option<BackendId>,
    /// The greatest number of a change that was told, or reserved for one; the next one is greater.
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
    /// Who holds the active role in the applications. If nobody is named `active` does, or else the
    /// first backend; otherwise none of those not named.
    pub standings: Vec<(BackendId, Standing)>,
    /// Who is barred.
    pub barred: Vec<BackendId>,
    /// The gate that has begun and not ended, as far as was recorded.
    pub gate: Option<GateRun>,
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
        let active = saved.active.filter(known);
        // A process that another took over from may still have requests there.
        if let Some(active) = active {
            resumed.switching.note_straggler(active);
        }
        resumed.restore_standings(active, saved.standings);
        resumed.last = active.map(|active| resumed.holder_instead_of(active));
        let pinned = saved.pinned && resumed.last == active;
        resumed.resuming = resumed.last.map(|_| Resuming { pinned });
        (resumed.epoch, resumed.gates.number) = (saved.epoch, saved.epoch);
        for backend in &mut resumed.backends {
            backend.barred = saved.barred.contains(&backend.id);
        }
        if let Some(run) = saved.gate {
            resumed.resume_gate(run, active);
        }
        resumed.locked = saved.locked;
        resumed.flaps = if resumed.policy.damping.window.is_zero() { 0 } else { saved.flaps };
        resumed.failed_back = saved.failed_back.and_then(|(id, age)| Some((id, ago(age)?)));
        resumed.recent = saved.switches.into_iter().filter_map(ago).collect();
        for (id, admin) in saved.admin {
            if let Some(backend) = resumed.backends.iter_mut().find(|b| b.id == id) {
                backend.set_admin(now, admin, &resumed.policy);
            }
        }
        if let Some(last) = resumed.backends.iter_mut().find(|b| Some(b.id) == resumed.last) {
            last.has_served = true;
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
            epoch: self.gates.number,
            pinned: self.pinned || self.resuming.is_some_and(|resuming| resuming.pinned),
            locked: self.locked,
            flaps: self.flaps,
            failed_back: self.failed_back.map(|(id, at)| (id, age(at))),
            switches: self.recent.iter().map(|&at| age(at)).collect(),
            admin: self.backends.iter().map(|b| (b.id, b.admin)).collect(),
            drill: running.or(self.drilled.map(|id| (id, Duration::ZERO))),
            standings: self.backends.iter().map(|b| (b.id, b.standing)).collect(),
            barred: self.backends.iter().filter(|b| b.barred).map(|b| b.id).collect(),
            gate: self.gates.under_way.map(|under_way| under_way.run),
        }
    }

    fn restore_standings(&mut self, active: Option<BackendId>, saved: Vec<(BackendId, Standing)>) {
        if saved.is_empty() {
            active.into_iter().for_each(|active| self.takes_the_role(active));
            return;
        }
        for backend in &mut self.backends {
            let known = saved.iter().find(|(id, _)| *id == backend.id);
            backend.standing = known.map(|&(_, standing)| standing).unwrap_or_default();
        }
    }

    /// The one that holds the role, if this one does not: it took it, but was not announced any more.
    fn holder_instead_of(&self, active: BackendId) -> BackendId {
        let mut holders = self.backends.iter().filter(|b| b.standing == Standing::Holds);
        match (holders.next(), holders.next()) {
            (Some(only), None) => only.id,
            (None | Some(_), _) => active,
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
