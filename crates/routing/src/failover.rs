//! Decides which backend of a service is active.
//!
//! Does no I/O, reads no clock, spawns nothing. Same inputs, same decisions.
//!
//! The caller feeds everything that happens into [`Failover::step`], carries out the effects, and
//! sends [`Input::Tick`] at [`Failover::wake_at`]. Backends are in priority order; one is *eligible*
//! while the probes say up and the operator says ready. After every input the first of these rules
//! that applies holds, or a move to where it leads is under way (see `switch.rs`):
//!
//! | # | when | then |
//! |---|---|---|
//! | 1 | an order is under way, and its backend eligible | go there |
//! | 2 | an ordered move is watched, and its backend failed; where it came from is eligible | return (`verify.rs`) |
//! | 3 | a drill is over; neither pinned nor locked; its backend eligible | return (`drill.rs`) |
//! | 4 | active eligible; a higher-priority one meets every condition for a failback | fail back (`failback.rs`) |
//! | 5 | active eligible otherwise | stay |
//! | 6 | restarted: the last active is eligible, or within the start-up grace still unknown | that one, or wait (`resume.rs`) |
//! | 7 | never served yet, within the start-up grace, a higher-priority one still unknown | wait |
//! | 8 | active not eligible, another is | fail over to the first eligible |
//! | 9 | none eligible | no active; or keep the last one, if configured |
//!
//! To all of them a backend whose failure is being drilled is not eligible.
//!
//! **A lock freezes the choice, not the service.** To rules 6 to 9 every backend but the last active
//! is absent while locked. So when the active fails, nobody takes over; when it comes back, it
//! serves again, for no traffic went elsewhere meanwhile. A service locked before anyone served has
//! no active. What the operator orders (switchover, failback) happens all the same, and so does the
//! return of rule 2, which belongs to the order; a lock given later calls that off.
//!
//! What repeated failovers do is in `damping.rs`.

mod backend;
mod damping;
mod drill;
mod failback;
#[cfg(debug_assertions)]
mod invariants;
mod messages;
mod policy;
mod preview;
mod resume;
mod status;
mod switch;
#[cfg(test)]
mod tests;
mod verify;

use std::mem;
use std::time::{Duration, Instant};

use backend::Backend;
pub use backend::{AdminState, BackendId, Health, Verdict};
use drill::Drill;
pub use drill::DrillStatus;
pub use failback::{Blocker, PendingFailback};
pub use messages::{Abort, Command, Effect, Input, Reason, Refusal};
pub use policy::{AllDown, Conditions, Damping, Exclusive, Failback, LockRule, Policy};
pub use preview::{Preview, PreviewedMove};
use resume::Resuming;
pub use resume::Saved;
pub use status::{BackendStatus, Status};
pub use switch::SwitchStatus;
use switch::Switching;
use verify::Verifying;
pub use verify::VerifyingStatus;

/// The decision of one service.
#[derive(Clone, Debug)]
pub struct Failover {
    policy: Policy,
    /// In priority order.
    backends: Vec<Backend>,
    started: Instant,
    /// When the last input came.
    now: Instant,
    active: Option<BackendId>,
    /// The active, or the one before there was none; forgotten when a reload removes it.
    last: Option<BackendId>,
    /// Whether anybody was active since the start.
    served: bool,
    epoch: u64,
    pinned: bool,
    locked: bool,
    /// Flaps in a row.
    flaps: u32,
    /// Who was failed back to, and when, until that failback has outlived the damping window.
    failed_back: Option<(BackendId, Instant)>,
    /// The automatic moves that the lock rule counts, oldest first.
    recent: Vec<Instant>,
    window_open: bool,
    /// Requests in flight; known in the step that brings it only.
    in_flight: Option<usize>,
    /// The move that an operator ordered, until it is done or off.
    order: Option<Order>,
    switching: Switching,
    verifying: Option<Verifying>,
    drill: Option<Drill>,
    /// Whose drill is over, until the service is back there or need not go.
    drilled: Option<BackendId>,
    resuming: Option<Resuming>,
}

/// A move that an operator ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    to: BackendId,
    reason: Reason,
    /// How long it is watched afterwards.
    verify: Duration,
}

impl Failover {
    /// A service nobody has served yet. `backends` in priority order, ids unique.
    #[must_use]
    pub fn new(now: Instant, backends: &[BackendId], policy: Policy) -> Self {
        let mut failover = Self {
            policy: policy.clone(),
            backends: Vec::new(),
            started: now,
            now,
            active: None,
            last: None,
            served: false,
            epoch: 0,
            pinned: false,
            locked: false,
            flaps: 0,
            failed_back: None,
            recent: Vec::new(),
            window_open: false,
            in_flight: None,
            order: None,
            switching: Switching::default(),
            verifying: None,
            drill: None,
            drilled: None,
            resuming: None,
        };
        failover.reconfigure(backends, policy);
        failover
    }

    /// Takes one input and says what follows. Total: every input is allowed at every time.
    #[must_use]
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        #[cfg(debug_assertions)]
        let before = self.clone();
        self.now = now.max(self.now);
        let mut effects = Vec::new();
        let out = &mut effects;
        let reloaded = matches!(input, Input::Reconfigure { .. });
        let mut acknowledged = None;

        match input {
            Input::Probe { backend, verdict } => self.observe(backend, verdict, out),
            Input::Command(command) => {
                if let Err(why) = self.obey(command, out) {
                    out.push(Effect::Rejected { why });
                }
            }
            Input::Reconfigure { backends, policy } => self.reconfigure(&backends, policy),
            Input::Window { open } => self.window_open = open,
            Input::InFlight(requests) => self.in_flight = Some(requests),
            Input::Held { switch, all } => acknowledged = self.acknowledged(switch, all),
            Input::Answered { epoch } => self.answered(epoch, out),
            Input::Tick => {}
        }

        self.let_go(out);
        let epoch = self.epoch;
        let (to, reason) = self.heir(reloaded);
        self.proceed(to, reason, acknowledged, out);
        if self.epoch != epoch {
            // Whoever serves again after a restart or a drill may have to fail back at once.
            let (to, reason) = self.heir(false);
            self.proceed(to, reason, None, out);
        }
        self.in_flight = None;
        self.pinned &= self.active_is_eligible();

        #[cfg(debug_assertions)]
        self.check_invariants(&before, &effects);
        effects
    }

    /// When to send [`Input::Tick`], derived from the state; later than the last `now`.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let times = [
            self.grace_matters().then(|| self.grace_end()),
            self.failback_nears(),
            self.settles_at(),
            self.switching.wake_at(),
            self.verifying.as_ref().map(|v| v.until),
            self.drill.as_ref().map(|d| d.until),
        ];
        times.into_iter().flatten().filter(|&at| at > self.now).min()
    }

    // === The rules ===

    /// Who should be active now, and why if that is a move.
    fn heir(&self, reloaded: bool) -> (Option<BackendId>, Reason) {
        if let Some(order) = self.order {
            return (Some(order.to), order.reason); // rule 1
        }
        if let Some(origin) = self.returns_to() {
            return (Some(origin), Reason::Return); // rule 2
        }
        if let Some(drilled) = self.returns_from_drill() {
            return (Some(drilled), Reason::Drill); // rule 3
        }
        let to = self.choose();
        (to, self.reason(to, reloaded))
    }

    /// Who should be active if nobody ordered anything.
    fn choose(&self) -> Option<BackendId> {
        if self.active.is_some_and(|id| self.may_serve(id)) {
            return self.ripe().or(self.active); // rules 4 and 5
        }
        if self.resuming.is_some() {
            return self.last.filter(|&id| self.may_serve(id)); // rule 6
        }
        match self.first_free() {
            Some(first) if self.awaits_better(first) => None, // rule 7
            Some(first) => Some(first),                       // rule 8
            None => match self.policy.all_down {
                AllDown::Reject => None, // rule 9
                // Overrules the probes, but not the operator, and needs a probe to overrule.
                AllDown::KeepLast => self.last.filter(|&id| self.may_be_kept(id)),
            },
        }
    }

    /// The first backend that rule 8 may take: while locked, none but the last active.
    fn first_free(&self) -> Option<BackendId> {
        let free = |b: &&Backend| !self.locked || Some(b.id) == self.last;
        self.backends.iter().filter(free).map(|b| b.id).find(|&id| self.may_serve(id))
    }

    /// Rule 7: whether a verdict that is still to come could prefer another over `first`.
    fn awaits_better(&self, first: BackendId) -> bool {
        !self.served && self.above(first).any(|b| self.is_awaited(b.id))
    }

    /// Rule 9: whether this one, the last active, may serve although nobody is eligible.
    fn may_be_kept(&self, id: BackendId) -> bool {
        let awaits = !self.served && self.backends.iter().any(|b| self.is_awaited(b.id));
        let known = |b: &Backend| b.admin == AdminState::Ready && b.health != Health::Unknown;
        !awaits && self.backend(id).is_some_and(known)
    }

    /// Why the rules move the service there, given who is active.
    fn reason(&self, to: Option<BackendId>, reloaded: bool) -> Reason {
        let last = self.last.filter(|_| to != self.last).and_then(|id| self.backend(id));
        if !self.served && last.is_some_and(|b| b.health == Health::Down) {
            Reason::Failover
        } else if !self.served {
            Reason::Startup
        } else if reloaded || self.switching.is_by_reload(self.active_is_eligible()) {
            Reason::Reload
        } else if self.active.is_none() {
            Reason::Recovery
        } else if self.active.is_some_and(|id| self.may_serve(id)) {
            Reason::Failback
        } else if self.active_is_eligible() {
            Reason::Drill
        } else {
            Reason::Failover
        }
    }

    // === Inputs ===

    fn observe(&mut self, id: BackendId, verdict: Verdict, out: &mut Vec<Effect>) {
        let (now, rise, fall) = (self.now, self.policy.rise, self.policy.fall);
        let Some(backend) = self.backends.iter_mut().find(|b| b.id == id) else { return };
        if backend.observe(now, verdict, rise, fall) {
            out.push(Effect::HealthChanged { backend: id, health: backend.health });
        }
    }

    /// Does what the operator asks; a move is only noted.
    fn obey(&mut self, command: Command, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        match command {
            Command::Switchover { to, verify } => {
                self.eligible(to)?;
                self.give_order(Order { to, reason: Reason::Switchover, verify }, out);
            }
            Command::Failback { verify } => {
                let to = self.failback_by_order()?;
                self.give_order(Order { to, reason: Reason::Failback, verify }, out);
            }
            Command::Pin => {
                if self.switching.under_way.is_some() {
                    return Err(Refusal::Switching);
                }
                self.eligible(self.active.ok_or(Refusal::NothingActive)?)?;
                self.pinned = true;
            }
            Command::Unpin => {
                self.pinned = false;
                self.resuming = self.resuming.map(Resuming::unpinned);
            }
            Command::Lock => {
                self.verifying = None;
                self.lock(out);
            }
            Command::Unlock => self.unlock(out),
            Command::SetAdmin(id, admin) => {
                let backend = self.backends.iter_mut().find(|b| b.id == id);
                if backend.ok_or(Refusal::UnknownBackend)?.set_admin(self.now, admin) {
                    out.push(Effect::AdminChanged { backend: id, admin });
                }
            }
            Command::Drill { length } => self.begin_drill(length, out)?,
            Command::EndDrill if self.drill.is_none() => return Err(Refusal::NoDrill),
            Command::EndDrill => self.end_drill(true, out),
        }
        Ok(())
    }

    /// Takes the place of an earlier order and of a drill. One to stay ends whatever would move the
    /// service.
    fn give_order(&mut self, order: Order, out: &mut Vec<Effect>) {
        self.end_drill(true, out);
        self.drilled = None;
        self.order = Some(order).filter(|order| Some(order.to) != self.active);
        if self.order.is_none() {
            self.verifying = None;
            self.pinned = order.reason == Reason::Switchover;
        }
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

    /// Lets go of what is over or has lost its object.
    fn let_go(&mut self, out: &mut Vec<Effect>) {
        self.settle();
        self.switching.let_go(self.now);
        self.end_drill_if_over(out);
        self.order = self.order.filter(|order| self.may_serve(order.to));
        self.let_go_of_verification();
        self.let_go_of_resumption();
    }

    // === The move ===

    fn activate(&mut self, to: Option<BackendId>, reason: Reason, out: &mut Vec<Effect>) {
        // After a restart the last active is the one that is left.
        let left = self.active.or(self.last.filter(|_| !self.served));
        let from = mem::replace(&mut self.active, to);
        let order = self.order.take();
        self.drilled = self.drilled.filter(|&id| Some(id) != to);
        let resumes = self.resuming.take().filter(|_| to == self.last);
        self.last = to.or(self.last);
        self.served = true;
        self.epoch += 1;
        self.pinned = matches!(reason, Reason::Switchover | Reason::Return)
            || resumes.is_some_and(|resumes| resumes.pinned);
        out.push(Effect::ActiveChanged { from, to, reason, epoch: self.epoch });

        self.watch(from, order);
        self.count_flap(left, to, reason);
        let by_itself = order.is_none() && matches!(reason, Reason::Failover | Reason::Failback);
        if by_itself && to.is_some() {
            self.count_switch(out);
        }
    }

    fn lock(&mut self, out: &mut Vec<Effect>) {
        if !mem::replace(&mut self.locked, true) {
            out.push(Effect::Locked);
        }
    }

    fn unlock(&mut self, out: &mut Vec<Effect>) {
        if mem::take(&mut self.locked) {
            self.flaps = 0;
            self.recent.clear();
            out.push(Effect::Unlocked);
        }
    }

    // === Times that matter ===

    /// Whether the end of the start-up grace could change anything.
    fn grace_matters(&self) -> bool {
        let undecided = self.resuming.is_some() || self.drill.is_some() || self.last.is_some();
        self.drilled.is_some() || (!self.served && (undecided || self.first_free().is_some()))
    }

    fn grace_end(&self) -> Instant {
        after(self.started, self.policy.startup_grace)
    }

    // === Small questions ===

    /// Whether the active is up and ready; also while its failure is being drilled.
    fn active_is_eligible(&self) -> bool {
        self.active.and_then(|id| self.backend(id)).is_some_and(Backend::is_eligible)
    }

    /// Whether the rules may let this one serve.
    fn may_serve(&self, id: BackendId) -> bool {
        self.eligible(id).is_ok() && !self.is_drilled(id)
    }

    fn eligible(&self, id: BackendId) -> Result<(), Refusal> {
        let backend = self.backend(id).ok_or(Refusal::UnknownBackend)?;
        if backend.is_eligible() { Ok(()) } else { Err(Refusal::NotEligible) }
    }

    /// Whether its first verdict, due within the start-up grace, could let it serve.
    fn is_awaited(&self, id: BackendId) -> bool {
        let in_grace = self.now < self.grace_end();
        in_grace && !self.is_drilled(id) && self.backend(id).is_some_and(Backend::is_awaited)
    }

    fn backend(&self, id: BackendId) -> Option<&Backend> {
        self.backends.iter().find(|b| b.id == id)
    }

    /// The backends of higher priority than this one; all, if it is not here.
    fn above(&self, id: BackendId) -> impl Iterator<Item = &Backend> {
        self.backends.iter().take_while(move |b| b.id != id)
    }
}

/// The end of a time; a hundred years stand in for what the clock cannot express.
fn after(start: Instant, length: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    start + length.min(CENTURY)
}
