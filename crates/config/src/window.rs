//! When a service may fail back by itself: a window that opens by a cron pattern, in a time zone.
//!
//! Pure: whoever asks says what time it is, and the rules of time zones are those that are built in,
//! so that a config means the same on every machine, also on one without any.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cron::{CronTimes, Fault};
use crate::kinds::show_duration;

/// Opens at every time that the cron pattern names, and closes `length` later. Openings that overlap
/// are one.
///
/// Clocks that go forward over an opening at a fixed time open it right after the gap; clocks that go
/// back over one open it the first time only. The length is time that passes, whatever the clocks do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailbackWindow {
    times: CronTimes,
    length: Duration,
}

/// How many overlapping openings are followed before [`FailbackWindow::at`] says "not before".
const OVERLAPS: usize = 1000;

impl FailbackWindow {
    /// `length` must be above zero.
    pub(crate) fn new(pattern: &str, length: Duration, time_zone: TimeZone) -> Result<Self, Fault> {
        Ok(Self { times: CronTimes::new(pattern, time_zone)?, length })
    }

    /// The cron pattern: minute, hour, day of the month, month, day of the week.
    #[must_use]
    pub fn cron(&self) -> &str {
        self.times.pattern()
    }

    /// For how long it opens; above zero.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// The name of the time zone, for example `Europe/Madrid`.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        self.times.time_zone()
    }

    /// Whether it is open at `now`, and when that changes; `None`: not as far as the calendar goes.
    ///
    /// Where openings overlap a thousand times and more, it is the time until which it is open at
    /// least: ask again then.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> (bool, Option<Timestamp>) {
        let Some(mut end) = self.times.previous(now).and_then(|start| self.end(start)) else {
            return (false, self.times.next(now));
        };
        if end <= now {
            return (false, self.times.next(now));
        }
        for _ in 0..OVERLAPS {
            // The last opening before the end so far may move it.
            let later = self.times.previous(end).and_then(|start| self.end(start));
            match later.filter(|later| *later > end) {
                Some(later) => end = later,
                None => break,
            }
        }
        (true, Some(end))
    }

    fn end(&self, start: Timestamp) -> Option<Timestamp> {
        let length = SignedDuration::try_from(self.length).ok()?;
        start.checked_add(length).ok()
    }
}

/// `Saturdays at 02:00 for 2h (Europe/Madrid)`.
impl fmt::Display for FailbackWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = show_duration(self.length);
        write!(f, "{} for {length} ({})", self.times, self.time_zone())
    }
}

#[cfg(test)]
mod tests;
