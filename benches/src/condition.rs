//! Waits for a condition with a deadline, so that no test sleeps a guessed time.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// From one look at the condition to the next.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks until `look` returns `Ok`, and returns what it found.
///
/// # Panics
///
/// When `deadline` has passed; the message has `what` was waited for and the last `Err`.
pub fn wait_for<T, E: Debug>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, E>,
) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if begun.elapsed() >= deadline => {
                panic!("not within {deadline:?}: {what}; last seen: {last:?}")
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_was_found() {
        let mut looks = 0;
        let found = wait_for(Duration::from_secs(5), "three looks", || {
            looks += 1;
            if looks == 3 { Ok("found") } else { Err(looks) }
        });
        assert_eq!((found, looks), ("found", 3));
    }

    #[test]
    #[should_panic(expected = "never; last seen: 7")]
    fn says_what_was_seen_last() {
        wait_for(Duration::from_millis(10), "never", || Err::<(), _>(7));
    }
}
