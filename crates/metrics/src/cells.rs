//! Counters that one thread writes and any thread reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts up. Written by the thread that owns it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down. Written by the thread that owns it.
///
/// What one worker adds another may take away (a connection that is handed over): then the single
/// values wrap around, and their wrapping sum is right.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }
    /// Takes one away.
    pub fn dec(&self) {
        self.sub(1);
    }
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// Takes `n` away.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }
    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many bounds a [`Histogram`] has; one more bucket takes what is above them all.
const BOUND_COUNT: usize = 18;

/// The inclusive upper bounds of the buckets in nanoseconds: 0.1 ms to 60 s. Each is at least twice
/// the one before it, which [`bucket`] relies on. The last entry is no bound but a stop for it.
const BOUNDS: [u64; BOUND_COUNT + 1] = [
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    60_000_000_000,
    u64::MAX,
];

/// Which bounds a scrape shows: of what there is one of per service, or once, all.
pub(crate) const ALL_BOUNDS: &[u64] = BOUNDS.split_at(BOUND_COUNT).0;

/// Of the durations of moves, of which each service has several histograms: 10 ms to 60 s.
pub(crate) const MOVE_BOUNDS: &[u64] = &[
    10_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// Of the durations of probes, of which each backend has a histogram: 1 ms to 5 s, with the 1 s that a
/// probe may take unless it is configured otherwise.
pub(crate) const PROBE_BOUNDS: &[u64] =
    &[1_000_000, 5_000_000, 20_000_000, 100_000_000, 500_000_000, 1_000_000_000, 5_000_000_000];

/// For each power of two the first bound that is not below it.
const FIRST: [u8; 64] = {
    let mut first = [0; 64];
    let mut power = 0;
    while power < 64 {
        let mut bound = 0;
        while BOUNDS[bound] < 1 << power {
            bound += 1;
        }
        first[power] = bound as u8;
        power += 1;
    }
    first
};

const _: () = {
    let mut bound = 1;
    while bound < BOUNDS.len() {
        assert!(BOUNDS[bound] / 2 >= BOUNDS[bound - 1]);
        bound += 1;
    }
};

/// The index of the bucket that `nanos` belongs to: between two powers of two there is at most one
/// bound, so one look-up and one comparison find it.
fn bucket(nanos: u64) -> usize {
    let first = usize::from(FIRST[(nanos | 1).ilog2() as usize]);
    first + usize::from(nanos > BOUNDS[first])
}

/// Durations by fixed buckets. Written by the thread that owns it.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUND_COUNT + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Records one duration.
    pub fn observe(&self, duration: Duration) {
        let nanos = duration
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(duration.subsec_nanos()));
        let bucket = &self.buckets[bucket(nanos)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
        self.sum_nanos.store(self.sum_nanos.load(Relaxed).wrapping_add(nanos), Relaxed);
    }
}

/// The sum of several histograms at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Distribution {
    counts: [u64; BOUND_COUNT + 1],
    sum_nanos: u64,
}

impl Distribution {
    /// Takes in what `histogram` holds. An observation that is made meanwhile may miss the sum; the
    /// number of observations is derived from the buckets, so these two always agree.
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (count, bucket) in self.counts.iter_mut().zip(&histogram.buckets) {
            *count = count.wrapping_add(bucket.load(Relaxed));
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(histogram.sum_nanos.load(Relaxed));
    }

    /// The `shown` of the upper bounds in seconds, each with the number of observations up to it.
    pub(crate) fn cumulative(&self, shown: &[u64]) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        let bounds = BOUNDS[..BOUND_COUNT].iter().zip(sums);
        let shown = bounds.filter(|(bound, _)| shown.contains(bound));
        shown.map(|(&nanos, sum)| (nanos as f64 / 1e9, sum))
    }

    /// How many observations there are.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All observations together, in seconds.
    pub(crate) fn sum_seconds(&self) -> f64 {
        self.sum_nanos as f64 / 1e9
    }
}

/// Who is to blame for a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client: a bad request, or it went away.
    Downstream,
    /// The backend: it refused, broke off, was too slow, or nobody was active.
    Upstream,
    /// Us: a limit of ours, or a bug.
    Internal,
}

/// One worker's counts for one service.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServiceCells {
    /// Answers sent, by class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub requests: [Counter; 5],
    /// From the request head read to the response head handed to the client.
    pub latency: Histogram,
    /// Requests begun and not ended.
    pub in_flight: Gauge,
    /// Requests that had to wait for an active.
    pub held_total: Counter,
    /// Requests waiting for an active now.
    pub held: Gauge,
    /// Bytes of bodies kept by waiting requests now.
    pub held_bytes: Gauge,
    /// Requests turned away because too many, or too many bytes, were waiting.
    pub hold_overflows: Counter,
    /// Requests that waited longer than the limit.
    pub hold_timeouts: Counter,
    /// Requests sent again.
    pub replayed: Counter,
    /// Requests that failed: downstream, upstream, internal.
    pub failed: [Counter; 3],
    /// Answers to tagged requests, by class; they are not among the others.
    pub drill_requests: [Counter; 5],
    /// Requests, responses and tunnels taken from their backend at the deadline of a drain.
    pub cut: Counter,
    /// Connections that switched protocols (WebSocket) and are open.
    pub streams: Gauge,
    /// Streams that were at a backend when the traffic left it.
    pub streams_left: Counter,
    /// Streams closed by us because the traffic had left their backend.
    pub streams_closed: Counter,
}

impl ServiceCells {
    /// Counts a failed request.
    pub fn fail(&self, blame: Blame) {
        self.failed[blame as usize].inc();
    }
}

/// One worker's counts for one backend of a service.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct BackendCells {
    /// Requests sent (attempts).
    pub attempts: Counter,
    /// Connections opened.
    pub connects: Counter,
    /// Connections that could not be opened.
    pub connect_failures: Counter,
    /// Attempts that used an idle connection.
    pub reuses: Counter,
    /// Requests, responses and tunnels there now.
    pub in_flight: Gauge,
    /// Idle connections kept.
    pub idle: Gauge,
    /// Suspicions raised: refused, reset, TLS failure, stalled, errors, drain.
    pub suspicions: [Counter; 6],
}

/// One worker's counts for one listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerCells {
    /// Client connections accepted.
    pub accepted: Counter,
    /// Client connections open.
    pub connections: Gauge,
    /// Times the limit on open connections was reached; further clients wait until one leaves.
    pub over_limit: Counter,
    /// Connections refused because their client had too many.
    pub over_client_limit: Counter,
    /// Connections that ended within the PROXY header or the TLS handshake.
    pub handshake_failures: Counter,
    /// Connections over which HTTP/2 is, or was, spoken.
    pub http2: Counter,
    /// HTTP/2 connections ended because their client reset too many requests.
    pub floods: Counter,
    /// `accept` failed, for example for want of file descriptors.
    pub accept_errors: Counter,
    /// Requests that could not be understood and were answered by the parser (400, 414, 431).
    pub bad_requests: Counter,
    /// Request heads that did not arrive in time (408).
    pub header_timeouts: Counter,
    /// Connections handed to a worker that had fewer.
    pub handed_over: Counter,
    /// Requests that no route matches (404), or refused before a service was chosen.
    pub unrouted: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bucket as its definition has it.
    fn searched(nanos: u64) -> usize {
        BOUNDS.iter().position(|&bound| nanos <= bound).expect("the last one stops every search")
    }

    #[test]
    fn a_value_on_a_bound_belongs_to_its_bucket() {
        for (index, &bound) in BOUNDS[..BOUND_COUNT].iter().enumerate() {
            assert_eq!(bucket(bound), index);
            assert_eq!(bucket(bound - 1), index);
            assert_eq!(bucket(bound + 1), index + 1);
        }
    }

    /// A bound that no bucket ends at would be left out without a word.
    #[test]
    fn only_bounds_that_there_are_are_shown() {
        for shown in [MOVE_BOUNDS, PROBE_BOUNDS, ALL_BOUNDS] {
            assert_eq!(Distribution::default().cumulative(shown).count(), shown.len(), "{shown:?}");
        }
        assert_eq!(ALL_BOUNDS.len(), BOUND_COUNT);
    }

    #[test]
    fn the_look_up_equals_a_search() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), BOUND_COUNT);
        for power in 0..64 {
            let nanos = 1_u64 << power;
            for nanos in [nanos - 1, nanos, nanos + 1, nanos + nanos / 2, nanos + (nanos - 1)] {
                assert_eq!(bucket(nanos), searched(nanos), "{nanos} ns");
            }
        }
    }

    #[test]
    fn histograms_add_up() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.observe(Duration::from_micros(100));
        one.observe(Duration::from_millis(3));
        other.observe(Duration::from_millis(3));
        other.observe(Duration::from_secs(61));
        let mut sum = Distribution::default();
        sum.add(&one);
        sum.add(&other);

        let cumulative: Vec<_> = sum.cumulative(ALL_BOUNDS).collect();
        assert_eq!(cumulative.len(), BOUND_COUNT);
        assert_eq!(cumulative[0], (0.0001, 1));
        assert_eq!(cumulative[4], (0.002, 1));
        assert_eq!(cumulative[5], (0.005, 3));
        assert_eq!(cumulative[17], (60.0, 3), "61 s is above every bound");
        let few: Vec<_> = sum.cumulative(PROBE_BOUNDS).collect();
        assert_eq!(few[..2], [(0.001, 1), (0.005, 3)], "what is left out is in the next one shown");
        assert_eq!(sum.count(), 4);
        assert!((sum.sum_seconds() - 61.0061).abs() < 1e-9, "{}", sum.sum_seconds());
    }

    #[test]
    fn a_duration_too_long_for_its_unit_saturates() {
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        let mut sum = Distribution::default();
        sum.add(&histogram);
        assert_eq!((sum.count(), sum.sum_nanos), (1, u64::MAX));
    }

    #[test]
    fn a_gauge_may_be_raised_here_and_lowered_there() {
        let (here, there) = (Gauge::default(), Gauge::default());
        here.add(7);
        here.inc();
        there.sub(5);
        there.dec();
        assert_eq!(here.get().wrapping_add(there.get()), 2);
    }
}
