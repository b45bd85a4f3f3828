//! When a service may fail back by itself: a window that opens by a cron pattern, in a time zone.
//!
//! Pure: whoever asks says what time it is, and the rules of time zones are those that are built in,
//! so that a config means the same on every machine, also on one without any.

use std::fmt;
use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, CronPattern};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use crate::kinds::show_duration;

/// Opens at every time that the cron pattern names, and closes `length` later. Openings that overlap
/// are one.
///
/// Clocks that go forward over an opening at a fixed time open it right after the gap; clocks that go
/// back over one open it the first time only. The length is time that passes, whatever the clocks do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailbackWindow {
    /// As the user wrote it.
    pattern: String,
    cron: Cron,
    length: Duration,
    time_zone: TimeZone,
}

/// Most characters of a pattern.
const PATTERN_LENGTH: usize = 100;
/// How many overlapping openings are followed before [`FailbackWindow::at`] says "not before".
const OVERLAPS: usize = 1000;

/// Why there is no such window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The pattern cannot be read.
    Pattern,
    /// It names no time at all, such as 30 February.
    Never,
}

impl FailbackWindow {
    /// `length` must be above zero.
    pub(crate) fn new(pattern: &str, length: Duration, time_zone: TimeZone) -> Result<Self, Fault> {
        let cron = parse(pattern)?;
        let window = Self { pattern: pattern.trim().to_owned(), cron, length, time_zone };
        // Patterns have no years: what is never in four hundred of them, is never.
        if window.next(Timestamp::UNIX_EPOCH).is_none() {
            return Err(Fault::Never);
        }
        Ok(window)
    }

    /// The cron pattern: minute, hour, day of the month, month, day of the week.
    #[must_use]
    pub fn cron(&self) -> &str {
        &self.pattern
    }

    /// For how long it opens; above zero.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// The name of the time zone, for example `Europe/Madrid`.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        self.time_zone.iana_name().unwrap_or("UTC")
    }

    /// Whether it is open at `now`, and when that changes; `None`: not as far as the calendar goes.
    ///
    /// Where openings overlap a thousand times and more, it is the time until which it is open at
    /// least: ask again then.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> (bool, Option<Timestamp>) {
        let Some(mut end) = self.previous(now).and_then(|start| self.end(start)) else {
            return (false, self.next(now));
        };
        if end <= now {
            return (false, self.next(now));
        }
        for _ in 0..OVERLAPS {
            // The last opening before the end so far may move it.
            let later = self.previous(end).and_then(|start| self.end(start));
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

    /// The last opening at or before `now`.
    fn previous(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.time_zone.clone());
        self.cron.find_previous_occurrence(&now, true).ok().map(|start| start.timestamp())
    }

    /// The first opening after `now`.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.time_zone.clone());
        self.cron.find_next_occurrence(&now, false).ok().map(|start| start.timestamp())
    }
}

/// `Saturdays at 02:00 for 2h (Europe/Madrid)`.
impl fmt::Display for FailbackWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = show_duration(self.length);
        write!(f, "{} for {length} ({})", in_words(&self.cron), self.time_zone())
    }
}

const DAYS: [&str; 7] =
    ["Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays"];

/// `Saturdays at 02:00`, or what else the pattern says.
fn in_words(cron: &Cron) -> String {
    let CronPattern { minutes, hours, months, days_of_week, .. } = &cron.pattern;
    let by_weekday = cron.pattern.is_dom_wildcard() && months.values().len() == 12;
    let days = days_of_week.values();
    let plain = by_weekday && !days_of_week.has_modifiers();
    match (minutes.values().as_slice(), hours.values().as_slice()) {
        ([minute], [hour]) if plain => {
            let days: Vec<&str> = DAYS
                .iter()
                .zip(0..)
                .filter(|(_, day)| days.contains(day))
                .map(|(name, _)| *name)
                .collect();
            let days = match days.as_slice() {
                [first @ .., last] if (1..6).contains(&first.len()) => {
                    format!("{} and {last}", first.join(", "))
                }
                [only] => (*only).to_owned(),
                _ => "every day".to_owned(),
            };
            format!("{days} at {hour:02}:{minute:02}")
        }
        _ => {
            let text = cron.describe();
            let text = text.trim_end_matches('.');
            let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
            format!("{}{rest},", first.to_lowercase())
        }
    }
}

/// Five fields, or a word such as `@daily`.
fn parse(pattern: &str) -> Result<Cron, Fault> {
    let known = |c: char| c.is_ascii_alphanumeric() || " *,-/#@?".contains(c);
    if pattern.len() > PATTERN_LENGTH || !pattern.chars().all(known) {
        return Err(Fault::Pattern);
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(pattern).map_err(|_| Fault::Pattern)
}

/// The time zone of this name, in the spelling of the database.
pub(crate) fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// Every name there is.
pub(crate) fn time_zones() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests;
