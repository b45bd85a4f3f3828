//! What is counted of notifications.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Metrics, entry};
use crate::exposition::Exposition;
use crate::names::Id;

const OUTCOMES: [&str; 3] = ["sent", "failed", "dropped"];

/// The notifiers that were last shown, by name.
#[derive(Debug, Default)]
pub(super) struct Notifiers(BTreeMap<Arc<str>, Notifier>);

#[derive(Debug)]
struct Notifier {
    outcomes: BTreeMap<String, u64>,
    behind: usize,
}

impl Default for Notifier {
    fn default() -> Self {
        let outcomes = OUTCOMES.iter().map(|outcome| ((*outcome).to_owned(), 0)).collect();
        Self { outcomes, behind: 0 }
    }
}

impl Notifiers {
    pub(super) fn collect(&self, to: &mut Exposition) {
        for (name, Notifier { outcomes, behind }) in &self.0 {
            for (outcome, count) in outcomes {
                to.counter(Id::Notifications, &[name, outcome], *count);
            }
            to.gauge(Id::NotificationsBehind, &[name], *behind as f64);
        }
    }
}

impl Metrics {
    /// Replaces which notifiers a scrape shows. One that is named no more is forgotten, with its counts.
    pub fn show_notifiers(&self, names: Vec<Arc<str>>) {
        let known = &mut self.lock().notifiers.0;
        let mut old = std::mem::take(known);
        known.extend(names.into_iter().map(|name| {
            let notifier = old.remove(&name).unwrap_or_default();
            (name, notifier)
        }));
    }

    /// Counts a try to tell something, by its outcome: `sent`, `failed` or `dropped`. The notifier must
    /// have been shown.
    pub fn notification(&self, notifier: &str, outcome: &str) {
        if let Some(notifier) = self.lock().notifiers.0.get_mut(notifier) {
            *entry(&mut notifier.outcomes, outcome, || 0) += 1;
        }
    }

    /// Notes how many events a notifier has still to be told.
    pub fn notifications_behind(&self, notifier: &str, events: usize) {
        if let Some(notifier) = self.lock().notifiers.0.get_mut(notifier) {
            notifier.behind = events;
        }
    }
}
