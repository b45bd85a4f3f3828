//! When one job is due. Pure.

use std::fmt;
use std::time::Duration;

use config::model::Schedule;
use jiff::Timestamp;

/// A clock that was set back by less than this does not make a job run twice for one time of its
/// pattern.
const SET_BACK_MS: u64 = 60 * 60 * 1_000;

/// When a job is due whose times up to `since_ms` have been dealt with; `None`: never by itself.
/// `chance` is from 0 to 1: which part of the jitter it gets.
pub(super) fn due_ms(
    schedule: &Schedule,
    jitter: Duration,
    since_ms: u64,
    chance: f64,
) -> Option<u64> {
    let at_ms = match schedule {
        Schedule::Never => return None,
        Schedule::Every(interval) => since_ms.saturating_add(ms(*interval)),
        Schedule::Cron(times) => {
            let since = Timestamp::from_millisecond(i64::try_from(since_ms).ok()?).ok()?;
            u64::try_from(times.next(since)?.as_millisecond()).ok()?
        }
    };
    Some(at_ms.saturating_add(ms(jitter.mul_f64(chance.clamp(0.0, 1.0)))))
}

/// Up to when the times of a job have been dealt with that nobody has seen before: one that runs at
/// intervals is due at once.
pub(super) fn first_since_ms(schedule: &Schedule, now_ms: u64) -> u64 {
    match schedule {
        Schedule::Every(interval) => now_ms.saturating_sub(ms(*interval)),
        Schedule::Cron(_) | Schedule::Never => now_ms,
    }
}

/// The same of one whose `since_ms` is to come, because the clock was set back; `None`: it stays.
pub(super) fn set_back(schedule: &Schedule, since_ms: u64, now_ms: u64) -> Option<u64> {
    let ahead_ms = since_ms.checked_sub(now_ms).filter(|ahead| *ahead > 0)?;
    match schedule {
        Schedule::Every(_) | Schedule::Never => Some(now_ms),
        Schedule::Cron(_) => (ahead_ms > SET_BACK_MS).then_some(now_ms),
    }
}

/// A schedule in words.
pub(crate) struct Words<'a>(pub(crate) &'a Schedule);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Schedule::Every(interval) => write!(f, "every {}", crate::readiness::Span(*interval)),
            Schedule::Cron(times) => write!(f, "{} ({})", times.pattern(), times.time_zone()),
            Schedule::Never => f.write_str("by order only"),
        }
    }
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
