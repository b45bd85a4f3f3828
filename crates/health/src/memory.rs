//! What is remembered of one probe from round to round. Pure.
//!
//! A probe with an interval of its own need not be asked in every round: its last answer stands for so
//! long after it was asked for, if it was a pass. While it is being asked again, which may take longer
//! than a round, the old pass stands as well, so that rounds that overlap do not all ask; but not longer
//! than that may take, or tries that find out nothing would keep it standing for ever.
//!
//! **A pass that claims something new does not stand** until the claim is settled: each round asks again,
//! so that the passes in a row that it needs are as many answers and not the same one over and over.

use std::time::{Duration, Instant};

use crate::agent::Heard;
use crate::answer::Answer;
use crate::report::Outcome;

/// Before nobody can have heard of a new claim and be in doubt about it.
const LEAST_SAYINGS: u32 = 2;

/// What is remembered of one probe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// When it was last asked without having ended yet, or with a pass.
    asked: Option<Instant>,
    /// Its latest answer that says anything, and when it was asked for.
    last: Option<(Instant, Answer)>,
    /// How often in a row it has claimed something new that is not settled yet.
    unsettled: Option<u32>,
    /// What an agent has said so far.
    pub(crate) heard: Heard,
    /// When that was asked for.
    heard_at: Option<Instant>,
}

impl Memory {
    /// The pass that stands at `now`, when there is no need to ask, and when it was asked for.
    /// `timeout` is how long an answer may take.
    pub(crate) fn standing(
        &self,
        interval: Option<Duration>,
        timeout: Duration,
        now: Instant,
    ) -> Option<(Instant, &Answer)> {
        let (asked, interval) = (self.asked?, interval?);
        let (at, answer) = self.last.as_ref()?;
        let is_recent = now.saturating_duration_since(asked) < interval
            && now.saturating_duration_since(*at) < interval + timeout;
        let stands = is_recent && self.unsettled.is_none() && answer.outcome == Outcome::Pass;
        stands.then_some((*at, answer))
    }

    /// A round is about to begin, and this is whether the backend is in doubt: a claim that was said
    /// again and leaves no doubt is settled.
    pub(crate) fn settle(&mut self, in_doubt: bool) {
        self.unsettled = self.unsettled.filter(|sayings| in_doubt || *sayings < LEAST_SAYINGS);
    }

    /// It is being asked since `began`.
    pub(crate) fn begin(&mut self, began: Instant) {
        self.asked = Some(began);
    }

    /// What was asked for at `began` has ended; without an answer when it was broken off. An answer
    /// that is older than the last one changes nothing.
    pub(crate) fn end(&mut self, began: Instant, ended: Option<(Answer, Heard)>) {
        if let Some((_, heard)) = &ended
            && self.heard_at.is_none_or(|at| at < began)
        {
            self.heard.clone_from(heard);
            self.heard_at = Some(began);
        }
        match ended {
            Some((answer, _)) if answer.outcome.is_conclusive() => {
                if self.last.as_ref().is_none_or(|(at, _)| *at < began) {
                    self.weigh(&answer);
                    self.last = Some((began, answer));
                }
            }
            // It is to be asked again at once.
            Some(_) | None if self.asked == Some(began) => self.asked = None,
            Some(_) | None => {}
        }
    }

    /// A newer answer came: does it claim what the one before did?
    fn weigh(&mut self, answer: &Answer) {
        let claim = |answer: &Answer| (answer.role, answer.wish);
        let is_new = self.last.as_ref().is_some_and(|(_, last)| claim(last) != claim(answer));
        if is_new {
            self.unsettled = Some(1);
        } else if let Some(sayings) = &mut self.unsettled {
            *sayings = sayings.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use config::model::Wish;

    use super::*;
    use crate::report::{Cause, Doubt};

    const INTERVAL: Option<Duration> = Some(Duration::from_secs(10));
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> impl Fn(Instant) -> Instant {
        move |start| start + Duration::from_secs(seconds)
    }

    fn ended(outcome: Outcome) -> Option<(Answer, Heard)> {
        Some((outcome.into(), Heard::default()))
    }

    #[test]
    fn a_pass_stands_for_an_interval() {
        let start = Instant::now();
        let mut memory = Memory::default();
        assert!(memory.standing(INTERVAL, TIMEOUT, start).is_none(), "it was never asked");
        memory.begin(start);
        assert!(memory.standing(INTERVAL, TIMEOUT, start).is_none(), "it has not answered");
        memory.end(start, ended(Outcome::Pass));
        assert!(memory.standing(INTERVAL, TIMEOUT, at(9)(start)).is_some());
        assert!(memory.standing(INTERVAL, TIMEOUT, at(10)(start)).is_none());
        assert!(memory.standing(None, TIMEOUT, start).is_none(), "it has no interval of its own");
    }

    #[test]
    fn while_it_is_asked_again_nobody_else_asks() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.begin(start);
        memory.end(start, ended(Outcome::Pass));
        memory.begin(at(10)(start));
        assert!(memory.standing(INTERVAL, TIMEOUT, at(14)(start)).is_some());
        assert!(memory.standing(INTERVAL, TIMEOUT, at(15)(start)).is_none(), "but not for ever");
        memory.end(at(10)(start), None);
        assert!(memory.standing(INTERVAL, TIMEOUT, at(11)(start)).is_none(), "it was broken off");
    }

    #[test]
    fn no_pass_stands_for_ever_because_tries_find_out_nothing() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.begin(start);
        memory.end(start, ended(Outcome::Pass));
        for seconds in 10..20 {
            let now = at(seconds)(start);
            memory.begin(now);
            let stands = memory.standing(INTERVAL, TIMEOUT, now).is_some();
            assert_eq!(stands, seconds < 15, "while it is asked again, {seconds}");
            memory.end(now, ended(Outcome::Inconclusive(Doubt::Busy)));
        }
    }

    #[test]
    fn a_new_claim_does_not_stand_until_it_is_settled() {
        let start = Instant::now();
        let mut memory = Memory::default();
        let says = |memory: &mut Memory, seconds, wish| {
            memory.begin(at(seconds)(start));
            let answer = Answer { wish: Some(wish), ..Outcome::Pass.into() };
            memory.end(at(seconds)(start), Some((answer, Heard::default())));
        };
        let stands = |memory: &Memory| memory.standing(INTERVAL, TIMEOUT, at(5)(start)).is_some();
        says(&mut memory, 0, Wish::Serve);
        assert!(stands(&memory), "the first is believed at once");
        says(&mut memory, 1, Wish::Drain);
        memory.settle(false);
        assert!(!stands(&memory), "it is new");
        says(&mut memory, 2, Wish::Drain);
        memory.settle(true);
        assert!(!stands(&memory), "further ones are needed");
        says(&mut memory, 3, Wish::Drain);
        memory.settle(false);
        assert!(stands(&memory));
    }

    #[test]
    fn nothing_but_a_pass_stands() {
        for outcome in [Outcome::Fail(Cause::Timeout), Outcome::Inconclusive(Doubt::Busy)] {
            let start = Instant::now();
            let mut memory = Memory::default();
            memory.begin(start);
            memory.end(start, ended(Outcome::Pass));
            memory.begin(at(10)(start));
            memory.end(at(10)(start), ended(outcome.clone()));
            assert!(memory.standing(INTERVAL, TIMEOUT, at(11)(start)).is_none(), "{outcome:?}");
        }
    }

    #[test]
    fn what_was_asked_for_earlier_changes_nothing() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.begin(start);
        memory.begin(at(1)(start));
        memory.end(at(1)(start), ended(Outcome::Fail(Cause::Timeout)));
        memory.end(start, ended(Outcome::Pass));
        assert!(memory.standing(INTERVAL, TIMEOUT, at(2)(start)).is_none());
    }
}
