//! The task of one prober: starts rounds when they are due, and puts their ends in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::Probe;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::order::Order;
use super::{Subject, Surroundings, Wishes, unacquainted};
use crate::answer::Late;
use crate::cadence::Cadence;
use crate::lateness::Lateness;
use crate::memory::Memory;
use crate::probe::{Context, Ways};
use crate::report::Report;
use crate::round::{self, Part, Round};

pub(super) struct Driver {
    subject: Arc<Subject>,
    ways: Arc<Ways>,
    surroundings: Surroundings,
    wishes: Arc<Wishes>,
    cadence: Cadence,
    lateness: Lateness,
    order: Order,
    /// Of each probe.
    memories: Vec<Memory>,
    running: JoinSet<Begun>,
    /// When the next round is due, and since when that is so.
    foreseen: Option<(Instant, Instant)>,
    /// Reports the channel had no room for yet; while there are any, no round begins.
    unsent: VecDeque<Report>,
    reports: mpsc::Sender<Report>,
}

/// A round, and how it began.
struct Begun {
    late: Duration,
    round: Round,
}

impl Driver {
    pub(super) fn new(
        subject: Subject,
        delay: Duration,
        reports: mpsc::Sender<Report>,
        wishes: Arc<Wishes>,
        surroundings: Surroundings,
    ) -> Self {
        let now = Instant::now();
        let health = &subject.health;
        Self {
            ways: Arc::new(Ways::new(unacquainted(&subject.destination), health)),
            cadence: Cadence::new(health, now + delay),
            lateness: Lateness::new(round::shortest_timeout(health), now),
            memories: vec![Memory::default(); health.probes.len()],
            subject: Arc::new(subject),
            surroundings,
            wishes,
            order: Order::default(),
            running: JoinSet::new(),
            foreseen: None,
            unsent: VecDeque::new(),
            reports,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.hear_wishes();
            let now = Instant::now();
            self.lateness.look(now);
            let due = self.foresee(now);
            if due.is_some_and(|due| due <= now) {
                self.begin();
                continue;
            }
            let look = (!self.running.is_empty()).then(|| now + self.lateness.look_again());
            let wake = [due, look].into_iter().flatten().min();

            let mut ended = None;
            tokio::select! {
                () = self.wishes.changed.notified() => {}
                () = sleep_until(wake) => {}
                Some(round) = self.running.join_next() => ended = Some(round),
                permit = self.reports.reserve(), if !self.unsent.is_empty() => match permit {
                    Ok(permit) => {
                        let wish = self.wishes.lock();
                        if !wish.stopped && let Some(report) = self.unsent.pop_front() {
                            permit.send(report);
                        }
                    }
                    Err(_) => return,
                },
            }
            match ended {
                Some(Ok(begun)) => self.end(&begun),
                Some(Err(error)) => {
                    let Subject { service, backend, .. } = &*self.subject;
                    tracing::error!(%service, %backend, %error, "a round did not end as it should");
                }
                None => {}
            }
        }
    }

    fn hear_wishes(&mut self) {
        let mut wish = self.wishes.lock();
        self.cadence.set_in_doubt(wish.in_doubt);
        if let Some(at) = wish.suspected.take() {
            self.cadence.suspect(at);
        }
    }

    fn due(&self) -> Option<Instant> {
        if self.unsent.is_empty() { self.cadence.next(self.running.len()) } else { None }
    }

    /// When the next round is due. What is due at once because something has changed is due from then
    /// on, and not late for having been impossible before.
    fn foresee(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due();
        self.foreseen = match (due, self.foreseen) {
            (Some(due), Some((foreseen, since))) if due == foreseen => Some((due, since)),
            (Some(due), Some(_) | None) => Some((due, now)),
            (None, Some(_) | None) => None,
        };
        due
    }

    fn begin(&mut self) {
        let started = Instant::now();
        let due = self.foreseen.take().map_or(started, |(due, since)| due.max(since));
        let late = started.saturating_duration_since(due);
        let (epoch, in_doubt) = {
            let wish = self.wishes.lock();
            (wish.epoch, wish.in_doubt)
        };
        self.cadence.began(started, fastrand::f64() * 2.0 - 1.0);
        let (subject, ways) = (Arc::clone(&self.subject), Arc::clone(&self.ways));
        self.memories.iter_mut().for_each(|memory| memory.settle(in_doubt));
        let (surroundings, memories) = (self.surroundings.clone(), self.memories.clone());
        let health = &subject.health;
        for (number, (probe, memory)) in health.probes.iter().zip(&mut self.memories).enumerate() {
            let timeout = round::timeout(health, number);
            let stands = memory.standing(probe.interval, timeout, started).is_some();
            if is_remembered(probe) && !stands {
                memory.begin(started);
            }
        }
        self.running.spawn(async move {
            let Surroundings { witnesses, programs } = &surroundings;
            let context = Context { subject: &subject, ways: &ways, epoch, programs };
            let round = round::run(context, witnesses, &memories, started).await;
            Begun { late, round }
        });
    }

    fn end(&mut self, begun: &Begun) {
        let Begun { late, round } = begun;
        // Only now, because the stall that delayed this round delayed us as well.
        self.lateness.look(Instant::now());
        self.remember(round);
        let was_late = if self.lateness.since(round.started()) { Late::Yes } else { Late::No };
        let Subject { id, service, backend, health, .. } = &*self.subject;
        let report = Report { late: *late, ..round.report(*id, health, was_late) };
        if report.outcome.is_conclusive() {
            self.cadence.concluded(report.started);
        }
        let blamed = round.blamed(health, was_late);
        let counts = self.order.counts(&report.outcome, blamed, round.evidence());
        let (outcome, took) = (&report.outcome, report.took);
        tracing::debug!(%service, %backend, ?outcome, ?took, superseded = !counts, "probed");
        if counts {
            self.unsent.push_back(report);
        }
    }

    fn remember(&mut self, round: &Round) {
        let probes = self.subject.health.probes.iter().zip(&mut self.memories);
        for ((probe, memory), part) in probes.zip(round.parts()) {
            if !is_remembered(probe) {
                continue;
            }
            match part {
                Part::Standing(..) => {}
                Part::Pending => memory.end(round.started(), None),
                Part::Ended(ended) => {
                    let ended = (ended.answer.clone(), ended.heard.clone());
                    memory.end(round.started(), Some(ended));
                }
            }
        }
    }
}

/// Whether anything of this probe matters in later rounds.
fn is_remembered(probe: &Probe) -> bool {
    round::is_agent(probe) || probe.interval.is_some()
}

/// Sleeps until `wake`; for ever without one.
async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
