//! A move carried out: hold, activate or release, and the record of it.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proxy::{Drain, Held, Leave};
use routing::failover::{Abort, AdminState, BackendId, BackendStatus, Health, Input, Reason};

use super::status::{not_eligible, operator};
use super::verified::Heard;
use super::{Driver, acknowledged};
use crate::command::Operator;
use crate::events::Kind;
use crate::evidence::Evidence;
use crate::forwarders::{Activation, Silent};
use crate::incident::{Incident, Outcome, Step};
use crate::status::reason_word;
use crate::streams;

/// How long a move is looked after for its consequences: the first good answer, and what is still
/// sent again.
pub(super) const LOOKED_AFTER: Duration = Duration::from_secs(30);

/// Our workers, and whoever still forwards beside them, are told to hold.
pub(super) struct Holding {
    switch: u64,
    answer: Pin<Box<dyn Future<Output = Result<Held, Silent>> + Send>>,
}

/// The answer to a hold.
pub(super) struct Answer {
    switch: u64,
    held: Result<Held, Silent>,
}

/// Waits for the answer to a hold, for ever when there is none under way.
pub(super) async fn answer(holding: &mut Option<Holding>) -> Answer {
    let (switch, held) = match holding {
        Some(Holding { switch, answer }) => (*switch, answer.await),
        None => pending().await,
    };
    *holding = None;
    Answer { switch, held }
}

/// The latest move and its record.
pub(super) struct Move {
    pub(super) incident: Incident,
    /// When to look at it again, at the latest.
    pub(super) look_at: Instant,
    pub(super) heard: Heard,
}

impl Driver {
    /// Opens the record of a move that was decided at `decided`.
    pub(super) fn open_record(
        &mut self,
        from: Option<BackendId>,
        to: Option<BackendId>,
        reason: Reason,
        decided: Instant,
    ) {
        if reason == Reason::Return {
            self.returned();
        }
        self.close_record();
        // Nobody to anybody at the start is no incident, but it is a move.
        let is_left = matches!(reason, Reason::Failover | Reason::Return);
        let why_not = from.and_then(|from| self.taken_out(from)).filter(|_| is_left);
        let left = from.and_then(|from| self.backends.get(&from));
        let has_failed = reason == Reason::Failover && why_not.is_none();
        let evidence = left.map(|left| &left.evidence).filter(|_| has_failed);
        let sign = evidence.and_then(|evidence| evidence.first_sign);
        let before = evidence.and_then(|evidence| evidence.before);
        let before = before.unwrap_or_else(|| self.board.counts_before(&self.name));
        let id = self.board.next_incident();
        let wall = SystemTime::now();
        let mut incident =
            Incident::new(id, self.name.clone(), reason, sign, decided, wall, before);
        let trail = evidence.map(|evidence| evidence.trail(decided)).unwrap_or_default();
        incident.evidence = trail.into_iter().chain(why_not).collect();
        incident.signs = evidence.into_iter().flat_map(Evidence::signs).cloned().collect();
        incident.from = from.map(|id| self.name(id));
        incident.to = to.map(|id| self.name(id));
        incident.by = match reason {
            Reason::Switchover | Reason::Failback => self.asked.as_ref().map(|a| a.by.clone()),
            Reason::Drill => self.drilled_by.clone(),
            // It may be an operator who has taken the old active out.
            Reason::Failover | Reason::Return => from.and_then(|from| self.taken_out_by(from)),
            Reason::Startup | Reason::Recovery | Reason::Reload => None,
        };
        let (look_at, heard) = (decided + LOOKED_AFTER, Heard::default());
        self.latest = Some(Move { incident, look_at, heard });
    }

    /// Why a backend that works may not be active, in words; `None`: it does not work, or may.
    fn taken_out(&self, backend: BackendId) -> Option<String> {
        let status = self.failover.status();
        let backend = status.backends.iter().find(|known| known.id == backend)?;
        let BackendStatus { health, admin, claim, eligible_since, .. } = *backend;
        let required = self.failover.policy().required_role;
        let works = health == Health::Up && eligible_since.is_none();
        works.then(|| not_eligible(health, admin, claim, required))
    }

    /// Who has drained a backend, or has it in maintenance.
    fn taken_out_by(&self, backend: BackendId) -> Option<Operator> {
        let status = self.failover.status();
        let backend = status.backends.iter().find(|known| known.id == backend)?;
        let mark = self.kept.admin.get(&self.name(backend.id))?;
        (backend.admin != AdminState::Ready).then(|| operator(mark))
    }

    /// Tells the workers to hold for a move that was decided at `decided`. They are not waited for here.
    pub(super) fn begin_hold(&mut self, switch: u64, drain: Option<Duration>, decided: Instant) {
        let status = self.failover.status();
        // A second hold for the same move: a reload has made moves exclusive.
        let is_open = self.latest.as_ref().is_some_and(|latest| latest.incident.is_open());
        if let Some(switch) = status.switch.filter(|_| !is_open) {
            self.open_record(switch.from, Some(switch.to), switch.reason, decided);
        }
        let leave = status.active.map_or(Leave::Finish, |id| self.leave(id));
        let drain = drain.map(|within| Drain { within, leave });
        let (forwarders, id, name) = (Arc::clone(&self.forwarders), self.id, self.name.clone());
        let answer = Box::pin(async move { forwarders.hold(id, &name, drain).await });
        self.holding = Some(Holding { switch, answer });
    }

    /// The workers have answered.
    pub(super) async fn held(&mut self, Answer { switch, held }: Answer) {
        self.board.set_fault(held.as_ref().err().map(ToString::to_string));
        if let Some(latest) = &mut self.latest {
            latest.incident.mark(Step::Held, Instant::now());
        }
        if let Ok(Held { cut }) = held
            && cut > 0
        {
            tracing::warn!(service = %self.name, cut, "took too long for a strict move, and were cut");
        }
        self.step(Input::Held { switch, all: held.is_ok() }).await;
    }

    /// Sends the traffic where it was decided.
    pub(super) async fn move_traffic(
        &mut self,
        from: Option<BackendId>,
        to: Option<BackendId>,
        reason: Reason,
        epoch: u64,
        decided: Instant,
        to_gate: bool,
    ) {
        // Whoever is to hold may do so a little longer; what counts is the activation.
        self.holding = None;
        if !self.latest.as_ref().is_some_and(|latest| latest.incident.is_open()) {
            self.open_record(from, to, reason, decided);
        }
        // To nobody only until the gates have ended.
        let is_on_its_way = to.is_none() && to_gate;
        let closed = self.board.metrics().streams_closed(&self.name);
        let leave = from.map_or(Leave::Finish, |from| self.leave(from));
        let status = self.failover.status();
        let left = status.backends.iter().find(|backend| Some(backend.id) == from);
        let planned = streams::is_planned(reason, left);
        let policy = streams::policy(self.settings.streams, planned);
        let name = to.map(|to| self.name(to));
        let moved_to = name.clone();
        let activation = Activation { epoch, active: to, name, leave, planned, streams: policy };
        let activated = self.forwarders.activate(self.id, &self.name, activation);
        self.since = Instant::now();
        self.has_moved |= to.is_some();
        // A lost worker makes us not ready; the others have moved.
        let count = acknowledged(activated, &self.board).await.unwrap_or(0);
        let now = Instant::now();
        if let Some(from) = from {
            self.note_served(from);
        }
        self.settlements.begin(epoch, count, closed, policy, self.since);
        self.tag_is_over(to);
        if is_on_its_way {
            if let Some(latest) = &mut self.latest {
                latest.incident.mark(Step::Left, now);
            }
        } else if let Some(Move { incident, look_at, .. }) = &mut self.latest {
            incident.epoch = Some(epoch);
            incident.mark(Step::Activated, now);
            let was_left = incident.when(Step::Left).is_some();
            if was_left && incident.from.is_some() && incident.from == moved_to {
                // Its gates have led nowhere: the record says where it should have gone.
                incident.outcome = Outcome::Returned;
                incident.mark(Step::Returned, now);
            } else {
                incident.reason = reason;
                incident.to = moved_to;
                incident.outcome = Outcome::Moved;
            }
            *look_at = now + LOOKED_AFTER;
        }
        if self.failover.status().verifying.is_some()
            && let Some(watched) = to.and_then(|to| self.backends.get(&to))
        {
            // An operator waits for the first good answer, and there may be no traffic to get one.
            watched.prober.suspect();
        }
        // Whoever hears of it finds its record.
        self.store_record();
        self.record_move(from, to, reason, epoch, count);
    }

    /// What becomes of requests at a backend that is left.
    fn leave(&self, backend: BackendId) -> Leave {
        self.backends.get(&backend).map_or(Leave::Finish, |left| left.evidence.leave())
    }

    /// Lets the workers go on as before.
    pub(super) async fn release(&mut self, why: Abort) {
        self.holding = None;
        let _ = acknowledged(self.forwarders.release(self.id, &self.name), &self.board).await;
        if let Some(Move { incident, .. }) = &mut self.latest {
            incident.mark(Step::CalledOff, Instant::now());
            incident.outcome = Outcome::CalledOff;
            let (to, why) = (incident.to.clone(), abort_words(why).into());
            let called_off = Kind::CalledOff { to, why, incident: Some(incident.id) };
            // Whoever hears of it finds its record.
            self.close_record();
            self.board.record(&self.name, called_off);
        }
    }

    /// Closes the record when the consequences of the move are over.
    pub(super) fn look_at_latest_move(&mut self) {
        let status = self.failover.status();
        // While it is watched it may be taken back, and its record must say so.
        let is_under_way = status.switch.is_some() || status.gate.is_some();
        let goes_on = is_under_way || status.verifying.is_some();
        let over = |latest: &Move| {
            !goes_on && Instant::now() >= latest.look_at && !self.may_still_fail(&latest.incident)
        };
        if self.latest.as_ref().is_some_and(over) {
            self.close_record();
        } else if let Some(latest) = &mut self.latest {
            // Under way for long: a drain, or a watch.
            latest.look_at = latest.look_at.max(Instant::now() + Duration::from_millis(100));
        }
    }

    /// Whether requests at the old active have not ended: what becomes of them is part of the record,
    /// within its time.
    fn may_still_fail(&self, incident: &Incident) -> bool {
        let Some(decided) = incident.when(Step::Decided) else { return false };
        let at = self.board.metrics().at_backends(&self.name);
        let mut left = at.iter().filter(|(name, _)| Some(name) == incident.from.as_ref());
        decided.elapsed() < LOOKED_AFTER && left.any(|(_, count)| *count > 0)
    }

    /// The last version of a record.
    fn close_record(&mut self) {
        if self.latest.is_some() {
            self.store_record();
            self.latest = None;
        }
    }

    /// Keeps the record as it is now.
    pub(super) fn store_record(&mut self) {
        let counts = self.board.counts(&self.name);
        if let Some(latest) = &mut self.latest {
            latest.incident.count(counts);
            self.board.keep_incident(latest.incident.id, latest.incident.to_json());
        }
    }

    /// The record says that the move was taken back.
    fn returned(&mut self) {
        if let Some(latest) = self.latest.as_mut().filter(|latest| latest.incident.epoch.is_some())
        {
            latest.incident.mark(Step::Returned, Instant::now());
            latest.incident.outcome = Outcome::Returned;
        }
    }

    /// Writes down what became of streams whose time is over.
    pub(super) fn settle(&mut self) {
        if self.settlements.wake_at().is_some() {
            let closed = self.board.metrics().streams_closed(&self.name);
            for settled in self.settlements.look(Instant::now(), closed) {
                self.board.record(&self.name, settled);
            }
        }
    }

    fn record_move(
        &self,
        from: Option<BackendId>,
        to: Option<BackendId>,
        reason: Reason,
        epoch: u64,
        streams: usize,
    ) {
        let incident = self.latest.as_ref().map(|latest| &latest.incident);
        let took = |first, last| incident.and_then(|incident| incident.took(first, last));
        let total = took(Step::FirstSign, Step::Activated).filter(|_| to.is_some());
        if let Some(total) = total {
            let phase = |phase, took: Option<Duration>| {
                self.board.metrics().failover(&self.name, phase, took.unwrap_or_default());
            };
            phase("detect", took(Step::FirstSign, Step::Decided));
            phase("switch", took(Step::Decided, Step::Activated));
            phase("total", Some(total));
        }
        let left = from.and_then(|from| self.backends.get(&from));
        let evidence = left.map_or_else(String::new, |left| left.evidence.words());
        let why_not = from.and_then(|from| self.taken_out(from));
        let why_not = why_not.filter(|_| matches!(reason, Reason::Failover | Reason::Return));
        let kind = Kind::ActiveChanged {
            from: from.map(|from| self.name(from)),
            to: to.map(|to| self.name(to)),
            reason,
            epoch,
            evidence: why_not.unwrap_or(evidence).into(),
            took: total,
            streams,
            incident: incident.map(|incident| incident.id),
        };
        self.board.record(&self.name, kind);
        tracing::debug!(service = %self.name, reason = reason_word(reason), "moved");
    }
}

/// Why a move was called off, in words.
pub(super) fn abort_words(why: Abort) -> &'static str {
    match why {
        Abort::HeirLost => "the backend that should have got the traffic is not eligible any more",
        Abort::Overruled => "the rules say stay: the old active is well, or an operator said so",
        Abort::Unacknowledged => "not every worker acknowledged it in time",
    }
}
