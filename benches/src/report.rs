//! What became of every request of a load, and what follows from it.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// One request. Times count from the start of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its number, from 0; an order's id.
    pub index: u64,
    /// When it was due.
    pub scheduled: Duration,
    /// When it was handed to a connection; `None` if there was no connection.
    pub sent: Option<Duration>,
    /// When its answer was complete, or it had failed.
    pub finished: Duration,
    /// The answer's status, if it was complete.
    pub status: Option<u16>,
    /// The answer's `x-origin`.
    pub origin: Option<String>,
    /// The answer's `retry-after`.
    pub retry_after: Option<String>,
    /// Why there was no complete answer.
    pub error: Option<String>,
}

impl Sample {
    /// Whether it was answered completely, with a 2xx.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What became of a load.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the load began, in nanoseconds since the Unix epoch; to compare with journals.
    pub begun_ns: u64,
    /// Every request, in the order of the ends.
    pub samples: Vec<Sample>,
}

impl Report {
    /// Of these requests, in any order.
    #[must_use]
    pub fn new(begun_ns: u64, mut samples: Vec<Sample>) -> Self {
        samples.sort_by_key(|sample| sample.finished);
        Self { begun_ns, samples }
    }

    /// Those that did not succeed.
    #[must_use]
    pub fn failed(&self) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| !sample.succeeded()).collect()
    }

    /// How many had this status.
    #[must_use]
    pub fn with_status(&self, status: u16) -> usize {
        self.samples.iter().filter(|sample| sample.status == Some(status)).count()
    }

    /// The longest time in which no request succeeded, from the first to the last due time.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        let last = self.samples.iter().map(|sample| sample.scheduled).max().unwrap_or_default();
        let successes = self.samples.iter().filter(|sample| sample.succeeded());
        let mut longest = Duration::ZERO;
        let mut before = Duration::ZERO;
        for at in successes.map(|sample| sample.finished).chain([last]) {
            longest = longest.max(at.saturating_sub(before));
            before = before.max(at);
        }
        longest
    }

    /// The latency that `share` (0 to 1) of the requests did not exceed, from the time each was due;
    /// failed ones count with the time it took them to fail. Zero without requests.
    #[must_use]
    pub fn latency(&self, share: f64) -> Duration {
        let mut all: Vec<_> =
            self.samples.iter().map(|sample| sample.finished - sample.scheduled).collect();
        all.sort_unstable();
        let rank = (share.clamp(0.0, 1.0) * all.len() as f64).ceil() as usize;
        all.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Which origin answered, in the order of the answers, with how many in a row.
    #[must_use]
    pub fn origins(&self) -> Vec<(String, usize)> {
        let mut runs: Vec<(String, usize)> = Vec::new();
        for origin in self.samples.iter().filter_map(|sample| sample.origin.as_ref()) {
            match runs.last_mut() {
                Some((name, count)) if name == origin => *count += 1,
                Some(_) | None => runs.push((origin.clone(), 1)),
            }
        }
        runs
    }

    /// The same as numbers: milliseconds, counts.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let failed = self.failed();
        json!({
            "requests": self.samples.len(),
            "failed": failed.len(),
            "first_failure": failed.first().map(|sample| format!("{sample:?}")),
            "longest_gap_ms": ms(self.longest_gap()),
            "p50_ms": ms(self.latency(0.50)),
            "p90_ms": ms(self.latency(0.90)),
            "p99_ms": ms(self.latency(0.99)),
            "max_ms": ms(self.latency(1.0)),
            "origins": self.origins(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sample(index: u64, finished: u32, status: u16, origin: &str) -> Sample {
        Sample {
            index,
            scheduled: MS * u32::try_from(index).expect("small") * 10,
            sent: Some(Duration::ZERO),
            finished: MS * finished,
            status: Some(status),
            origin: Some(origin.to_owned()),
            retry_after: None,
            error: None,
        }
    }

    #[test]
    fn a_gap_is_between_successes_only() {
        let samples = vec![
            sample(0, 1, 200, "a"),
            sample(1, 11, 503, "a"),
            sample(2, 21, 502, "a"),
            sample(3, 61, 201, "b"),
        ];
        let report = Report::new(0, samples);
        assert_eq!(report.longest_gap(), MS * 60);
        assert_eq!(report.failed().len(), 2);
        assert_eq!(report.with_status(503), 1);
    }

    #[test]
    fn a_gap_that_never_ends_reaches_to_the_last_due_time() {
        let mut samples = vec![sample(0, 1, 200, "a")];
        samples.extend((1..=9).map(|index| sample(index, 95, 503, "a")));
        assert_eq!(Report::new(0, samples).longest_gap(), MS * 89);
    }

    #[test]
    fn latency_counts_from_the_due_time() {
        // All ten end at once at 100 ms: the first waited 100 ms, the last 10 ms.
        let report = Report::new(0, (0..10).map(|i| sample(i, 100, 200, "a")).collect());
        assert_eq!(report.latency(1.0), MS * 100);
        assert_eq!(report.latency(0.5), MS * 50);
        assert_eq!(report.latency(0.0), MS * 10);
        assert_eq!(Report::new(0, Vec::new()).latency(0.5), Duration::ZERO);
    }

    #[test]
    fn origins_come_in_the_order_of_the_answers() {
        let samples =
            vec![sample(1, 30, 200, "b"), sample(0, 20, 200, "a"), sample(2, 40, 200, "b")];
        let runs = Report::new(0, samples).origins();
        assert_eq!(runs, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    }
}
