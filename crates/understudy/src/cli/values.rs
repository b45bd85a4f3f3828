//! Values on the command line that have a form of their own: durations, times, names, fields.

use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use jiff::civil;
use jiff::{SignedDuration, Timestamp, Zoned};

/// `20s`, `1m30s`, `500ms`; never negative.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed = text.parse::<SignedDuration>().ok();
    parsed.and_then(|parsed| parsed.try_into().ok()).ok_or("write `20s` or `1m30s`")
}

/// The same, from 1 s to 24 h: how long a drill may take.
pub(super) fn drill_length(text: &str) -> Result<Duration, &'static str> {
    let length = duration(text)?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&length);
    if fits { Ok(length) } else { Err("a drill takes from `1s` to `24h`") }
}

/// A time to come, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// A date and time with its offset.
    Date(Timestamp),
    /// The next time that clocks here show this.
    Clock(civil::Time),
    /// So long from now.
    In(SignedDuration),
}

/// A time to come, and in whose clock it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct When {
    /// In the local zone.
    pub(crate) local: Zoned,
}

impl FromStr for At {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str =
            "write `02:30`, `+10m`, or a date and time with its zone: `2026-03-29T02:30:00+02:00`";
        if let Some(span) = text.strip_prefix('+') {
            let span = duration(span).map_err(|_| FORMS)?;
            return SignedDuration::try_from(span).map(Self::In).map_err(|_| FORMS);
        }
        if let Some(clock) = clock(text) {
            return Ok(Self::Clock(clock));
        }
        text.parse().map(Self::Date).map_err(|_| FORMS)
    }
}

/// `HH:MM` or `HH:MM:SS`, nothing else.
fn clock(text: &str) -> Option<civil::Time> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_two_digits = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(is_two_digits) {
        return None;
    }
    let number = |index: usize| parts.get(index).map_or(Ok(0), |part| part.parse::<i8>());
    civil::Time::new(number(0).ok()?, number(1).ok()?, number(2).ok()?, 0).ok()
}

impl At {
    /// Which moment is meant, `now` being the local time.
    ///
    /// # Errors
    /// When it has passed, or is beyond all dates.
    pub(crate) fn resolve(&self, now: &Zoned) -> Result<When, String> {
        let beyond = |error: jiff::Error| format!("there is no such time: {error}");
        let local = match self {
            Self::Date(at) => at.to_zoned(now.time_zone().clone()),
            Self::In(span) => now.checked_add(*span).map_err(beyond)?,
            Self::Clock(clock) => {
                // A time that clocks skip is read as if they had not yet been changed.
                let on =
                    |date: civil::Date| date.to_datetime(*clock).to_zoned(now.time_zone().clone());
                let today = on(now.date()).map_err(beyond)?;
                if today > *now {
                    today
                } else {
                    on(now.date().tomorrow().map_err(beyond)?).map_err(beyond)?
                }
            }
        };
        if local < *now {
            return Err(format!("{} has passed", When { local }));
        }
        Ok(When { local })
    }
}

impl When {
    /// The moment as the API takes it.
    pub(crate) fn timestamp(&self) -> Timestamp {
        self.local.timestamp()
    }
}

/// `2026-11-27 02:30:00 +01:00 (Europe/Madrid)`.
impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { local } = self;
        write!(f, "{}", local.strftime("%F %T %:z"))?;
        let zone = local.time_zone();
        match zone.iana_name() {
            // Read as UTC, which is probably not meant.
            _ if zone.is_unknown() => f.write_str(" (the zone of this machine is not known)"),
            Some(name) => write!(f, " ({name})"),
            // A zone without a name: the offset says it all.
            None => Ok(()),
        }
    }
}

/// A backend, perhaps with its service: names have no `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendName {
    /// `None`: the only service there is.
    pub(crate) service: Option<String>,
    /// Its name.
    pub(crate) backend: String,
}

impl FromStr for BackendName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (service, backend) = match text.split_once('/') {
            Some((service, backend)) => (Some(service), backend),
            None => (None, text),
        };
        if service == Some("") || backend.is_empty() || backend.contains('/') {
            return Err("write BACKEND or SERVICE/BACKEND");
        }
        Ok(Self { service: service.map(str::to_owned), backend: backend.to_owned() })
    }
}

/// A field that tags requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagField {
    /// Its name, in lower case.
    pub(crate) name: String,
    /// Its value; `None`: any.
    pub(crate) value: Option<String>,
}

impl FromStr for TagField {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.trim())),
            None => (text, None),
        };
        let Ok(name) = name.parse::<HeaderName>() else {
            return Err("write `NAME` or `NAME: VALUE`");
        };
        if value.is_some_and(|value| value.is_empty() || HeaderValue::from_str(value).is_err()) {
            return Err("the value is not one that a field may have; leave it out for any value");
        }
        Ok(Self { name: name.as_str().to_owned(), value: value.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn madrid() -> TimeZone {
        // Europe/Madrid by its rules, so that no database is needed: summer from the last Sunday of
        // March, 02:00, to the last of October, 03:00.
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
    }

    fn resolved(text: &str, now: &str) -> String {
        let now = now.parse::<Timestamp>().expect(now).to_zoned(madrid());
        match text.parse::<At>().expect(text).resolve(&now) {
            Ok(when) => format!("{} = {}", when.local.datetime(), when.timestamp()),
            Err(error) => error,
        }
    }

    #[test]
    fn a_clock_time_is_the_next_one_here() {
        let now = "2026-11-27T01:00:00Z";
        assert_eq!(resolved("02:30", now), "2026-11-27T02:30:00 = 2026-11-27T01:30:00Z");
        assert_eq!(resolved("01:59:59", now), "2026-11-28T01:59:59 = 2026-11-28T00:59:59Z");
        // Exactly now is tomorrow: somebody who means now does not say when.
        assert_eq!(resolved("02:00", now), "2026-11-28T02:00:00 = 2026-11-28T01:00:00Z");
    }

    #[test]
    fn a_clock_time_is_a_moment_also_when_clocks_change() {
        // 02:30 does not exist on this day: the clocks go from 02:00 to 03:00.
        let spring = resolved("02:30", "2026-03-28T23:30:00Z");
        assert_eq!(spring, "2026-03-29T03:30:00 = 2026-03-29T01:30:00Z");
        // And on this one it exists twice: the first is meant.
        let autumn = resolved("02:30", "2026-10-24T23:00:00Z");
        assert_eq!(autumn, "2026-10-25T02:30:00 = 2026-10-25T00:30:00Z");
    }

    #[test]
    fn a_span_and_a_date_are_exact() {
        let now = "2026-11-27T01:00:00Z";
        assert_eq!(resolved("+10m", now), "2026-11-27T02:10:00 = 2026-11-27T01:10:00Z");
        assert_eq!(resolved("+1h30m", now), "2026-11-27T03:30:00 = 2026-11-27T02:30:00Z");
        let date = resolved("2026-12-01T10:00:00-05:00", now);
        assert_eq!(date, "2026-12-01T16:00:00 = 2026-12-01T15:00:00Z");
        assert_eq!(resolved("2026-11-27T00:59:00Z", now), "2026-11-27 01:59:00 +01:00 has passed");
    }

    #[test]
    fn the_zone_is_said_by_name_where_it_has_one() {
        let now = "2026-11-27T01:00:00Z".parse::<Timestamp>().expect("a time");
        let zoned = now.to_zoned(TimeZone::UTC);
        assert_eq!(When { local: zoned }.to_string(), "2026-11-27 01:00:00 +00:00 (UTC)");
        let unknown = When { local: now.to_zoned(TimeZone::unknown()) }.to_string();
        assert!(unknown.ends_with("+00:00 (the zone of this machine is not known)"), "{unknown}");
        let nameless = When { local: now.to_zoned(madrid()) };
        assert_eq!(nameless.to_string(), "2026-11-27 02:00:00 +01:00");
    }

    #[test]
    fn what_is_no_time_is_told_the_three_forms() {
        for bad in [
            "",
            "soon",
            "25:00",
            "2:30",
            "02:60",
            "+",
            "+-5m",
            "10m",
            "2026-11-27",
            "2026-11-27T10:00:00",
        ] {
            let error = bad.parse::<At>().expect_err(bad);
            assert!(error.contains("`02:30`") && error.contains("`+10m`"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_backend_may_name_its_service() {
        let name =
            |text: &str| text.parse::<BackendName>().ok().map(|name| (name.service, name.backend));
        assert_eq!(name("a"), Some((None, "a".to_owned())));
        assert_eq!(name("web/a"), Some((Some("web".to_owned()), "a".to_owned())));
        for bad in ["", "/a", "web/", "a/b/c"] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_tag_is_a_field_with_or_without_a_value() {
        let tag = |text: &str| text.parse::<TagField>().ok().map(|tag| (tag.name, tag.value));
        assert_eq!(tag("X-Drill"), Some(("x-drill".to_owned(), None)));
        let valued = Some(("x-drill".to_owned(), Some("on: 1".to_owned())));
        assert_eq!(tag("X-Drill: on: 1"), valued);
        for bad in ["", ": x", "X Drill", "X-Drill:", "X-Drill: ", "X-Drill: a\nb"] {
            assert_eq!(tag(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_and_no_sign() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "20", "-20s", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
