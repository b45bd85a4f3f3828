//! When the jobs of a service run, and how old their successes are. Pure.
//!
//! Runs nothing and reads no clock: whoever asks says what time it is on the wall, in milliseconds since
//! 1970, for the times of jobs outlive the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::model::{Job, JobTarget, MaxAge};

use self::due::{due_ms, first_since_ms, ms, set_back};
use crate::readiness::Span;
use crate::state::{SavedJob, SavedService};

mod due;

pub(crate) use self::due::Words;

/// How late a job that is not made up for may begin.
const LATE_MS: u64 = 60_000;

/// Most characters that are remembered of how a run ended.
const WORDS: usize = 200;

/// All jobs of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timetable {
    /// In the order of the config.
    entries: Vec<Entry>,
    /// When each backend was last active, as far as is known.
    was_active_ms: BTreeMap<Arc<str>, u64>,
}

/// One job, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) job: Job,
    pub(crate) saved: SavedJob,
    /// When it is due; `None`: never by itself.
    pub(crate) due_ms: Option<u64>,
    /// Its time has come: since when it could not run; `None`: it can.
    came: Option<Came>,
}

/// A job whose time has come.
#[derive(Clone, Copy, Debug)]
struct Came {
    /// Since when it has not been able to run; `None`: it waits for its turn.
    blocked_ms: Option<u64>,
}

/// What a job was about at one turn, and how that ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// The backend; `None`: it did not get so far.
    pub(crate) backend: Option<Arc<str>>,
    pub(crate) began_ms: u64,
    pub(crate) succeeded: bool,
}

impl Timetable {
    /// Goes on from what was `saved`, with these jobs. Returns also which of them were under way when
    /// that was saved last: nobody knows how they ended.
    pub(crate) fn resume<'a>(
        jobs: impl Iterator<Item = &'a Job>,
        saved: &SavedService,
        now_ms: u64,
        mut chance: impl FnMut() -> f64,
    ) -> (Self, Vec<Arc<str>>) {
        let entries: Vec<Entry> = jobs
            .map(|job| Entry::new(job, saved.jobs.get(&job.name).cloned(), now_ms, chance()))
            .collect();
        let mut table = Self { entries, was_active_ms: saved.was_active_ms.clone() };
        let mut lost = Vec::new();
        for entry in table.entries.iter_mut().filter(|entry| entry.saved.under_way) {
            entry.saved.under_way = false;
            entry.saved.outcome = "unknown".into();
            entry.saved.words = LOST.into();
            lost.push(entry.job.name.clone());
        }
        // It has been the active until now: nothing but us moves the traffic.
        if let Some(active) = &saved.active {
            table.was_active(active.clone(), now_ms);
        }
        (table, lost)
    }

    /// Follows a new config: what is known of jobs that stay is kept.
    pub(crate) fn follow<'a>(
        &mut self,
        jobs: impl Iterator<Item = &'a Job>,
        now_ms: u64,
        mut chance: impl FnMut() -> f64,
    ) {
        let mut known = std::mem::take(&mut self.entries);
        let mut entry = |job: &Job| {
            let before = known.extract_if(.., |entry| entry.job.name == job.name).next();
            match before {
                Some(before) if before.job.schedule == job.schedule => {
                    Entry { job: job.clone(), ..before }
                }
                before => Entry::new(job, before.map(|before| before.saved), now_ms, chance()),
            }
        };
        self.entries = jobs.map(&mut entry).collect();
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.job.name == name)
    }

    fn entry_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| &*entry.job.name == name)
    }

    /// What must not be forgotten.
    pub(crate) fn save(&self, to: &mut SavedService) {
        let entries = self.entries.iter();
        to.jobs = entries.map(|e| (e.job.name.clone(), e.saved.clone())).collect();
        if !self.entries.is_empty() {
            to.was_active_ms = self.was_active_ms.clone();
        }
    }

    /// Whose turn it is: of those that are due and `may_run` the one that has been for longest. Those
    /// that are not made up for and could not run for too long are passed over; returns whether any was.
    pub(crate) fn look(
        &mut self,
        now_ms: u64,
        may_run: impl Fn(&Job) -> bool,
        mut chance: impl FnMut() -> f64,
    ) -> (Option<Arc<str>>, bool) {
        let mut is_changed = false;
        for entry in &mut self.entries {
            is_changed |= entry.look(now_ms, may_run(&entry.job), &mut chance);
        }
        let turns = self.entries.iter().filter(|entry| entry.has_turn());
        let first = turns.min_by_key(|entry| entry.due_ms);
        (first.map(|entry| entry.job.name.clone()), is_changed)
    }

    /// When to look again, if nothing else happens before.
    pub(crate) fn look_at_ms(&self) -> Option<u64> {
        let times = self.entries.iter().filter_map(|entry| match entry.came {
            None => entry.due_ms,
            Some(Came { blocked_ms: Some(since) }) if !entry.job.catch_up => {
                Some(since.saturating_add(LATE_MS + 1))
            }
            Some(Came { .. }) => None,
        });
        times.min()
    }

    /// A job has begun.
    pub(crate) fn began(&mut self, name: &str, now_ms: u64, chance: f64) {
        if let Some(entry) = self.entry_mut(name) {
            entry.saved.began_ms = Some(now_ms);
            entry.saved.under_way = true;
            entry.dealt_with(now_ms, chance);
        }
    }

    /// One of its turns has ended.
    pub(crate) fn turn_ended(&mut self, name: &str, ending: &Ending) {
        if let Some(entry) = self.entry_mut(name)
            && let Some(backend) = ending.backend.as_ref().filter(|_| ending.succeeded)
        {
            entry.saved.succeeded_ms.insert(backend.clone(), ending.began_ms);
        }
    }

    /// All of it has ended. One that was cancelled counts neither as a success nor as a failure.
    pub(crate) fn ended(&mut self, name: &str, outcome: &'static str, words: &str, took: Duration) {
        let Some(entry) = self.entry_mut(name) else { return };
        entry.saved.under_way = false;
        entry.saved.failures = match outcome {
            "done" => 0,
            "cancelled" => entry.saved.failures,
            _ => entry.saved.failures.saturating_add(1),
        };
        entry.saved.outcome = outcome.into();
        entry.saved.words = words.chars().take(WORDS).collect::<String>().into();
        entry.saved.took_ms = Some(ms(took));
    }

    // === How old successes are ===

    /// A backend was the active until now.
    pub(crate) fn was_active(&mut self, backend: Arc<str>, now_ms: u64) {
        self.was_active_ms.insert(backend, now_ms);
    }

    /// Forgets backends that are gone.
    pub(crate) fn keep_backends(&mut self, stays: impl Fn(&str) -> bool) {
        self.was_active_ms.retain(|name, _| stays(name));
        for entry in &mut self.entries {
            entry.saved.succeeded_ms.retain(|name, _| stays(name));
        }
    }

    /// As of when a standby has what a job brings; `None`: never, as far as is known.
    pub(crate) fn fresh_ms(&self, entry: &Entry, backend: &str) -> Option<u64> {
        let succeeded = match entry.job.to {
            JobTarget::Standbys { .. } => entry.saved.succeeded_ms.get(backend),
            // The active sees to all standbys itself.
            JobTarget::Active => entry.saved.succeeded_ms.values().max(),
        };
        succeeded.max(self.was_active_ms.get(backend)).copied()
    }

    /// Whether that is too long ago for this job.
    pub(crate) fn is_stale(&self, entry: &Entry, backend: &str, now_ms: u64) -> bool {
        let Some(MaxAge { age, .. }) = entry.job.max_age else { return false };
        let fresh_ms = self.fresh_ms(entry, backend);
        // A clock that was set back does not make it old.
        fresh_ms.is_none_or(|fresh| now_ms.saturating_sub(fresh) > ms(age))
    }

    /// When the first of these standbys becomes stale that is not yet.
    pub(crate) fn stale_at_ms<'a>(
        &self,
        standbys: impl Iterator<Item = &'a str>,
        now_ms: u64,
    ) -> Option<u64> {
        let of = |backend: &'a str| {
            self.entries.iter().filter_map(move |entry| {
                let age_ms = ms(entry.job.max_age?.age);
                let at_ms = self.fresh_ms(entry, backend)?.saturating_add(age_ms);
                (at_ms >= now_ms).then_some(at_ms.saturating_add(1))
            })
        };
        standbys.flat_map(of).min()
    }

    /// Why a standby is not ready: what is too old, in sentences.
    pub(crate) fn lags(&self, backend: &str, now_ms: u64) -> Vec<String> {
        let stale = self.entries.iter().filter(|entry| self.is_stale(entry, backend, now_ms));
        let words = |entry: &Entry| {
            let name = &entry.job.name;
            let most = entry.job.max_age.map_or(Duration::ZERO, |max| max.age);
            match self.fresh_ms(entry, backend) {
                None => format!("job {name} has never succeeded for it, as far as is known"),
                Some(fresh) => {
                    let age = Span(Duration::from_millis(now_ms.saturating_sub(fresh)));
                    let most = Span(most);
                    format!("job {name} last succeeded for it {age} ago, more than {most}")
                }
            }
        };
        stale.map(words).collect()
    }

    /// Whether it is too old to become active, because a job says so.
    pub(crate) fn is_blocked(&self, backend: &str, now_ms: u64) -> bool {
        let mut blocking =
            self.entries.iter().filter(|entry| entry.job.max_age.is_some_and(|max| max.blocks));
        blocking.any(|entry| self.is_stale(entry, backend, now_ms))
    }
}

/// What is said of a job that was under way when the process ended.
pub(crate) const LOST: &str = "it was under way when the process ended";

impl Entry {
    fn new(job: &Job, saved: Option<SavedJob>, now_ms: u64, chance: f64) -> Self {
        let first = || SavedJob {
            since_ms: first_since_ms(&job.schedule, now_ms),
            outcome: "".into(),
            ..SavedJob::default()
        };
        let saved = saved.unwrap_or_else(first);
        let due_ms = due_ms(&job.schedule, job.jitter, saved.since_ms, chance);
        Self { job: job.clone(), saved, due_ms, came: None }
    }

    /// Whether only another job stands before it.
    fn has_turn(&self) -> bool {
        matches!(self.came, Some(Came { blocked_ms: None }))
    }

    /// Returns whether it was passed over.
    fn look(&mut self, now_ms: u64, may_run: bool, chance: &mut impl FnMut() -> f64) -> bool {
        if let Some(since_ms) = set_back(&self.job.schedule, self.saved.since_ms, now_ms) {
            self.dealt_with(since_ms, chance());
        }
        for at_ms in self.saved.succeeded_ms.values_mut() {
            *at_ms = now_ms.min(*at_ms);
        }
        let Some(due_ms) = self.due_ms.filter(|due| *due <= now_ms) else {
            self.came = None;
            return false;
        };
        // What was due before anybody looked could not run: nobody was there.
        let before = self.came.map_or(Some(due_ms), |came| came.blocked_ms);
        let late_ms = before.map_or(0, |since| now_ms.saturating_sub(since));
        if late_ms > LATE_MS && !self.job.catch_up {
            self.dealt_with(now_ms, chance());
            return true;
        }
        let blocked_ms = if may_run { None } else { Some(before.unwrap_or(now_ms)) };
        self.came = Some(Came { blocked_ms });
        false
    }

    /// Its times up to this one have been dealt with.
    fn dealt_with(&mut self, since_ms: u64, chance: f64) {
        self.saved.since_ms = since_ms;
        self.due_ms = due_ms(&self.job.schedule, self.job.jitter, since_ms, chance);
        self.came = None;
    }
}

#[cfg(test)]
mod tests;
