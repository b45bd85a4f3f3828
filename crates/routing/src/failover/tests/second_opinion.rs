//! Judges every step from outside: what had to be said, what was due, what the status must say.
//!
//! Keeps its own books from inputs and effects, and shares no code with the rules. Unlike them it
//! remembers everything across restarts, so it knows what had to be saved.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::super::{
    Abort, AdminState, AllDown, BackendId, Blocker, Claim, Command, Direction, Effect, Failback,
    Failover, Gate, GateResult, GateRule, GateRun, Health, Input, Need, OnFailure, Policy, Reason,
    Refusal, Role, Settlement, Standing, Verdict, Wish,
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
    epoch: u64,
    moved_since_start: bool,
    pinned: bool,
    locked: bool,
    /// Since when two call themselves active, and whether the operator has shrugged.
    two_since: Option<(Instant, bool)>,
    /// Who calls itself active, and who of them has not said so since the last of them began to.
    actives: BTreeSet<BackendId>,
    unheard: BTreeSet<BackendId>,
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
    /// The greatest number heard of, and how gates ended under it since the start.
    greatest: u64,
    outcomes: BTreeMap<(Gate, BackendId), GateResult>,
    /// Who is being made the active.
    journey: Option<Journey>,
    gate: Option<Gated>,
    /// Why nobody is active, if that is because of gates.
    vacated: Option<Reason>,
    /// Whom an owed gate has just reached, and until when no other is tried.
    reached: Option<BackendId>,
    no_fence_until: Option<Instant>,
    job: Option<Duration>,
    patience: Option<Patience>,
    /// Every gate ever told, and whether it may be told once more.
    told: Vec<(GateRun, bool)>,
    /// Who may hold the role for all that gates have told; not kept unless every move is strict.
    may_hold: Option<BTreeSet<BackendId>>,
    /// Whether the promotion under way is all that it may hold the role by.
    first_promotion: bool,
}

#[derive(Clone)]
struct Journey {
    number: u64,
    to: BackendId,
    reason: Reason,
    list: Direction,
    todo: Vec<(Gate, BackendId)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Journey,
    Before,
    Owed,
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Runs,
    Repeat,
    Doubt { said: bool },
}

#[derive(Clone, Copy)]
struct Gated {
    run: GateRun,
    purpose: Purpose,
    pace: Pace,
}

/// A planned move that must not begin yet.
#[derive(Clone, Copy)]
struct Patience {
    since: Instant,
    reason: Reason,
    limit: Option<Duration>,
}

#[derive(Clone)]
struct Seen {
    id: BackendId,
    health: Health,
    /// How many first failures it takes to call it down, if that is less than later.
    tries: usize,
    /// The conclusive verdicts since the health last changed.
    heard: Vec<Verdict>,
    /// The conclusive verdicts since it became good, with the one that made it so.
    heard_while_good: Vec<Verdict>,
    admin: AdminState,
    /// What each pass said since it came up; a failure is a pass that said nothing.
    stories: Vec<Claim>,
    /// The last that was said often enough, since it came up.
    trusted: Claim,
    /// What was trusted when it went down, while it is down.
    said_before: Claim,
    good_since: Option<Instant>,
    standing: Standing,
    barred: bool,
    aged: bool,
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
            tries: 1,
            heard: vec![],
            heard_while_good: vec![],
            admin: AdminState::Ready,
            stories: vec![],
            trusted: Claim::default(),
            said_before: Claim::default(),
            good_since: None,
            standing: Standing::Standby,
            barred: false,
            aged: false,
        }
    }

    fn against(&self) -> usize {
        let against = match self.health {
            Health::Up | Health::Unknown => Verdict::Fail,
            Health::Down => Verdict::Pass,
        };
        self.heard.iter().rev().take_while(|v| **v == against).count()
    }

    fn passes(&self) -> usize {
        self.heard_while_good.iter().rev().take_while(|v| **v == Verdict::Pass).count()
    }

    /// In how many passes in a row it told this role lately, if that is not the trusted one.
    fn role_told(&self) -> usize {
        let last = self.stories.last().and_then(|story| story.role);
        if last.is_none() || last == self.trusted.role {
            return 0;
        }
        self.stories.iter().rev().take_while(|story| story.role == last).count()
    }

    fn wish_told(&self) -> usize {
        let last = self.stories.last().and_then(|story| story.wish);
        if last.is_none() || last == self.trusted.wish {
            return 0;
        }
        self.stories.iter().rev().take_while(|story| story.wish == last).count()
    }

    fn in_use(&self) -> bool {
        self.health == Health::Up && self.admin == AdminState::Ready
    }

    /// Nothing that is trusted, or was when it went down, speaks against it.
    fn consents(&self, needed: Option<Role>) -> bool {
        let role = self.trusted.role.or(self.said_before.role);
        let wish = self.trusted.wish.or(self.said_before.wish);
        let fit = match (role, needed) {
            (None, _) => true,
            (Some(role), Some(needed)) => role == needed && role <= Role::Standby,
            (Some(role), None) => role <= Role::Standby,
        };
        fit && wish.is_none_or(|wish| wish == Wish::Serve)
    }

    fn good(&self, needed: Option<Role>) -> bool {
        let known = needed.is_none() || self.trusted.role.is_some();
        self.in_use() && known && self.consents(needed)
    }
}

impl SecondOpinion {
    pub(super) fn new(started: Instant, ids: &[BackendId], policy: Policy) -> Self {
        let mut backends: Vec<_> = ids.iter().map(|&id| Seen::new(id)).collect();
        if let Some(first) = backends.first_mut() {
            first.standing = Standing::Holds;
        }
        let may_hold = is_strict(&policy).then(|| ids.iter().take(1).copied().collect());
        Self {
            started,
            policy,
            backends,
            active: None,
            last: None,
            log: vec![],
            epoch: 0,
            moved_since_start: false,
            pinned: false,
            locked: false,
            two_since: None,
            actives: BTreeSet::new(),
            unheard: BTreeSet::new(),
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
            greatest: 0,
            outcomes: BTreeMap::new(),
            journey: None,
            gate: None,
            vacated: None,
            reached: None,
            no_fence_until: None,
            job: None,
            patience: None,
            told: vec![],
            may_hold,
            first_promotion: false,
        }
    }

    /// The process was started again: what was in memory only is gone.
    pub(super) fn restarted(&mut self, now: Instant) {
        // Another process may still have requests there.
        self.left_behind = self.last.into_iter().collect();
        let mut pinned = self.pinned || self.candidate_pin == Some(true);
        if let Some(holder) = self.backends.iter().find(|x| x.standing == Standing::Holds)
            && self.last.is_some_and(|last| last != holder.id)
        {
            self.last = Some(holder.id);
            pinned = false;
        }
        for seen in &mut self.backends {
            *seen = Seen {
                admin: seen.admin,
                // Whoever served is given more than one try.
                tries: if self.last == Some(seen.id) { usize::MAX } else { 1 },
                standing: seen.standing,
                barred: seen.barred,
                ..Seen::new(seen.id)
            };
        }
        self.candidate_pin = self.last.map(|_| pinned);
        self.drill = self.drill.or(self.owed.map(|id| (id, now)));
        (self.pinned, self.window_open, self.moved_since_start) = (false, false, false);
        self.two_since = None;
        self.actives.clear();
        self.unheard.clear();
        (self.active, self.order, self.hold, self.holds) = (None, None, None, 0);
        (self.no_plans_until, self.watched, self.owed) = (None, None, None);
        self.started = now;
        self.first_promotion = false;
        (self.epoch, self.journey, self.vacated) = (self.greatest, None, None);
        (self.reached, self.no_fence_until, self.job, self.patience) = (None, None, None, None);
        self.outcomes.clear();
        let rules = self.policy.gates.clone();
        if let Some(gated) = &mut self.gate {
            let mut rules = rules.of(gated.run.direction).iter();
            let again = rules.any(|rule| rule.gate == gated.run.gate && rule.idempotent);
            gated.pace = if again { Pace::Repeat } else { Pace::Doubt { said: false } };
            if gated.purpose == Purpose::Journey {
                gated.purpose = Purpose::Before;
            }
            if let Some((_, repeats)) = self.told.last_mut() {
                *repeats = again;
            }
        }
        self.forget_gates_of_the_gone();
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
        expected.extend(self.gate_after_restart());
        expected.extend(self.count_actives(now, input));
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
        expected.extend(self.make_up(now, input));
        assert_eq!(effects, expected, "the effects say what happened, in order");
        self.pinned = self.pinned && self.active.is_some_and(|id| self.is_good(id));
        self.judge_gates(effects);
        self.judge_usable(now);
        self.judge_status(now, judged);
        self.judge_wake(now, judged);
    }

    // === What comes in ===

    /// Books the input; returns the effects that must come before any move.
    fn take_in(&mut self, now: Instant, input: &Input) -> Vec<Effect> {
        let mut effects = vec![];
        match input {
            Input::Probe { backend, verdict, claim } => {
                effects.extend(self.take_in_verdict(*backend, *verdict));
                effects.extend(self.take_in_claim(*backend, *verdict, *claim));
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
                if self.policy.gates != policy.gates {
                    self.journey = None;
                }
                self.policy = policy.clone();
                self.may_hold = self.may_hold.take().filter(|_| is_strict(policy));
                self.forget_gates_of_the_gone();
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
            Input::GateFinished { run, result } => {
                let mine = |g: &mut Gated| g.pace == Pace::Runs && g.run == *run;
                if let Some(gated) = self.gate.take_if(mine) {
                    effects.extend(self.gate_ends(now, gated, *result));
                }
            }
            Input::Busy(limit) => self.job = *limit,
            Input::Stale { backend, stale } => {
                let aged = self.backends.iter_mut().filter(|x| x.id == *backend);
                aged.for_each(|x| x.aged = *stale);
            }
            Input::InFlight(_) | Input::Held { .. } | Input::Tick => {}
        }
        let needed = self.policy.required_role;
        for seen in &mut self.backends {
            if seen.good(needed) && seen.good_since.is_none() {
                seen.good_since = Some(now);
                // A wish that makes it good comes without a pass.
                let by_pass = matches!(input, Input::Probe { .. });
                seen.heard_while_good = vec![Verdict::Pass; usize::from(by_pass)];
            } else if !seen.good(needed) {
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
            Health::Unknown => verdict == Verdict::Pass || seen.against() >= fall.min(seen.tries),
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

    /// After the verdict. Whoever just came up is believed at once.
    fn take_in_claim(
        &mut self,
        backend: BackendId,
        verdict: Verdict,
        claim: Claim,
    ) -> Option<Effect> {
        let rise = self.policy.rise.max(1) as usize;
        let seen = self.backends.iter_mut().find(|x| x.id == backend)?;
        if seen.health != Health::Up {
            if !seen.stories.is_empty() {
                seen.said_before = seen.trusted;
            }
            seen.stories.clear();
            seen.trusted = Claim::default();
            return None;
        }
        let farewell = std::mem::take(&mut seen.said_before);
        let before = seen.trusted;
        match verdict {
            Verdict::Inconclusive => return None,
            Verdict::Fail => seen.stories.push(Claim::default()),
            Verdict::Pass if seen.stories.is_empty() => {
                seen.stories.push(claim);
                seen.trusted = claim;
            }
            Verdict::Pass => {
                seen.stories.push(claim);
                if seen.role_told() >= rise {
                    seen.trusted.role = claim.role;
                }
                if seen.wish_told() >= rise {
                    seen.trusted.wish = claim.wish;
                }
            }
        }
        let claim = seen.trusted;
        // Nobody doubted that it wants to serve, unless its farewell said otherwise.
        let is_granted = matches!(
            (farewell.wish, before.wish, claim.wish),
            (None | Some(Wish::Serve), None, Some(Wish::Serve))
        );
        let is_news = claim.role != before.role || (claim.wish != before.wish && !is_granted);
        is_news.then_some(Effect::ClaimChanged { backend, claim })
    }

    fn count_actives(&mut self, now: Instant, input: &Input) -> Option<Effect> {
        let actives = self.backends.iter().filter(|x| x.in_use());
        let actives = actives.filter(|x| x.trusted.role == Some(Role::Active));
        let actives = actives.filter(|x| matches!(x.trusted.wish, None | Some(Wish::Serve)));
        let actives: BTreeSet<_> = actives.map(|x| x.id).collect();
        if !actives.is_subset(&self.actives) {
            self.unheard.extend(&actives);
        }
        if let Input::Probe { backend, verdict: Verdict::Pass, claim } = input {
            match claim.role {
                None | Some(Role::Active) => self.unheard.remove(backend),
                Some(_) => self.unheard.insert(*backend),
            };
        }
        self.actives = actives;
        let actives = self.actives.len();
        let sure = self.actives.difference(&self.unheard).count();
        if sure > 1 && self.two_since.is_none() {
            self.two_since = Some((now, false));
            return Some(Effect::DualActive);
        }
        if actives < 2
            && let Some((_, accepted)) = self.two_since.take()
            && !accepted
        {
            return Some(Effect::DualActiveCleared { by_operator: false });
        }
        None
    }

    fn take_in_command(&mut self, now: Instant, command: Command) -> Result<Vec<Effect>, Refusal> {
        match command {
            Command::Switchover { to, verify } => {
                self.seen(to).ok_or(Refusal::UnknownBackend)?;
                if !self.is_good(to) || self.is_aged(to) {
                    return Err(Refusal::NotEligible);
                }
                self.take_order(Ordered { to, reason: Reason::Switchover, verify })
            }
            Command::Failback { verify } => {
                if self.policy.failback == Failback::Never {
                    return Err(Refusal::NeverFailsBack);
                }
                let good = self.backends.iter().filter(|x| self.is_good(x.id));
                let mut good = good.filter(|x| !self.is_aged(x.id));
                let best = good.next().ok_or(Refusal::NotEligible)?;
                let to = best.id;
                self.take_order(Ordered { to, reason: Reason::Failback, verify })
            }
            Command::Pin => match self.active {
                _ if self.hold.is_some() || self.order.is_some() => Err(Refusal::Switching),
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
                self.backends.iter_mut().for_each(|x| x.barred = false);
                let news = std::mem::replace(&mut self.locked, false);
                if news {
                    self.flaps = 0;
                    self.counted.clear();
                }
                let mut effects = vec![Effect::Unlocked; usize::from(news)];
                if let Some((since, false)) = self.two_since {
                    self.two_since = Some((since, true));
                    effects.push(Effect::DualActiveCleared { by_operator: true });
                }
                Ok(effects)
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
            Command::SettleGate(how) => self.take_settlement(now, how),
        }
    }

    fn take_order(&mut self, order: Ordered) -> Result<Vec<Effect>, Refusal> {
        if self.doubts() && self.active != Some(order.to) {
            return Err(Refusal::InDoubt);
        }
        self.backends.iter_mut().filter(|x| x.id == order.to).for_each(|x| x.barred = false);
        let ended = self.drill.map(|(backend, _)| self.drill_ends(backend, true));
        self.owed = None;
        if self.active == Some(order.to) {
            self.order = None;
            self.watched = None;
            self.pinned = order.reason == Reason::Switchover;
        } else {
            self.order = Some(order);
        }
        Ok(ended.unwrap_or_default())
    }

    fn take_drill(&mut self, now: Instant, length: Duration) -> Result<Vec<Effect>, Refusal> {
        let backend = self.active.ok_or(Refusal::NothingActive)?;
        if self.doubts() {
            return Err(Refusal::InDoubt);
        }
        if self.drill.is_some() {
            return Err(Refusal::Drilling);
        }
        if self.hold.is_some() || self.order.is_some() {
            return Err(Refusal::Switching);
        }
        if self.watched.is_some() {
            return Err(Refusal::Verifying);
        }
        if self.stands_still() {
            return Err(Refusal::Locked);
        }
        if self.pinned {
            return Err(Refusal::Pinned);
        }
        let mut others = self.backends.iter().map(|x| x.id).filter(|id| *id != backend);
        let to = others.find(|id| self.is_free(*id)).ok_or(Refusal::NoStandby)?;
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
        let mut others = others.filter(|x| !self.stands_still() || self.last == Some(x.id));
        let anyone = others.any(|x| self.is_free(x.id));
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
                && !self.stands_still()
                && self.last != Some(id)
                && (self.is_free(id) || self.awaited(id, now))
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
        if let Some(journey) = &self.journey
            && self.is_free(journey.to)
        {
            return (Some(journey.to), journey.reason);
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
            && self.is_free(id)
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
        let best = match self.stands_still() {
            true => self.last.filter(|&id| self.is_free(id)),
            false => self.best(),
        };
        if best.is_some() {
            return best.filter(|_| !self.must_wait(now));
        }
        self.last.filter(|&id| self.is_kept(id, now))
    }

    fn true_reason(&self, to: Option<BackendId>, input: &Input) -> Reason {
        let needed = self.policy.required_role;
        let last = self.last.and_then(|id| self.seen(id));
        let truly_good = self.active.is_some_and(|id| self.is_good(id));
        let waits = self.patience.is_some_and(|p| p.reason == Reason::Reload && truly_good);
        let by_reload = matches!(input, Input::Reconfigure { .. })
            || waits
            || self.hold.is_some_and(|h| h.reason == Reason::Reload && h.planned == truly_good);
        if !self.moved_since_start {
            let bad = |x: &Seen| match x.health {
                Health::Unknown => false,
                Health::Down => true,
                Health::Up => !Seen { admin: AdminState::Ready, ..x.clone() }.good(needed),
            };
            let fell = to != self.last && last.is_some_and(bad);
            return if fell { Reason::Failover } else { Reason::Startup };
        }
        match self.active {
            _ if by_reload => Reason::Reload,
            None if self.vacated == Some(Reason::Failover) && to != self.last => Reason::Failover,
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
        let good = self.is_good(x.id);
        if !good {
            let (health, admin, claim) = (x.health, x.admin, x.trusted);
            against.push(Blocker::NotEligible { health, admin, claim });
        }
        against.extend(x.barred.then_some(Blocker::Barred));
        against.extend(self.is_aged(x.id).then_some(Blocker::Stale));
        against.extend(self.pinned.then_some(Blocker::Pinned));
        against.extend(self.locked.then_some(Blocker::Locked));
        let two = self.two_since.filter(|(_, accepted)| !accepted);
        against.extend(two.map(|_| Blocker::DualActive));
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
                if good && have < need && need >= 2 {
                    against.push(Blocker::Passes { have, need });
                }
                if needs.windowed && !self.window_open {
                    against.push(Blocker::WindowClosed);
                }
                let goes = self.hold.is_some_and(|h| {
                    h.planned && matches!(h.reason, Reason::Failback | Reason::Reload)
                });
                let waits = self
                    .patience
                    .is_some_and(|p| matches!(p.reason, Reason::Failback | Reason::Reload));
                if let Some(below) = needs.in_flight_below
                    && !((goes || waits) && self.order.is_none())
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
        let patience = self.patience.take();
        self.journey = self.journey.take().filter(|journey| Some(journey.to) == to);
        if to == self.active {
            let lost = self.hold.is_some_and(|hold| !self.is_free(hold.to));
            return self.give_up(if lost { Abort::HeirLost } else { Abort::Overruled });
        }
        if let Some(to) = to
            && (self.active.is_none() && self.hold.is_none())
            && self.gate_forbids(to)
        {
            return vec![];
        }
        let drain = self.policy.exclusive.map(|strict| strict.drain);
        let others_left = self.left_behind.iter().any(|id| Some(*id) != to);
        let needs_hold = match (self.active, to) {
            (_, None) => false,
            (Some(_), Some(_)) => true,
            (None, Some(_)) => self.journey.is_none() && drain.is_some() && others_left,
        };
        if !needs_hold {
            return self.comes(now, to, reason, false);
        }
        let Some(to) = to else { unreachable!("nobody needs no hold") };
        let planned = self.active.is_some_and(|id| self.is_good(id));
        let begins = self.hold.is_none() && planned;
        if begins && self.is_patient(now, patience, reason) {
            return vec![];
        }
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
                    Some(all) => self.comes(now, Some(to), reason, all && hold.drain.is_some()),
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

    fn moved(&mut self, now: Instant, to: Option<BackendId>, reason: Reason) -> Vec<Effect> {
        let from = self.active;
        let vacated = self.vacated.take().is_some();
        let number = self.journey.take().map(|journey| journey.number);
        let epoch = number.unwrap_or_else(|| self.next_number());
        self.epoch = epoch;
        if let Some(to) = to {
            self.holds_the_role(to);
        }
        let mut effects = vec![Effect::ActiveChanged { from, to, reason, epoch }];
        let order = self.order.take();
        let resumed = self.candidate_pin.take().filter(|_| to == self.last);
        let left = if self.moved_since_start && !vacated { from } else { self.last };
        let origin = if vacated { left.filter(|_| left != to) } else { from };
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
            origin,
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

    // === Gates ===

    /// Somebody may become active now, unless there are gates.
    fn comes(
        &mut self,
        now: Instant,
        to: Option<BackendId>,
        reason: Reason,
        drained: bool,
    ) -> Vec<Effect> {
        self.hold = None;
        if drained {
            self.left_behind.clear();
        } else {
            self.left_behind.extend(self.active);
        }
        let Some(heir) = to else { return self.moved(now, to, reason) };
        if self.gate_forbids(heir) {
            return self.vacates(reason);
        }
        if self.gate.is_some() {
            return self.moved(now, to, reason);
        }
        let mut effects = vec![];
        if self.journey.is_none() {
            let list = self.list_for(reason);
            let todo = self.errands(heir, list);
            if !todo.is_empty() {
                effects = self.vacates(reason);
                let number = self.next_number();
                self.journey = Some(Journey { number, to: heir, reason, list, todo });
            }
        }
        let Some(Journey { number, reason: why, list, ref todo, .. }) = self.journey else {
            return self.moved(now, to, reason);
        };
        let Some(&(gate, backend)) = todo.first() else { return self.moved(now, to, reason) };
        let from = self.last.filter(|last| *last != heir);
        let (epoch, direction) = (number, list);
        let run = GateRun { epoch, gate, direction, backend, from, to: heir, reason: why };
        effects.push(self.begins(run, Purpose::Journey));
        effects
    }

    fn begins(&mut self, run: GateRun, purpose: Purpose) -> Effect {
        let again = self.outcomes.contains_key(&(run.gate, run.backend));
        self.gate = Some(Gated { run, purpose, pace: Pace::Runs });
        Effect::RunGate { run, again }
    }

    fn vacates(&mut self, reason: Reason) -> Vec<Effect> {
        let Some(from) = self.active.take() else { return vec![] };
        self.epoch = self.next_number();
        self.vacated = Some(reason);
        self.watched = None;
        vec![Effect::ActiveChanged { from: Some(from), to: None, reason, epoch: self.epoch }]
    }

    fn next_number(&mut self) -> u64 {
        self.outcomes.clear();
        self.greatest += 1;
        self.greatest
    }

    /// What a move to this one needs.
    fn errands(&self, to: BackendId, list: Direction) -> Vec<(Gate, BackendId)> {
        let mut errands = vec![];
        for x in self.backends.iter().filter(|x| x.id != to) {
            for rule in self.policy.gates.of(list) {
                if rule.gate <= Gate::Demote && x.standing != Standing::Standby {
                    errands.push((rule.gate, x.id));
                }
            }
        }
        let holds = self.seen(to).is_some_and(|x| x.standing == Standing::Holds);
        for rule in self.policy.gates.of(list) {
            if rule.gate >= Gate::Sync && !holds {
                errands.push((rule.gate, to));
            }
        }
        errands
    }

    fn list_for(&self, reason: Reason) -> Direction {
        let begins_drill = reason == Reason::Drill && self.drill.is_some();
        match self.active {
            Some(id) if self.is_good(id) => match reason {
                Reason::Switchover => Direction::Switchover,
                _ if begins_drill => Direction::Switchover,
                _ => Direction::Failback,
            },
            Some(_) | None => Direction::Failover,
        }
    }

    fn gate_ends(&mut self, now: Instant, gated: Gated, result: GateResult) -> Vec<Effect> {
        let run = gated.run;
        if run.epoch == self.greatest {
            self.outcomes.insert((run.gate, run.backend), result);
        }
        let rules = self.policy.gates.of(run.direction).to_vec();
        let rule = rules.iter().find(|rule| rule.gate == run.gate).copied();
        self.told_of(run, result, rule);
        if run.gate <= Gate::Demote {
            self.harm_ends(run, result, &rules);
        } else if run.gate >= Gate::Promote
            && (result != GateResult::Unreachable || gated.purpose == Purpose::Before)
        {
            let verified = rules.iter().all(|r| r.gate != Gate::Verify) || run.gate == Gate::Verify;
            if result == GateResult::Done && verified {
                self.holds_the_role(run.to);
            } else {
                self.set_standing(run.to, Standing::Unsure { repeatable: false });
            }
        }
        if gated.purpose == Purpose::Owed {
            if result == GateResult::Done {
                self.reached = Some(run.backend);
            } else {
                self.no_fence_until = Some(now + PAUSE);
            }
            return vec![];
        }
        let Some(rule) = rule else { return vec![] };
        let fails = match result {
            GateResult::Done => false,
            GateResult::Unreachable => rule.need == Need::Required,
            GateResult::Failed => rule.need != Need::BestEffort,
        };
        let fails = fails && rule.on_failure != OnFailure::Continue;
        let journey = self.journey.as_mut().filter(|journey| journey.number == run.epoch);
        let matters = journey.is_some() || gated.purpose == Purpose::Before;
        if let Some(journey) = journey {
            journey.todo.retain(|errand| *errand != (run.gate, run.backend));
        }
        if !fails || !matters {
            return vec![];
        }
        self.journey = None;
        let mut effects = vec![];
        for x in self.backends.iter_mut().filter(|x| x.id == run.to) {
            x.barred = true;
            effects.push(Effect::Barred { backend: run.to });
        }
        if rule.on_failure == OnFailure::Abort && !std::mem::replace(&mut self.locked, true) {
            effects.push(Effect::Locked);
        }
        effects
    }

    fn harm_ends(&mut self, run: GateRun, result: GateResult, rules: &[GateRule]) {
        let harms: Vec<_> = rules.iter().filter(|rule| rule.gate <= Gate::Demote).collect();
        let mut outcomes = self.outcomes.clone();
        outcomes.insert((run.gate, run.backend), result);
        if result == GateResult::Done {
            let done = |gate| outcomes.get(&(gate, run.backend)) == Some(&GateResult::Done);
            let known = harms.iter().any(|rule| rule.gate == run.gate);
            if known && harms.iter().all(|rule| done(rule.gate)) {
                self.set_standing(run.backend, Standing::Standby);
            }
            return;
        }
        let about = outcomes.iter().filter(|((g, id), _)| *id == run.backend && *g <= Gate::Demote);
        let mut failed = about.filter(|(_, result)| **result == GateResult::Failed);
        let repeats = |gate| rules.iter().any(|rule| rule.gate == gate && rule.idempotent);
        let repeatable = failed.all(|((gate, _), _)| repeats(*gate));
        self.set_standing(run.backend, Standing::Unsure { repeatable });
    }

    fn take_settlement(&mut self, now: Instant, how: Settlement) -> Result<Vec<Effect>, Refusal> {
        if !self.doubts() {
            return Err(Refusal::NoDoubt);
        }
        let mut gated = self.gate.take().expect("what is in doubt");
        let result = match how {
            Settlement::Done => GateResult::Done,
            Settlement::Failed => GateResult::Failed,
            Settlement::Again => {
                gated.pace = Pace::Repeat;
                self.gate = Some(gated);
                self.told.last_mut().expect("it was told").1 = true;
                return Ok(vec![]);
            }
        };
        Ok(self.gate_ends(now, gated, result))
    }

    fn gate_after_restart(&mut self) -> Option<Effect> {
        let gated = self.gate.as_mut()?;
        let run = gated.run;
        match gated.pace {
            Pace::Repeat => {
                gated.pace = Pace::Runs;
                Some(Effect::RunGate { run, again: true })
            }
            Pace::Doubt { said: false } => {
                gated.pace = Pace::Doubt { said: true };
                Some(Effect::GateInDoubt { run })
            }
            Pace::Runs | Pace::Doubt { said: true } => None,
        }
    }

    fn forget_gates_of_the_gone(&mut self) {
        let ids: Vec<_> = self.backends.iter().map(|x| x.id).collect();
        if let Some(journey) = &mut self.journey {
            journey.todo.retain(|(_, id)| ids.contains(id));
        }
        if let Some(may_hold) = &mut self.may_hold {
            may_hold.retain(|id| ids.contains(id));
        }
        let Some(gated) = &mut self.gate else { return };
        let gone = |id: BackendId| !ids.contains(&id);
        if gated.pace == Pace::Runs {
            return;
        }
        let run = gated.run;
        if gone(run.backend) || gone(run.to) {
            self.gate = None;
            self.set_standing(run.backend, Standing::Unsure { repeatable: false });
        } else if run.from.is_some_and(gone) {
            gated.run.from = None;
        }
    }

    /// The fence that is owed to the one that has just answered.
    fn make_up(&mut self, now: Instant, input: &Input) -> Option<Effect> {
        let reached = self.reached.take();
        self.no_fence_until = self.no_fence_until.filter(|at| *at > now);
        let answers = match input {
            Input::Probe { backend, verdict: Verdict::Pass, .. } => Some(*backend),
            _ => None,
        };
        let answers = answers.filter(|_| self.no_fence_until.is_none());
        let (id, to) = (reached.or(answers)?, self.active?);
        let quiet = self.gate.is_none() && self.hold.is_none() && self.patience.is_none();
        let owed = self.seen(id)?.standing == Standing::Unsure { repeatable: true };
        if !quiet || !owed || id == to {
            return None;
        }
        let rules = self.policy.gates.failover.clone();
        for rule in rules.iter().filter(|rule| rule.gate <= Gate::Demote) {
            match self.outcomes.get(&(rule.gate, id)) {
                Some(GateResult::Done) => continue,
                Some(GateResult::Failed) if !rule.idempotent => {
                    self.set_standing(id, Standing::Unsure { repeatable: false });
                    return None;
                }
                Some(GateResult::Failed | GateResult::Unreachable) | None => {}
            }
            let (epoch, direction, reason) = (self.epoch, Direction::Failover, Reason::Failover);
            let (gate, from) = (rule.gate, Some(id));
            let run = GateRun { epoch, gate, direction, backend: id, from, to, reason };
            return Some(self.begins(run, Purpose::Owed));
        }
        None
    }

    fn is_patient(&mut self, now: Instant, so_far: Option<Patience>, reason: Reason) -> bool {
        let since = so_far.map_or(now, |p| p.since);
        let limit = self.job.filter(|_| self.gate.is_none());
        let over = limit.is_none_or(|limit| now - since >= limit);
        if over && self.gate.is_none() {
            return false;
        }
        self.patience = Some(Patience { since, reason, limit });
        true
    }

    fn holds_the_role(&mut self, id: BackendId) {
        let all_forgiven = self.policy.gates.is_empty();
        for x in &mut self.backends {
            if x.id == id {
                x.standing = Standing::Holds;
            } else if all_forgiven || x.standing == Standing::Holds {
                x.standing = Standing::Standby;
            }
        }
    }

    fn set_standing(&mut self, id: BackendId, standing: Standing) {
        self.backends.iter_mut().filter(|x| x.id == id).for_each(|x| x.standing = standing);
    }

    fn told_of(&mut self, run: GateRun, result: GateResult, rule: Option<GateRule>) {
        let repeats = result == GateResult::Unreachable || rule.is_some_and(|r| r.idempotent);
        let same = |told: &GateRun| is_same_run(told, &run);
        if let Some((_, may)) = self.told.iter_mut().rev().find(|(told, _)| same(told)) {
            *may = repeats && result != GateResult::Done;
        }
        if let Some(may_hold) = &mut self.may_hold
            && run.gate <= Gate::Demote
            && result == GateResult::Done
        {
            may_hold.remove(&run.backend);
        }
        if let Some(may_hold) = &mut self.may_hold
            && run.gate == Gate::Promote
            && result == GateResult::Unreachable
            && std::mem::take(&mut self.first_promotion)
        {
            may_hold.remove(&run.to);
        }
    }

    /// What gates are for: nothing twice under one number, nobody promoted or served beside another.
    fn judge_gates(&mut self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::RunGate { run, again } => {
                    let before = self.told.iter().rev().find(|(told, _)| is_same_run(told, &run));
                    assert!(before.is_none_or(|(_, may)| *may), "{run:?} ran already");
                    assert_eq!(before.is_some(), again, "it is said whether {run:?} ran before");
                    self.told.push((run, false));
                    let Some(may_hold) = &mut self.may_hold else { continue };
                    if run.gate >= Gate::Sync {
                        let others = may_hold.iter().any(|id| *id != run.to);
                        assert!(!others, "{:?} is promoted beside {may_hold:?}", run.to);
                    }
                    if run.gate == Gate::Promote {
                        self.first_promotion = may_hold.insert(run.to);
                    }
                }
                Effect::ActiveChanged { to: Some(to), .. } => {
                    let Some(may_hold) = &self.may_hold else { continue };
                    assert!(may_hold.iter().eq([&to]), "{to:?} serves beside {may_hold:?}");
                }
                _ => {}
            }
        }
    }

    fn doubts(&self) -> bool {
        self.gate.is_some_and(|gated| matches!(gated.pace, Pace::Doubt { .. }))
    }

    /// Whether this one must not become active while the present gate lasts.
    fn gate_forbids(&self, to: BackendId) -> bool {
        self.gate.is_some_and(|g| !(g.purpose == Purpose::Owed && g.run.to == to))
    }

    fn is_aged(&self, id: BackendId) -> bool {
        self.seen(id).is_some_and(|x| x.aged) && self.last != Some(id)
    }

    fn is_shut_out(&self, id: BackendId) -> bool {
        self.is_aged(id) || self.seen(id).is_some_and(|x| x.barred)
    }

    // === What must be true and must be said ===

    fn judge_usable(&self, now: Instant) {
        let Some(id) = self.active else { return };
        if self.hold.is_some() || self.patience.is_some() {
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
        let dual = status.dual_active.map(|dual| (dual.since, dual.accepted));
        assert_eq!(dual, self.two_since, "two that call themselves active");
        assert_eq!(status.hold_down, self.hold_down(), "hold-down, {} flaps", self.flaps);
        assert_eq!(status.flaps, self.flaps, "flaps");
        assert_eq!(status.recent_switches, self.counted.len(), "switches that count");
        assert_eq!(status.backends.len(), self.backends.len());
        for (said, seen) in status.backends.iter().zip(&self.backends) {
            assert_eq!(said.id, seen.id, "in priority order");
            assert_eq!((said.health, said.admin), (seen.health, seen.admin), "{:?}", seen.id);
            assert_eq!(said.streak as usize, seen.against(), "streak of {:?}", seen.id);
            assert_eq!(said.claim, seen.trusted, "claim of {:?}", seen.id);
            let told = seen.role_told().max(seen.wish_told());
            assert_eq!(said.claim_streak as usize, told, "changing claim of {:?}", seen.id);
            let asked = self.wonders() && self.actives.contains(&seen.id);
            let asked = asked && self.unheard.contains(&seen.id);
            assert_eq!(said.needs_word, asked, "whether {:?} is still active", seen.id);
            let known = seen.health != Health::Unknown && !asked;
            let settled = known && seen.against() == 0 && told == 0;
            assert_eq!(said.in_doubt(), !settled, "doubt about {:?}", seen.id);
            assert_eq!(said.passes as usize, seen.passes(), "passes of {:?}", seen.id);
            assert_eq!(said.eligible_since, seen.good_since, "clock of {:?}", seen.id);
            assert_eq!(said.standing, seen.standing, "standing of {:?}", seen.id);
            assert_eq!((said.barred, said.stale), (seen.barred, seen.aged), "{:?}", seen.id);
        }
        let gate = status.gate.map(|gate| (gate.run, gate.in_doubt));
        assert_eq!(gate, self.gate.map(|g| (g.run, self.doubts())), "the gate under way");
        let waits = self.patience.is_some_and(|p| p.limit.is_some());
        assert_eq!(status.waits_for_job, waits, "whether a job is waited for");
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
        expected.extend(self.gate.map(|_| Blocker::Gate));
        let job = self.patience.and_then(|p| p.limit.map(|limit| p.since + limit));
        expected.extend(job.map(|until| Blocker::Job { until }));
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
                | Blocker::Job { until }
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
        if let Some(Patience { since, limit: Some(limit), .. }) = self.patience {
            by(since + limit, "the end of the patience with a job");
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
        let waits = self.must_wait(now) && self.best().is_some() && !self.stands_still();
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
        self.epoch
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
        let wonders = self.wonders() && now - self.started < self.policy.startup_grace;
        !self.moved_since_start && (wonders || better.any(|x| self.awaited(x.id, now)))
    }

    fn preferred(&self) -> Option<BackendId> {
        if self.stands_still() { self.last } else { self.best() }
    }

    fn awaited(&self, id: BackendId, now: Instant) -> bool {
        let unknown = |x: &Seen| x.health == Health::Unknown && x.admin == AdminState::Ready;
        now - self.started < self.policy.startup_grace
            && self.drill.is_none_or(|(drilled, _)| drilled != id)
            && !self.is_shut_out(id)
            && self.seen(id).is_some_and(unknown)
    }

    fn is_kept(&self, id: BackendId, now: Instant) -> bool {
        let waits =
            !self.moved_since_start && self.backends.iter().any(|x| self.awaited(x.id, now));
        self.policy.all_down == AllDown::KeepLast
            && self.last == Some(id)
            && !waits
            && !self.is_shut_out(id)
            && self
                .seen(id)
                .is_some_and(|x| x.admin == AdminState::Ready && x.health != Health::Unknown)
            && self.seen(id).is_some_and(|x| x.consents(self.policy.required_role))
    }

    fn best(&self) -> Option<BackendId> {
        self.backends.iter().find(|x| self.is_free(x.id)).map(|x| x.id)
    }

    fn is_good(&self, id: BackendId) -> bool {
        self.seen(id).is_some_and(|x| x.good(self.policy.required_role))
    }

    /// Whether two may be active.
    fn wonders(&self) -> bool {
        self.two_since.is_none() && self.actives.len() > 1
    }

    /// Whether nothing may move by itself.
    fn stands_still(&self) -> bool {
        self.locked || self.two_since.is_some_and(|(_, accepted)| !accepted)
    }

    /// Good, and nobody practises its failure.
    fn is_free(&self, id: BackendId) -> bool {
        let drilled = self.drill.is_some_and(|(drilled, _)| drilled == id);
        self.is_good(id) && !drilled && !self.is_shut_out(id)
    }

    fn seen(&self, id: BackendId) -> Option<&Seen> {
        self.backends.iter().find(|x| x.id == id)
    }
}

fn is_same_run(one: &GateRun, two: &GateRun) -> bool {
    let id = |run: &GateRun| (run.epoch, run.gate, run.backend);
    id(one) == id(two)
}

/// Whether no list lets anybody become active beside one that may hold the role still.
fn is_strict(policy: &Policy) -> bool {
    let lists = [Direction::Failover, Direction::Failback, Direction::Switchover];
    lists.iter().all(|list| {
        let rules = policy.gates.of(*list);
        let strict = |r: &GateRule| r.need == Need::Required && r.on_failure != OnFailure::Continue;
        let harms = rules.iter().filter(|rule| rule.gate <= Gate::Demote).count();
        let promotes = rules.iter().any(|rule| rule.gate == Gate::Promote);
        harms == 1 && promotes && rules.iter().all(strict)
    })
}
