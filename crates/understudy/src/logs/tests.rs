//! A storm of the same line becomes a few of them, and a sum.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;

/// What was logged.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn count(&self, words: &str) -> usize {
        let logged = self.0.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&logged).lines().filter(|line| line.contains(words)).count()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs to lines, within limits of its own.
fn subscriber() -> (Lines, &'static Limits, impl tracing::Subscriber + Send + Sync) {
    let lines = Lines::default();
    let limits: &Limits = Box::leak(Box::default());
    let to = lines.clone();
    let logs = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || to.clone());
    (lines, limits, logs.finish().with(Limiter::new(limits)))
}

#[test]
fn a_storm_becomes_a_few_lines_and_a_sum() {
    let (lines, limits, subscriber) = subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let began = Instant::now();
        for number in 0..10_000 {
            tracing::warn!(number, "the same again");
            tracing::error!(number, "worse");
            if number % 1000 == 0 {
                tracing::warn!("seldom");
            }
            tracing::debug!("asked for");
        }
        // The bucket fills a little while the storm lasts.
        let most = 100 + 2 * (began.elapsed().as_secs() as usize + 1);
        for words in ["the same again", "worse"] {
            let said = lines.count(words);
            assert!((100..=most).contains(&said), "{words}: {said}");
        }
        assert_eq!(lines.count("seldom"), 10, "another place has a bucket of its own");
        assert_eq!(lines.count("asked for"), 10_000, "what a person asks for is said");

        let warned = 10_000 - lines.count("the same again");
        say(limits.take_left_out(began + Duration::from_secs(10)));
        let sum = format!("{warned} more like this in the last 10 s");
        let logged = lines.0.lock().map(|logged| String::from_utf8_lossy(&logged).into_owned());
        let logged = logged.expect("nobody panicked");
        let sums: Vec<_> = logged.lines().filter(|line| line.contains("more like this")).collect();
        // The worst first.
        assert!(
            matches!(sums[..], [error, warning]
            if error.contains("ERROR") && error.contains("worse")
                && warning.contains("WARN") && warning.contains(&sum)
                && warning.contains("the same again")),
            "{sums:?}"
        );
        assert_eq!(limits.take_left_out(Instant::now()), [], "it is said once");
    });
}

#[test]
fn what_comes_after_a_storm_is_said_again() {
    let (lines, limits, subscriber) = subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let say = |times: usize| (0..times).for_each(|_| tracing::warn!("again"));
        say(1000);
        let before = lines.count("again");
        // As if a minute had passed.
        limits.pass(Duration::from_secs(60));
        say(1);
        assert_eq!(lines.count("again"), before + 1);
    });
}
