//! What the load counts: answers by backend, failures, latency, and the longest time without a
//! success.
//!
//! Reads no clock: every method is told the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Latency and rate are those of the answers within this time.
const WINDOW: Duration = Duration::from_secs(5);
/// Answers kept for it: four times as many as the load sends.
const SAMPLES: usize = 4096;
/// Seconds kept for the strip: the widest terminal we care for.
const SECONDS: usize = 300;

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Who gave it.
    pub(super) backend: String,
    /// Since the request was due.
    pub(super) latency: Duration,
    /// Whether it was for a POST.
    pub(super) post: bool,
}

/// What happened within one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Second {
    /// Good answers by backend.
    pub(super) answered: [u32; 2],
    /// Requests that failed.
    pub(super) failed: u32,
}

/// A time without a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The last success before it.
    pub(super) from: Instant,
    /// How long it was.
    pub(super) length: Duration,
}

/// What was counted, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Requests sent.
    pub(super) sent: u64,
    /// Good answers.
    pub(super) answered: u64,
    /// Good answers to POSTs.
    pub(super) posts: u64,
    /// Requests that failed: an answer other than 200, or none.
    pub(super) failed: u64,
    /// Requests whose answers had not come when the load ended.
    pub(super) unanswered: u64,
    /// How the last failed.
    pub(super) last_failure: Option<String>,
    /// Good answers per second, over the last seconds.
    pub(super) rate: f64,
    /// Half of the last seconds' answers took no longer; `None` when there were none.
    pub(super) p50: Option<Duration>,
    /// 99 of 100 took no longer.
    pub(super) p99: Option<Duration>,
    /// One per second since the start, the current one last; the latest 300.
    pub(super) seconds: Vec<Second>,
    /// The longest time without a success in this stretch, which may be going on.
    pub(super) longest_gap: Option<Gap>,
}

/// The counters.
#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    backends: [&'static str; 2],
    sent: u64,
    answered: u64,
    posts: u64,
    failed: u64,
    unanswered: u64,
    last_failure: Option<String>,
    samples: VecDeque<(Instant, Duration)>,
    /// The first is that of `first_second`.
    seconds: VecDeque<Second>,
    first_second: u64,
    last_success: Option<Instant>,
    longest_gap: Option<Gap>,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(started: Instant, backends: [&'static str; 2]) -> Self {
        Self {
            started,
            backends,
            sent: 0,
            answered: 0,
            posts: 0,
            failed: 0,
            unanswered: 0,
            last_failure: None,
            samples: VecDeque::new(),
            seconds: VecDeque::new(),
            first_second: 0,
            last_success: None,
            longest_gap: None,
        }
    }

    /// A request was sent.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// A request was answered well. A name that is not one of ours is a failure.
    pub(super) fn answered(&mut self, now: Instant, answer: &Answer) {
        let Some(backend) = self.backends.iter().position(|name| *name == answer.backend) else {
            self.failed(now, format!("answered by {:?}", answer.backend));
            return;
        };
        self.answered += 1;
        self.posts += u64::from(answer.post);
        self.second(now).answered[backend] += 1;
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now, answer.latency));
        self.longest_gap = self.longest_gap(now);
        self.last_success = Some(now);
    }

    /// A request failed.
    pub(super) fn failed(&mut self, now: Instant, why: String) {
        self.failed += 1;
        self.second(now).failed += 1;
        self.last_failure = Some(why);
    }

    /// The load has ended without the answers to this many requests.
    pub(super) fn unanswered(&mut self, requests: usize) {
        self.unanswered += requests as u64;
    }

    /// Forgets the longest gap, but not the last success: what is going on counts.
    pub(super) fn begin_stretch(&mut self) {
        self.longest_gap = None;
    }

    /// What was counted up to `now`.
    pub(super) fn figures(&mut self, now: Instant) -> Figures {
        self.second(now);
        while self.samples.front().is_some_and(|(at, _)| *at + WINDOW < now) {
            self.samples.pop_front();
        }
        let mut latencies: Vec<Duration> = self.samples.iter().map(|(_, took)| *took).collect();
        latencies.sort_unstable();
        let window = WINDOW.min(now.saturating_duration_since(self.started)).as_secs_f64();
        Figures {
            sent: self.sent,
            answered: self.answered,
            posts: self.posts,
            failed: self.failed,
            unanswered: self.unanswered,
            last_failure: self.last_failure.clone(),
            rate: if window > 0.0 { latencies.len() as f64 / window } else { 0.0 },
            p50: quantile(&latencies, 50),
            p99: quantile(&latencies, 99),
            seconds: self.seconds.iter().copied().collect(),
            longest_gap: self.longest_gap(now),
        }
    }

    /// The longest gap of this stretch if the one going on ended now.
    fn longest_gap(&self, now: Instant) -> Option<Gap> {
        let current =
            self.last_success.map(|from| Gap { from, length: now.saturating_duration_since(from) });
        match (self.longest_gap, current) {
            (Some(longest), Some(current)) if longest.length >= current.length => Some(longest),
            (longest, current) => current.or(longest),
        }
    }

    /// The counts of the second that `now` is in, after empty ones for those that were silent.
    fn second(&mut self, now: Instant) -> &mut Second {
        let number = now.saturating_duration_since(self.started).as_secs();
        let wanted = number.saturating_sub(self.first_second) as usize;
        if wanted >= self.seconds.len() + SECONDS {
            self.seconds.clear();
            self.first_second = number;
        }
        while self.first_second + self.seconds.len() as u64 <= number {
            if self.seconds.len() == SECONDS {
                self.seconds.pop_front();
                self.first_second += 1;
            }
            self.seconds.push_back(Second::default());
        }
        let index = number.saturating_sub(self.first_second) as usize;
        &mut self.seconds[index]
    }
}

/// The nearest-rank quantile of sorted values.
fn quantile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn answer(backend: &str, latency: Duration) -> Answer {
        Answer { backend: backend.into(), latency, post: false }
    }

    #[test]
    fn the_longest_gap_is_between_two_successes_or_going_on() {
        let start = Instant::now();
        let mut tally = Tally::new(start, ["a", "b"]);
        assert_eq!(tally.figures(start).longest_gap, None, "nothing has succeeded yet");
        for at in [10, 20, 230, 240] {
            tally.answered(start + MS * at, &answer("a", MS));
        }
        let gap = tally.figures(start + MS * 250).longest_gap;
        assert_eq!(gap, Some(Gap { from: start + MS * 20, length: MS * 210 }));

        tally.begin_stretch();
        let gap = tally.figures(start + MS * 300).longest_gap;
        assert_eq!(gap, Some(Gap { from: start + MS * 240, length: MS * 60 }), "going on");
        tally.failed(start + MS * 400, "503".into());
        tally.answered(start + MS * 500, &answer("b", MS));
        let gap = tally.figures(start + MS * 500).longest_gap;
        let expected = Gap { from: start + MS * 240, length: MS * 260 };
        assert_eq!(gap, Some(expected), "a failure does not end it");
    }

    #[test]
    fn seconds_are_counted_by_backend_and_silent_ones_are_there() {
        let start = Instant::now();
        let mut tally = Tally::new(start, ["a", "b"]);
        tally.answered(start, &answer("a", MS));
        tally.answered(start + MS * 999, &answer("a", MS));
        tally.answered(start + MS * 2000, &answer("b", MS));
        tally.failed(start + MS * 2500, "503".into());
        let figures = tally.figures(start + MS * 3100);
        let seconds: Vec<_> =
            figures.seconds.iter().map(|second| (second.answered, second.failed)).collect();
        assert_eq!(seconds, [([2, 0], 0), ([0, 0], 0), ([0, 1], 1), ([0, 0], 0)]);
        assert_eq!((figures.answered, figures.failed), (3, 1));
        assert_eq!(figures.last_failure.as_deref(), Some("503"));
    }

    #[test]
    fn the_strip_is_bounded_also_after_a_long_silence() {
        let start = Instant::now();
        let mut tally = Tally::new(start, ["a", "b"]);
        for second in [0, 1, 299, 300, 100_000] {
            tally.answered(start + Duration::from_secs(second), &answer("a", MS));
        }
        let seconds = tally.figures(start + Duration::from_secs(100_001)).seconds;
        assert_eq!(seconds.iter().map(|second| second.answered[0]).collect::<Vec<_>>(), [1, 0]);
        for second in 100_002..100_500 {
            tally.answered(start + Duration::from_secs(second), &answer("b", MS));
        }
        let seconds = tally.figures(start + Duration::from_secs(100_499)).seconds;
        assert_eq!(seconds.len(), SECONDS);
        assert!(seconds.iter().all(|second| second.answered == [0, 1]));
    }

    #[test]
    fn latency_and_rate_are_those_of_the_last_seconds() {
        let start = Instant::now();
        let mut tally = Tally::new(start, ["a", "b"]);
        tally.answered(start, &answer("a", MS * 900));
        for number in 1..=100 {
            tally.answered(start + MS * (6000 + number), &answer("a", MS * number));
        }
        let figures = tally.figures(start + MS * 6200);
        assert_eq!((figures.p50, figures.p99), (Some(MS * 50), Some(MS * 99)));
        assert!((figures.rate - 20.0).abs() < 1e-9, "100 answers in 5 s, not {}", figures.rate);
        let later = tally.figures(start + MS * 20_000);
        assert_eq!((later.p50, later.p99), (None, None));
    }

    #[test]
    fn an_answer_from_a_stranger_is_a_failure() {
        let start = Instant::now();
        let mut tally = Tally::new(start, ["a", "b"]);
        tally.answered(start, &answer("c", MS));
        let figures = tally.figures(start);
        assert_eq!((figures.answered, figures.failed), (0, 1));
    }
}
