//! Which reports count: none that rests on less recent answers than one that was reported. Pure.

use std::time::Instant;

use crate::report::Outcome;

/// Keeps reports in the order in which what they rest on was asked for.
///
/// Rounds overlap, so an old one can end after a young one: it waits in a backlog, or for its
/// timeout, while the next is answered at once. What it says is older than what has been reported,
/// and would count as the *latest* of consecutive verdicts: a backend that has just recovered would
/// be charged with a failure from before. So it is dropped.
///
/// **A failure is as old as what the probe to blame was asked**, a pass as old as the oldest answer
/// that it rests on. While a slow probe is asked again its old pass stands for younger rounds: these
/// say nothing newer of that probe, so they do not keep its failure from being told, and pass no more
/// once it has been.
///
/// An inconclusive probe supersedes nothing: while we have no sockets left each new probe ends at
/// once without a result, and the last ones that did get a connection are all the evidence there is.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Of each probe: when it was asked for the latest that was reported of it with a pass or a failure.
    reported: Vec<Instant>,
}

impl Order {
    /// Whether the round that ended is to be reported. `evidence` is, of each probe, when it was asked
    /// for what the round knows of it, `blamed` the number of the probe that made it fail.
    pub(super) fn counts(
        &mut self,
        outcome: &Outcome,
        blamed: Option<usize>,
        evidence: impl Iterator<Item = Instant>,
    ) -> bool {
        let evidence: Vec<_> = evidence.collect();
        let is_old = |number: usize| {
            let (known, reported) = (evidence.get(number), self.reported.get(number));
            known.zip(reported).is_some_and(|(known, reported)| known < reported)
        };
        let is_superseded = match (outcome, blamed) {
            (Outcome::Fail(_), Some(number)) => is_old(number),
            // As young as its youngest answer: it may be the only one to tell that nothing is known.
            (Outcome::Inconclusive(_), _) => (0..evidence.len()).all(is_old),
            (Outcome::Pass | Outcome::Fail(_), _) => (0..evidence.len()).any(is_old),
        };
        if is_superseded {
            return false;
        }
        if outcome.is_conclusive() {
            for (reported, known) in self.reported.iter_mut().zip(&evidence) {
                *reported = (*reported).max(*known);
            }
            if self.reported.is_empty() {
                self.reported = evidence;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::{Cause, Doubt};

    const PASS: Outcome = Outcome::Pass;
    const FAIL: Outcome = Outcome::Fail(Cause::Timeout);
    const DOUBT: Outcome = Outcome::Inconclusive(Doubt::Late);

    /// Plays rounds in the order in which they end: outcome, whom it blames, when each probe was asked.
    fn counts<const N: usize>(rounds: [(Outcome, Option<usize>, &[u64]); N]) -> [bool; N] {
        let (start, mut order) = (Instant::now(), Order::default());
        rounds.map(|(outcome, blamed, evidence)| {
            let evidence = evidence.iter().map(|seconds| start + Duration::from_secs(*seconds));
            order.counts(&outcome, blamed, evidence)
        })
    }

    #[test]
    fn an_older_probe_does_not_overtake_a_younger_one() {
        let rounds = [
            (PASS, None, &[2][..]),
            (FAIL, Some(0), &[1]),
            (FAIL, Some(0), &[4]),
            (PASS, None, &[3]),
            (DOUBT, None, &[3]),
        ];
        assert_eq!(counts(rounds), [true, false, true, false, false]);
    }

    #[test]
    fn an_inconclusive_probe_supersedes_nothing() {
        let rounds = [(DOUBT, None, &[2][..]), (FAIL, Some(0), &[1])];
        assert_eq!(counts(rounds), [true, true]);
    }

    #[test]
    fn a_round_that_stood_on_an_old_pass_does_not_hide_the_failure_that_ended_it() {
        let rounds = [
            (PASS, None, &[12, 0][..]),
            (PASS, None, &[13, 0]),
            // The second probe was asked again in this round, and is slow.
            (FAIL, Some(1), &[11, 11]),
            (PASS, None, &[14, 0]),
            (FAIL, Some(1), &[15, 15]),
        ];
        assert_eq!(counts(rounds), [true, true, true, false, true]);
    }

    #[test]
    fn of_another_probe_the_round_that_asks_again_says_nothing_new() {
        let rounds = [(PASS, None, &[12, 0][..]), (FAIL, Some(0), &[11, 11])];
        assert_eq!(counts(rounds), [true, false]);
        let rounds = [(PASS, None, &[12, 0][..]), (PASS, None, &[11, 11]), (PASS, None, &[13, 11])];
        assert_eq!(counts(rounds), [true, false, true]);
    }
}
