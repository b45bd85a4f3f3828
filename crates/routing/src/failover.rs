//! Decides which backend of a service is active.
//!
//! Does no I/O, reads no clock, spawns nothing. Same inputs, same decisions.
//!
//! The caller feeds everything that happens into [`Failover::step`], carries out the effects, and
//! sends [`Input::Tick`] at [`Failover::wake_at`]. Backends are in priority order; one is *eligible*
//! while the probes say up and the operator says ready. After every input these rules hold:
//!
//! | # | when | then |
//! |---|---|---|
//! | 1 | active eligible; pinned, locked, or failback is manual | stay |
//! | 2 | active eligible; a higher-priority one has been eligible for the hold-down | fail back |
//! | 3 | active eligible otherwise | stay |
//! | 4 | active not eligible, another is | fail over to the first eligible |
//! | 5 | never served yet, within the start-up grace, a higher-priority one still unknown | wait |
//! | 6 | none eligible | no active; or keep the last one, if configured |
//!
//! **A lock freezes the choice, not the service.** To rules 4 to 6 every backend but the last active
//! is absent while locked. So when the active fails, nobody takes over; when it comes back, it
//! serves again, for no traffic went elsewhere meanwhile. A service locked before anyone served has
//! no active. What the operator orders (switchover, failback) happens all the same.
//!
//! **A flap** is a backend that goes down, and is left, within the damping window after a failback to
//! it. Each one in a row doubles the hold-down. A failback that outlives the window ends the row; so
//! does an unlock.

mod backend;
#[cfg(debug_assertions)]
mod invariants;
mod policy;
mod status;
#[cfg(test)]
mod tests;

use std::mem;
use std::time::{Duration, Instant};

use backend::Backend;
pub use backend::{AdminState, BackendId, Health, Verdict};
pub use policy::{AllDown, Conditions, Damping, Exclusive, Failback, LockRule, Policy};
pub use status::{BackendStatus, Status};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A probe ended. One of a backend that is no longer here is ignored.
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
        /// All backends, in priority order. Of an id given twice the first place counts.
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
    /// Allow automatic moves again, and forget the flaps.
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

/// Why the active changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first active since the start.
    Startup,
    /// The active was no longer eligible.
    Failover,
    /// A higher-priority backend had been eligible for the hold-down, or the operator said so.
    Failback,
    /// A backend could be used after nobody could.
    Recovery,
    /// The operator moved the service.
    Switchover,
    /// A reload removed the active, changed the order or changed the policy.
    Reload,
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

/// The decision of one service.
#[derive(Clone, Debug)]
pub struct Failover {
    policy: Policy,
    /// In priority order.
    backends: Vec<Backend>,
    active: Option<BackendId>,
    /// The active, or the one before there was none; forgotten when a reload removes it.
    last: Option<BackendId>,
    epoch: u64,
    started: Instant,
    pinned: bool,
    locked: bool,
    /// Flaps in a row.
    flaps: u32,
    /// When the active was failed back to, until that failback has outlived the damping window.
    failed_back: Option<Instant>,
}

impl Failover {
    /// A service nobody has served yet. `backends` in priority order, ids unique.
    #[must_use]
    pub fn new(now: Instant, backends: &[BackendId], policy: Policy) -> Self {
        let mut failover = Self {
            policy: policy.clone(),
            backends: Vec::new(),
            active: None,
            last: None,
            epoch: 0,
            started: now,
            pinned: false,
            locked: false,
            flaps: 0,
            failed_back: None,
        };
        failover.reconfigure(backends, policy);
        failover
    }

    /// Takes one input and says what follows. Total: every input is allowed at every time.
    #[must_use]
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        #[cfg(debug_assertions)]
        let before = self.epoch;
        let mut effects = Vec::new();
        let reloaded = matches!(input, Input::Reconfigure { .. });

        let ordered = match input {
            Input::Probe { backend, verdict } => {
                self.observe(now, backend, verdict, &mut effects);
                None
            }
            Input::Command(command) => {
                self.obey(now, command, &mut effects).unwrap_or_else(|why| {
                    effects.push(Effect::Rejected { why });
                    None
                })
            }
            Input::Reconfigure { backends, policy } => {
                self.reconfigure(&backends, policy);
                None
            }
            Input::Tick => None,
        };

        self.settle(now);
        let (to, reason) = match ordered {
            Some((to, reason)) => (Some(to), reason),
            None => (self.choose(now), self.reason(reloaded)),
        };
        if to != self.active {
            self.activate(now, to, reason, &mut effects);
        }
        self.pinned &= self.active_is_eligible();

        #[cfg(debug_assertions)]
        self.check_invariants(now, before, &effects);
        effects
    }

    /// When to send [`Input::Tick`], derived from the state; later than the last `now`.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let failback = self.failback_due().map(|(_, due)| due);
        [self.waits_until(), failback, self.settles_at()].into_iter().flatten().min()
    }

    // === The rules ===

    /// Who should be active now.
    fn choose(&self, now: Instant) -> Option<BackendId> {
        if self.active_is_eligible() {
            // Rules 1 to 3. Of several that are due the highest priority wins, not the earliest.
            let due = self.failbacks().find(|&(_, due)| now >= due);
            return due.map(|(id, _)| id).or(self.active);
        }
        match self.first_eligible() {
            Some(first) if self.awaits_better(first, now) => None, // rule 5
            Some(first) => Some(first),                            // rule 4
            None => match self.policy.all_down {
                AllDown::Reject => None, // rule 6
                // Overrules the probes, but not the operator.
                AllDown::KeepLast => self.last.filter(|&id| self.is_ready(id)),
            },
        }
    }

    /// The first backend that rule 4 may take: while locked, none but the last active.
    fn first_eligible(&self) -> Option<BackendId> {
        let free = |b: &&Backend| !self.locked || Some(b.id) == self.last;
        self.backends.iter().filter(free).find(|b| b.is_eligible()).map(|b| b.id)
    }

    /// Rule 5: whether a verdict that is still to come could prefer another over `first`.
    fn awaits_better(&self, first: BackendId, now: Instant) -> bool {
        let in_grace = !self.has_served() && self.grace_end().is_none_or(|end| now < end);
        in_grace && self.above(first).any(Backend::is_awaited)
    }

    /// The failbacks that rules 1 and 2 allow, in priority order, with the time each is due.
    fn failbacks(&self) -> impl Iterator<Item = (BackendId, Instant)> {
        let free = self.active_is_eligible() && !self.pinned && !self.locked;
        let hold_down = self.hold_down().filter(|_| free);
        let due = move |b: &Backend| Some((b.id, b.eligible_since()?.checked_add(hold_down?)?));
        self.active.into_iter().flat_map(|active| self.above(active)).filter_map(due)
    }

    /// Why the rules move the service, given who is active.
    fn reason(&self, reloaded: bool) -> Reason {
        if !self.has_served() {
            Reason::Startup
        } else if reloaded {
            Reason::Reload
        } else if self.active.is_none() {
            Reason::Recovery
        } else if self.active_is_eligible() {
            Reason::Failback
        } else {
            Reason::Failover
        }
    }

    // === Inputs ===

    fn observe(&mut self, now: Instant, id: BackendId, verdict: Verdict, out: &mut Vec<Effect>) {
        let (rise, fall) = (self.policy.rise, self.policy.fall);
        let Some(backend) = self.backends.iter_mut().find(|b| b.id == id) else { return };
        if backend.observe(now, verdict, rise, fall) {
            out.push(Effect::HealthChanged { backend: id, health: backend.health });
        }
    }

    /// Does what the operator asks; returns the move, if that is a move.
    fn obey(
        &mut self,
        now: Instant,
        command: Command,
        out: &mut Vec<Effect>,
    ) -> Result<Option<(BackendId, Reason)>, Refusal> {
        match command {
            Command::Switchover(id) => {
                self.eligible(id)?;
                self.pinned = true;
                return Ok(Some((id, Reason::Switchover)));
            }
            Command::Failback => {
                // Not `first_eligible`: an order may leave the backend of a lock.
                let first = self.backends.iter().find(|b| b.is_eligible());
                let to = first.ok_or(Refusal::NotEligible)?.id;
                self.pinned = false;
                return Ok(Some((to, Reason::Failback)));
            }
            Command::Pin => {
                self.eligible(self.active.ok_or(Refusal::NothingActive)?)?;
                self.pinned = true;
            }
            Command::Unpin => self.pinned = false,
            Command::Lock => self.lock(out),
            Command::Unlock => {
                if mem::take(&mut self.locked) {
                    self.flaps = 0;
                    out.push(Effect::Unlocked);
                }
            }
            Command::SetAdmin(id, admin) => {
                let backend = self.backends.iter_mut().find(|b| b.id == id);
                if backend.ok_or(Refusal::UnknownBackend)?.set_admin(now, admin) {
                    out.push(Effect::AdminChanged { backend: id, admin });
                }
            }
        }
        Ok(None)
    }

    fn reconfigure(&mut self, backends: &[BackendId], policy: Policy) {
        let mut old = mem::take(&mut self.backends);
        for &id in backends {
            if self.backend(id).is_none() {
                let known = old.iter().position(|b| b.id == id).map(|at| old.swap_remove(at));
                self.backends.push(known.unwrap_or_else(|| Backend::new(id)));
            }
        }
        self.last = self.last.filter(|&id| self.backend(id).is_some());
        self.policy = policy;
        if self.policy.damping.window.is_zero() {
            self.flaps = 0;
        }
    }

    // === The move, and what it does to the damping ===

    fn activate(
        &mut self,
        now: Instant,
        to: Option<BackendId>,
        reason: Reason,
        out: &mut Vec<Effect>,
    ) {
        let from = mem::replace(&mut self.active, to);
        self.last = to.or(self.last);
        self.epoch += 1;
        self.pinned = reason == Reason::Switchover;
        out.push(Effect::ActiveChanged { from, to, reason, epoch: self.epoch });

        // Leaving because the operator drains it is no flap.
        let fell = from.and_then(|id| self.backend(id)).is_some_and(|b| b.health == Health::Down);
        if self.failed_back.take().is_some() && fell {
            self.flaps = self.flaps.saturating_add(1);
            let limit = self.policy.lock.map_or(0, |rule| rule.switches);
            // Not while nobody serves: the first to come back is then needed, whoever it is.
            if limit > 0 && self.flaps >= limit && to.is_some() {
                self.lock(out);
            }
        }
        self.failed_back = (reason == Reason::Failback).then_some(now);
    }

    fn lock(&mut self, out: &mut Vec<Effect>) {
        if !mem::replace(&mut self.locked, true) {
            out.push(Effect::Locked);
        }
    }

    /// Ends the row of flaps once a failback has outlived the damping window.
    fn settle(&mut self, now: Instant) {
        let outlived = |at: Instant| {
            at.checked_add(self.policy.damping.window).is_some_and(|settled| now >= settled)
        };
        if self.failed_back.is_some_and(outlived) {
            self.failed_back = None;
            self.flaps = 0;
        }
    }

    /// The hold-down in force; `None` when failback is manual.
    fn hold_down(&self) -> Option<Duration> {
        let Failback::Auto(Conditions { hold_down, .. }) = self.policy.failback else {
            return None;
        };
        let factor = 1_u32.checked_shl(self.flaps).unwrap_or(u32::MAX);
        // A cap below the hold-down turns the doubling off; it never shortens anything.
        Some(hold_down.saturating_mul(factor).min(self.policy.damping.cap.max(hold_down)))
    }

    // === Times that matter ===

    /// The earliest failback, if nothing else happens.
    fn failback_due(&self) -> Option<(BackendId, Instant)> {
        self.failbacks().min_by_key(|&(_, due)| due)
    }

    /// When rule 5 stops waiting, if it is why nobody serves.
    fn waits_until(&self) -> Option<Instant> {
        let waits = !self.has_served() && self.first_eligible().is_some();
        self.grace_end().filter(|_| waits)
    }

    /// When the hold-down falls back to its base.
    fn settles_at(&self) -> Option<Instant> {
        let since = self.failed_back.filter(|_| self.flaps > 0)?;
        since.checked_add(self.policy.damping.window)
    }

    /// `None` when it lies beyond what the clock can express.
    fn grace_end(&self) -> Option<Instant> {
        self.started.checked_add(self.policy.startup_grace)
    }

    // === Small questions ===

    fn has_served(&self) -> bool {
        self.epoch > 0
    }

    fn active_is_eligible(&self) -> bool {
        self.active.is_some_and(|id| self.eligible(id).is_ok())
    }

    fn eligible(&self, id: BackendId) -> Result<(), Refusal> {
        let backend = self.backend(id).ok_or(Refusal::UnknownBackend)?;
        if backend.is_eligible() { Ok(()) } else { Err(Refusal::NotEligible) }
    }

    fn is_ready(&self, id: BackendId) -> bool {
        self.backend(id).is_some_and(|b| b.admin == AdminState::Ready)
    }

    fn backend(&self, id: BackendId) -> Option<&Backend> {
        self.backends.iter().find(|b| b.id == id)
    }

    /// The backends of higher priority than this one.
    fn above(&self, id: BackendId) -> impl Iterator<Item = &Backend> {
        self.backends.iter().take_while(move |b| b.id != id)
    }
}
