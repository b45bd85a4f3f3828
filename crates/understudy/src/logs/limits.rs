//! How often the program may say the same: each place in the code has a bucket of tokens.
//!
//! What a person asks for, `debug` and `trace`, is never left out.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// What a place may say at once: every backend of a hundred services going down is no storm.
const BURST: f64 = 100.0;

/// What it may say in the long run.
const PER_SECOND: f64 = 2.0;

/// How long a place is remembered that says nothing.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The buckets of all places. There are as many places as there are in the code.
#[derive(Debug, Default)]
pub(super) struct Limits {
    buckets: Mutex<HashMap<Identifier, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    level: Level,
    place: String,
    tokens: f64,
    /// When they were counted.
    at: Instant,
    left_out: u64,
    /// When the first of those was left out, and what it said.
    since: Instant,
    like: String,
}

/// What one place was not allowed to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) level: Level,
    /// The file and line that said it.
    pub(super) place: String,
    /// The first of them.
    pub(super) like: String,
    pub(super) count: u64,
    pub(super) over: Duration,
}

impl Limits {
    fn buckets(&self) -> MutexGuard<'_, HashMap<Identifier, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `event` may be said at `now`; counts it if not.
    pub(super) fn may_say(&self, event: &Event<'_>, now: Instant) -> bool {
        let about = event.metadata();
        if *about.level() > Level::INFO {
            return true;
        }
        let mut buckets = self.buckets();
        let bucket = buckets.entry(about.callsite()).or_insert_with(|| Bucket {
            level: *about.level(),
            place: match (about.file(), about.line()) {
                (Some(file), Some(line)) => format!("{file}:{line}"),
                (_, _) => about.target().to_owned(),
            },
            tokens: BURST,
            at: now,
            left_out: 0,
            since: now,
            like: String::new(),
        });
        bucket.fill(now);
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return true;
        }
        if bucket.left_out == 0 {
            bucket.since = now;
            bucket.like = message(event);
        }
        bucket.left_out += 1;
        false
    }

    /// As if so much time had passed.
    #[cfg(test)]
    pub(super) fn pass(&self, time: Duration) {
        for bucket in self.buckets().values_mut() {
            bucket.at = bucket.at.checked_sub(time).expect("the machine runs for longer");
        }
    }

    /// What was left out since the last time, the worst first.
    pub(super) fn take_left_out(&self, now: Instant) -> Vec<LeftOut> {
        let mut buckets = self.buckets();
        let mut all: Vec<LeftOut> = Vec::new();
        buckets.retain(|_, bucket| {
            let count = std::mem::take(&mut bucket.left_out);
            if count > 0 {
                all.push(LeftOut {
                    level: bucket.level,
                    place: bucket.place.clone(),
                    like: std::mem::take(&mut bucket.like),
                    count,
                    over: now.saturating_duration_since(bucket.since),
                });
            }
            count > 0 || now.saturating_duration_since(bucket.at) < REMEMBERED
        });
        all.sort_by(|one, other| (one.level, &one.place).cmp(&(other.level, &other.place)));
        all
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * PER_SECOND).min(BURST);
        self.at = now;
    }
}

/// Asks the limits about each event of a subscriber.
#[derive(Debug)]
pub(super) struct Limiter<'a>(&'a Limits);

impl<'a> Limiter<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self(limits)
    }
}

impl<S: Subscriber> Layer<S> for Limiter<'static> {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.may_say(event, Instant::now())
    }
}

/// The words of an event.
fn message(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut found = Message(String::new());
    event.record(&mut found);
    found.0
}
