//! What is known against a backend: the last probe, the first sign of trouble, open suspicions.
//!
//! Judges nothing; `routing::failover` does. This is for the record, for the failover times, and for
//! the question whether a backend that is being left may still finish its requests.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use health::{Cause, Check, Doubt, Outcome, Report};
use proxy::{Leave, Symptom};
use routing::failover::Verdict;

use crate::incident::Counts;
use crate::rounds::Rounds;
use crate::status::{CheckStatus, LastProbe, Since};

/// How many signs are kept for the record of a move.
const SIGNS: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) last_probe: Option<LastProbe>,
    pub(crate) rounds: Rounds,
    /// The first sign of trouble since the backend last answered well.
    pub(crate) first_sign: Option<Instant>,
    /// What the service had counted then.
    pub(crate) before: Option<Counts>,
    /// The latest signs since then, oldest first.
    signs: VecDeque<Sign>,
    /// When the last conclusive one ended.
    pub(crate) concluded: Option<Instant>,
    /// Why it failed, in words; `None` when it passed.
    failing: Option<Arc<str>>,
    /// Whether the backend answered it all the same.
    still_answers: bool,
    /// How far its clock is ahead of ours, by the last two answers that tell, in milliseconds.
    clock: [Option<i64>; 2],
    /// Consecutive failed probes.
    failures: u32,
    symptom: Option<Symptom>,
    suspected: Option<Suspected>,
}

/// One sign of trouble.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    pub(crate) at: Instant,
    /// How long the probe took that brought it; `None`: live traffic did.
    pub(crate) took: Option<Duration>,
    pub(crate) what: String,
}

/// Suspicions that no probe has answered yet.
#[derive(Clone, Copy, Debug)]
struct Suspected {
    oldest: Instant,
    newest: Instant,
}

/// What a probe that ended says of the suspicions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicions {
    /// Nothing new.
    Unchanged,
    /// A probe that began after the oldest passed: waiting requests may try again.
    Cleared,
    /// The same, but there are newer ones that this probe began too early for.
    ClearedUntilNow,
}

impl Evidence {
    /// Notes a sign of trouble from live traffic. Returns whether it is the first that no probe has
    /// answered yet: the others are answered together with it.
    pub(crate) fn suspect(
        &mut self,
        now: Instant,
        symptom: Symptom,
        counts: impl FnOnce() -> Counts,
    ) -> bool {
        let first = self.suspected.is_none();
        let what = format!("live traffic: {}", symptom_text(symptom));
        self.sign(Sign { at: now, took: None, what }, counts);
        self.symptom.get_or_insert(symptom);
        self.suspected.get_or_insert(Suspected { oldest: now, newest: now }).newest = now;
        first
    }

    pub(crate) fn is_suspected(&self) -> bool {
        self.suspected.is_some()
    }

    /// Notes a probe that ended, and says what it means for open suspicions.
    pub(crate) fn probe(&mut self, report: &Report, counts: impl FnOnce() -> Counts) -> Suspicions {
        let ended = report.started + report.took;
        self.last_probe = Some(LastProbe {
            outcome: blamed_words(report),
            took: report.took,
            ended: Since(ended),
            is_alive: report.is_alive,
            checks: report.checks.iter().map(check).collect(),
        });
        self.rounds.note(verdict(&report.outcome), report.took, Since(ended));
        if report.clock_ahead_ms.is_some() {
            self.clock = [report.clock_ahead_ms, self.clock[0]];
        }
        if !matches!(report.outcome, Outcome::Inconclusive(_)) {
            self.concluded = self.concluded.max(Some(ended));
        }
        match &report.outcome {
            Outcome::Inconclusive(_) => Suspicions::Unchanged,
            Outcome::Fail(cause) => {
                let (took, what) = (Some(report.took), failed_words(report, cause));
                self.sign(Sign { at: ended, took, what }, counts);
                self.failing = Some(blamed_words(report));
                self.still_answers = report.is_alive;
                self.failures += 1;
                Suspicions::Unchanged
            }
            Outcome::Pass => {
                self.failing = None;
                self.failures = 0;
                self.pass(report.started)
            }
        }
    }

    fn sign(&mut self, sign: Sign, counts: impl FnOnce() -> Counts) {
        if self.first_sign.is_none() {
            self.first_sign = Some(sign.at);
            self.before = Some(counts());
            self.signs.clear();
        }
        if self.signs.len() == SIGNS {
            self.signs.pop_front();
        }
        self.signs.push_back(sign);
    }

    /// What led to a decision at `decided`, line by line.
    pub(crate) fn trail(&self, decided: Instant) -> Vec<String> {
        let line = |Sign { at, what, .. }: &Sign| {
            let before = decided.saturating_duration_since(*at).as_millis();
            format!("{before} ms before the decision: {what}")
        };
        self.signs.iter().map(line).collect()
    }

    /// The latest signs of trouble, oldest first.
    pub(crate) fn signs(&self) -> impl Iterator<Item = &Sign> {
        self.signs.iter()
    }

    fn pass(&mut self, started: Instant) -> Suspicions {
        let answered = match self.suspected {
            None => Suspicions::Unchanged,
            Some(Suspected { oldest, .. }) if started < oldest => return Suspicions::Unchanged,
            Some(Suspected { newest, .. }) if started < newest => {
                self.suspected = Some(Suspected { oldest: newest, newest });
                self.first_sign = Some(newest);
                return Suspicions::ClearedUntilNow;
            }
            Some(_) => Suspicions::Cleared,
        };
        self.suspected = None;
        self.symptom = None;
        self.first_sign = None;
        self.before = None;
        self.signs.clear();
        answered
    }

    /// What is held against the backend, in words; empty when it is nothing.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(symptom) = self.symptom {
            words.push(format!("live traffic: {}", symptom_text(symptom)));
        }
        match (&self.failing, self.failures) {
            (None, _) => {}
            (Some(why), 1) => words.push(format!("a probe failed: {why}")),
            (Some(why), n) => words.push(format!("{n} probes failed, last: {why}")),
        }
        words.join("; ")
    }

    /// Why the last conclusive probe failed, in words; `None`: it did not.
    pub(crate) fn failing_words(&self) -> Option<Arc<str>> {
        self.failing.clone()
    }

    /// Why there has been no verdict since the last, in words.
    pub(crate) fn undecided_words(&self) -> Arc<str> {
        match &self.last_probe {
            Some(probe) if self.concluded.is_none_or(|at| probe.ended.0 > at) => {
                probe.outcome.clone()
            }
            Some(_) | None => "no probe has ended".into(),
        }
    }

    /// How the deciding probe ended, in words.
    pub(crate) fn verdict_words(&self) -> Arc<str> {
        self.last_probe.as_ref().map_or_else(|| "".into(), |probe| probe.outcome.clone())
    }

    /// What becomes of the requests that this backend is working on when the traffic moves away.
    ///
    /// Whatever moves the traffic: one that answered the last round of probes may finish them; one
    /// that refused, broke off or stayed silent will not.
    pub(crate) fn leave(&self) -> Leave {
        match &self.failing {
            Some(_) if !self.still_answers => Leave::Abandon,
            Some(_) | None => Leave::Finish,
        }
    }

    /// How far its clock is ahead of ours, in milliseconds: the smaller difference of the last two
    /// answers, because one that was long under way looks old.
    pub(crate) fn clock_ahead_ms(&self) -> Option<i64> {
        self.clock.iter().flatten().copied().min_by_key(|ahead| ahead.unsigned_abs())
    }
}

/// A round that failed, with each probe that did when there were several.
fn failed_words(report: &Report, cause: &Cause) -> String {
    if report.checks.len() < 2 {
        return format!("a probe failed: {cause}");
    }
    let each = report.checks.iter().filter(|check| check.outcome != Outcome::Pass);
    let each = each.map(|check| format!("{}: {}", check.name, outcome_text(&check.outcome)));
    format!("probes failed: {}", each.collect::<Vec<_>>().join("; "))
}

/// How a round ended, with the probe that made it fail where there are several.
fn blamed_words(report: &Report) -> Arc<str> {
    match &report.blamed {
        Some(probe) => format!("{probe}: {}", outcome_text(&report.outcome)).into(),
        None => told(&report.outcome),
    }
}

fn check(check: &Check) -> CheckStatus {
    let (name, level, took) = (check.name.clone(), check.level, check.took);
    CheckStatus { name, level, outcome: told(&check.outcome), took }
}

/// The same as [`outcome_text`]; most of them pass, and need no text of their own.
fn told(outcome: &Outcome) -> Arc<str> {
    static PASS: LazyLock<Arc<str>> = LazyLock::new(|| "pass".into());
    match outcome {
        Outcome::Pass => PASS.clone(),
        Outcome::Fail(_) | Outcome::Inconclusive(_) => outcome_text(outcome).into(),
    }
}

pub(crate) fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Pass => Verdict::Pass,
        Outcome::Fail(_) => Verdict::Fail,
        Outcome::Inconclusive(_) => Verdict::Inconclusive,
    }
}

/// The verdict as the metrics name it.
pub(crate) fn verdict_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail(_) => "fail",
        Outcome::Inconclusive(_) => "inconclusive",
    }
}

/// Why a probe was inconclusive, as the metrics name it.
pub(crate) fn doubt_word(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Pass | Outcome::Fail(_) => None,
        Outcome::Inconclusive(doubt) => Some(match doubt {
            Doubt::Late => "late",
            Doubt::Exhausted(_) => "exhausted",
            Doubt::CutOff => "cut_off",
            Doubt::Busy => "busy",
            Doubt::Silent => "silent",
            Doubt::Program(_) => "program",
        }),
    }
}

pub(crate) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pass => "pass".to_owned(),
        Outcome::Fail(cause) => cause.to_string(),
        Outcome::Inconclusive(_) => outcome.to_string(),
    }
}

fn symptom_text(symptom: Symptom) -> &'static str {
    match symptom {
        Symptom::Refused => "cannot connect",
        Symptom::Reset => "connection broken off",
        Symptom::Tls => "TLS handshake failed",
        Symptom::Stalled => "no answer for too long",
        Symptom::Errors => "many answers are errors",
        Symptom::Drain => "an answer asks for a drain",
    }
}

#[cfg(test)]
mod tests {
    use config::model::Level;

    use super::*;

    fn report(started: Instant, outcome: Outcome) -> Report {
        let took = Duration::from_millis(5);
        let is_alive = !matches!(&outcome, Outcome::Fail(cause) if !cause.answers());
        Report {
            id: 1,
            outcome,
            blamed: None,
            started,
            took,
            certificate_expires: None,
            late: Duration::ZERO,
            is_alive,
            role: None,
            wish: None,
            clock_ahead_ms: None,
            checks: Vec::new(),
        }
    }

    fn failed(cause: Cause) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.probe(&report(Instant::now(), Outcome::Fail(cause)), Counts::default);
        evidence
    }

    #[test]
    fn a_backend_that_still_answers_may_finish_and_a_silent_one_may_not() {
        let refused = || Cause::Refused("connection refused".into());
        assert_eq!(failed(Cause::Status(503)).leave(), Leave::Finish);
        assert_eq!(failed(Cause::Timeout).leave(), Leave::Abandon);
        assert_eq!(failed(refused()).leave(), Leave::Abandon);
        assert_eq!(Evidence::default().leave(), Leave::Finish);
    }

    #[test]
    fn the_round_says_whether_a_backend_still_answers_whatever_failed_in_it() {
        let mut evidence = Evidence::default();
        let mut mixed = report(Instant::now(), Outcome::Fail(Cause::Timeout));
        mixed.is_alive = true;
        mixed.blamed = Some("query".into());
        let check = |name: &str, level, outcome| Check {
            name: name.into(),
            level,
            outcome,
            took: Duration::from_millis(1),
        };
        mixed.checks = vec![
            check("port", Level::Alive, Outcome::Pass),
            check("query", Level::Ready, Outcome::Fail(Cause::Timeout)),
            check("page", Level::Ready, Outcome::Fail(Cause::Status(503))),
        ];
        evidence.probe(&mixed, Counts::default);
        assert_eq!(evidence.leave(), Leave::Finish);
        let trail = evidence.trail(Instant::now());
        let said = "probes failed: query: no complete answer in time; page: answered 503";
        assert!(trail[0].ends_with(said), "{trail:?}");
        assert_eq!(evidence.words(), "a probe failed: query: no complete answer in time");
        let last = evidence.last_probe.expect("a probe");
        assert_eq!(&*last.outcome, "query: no complete answer in time");
        let outcomes: Vec<_> = last.checks.iter().map(|check| &*check.outcome).collect();
        assert_eq!(outcomes, ["pass", "no complete answer in time", "answered 503"]);
    }

    #[test]
    fn one_answer_that_was_long_under_way_is_no_clock_that_is_wrong() {
        let mut evidence = Evidence::default();
        let mut answer = |ahead| {
            let mut report = report(Instant::now(), Outcome::Pass);
            report.clock_ahead_ms = ahead;
            evidence.probe(&report, Counts::default);
            evidence.clock_ahead_ms()
        };
        assert_eq!(answer(None), None);
        assert_eq!(answer(Some(-200)), Some(-200));
        assert_eq!(answer(Some(-9_000)), Some(-200));
        assert_eq!(answer(None), Some(-200));
        assert_eq!(answer(Some(-8_000)), Some(-8_000));
    }

    #[test]
    fn an_old_failure_is_forgotten_after_a_pass() {
        let mut evidence = failed(Cause::Timeout);
        evidence.probe(&report(Instant::now(), Outcome::Pass), Counts::default);
        assert_eq!(evidence.leave(), Leave::Finish);
        assert_eq!(evidence.words(), "");
        assert_eq!((evidence.first_sign, evidence.before), (None, None));
        assert_eq!(evidence.trail(Instant::now()), Vec::<String>::new());
        assert_eq!(evidence.signs().count(), 0);
    }

    #[test]
    fn an_inconclusive_probe_takes_nothing_back() {
        let mut evidence = failed(Cause::Timeout);
        let sign = evidence.first_sign;
        evidence
            .probe(&report(Instant::now(), Outcome::Inconclusive(Doubt::Late)), Counts::default);
        assert_eq!(evidence.leave(), Leave::Abandon);
        assert_eq!(evidence.first_sign, sign);
    }

    #[test]
    fn only_a_probe_that_began_after_a_suspicion_answers_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut evidence = Evidence::default();
        evidence.suspect(at(10), Symptom::Refused, Counts::default);
        assert_eq!(
            evidence.probe(&report(at(9), Outcome::Pass), Counts::default),
            Suspicions::Unchanged
        );
        assert_eq!(evidence.first_sign, Some(at(10)));
        assert_eq!(
            evidence.probe(&report(at(11), Outcome::Pass), Counts::default),
            Suspicions::Cleared
        );
        assert!(!evidence.is_suspected());
        assert_eq!(evidence.first_sign, None);
    }

    #[test]
    fn a_steady_stream_of_suspicions_cannot_keep_requests_waiting() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut evidence = Evidence::default();
        evidence.suspect(at(10), Symptom::Reset, Counts::default);
        evidence.suspect(at(20), Symptom::Stalled, Counts::default);
        assert_eq!(
            evidence.probe(&report(at(15), Outcome::Pass), Counts::default),
            Suspicions::ClearedUntilNow
        );
        assert!(evidence.is_suspected());
        assert_eq!(
            evidence.probe(&report(at(21), Outcome::Pass), Counts::default),
            Suspicions::Cleared
        );
    }

    #[test]
    fn the_words_say_what_led_to_a_failover() {
        let mut evidence = Evidence::default();
        evidence.suspect(Instant::now(), Symptom::Reset, Counts::default);
        evidence.probe(&report(Instant::now(), Outcome::Fail(Cause::Timeout)), Counts::default);
        let refused = Cause::Refused("connection refused".into());
        evidence.probe(&report(Instant::now(), Outcome::Fail(refused)), Counts::default);
        assert_eq!(
            evidence.words(),
            "live traffic: connection broken off; 2 probes failed, last: cannot connect: connection refused"
        );
    }
}
