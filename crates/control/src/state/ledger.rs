//! Everything that is remembered, in memory: answers all queries, and knows what the disk lacks.
//!
//! The disk follows the ledger, never the other way round once the process runs. So a disk that
//! hangs keeps nobody from reading, and one that comes back is brought up to date.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

use serde::Deserialize;

use super::saved::SavedService;
use super::{Entry, Write};

/// How many of the newest are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) events: usize,
    pub(super) incidents: usize,
}

/// In a file.
pub(super) const ON_DISK: Kept = Kept { events: 10_000, incidents: 1_000 };
/// Without one.
pub(super) const IN_MEMORY: Kept = Kept { events: 1_000, incidents: 100 };

/// All there is, as read from a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) services: BTreeMap<Arc<str>, SavedService>,
    pub(super) events: BTreeMap<u64, Arc<str>>,
    pub(super) incidents: BTreeMap<u64, Arc<str>>,
    pub(super) told: BTreeMap<Arc<str>, u64>,
}

/// What goes to the disk in one transaction.
#[derive(Debug)]
pub(super) struct Batch {
    /// The file is another one: whatever is in it goes first.
    pub(super) everything: bool,
    /// `None`: forgotten.
    pub(super) services: Vec<(Arc<str>, Option<SavedService>)>,
    pub(super) events: Vec<(u64, Arc<str>)>,
    pub(super) incidents: Vec<(u64, Arc<str>)>,
    /// `None`: forgotten.
    pub(super) told: Vec<(Arc<str>, Option<u64>)>,
    marks: Vec<(Key, u64)>,
}

#[derive(Debug)]
pub(super) struct Ledger {
    kept: Kept,
    services: BTreeMap<Arc<str>, SavedService>,
    events: BTreeMap<u64, Event>,
    incidents: BTreeMap<u64, Arc<str>>,
    /// By notifier.
    told: BTreeMap<Arc<str>, u64>,
    /// What the disk does not have yet.
    unsaved: BTreeMap<Key, Mark>,
    /// Numbers the changes, to tell a newer one from the one that was just saved.
    changes: u64,
}

#[derive(Debug)]
struct Event {
    service: Option<Arc<str>>,
    json: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Service(Arc<str>),
    Event(u64),
    Incident(u64),
    Told(Arc<str>),
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    change: u64,
    /// No version of it has been on the disk.
    never_saved: bool,
}

impl Ledger {
    /// With all of `content` on the disk already.
    pub(super) fn new(content: Content, kept: Kept) -> Self {
        let events = content.events.into_iter().map(|(number, json)| (number, Event::new(json)));
        let mut ledger = Self {
            kept,
            services: content.services,
            events: events.collect(),
            incidents: content.incidents,
            told: content.told,
            unsaved: BTreeMap::new(),
            changes: 0,
        };
        ledger.prune();
        ledger
    }

    pub(super) fn services(&self) -> BTreeMap<String, SavedService> {
        self.services.iter().map(|(name, saved)| (name.to_string(), saved.clone())).collect()
    }

    pub(super) fn told(&self) -> &BTreeMap<Arc<str>, u64> {
        &self.told
    }

    /// The greatest numbers of an event and of an incident; 0: none.
    pub(super) fn last_numbers(&self) -> (u64, u64) {
        let last = |number: Option<&u64>| number.copied().unwrap_or(0);
        (last(self.events.keys().next_back()), last(self.incidents.keys().next_back()))
    }

    pub(super) fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            let (key, new) = match write {
                Write::Service(name, saved) => {
                    let new = self.services.insert(name.clone(), *saved).is_none();
                    (Key::Service(name), new)
                }
                Write::Forget(name) => {
                    self.services.remove(&name);
                    (Key::Service(name), false)
                }
                Write::Event(number, json) => {
                    let new = self.events.insert(number, Event::new(json)).is_none();
                    (Key::Event(number), new)
                }
                Write::Incident(id, json) => {
                    let new = self.incidents.insert(id, json).is_none();
                    (Key::Incident(id), new)
                }
                Write::Told(name, Some(number)) => {
                    let new = self.told.insert(name.clone(), number).is_none();
                    (Key::Told(name), new)
                }
                Write::Told(name, None) => {
                    self.told.remove(&name);
                    (Key::Told(name), false)
                }
            };
            self.mark(key, new);
        }
        self.prune();
    }

    fn mark(&mut self, key: Key, new: bool) {
        self.changes += 1;
        let never_saved = new || self.unsaved.get(&key).is_some_and(|mark| mark.never_saved);
        self.unsaved.insert(key, Mark { change: self.changes, never_saved });
    }

    /// Drops the oldest of what is too many. The file does the same, in its own transactions.
    fn prune(&mut self) {
        while self.events.len() > self.kept.events
            && let Some((number, _)) = self.events.pop_first()
        {
            self.unsaved.remove(&Key::Event(number));
        }
        while self.incidents.len() > self.kept.incidents
            && let Some((id, _)) = self.incidents.pop_first()
        {
            self.unsaved.remove(&Key::Incident(id));
        }
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// What the disk lacks; all there is if the file is a fresh one.
    pub(super) fn batch(&mut self, everything: bool) -> Batch {
        if everything {
            let services = self.services.keys().cloned().map(Key::Service);
            let events = self.events.keys().copied().map(Key::Event);
            let incidents = self.incidents.keys().copied().map(Key::Incident);
            let told = self.told.keys().cloned().map(Key::Told);
            let all = services.chain(events).chain(incidents).chain(told);
            for key in all.collect::<Vec<_>>() {
                self.mark(key, false);
            }
        }
        let mut batch = Batch {
            everything,
            services: Vec::new(),
            events: Vec::new(),
            incidents: Vec::new(),
            told: Vec::new(),
            marks: Vec::with_capacity(self.unsaved.len()),
        };
        for (key, mark) in &self.unsaved {
            batch.marks.push((key.clone(), mark.change));
            match key {
                Key::Service(name) => {
                    batch.services.push((name.clone(), self.services.get(name).cloned()));
                }
                Key::Event(number) => {
                    let event = self.events.get(number);
                    batch.events.extend(event.map(|event| (*number, event.json.clone())));
                }
                Key::Incident(id) => {
                    let json = self.incidents.get(id);
                    batch.incidents.extend(json.map(|json| (*id, json.clone())));
                }
                Key::Told(name) => {
                    batch.told.push((name.clone(), self.told.get(name).copied()));
                }
            }
        }
        batch
    }

    /// The disk has this now. What changed since it was taken stays unsaved.
    pub(super) fn saved(&mut self, batch: &Batch) {
        for (key, change) in &batch.marks {
            if let Some(mark) = self.unsaved.get_mut(key) {
                mark.never_saved = false;
                if mark.change == *change {
                    self.unsaved.remove(key);
                }
            }
        }
    }

    /// There is no disk to be brought up to date.
    pub(super) fn all_saved(&mut self) {
        self.unsaved.clear();
    }

    /// Events in a range of numbers, of one service or of all.
    pub(super) fn events<'a>(
        &'a self,
        range: impl RangeBounds<u64>,
        service: Option<&'a str>,
    ) -> impl DoubleEndedIterator<Item = Entry> + 'a {
        self.events
            .range(range)
            .filter(move |(_, event)| service.is_none() || event.service.as_deref() == service)
            .map(|(number, event)| Entry { number: *number, json: event.json.clone() })
    }

    /// Incidents in a range of numbers. What has never been on the disk is left out unless
    /// `also_unsaved`.
    pub(super) fn incidents(
        &self,
        range: impl RangeBounds<u64>,
        also_unsaved: bool,
    ) -> impl DoubleEndedIterator<Item = Entry> {
        self.incidents
            .range(range)
            .filter(move |(id, _)| also_unsaved || self.was_saved(&Key::Incident(**id)))
            .map(|(id, json)| Entry { number: *id, json: json.clone() })
    }

    fn was_saved(&self, key: &Key) -> bool {
        self.unsaved.get(key).is_none_or(|mark| !mark.never_saved)
    }
}

impl Event {
    /// Which service it concerns is in its JSON; nowhere else, so that the two cannot differ.
    fn new(json: Arc<str>) -> Self {
        #[derive(Deserialize)]
        struct Of {
            service: Option<Arc<str>>,
        }
        let service = serde_json::from_str::<Of>(&json).ok().and_then(|of| of.service);
        Self { service, json }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_written_is_written_again() {
        let mut ledger = Ledger::new(Content::default(), ON_DISK);
        let service = |epoch| {
            let saved = SavedService { epoch, ..SavedService::default() };
            vec![Write::Service("web".into(), saved.into())]
        };
        ledger.apply(service(1));
        let first = ledger.batch(false);
        ledger.apply(service(2));
        ledger.saved(&first);
        assert!(ledger.has_unsaved());
        let second = ledger.batch(false);
        let epochs = |batch: &Batch| {
            batch
                .services
                .iter()
                .map(|(_, saved)| saved.as_ref().map(|saved| saved.epoch))
                .collect()
        };
        let (first, epochs_now): (Vec<_>, Vec<_>) = (epochs(&first), epochs(&second));
        assert_eq!((first, epochs_now), (vec![Some(1)], vec![Some(2)]));
        ledger.saved(&second);
        assert!(!ledger.has_unsaved());
        ledger.apply(vec![Write::Forget("web".into())]);
        assert_eq!(epochs(&ledger.batch(false)), vec![None]);
    }

    #[test]
    fn an_update_of_what_is_on_the_disk_is_no_secret() {
        let mut ledger = Ledger::new(Content::default(), ON_DISK);
        let shown = |ledger: &Ledger| ledger.incidents(.., false).count();
        ledger.apply(vec![Write::Incident(1, "{}".into())]);
        assert_eq!(shown(&ledger), 0);
        let batch = ledger.batch(false);
        ledger.apply(vec![Write::Incident(1, "[]".into())]);
        assert_eq!(shown(&ledger), 0);
        ledger.saved(&batch);
        assert_eq!(shown(&ledger), 1);
        ledger.apply(vec![Write::Incident(1, "{}".into())]);
        assert_eq!(shown(&ledger), 1);
    }
}
