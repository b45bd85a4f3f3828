//! What is too old: told to the decision, and said when it changes.

use std::sync::Arc;

use routing::failover::{BackendId, Input};

use super::{Driver, now_ms};
use crate::events::Kind;

impl Driver {
    /// Sees which standbys have become too old for a job, or are so no more.
    pub(super) async fn look_at_freshness(&mut self) {
        if self.jobs.timetable.entries().iter().all(|entry| entry.job.max_age.is_none())
            && self.jobs.told_stale.is_empty()
            && self.jobs.said_stale.is_empty()
        {
            return;
        }
        let now_ms = now_ms();
        let status = self.failover.status();
        if let Some(active) = status.active {
            let name = self.name(active);
            self.jobs.timetable.was_active(name, now_ms);
        }
        let leaves = |id| self.succession.as_ref().is_some_and(|next| next.drops(id));
        let standbys = status.backends.iter().map(|backend| backend.id);
        let standbys = standbys.filter(|id| Some(*id) != status.active && !leaves(*id));
        let standbys: Vec<(BackendId, Arc<str>)> = standbys.map(|id| (id, self.name(id))).collect();
        self.tell_stale(&standbys, now_ms).await;
        self.say_stale(&standbys, now_ms);
    }

    /// Forgets what jobs have done for backends that have left.
    pub(in crate::driver) fn forget_gone_backends(&mut self) {
        let names: Vec<&Arc<str>> = self.backends.values().map(|b| b.plan.name()).collect();
        self.jobs.timetable.keep_backends(|name| names.iter().any(|known| ***known == *name));
    }

    /// Tells the decision who may not become active.
    async fn tell_stale(&mut self, standbys: &[(BackendId, Arc<str>)], now_ms: u64) {
        let blocked =
            standbys.iter().filter(|(_, name)| self.jobs.timetable.is_blocked(name, now_ms));
        let blocked: Vec<BackendId> = blocked.map(|(id, _)| *id).collect();
        let before = std::mem::replace(&mut self.jobs.told_stale, blocked.clone());
        for &backend in before.iter().filter(|id| !blocked.contains(id)) {
            self.step(Input::Stale { backend, stale: false }).await;
        }
        for &backend in blocked.iter().filter(|id| !before.contains(id)) {
            self.step(Input::Stale { backend, stale: true }).await;
        }
    }

    /// Says what has changed. Before a job has run for the first time it is no news that nothing is up to
    /// date, nor before anybody is active.
    fn say_stale(&mut self, standbys: &[(BackendId, Arc<str>)], now_ms: u64) {
        if self.failover.status().active.is_none() && self.jobs.said_stale.is_empty() {
            return;
        }
        let timetable = &self.jobs.timetable;
        let ran = timetable.entries().iter().filter(|entry| !entry.saved.outcome.is_empty());
        let stale = ran.flat_map(|entry| {
            let stale = standbys.iter().filter(|(_, name)| timetable.is_stale(entry, name, now_ms));
            stale.map(|(_, name)| (entry.job.name.clone(), name.clone()))
        });
        let stale: Vec<(Arc<str>, Arc<str>)> = stale.collect();
        let before = std::mem::replace(&mut self.jobs.said_stale, stale.clone());
        if before == stale {
            return;
        }
        for (job, backend) in before.iter().filter(|said| !stale.contains(said)) {
            let (job, backend) = (job.clone(), backend.clone());
            self.board.record(&self.name, Kind::Fresh { job, backend });
        }
        for (job, backend) in stale.iter().filter(|found| !before.contains(found)) {
            let (job, backend) = (job.clone(), backend.clone());
            self.board.record(&self.name, Kind::Stale { job, backend });
        }
        self.judge_standbys(true);
        self.board.publish_decision(self.id, self.status());
    }
}
