//! Tells people and programs what happened: one task per notifier, never on the way of a decision.
//!
//! What is to be told is read from the kept events, and how far each notifier has come is kept as
//! well: so nothing is lost over a restart, and nothing is told twice but what was just being told.

mod alerts;
mod backlog;
mod bodies;
mod channel;
mod mail;
mod news;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::model::Notifier;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

pub(crate) use alerts::Primaries;
use channel::Delivery;
pub(crate) use channel::Way;
use news::News;
use task::Task;

use crate::board::Board;
use crate::state::Write;

/// How long tasks may take to end: each finishes what it is doing or drops it, and keeps how far it has
/// come.
const END_WITHIN: Duration = Duration::from_secs(3);

/// A notifier with what it needs to tell.
#[derive(Clone, Debug)]
pub(crate) struct PlannedNotifier {
    pub(crate) notifier: Notifier,
    pub(crate) way: Way,
    pub(crate) primaries: Arc<Primaries>,
}

impl PlannedNotifier {
    /// Whether one that runs by `other` does exactly the same.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.notifier == other.notifier
            && self.way.same_as(&other.way)
            && self.primaries == other.primaries
    }
}

/// How the test of a notifier went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierTest {
    /// Whether it was taken.
    pub told: bool,
    /// What was answered, or why nothing was, in words.
    pub answer: String,
}

/// Tells one thing that has not happened, once.
pub(crate) async fn test(plan: &PlannedNotifier, who: &str) -> NotifierTest {
    let news = News::trial(&plan.notifier.name, who, SystemTime::now());
    match channel::tell(plan, &news).await {
        Delivery::Told(answer) => NotifierTest { told: true, answer },
        Delivery::Again(answer) | Delivery::Refused(answer) => NotifierTest { told: false, answer },
    }
}

/// When what failed is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    first: Duration,
    longest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(5 * 60) }
    }
}

impl Times {
    fn pause(self, failed: u32) -> Duration {
        hooks::pause(self.first, failed, self.longest, fastrand::f64())
    }
}

/// The notifiers at work.
#[derive(Default)]
pub(crate) struct Notifiers {
    running: BTreeMap<Arc<str>, Running>,
    times: Times,
}

struct Running {
    plan: PlannedNotifier,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Notifiers {
    /// Has exactly these notifiers at work. Those that are the same go on with what they are doing;
    /// of those that are gone is forgotten how far they had come.
    pub(crate) async fn follow(&mut self, plans: &[PlannedNotifier], board: &Arc<Board>) {
        let stays = |running: &Running| plans.iter().any(|plan| plan.same_as(&running.plan));
        let (stay, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.running).into_iter().partition(|(_, it)| stays(it));
        self.running = stay;
        end(gone).await;
        let store = board.store();
        let is_planned = |name: &Arc<str>| plans.iter().any(|plan| plan.notifier.name == *name);
        for name in store.told().into_keys().filter(|name| !is_planned(name)) {
            store.post(Write::Told(name, None));
        }
        let names = plans.iter().map(|plan| plan.notifier.name.clone());
        board.metrics().show_notifiers(names.collect());
        board.show_notifiers(plans);
        for plan in plans {
            self.running.entry(plan.notifier.name.clone()).or_insert_with(|| {
                let (stop, stopped) = oneshot::channel();
                let task = Task::new(plan.clone(), board.clone(), self.times);
                let task = tokio::spawn(task.run(stopped));
                Running { plan: plan.clone(), stop: Some(stop), task }
            });
        }
    }

    /// Ends all of them: another process tells from now on, or this one ends.
    pub(crate) async fn stop(&mut self) {
        end(std::mem::take(&mut self.running)).await;
    }
}

/// All at once.
async fn end(mut all: BTreeMap<Arc<str>, Running>) {
    for running in all.values_mut() {
        // One that has ended by itself hears nothing any more.
        let _ = running.stop.take().map(|stop| stop.send(()));
    }
    let until = Instant::now() + END_WITHIN;
    for (name, running) in &mut all {
        if timeout_at(until, &mut running.task).await.is_err() {
            tracing::error!(notifier = %name, "a notifier did not end in time");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
