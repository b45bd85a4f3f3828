//! How many programs may run at a time: so many for one probe of a backend, and so many in all.
//!
//! A program keeps its permits until it has been seen off. So one that hangs in the kernel, and cannot
//! be killed, holds up those after it, and not those of every other backend.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Over all backends.
const MOST_IN_ALL: usize = 32;

/// From one warning that they are used up to the next.
const QUIET: Duration = Duration::from_secs(60);

/// The programs that may run over all backends. Clones share them.
#[derive(Clone, Debug)]
pub struct Programs {
    in_all: Arc<Semaphore>,
    warned: Arc<Mutex<Option<Instant>>>,
}

impl Default for Programs {
    fn default() -> Self {
        Self { in_all: Arc::new(Semaphore::new(MOST_IN_ALL)), warned: Arc::default() }
    }
}

impl Programs {
    /// One permit for each that may run.
    #[must_use]
    pub fn permits(&self) -> &Semaphore {
        &self.in_all
    }

    fn warn_if_used_up(&self) {
        if self.in_all.available_permits() == 0 && self.is_time_to_warn(Instant::now()) {
            tracing::warn!(
                most = MOST_IN_ALL,
                "as many programs of probes run as may: further ones wait, and may not get their turn"
            );
        }
    }

    fn is_time_to_warn(&self, now: Instant) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = warned.is_none_or(|at| now.saturating_duration_since(at) >= QUIET);
        if is_time {
            *warned = Some(now);
        }
        is_time
    }
}

/// Where the program of one probe waits for its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue<'a> {
    /// One permit for each program that this probe may run.
    pub(crate) own: &'a Arc<Semaphore>,
    pub(crate) programs: &'a Programs,
}

/// What a program needs as long as it is there.
#[derive(Debug)]
pub(super) struct Permit {
    _own: OwnedSemaphorePermit,
    _in_all: OwnedSemaphorePermit,
}

impl Queue<'_> {
    /// Waits for its turn. First among its own, so that those that wait for a stuck one of theirs take
    /// no turn from others. `None`: there are no turns any more.
    pub(super) async fn turn(self) -> Option<Permit> {
        let own = Arc::clone(self.own).acquire_owned().await.ok()?;
        self.programs.warn_if_used_up();
        let in_all = Arc::clone(&self.programs.in_all).acquire_owned().await.ok()?;
        Some(Permit { _own: own, _in_all: in_all })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_its_own_takes_no_turn_from_others() {
        let programs = Programs::default();
        let own = Arc::new(Semaphore::new(1));
        let queue = Queue { own: &own, programs: &programs };
        let stuck = queue.turn().await;
        let mut waiting: Vec<_> = (0..2 * MOST_IN_ALL).map(|_| Box::pin(queue.turn())).collect();
        for turn in &mut waiting {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        assert_eq!(programs.permits().available_permits(), MOST_IN_ALL - 1);
        drop(stuck);
        assert!(waiting.remove(0).await.is_some());
    }

    #[test]
    fn a_warning_comes_once_in_a_while() {
        let programs = Programs::default();
        let now = Instant::now();
        assert!(programs.is_time_to_warn(now));
        assert!(!programs.is_time_to_warn(now + QUIET / 2));
        assert!(programs.is_time_to_warn(now + QUIET));
    }
}
