//! What the board keeps for longer than the process runs, and finds again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::broadcast;

use super::Board;
use crate::command::Operator;
use crate::events::{Event, Kind};
use crate::handle::HistoryQuery;
use crate::incident::Counts;
use crate::logs::Logs;
use crate::notify::PlannedNotifier;
use crate::state::{Entry, Opened, SavedService, StateError, Store, Write, is_of_first_start};
use crate::status::{Load, ProcessStatus, Status};

/// The most incidents and events that one question is answered with.
const MOST: usize = 1_000;

/// How often it is looked whether a total stood still while the gauge beside it was read.
const STEADY_WITHIN: usize = 4;

/// How long another process may take to let go of the state.
const REOPENED_WITHIN: Duration = Duration::from_secs(5);

impl Board {
    pub(crate) fn store(&self) -> Arc<Store> {
        self.store.load_full()
    }

    /// Lets go of the state: another process keeps the books, or this one ends.
    pub(crate) async fn close_state(&self) {
        if let Err(error) = self.store().close().await {
            tracing::error!("state: {error}");
        }
    }

    /// Takes the state back, and says what another process has written meanwhile.
    pub(crate) async fn reopen_state(
        &self,
        folder: Option<PathBuf>,
    ) -> BTreeMap<String, SavedService> {
        let opened = tokio::task::spawn_blocking(move || {
            Store::open_within(folder.as_deref(), REOPENED_WITHIN)
        });
        let opened = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => Store::without(&error.to_string()),
            Err(panicked) => Store::without(&panicked.to_string()),
        };
        let Opened { store, services, notes } = opened;
        self.store.store(Arc::new(store));
        self.note_state(notes);
        self.look_at_state();
        services
    }

    /// Returns once every service has an active, or, if it is none of those that `had` one, all its
    /// backends have been checked; after `within` whatever is known. First verdicts that are all bad are
    /// more likely to be our trouble than everybody's.
    pub(crate) async fn await_first_verdicts(&self, had: &[String], within: Duration) {
        let mut status = self.subscribe();
        let settled = |status: &Arc<Status>| {
            status.services.iter().all(|service| {
                let had = had.iter().any(|name| **name == *service.name);
                service.active.is_some() || (!had && service.settled())
            })
        };
        // Whoever is late then is held for.
        let _ = tokio::time::timeout(within, status.wait_for(settled)).await;
    }

    /// Keeps something before it is acted upon. What cannot be kept stops nobody; why is returned.
    pub(crate) async fn keep(&self, write: Write) -> Option<String> {
        let why = match self.store().commit(vec![write]).await {
            // Closed: another process keeps the books now.
            Ok(()) | Err(StateError::Closed) => None,
            Err(StateError::Behind(why)) => Some(why.to_string()),
            Err(error @ StateError::InUse(_)) => Some(error.to_string()),
        };
        self.look_at_state();
        why
    }

    /// Keeps the record of a move. Nobody waits for it.
    pub(crate) fn keep_incident(&self, id: u64, record: Value) {
        self.store().post(Write::Incident(id, record.to_string().into()));
    }

    pub(crate) fn next_incident(&self) -> u64 {
        self.store().next_incident()
    }

    /// What a service has counted since the start.
    pub(crate) fn counts(&self, service: &str) -> Counts {
        self.metrics.counted(service).into()
    }

    /// What a service had counted before the trouble that is noticed now: whoever waits already waits
    /// because of it.
    pub(crate) fn counts_before(&self, service: &str) -> Counts {
        let mut counted = self.metrics.counted(service);
        for _ in 0..STEADY_WITHIN {
            let again = self.metrics.counted(service);
            if again.held == counted.held {
                break;
            }
            counted = again;
        }
        Counts { held: counted.held.saturating_sub(counted.held_now), ..counted.into() }
    }

    /// Keeps an event, and tells whoever follows.
    pub(super) fn note(&self, service: Option<Arc<str>>, kind: Kind) {
        let event = {
            let mut books = self.books();
            let store = self.store();
            // Numbered where it is entered: both logs are in order, and whoever has seen one event
            // has seen those before it.
            let number = store.next_event();
            let event = books.log.record(number, service, kind);
            let json = event.to_json();
            store.post(Write::Event(number, json.to_string().into()));
            self.logs.load().tell(json, event.at);
            Arc::new(event)
        };
        // Nobody needs to follow.
        let _ = self.events.send(event);
    }

    /// From now on events go to these logs.
    pub(crate) fn write_to(&self, logs: Logs) {
        self.logs.store(Arc::new(logs));
    }

    /// The files of the logs were renamed: they are opened anew.
    pub(crate) fn reopen_logs(&self) {
        self.logs.load().reopen();
    }

    /// Waits until the logs are written, as far as they can be.
    pub(crate) async fn flush_logs(&self) {
        let logs = self.logs.load_full();
        if tokio::task::spawn_blocking(move || logs.flush()).await.is_ok_and(|flushed| !flushed) {
            tracing::warn!("not everything could be written to the logs in time");
        }
    }

    /// An operator has asked for something that concerns all services.
    pub(crate) fn ordered(&self, command: &str, by: Operator, done: bool, outcome: Arc<str>) {
        let Operator { who, from, why } = &by;
        tracing::info!(%who, %from, %why, command, done, %outcome, "ordered");
        self.note(None, Kind::Ordered { command: command.into(), by, done, outcome });
    }

    /// Who is told what happens.
    pub(crate) fn show_notifiers(&self, plans: &[PlannedNotifier]) {
        self.notifiers.store(Arc::new(plans.to_vec()));
    }

    pub(crate) fn notifiers(&self) -> Arc<Vec<PlannedNotifier>> {
        self.notifiers.load_full()
    }

    /// A notifier has not told some events, and will not.
    pub(crate) fn not_told_of(&self, notifier: &Arc<str>, events: u64, why: String) {
        tracing::error!(%notifier, events, %why, "events were not told");
        let why = why.into();
        self.note(None, Kind::NotToldOf { notifier: notifier.clone(), events, why });
    }

    /// What an operator should know of the state, once.
    pub(crate) fn note_state(&self, notes: Vec<String>) {
        for note in notes {
            if is_of_first_start(&note) {
                tracing::info!("{note}");
            } else {
                tracing::warn!("{note}");
            }
            self.note(None, Kind::State { note: note.into() });
        }
    }

    /// Shows whether what is decided is kept.
    pub(crate) fn look_at_state(&self) {
        let problem = self.store().health();
        self.metrics.state_kept(problem.is_none());
        let before = self.status.borrow().process.state_problem.clone();
        if before == problem {
            return;
        }
        match (&before, &problem) {
            (None, Some(problem)) => tracing::error!("state: {problem}"),
            (Some(_), None) => tracing::info!("state: everything is kept again"),
            // It says for how long, so its words change.
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.change_process(|process| process.state_problem = problem);
    }

    /// Changes what is said of the process as a whole.
    pub(crate) fn change_process(&self, change: impl FnOnce(&mut ProcessStatus)) {
        self.change(|status| change(Arc::make_mut(&mut status.process)));
    }

    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    pub(crate) fn history(&self, query: &HistoryQuery) -> Vec<Value> {
        let HistoryQuery { after, before, service, limit } = query;
        let (service, limit) = (service.as_deref(), (*limit).min(MOST));
        let before = before.unwrap_or(u64::MAX);
        let mut entries = match after {
            Some(after) => self.store().events_after(*after, service, MOST),
            None => self.store().events_before(before, service, limit),
        };
        entries.retain(|entry| entry.number < before);
        let surplus = entries.len().saturating_sub(limit);
        values(entries.into_iter().skip(surplus))
    }

    pub(crate) fn incidents(&self, service: Option<&str>, limit: usize) -> Vec<Value> {
        let mut incidents = values(self.store().incidents(MOST).into_iter());
        incidents.retain(|incident| service.is_none_or(|service| incident["service"] == service));
        incidents.truncate(limit);
        incidents
    }

    pub(crate) fn incident(&self, id: u64) -> Option<Value> {
        values(self.store().incident(id).into_iter()).pop()
    }

    pub(crate) fn load(&self, service: &str) -> Option<Load> {
        self.status().service(service)?;
        let counted = self.metrics.counted(service);
        let backends = self.metrics.at_backends(service);
        Some(Load {
            in_flight: counted.in_flight,
            held: counted.held_now,
            held_total: counted.held,
            replayed_total: counted.replayed,
            failed_total: counted.failed,
            rejected_total: counted.rejected,
            backends,
        })
    }

    /// The latest events, from this process only.
    pub(crate) fn events(&self, after: u64) -> Vec<Event> {
        self.books().log.after(after)
    }
}

/// What was written is what we wrote: JSON.
fn values(entries: impl Iterator<Item = Entry>) -> Vec<Value> {
    entries.filter_map(|entry| serde_json::from_str(&entry.json).ok()).collect()
}
