//! Times that a cron pattern names, in a time zone.
//!
//! Pure: whoever asks says what time it is, and the rules of time zones are those that are built in,
//! so that a config means the same on every machine, also on one without any.

use std::fmt;

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, CronPattern};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::problem::quoted;
use crate::report::Complaint;
use crate::suggest::closest;

/// The times that a cron pattern names.
///
/// Clocks that go forward over a fixed time name the one right after the gap; clocks that go back over
/// one name the first of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronTimes {
    /// As the user wrote it.
    pattern: String,
    cron: Cron,
    time_zone: TimeZone,
}

/// Most characters of a pattern.
const PATTERN_LENGTH: usize = 100;

/// Why there are no such times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The pattern cannot be read.
    Pattern,
    /// It names no time at all, such as 30 February.
    Never,
}

impl Fault {
    /// What to tell whoever wrote `pattern`; `never` is what follows from one that never comes.
    pub(crate) fn complaint(&self, pattern: &str, never: &str) -> Complaint {
        match self {
            Self::Pattern => Complaint::new(format!("{} is not a cron pattern", quoted(pattern)))
                .advice(
                "write minute, hour, day of the month, month and day of the week, for example `0 2 * * sat`",
            ),
            Self::Never => Complaint::new(format!("{} never comes", quoted(pattern))).advice(never),
        }
    }
}

impl CronTimes {
    pub(crate) fn new(pattern: &str, time_zone: TimeZone) -> Result<Self, Fault> {
        let cron = parse(pattern)?;
        let times = Self { pattern: pattern.trim().to_owned(), cron, time_zone };
        // Patterns have no years: what is never in four hundred of them, is never.
        if times.next(Timestamp::UNIX_EPOCH).is_none() {
            return Err(Fault::Never);
        }
        Ok(times)
    }

    /// The cron pattern: minute, hour, day of the month, month, day of the week.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The name of the time zone, for example `Europe/Madrid`.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        self.time_zone.iana_name().unwrap_or("UTC")
    }

    /// The first of them after `now`; `None`: not as far as the calendar goes.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.time_zone.clone());
        self.cron.find_next_occurrence(&now, false).ok().map(|start| start.timestamp())
    }

    /// The last of them at or before `now`; `None`: not as far as the calendar goes.
    #[must_use]
    pub fn previous(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.time_zone.clone());
        self.cron.find_previous_occurrence(&now, true).ok().map(|start| start.timestamp())
    }
}

/// `Saturdays at 02:00`, without the time zone.
impl fmt::Display for CronTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(&self.cron))
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
pub(crate) fn parse(pattern: &str) -> Result<Cron, Fault> {
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

/// A time zone that a user names.
pub(crate) fn parse_time_zone(name: &str) -> Result<TimeZone, Complaint> {
    time_zone(name).ok_or_else(|| {
        let names = time_zones();
        let complaint = Complaint::new(format!("{} is not a time zone", quoted(name)));
        complaint.advice(match closest(name, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {}?", quoted(name)),
            None => "write a name such as `Europe/Madrid` or `UTC`".to_owned(),
        })
    })
}
