//! Judges every step from outside: what had to be said, what was due, what the status must say.
//!
//! Keeps its own books from inputs and effects, and shares no code with the rules. Unlike them it
//! remembers everything across restarts, so it knows what had to be saved.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::{
    Abort, AdminState, AllDown, BackendId, Blocker, Command, Effect, Failback, Failover, Health,
    Input, Policy, Reason, Refusal, Verdict,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct SecondOpinion {
    started: Instant,
    policy: Policy,
    backends: Vec<Seen>,
    active: Option<BackendId>,
    last: Option<BackendId>,
    /// Every move ever, also of the times before restarts.
    log: Vec<Move>,
    first_epoch: u64,
    moved_since_start: bool,
    pinned: bool,
    locked: bool,
    flaps: u32,
    on_probation_since: Option<Instant>,
    counted: Vec<Instant>,
    window_open: bool,
    order: Option<Ordered>,
    holds: u64,
    hold: Option<Hold>,
    no_plans_until: Option<Instant>,
    left_behind: BTreeSet<BackendId>,
    watched: Option<Watched>,
    drill: Option<(BackendId, Instant)>,
    owed: Option<BackendId>,
    /// Whether the last active of the time before the restart is the candidate; if so, its pin.
    candidate_pin: Option<bool>,
}

struct Seen {
    id: BackendId,
    health: Health,
    /// The conclusive verdicts since the health last changed.
    heard: Vec<Verdict>,
    /// The conclusive verdicts since it became good, with the one that made it so.
    heard_while_good: Vec<Verdict>,
    admin: AdminState,
    good_since: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Move {
    to: Option<BackendId>,
    reason: Reason,
}

#[derive(Clone, Copy)]
struct Ordered {
    to: BackendId,
    reason: Reason,
    verify: Duration,
}

#[derive(Clone, Copy)]
struct Hold {
    number: u64,
    to: BackendId,
    reason: Reason,
    planned: bool,
    drain: Option<Duration>,
    since: Instant,
}

struct Watched {
    origin: Option<BackendId>,
    epoch: u64,
    until: Instant,
    answered: bool,
}

impl Seen {
    fn new(id: BackendId) -> Self {
        Self {
            id,
            health: Health::Unknown,
            heard: vec![],
            heard_while_good: vec![],
            admin: AdminState::Ready,
            good_since: None,
        }
    }

    fn against(&self) -> usize {
        let against = match self.health {
            Health::Up => Verdict::Fail,
            Health::Down => Verdict::Pass,
            Health::Unknown => return 0,
        };
        self.heard.iter().rev().take_while(|v| **v == against).count()
    }

    fn passes(&self) -> usize {
        self.heard_while_good.iter().rev().take_while(|v| **v == Verdict::Pass).count()
    }

    fn good(&self) -> bool {
        self.health == Health::Up && self.admin == AdminState::Ready
    }
}

impl SecondOpinion {
    pub(super) fn new(started: Instant, ids: &[BackendId], policy: Policy) -> Self {
        Self {
            started,
            policy,
            backends: ids.iter().map(|&id| Seen::new(id)).collect(),
            active: None,
            last: None,
            log: vec![],
            first_epoch: 0,
            moved_since_start: false,
            pinned: false,
            locked: false,
            flaps: 0,
            on_probation_since: None,
            counted: vec![],
            window_open: false,
            order: None,
            holds: 0,
            hold: None,
            no_plans_until: None,
            left_behind: BTreeSet::new(),
            watched: None,
            drill: None,
            owed: None,
            candidate_pin: None,
        }
    }

    /// The process was started again: what was in memory only is gone.
    pub(super) fn restarted(&mut self, now: Instant) {
        for seen in &mut self.backends {
            *seen = Seen { admin: seen.admin, ..Seen::new(seen.id) };
        }
        let pinned = self.pinned || self.candidate_pin == Some(true);
        self.candidate_pin = self.last.map(|_| pinned);
        self.drill = self.drill.or(self.owed.map(|id| (id, now)));
        (self.pinned, self.window_open, self.moved_since_start) = (false, false, false);
        (self.active, self.order, self.hold, self.holds) = (None, None, None, 0);
        (self.no_plans_until, self.watched, self.owed) = (None, None, None);
        self.left_behind.clear();
        self.started = now;
    }

    /// Panics when the step was not right.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        input: &Input,
        effects: &[Effect],
        judged: &Failover,
    ) {
        let mut expected = self.take_in(now, input);
        self.time_passes(now);
        expected.extend(self.drill_over(now));
        self.forget_what_is_over(now);
        let figure = match input {
            Input::InFlight(requests) => Some(*requests),
            _ => None,
        };
        let (to, reason) = self.wanted(now, input, figure);
        let epoch = self.epoch();
        expected.extend(self.turn(now, input, to, reason));
        if self.epoch() > epoch {
            // Nothing new happened, but somebody else may be wanted now that this one serves.
            let (to, reason) = self.wanted(now, &Input::Tick, figure);
            expected.extend(self.turn(now, &Input::Tick, to, reason));
        }
        assert_eq!(effects, expected, "the effects say what happened, in order");
        self.pinned = self.pinned && self.active.is_some_and(|id| self.is_good(id));
        self.judge_usable(now);
        self.judge_status(now, judged);
        self.judge_wake(now, judged);
    }

    // === What comes in ===

    /// Books the input; returns the effects that must come before any move.
    fn take_in(&mut self, now: Instant, input: &Input) -> Vec<Effect> {
        let mut effects = vec![];
        match input {
            Input::Probe { backend, verdict } => {
                effects.extend(self.take_in_verdict(*backend, *verdict));
            }
            Input::Command(command) => match self.take_in_command(now, *command) {
                Ok(said) => effects = said,
                Err(why) => effects.push(Effect::Rejected { why }),
            },
            Input::Reconfigure { backends, policy } => {
                let mut next: Vec<_> = backends.iter().map(|&id| Seen::new(id)).collect();
                for seen in self.backends.drain(..) {
                    if let Some(place) = next.iter_mut().find(|x| x.id == seen.id) {
                        *place = seen;
                    }
                }
                self.backends = next;
                self.policy = policy.clone();
                self.last = self.last.filter(|id| backends.contains(id));
            }
            Input::Window { open } => self.window_open = *open,
            Input::Answered { epoch } => {
                if let Some(watched) = self.watched.as_mut().filter(|w| w.epoch == *epoch)
                    && !std::mem::replace(&mut watched.answered, true)
                {
                    effects.push(Effect::Verified { epoch: *epoch });
                }
            }
            Input::InFlight(_) | Input::Held { .. } | Input::Tick => {}
        }
        for seen in &mut self.backends {
            if seen.good() && seen.good_since.is_none() {
                seen.good_since = Some(now);
                // A wish that makes it good comes without a pass.
                let by_pass = matches!(input, Input::Probe { .. });
                seen.heard_while_good = vec![Verdict::Pass; usize::from(by_pass)];
            } else if !seen.good() {
                seen.good_since = None;
                seen.heard_while_good.clear();
            }
        }
        effects
    }

    fn take_in_verdict(&mut self, backend: BackendId, verdict: Verdict) -> Option<Effect> {
        let (rise, fall) = (self.policy.rise as usize, self.policy.fall as usize);
        let seen = self.backends.iter_mut().find(|x| x.id == backend)?;
        if verdict == Verdict::Inconclusive {
            return None;
        }
        seen.heard.push(verdict);
        seen.heard_while_good.push(verdict);
        let turned = match seen.health {
            Health::Unknown => true,
            Health::Up => seen.against() >= fall,
            Health::Down => seen.against() >= rise,
        };
        if !turned {
            return None;
        }
        seen.health = if verdict == Verdict::Pass { Health::Up } else { Health::Down };
        seen.heard.clear();
        Some(Effect::HealthChanged { backend, health: seen.health })
    }

    fn take_in_command(&mut self, now: Instant, command: Command) -> Result<Vec<Effect>, Refusal> {
        match command {
            Command::Switchover { to, verify } => {
                let seen = self.seen(to).ok_or(Refusal::UnknownBackend)?;
                if !seen.good() {
                    return Err(Refusal::NotEligible);
                }
                Ok(self.take_order(Ordered { to, reason: Reason::Switchover, verify }))
            }
            Command::Failback { verify } => {
                if self.policy.failback == Failback::Never {
                    return Err(Refusal::NeverFailsBack);
                }
                let best = self.backends.iter().find(|x| x.good()).ok_or(Refusal::NotEligible)?;
                let to = best.id;
                Ok(self.take_order(Ordered { to, reason: Reason::Failback, verify }))
            }
            Command::Pin => match self.active {
                _ if self.hold.is_some() => Err(Refusal::Switching),
                None => Err(Refusal::NothingActive),
                Some(id) if !self.is_good(id) => Err(Refusal::NotEligible),
                Some(_) => {
                    self.pinned = true;
                    Ok(vec![])
                }
            },
            Command::Unpin => {
                self.pinned = false;
                self.candidate_pin = self.candidate_pin.map(|_| false);
                Ok(vec![])
            }
            Command::Lock => {
                self.watched = None;
                let news = !std::mem::replace(&mut self.locked, true);
                Ok(vec![Effect::Locked; usize::from(news)])
            }
            Command::Unlock => {
                let news = std::mem::replace(&mut self.locked, false);
                if news {
                    self.flaps = 0;
                    self.counted.clear();
                }
                Ok(vec![Effect::Unlocked; usize::from(news)])
            }
            Command::SetAdmin(backend, admin) => {
                let seen = self.backends.iter_mut().find(|x| x.id == backend);
                let seen = seen.ok_or(Refusal::UnknownBackend)?;
                let news = std::mem::replace(&mut seen.admin, admin) != admin;
                Ok(vec![Effect::AdminChanged { backend, admin }; usize::from(news)])
            }
            Command::Drill { length } => self.take_drill(now, length),
            Command::EndDrill => {
                let (backend, _) = self.drill.ok_or(Refusal::NoDrill)?;
                Ok(self.drill_ends(backend, true))
            }
        }
    }

    fn take_order(&mut self, order: Ordered) -> Vec<Effect> {
        let ended = self.drill.map(|(backend, _)| self.drill_ends(backend, true));
        self.owed = None;
        if self.active == Some(order.to) {
            self.order = None;
            self.watched = None;
            self.pinned = order.reason == Reason::Switchover;
        } else {
            self.order = Some(order);
        }
        ended.unwrap_or_default()
    }

    fn take_drill(&mut self, now: Instant, length: Duration) -> Result<Vec<Effect>, Refusal> {
        let backend = self.active.ok_or(Refusal::NothingActive)?;
        if self.drill.is_some() {
            return Err(Refusal::Drilling);
        }
        if self.hold.is_some() {
            return Err(Refusal::Switching);
        }
        if self.watched.is_some() {
            return Err(Refusal::Verifying);
        }
        if self.locked {
            return Err(Refusal::Locked);
        }
        if self.pinned {
            return Err(Refusal::Pinned);
        }
        let others: Vec<_> = self.backends.iter().filter(|x| x.good()).map(|x| x.id).collect();
        let to = *others.iter().find(|id| **id != backend).ok_or(Refusal::NoStandby)?;
        self.drill = Some((backend, now + length));
        self.owed = None;
        self.order = Some(Ordered { to, reason: Reason::Drill, verify: Duration::ZERO });
        Ok(vec![Effect::DrillBegan { backend, until: now + length }])
    }

    fn drill_ends(&mut self, backend: BackendId, early: bool) -> Vec<Effect> {
        self.drill = None;
        if self.order.is_some_and(|order| order.reason == Reason::Drill) {
            self.order = None;
        }
        self.owed = Some(backend);
        vec![Effect::DrillEnded { backend, early }]
    }

    // === What ends ===

    fn time_passes(&mut self, now: Instant) {
        let window = self.policy.damping.window;
        if self.on_probation_since.is_some_and(|at| now - at >= window) {
            self.on_probation_since = None;
            self.flaps = 0;
        }
        if window.is_zero() {
            self.flaps = 0;
        }
        let Some(rule) = self.policy.lock else { return self.counted.clear() };
        self.counted.retain(|at| now - *at < rule.within);
        while self.counted.len() > rule.switches.max(1) as usize {
            self.counted.remove(0);
        }
    }

    fn drill_over(&mut self, now: Instant) -> Vec<Effect> {
        let Some((backend, until)) = self.drill else { return vec![] };
        let others = self.backends.iter().filter(|x| x.id != backend);
        let mut others = others.filter(|x| !self.locked || self.last == Some(x.id));
        let anyone = others.any(Seen::good);
        let waits =
            !self.moved_since_start && self.backends.iter().any(|x| self.awaited(x.id, now));
        let gone = self.seen(backend).is_none();
        if now >= until || gone || !(anyone || waits) {
            return self.drill_ends(backend, now < until);
        }
        vec![]
    }

    fn forget_what_is_over(&mut self, now: Instant) {
        let keep = |id: BackendId| {
            !self.pinned
                && !self.locked
                && self.last != Some(id)
                && (self.is_good(id) || self.awaited(id, now))
        };
        self.owed = self.owed.filter(|&id| keep(id));
        self.order = self.order.filter(|order| self.is_free(order.to));
        self.no_plans_until = self.no_plans_until.filter(|&at| now < at);
        if let Some(watched) = &self.watched {
            let way_back = watched.origin.is_some_and(|id| self.is_free(id));
            if now >= watched.until && (watched.answered || !way_back) {
                self.watched = None;
            }
        }
        let candidate = self.last.filter(|&id| self.is_free(id) || self.awaited(id, now));
        self.candidate_pin = self.candidate_pin.filter(|_| candidate.is_some());
    }

    // === What should be ===

    /// Who should be active, and why.
    fn wanted(
        &self,
        now: Instant,
        input: &Input,
        figure: Option<usize>,
    ) -> (Option<BackendId>, Reason) {
        if let Some(Ordered { to, reason, .. }) = self.order {
            return (Some(to), reason);
        }
        let serves = self.active.is_some_and(|id| self.is_free(id));
        let may_plan = !serves || self.no_plans_until.is_none();
        if let Some(Watched { origin: Some(origin), until, answered, .. }) = self.watched
            && (!serves || (now >= until && !answered))
            && may_plan
            && self.is_free(origin)
        {
            return (Some(origin), Reason::Return);
        }
        if let Some(id) = self.owed
            && may_plan
            && self.is_good(id)
        {
            return (Some(id), Reason::Drill);
        }
        let to = if serves { self.ripe(now, figure).or(self.active) } else { self.heir(now) };
        (to, self.true_reason(to, input))
    }

    /// Who serves when the active does not.
    fn heir(&self, now: Instant) -> Option<BackendId> {
        if self.candidate_pin.is_some() {
            return self.last.filter(|&id| self.is_free(id));
        }
        let best = if self.locked { self.last.filter(|&id| self.is_free(id)) } else { self.best() };
        if best.is_some() {
            return best.filter(|_| !self.must_wait(now));
        }
        self.last.filter(|&id| self.is_kept(id, now))
    }

    fn true_reason(&self, to: Option<BackendId>, input: &Input) -> Reason {
        let last = self.last.and_then(|id| self.seen(id));
        let truly_good = self.active.is_some_and(|id| self.is_good(id));
        let by_reload = matches!(input, Input::Reconfigure { .. })
            || self.hold.is_some_and(|h| h.reason == Reason::Reload && h.planned == truly_good);
        if !self.moved_since_start {
            let fell = to != self.last && last.is_some_and(|x| x.health == Health::Down);
            return if fell { Reason::Failover } else { Reason::Startup };
        }
        match self.active {
            _ if by_reload => Reason::Reload,
            None => Reason::Recovery,
            Some(id) if self.is_free(id) => Reason::Failback,
            Some(id) if self.is_good(id) => Reason::Drill,
            Some(_) => Reason::Failover,
        }
    }

    /// Whom a failback may go to now.
    fn ripe(&self, now: Instant, figure: Option<usize>) -> Option<BackendId> {
        let better = self.backends.iter().take_while(|x| Some(x.id) != self.active);
        let mut ripe = better.filter(|x| self.reasons_against(x, now, figure).is_empty());
        ripe.next().map(|x| x.id)
    }

    fn reasons_against(&self, x: &Seen, now: Instant, figure: Option<usize>) -> Vec<Blocker> {
        let mut against = vec![];
        let drilled = self.drill.filter(|(id, _)| *id == x.id);
        against.extend(drilled.map(|(_, until)| Blocker::Drill { until }));
        if !x.good() {
            against.push(Blocker::NotEligible { health: x.health, admin: x.admin });
        }
        against.extend(self.pinned.then_some(Blocker::Pinned));
        against.extend(self.locked.then_some(Blocker::Locked));
        against.extend(self.watched.as_ref().map(|w| Blocker::Verifying { until: w.until }));
        against.extend(self.no_plans_until.map(|until| Blocker::CalledOff { until }));
        if drilled.is_some() || self.owed == Some(x.id) {
            return against;
        }
        match self.policy.failback {
            Failback::Manual => against.push(Blocker::Manual),
            Failback::Never => against.push(Blocker::Never),
            Failback::Auto(needs) => {
                let until = x.good_since.map(|at| at + self.hold_down().unwrap());
                let early = until.filter(|&until| now < until);
                against.extend(early.map(|until| Blocker::HoldDown { until }));
                let (have, need) = (x.passes() as u32, needs.passes);
                if x.good() && have < need && need >= 2 {
                    against.push(Blocker::Passes { have, need });
                }
                if needs.windowed && !self.window_open {
                    against.push(Blocker::WindowClosed);
                }
                let goes = self.hold.is_some_and(|h| {
                    h.planned && matches!(h.reason, Reason::Failback | Reason::Reload)
                });
                if let Some(below) = needs.in_flight_below
                    && !(goes && self.order.is_none())
                    && figure.is_none_or(|requests| requests >= below)
                {
                    against.push(Blocker::InFlight { below });
                }
            }
        }
        against
    }

    // === What happens ===

    /// The hold, the release or the move that must follow, booked.
    fn turn(
        &mut self,
        now: Instant,
        input: &Input,
        to: Option<BackendId>,
        reason: Reason,
    ) -> Vec<Effect> {
        if to == self.active {
            let lost = self.hold.is_some_and(|hold| !self.is_free(hold.to));
            return self.give_up(if lost { Abort::HeirLost } else { Abort::Overruled });
        }
        let drain = self.policy.exclusive.map(|strict| strict.drain);
        let others_left = self.left_behind.iter().any(|id| Some(*id) != to);
        let needs_hold = match (self.active, to) {
            (_, None) => false,
            (Some(_), Some(_)) => true,
            (None, Some(_)) => drain.is_some() && others_left,
        };
        if !needs_hold {
            return self.moved(now, to, reason, false);
        }
        let Some(to) = to else { unreachable!("nobody needs no hold") };
        let planned = self.active.is_some_and(|id| self.is_good(id));
        match self.hold {
            Some(hold) if hold.drain.is_some() || drain.is_none() => {
                self.hold = Some(Hold { to, reason, planned, ..hold });
                let end = hold.since + hold.drain.unwrap_or_default() + ANSWER_WITHIN;
                let answer = match input {
                    Input::Held { switch, all } if *switch == hold.number => Some(*all),
                    _ if now >= end => Some(false),
                    _ => None,
                };
                match answer {
                    None => vec![],
                    Some(false) if planned => {
                        self.no_plans_until = Some(now + PAUSE);
                        self.give_up(Abort::Unacknowledged)
                    }
                    Some(all) => self.moved(now, Some(to), reason, all && hold.drain.is_some()),
                }
            }
            Some(_) | None => {
                self.holds += 1;
                let number = self.holds;
                self.hold = Some(Hold { number, to, reason, planned, drain, since: now });
                vec![Effect::Hold { switch: number, planned, drain }]
            }
        }
    }

    fn give_up(&mut self, why: Abort) -> Vec<Effect> {
        let Some(hold) = self.hold.take() else { return vec![] };
        self.order = None;
        let mut effects = vec![Effect::Release { switch: hold.number, why }];
        if let Some((backend, _)) = self.drill.filter(|(id, _)| self.active == Some(*id)) {
            effects.extend(self.drill_ends(backend, true));
            self.owed = None;
        }
        effects
    }

    fn moved(
        &mut self,
        now: Instant,
        to: Option<BackendId>,
        reason: Reason,
        drained: bool,
    ) -> Vec<Effect> {
        let from = self.active;
        let epoch = self.epoch() + 1;
        let mut effects = vec![Effect::ActiveChanged { from, to, reason, epoch }];
        self.hold = None;
        if drained {
            self.left_behind.clear();
        } else {
            self.left_behind.extend(from);
        }
        let order = self.order.take();
        let resumed = self.candidate_pin.take().filter(|_| to == self.last);
        let left = if self.moved_since_start { from } else { self.last };
        let again = to.is_some() && left == to;
        if reason != Reason::Drill && !again {
            // The drills in between do not count, nor do restarts.
            let arrival = self.log.iter().rev().find(|m| m.reason != Reason::Drill);
            let failed = left.and_then(|id| self.seen(id)).map(|x| x.health);
            let was_failed_back =
                arrival.is_some_and(|m| m.to == left) && self.on_probation_since.take().is_some();
            self.flaps += u32::from(was_failed_back && failed == Some(Health::Down));
            let begins = to.is_some() && reason == Reason::Failback;
            self.on_probation_since = begins.then_some(now);
        }
        if !again {
            self.log.push(Move { to, reason });
        } else {
            self.first_epoch += 1;
        }
        self.active = to;
        self.last = to.or(self.last);
        self.moved_since_start = true;
        self.owed = self.owed.filter(|id| Some(*id) != to);
        self.pinned = match reason {
            Reason::Switchover | Reason::Return => true,
            _ => resumed == Some(true),
        };
        self.watched = order.filter(|order| !order.verify.is_zero()).map(|order| Watched {
            origin: from,
            epoch,
            until: now + order.verify,
            answered: false,
        });
        let by_itself = order.is_none() && matches!(reason, Reason::Failover | Reason::Failback);
        if by_itself
            && to.is_some()
            && let Some(rule) = self.policy.lock
        {
            self.counted.push(now);
            self.counted.retain(|at| now - *at < rule.within);
            let (recent, limit) = (self.counted.len(), rule.switches.max(1) as usize);
            self.counted.drain(..recent.saturating_sub(limit));
            if recent >= limit && !std::mem::replace(&mut self.locked, true) {
                effects.push(Effect::Locked);
            }
        }
        effects
    }

    // === What must be true and must be said ===

    fn judge_usable(&self, now: Instant) {
        let Some(id) = self.active else { return };
        if self.hold.is_some() {
            return;
        }
        assert!(self.seen(id).is_some(), "the active is one of the backends");
        assert!(self.is_free(id) || self.is_kept(id, now), "the active is eligible, or kept");
    }

    fn judge_status(&self, now: Instant, judged: &Failover) {
        let status = judged.status();
        assert_eq!(status.active, self.active);
        assert_eq!(status.epoch, self.epoch());
        assert_eq!(status.pinned, self.pinned, "pinned");
        assert_eq!(status.locked, self.locked, "locked");
        assert_eq!(status.hold_down, self.hold_down(), "hold-down, {} flaps", self.flaps);
        assert_eq!(status.flaps, self.flaps, "flaps");
        assert_eq!(status.recent_switches, self.counted.len(), "switches that count");
        assert_eq!(status.backends.len(), self.backends.len());
        for (said, seen) in status.backends.iter().zip(&self.backends) {
            assert_eq!(said.id, seen.id, "in priority order");
            assert_eq!((said.health, said.admin), (seen.health, seen.admin), "{:?}", seen.id);
            assert_eq!(said.streak as usize, seen.against(), "streak of {:?}", seen.id);
            assert_eq!(said.passes as usize, seen.passes(), "passes of {:?}", seen.id);
            assert_eq!(said.eligible_since, seen.good_since, "clock of {:?}", seen.id);
        }
        let switch = status.switch.map(|s| (s.from, s.to, s.reason, s.planned, s.since));
        let hold = self.hold.map(|h| (self.active, h.to, h.reason, h.planned, h.since));
        assert_eq!(switch, hold, "the move under way");
        let verifying = status.verifying.map(|v| (v.origin, v.until, v.answered));
        let watched = self.watched.as_ref().map(|w| (w.origin, w.until, w.answered));
        assert_eq!(verifying, watched, "the move that is watched");
        assert_eq!(status.drill.map(|d| (d.backend, d.until)), self.drill, "the drill");
        self.judge_failback(now, judged);
    }

    fn judge_failback(&self, now: Instant, judged: &Failover) {
        let first = self.backends.first().filter(|x| self.active.is_some_and(|id| id != x.id));
        let said = judged.status().failback;
        assert_eq!(said.as_ref().map(|f| f.to), first.map(|x| x.id), "the first is to come");
        let mut only_the_figure = false;
        for x in self.backends.iter().take_while(|x| self.active.is_some_and(|id| id != x.id)) {
            let against = self.reasons_against(x, now, None);
            only_the_figure |=
                matches!(against[..], [Blocker::InFlight { .. }]) && self.hold.is_none();
        }
        assert_eq!(judged.wants_in_flight(), only_the_figure, "asks for requests");
        let (Some(first), Some(said)) = (first, said) else { return };
        let mut expected = self.reasons_against(first, now, None);
        expected.extend(self.hold.map(|_| Blocker::Switching));
        let same = said.blockers.len() == expected.len()
            && expected.iter().all(|blocker| said.blockers.contains(blocker));
        assert!(same, "what blocks the failback: {:?}, not {expected:?}", said.blockers);
        assert!(!said.blockers.is_empty(), "something does");
        let mut due = Some(now);
        for blocker in &said.blockers {
            let until = match *blocker {
                Blocker::HoldDown { until }
                | Blocker::Verifying { until }
                | Blocker::CalledOff { until }
                | Blocker::Drill { until } => Some(until),
                _ => None,
            };
            due = due.and_then(|due| until.map(|until| due.max(until)));
        }
        assert_eq!(said.due, due, "when it is due");
    }

    fn judge_wake(&self, now: Instant, judged: &Failover) {
        let wake = judged.wake_at();
        assert!(wake.is_none_or(|at| at > now), "the next tick lies in the future");
        let by = |at: Instant, what: &str| {
            assert!(at <= now || wake.is_some_and(|wake| wake <= at), "woken for {what}");
        };
        let better = self.backends.iter().take_while(|x| self.active.is_some_and(|id| id != x.id));
        for blocker in better.flat_map(|x| self.reasons_against(x, now, None)) {
            if let Blocker::HoldDown { until } = blocker {
                by(until, "the end of a hold-down");
            }
        }
        if let Some(hold) = self.hold {
            let end = hold.since + hold.drain.unwrap_or_default() + ANSWER_WITHIN;
            by(end, "an answer that does not come");
        }
        if let Some((_, until)) = self.drill {
            by(until, "the end of the drill");
        }
        if let Some(watched) = &self.watched {
            by(watched.until, "the end of the watch");
        }
        if let Some(until) = self.no_plans_until {
            by(until, "the end of the pause");
        }
        let waits = self.must_wait(now) && self.best().is_some() && !self.locked;
        if waits || self.candidate_pin.is_some() || self.owed.is_some() {
            by(self.started + self.policy.startup_grace, "the end of the grace");
        }
        if self.flaps > 0
            && let Some(since) = self.on_probation_since
        {
            by(since + self.policy.damping.window, "the end of the row of flaps");
        }
    }

    // === Small questions ===

    fn epoch(&self) -> u64 {
        self.first_epoch + self.log.len() as u64
    }

    fn hold_down(&self) -> Option<Duration> {
        let Failback::Auto(needs) = self.policy.failback else { return None };
        let mut damped = needs.hold_down;
        for _ in 0..self.flaps {
            damped = (damped * 2).min(self.policy.damping.cap);
        }
        Some(damped.max(needs.hold_down))
    }

    /// Whether the start-up grace forbids to use anybody yet.
    fn must_wait(&self, now: Instant) -> bool {
        let mut better = self.backends.iter().take_while(|x| Some(x.id) != self.preferred());
        !self.moved_since_start && better.any(|x| self.awaited(x.id, now))
    }

    fn preferred(&self) -> Option<BackendId> {
        if self.locked { self.last } else { self.best() }
    }

    fn awaited(&self, id: BackendId, now: Instant) -> bool {
        let unknown = |x: &Seen| x.health == Health::Unknown && x.admin == AdminState::Ready;
        now - self.started < self.policy.startup_grace
            && self.drill.is_none_or(|(drilled, _)| drilled != id)
            && self.seen(id).is_some_and(unknown)
    }

    fn is_kept(&self, id: BackendId, now: Instant) -> bool {
        let waits =
            !self.moved_since_start && self.backends.iter().any(|x| self.awaited(x.id, now));
        self.policy.all_down == AllDown::KeepLast
            && self.last == Some(id)
            && !waits
            && self
                .seen(id)
                .is_some_and(|x| x.admin == AdminState::Ready && x.health != Health::Unknown)
    }

    fn best(&self) -> Option<BackendId> {
        self.backends.iter().find(|x| self.is_free(x.id)).map(|x| x.id)
    }

    fn is_good(&self, id: BackendId) -> bool {
        self.seen(id).is_some_and(Seen::good)
    }

    /// Good, and nobody practises its failure.
    fn is_free(&self, id: BackendId) -> bool {
        self.is_good(id) && self.drill.is_none_or(|(drilled, _)| drilled != id)
    }

    fn seen(&self, id: BackendId) -> Option<&Seen> {
        self.backends.iter().find(|x| x.id == id)
    }
}
