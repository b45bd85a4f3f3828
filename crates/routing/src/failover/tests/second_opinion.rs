//! Judges every step from outside: what was allowed, what was due, what the status must say.
//!
//! Keeps its own books from inputs and effects, and shares no code with the rules.

use std::time::{Duration, Instant};

use super::super::{
    AdminState, AllDown, BackendId, Command, Effect, Failback, Failover, Health, Input, Policy,
    Reason, Refusal, Verdict,
};

pub(super) struct SecondOpinion {
    started: Instant,
    policy: Policy,
    backends: Vec<Seen>,
    active: Option<BackendId>,
    last: Option<BackendId>,
    moves: u64,
    pinned: bool,
    locked: bool,
    flaps: u32,
    on_probation_since: Option<Instant>,
}

struct Seen {
    id: BackendId,
    health: Health,
    /// The conclusive verdicts since the health last changed.
    heard: Vec<Verdict>,
    admin: AdminState,
    good_since: Option<Instant>,
}

struct Move {
    from: Option<BackendId>,
    to: Option<BackendId>,
    reason: Reason,
}

impl Seen {
    fn new(id: BackendId) -> Self {
        Self {
            id,
            health: Health::Unknown,
            heard: vec![],
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
            moves: 0,
            pinned: false,
            locked: false,
            flaps: 0,
            on_probation_since: None,
        }
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
        self.judge_flap_row(now);
        let moved = self.judge_move(now, input, effects);
        if let Some(moved) = &moved {
            expected.push(Effect::ActiveChanged {
                from: moved.from,
                to: moved.to,
                reason: moved.reason,
                epoch: self.moves + 1,
            });
            if self.book(now, moved) {
                expected.push(Effect::Locked);
            }
        }
        assert_eq!(effects, expected, "the effects say what happened, in order");
        match input {
            Input::Command(Command::Switchover(id)) if self.active == Some(*id) => {
                self.pinned = self.is_good(*id);
            }
            Input::Command(Command::Failback) if !rejected(effects) => self.pinned = false,
            Input::Command(_) | Input::Probe { .. } | Input::Reconfigure { .. } | Input::Tick => {}
        }
        self.pinned = self.pinned && self.active.is_some_and(|id| self.is_good(id));
        self.judge_omission(now);
        self.judge_status(now, judged);
    }

    /// Books the input; returns the effects that must come before any move.
    fn take_in(&mut self, now: Instant, input: &Input) -> Vec<Effect> {
        let mut effects = vec![];
        match input {
            Input::Probe { backend, verdict } => {
                let (rise, fall) = (self.policy.rise as usize, self.policy.fall as usize);
                if let Some(seen) = self.backends.iter_mut().find(|x| x.id == *backend)
                    && *verdict != Verdict::Inconclusive
                {
                    seen.heard.push(*verdict);
                    let turned = match seen.health {
                        Health::Unknown => true,
                        Health::Up => seen.against() >= fall,
                        Health::Down => seen.against() >= rise,
                    };
                    if turned {
                        let up = *verdict == Verdict::Pass;
                        seen.health = if up { Health::Up } else { Health::Down };
                        seen.heard.clear();
                        let (backend, health) = (*backend, seen.health);
                        effects.push(Effect::HealthChanged { backend, health });
                    }
                }
            }
            Input::Command(command) => effects.extend(self.take_in_command(*command)),
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
            Input::Tick => {}
        }
        for seen in &mut self.backends {
            seen.good_since = if seen.good() { seen.good_since.or(Some(now)) } else { None };
        }
        effects
    }

    fn take_in_command(&mut self, command: Command) -> Option<Effect> {
        let reject = |why| Some(Effect::Rejected { why });
        match command {
            Command::Switchover(id) => match self.seen(id) {
                None => reject(Refusal::UnknownBackend),
                Some(seen) if !seen.good() => reject(Refusal::NotEligible),
                Some(_) => None,
            },
            Command::Failback if self.backends.iter().any(Seen::good) => None,
            Command::Failback => reject(Refusal::NotEligible),
            Command::Pin => match self.active {
                None => reject(Refusal::NothingActive),
                Some(id) if !self.is_good(id) => reject(Refusal::NotEligible),
                Some(_) => {
                    self.pinned = true;
                    None
                }
            },
            Command::Unpin => {
                self.pinned = false;
                None
            }
            Command::Lock => {
                let news = !self.locked;
                self.locked = true;
                news.then_some(Effect::Locked)
            }
            Command::Unlock => {
                let news = self.locked;
                self.locked = false;
                self.flaps = if news { 0 } else { self.flaps };
                news.then_some(Effect::Unlocked)
            }
            Command::SetAdmin(id, admin) => match self.backends.iter_mut().find(|x| x.id == id) {
                None => reject(Refusal::UnknownBackend),
                Some(seen) if seen.admin == admin => None,
                Some(seen) => {
                    seen.admin = admin;
                    Some(Effect::AdminChanged { backend: id, admin })
                }
            },
        }
    }

    fn judge_flap_row(&mut self, now: Instant) {
        let window = self.policy.damping.window;
        if self.on_probation_since.is_some_and(|at| now - at >= window) {
            self.on_probation_since = None;
            self.flaps = 0;
        }
        if window.is_zero() {
            self.flaps = 0;
        }
    }

    /// Whether the move of this step, if any, was allowed.
    fn judge_move(&self, now: Instant, input: &Input, effects: &[Effect]) -> Option<Move> {
        let mut moves = effects.iter().filter_map(|e| match *e {
            Effect::ActiveChanged { from, to, reason, .. } => Some(Move { from, to, reason }),
            Effect::HealthChanged { .. }
            | Effect::AdminChanged { .. }
            | Effect::Locked
            | Effect::Unlocked
            | Effect::Rejected { .. } => None,
        });
        let moved = moves.next()?;
        assert!(moves.next().is_none(), "one move a step");
        assert_eq!(moved.from, self.active, "a move starts where the traffic is");
        assert_ne!(moved.from, moved.to, "a move goes somewhere else");

        if let Input::Command(Command::Switchover(id)) = input {
            assert_eq!((moved.to, moved.reason), (Some(*id), Reason::Switchover));
            assert!(self.is_good(*id), "no order sends traffic to a backend that is not eligible");
            return Some(moved);
        }
        if let Input::Command(Command::Failback) = input
            && !rejected(effects)
        {
            assert_eq!((moved.to, moved.reason), (self.best(), Reason::Failback));
            return Some(moved);
        }
        let reloaded = matches!(input, Input::Reconfigure { .. });
        let expected = match moved.from {
            _ if self.moves == 0 => Reason::Startup,
            _ if reloaded => Reason::Reload,
            None => Reason::Recovery,
            Some(from) if self.is_good(from) => Reason::Failback,
            Some(_) => Reason::Failover,
        };
        assert_eq!(moved.reason, expected, "the reason is the true one");

        match moved.from {
            Some(from) if self.is_good(from) => {
                assert!(!self.pinned, "a pinned service stays");
                assert!(!self.locked, "a locked service stays");
                assert_eq!(moved.to, self.ripe(now), "to the best that has been good long enough");
            }
            Some(_) | None if self.locked => {
                let to_last = moved.to.is_none() || moved.to == self.last;
                assert!(to_last, "a locked service comes back to the last active only");
                self.judge_usable(moved.to);
            }
            Some(_) | None => {
                assert!(!self.must_wait(now), "nobody serves before the better ones are known");
                let keeps = self.best().is_none() && moved.to == self.last;
                assert!(moved.to == self.best() || keeps, "to the first that is eligible");
                self.judge_usable(moved.to);
            }
        }
        Some(moved)
    }

    fn judge_usable(&self, to: Option<BackendId>) {
        let Some(seen) = to.and_then(|id| self.seen(id)) else {
            assert_eq!(to, None, "the active is one of the backends");
            return;
        };
        let kept = self.policy.all_down == AllDown::KeepLast
            && self.last == to
            && seen.admin == AdminState::Ready;
        assert!(seen.good() || kept, "the active is eligible, or kept");
    }

    /// Books the move; true when the service must have locked itself.
    fn book(&mut self, now: Instant, moved: &Move) -> bool {
        let failed = moved.from.and_then(|id| self.seen(id)).map(|x| x.health);
        let flap = self.on_probation_since.is_some() && failed == Some(Health::Down);
        self.flaps += u32::from(flap);
        self.on_probation_since = (moved.reason == Reason::Failback).then_some(now);
        self.pinned = moved.reason == Reason::Switchover;
        self.active = moved.to;
        self.last = moved.to.or(self.last);
        self.moves += 1;
        let limit = self.policy.damping.lock_after;
        let locks = flap && limit > 0 && self.flaps >= limit && moved.to.is_some() && !self.locked;
        self.locked |= locks;
        locks
    }

    /// Whether something should have happened that did not.
    fn judge_omission(&self, now: Instant) {
        match self.active {
            Some(active) if self.is_good(active) => {
                let due = self.ripe(now).filter(|_| !self.pinned && !self.locked);
                assert_eq!(due, None, "a failback is overdue");
            }
            active => {
                self.judge_usable(active);
                let best = if self.locked {
                    self.last.filter(|&id| self.is_good(id))
                } else {
                    self.best().filter(|_| !self.must_wait(now))
                };
                assert_eq!(best, None, "somebody eligible should serve");
                let last = self.last.and_then(|id| self.seen(id));
                let keep = self.policy.all_down == AllDown::KeepLast
                    && last.is_some_and(|x| x.admin == AdminState::Ready);
                assert!(!keep || active == self.last, "the last one should be kept");
            }
        }
    }

    fn judge_status(&self, now: Instant, judged: &Failover) {
        let status = judged.status();
        assert_eq!(status.active, self.active);
        assert_eq!(status.epoch, self.moves);
        assert_eq!(status.pinned, self.pinned, "pinned");
        assert_eq!(status.locked, self.locked, "locked");
        assert_eq!(status.hold_down, self.hold_down(), "hold-down, {} flaps", self.flaps);
        assert_eq!(status.backends.len(), self.backends.len());
        for (said, seen) in status.backends.iter().zip(&self.backends) {
            assert_eq!(said.id, seen.id, "in priority order");
            assert_eq!((said.health, said.admin), (seen.health, seen.admin), "{:?}", seen.id);
            assert_eq!(said.streak as usize, seen.against(), "streak of {:?}", seen.id);
            assert_eq!(said.eligible_since, seen.good_since, "clock of {:?}", seen.id);
        }
        let due = self.next_failback();
        assert_eq!(status.failback_due.map(|(_, at)| at), due, "the next failback");
        let wake = judged.wake_at();
        assert!(wake.is_none_or(|at| at > now), "the next tick lies in the future");
        assert!(due.is_none_or(|due| wake.is_some_and(|at| at <= due)), "woken for the failback");
        if self.must_wait(now) && self.best().is_some() && !self.locked {
            let end = self.started + self.policy.startup_grace;
            assert!(wake.is_some_and(|at| at <= end), "woken when the grace ends");
        }
    }

    fn hold_down(&self) -> Option<Duration> {
        let Failback::Auto { hold_down } = self.policy.failback else { return None };
        let mut damped = hold_down;
        for _ in 0..self.flaps {
            damped = (damped * 2).min(self.policy.damping.cap);
        }
        Some(damped.max(hold_down))
    }

    /// Whom a failback may go to now.
    fn ripe(&self, now: Instant) -> Option<BackendId> {
        let hold_down = self.hold_down()?;
        let better = self.backends.iter().take_while(|x| Some(x.id) != self.active);
        let mut ripe = better.filter(|x| x.good_since.is_some_and(|at| now - at >= hold_down));
        ripe.next().map(|x| x.id)
    }

    fn next_failback(&self) -> Option<Instant> {
        let held = self.pinned || self.locked || !self.active.is_some_and(|id| self.is_good(id));
        let hold_down = self.hold_down().filter(|_| !held)?;
        let better = self.backends.iter().take_while(|x| Some(x.id) != self.active);
        better.filter_map(|x| x.good_since).min().map(|at| at + hold_down)
    }

    /// Whether the start-up grace forbids to use anybody yet.
    fn must_wait(&self, now: Instant) -> bool {
        self.moves == 0
            && now - self.started < self.policy.startup_grace
            && self
                .backends
                .iter()
                .take_while(|x| Some(x.id) != self.best())
                .any(|x| x.health == Health::Unknown && x.admin == AdminState::Ready)
    }

    fn best(&self) -> Option<BackendId> {
        self.backends.iter().find(|x| x.good()).map(|x| x.id)
    }

    fn is_good(&self, id: BackendId) -> bool {
        self.seen(id).is_some_and(Seen::good)
    }

    fn seen(&self, id: BackendId) -> Option<&Seen> {
        self.backends.iter().find(|x| x.id == id)
    }
}

fn rejected(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Rejected { .. }))
}
