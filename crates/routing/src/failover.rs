//! Decides which backend of a service is active.
//!
//! Does no I/O, reads no clock, spawns nothing. Same inputs, same decisions.
//!
//! The caller feeds everything that happens into [`Failover::step`], carries out the effects, and
//! sends [`Input::Tick`] at [`Failover::wake_at`]. Backends are in priority order; one is *eligible*
//! while the probes say up, the operator says ready, and what it claims of itself (`claim.rs`) allows
//! it: it wishes no drain or maintenance, is neither promoting nor fenced, and has the role that the
//! policy requires, if any. After every input the first of these rules that applies holds, or a move
//! to where it leads is under way (see `switch.rs`):
//!
//! | # | when | then |
//! |---|---|---|
//! | 1 | an order is under way, and its backend eligible | go there |
//! | 2 | the gates of a move have begun, and its heir may still serve | go on (`gates.rs`) |
//! | 3 | an ordered move is watched, and its backend failed; where it came from is eligible | return (`verify.rs`) |
//! | 4 | a drill is over; neither pinned nor frozen; its backend eligible | return (`drill.rs`) |
//! | 5 | active eligible; a higher-priority one meets every condition for a failback | fail back (`failback.rs`) |
//! | 6 | active eligible otherwise | stay |
//! | 7 | restarted: the last active is eligible, or within the start-up grace still unknown | that one, or wait (`resume.rs`) |
//! | 8 | never served yet, within the start-up grace, a better one unknown, or perhaps two active | wait |
//! | 9 | active not eligible, another is | fail over to the first eligible |
//! | 10 | none eligible | no active; or keep the last one, if configured, unless its last word forbids it |
//!
//! To all of them a backend whose failure is being drilled is not eligible, nor is one that may not
//! become active: because a gate of its move failed (*barred*), or because what it knows is too old
//! (*stale*) and it is not the last active.
//!
//! **Gates come before the traffic.** A move that needs some has no active while they run. Those that
//! are under way are waited for, whatever the rules say meanwhile.
//!
//! **A lock freezes the choice, not the service,** and so do two backends that claim the active role
//! (`dual.rs`). To rules 7 to 10 every backend but the last active is absent while frozen. So when the
//! active fails, nobody takes over; when it comes back, it serves again, for no traffic went
//! elsewhere meanwhile. A service frozen before anyone served has no active. What the operator orders
//! (switchover, failback) happens all the same, and so does the return of rule 3, which belongs to
//! the order; only a lock that comes later calls that off, for then the operator has had another say.
//!
//! What repeated failovers do is in `damping.rs`.

mod backend;
mod claim;
mod damping;
mod drill;
mod dual;
mod failback;
mod gate;
mod gates;
#[cfg(debug_assertions)]
mod invariants;
mod messages;
mod orders;
mod policy;
mod preview;
mod resume;
mod standing;
mod status;
mod switch;
#[cfg(test)]
mod tests;
mod verify;

use std::mem;
use std::time::{Duration, Instant};

use backend::Backend;
pub use backend::{AdminState, BackendId, Health, Role, Verdict, Wish};
pub use claim::Claim;
use drill::Drill;
pub use drill::DrillStatus;
use dual::{Actives, Dual};
pub use failback::{Blocker, PendingFailback};
pub use gate::{
    Direction, Gate, GateResult, GateRule, GateRules, GateRun, GateStatus, Need, OnFailure,
    Settlement, Standing,
};
use gates::Gates;
pub use messages::{Abort, Command, Effect, Input, Reason, Refusal};
use orders::Order;
pub use policy::{AllDown, Conditions, Damping, Exclusive, Failback, LockRule, Policy};
pub use preview::{Preview, PreviewedMove};
use resume::Resuming;
pub use resume::Saved;
pub use status::{BackendStatus, DualActiveStatus, Status};
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
    gates: Gates,
    pinned: bool,
    locked: bool,
    /// Two claim the active role.
    dual: Option<Dual>,
    actives: Actives,
    /// How many there were so far.
    steps: u64,
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
            gates: Gates::default(),
            pinned: false,
            locked: false,
            dual: None,
            actives: Actives::default(),
            steps: 0,
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
        backends.first().into_iter().for_each(|&first| failover.takes_the_role(first));
        failover
    }

    /// Takes one input and says what follows. Total: every input is allowed at every time.
    #[must_use]
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        #[cfg(debug_assertions)]
        let before = self.clone();
        self.now = now.max(self.now);
        self.steps += 1;
        let mut effects = Vec::new();
        let out = &mut effects;
        let reloaded = matches!(input, Input::Reconfigure { .. });
        let mut acknowledged = None;
        let mut passed = None;

        match input {
            Input::Probe { backend, verdict, claim } => {
                passed = (verdict == Verdict::Pass).then_some(backend);
                self.observe(backend, verdict, claim, out);
            }
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
            Input::GateFinished { run, result } => self.gate_finished(run, result, out),
            Input::Busy(limit) => self.switching.busy = limit,
            Input::Stale { backend, stale } => self.set_stale(backend, stale),
            Input::Tick => {}
        }

        self.tell_of_resumed_gate(out);
        self.look_for_two_actives(out);
        self.let_go(out);
        let epoch = self.epoch;
        let (to, reason) = self.heir(reloaded);
        self.proceed(to, reason, acknowledged, out);
        if self.epoch != epoch {
            // Whoever serves again after a restart or a drill may have to fail back at once.
            let (to, reason) = self.heir(false);
            self.proceed(to, reason, None, out);
        }
        self.make_up(passed, out);
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
        if let Some((heir, reason)) = self.attempted() {
            return (Some(heir), reason); // rule 2
        }
        if let Some(origin) = self.returns_to() {
            return (Some(origin), Reason::Return); // rule 3
        }
        if let Some(drilled) = self.returns_from_drill() {
            return (Some(drilled), Reason::Drill); // rule 4
        }
        let to = self.choose();
        (to, self.reason(to, reloaded))
    }

    /// Who should be active if nobody ordered anything.
    fn choose(&self) -> Option<BackendId> {
        if self.active.is_some_and(|id| self.may_serve(id)) {
            return self.ripe().or(self.active); // rules 5 and 6
        }
        if self.resuming.is_some() {
            return self.last.filter(|&id| self.may_serve(id)); // rule 7
        }
        match self.first_free() {
            Some(first) if self.awaits_better(first) => None, // rule 8
            Some(first) => Some(first),                       // rule 9
            None => match self.policy.all_down {
                AllDown::Reject => None, // rule 10
                // Overrules failed probes, but neither the operator nor the backend's own word, also
                // the one before it went down: it may be fenced still. Needs a probe to overrule.
                AllDown::KeepLast => self.last.filter(|&id| self.may_be_kept(id)),
            },
        }
    }

    /// The first backend that rule 9 may take: while frozen, none but the last active.
    fn first_free(&self) -> Option<BackendId> {
        let free = |b: &&Backend| !self.frozen() || Some(b.id) == self.last;
        self.backends.iter().filter(free).map(|b| b.id).find(|&id| self.may_serve(id))
    }

    /// Rule 8: whether a verdict that is still to come could prefer another over `first`, or nobody.
    fn awaits_better(&self, first: BackendId) -> bool {
        let awaits_word = self.suspects_two_actives() && self.now < self.grace_end();
        !self.served && (awaits_word || self.above(first).any(|b| self.is_awaited(b.id)))
    }

    /// Rule 10: whether this one, the last active, may serve although nobody is eligible.
    fn may_be_kept(&self, id: BackendId) -> bool {
        let awaits = !self.served && self.backends.iter().any(|b| self.is_awaited(b.id));
        let known = |b: &Backend| b.admin == AdminState::Ready && b.health != Health::Unknown;
        let willing = |b: &Backend| !b.last_word().forbids(self.policy.required_role);
        let fit = self.backend(id).is_some_and(|b| known(b) && willing(b));
        fit && !awaits && !self.is_kept_out(id)
    }

    /// Why the rules move the service there, given who is active.
    fn reason(&self, to: Option<BackendId>, reloaded: bool) -> Reason {
        let last = self.last.filter(|_| to != self.last).and_then(|id| self.backend(id));
        if !self.served && last.is_some_and(|b| b.has_failed(&self.policy)) {
            Reason::Failover
        } else if !self.served {
            Reason::Startup
        } else if reloaded || self.switching.is_by_reload(self.active_is_eligible()) {
            Reason::Reload
        } else if self.active.is_none() {
            // Left for gates, and they led to somebody else.
            let fell = self.gates.left == Some(Reason::Failover) && to != self.last;
            if fell { Reason::Failover } else { Reason::Recovery }
        } else if self.active.is_some_and(|id| self.may_serve(id)) {
            Reason::Failback
        } else if self.active_is_eligible() {
            Reason::Drill
        } else {
            Reason::Failover
        }
    }

    // === Inputs ===

    fn observe(&mut self, id: BackendId, verdict: Verdict, claim: Claim, out: &mut Vec<Effect>) {
        let Some(backend) = self.backends.iter_mut().find(|b| b.id == id) else { return };
        let (old_health, old_claim, last_word) =
            (backend.health, backend.claim(), backend.last_word());
        if verdict == Verdict::Pass {
            let stands_by_it = claim.role.is_none_or(|role| role == Role::Active);
            backend.heard = if stands_by_it { self.steps } else { 0 };
        }
        backend.observe(self.now, verdict, claim, &self.policy);
        let (health, claim) = (backend.health, backend.claim());
        if health != old_health {
            out.push(Effect::HealthChanged { backend: id, health });
        }
        if claim.is_news(old_claim, last_word) && health == Health::Up {
            out.push(Effect::ClaimChanged { backend: id, claim });
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
        if policy.gates != self.policy.gates {
            self.gates.attempt = None;
        }
        self.policy = policy;
        self.drop_gates_of_the_gone();
        self.backends.iter_mut().for_each(|b| b.refresh(self.now, &self.policy));
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
        // After a restart, and after gates, the last active is the one that is left.
        let by_gates = self.gates.left.take().is_some();
        let was_pinned = mem::take(&mut self.gates.left_pinned);
        let left = self.active.or(self.last.filter(|_| !self.served || by_gates));
        let from = mem::replace(&mut self.active, to);
        let origin = if by_gates { left.filter(|_| left != to) } else { from };
        let order = self.order.take();
        self.drilled = self.drilled.filter(|&id| Some(id) != to);
        let resumes = self.resuming.take().filter(|_| to == self.last);
        self.last = to.or(self.last);
        self.served = true;
        let attempt = self.gates.attempt.take();
        self.epoch = attempt.map(|a| a.epoch).unwrap_or_else(|| self.reserve());
        to.into_iter().for_each(|to| self.takes_the_role(to));
        let is_back = by_gates && was_pinned && to.is_some() && to == left;
        self.pinned = matches!(reason, Reason::Switchover | Reason::Return)
            || is_back
            || resumes.is_some_and(|resumes| resumes.pinned);
        out.push(Effect::ActiveChanged { from, to, reason, epoch: self.epoch });

        self.watch(origin, order);
        self.count_flap(left, to, reason);
        let by_itself = order.is_none() && matches!(reason, Reason::Failover | Reason::Failback);
        if by_itself && to.is_some() {
            self.count_switch(out);
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

    /// Whether the active is eligible; also while its failure is being drilled.
    fn active_is_eligible(&self) -> bool {
        self.active.and_then(|id| self.backend(id)).is_some_and(Backend::is_eligible)
    }

    /// Whether the rules may let this one serve.
    fn may_serve(&self, id: BackendId) -> bool {
        self.eligible(id).is_ok() && !self.is_drilled(id) && !self.is_kept_out(id)
    }

    fn eligible(&self, id: BackendId) -> Result<(), Refusal> {
        let backend = self.backend(id).ok_or(Refusal::UnknownBackend)?;
        if backend.is_eligible() { Ok(()) } else { Err(Refusal::NotEligible) }
    }

    /// Whether its first verdict, due within the start-up grace, could let it serve.
    fn is_awaited(&self, id: BackendId) -> bool {
        let in_grace = self.now < self.grace_end();
        let may = !self.is_drilled(id) && !self.is_kept_out(id);
        in_grace && may && self.backend(id).is_some_and(Backend::is_awaited)
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
