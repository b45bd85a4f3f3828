//! From the clock on the wall to the clock of the decision, and back.
//!
//! The wall clock may be set; the other never is. So times to come are worked out anew at every look.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a time on the wall is relied on before it is worked out anew.
pub(super) const RELIED_ON: Duration = Duration::from_secs(30);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: Instant,
    pub(super) wall: SystemTime,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self { now, wall: SystemTime::now() }
    }

    /// Both clocks as they are now.
    pub(super) fn look() -> Self {
        Self::new(Instant::now())
    }

    /// How long ago a time on the wall was; zero if it is to come.
    pub(super) fn age(&self, ms: u64) -> Duration {
        self.wall.duration_since(from_ms(ms)).unwrap_or_default()
    }

    /// How long it is until a time on the wall; zero if it has been.
    pub(super) fn left(&self, ms: u64) -> Duration {
        from_ms(ms).duration_since(self.wall).unwrap_or_default()
    }

    /// The time on the wall so long ago, in milliseconds since 1970.
    pub(super) fn ms_ago(&self, age: Duration) -> u64 {
        to_ms(self.wall.checked_sub(age).unwrap_or(UNIX_EPOCH))
    }

    /// The time on the wall after so long, in milliseconds since 1970.
    pub(super) fn ms_in(&self, left: Duration) -> u64 {
        to_ms(self.wall.checked_add(left).unwrap_or(self.wall))
    }

    /// When to look again for a time on the wall.
    pub(super) fn wake_for(at: SystemTime) -> Instant {
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        Instant::now() + left.min(RELIED_ON)
    }
}

pub(super) fn from_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

pub(super) fn to_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
