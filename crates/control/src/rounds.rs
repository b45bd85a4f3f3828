//! The latest rounds of probes of one backend, for whoever wants to see how it has been doing.
//!
//! Decides nothing. A status carries a handle to them, so that it costs no more with them than without.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use routing::failover::Verdict;

use crate::status::Since;

/// How many are kept of each backend.
const KEPT: usize = 60;

/// One round of probes that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Counts up from 1 since the probes of its backend began.
    pub number: u64,
    /// What it came to.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub ended: Since,
}

/// The latest rounds of a backend. A clone is another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Arc<Mutex<VecDeque<Round>>>);

impl Rounds {
    /// Adds one; the oldest makes way for it.
    pub(crate) fn note(&self, verdict: Verdict, took: Duration, ended: Since) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = rounds.back().map_or(1, |last| last.number + 1);
        if rounds.len() == KEPT {
            rounds.pop_front();
        }
        rounds.push_back(Round { number, verdict, took, ended });
    }

    /// Those that are kept, at most 60, oldest first.
    #[must_use]
    pub fn latest(&self) -> Vec<Round> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn only_the_latest_are_kept_and_every_handle_sees_them() {
        let (rounds, now) = (Rounds::default(), Since(Instant::now()));
        let seen = rounds.clone();
        assert_eq!(seen.latest(), []);
        for n in 1..=KEPT as u64 + 5 {
            let verdict = if n.is_multiple_of(2) { Verdict::Fail } else { Verdict::Pass };
            rounds.note(verdict, Duration::from_millis(n), now);
        }
        let latest = seen.latest();
        assert_eq!(latest.len(), KEPT);
        assert_eq!((latest[0].number, latest[KEPT - 1].number), (6, 65));
        assert_eq!((latest[0].verdict, latest[1].verdict), (Verdict::Fail, Verdict::Pass));
        assert_eq!(latest[0].took, Duration::from_millis(6));
    }
}
