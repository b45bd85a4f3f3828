//! One task per backend that probes it until the handle is dropped.
//!
//! When a probe begins is `cadence.rs`'s business, what it does is `probe.rs`'s; here they are
//! started, and their ends put into order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::model::{Health, UpstreamProtocol};
use connect::{Connector, Destination, Tls};
use http::HeaderName;
use rustls::client::Resumption;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::cadence::Cadence;
use crate::lateness::Lateness;
use crate::probe;
use crate::report::{Outcome, Report};
use crate::transcript::Transcript;

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

/// A probe that was asked for, and what was seen of it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// What was sent (`> `), received (`< `) and happened (`* `), line by line, without secrets.
    pub exchange: Vec<String>,
}

/// Probes once, now, beside all others, and shows the exchange. `epoch` is what the backend is told.
pub async fn show(subject: Subject, epoch: u64) -> Shown {
    let connector = Connector::new(unacquainted(&subject.destination));
    let began = Instant::now();
    let deadline = began + subject.health.timeout;
    let mut transcript = Transcript::kept();
    let found = probe::run(&subject, &connector, epoch, deadline.into(), &mut transcript).await;
    Shown { outcome: found.outcome, took: began.elapsed(), exchange: transcript.into_lines() }
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
    pub fn start(subject: Subject, delay: Duration, reports: mpsc::Sender<Report>) -> Self {
        let wishes = Arc::new(Wishes::default());
        let driver = Driver::new(subject, delay, reports, Arc::clone(&wishes));
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

/// The task of one prober.
struct Driver {
    subject: Arc<Subject>,
    connector: Arc<Connector>,
    wishes: Arc<Wishes>,
    cadence: Cadence,
    lateness: Lateness,
    order: Order,
    running: JoinSet<(u64, Report)>,
    /// Reports the channel had no room for yet; while there are any, no probe begins.
    unsent: VecDeque<Report>,
    reports: mpsc::Sender<Report>,
}

impl Driver {
    fn new(
        subject: Subject,
        delay: Duration,
        reports: mpsc::Sender<Report>,
        wishes: Arc<Wishes>,
    ) -> Self {
        let now = Instant::now();
        Self {
            connector: Arc::new(Connector::new(unacquainted(&subject.destination))),
            cadence: Cadence::new(&subject.health, now + delay),
            lateness: Lateness::new(subject.health.timeout, now),
            subject: Arc::new(subject),
            wishes,
            order: Order::default(),
            running: JoinSet::new(),
            unsent: VecDeque::new(),
            reports,
        }
    }

    async fn run(mut self) {
        loop {
            self.hear_wishes();
            let now = Instant::now();
            self.lateness.look(now);
            let due = self.due();
            if due.is_some_and(|due| due <= now) {
                self.begin();
                continue;
            }
            let look = (!self.running.is_empty()).then(|| now + self.lateness.look_again());
            let wake = [due, look].into_iter().flatten().min();

            let mut ended = None;
            tokio::select! {
                () = self.wishes.changed.notified() => {}
                () = sleep_until(wake) => {}
                Some(probe) = self.running.join_next() => ended = Some(probe),
                permit = self.reports.reserve(), if !self.unsent.is_empty() => match permit {
                    Ok(permit) => {
                        let wish = self.wishes.lock();
                        if !wish.stopped && let Some(report) = self.unsent.pop_front() {
                            permit.send(report);
                        }
                    }
                    Err(_) => return,
                },
            }
            match ended {
                Some(Ok((number, report))) => self.end(number, report),
                Some(Err(error)) => {
                    let Subject { service, backend, .. } = &*self.subject;
                    tracing::error!(%service, %backend, %error, "a probe did not end as it should");
                }
                None => {}
            }
        }
    }

    fn hear_wishes(&mut self) {
        let mut wish = self.wishes.lock();
        self.cadence.set_in_doubt(wish.in_doubt);
        if let Some(at) = wish.suspected.take() {
            self.cadence.suspect(at);
        }
    }

    fn due(&self) -> Option<Instant> {
        if self.unsent.is_empty() { self.cadence.next(self.running.len()) } else { None }
    }

    fn begin(&mut self) {
        let number = self.order.next_number();
        let (subject, connector) = (Arc::clone(&self.subject), Arc::clone(&self.connector));
        let started = Instant::now();
        let epoch = self.wishes.lock().epoch;
        self.cadence.began(started, fastrand::f64() * 2.0 - 1.0);
        self.running.spawn(async move {
            let deadline = started + subject.health.timeout;
            let probe::Found { outcome, certificate_expires } = probe::run(
                &subject,
                &connector,
                epoch,
                deadline.into(),
                &mut Transcript::default(),
            )
            .await;
            let (id, took) = (subject.id, started.elapsed());
            (number, Report { id, outcome, started, took, certificate_expires })
        });
    }

    fn end(&mut self, number: u64, mut report: Report) {
        // Only now, because the stall that delayed this probe delayed us as well.
        self.lateness.look(Instant::now());
        if report.outcome.may_be_our_delay() && self.lateness.since(report.started) {
            report.outcome = Outcome::Inconclusive;
        }
        if report.outcome.is_conclusive() {
            self.cadence.concluded(report.started);
        }
        let counts = self.order.counts(number, &report.outcome);
        let Subject { service, backend, .. } = &*self.subject;
        let (outcome, took) = (&report.outcome, report.took);
        tracing::debug!(%service, %backend, number, ?outcome, ?took, superseded = !counts, "probed");
        if counts {
            self.unsent.push_back(report);
        }
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

/// Sleeps until `wake`; for ever without one.
async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

/// Keeps reports in the order in which their probes began.
///
/// Probes overlap, so an old one can end after a young one: it waits in a backlog, or for its
/// timeout, while the next is answered at once. What it says is older than what has been reported,
/// and would count as the *latest* of consecutive verdicts: a backend that has just recovered would
/// be charged with a failure from before. So it is dropped. The youngest that ended is never
/// dropped, so verdicts keep coming.
///
/// An inconclusive probe supersedes nothing: while we have no sockets left each new probe ends at
/// once without a result, and the last ones that did get a connection are all the evidence there is.
#[derive(Debug, Default)]
struct Order {
    begun: u64,
    /// The youngest probe that was reported with a pass or a failure.
    reported: u64,
}

impl Order {
    /// Numbers count up from 1.
    fn next_number(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// Whether the probe that ended is to be reported.
    fn counts(&mut self, number: u64, outcome: &Outcome) -> bool {
        if number < self.reported {
            return false;
        }
        if outcome.is_conclusive() {
            self.reported = number;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Cause;

    #[test]
    fn an_older_probe_does_not_overtake_a_younger_one() {
        let mut order = Order::default();
        let numbers = [(); 4].map(|()| order.next_number());
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert!(order.counts(2, &Outcome::Pass));
        assert!(!order.counts(1, &Outcome::Fail(Cause::Timeout)));
        assert!(order.counts(4, &Outcome::Fail(Cause::Timeout)));
        assert!(!order.counts(3, &Outcome::Inconclusive));
    }

    #[test]
    fn an_inconclusive_probe_supersedes_nothing() {
        let mut order = Order::default();
        let [old, young] = [(); 2].map(|()| order.next_number());
        assert!(order.counts(young, &Outcome::Inconclusive));
        assert!(order.counts(old, &Outcome::Fail(Cause::Timeout)));
    }
}
