//! The move as a small protocol, so that "one active" holds on every worker.
//!
//! `Hold` -> all workers acknowledge -> `Held` -> `ActiveChanged` -> all workers acknowledge. So no
//! worker starts a request on the old one after another has started one on the new one. When moves
//! are exclusive the workers acknowledge only once no request is at any backend. A move to nobody
//! needs no hold; one from nobody only when moves are exclusive and requests may be left somewhere.
//!
//! While it lasts everything is decided anew at each step: a hold is good for every heir. A
//! *planned* move, one away from an eligible active, needs every acknowledgement; any other goes on
//! without, for the old one is of no use.
//!
//! A planned move does not begin while a gate is under way, nor, for a while, while a job runs that
//! must not meet it. Where gates come first the hold ends with `ActiveChanged` to nobody; when they
//! have passed (`gates.rs`), another brings the heir. No more is held for that: nobody is active.

use std::time::{Duration, Instant};

use super::{Abort, BackendId, Effect, Failover, Reason, after};

/// How long the answer to a hold may take, beyond the drain.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// How long the rules wait before they try again what not every worker acknowledged.
const PAUSE: Duration = Duration::from_secs(10);

/// A move under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchStatus {
    /// Who is left.
    pub from: Option<BackendId>,
    /// Who will be active.
    pub to: BackendId,
    /// Why.
    pub reason: Reason,
    /// Whether it is called off unless every worker acknowledges.
    pub planned: bool,
    /// When the workers were told to hold.
    pub since: Instant,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Switching {
    pub(super) under_way: Option<Switch>,
    /// A planned move that has not begun.
    pub(super) waiting: Option<Waiting>,
    /// How long a job that runs may keep one waiting.
    pub(super) busy: Option<Duration>,
    /// The number of the last hold.
    holds: u64,
    /// Until when the rules try no planned move, because the last was not acknowledged.
    pub(super) paused_until: Option<Instant>,
    /// Who was left without a drain since the last drain, and may have requests still. Two tell as
    /// much as more: whoever is next, one of them is another.
    stragglers: Vec<BackendId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    pub(super) number: u64,
    pub(super) to: BackendId,
    pub(super) reason: Reason,
    pub(super) planned: bool,
    pub(super) drain: Option<Duration>,
    pub(super) since: Instant,
    /// When no answer is taken as one that says no.
    pub(super) until: Instant,
}

/// A planned move that must not begin yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) to: BackendId,
    pub(super) reason: Reason,
    /// When a planned move was wanted first.
    since: Instant,
    /// How long it waits for a job; `None`: it waits for a gate.
    for_job: Option<Duration>,
}

impl Waiting {
    fn until(&self) -> Option<Instant> {
        self.for_job.map(|limit| after(self.since, limit))
    }
}

impl Switching {
    /// Whether a move is under way, or waits, because of a reload, and nothing has given it another
    /// cause.
    pub(super) fn is_by_reload(&self, planned: bool) -> bool {
        let waits = self.waiting.is_some_and(|w| w.reason == Reason::Reload && planned);
        let goes = |s: Switch| s.reason == Reason::Reload && s.planned == planned;
        waits || self.under_way.is_some_and(goes)
    }

    /// Until when a move waits for a job, if one does.
    pub(super) fn waits_for_job_until(&self) -> Option<Instant> {
        self.waiting.as_ref().and_then(Waiting::until)
    }

    pub(super) fn let_go(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|&until| now < until);
    }

    #[cfg(debug_assertions)]
    pub(super) fn holds(&self) -> u64 {
        self.holds
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let answer = self.under_way.map(|s| s.until);
        let waits = self.waits_for_job_until();
        answer.into_iter().chain(self.paused_until).chain(waits).min()
    }

    pub(super) fn note_straggler(&mut self, id: BackendId) {
        if self.stragglers.len() < 2 && !self.stragglers.contains(&id) {
            self.stragglers.push(id);
        }
    }
}

impl Failover {
    /// What an answer says of the hold that is under way; `None` if it is to an older one.
    pub(super) fn acknowledged(&self, number: u64, all: bool) -> Option<bool> {
        self.switching.under_way.filter(|switch| switch.number == number).map(|_| all)
    }

    /// Goes the next step towards `to`.
    pub(super) fn proceed(
        &mut self,
        to: Option<BackendId>,
        reason: Reason,
        acknowledged: Option<bool>,
        out: &mut Vec<Effect>,
    ) {
        let waited = self.switching.waiting.take();
        self.gates.attempt.take_if(|attempt| Some(attempt.to) != to);
        if to == self.active {
            let lost = self.switching.under_way.is_some_and(|s| !self.may_serve(s.to));
            let why = if lost { Abort::HeirLost } else { Abort::Overruled };
            return self.call_off(why, out);
        }
        let begins = self.switching.under_way.is_none();
        if begins && self.active.is_none() && to.is_some_and(|to| self.is_held_up(to)) {
            return;
        }
        // What its gates needed is over when they begin.
        let held = self.gates.attempt.is_some();
        let drain = to.filter(|_| !held).and_then(|to| self.drain_before(to));
        let Some(to) = to.filter(|_| self.active.is_some() || drain.is_some()) else {
            return self.arrive(to, reason, false, out);
        };
        let planned = self.active_is_eligible();
        let Some(switch) = &mut self.switching.under_way else {
            if planned && self.has_to_wait(to, reason, waited) {
                return;
            }
            return self.begin(to, reason, planned, drain, out);
        };
        if drain.is_some() && switch.drain.is_none() {
            // A reload made the moves exclusive.
            return self.begin(to, reason, planned, drain, out);
        }
        (switch.to, switch.reason, switch.planned) = (to, reason, planned);
        let overdue = (self.now >= switch.until).then_some(false);
        match acknowledged.or(overdue) {
            None => {}
            Some(false) if planned => {
                self.switching.paused_until = Some(after(self.now, PAUSE));
                self.call_off(Abort::Unacknowledged, out);
            }
            Some(all) => {
                let drained = all && switch.drain.is_some();
                self.arrive(Some(to), reason, drained, out);
            }
        }
    }

    pub(super) fn switch_status(&self) -> Option<SwitchStatus> {
        let Switch { to, reason, planned, since, .. } = self.switching.under_way?;
        Some(SwitchStatus { from: self.active, to, reason, planned, since })
    }

    /// Whether a planned move must not begin yet. What it has waited for already counts.
    fn has_to_wait(&mut self, to: BackendId, reason: Reason, waited: Option<Waiting>) -> bool {
        let since = waited.map_or(self.now, |waited| waited.since);
        let for_job = self.switching.busy;
        let gate = self.gates.under_way.is_some();
        let job = for_job.is_some_and(|limit| self.now < after(since, limit));
        if gate || job {
            let for_job = for_job.filter(|_| !gate);
            self.switching.waiting = Some(Waiting { to, reason, since, for_job });
        }
        gate || job
    }

    /// How long to drain before this one may be active; `None`: no need to.
    pub(super) fn drain_before(&self, to: BackendId) -> Option<Duration> {
        let left_elsewhere = self.switching.stragglers.iter().any(|&id| id != to);
        let exclusive = self.policy.exclusive?;
        (self.active.is_some() || left_elsewhere).then_some(exclusive.drain)
    }

    fn begin(
        &mut self,
        to: BackendId,
        reason: Reason,
        planned: bool,
        drain: Option<Duration>,
        out: &mut Vec<Effect>,
    ) {
        self.switching.holds += 1;
        let (number, since) = (self.switching.holds, self.now);
        let until = after(since, drain.unwrap_or_default().saturating_add(ANSWER_WITHIN));
        let switch = Switch { number, to, reason, planned, drain, since, until };
        self.switching.under_way = Some(switch);
        out.push(Effect::Hold { switch: number, planned, drain });
    }

    fn call_off(&mut self, why: Abort, out: &mut Vec<Effect>) {
        let Some(Switch { number, .. }) = self.switching.under_way.take() else { return };
        self.order = None;
        out.push(Effect::Release { switch: number, why });
        self.end_drill_that_never_left(out);
    }

    fn arrive(
        &mut self,
        to: Option<BackendId>,
        reason: Reason,
        drained: bool,
        out: &mut Vec<Effect>,
    ) {
        self.switching.under_way = None;
        if drained {
            self.switching.stragglers.clear();
        } else if let Some(from) = self.active {
            self.switching.note_straggler(from);
        }
        if to.is_none_or(|to| self.passes_gates(to, reason, out)) {
            self.activate(to, reason, out);
        }
    }
}
