//! One round: all probes of a backend at once, each under its own deadline, and what they come to.
//!
//! It ends as soon as its verdict is certain. A probe whose pass still stands is not asked. Where the
//! network could be to blame for a failure the witnesses are asked, as soon as it looks bad, so that
//! one that answers delays nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::{Health, Level, Probe, ProbeKind};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::agent::Heard;
use crate::answer::{Answer, CutOff, Late};
use crate::memory::Memory;
use crate::probe::{self, Context};
use crate::report::{Check, Doubt, Outcome, Report};
use crate::transcript::Transcript;
use crate::witness::Witnesses;

mod judge;

use judge::{Stand, Verdict};

/// A round that has ended.
#[derive(Debug)]
pub(crate) struct Round {
    started: Instant,
    took: Duration,
    /// In the order of the config.
    parts: Vec<Part>,
    cut_off: CutOff,
}

/// One probe of it.
#[derive(Debug)]
pub(crate) enum Part {
    /// It has not ended, or was broken off.
    Pending,
    /// It was not asked: the pass that was asked for then stands.
    Standing(Instant, Answer),
    /// It has ended.
    Ended(Ended),
}

/// A probe that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) answer: Answer,
    /// If it is an agent: what that has said so far.
    pub(crate) heard: Heard,
    pub(crate) took: Duration,
}

/// Runs the probes that began at `started`.
pub(crate) async fn run(
    context: Context<'_>,
    witnesses: &Witnesses,
    memories: &[Memory],
    started: Instant,
) -> Round {
    let health = &context.subject.health;
    let parts = health.probes.iter().zip(memories).enumerate().map(|(number, (probe, memory))| {
        let standing = memory.standing(probe.interval, timeout(health, number), started);
        standing.map_or(Part::Pending, |(at, answer)| Part::Standing(at, answer.clone()))
    });
    let (parts, took) = (parts.collect(), Duration::ZERO);
    let mut round = Round { started, took, parts, cut_off: CutOff::No };
    let asked = round.pending().map(|number| {
        let heard = memories[number].heard.clone();
        async move { (number, ask(number, context, heard, started).await) }
    });
    let mut running: FuturesUnordered<_> = asked.collect();
    let looks_bad = started + shortest_timeout(health) / 2;
    let mut early = std::pin::pin!(async {
        tokio::time::sleep_until(looks_bad.into()).await;
        witnesses.answered_since(looks_bad).await
    });
    let mut answered_early = None;
    while round.verdict(health, Late::No, CutOff::No) == Verdict::NotYet {
        tokio::select! {
            biased;
            Some((number, ended)) = running.next() => round.parts[number] = Part::Ended(ended),
            answered = &mut early, if answered_early.is_none() && !witnesses.is_empty() => {
                answered_early = Some(answered);
            }
            else => break,
        }
    }
    drop(running);
    // Only where that would make a difference.
    if round.is_failure(health, CutOff::No) && !round.is_failure(health, CutOff::Yes) {
        let answered = match answered_early {
            Some(answered) => answered,
            None if Instant::now() >= looks_bad => early.await,
            None => witnesses.answered_since(started).await,
        };
        let is_ours = !answered || witnesses.cut_off_since(started);
        round.cut_off = if is_ours { CutOff::Yes } else { CutOff::No };
    }
    round.took = started.elapsed();
    round
}

async fn ask(number: usize, context: Context<'_>, mut heard: Heard, started: Instant) -> Ended {
    let deadline = started + timeout(&context.subject.health, number);
    let transcript = &mut Transcript::default();
    let answer = probe::run(number, context, &mut heard, deadline.into(), transcript).await;
    Ended { answer, heard, took: started.elapsed() }
}

/// How long the probe of this number may take.
pub(crate) fn timeout(health: &Health, number: usize) -> Duration {
    health.probes[number].timeout.unwrap_or(health.timeout)
}

/// How long the least patient probe may take.
pub(crate) fn shortest_timeout(health: &Health) -> Duration {
    let timeouts = (0..health.probes.len()).map(|number| timeout(health, number));
    timeouts.min().unwrap_or(health.timeout)
}

impl Round {
    /// A round in which all were asked and have ended.
    pub(crate) fn of(started: Instant, ended: Vec<Ended>) -> Self {
        let parts = ended.into_iter().map(Part::Ended).collect();
        Self { started, took: started.elapsed(), parts, cut_off: CutOff::No }
    }

    /// When it began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Its probes, in the order of the config.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Of each probe: when it was asked for what this round knows of it.
    pub(crate) fn evidence(&self) -> impl Iterator<Item = Instant> {
        self.parts.iter().map(|part| match part {
            Part::Pending | Part::Ended(_) => self.started,
            Part::Standing(at, _) => *at,
        })
    }

    /// The number of the probe that makes it fail, if one does.
    pub(crate) fn blamed(&self, health: &Health, late: Late) -> Option<usize> {
        match self.verdict(health, late, self.cut_off) {
            Verdict::Fail(number) => Some(number),
            Verdict::NotYet | Verdict::Pass | Verdict::Inconclusive(_) => None,
        }
    }

    /// The same by name, where there are several.
    fn blamed_by_name(&self, health: &Health, late: Late) -> Option<Arc<str>> {
        let number = self.blamed(health, late).filter(|_| health.probes.len() > 1)?;
        Some(Arc::clone(&health.probes[number].name))
    }

    fn pending(&self) -> impl Iterator<Item = usize> {
        let parts = self.parts.iter().enumerate();
        parts.filter(|(_, part)| matches!(part, Part::Pending)).map(|(number, _)| number)
    }

    fn verdict(&self, health: &Health, late: Late, cut_off: CutOff) -> Verdict {
        let stand = |(probe, part): (&Probe, &Part)| {
            let stand = part.stand(late, cut_off);
            (probe.level, if is_agent(probe) { of_agent(stand) } else { stand })
        };
        let stands: Vec<_> = health.probes.iter().zip(&self.parts).map(stand).collect();
        judge::judge(&stands, health.quorum)
    }

    fn is_failure(&self, health: &Health, cut_off: CutOff) -> bool {
        match self.verdict(health, Late::No, cut_off) {
            Verdict::Fail(_) => true,
            Verdict::NotYet | Verdict::Pass | Verdict::Inconclusive(_) => false,
        }
    }

    /// What it says of backend `id`, given whether we were late during it.
    pub(crate) fn report(&self, id: u32, health: &Health, late: Late) -> Report {
        let outcome = self.outcome(health, late);
        let claiming: Vec<_> = self.parts.iter().filter_map(Part::claiming).collect();
        let answers = || self.parts.iter().filter_map(Part::answer);
        Report {
            id,
            is_alive: self.is_alive(health, &outcome, late),
            outcome,
            blamed: self.blamed_by_name(health, late),
            started: self.started,
            took: self.took,
            certificate_expires: answers().filter_map(|answer| answer.certificate_expires).min(),
            late: Duration::ZERO,
            // Of two that are told the one that asks for more care: who serves has nothing against it.
            role: claiming.iter().filter_map(|answer| answer.role).max(),
            wish: claiming.iter().filter_map(|answer| answer.wish).max(),
            clock_ahead_ms: answers().find_map(|answer| answer.clock_ahead_ms),
            checks: self.checks(health, late),
        }
    }

    fn outcome(&self, health: &Health, late: Late) -> Outcome {
        let of = |number: usize| self.parts[number].outcome(late, self.cut_off);
        match self.verdict(health, late, self.cut_off) {
            Verdict::Pass => Outcome::Pass,
            Verdict::Fail(number) => match of(number) {
                Some(Outcome::Fail(cause)) => Outcome::Fail(cause),
                other @ (Some(Outcome::Pass | Outcome::Inconclusive(_)) | None) => {
                    unreachable!("it failed: {other:?}")
                }
            },
            Verdict::Inconclusive(Some(number)) => {
                of(number).unwrap_or(Outcome::Inconclusive(Doubt::Late))
            }
            Verdict::Inconclusive(None) => Outcome::Inconclusive(Doubt::Silent),
            // It ended early for a failure that is none.
            Verdict::NotYet => Outcome::Inconclusive(match self.cut_off {
                CutOff::Yes if late == Late::No => Doubt::CutOff,
                CutOff::Yes | CutOff::No => Doubt::Late,
            }),
        }
    }

    /// Whether the backend still answers.
    fn is_alive(&self, health: &Health, outcome: &Outcome, late: Late) -> bool {
        if !matches!(outcome, Outcome::Fail(_)) {
            return true;
        }
        let outcome = |part: &Part| part.outcome(late, self.cut_off);
        let probes = || health.probes.iter().zip(&self.parts);
        let mut alive = probes()
            .filter(|(probe, _)| probe.level == Level::Alive)
            .filter_map(|(_, part)| outcome(part))
            .peekable();
        if alive.peek().is_some() {
            return !alive.any(|outcome| matches!(outcome, Outcome::Fail(_)));
        }
        // Neither a program nor an agent shows it; a pass over the network does, unless another probe
        // finds nobody there.
        let (mut passes, mut is_gone) = (false, false);
        for (probe, part) in probes() {
            match (&probe.kind, outcome(part)) {
                (ProbeKind::Exec(_) | ProbeKind::Agent(_), _) => {}
                (_, Some(Outcome::Fail(cause))) if cause.answers() => return true,
                (_, Some(Outcome::Fail(_))) => is_gone = true,
                (_, Some(Outcome::Pass)) => passes |= matches!(part, Part::Ended(_)),
                (_, Some(Outcome::Inconclusive(_)) | None) => {}
            }
        }
        passes && !is_gone
    }

    fn checks(&self, health: &Health, late: Late) -> Vec<Check> {
        let check = |(probe, part): (&Probe, &Part)| match part {
            Part::Ended(ended) => Some(Check {
                name: Arc::clone(&probe.name),
                level: probe.level,
                outcome: ended.answer.excused(late, self.cut_off),
                took: ended.took,
            }),
            Part::Pending | Part::Standing(..) => None,
        };
        health.probes.iter().zip(&self.parts).filter_map(check).collect()
    }
}

/// Agents do not vote, neither for nor against: they abstain, or veto.
fn of_agent(stand: Stand) -> Stand {
    match stand {
        Stand::Pending => Stand::Unheard,
        Stand::Pass | Stand::Doubt => Stand::Abstain,
        Stand::Fail => Stand::Veto,
        Stand::Unheard | Stand::Abstain | Stand::Veto => stand,
    }
}

/// Whether it asks an agent.
pub(crate) fn is_agent(probe: &Probe) -> bool {
    match probe.kind {
        ProbeKind::Agent(_) => true,
        ProbeKind::Http(_) | ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Exec(_) => false,
    }
}

impl Part {
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Pending => None,
            Self::Standing(_, answer) | Self::Ended(Ended { answer, .. }) => Some(answer),
        }
    }

    /// The answer, if what it claims counts: it passed, or is that of an agent whose last words stand.
    fn claiming(&self) -> Option<&Answer> {
        self.answer().filter(|answer| match &answer.outcome {
            Outcome::Pass | Outcome::Inconclusive(Doubt::Silent) => true,
            Outcome::Fail(_) | Outcome::Inconclusive(_) => false,
        })
    }

    fn outcome(&self, late: Late, cut_off: CutOff) -> Option<Outcome> {
        self.answer().map(|answer| answer.excused(late, cut_off))
    }

    fn stand(&self, late: Late, cut_off: CutOff) -> Stand {
        match self.outcome(late, cut_off) {
            None => Stand::Pending,
            Some(Outcome::Pass) => Stand::Pass,
            Some(Outcome::Fail(_)) => Stand::Fail,
            Some(Outcome::Inconclusive(Doubt::Silent)) => Stand::Abstain,
            Some(Outcome::Inconclusive(
                Doubt::Late | Doubt::Exhausted(_) | Doubt::CutOff | Doubt::Busy | Doubt::Program(_),
            )) => Stand::Doubt,
        }
    }
}

#[cfg(test)]
mod tests;
