//! What happened, in order, for the event list and the scripted run. Keeps the latest only.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Enough for any screen, and for every line of a scripted run.
const KEPT: usize = 256;

/// How an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// For information.
    Plain,
    /// Things got better.
    Good,
    /// Things got worse.
    Bad,
    /// The traffic moved.
    Moved,
    /// A person, or the script, did something.
    Done,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Counts from 0; never repeats.
    pub(super) number: u64,
    /// Since the start of the demo.
    pub(super) at: Duration,
    /// How it is meant.
    pub(super) tone: Tone,
    /// What happened, in one line.
    pub(super) text: String,
}

/// The latest entries.
#[derive(Debug)]
pub(super) struct Journal {
    started: Instant,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    next: u64,
    entries: VecDeque<Entry>,
}

impl Journal {
    /// An empty one; `started` is the time zero of its entries.
    pub(super) fn new(started: Instant) -> Self {
        Self { started, pages: Mutex::default() }
    }

    /// The time zero of the entries.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Writes down what happened now.
    pub(super) fn note(&self, tone: Tone, text: String) {
        self.note_at(Instant::now(), tone, text);
    }

    /// Writes down what happened at a time of its own.
    pub(super) fn note_at(&self, when: Instant, tone: Tone, text: String) {
        let at = when.saturating_duration_since(self.started);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let number = pages.next;
        pages.next += 1;
        if pages.entries.len() == KEPT {
            pages.entries.pop_front();
        }
        pages.entries.push_back(Entry { number, at, tone, text });
    }

    /// The entries kept that have this number or a later one, oldest first.
    pub(super) fn since(&self, number: u64) -> Vec<Entry> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.entries.iter().filter(|entry| entry.number >= number).cloned().collect()
    }

    /// The last `count` entries, oldest first.
    pub(super) fn last(&self, count: usize) -> Vec<Entry> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let from = pages.entries.len().saturating_sub(count);
        pages.entries.iter().skip(from).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_latest_and_counts_on() {
        let journal = Journal::new(Instant::now());
        for number in 0..KEPT + 3 {
            journal.note(Tone::Plain, format!("{number}"));
        }
        let kept = journal.since(0);
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].number, kept[0].text.as_str()), (3, "3"));
        let last = journal.last(2);
        assert_eq!(last[1].number, KEPT as u64 + 2);
        assert_eq!(journal.since(last[1].number), last[1..]);
    }
}
