//! What is known against a backend: the last probe, the first sign of trouble, open suspicions.
//!
//! Judges nothing; `routing::failover` does. This is for the record, for the failover times, and for
//! the question whether a backend that is being left may still finish its requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use health::{Cause, Outcome, Report};
use proxy::{Leave, Symptom};
use routing::failover::Verdict;

use crate::incident::Counts;
use crate::status::{LastProbe, Since};

/// How many signs are kept for the record of a move.
const SIGNS: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) last_probe: Option<LastProbe>,
    /// The first sign of trouble since the backend last answered well.
    pub(crate) first_sign: Option<Instant>,
    /// What the service had counted then.
    pub(crate) before: Option<Counts>,
    /// The latest signs since then, oldest first.
    signs: VecDeque<(Instant, String)>,
    /// Why the last conclusive probe failed; `None` when it passed.
    failing: Option<Cause>,
    /// Consecutive failed probes.
    failures: u32,
    symptom: Option<Symptom>,
    suspected: Option<Suspected>,
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
        self.sign(now, format!("live traffic: {}", symptom_text(symptom)), counts);
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
        let outcome = outcome_text(&report.outcome).into();
        self.last_probe = Some(LastProbe { outcome, took: report.took, ended: Since(ended) });
        match &report.outcome {
            Outcome::Inconclusive => Suspicions::Unchanged,
            Outcome::Fail(cause) => {
                self.sign(ended, format!("a probe failed: {}", cause_text(cause)), counts);
                self.failing = Some(cause.clone());
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

    fn sign(&mut self, at: Instant, what: String, counts: impl FnOnce() -> Counts) {
        if self.first_sign.is_none() {
            self.first_sign = Some(at);
            self.before = Some(counts());
            self.signs.clear();
        }
        if self.signs.len() == SIGNS {
            self.signs.pop_front();
        }
        self.signs.push_back((at, what));
    }

    /// What led to a decision at `decided`, line by line.
    pub(crate) fn trail(&self, decided: Instant) -> Vec<String> {
        let line = |(at, what): &(Instant, String)| {
            let before = decided.saturating_duration_since(*at).as_millis();
            format!("{before} ms before the decision: {what}")
        };
        self.signs.iter().map(line).collect()
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
            (Some(cause), 1) => words.push(format!("a probe failed: {}", cause_text(cause))),
            (Some(cause), n) => {
                words.push(format!("{n} probes failed, last: {}", cause_text(cause)));
            }
        }
        words.join("; ")
    }

    /// How the deciding probe ended, in words.
    pub(crate) fn verdict_words(&self) -> Arc<str> {
        self.last_probe.as_ref().map_or_else(|| "".into(), |probe| probe.outcome.clone())
    }

    /// What becomes of the requests that this backend is working on when the traffic moves away.
    ///
    /// Whatever moves the traffic: one whose last probe got an answer may finish them; one that
    /// refused, broke off or stayed silent will not.
    pub(crate) fn leave(&self) -> Leave {
        match &self.failing {
            Some(cause) if !cause.answers() => Leave::Abandon,
            Some(_) | None => Leave::Finish,
        }
    }
}

pub(crate) fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Pass => Verdict::Pass,
        Outcome::Fail(_) => Verdict::Fail,
        Outcome::Inconclusive => Verdict::Inconclusive,
    }
}

/// The verdict as the metrics name it.
pub(crate) fn verdict_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail(_) => "fail",
        Outcome::Inconclusive => "inconclusive",
    }
}

pub(crate) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pass => "pass".to_owned(),
        Outcome::Fail(cause) => cause_text(cause),
        Outcome::Inconclusive => "inconclusive: we were late ourselves".to_owned(),
    }
}

fn cause_text(cause: &Cause) -> String {
    match cause {
        Cause::Refused(why) => format!("cannot connect: {why}"),
        Cause::Resolve(why) => format!("no address: {why}"),
        Cause::Broken(why) => format!("broken off: {why}"),
        Cause::Tls(why) => format!("TLS: {why}"),
        Cause::Timeout => "no complete answer in time".to_owned(),
        Cause::Status(status) => format!("answered {status}"),
    }
}

fn symptom_text(symptom: Symptom) -> &'static str {
    match symptom {
        Symptom::Refused => "cannot connect",
        Symptom::Reset => "connection broken off",
        Symptom::Tls => "TLS handshake failed",
        Symptom::Stalled => "no answer for too long",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(started: Instant, outcome: Outcome) -> Report {
        let took = Duration::from_millis(5);
        Report { id: 1, outcome, started, took, certificate_expires: None }
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
    fn an_old_failure_is_forgotten_after_a_pass() {
        let mut evidence = failed(Cause::Timeout);
        evidence.probe(&report(Instant::now(), Outcome::Pass), Counts::default);
        assert_eq!(evidence.leave(), Leave::Finish);
        assert_eq!(evidence.words(), "");
        assert_eq!(evidence.first_sign, None);
    }

    #[test]
    fn an_inconclusive_probe_takes_nothing_back() {
        let mut evidence = failed(Cause::Timeout);
        let sign = evidence.first_sign;
        evidence.probe(&report(Instant::now(), Outcome::Inconclusive), Counts::default);
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
