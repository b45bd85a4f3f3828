//! Times as logs write them, in UTC. Each second is written once.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The second that was last written.
#[derive(Debug)]
pub(crate) struct Clock {
    second: u64,
    /// `2026-11-27T14:05:36`.
    iso: String,
    /// `27/Nov/2026:14:05:36 +0000`.
    common: String,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let mut clock = Self { second: 0, iso: String::new(), common: String::new() };
        clock.set(0);
        clock
    }

    /// Appends `time` in RFC 3339, to the millisecond.
    pub(crate) fn rfc3339(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let millis = self.turn_to(time);
        out.extend_from_slice(self.iso.as_bytes());
        let digit = |value: u32| b'0' + (value % 10) as u8;
        out.extend([b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }

    /// Appends `time` as Apache and nginx write it.
    pub(crate) fn common(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        self.turn_to(time);
        out.extend_from_slice(self.common.as_bytes());
    }

    /// Returns the milliseconds.
    fn turn_to(&mut self, time: SystemTime) -> u32 {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.second {
            self.set(since.as_secs());
        }
        since.subsec_millis()
    }

    fn set(&mut self, second: u64) {
        self.second = second;
        let (year, month, day) = date(second / 86_400);
        let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
        self.iso = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{rest:02}");
        let name = MONTHS[month as usize - 1];
        self.common = format!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{rest:02} +0000");
    }
}

/// Year, month and day of the day that begins so many days after 1970-01-01 (Howard Hinnant's
/// `civil_from_days`: years begin in March, so that the day that may be missing is the last).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_day_until_2200_has_the_date_of_a_calendar() {
        let mut day = jiff::civil::date(1970, 1, 1);
        for number in 0..84_000 {
            let (year, month, of_month) = date(number);
            let expected = (day.year() as u64, day.month() as u64, day.day() as u64);
            assert_eq!((year, month, of_month), expected);
            day = day.tomorrow().expect("the calendar goes on");
        }
    }

    #[test]
    fn a_time_is_written_in_both_ways() {
        let mut clock = Clock::new();
        let at = UNIX_EPOCH + Duration::from_millis(1_795_788_336_007);
        let mut out = Vec::new();
        clock.rfc3339(at, &mut out);
        out.push(b' ');
        clock.common(at, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "2026-11-27T14:05:36.007Z 27/Nov/2026:14:05:36 +0000"
        );
    }
}
