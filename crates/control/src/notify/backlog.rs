//! What a notifier has still to tell: numbers of events, which the state keeps.
//!
//! So there is no second queue, and what waits survives a restart. Knows nothing of how it is told.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use config::model::Notifier;

use super::alerts;
use super::news::News;
use crate::state::Store;

/// Most events that wait; the oldest are skipped.
pub(super) const MOST_WAITING: usize = 1_000;

/// How many events are read at a time.
const PAGE: usize = 200;

/// What a notifier has still to tell.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Up to which number all events have been read.
    seen: u64,
    /// Those of them that it has still to tell, in order.
    waiting: VecDeque<u64>,
}

/// What was skipped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) events: u64,
    /// Whether all of them only say that somebody was not told of something.
    pub(super) only_of_notifiers: bool,
}

impl Backlog {
    /// All events up to `told` are dealt with.
    pub(super) fn after(told: u64) -> Self {
        Self { seen: told, waiting: VecDeque::new() }
    }

    /// Reads a page of what has happened since. True: there may be more.
    pub(super) fn read(&mut self, store: &Store, notifier: &Notifier) -> bool {
        let page = store.events_after(self.seen, None, PAGE);
        for entry in &page {
            self.seen = entry.number;
            let is_wanted = News::read(entry).is_some_and(|news| {
                let resolves = |news: &News| alerts::resolves(notifier, news);
                news.concerns(notifier, resolves)
            });
            if is_wanted {
                self.waiting.push_back(entry.number);
            }
        }
        page.len() == PAGE
    }

    /// The next one to tell, with those skipped before it: that are too many, are older than
    /// `give_up_after`, or are not kept any more.
    pub(super) fn next(
        &mut self,
        store: &Store,
        give_up_after: Duration,
        now: SystemTime,
    ) -> (Option<News>, Skipped) {
        let mut skipped = Skipped { events: 0, only_of_notifiers: true };
        while let Some(number) = self.waiting.front() {
            let news = store.event(*number).as_ref().and_then(News::read);
            let is_too_old =
                |news: &News| now.duration_since(news.at).is_ok_and(|age| age >= give_up_after);
            match news {
                Some(news) if self.waiting.len() <= MOST_WAITING && !is_too_old(&news) => {
                    return (Some(news), skipped);
                }
                Some(news) => skipped.only_of_notifiers &= &*news.kind == "not_told_of",
                None => skipped.only_of_notifiers = false,
            }
            skipped.events += 1;
            self.waiting.pop_front();
        }
        (None, skipped)
    }

    /// The one that [`Self::next`] gave is dealt with.
    pub(super) fn done(&mut self) {
        self.waiting.pop_front();
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Up to which number all events are dealt with.
    pub(super) fn told(&self) -> u64 {
        self.waiting.front().map_or(self.seen, |first| first - 1)
    }
}
