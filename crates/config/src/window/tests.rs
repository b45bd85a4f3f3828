//! Windows through ordinary days and through days on which the clocks change, also against a second
//! opinion that looks at every minute.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;

use super::*;
use crate::cron::{parse, time_zone, time_zones};

const MADRID: &str = "Europe/Madrid";

fn window(pattern: &str, minutes: u64, zone: &str) -> FailbackWindow {
    let length = Duration::from_secs(60 * minutes);
    FailbackWindow::new(pattern, length, time_zone(zone).unwrap()).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What `at` says, as text: `open until ...` or `closed until ...`.
fn said(window: &FailbackWindow, now: &str) -> String {
    let (open, changes) = window.at(at(now));
    let changes = changes.map_or_else(|| "ever".to_owned(), |at| at.to_string());
    format!("{} until {changes}", if open { "open" } else { "closed" })
}

#[test]
fn it_opens_and_closes() {
    let saturdays = window("0 2 * * sat", 120, "UTC");
    let check = |now, expected| assert_eq!(said(&saturdays, now), expected, "{now}");
    // 2026-11-28 is a Saturday.
    check("2026-11-27T12:00:00Z", "closed until 2026-11-28T02:00:00Z");
    check("2026-11-28T01:59:59.999Z", "closed until 2026-11-28T02:00:00Z");
    check("2026-11-28T02:00:00Z", "open until 2026-11-28T04:00:00Z");
    check("2026-11-28T03:59:59.999Z", "open until 2026-11-28T04:00:00Z");
    check("2026-11-28T04:00:00Z", "closed until 2026-12-05T02:00:00Z");
}

#[test]
fn hours_are_those_of_the_time_zone() {
    let madrid = window("0 2 * * *", 60, MADRID);
    assert_eq!(said(&madrid, "2026-01-10T00:59:59Z"), "closed until 2026-01-10T01:00:00Z");
    assert_eq!(said(&madrid, "2026-07-10T00:30:00Z"), "open until 2026-07-10T01:00:00Z");
    let kolkata = window("0 2 * * *", 60, "Asia/Kolkata");
    assert_eq!(said(&kolkata, "2026-07-10T20:31:00Z"), "open until 2026-07-10T21:30:00Z");
}

/// 29 March 2026: Madrid's clocks go from 02:00 to 03:00, which is 01:00 UTC.
#[test]
fn clocks_that_go_forward_open_it_after_the_gap() {
    let half_past = window("30 2 * * *", 60, MADRID);
    assert_eq!(said(&half_past, "2026-03-29T00:59:59Z"), "closed until 2026-03-29T01:00:00Z");
    assert_eq!(said(&half_past, "2026-03-29T01:00:00Z"), "open until 2026-03-29T02:00:00Z");
    assert_eq!(said(&half_past, "2026-03-29T02:00:00Z"), "closed until 2026-03-30T00:30:00Z");
    // One that is open across the gap lasts as long as ever.
    let before = window("30 1 * * *", 60, MADRID);
    assert_eq!(said(&before, "2026-03-29T01:15:00Z"), "open until 2026-03-29T01:30:00Z");
}

/// 25 October 2026: Madrid's clocks go from 03:00 back to 02:00, which is 01:00 UTC.
#[test]
fn clocks_that_go_back_open_it_once() {
    let half_past = window("30 2 * * *", 30, MADRID);
    assert_eq!(said(&half_past, "2026-10-25T00:00:00Z"), "closed until 2026-10-25T00:30:00Z");
    assert_eq!(said(&half_past, "2026-10-25T00:30:00Z"), "open until 2026-10-25T01:00:00Z");
    // 02:30 for the second time.
    assert_eq!(said(&half_past, "2026-10-25T01:30:00Z"), "closed until 2026-10-26T01:30:00Z");
    let across = window("30 2 * * *", 120, MADRID);
    assert_eq!(said(&across, "2026-10-25T01:45:00Z"), "open until 2026-10-25T02:30:00Z");
    // A pattern for many times is about the clock on the wall, whatever it showed before.
    let often = window("0,30 2 * * *", 10, MADRID);
    assert_eq!(said(&often, "2026-10-25T01:31:00Z"), "open until 2026-10-25T01:40:00Z");
}

#[test]
fn openings_that_overlap_are_one() {
    let twice = window("0,30 2 * * *", 60, "UTC");
    assert_eq!(said(&twice, "2026-11-28T02:10:00Z"), "open until 2026-11-28T03:30:00Z");
    assert_eq!(said(&twice, "2026-11-28T03:29:59Z"), "open until 2026-11-28T03:30:00Z");
    assert_eq!(said(&twice, "2026-11-28T03:30:00Z"), "closed until 2026-11-29T02:00:00Z");
    let touching = window("0 2,3 * * *", 60, "UTC");
    assert_eq!(said(&touching, "2026-11-28T02:10:00Z"), "open until 2026-11-28T04:00:00Z");
    let nights = window("*/5 0-5 * * *", 5, "UTC");
    assert_eq!(said(&nights, "2026-11-28T00:00:00Z"), "open until 2026-11-28T06:00:00Z");
}

#[test]
fn one_that_is_longer_than_its_period_is_open_at_least_for_long() {
    let always = window("0 2 * * *", 25 * 60, "UTC");
    let (mut now, mut asked) = (at("2026-11-28T00:00:00Z"), 0);
    while now < at("2046-11-28T00:00:00Z") {
        let (open, changes) = always.at(now);
        let changes = changes.unwrap();
        assert!(open && changes > now, "{now}");
        (now, asked) = (changes, asked + 1);
    }
    assert!(asked < 10, "asked {asked} times");
    let minutes = window("* * * * *", 1, "UTC");
    assert_eq!(minutes.at(now), (true, now.checked_add(1001.minutes()).ok()));
}

#[test]
fn rare_days_come() {
    let leap = window("0 0 29 2 *", 60, "UTC");
    assert_eq!(said(&leap, "2026-11-28T00:00:00Z"), "closed until 2028-02-29T00:00:00Z");
    let last = window("0 3 L * *", 60, "UTC");
    assert_eq!(said(&last, "2026-02-10T00:00:00Z"), "closed until 2026-02-28T03:00:00Z");
    let first = window("0 3 * * sat#1", 60, "UTC");
    assert_eq!(said(&first, "2026-12-01T00:00:00Z"), "closed until 2026-12-05T03:00:00Z");
}

#[test]
fn what_is_no_pattern_is_refused() {
    let hour = Duration::from_secs(3600);
    for bad in [
        "",
        " ",
        "0",
        "0 2 * *",
        "0 0 2 * * sat",
        "0 0 2 * * sat 2026",
        "60 2 * * *",
        "0 24 * * *",
        "0 2 32 * *",
        "0 2 * 13 *",
        "0 2 * * 8",
        "a b c d e",
        "@often",
        "0 2 * * sät",
        "0 2 * * *;",
        "0-70 2 * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "0 2 * * sat\u{0}",
    ] {
        let fault = FailbackWindow::new(bad, hour, TimeZone::UTC).unwrap_err();
        assert_eq!(fault, Fault::Pattern, "{bad}");
    }
    assert_eq!(parse(&"0,".repeat(100)), Err(Fault::Pattern));
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        let fault = FailbackWindow::new(never, hour, TimeZone::UTC);
        assert_eq!(fault, Err(Fault::Never), "{never}");
    }
}

#[test]
fn time_zones_have_names_in_any_case() {
    assert_eq!(window("@daily", 1, "europe/madrid").time_zone(), MADRID);
    assert_eq!(window("@daily", 1, "UTC").time_zone(), "UTC");
    assert!(time_zone("Europe/Atlantis").is_none());
    assert!(time_zone("../etc/passwd").is_none());
    assert!(time_zones().len() > 400);
}

#[test]
fn in_the_words_of_people() {
    for (pattern, expected) in [
        ("0 2 * * sat", "Saturdays at 02:00 for 2h (Europe/Madrid)"),
        ("5 14 * * 7", "Sundays at 14:05 for 2h (Europe/Madrid)"),
        ("0 2 * * mon-wed", "Mondays, Tuesdays and Wednesdays at 02:00 for 2h (Europe/Madrid)"),
        ("0 2 * * *", "every day at 02:00 for 2h (Europe/Madrid)"),
        ("0 2 * * 0-7", "every day at 02:00 for 2h (Europe/Madrid)"),
        ("0 2 L * *", "at 02:00, on the last day of the month, for 2h (Europe/Madrid)"),
        ("0 2 * * sat#1", "at 02:00, on the 1st Saturday of the month, for 2h (Europe/Madrid)"),
        ("0 2 * 6 sat", "at 02:00, on Saturday, in June, for 2h (Europe/Madrid)"),
    ] {
        assert_eq!(window(pattern, 120, MADRID).to_string(), expected);
    }
}

// --- A second opinion: every five minutes around a change, by the rules as they are documented. ---

/// The fields of a pattern of numbers, lists and stars; the day of the month is always `*`.
struct Plain {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days_of_week: BTreeSet<i8>,
}

impl Plain {
    fn new(pattern: &str) -> Self {
        let fields: Vec<&str> = pattern.split(' ').collect();
        let field = |index: usize, all: std::ops::Range<i8>| match fields[index] {
            "*" => all.collect(),
            list => list.split(',').map(|number| number.parse().unwrap()).collect(),
        };
        Self { minutes: field(0, 0..60), hours: field(1, 0..24), days_of_week: field(4, 0..7) }
    }

    /// Whether it is for one time of a day.
    fn is_fixed(&self) -> bool {
        self.minutes.len() == 1 && self.hours.len() == 1
    }

    fn names(&self, civil: DateTime) -> bool {
        self.minutes.contains(&civil.minute())
            && self.hours.contains(&civil.hour())
            && self.days_of_week.contains(&civil.weekday().to_sunday_zero_offset())
    }

    /// Whether it opens at this full minute.
    fn opens(&self, zone: &TimeZone, minute: Timestamp) -> bool {
        let civil = zone.to_datetime(minute);
        let repeated = || {
            // The same time on the wall, for the second time.
            let offset = zone.to_ambiguous_timestamp(civil).offset();
            matches!(offset, AmbiguousOffset::Fold { before, .. } if before.to_timestamp(civil).unwrap() != minute)
        };
        if self.names(civil) {
            return !(self.is_fixed() && repeated());
        }
        // Right after a gap: for what the gap has swallowed.
        let mut missing = zone.to_datetime(minute - 1.minute()) + 1.minute();
        while self.is_fixed() && missing < civil {
            if self.names(missing) && missing.date() == civil.date() {
                return true;
            }
            missing += 1.minute();
        }
        false
    }
}

#[test]
fn every_five_minutes_around_a_change_of_clocks() {
    let changes = [
        (MADRID, "2026-03-29T01:00:00Z"),
        (MADRID, "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        // Half an hour.
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        // At midnight.
        ("Asia/Beirut", "2026-03-28T22:00:00Z"),
        ("Asia/Beirut", "2026-10-24T21:00:00Z"),
    ];
    let patterns = [
        "30 2 * * *",
        "0 2 * * *",
        "45 1 * * *",
        "0 3 * * *",
        "30 0 * * *",
        "0 0 * * *",
        "0,30 1,2,3 * * *",
        "45 * * * *",
        "10 2 * * 0",
        "55 23 * * *",
    ];
    for (zone, change) in changes {
        let (from, rules) = (at(change) - 6.hours(), time_zone(zone).unwrap());
        let times: Vec<Timestamp> = (0..12 * 12).map(|n| from + (5 * n).minutes()).collect();
        for pattern in patterns {
            let plain = Plain::new(pattern);
            let starts: Vec<bool> = times.iter().map(|time| plain.opens(&rules, *time)).collect();
            for steps in [3, 21] {
                let window = window(pattern, 5 * steps as u64, zone);
                let opened = |n: usize| starts[n.saturating_sub(steps - 1)..=n].contains(&true);
                let open: Vec<bool> = (0..times.len()).map(opened).collect();
                // Before a whole length has passed an earlier opening may still last.
                for n in (steps..times.len()).step_by(13) {
                    let context = format!("{pattern}, {steps} steps, {zone}, {}", times[n]);
                    let (is_open, changes) = window.at(times[n]);
                    assert_eq!(is_open, open[n], "{context}");
                    match (n + 1..times.len()).find(|m| open[*m] != open[n]) {
                        Some(next) => assert_eq!(changes, Some(times[next]), "{context}"),
                        None => assert!(changes > times.last().copied(), "{context}"),
                    }
                }
            }
        }
    }
}

#[test]
fn no_text_makes_it_panic() {
    let pieces = [
        "*",
        "/",
        "-",
        ",",
        "#",
        "L",
        "W",
        "?",
        "0",
        "1",
        "7",
        "59",
        "99999999999",
        " ",
        "sat",
        "jan",
        "@daily",
        "@",
        "5L",
        "15W",
        "*/5",
        "1-5",
        " * ",
        "LW",
        "#5",
        "-sun",
        "0 2 * * ",
    ];
    let mut random = 1_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % limit as u64).unwrap()
    };
    let now = at("2026-10-25T00:30:00Z");
    let mut read = 0;
    for _ in 0..20_000 {
        let fields: Vec<String> = (0..5)
            .map(|_| (0..=below(5) / 4).map(|_| pieces[below(pieces.len())]).collect())
            .collect();
        let text = fields.join(" ");
        // Those that can be read, and not too many of them: some look for a time in vain.
        if parse(&text).is_err() || read == 60 {
            continue;
        }
        read += 1;
        if let Ok(window) = FailbackWindow::new(&text, Duration::from_secs(3600), TimeZone::UTC) {
            let (_, changes) = window.at(now);
            assert!(changes.is_none_or(|at| at > now), "{text}");
            assert!(!window.to_string().is_empty());
        }
    }
    assert!(read == 60, "only {read} were patterns");
}
