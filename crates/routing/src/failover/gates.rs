//! What happens in the applications before the traffic moves: the gates of a move, one at a time.
//!
//! * **An attempt** is to make one backend the active. It has a number, which is never used again; its
//!   heir then serves under it. First whoever else may hold the role is made harmless, then the heir
//!   takes it, unless it holds it already. Where nothing is needed the move is as without gates.
//! * With its first gate nobody is active any more. The heir stays the heir until it cannot serve, an
//!   order names another, the gates are configured anew, or a gate fails; then another attempt begins.
//!   But whatever gate has begun is waited for: meanwhile nobody becomes active who was not.
//! * **A gate that must succeed and does not** ends the attempt and bars its heir, so that attempts come
//!   to an end. To abort is to lock as well.
//! * **After a restart** the gate that was under way is run again if that does no harm; otherwise an
//!   operator has to say how it ended. Then it is planned anew.
//!
//! Whether a move begins, and holds the requests, is in `switch.rs`; what the ends of gates say of the
//! backends, in `standing.rs`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{
    BackendId, Direction, Effect, Failover, Gate, GateResult, GateRule, GateRun, GateStatus, Need,
    OnFailure, Reason, Refusal, Settlement, Standing, after,
};

/// How long an owed fence waits after it was tried in vain.
const OWED_PAUSE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
pub(super) struct Gates {
    /// The greatest number that was ever told or reserved.
    pub(super) number: u64,
    pub(super) attempt: Option<Attempt>,
    pub(super) under_way: Option<UnderWay>,
    /// How the gates ended that ran under that number, each the last time.
    pub(super) tried: Vec<(Gate, BackendId, GateResult)>,
    /// Why the last active was left for gates, until somebody is active.
    pub(super) left: Option<Reason>,
    /// Whether the service was pinned there: if the gates lead nowhere it is again.
    pub(super) left_pinned: bool,
    /// To whom an owed gate has been made up for in this step, so that the next may follow.
    pub(super) made_up: Option<BackendId>,
    /// Until when none is tried.
    pub(super) owed_after: Option<Instant>,
}

/// The gates before one backend becomes active.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) epoch: u64,
    pub(super) to: BackendId,
    direction: Direction,
    pub(super) reason: Reason,
    /// What is still to pass, the one under way included.
    pub(super) steps: VecDeque<(Gate, BackendId)>,
}

/// A gate that has begun and not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    pub(super) run: GateRun,
    pub(super) kind: Kind,
    pub(super) phase: Phase,
}

/// What a gate is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A step of an attempt.
    Step,
    /// A step of one that was forgotten with the process.
    Resumed,
    /// A fence that is made up for.
    Owed,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It does.
    Runs,
    /// It is to be run again, after a restart.
    Again,
    /// Nobody knows how it ended.
    InDoubt {
        /// Whether that was told.
        told: bool,
    },
}

impl Failover {
    // === The attempt ===

    /// Rule 2: whose gates have begun.
    pub(super) fn attempted(&self) -> Option<(BackendId, Reason)> {
        let attempt = self.gates.attempt.as_ref()?;
        Some((attempt.to, attempt.reason)).filter(|&(to, _)| self.may_serve(to))
    }

    /// Whether everything has happened that this one needs before it becomes active. If not, the
    /// active is left, and the next gate begins as soon as none is under way.
    pub(super) fn passes_gates(
        &mut self,
        to: BackendId,
        reason: Reason,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.is_held_up(to) {
            self.leave(reason, out);
            return false;
        }
        if self.gates.under_way.is_some() {
            return true; // An owed fence, and its active comes back.
        }
        if self.gates.attempt.is_none() {
            let direction = self.direction(reason);
            let steps = self.plan(to, direction);
            if steps.is_empty() {
                return true;
            }
            self.leave(reason, out);
            let epoch = self.reserve();
            self.gates.attempt = Some(Attempt { epoch, to, direction, reason, steps });
        }
        let Some(Attempt { epoch, direction, reason, ref steps, .. }) = self.gates.attempt else {
            return true;
        };
        let Some(&(gate, backend)) = steps.front() else { return true };
        let from = self.last.filter(|&last| last != to);
        let run = GateRun { epoch, gate, direction, backend, from, to, reason };
        self.run(run, Kind::Step, out);
        false
    }

    /// What has to happen before this one becomes active, in order.
    pub(super) fn plan(&self, to: BackendId, direction: Direction) -> VecDeque<(Gate, BackendId)> {
        let rules = self.policy.gates.of(direction);
        let (harms, lifts): (Vec<&GateRule>, Vec<&GateRule>) =
            rules.iter().partition(|rule| harms(rule.gate));
        let others = self.backends.iter().filter(|b| b.id != to);
        let risky = others.filter(|b| b.standing != Standing::Standby);
        let mut steps: VecDeque<_> =
            risky.flat_map(|b| harms.iter().map(|rule| (rule.gate, b.id))).collect();
        if self.standing(to) != Some(Standing::Holds) {
            steps.extend(lifts.iter().map(|rule| (rule.gate, to)));
        }
        steps
    }

    /// Which list a move for this reason goes through.
    pub(super) fn direction(&self, reason: Reason) -> Direction {
        if !self.active_is_eligible() {
            return Direction::Failover;
        }
        match reason {
            Reason::Switchover => Direction::Switchover,
            Reason::Drill if self.order.is_some() => Direction::Switchover,
            Reason::Startup
            | Reason::Failover
            | Reason::Failback
            | Reason::Recovery
            | Reason::Reload
            | Reason::Return
            | Reason::Drill => Direction::Failback,
        }
    }

    /// Whether this one may not become active now, because a gate is under way. But that a fence is
    /// made up for does not disturb the one who was active when it began.
    pub(super) fn is_held_up(&self, to: BackendId) -> bool {
        let disturbs = |u: UnderWay| u.kind != Kind::Owed || u.run.to != to;
        self.gates.under_way.is_some_and(disturbs)
    }

    /// Nobody is active from here on, until gates have ended.
    fn leave(&mut self, reason: Reason, out: &mut Vec<Effect>) {
        let from = self.active.take();
        if from.is_some() {
            self.epoch = self.reserve();
            self.gates.left = Some(reason);
            self.gates.left_pinned = self.pinned;
            (self.verifying, self.pinned) = (None, false);
            out.push(Effect::ActiveChanged { from, to: None, reason, epoch: self.epoch });
        }
    }

    /// A number that nobody has heard of.
    pub(super) fn reserve(&mut self) -> u64 {
        self.gates.number += 1;
        self.gates.tried.clear();
        self.gates.number
    }

    // === One gate ===

    pub(super) fn run(&mut self, run: GateRun, kind: Kind, out: &mut Vec<Effect>) {
        let again = self.tried(run.gate, run.backend).is_some();
        self.gates.under_way = Some(UnderWay { run, kind, phase: Phase::Runs });
        out.push(Effect::RunGate { run, again });
    }

    /// The answer to [`Effect::RunGate`].
    pub(super) fn gate_finished(
        &mut self,
        run: GateRun,
        result: GateResult,
        out: &mut Vec<Effect>,
    ) {
        let awaited = |u: &mut UnderWay| u.run == run && u.phase == Phase::Runs;
        if let Some(under_way) = self.gates.under_way.take_if(awaited) {
            self.ended(under_way, result, out);
        }
    }

    fn ended(&mut self, under_way: UnderWay, result: GateResult, out: &mut Vec<Effect>) {
        let UnderWay { run, kind, .. } = under_way;
        if run.epoch == self.gates.number {
            self.gates.tried.retain(|&(gate, id, _)| (gate, id) != (run.gate, run.backend));
            self.gates.tried.push((run.gate, run.backend, result));
        }
        // What had begun before a restart may have got through then.
        let never_began = result == GateResult::Unreachable && kind != Kind::Resumed;
        self.note_standing(run, result, never_began);
        if kind == Kind::Owed {
            match result {
                GateResult::Done => self.gates.made_up = Some(run.backend),
                GateResult::Unreachable | GateResult::Failed => {
                    self.gates.owed_after = Some(after(self.now, OWED_PAUSE));
                }
            }
            return;
        }
        // Gates that were configured anew, or another heir: this one proves nothing any more.
        let Some(rule) = self.rule(run.direction, run.gate) else { return };
        let attempt = self.gates.attempt.as_mut().filter(|attempt| attempt.epoch == run.epoch);
        let goes_on = rule.forgives(result) || rule.on_failure == OnFailure::Continue;
        match attempt {
            Some(attempt) if goes_on => {
                let this = (run.gate, run.backend);
                attempt.steps.retain(|step| *step != this);
            }
            None if goes_on || kind == Kind::Step => {}
            Some(_) | None => self.fail(run.to, rule.on_failure, out),
        }
    }

    /// A gate failed that must not.
    fn fail(&mut self, heir: BackendId, on_failure: OnFailure, out: &mut Vec<Effect>) {
        self.gates.attempt = None;
        if let Some(backend) = self.backends.iter_mut().find(|b| b.id == heir) {
            backend.barred = true;
            out.push(Effect::Barred { backend: heir });
        }
        match on_failure {
            OnFailure::Abort => self.lock(out),
            OnFailure::Continue | OnFailure::NextStandby => {}
        }
    }

    // === Restarts and reloads ===

    /// What the first step after a restart says of the gate that was under way.
    pub(super) fn tell_of_resumed_gate(&mut self, out: &mut Vec<Effect>) {
        let Some(UnderWay { run, phase, .. }) = &mut self.gates.under_way else { return };
        match phase {
            Phase::Again => {
                *phase = Phase::Runs;
                out.push(Effect::RunGate { run: *run, again: true });
            }
            Phase::InDoubt { told: told @ false } => {
                *told = true;
                out.push(Effect::GateInDoubt { run: *run });
            }
            Phase::Runs | Phase::InDoubt { told: true } => {}
        }
    }

    /// `active` as it was saved.
    pub(super) fn resume_gate(&mut self, run: GateRun, active: Option<BackendId>) {
        let owed = run.from == Some(run.backend) && active == Some(run.to);
        let kind = if owed { Kind::Owed } else { Kind::Resumed };
        let again = self.rule(run.direction, run.gate).is_some_and(|rule| rule.idempotent);
        let phase = if again { Phase::Again } else { Phase::InDoubt { told: false } };
        self.gates.number = self.gates.number.max(run.epoch);
        self.gates.under_way = Some(UnderWay { run, kind, phase });
        self.drop_gates_of_the_gone();
    }

    /// Lets go of what is about backends that are here no more. A gate that runs is waited for.
    pub(super) fn drop_gates_of_the_gone(&mut self) {
        let here = |id: BackendId| self.backends.iter().any(|b| b.id == id);
        if let Some(attempt) = &mut self.gates.attempt {
            attempt.steps.retain(|&(_, id)| here(id));
        }
        if let Some(UnderWay { run, phase, .. }) = &mut self.gates.under_way
            && *phase != Phase::Runs
        {
            run.from = run.from.filter(|&id| here(id));
        }
        let lost =
            |u: &mut UnderWay| u.phase != Phase::Runs && !(here(u.run.backend) && here(u.run.to));
        if let Some(UnderWay { run, .. }) = self.gates.under_way.take_if(lost) {
            self.stands(run.backend, Standing::Unsure { repeatable: false });
        }
    }

    /// An operator says how the gate ended of which nobody knows.
    pub(super) fn settle_gate(
        &mut self,
        settlement: Settlement,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let in_doubt = |u: &mut UnderWay| u.is_in_doubt();
        let under_way = self.gates.under_way.take_if(in_doubt).ok_or(Refusal::NoDoubt)?;
        match settlement {
            Settlement::Done => self.ended(under_way, GateResult::Done, out),
            Settlement::Failed => self.ended(under_way, GateResult::Failed, out),
            Settlement::Again => {
                self.gates.under_way = Some(UnderWay { phase: Phase::Again, ..under_way });
            }
        }
        Ok(())
    }

    // === Small questions ===

    pub(super) fn gate_in_doubt(&self) -> bool {
        self.gates.under_way.is_some_and(|u| u.is_in_doubt())
    }

    pub(super) fn gate_status(&self) -> Option<GateStatus> {
        self.gates.under_way.map(|u| GateStatus { run: u.run, in_doubt: u.is_in_doubt() })
    }

    pub(super) fn rule(&self, direction: Direction, gate: Gate) -> Option<GateRule> {
        self.policy.gates.of(direction).iter().copied().find(|rule| rule.gate == gate)
    }

    /// How this gate of this backend ended under the present number.
    pub(super) fn tried(&self, gate: Gate, id: BackendId) -> Option<GateResult> {
        self.gates.tried.iter().find(|&&(g, b, _)| (g, b) == (gate, id)).map(|&(_, _, r)| r)
    }
}

impl UnderWay {
    pub(super) fn is_in_doubt(&self) -> bool {
        match self.phase {
            Phase::InDoubt { .. } => true,
            Phase::Runs | Phase::Again => false,
        }
    }
}

impl GateRule {
    /// Whether the move goes on after this.
    fn forgives(&self, result: GateResult) -> bool {
        match (result, self.need) {
            (GateResult::Done, _) | (_, Need::BestEffort) => true,
            (GateResult::Unreachable, Need::IfReachable) => true,
            (GateResult::Unreachable | GateResult::Failed, Need::Required) => false,
            (GateResult::Failed, Need::IfReachable) => false,
        }
    }
}

/// Whether this gate is about who may still hold the role.
pub(super) fn harms(gate: Gate) -> bool {
    match gate {
        Gate::Fence | Gate::Demote => true,
        Gate::Sync | Gate::Promote | Gate::Verify => false,
    }
}
