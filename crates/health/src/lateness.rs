//! Notices that we were late ourselves. Pure: the caller brings the time.
//!
//! A probe that timed out or was broken off while this process did not get to run (a starved core, a
//! stopped process, a paused virtual machine, a blocked runtime) says nothing of the backend: its
//! answer may have been there all the time, unread, or it gave up waiting for us.

use std::time::{Duration, Instant};

/// Looked at often while probes run; a long time between two looks is time that we lost.
#[derive(Debug)]
pub(crate) struct Lateness {
    /// More than this between two looks is a stall.
    tolerance: Duration,
    looked: Instant,
    /// When the last stall ended.
    stalled: Option<Instant>,
}

impl Lateness {
    /// Tolerates a quarter of the probe's `timeout`.
    pub(crate) fn new(timeout: Duration, now: Instant) -> Self {
        Self { tolerance: timeout / 4, looked: now, stalled: None }
    }

    /// How often to look: a stall is measured from the last look before it, so that looking seldom
    /// would take the pauses between looks for stalls.
    pub(crate) fn look_again(&self) -> Duration {
        self.tolerance / 4
    }

    /// Looks. It does not matter how long nobody looked while no probe was running: only a probe
    /// that began before the stall ended is concerned.
    pub(crate) fn look(&mut self, now: Instant) {
        if now.saturating_duration_since(self.looked) > self.tolerance {
            self.stalled = Some(now);
        }
        self.looked = now;
    }

    /// Whether we were late at any time since `began`.
    pub(crate) fn since(&self, began: Instant) -> bool {
        self.stalled.is_some_and(|stalled| stalled > began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn looking_in_time_is_not_late() {
        let start = Instant::now();
        let mut lateness = Lateness::new(ms(1000), start);
        for look in 1..=16 {
            lateness.look(start + lateness.look_again() * look);
        }
        lateness.look(start + ms(1000) + ms(250));
        assert!(!lateness.since(start));
    }

    #[test]
    fn a_stall_concerns_the_probes_that_saw_it() {
        let start = Instant::now();
        let mut lateness = Lateness::new(ms(1000), start);
        lateness.look(start + ms(251));
        assert!(lateness.since(start));
        assert!(lateness.since(start + ms(250)), "it began during the stall");
        assert!(!lateness.since(start + ms(251)));
        lateness.look(start + ms(400));
        assert!(lateness.since(start), "that we caught up again does not undo it");
        assert!(!lateness.since(start + ms(300)));
    }

    #[test]
    fn time_without_probes_concerns_none() {
        let start = Instant::now();
        let mut lateness = Lateness::new(ms(1000), start);
        lateness.look(start + ms(3_600_000));
        assert!(!lateness.since(start + ms(3_600_000)));
    }
}
