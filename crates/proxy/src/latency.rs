//! How long a backend took lately for its response heads: counts by size, and their 99th percentile.
//!
//! Counting is one increment. The percentile is computed only when it is asked for, at most once a
//! second.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Between two powers of two there are so many buckets: what is read from them is too large by an
/// eighth at most.
const STEPS: usize = 8;
const STEP_BITS: u32 = STEPS.ilog2();

/// The last one takes all above four minutes.
const BUCKETS: usize = 16 * STEPS;

/// Counts are forgotten after one to two of these.
const HALF: Duration = Duration::from_secs(15);

/// How long a percentile is good for.
const FRESH: Duration = Duration::from_secs(1);

/// What one worker has measured at one backend.
#[derive(Debug)]
pub(crate) struct Latency {
    recent: [Cell<u32>; BUCKETS],
    before: [Cell<u32>; BUCKETS],
    /// When `recent` began.
    turned_at: Cell<Option<Instant>>,
    p99: Cell<Duration>,
    computed_at: Cell<Option<Instant>>,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self {
            recent: [const { Cell::new(0) }; BUCKETS],
            before: [const { Cell::new(0) }; BUCKETS],
            turned_at: Cell::new(None),
            p99: Cell::new(Duration::ZERO),
            computed_at: Cell::new(None),
        }
    }

    /// Counts one head.
    pub(crate) fn count(&self, took: Duration) {
        let count = &self.recent[bucket(took)];
        count.set(count.get().wrapping_add(1));
    }

    /// Forgets what is too old. Called in every sweep.
    pub(crate) fn sweep(&self, now: Instant) {
        let Some(turned_at) = self.turned_at.get() else {
            self.turned_at.set(Some(now));
            return;
        };
        if now.saturating_duration_since(turned_at) >= HALF {
            self.turned_at.set(Some(now));
            for (recent, before) in self.recent.iter().zip(&self.before) {
                before.set(recent.replace(0));
            }
        }
    }

    /// The time within which 99 of 100 recent heads came, too large by an eighth or a millisecond at
    /// most; zero while there are none.
    pub(crate) fn p99(&self, now: Instant) -> Duration {
        let is_fresh = |at| now.saturating_duration_since(at) < FRESH;
        if !self.computed_at.get().is_some_and(is_fresh) {
            self.computed_at.set(Some(now));
            self.p99.set(self.compute());
        }
        self.p99.get()
    }

    fn compute(&self) -> Duration {
        let counts = || {
            let both = self.recent.iter().zip(&self.before);
            both.map(|(recent, before)| u64::from(recent.get()) + u64::from(before.get()))
        };
        let all: u64 = counts().sum();
        if all == 0 {
            return Duration::ZERO;
        }
        let rank = (all * 99).div_ceil(100);
        let mut up_to = 0;
        let found = counts().position(|count| {
            up_to += count;
            up_to >= rank
        });
        found.map_or(Duration::ZERO, upper_bound)
    }
}

/// Where a duration is counted: by the millisecond at first, then in eighths of powers of two.
fn bucket(took: Duration) -> usize {
    let millis = took.as_secs().saturating_mul(1000).saturating_add(took.subsec_millis().into());
    if millis < STEPS as u64 {
        return millis as usize;
    }
    let shift = millis.ilog2() - STEP_BITS;
    let step = (millis >> shift) as usize;
    (shift as usize * STEPS + step).min(BUCKETS - 1)
}

/// What everything in the bucket is below.
fn upper_bound(bucket: usize) -> Duration {
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = bucket - shift * STEPS;
    Duration::from_millis((step as u64 + 1) << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn every_duration_is_just_below_the_bound_of_its_bucket() {
        for millis in 0..200_000 {
            let bound = upper_bound(bucket(ms(millis)));
            assert!(bound > ms(millis), "{millis} ms, {bound:?}");
            assert!(bound <= ms(millis + 1 + millis / 8), "{millis} ms, {bound:?}");
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn without_heads_it_is_zero() {
        assert_eq!(Latency::new().p99(Instant::now()), Duration::ZERO);
    }

    #[test]
    fn one_in_a_hundred_may_be_slow() {
        let now = Instant::now();
        let latency = Latency::new();
        (0..99).for_each(|_| latency.count(ms(10)));
        latency.count(ms(30_000));
        let p99 = latency.p99(now);
        assert!(p99 > ms(10) && p99 <= ms(12), "{p99:?}");
        latency.count(ms(30_000));
        assert_eq!(latency.p99(now), p99, "not before a second has passed");
        let p99 = latency.p99(now + FRESH);
        assert!(p99 > ms(30_000) && p99 <= ms(33_751), "{p99:?}");
    }

    #[test]
    fn old_heads_are_forgotten() {
        let now = Instant::now();
        let latency = Latency::new();
        latency.sweep(now);
        latency.count(ms(400));
        latency.sweep(now + HALF);
        assert!(latency.p99(now + HALF) > ms(400), "half of the time is over");
        latency.count(ms(20));
        latency.sweep(now + HALF + HALF);
        let p99 = latency.p99(now + HALF + HALF);
        assert!(p99 > ms(20) && p99 <= ms(24), "{p99:?}");
        latency.sweep(now + 3 * HALF);
        assert_eq!(latency.p99(now + 3 * HALF), Duration::ZERO);
    }
}
