//! Whether the failback window is open, by the calendar.

use std::time::{Instant, SystemTime};

use config::model::FailbackWindow;

use super::clock::Clock;

/// The window of a service; without one nothing is ever said of it.
#[derive(Debug)]
pub(super) struct Window {
    window: Option<FailbackWindow>,
    /// What was last said.
    said: Option<bool>,
    look_at: Option<Instant>,
}

impl Window {
    pub(super) fn new(window: Option<FailbackWindow>) -> Self {
        let look_at = window.as_ref().map(|_| Instant::now());
        Self { window, said: None, look_at }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Whether it is open, if that is news.
    pub(super) fn look(&mut self) -> Option<bool> {
        let window = self.window.as_ref()?;
        if self.look_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let now = jiff::Timestamp::now();
        let (open, changes) = window.at(now);
        // Not later than the clock on the wall is relied on; it may be set meanwhile.
        let changes = changes.map_or(SystemTime::now() + super::clock::RELIED_ON, SystemTime::from);
        self.look_at = Some(Clock::wake_for(changes));
        (self.said.replace(open) != Some(open)).then_some(open)
    }

    /// When it opens or closes next, in words.
    pub(super) fn words(&self) -> String {
        let next = self.window.as_ref().and_then(|w| w.at(jiff::Timestamp::now()).1);
        next.map_or_else(|| "it never opens".to_owned(), |next| format!("it opens at {next:.0}"))
    }
}
