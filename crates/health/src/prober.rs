//! One task per backend that probes it until the handle is dropped.
//!
//! When a round begins is `cadence.rs`'s business, what happens in it is `round.rs`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::model::{Health, Level, Probe, Role, UpstreamProtocol};
use connect::{Destination, Tls};
use futures_util::future::join_all;
use http::HeaderName;
use rustls::client::Resumption;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::agent::Heard;
use crate::answer::{Answer, Late};
use crate::exec::Programs;
use crate::probe::{self, Context, Ways};
use crate::report::{Outcome, Report};
use crate::round::{self, Ended, Round};
use crate::transcript::Transcript;
use crate::witness::Witnesses;

mod driver;
mod order;

use driver::Driver;

/// What to probe.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The backend's number; comes back in every [`Report`].
    pub id: u32,
    /// The service's name, for logs.
    pub service: Arc<str>,
    /// The backend's name, for logs.
    pub backend: Arc<str>,
    /// The way to it; the traffic's own, unless the probe has TLS settings of its own.
    pub destination: Destination,
    /// Which HTTP it speaks.
    pub protocol: UpstreamProtocol,
    /// What to send, when, and what to expect.
    pub health: Health,
    /// The field in which the backend is told the service's epoch; `None`: it is not.
    pub epoch_header: Option<HeaderName>,
}

/// What all probers share.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Who is asked whether we are cut off.
    pub witnesses: Witnesses,
    /// The programs that may run, over all backends.
    pub programs: Programs,
}

impl Surroundings {
    /// With these witnesses.
    #[must_use]
    pub fn new(witnesses: Witnesses) -> Self {
        Self { witnesses, programs: Programs::default() }
    }
}

/// A probe that was asked for, and what was seen of it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// How it ended.
    pub outcome: Outcome,
    /// The role that the backend claims.
    pub role: Option<Role>,
    /// How long it took.
    pub took: Duration,
    /// What was sent (`> `), received (`< `) and happened (`* `), line by line, without secrets.
    pub exchange: Vec<String>,
}

/// Probes once, now, beside all others, and shows the exchange: asks all probes, whatever their
/// intervals, and waits for each. `epoch` is what the backend is told.
pub async fn show(subject: Subject, epoch: u64, surroundings: &Surroundings) -> Shown {
    let ways = Ways::new(unacquainted(&subject.destination), &subject.health);
    let programs = &surroundings.programs;
    let context = Context { subject: &subject, ways: &ways, epoch, programs };
    let began = Instant::now();
    let numbers = 0..subject.health.probes.len();
    let asked = numbers.map(|number| show_one(number, context, began));
    let (ended, exchanges): (Vec<_>, Vec<_>) = join_all(asked).await.into_iter().unzip();
    let round = Round::of(began, ended);
    let report = round.report(subject.id, &subject.health, Late::No);
    let Report { outcome, role, .. } = report;
    Shown { outcome, role, took: began.elapsed(), exchange: exchanges.concat() }
}

async fn show_one(number: usize, context: Context<'_>, began: Instant) -> (Ended, Vec<String>) {
    let health = &context.subject.health;
    let deadline = began + round::timeout(health, number);
    let (mut heard, mut transcript) = (Heard::default(), Transcript::kept());
    let answer = probe::run(number, context, &mut heard, deadline.into(), &mut transcript).await;
    let took = began.elapsed();
    let mut lines = transcript.into_lines();
    lines.push(format!("* {}", summary(&health.probes[number], &answer, took)));
    (Ended { answer, heard, took }, lines)
}

/// One probe in a line.
fn summary(probe: &Probe, answer: &Answer, took: Duration) -> String {
    let level = match probe.level {
        Level::Alive => "alive",
        Level::Ready => "ready",
    };
    let role = answer.role.map(|role| match role {
        Role::Active => ", role active",
        Role::Standby => ", role standby",
        Role::Promoting => ", role promoting",
        Role::Fenced => ", role fenced",
    });
    let wish = answer.wish.map(|wish| match wish {
        config::model::Wish::Serve => ", wishes to serve",
        config::model::Wish::Drain => ", wishes a drain",
        config::model::Wish::Maintenance => ", wishes maintenance",
    });
    let took = took.as_secs_f64() * 1e3;
    let (role, wish) = (role.unwrap_or_default(), wish.unwrap_or_default());
    format!("probe {} ({level}) after {took:.2} ms: {}{role}{wish}", probe.name, answer.outcome)
}

/// Probes one backend until dropped; no report is sent after that.
#[derive(Debug)]
pub struct Prober {
    wishes: Arc<Wishes>,
    task: JoinHandle<()>,
}

impl Prober {
    /// Starts probing, on the current tokio runtime; the first probe after `delay`. Reports go to
    /// `reports`; a full channel delays the next probe, never loses a report. Begins without doubt
    /// and without suspicion. Ends when `reports` is closed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(
        subject: Subject,
        delay: Duration,
        reports: mpsc::Sender<Report>,
        surroundings: Surroundings,
    ) -> Self {
        let wishes = Arc::new(Wishes::default());
        let driver = Driver::new(subject, delay, reports, Arc::clone(&wishes), surroundings);
        Self { wishes, task: tokio::spawn(driver.run()) }
    }

    /// Live traffic had trouble: probe now, and every `confirm_interval` until a probe begun after
    /// this call has passed or failed, or enough of them were inconclusive.
    pub fn suspect(&self) {
        self.wishes.lock().suspected = Some(Instant::now());
        self.wishes.changed.notify_one();
    }

    /// Whether the next verdicts could change the health: then probes come every
    /// `confirm_interval` and may overlap, otherwise every `interval`.
    pub fn in_doubt(&self, in_doubt: bool) {
        self.wishes.lock().in_doubt = in_doubt;
        self.wishes.changed.notify_one();
    }

    /// The service's epoch from now on: what the next probes tell the backend, if the subject has a
    /// field for it.
    pub fn tell_epoch(&self, epoch: u64) {
        self.wishes.lock().epoch = epoch;
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.wishes.lock().stopped = true;
        self.task.abort();
    }
}

/// What the handle asks of the task. `changed` remembers a notification that nobody waited for.
#[derive(Debug, Default)]
struct Wishes {
    wish: Mutex<Wish>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Wish {
    in_doubt: bool,
    epoch: u64,
    /// The latest suspicion the task has not yet taken.
    suspected: Option<Instant>,
    stopped: bool,
}

impl Wishes {
    /// Nothing is ever half changed, so a panic of another holder does no harm.
    fn lock(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same way, without resuming TLS sessions: a backend that knows us shows its certificate no more
/// (RFC 8446 section 2.2), and a probe is to notice when it was renewed or has expired.
fn unacquainted(destination: &Destination) -> Destination {
    let mut destination = destination.clone();
    if let Some(Tls { config, .. }) = &mut destination.tls {
        Arc::make_mut(config).resumption = Resumption::disabled();
    }
    destination
}
