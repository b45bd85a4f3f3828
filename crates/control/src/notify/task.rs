//! One notifier: tells what is to be told, in order, one at a time, and again until it is heard.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::backlog::{Backlog, MOST_WAITING, Skipped};
use super::channel::{self, Delivery};
use super::news::News;
use super::{PlannedNotifier, Times};
use crate::board::Board;
use crate::state::Write;

/// How long what is just being told may go on when it is time to stop, so that it is not told twice.
const GRACE: Duration = Duration::from_millis(500);

/// How often it is kept, at most, that others' events were passed over.
const KEPT_EVERY: Duration = Duration::from_secs(10);

/// How often it is said, at most, that events were skipped.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// One notifier at work.
pub(super) struct Task {
    pub(super) plan: PlannedNotifier,
    pub(super) board: Arc<Board>,
    pub(super) times: Times,
    backlog: Backlog,
    /// Up to where it is kept that all is told, and since when.
    kept: (u64, Instant),
    /// How many tries in a row have failed, and when the next is due.
    failed: u32,
    due: Instant,
    lost: Lost,
}

/// Events that nobody has been told will not be told.
#[derive(Default)]
struct Lost {
    events: u64,
    why: String,
    /// Before that it is not said again.
    quiet_until: Option<Instant>,
}

impl Task {
    /// Goes on where the notifier of that name has been; a new one begins now.
    pub(super) fn new(plan: PlannedNotifier, board: Arc<Board>, times: Times) -> Self {
        let store = board.store();
        let name = &plan.notifier.name;
        let last = store.last_event();
        let told = store.told().get(name).copied().filter(|told| *told <= last);
        if told.is_none() {
            store.post(Write::Told(name.clone(), Some(last)));
        }
        let told = told.unwrap_or(last);
        let now = Instant::now();
        Self {
            backlog: Backlog::after(told),
            plan,
            board,
            times,
            kept: (told, now),
            failed: 0,
            due: now,
            lost: Lost::default(),
        }
    }

    /// Until told to stop, or everything ends.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        // Before the first look, so that nothing happens in between unnoticed.
        let mut events = self.board.follow();
        loop {
            while self.backlog.read(&self.board.store(), &self.plan.notifier) {
                tokio::task::yield_now().await;
            }
            let next = self.next();
            self.say_what_is_lost(false);
            self.keep(false).await;
            self.board.metrics().notifications_behind(&self.plan.notifier.name, self.backlog.len());
            let now = Instant::now();
            let wake_at = match (&next, self.lost.due()) {
                (Some(_), Some(said_at)) => Some(self.due.min(said_at)),
                (Some(_), None) => Some(self.due),
                (None, said_at) => said_at,
            };
            let delivery = match &next {
                Some(news) if self.due <= now => {
                    match told_or_stopped(&self.plan, news, &mut stop).await {
                        Told::Whole(delivery) => Some(delivery),
                        Told::Stopped(delivery) => {
                            if let Some(delivery) = delivery {
                                self.note(news, delivery).await;
                            }
                            break;
                        }
                    }
                }
                Some(_) | None => tokio::select! {
                    biased;
                    _ = &mut stop => break,
                    // Whoever has missed some reads all of them.
                    _ = events.recv() => None,
                    () = sleep_until(wake_at.unwrap_or(now)), if wake_at.is_some() => None,
                },
            };
            if let (Some(news), Some(delivery)) = (next, delivery) {
                self.note(&news, delivery).await;
            }
        }
        self.say_what_is_lost(true);
        self.keep(true).await;
    }

    fn next(&mut self) -> Option<News> {
        let give_up_after = self.plan.notifier.give_up_after;
        let store = self.board.store();
        let before = self.backlog.len();
        let (news, skipped) = self.backlog.next(&store, give_up_after, SystemTime::now());
        let Skipped { events, only_of_notifiers } = skipped;
        if events > 0 {
            let why = if before > MOST_WAITING {
                format!("more than {MOST_WAITING} wait to be told")
            } else {
                "it could not be told in time".to_owned()
            };
            self.drop_some(events, only_of_notifiers, why);
        }
        news
    }

    async fn note(&mut self, news: &News, delivery: Delivery) {
        let name = &self.plan.notifier.name;
        let (kind, number) = (&news.kind, news.number);
        match delivery {
            Delivery::Told(_) => {
                self.board.metrics().notification(name, "sent");
                if self.failed > 0 {
                    let tries = self.failed + 1;
                    tracing::info!(notifier = %name, number, tries, "notifications go out again");
                }
            }
            Delivery::Again(why) => {
                self.board.metrics().notification(name, "failed");
                self.failed += 1;
                let pause = self.times.pause(self.failed);
                if self.failed == 1 {
                    tracing::warn!(notifier = %name, %kind, number, %why, "a notification failed: it is tried again");
                } else {
                    let tries = self.failed;
                    tracing::debug!(notifier = %name, number, tries, %why, ?pause, "still");
                }
                self.due = Instant::now() + pause;
                return;
            }
            Delivery::Refused(why) => {
                tracing::warn!(notifier = %name, %kind, number, %why, "a notification was refused: it is dropped");
                let is_of_notifiers = &*news.kind == "not_told_of";
                self.drop_some(1, is_of_notifiers, why);
            }
        }
        // Who answers may be told the next at once.
        self.failed = 0;
        self.due = Instant::now();
        self.backlog.done();
        self.keep(true).await;
    }

    /// Of what only says that somebody was not told nothing more is said: two notifiers that both fail
    /// would tell each other for ever.
    fn drop_some(&mut self, events: u64, only_of_notifiers: bool, why: String) {
        let name = &self.plan.notifier.name;
        for _ in 0..events {
            self.board.metrics().notification(name, "dropped");
        }
        if only_of_notifiers {
            tracing::warn!(notifier = %name, events, %why, "dropped");
        } else {
            self.lost.events += events;
            self.lost.why = why;
        }
    }

    fn say_what_is_lost(&mut self, at_once: bool) {
        let now = Instant::now();
        if self.lost.events == 0
            || (!at_once && self.lost.quiet_until.is_some_and(|until| now < until))
        {
            return;
        }
        let Lost { events, why, .. } = std::mem::take(&mut self.lost);
        self.lost.quiet_until = Some(now + SAID_EVERY);
        self.board.not_told_of(&self.plan.notifier.name, events, why);
    }

    /// Keeps how far it has come: always at once when something was told, or the task ends.
    async fn keep(&mut self, at_once: bool) {
        let (told, now) = (self.backlog.told(), Instant::now());
        if told == self.kept.0 || (!at_once && now < self.kept.1 + KEPT_EVERY) {
            return;
        }
        self.kept = (told, now);
        self.board.keep(Write::Told(self.plan.notifier.name.clone(), Some(told))).await;
    }
}

/// What became of telling something.
enum Told {
    Whole(Delivery),
    /// It was told to stop meanwhile.
    Stopped(Option<Delivery>),
}

async fn told_or_stopped(
    plan: &PlannedNotifier,
    news: &News,
    stop: &mut oneshot::Receiver<()>,
) -> Told {
    let mut telling = pin!(channel::tell(plan, news));
    tokio::select! {
        biased;
        _ = stop => {}
        delivery = &mut telling => return Told::Whole(delivery),
    }
    Told::Stopped(timeout(GRACE, telling).await.ok())
}

impl Lost {
    /// When it is to be said.
    fn due(&self) -> Option<Instant> {
        if self.events == 0 { None } else { self.quiet_until }
    }
}
