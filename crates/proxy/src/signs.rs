//! What live traffic has seen of one backend, and when control was last told: the bounds on both.
//!
//! Whatever clients do, control hears of each symptom once a second at most from one worker.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::spec::Symptom;

/// From one notice of a symptom to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// The same for a stall that probes have dispelled again and again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The signs of trouble at one backend.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// A suspicion is on its way and has not been settled.
    pub(crate) suspected: Cell<bool>,
    /// What live traffic last met.
    pub(crate) symptom: Cell<Option<Symptom>>,
    /// When control was last told of each symptom.
    told_at: [Cell<Option<Instant>>; Symptom::COUNT],
    pub(crate) stalls: Stalls,
    pub(crate) errors: Errors,
}

impl Signs {
    /// Whether control may be told of `symptom`, which it then is.
    pub(crate) fn is_due(&self, symptom: Symptom, now: Instant) -> bool {
        is_due(&self.told_at[symptom as usize], now, PAUSE)
    }
}

/// Requests that wait too long for their response head.
#[derive(Debug)]
pub(crate) struct Stalls {
    /// Seen in this sweep so far.
    seen: Cell<usize>,
    /// As many as there were when control was last told, or fewer by now.
    known: Cell<usize>,
    told_at: Cell<Option<Instant>>,
    pause: Cell<Duration>,
}

impl Default for Stalls {
    fn default() -> Self {
        let (seen, known) = (Cell::new(0), Cell::new(0));
        Self { seen, known, told_at: Cell::new(None), pause: Cell::new(PAUSE) }
    }
}

impl Stalls {
    /// One was seen.
    pub(crate) fn see(&self) {
        self.seen.set(self.seen.get() + 1);
    }

    /// The sweep is over. Whether control is to be told: of the same requests ever more rarely, as long
    /// as their suspicions are settled by probes; of more of them after a second.
    pub(crate) fn is_due(&self, now: Instant, is_settled: bool) -> bool {
        let seen = self.seen.take();
        if seen == 0 || seen > self.known.get() {
            self.pause.set(PAUSE);
        }
        self.known.set(seen.min(self.known.get()));
        if seen == 0 || !is_due(&self.told_at, now, self.pause.get()) {
            return false;
        }
        // What was seen when control was told, it was told of.
        let is_known = seen == self.known.replace(seen);
        let longer = if is_known && is_settled { 2 * self.pause.get() } else { PAUSE };
        self.pause.set(longer.min(LONGEST_PAUSE));
        true
    }
}

/// The time in which errors are counted is divided into so many parts.
const PARTS: usize = 8;

/// Answers that are errors, by when they came.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    counts: [Cell<u32>; PARTS],
    /// When the newest part began; which it is.
    newest: Cell<Option<(Instant, usize)>>,
}

impl Errors {
    /// Counts one. Whether there were `most` within the last `within`, to an eighth of it: never older
    /// ones.
    pub(crate) fn count(&self, now: Instant, within: Duration, most: usize) -> bool {
        let part = (within / PARTS as u32).max(Duration::from_nanos(1));
        let (mut began, mut newest) = self.newest.get().unwrap_or((now, 0));
        let passed = now.saturating_duration_since(began).as_nanos() / part.as_nanos();
        if passed >= PARTS as u128 {
            self.forget();
            began = now;
        } else {
            for _ in 0..passed {
                newest = (newest + 1) % PARTS;
                self.counts[newest].set(0);
                began += part;
            }
        }
        self.newest.set(Some((began, newest)));
        let count = &self.counts[newest];
        count.set(count.get().saturating_add(1));
        let all: u64 = self.counts.iter().map(|count| u64::from(count.get())).sum();
        all >= most as u64
    }

    /// Control has been told: it begins anew.
    pub(crate) fn forget(&self) {
        self.counts.iter().for_each(|count| count.set(0));
    }
}

/// Whether `pause` has passed since the last time, which becomes now if so.
pub(crate) fn is_due(last: &Cell<Option<Instant>>, now: Instant, pause: Duration) -> bool {
    let due = last.get().is_none_or(|at| now.saturating_duration_since(at) >= pause);
    if due {
        last.set(Some(now));
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEP: Duration = Duration::from_millis(100);

    /// In which tenths of seconds control is told, when each sweep sees so many.
    fn told(seen: impl IntoIterator<Item = usize>, is_settled: bool) -> Vec<usize> {
        let (start, stalls) = (Instant::now(), Stalls::default());
        let sweeps = seen.into_iter().enumerate();
        let told = sweeps.filter_map(|(sweep, seen)| {
            (0..seen).for_each(|_| stalls.see());
            stalls.is_due(start + SWEEP * sweep as u32, is_settled).then_some(sweep)
        });
        told.collect()
    }

    #[test]
    fn the_same_stall_is_told_ever_more_rarely() {
        assert_eq!(told([1; 400], true), [0, 10, 30, 70, 150, 250, 350]);
    }

    #[test]
    fn a_stall_that_no_probe_dispels_is_told_every_second() {
        assert_eq!(told([1; 45], false), [0, 10, 20, 30, 40]);
    }

    #[test]
    fn another_stall_is_told_after_a_second() {
        let seen = [[1; 75], [2; 75]].concat();
        assert_eq!(told(seen, true), [0, 10, 30, 70, 80, 90, 110]);
    }

    #[test]
    fn one_that_ends_is_forgotten_and_the_next_waits_its_second() {
        let seen = [vec![1; 72], vec![0; 3], vec![1; 20]].concat();
        assert_eq!(told(seen, true), [0, 10, 30, 70, 80, 90]);
        assert_eq!(told([0; 50], true), [0; 0]);
    }

    #[test]
    fn errors_count_within_their_time() {
        let (start, within) = (Instant::now(), Duration::from_millis(800));
        let errors = Errors::default();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!errors.count(at(0), within, 3));
        assert!(!errors.count(at(350), within, 3));
        assert!(errors.count(at(650), within, 3));
        assert!(errors.count(at(750), within, 4));
        // Of the first two only the second is young enough now, then neither.
        assert!(!errors.count(at(1000), within, 5));
        assert!(errors.count(at(1000), within, 5));
        errors.forget();
        assert!(!errors.count(at(1050), within, 2));
        assert!(!errors.count(at(9000), within, 2));
        assert!(errors.count(at(9000), within, 1), "one is enough");
    }

    #[test]
    fn a_slow_rate_of_errors_never_adds_up() {
        let (start, within, errors) = (Instant::now(), Duration::from_secs(1), Errors::default());
        for second in 0..1000_u64 {
            let at = start + Duration::from_millis(second * 500);
            assert!(!errors.count(at, within, 3), "{second}");
        }
    }
}
