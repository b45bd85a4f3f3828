//! Drives one service: verdicts, suspicions, commands and time in; traffic, then paperwork, out.
//!
//! Decides nothing: [`Failover`] does. Sends nothing itself: the workers and the probers do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::StreamPolicies;
use health::{Prober, Report};
use proxy::{Leave, Lost, ServiceId, Symptom, Workers};
use routing::failover::{
    self, BackendId, Effect, Failover, Health, Input, Policy, Reason, Refusal,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::blueprint::{BackendPlan, Plan};
use crate::board::Board;
use crate::command::{Command, CommandError, Done, Operator, Preview, ProbeShown};
use crate::evidence::{Evidence, Suspicions, verdict, verdict_word};
use crate::streams::{self, Settlements};

mod records;

/// Reports and orders that wait for the driver; more wait with their senders.
const QUEUE: usize = 64;

/// The longest that a new plan waits for the first verdicts on its backends.
const CHECKED_WITHIN: Duration = Duration::from_secs(5);

/// What a driver is told.
pub(crate) enum Order {
    /// Live traffic met trouble.
    Suspect { backend: BackendId, symptom: Symptom },
    /// An operator asks for something.
    Command { command: Command, by: Operator, reply: oneshot::Sender<Result<Done, CommandError>> },
    /// What would an ordered move do?
    Preview { to: Option<String>, reply: oneshot::Sender<Result<Preview, CommandError>> },
    /// Probe a backend once and show it.
    Probe { backend: String, reply: oneshot::Sender<Result<ProbeShown, CommandError>> },
    /// The workers know the backends of a new plan, and still those of the old one: follow it.
    Follow { plan: Box<Plan>, done: oneshot::Sender<()> },
}

pub(crate) struct Driver {
    id: ServiceId,
    name: Arc<str>,
    failover: Failover,
    streams: StreamPolicies,
    settlements: Settlements,
    /// When the active last changed.
    since: Instant,
    backends: BTreeMap<BackendId, Watched>,
    succession: Option<Succession>,
    reports: mpsc::Sender<Report>,
    workers: Arc<Workers>,
    board: Arc<Board>,
}

/// A new plan whose backends are still being checked, while those that it leaves out stay in place:
/// a changed probe or URL of a healthy primary must not look like a failover.
struct Succession {
    backends: Vec<BackendId>,
    policy: Policy,
    /// When it takes place whatever is known.
    until: Instant,
    done: oneshot::Sender<()>,
}

/// A backend with its prober and what is known of it.
struct Watched {
    plan: BackendPlan,
    prober: Prober,
    /// What the prober was last told.
    in_doubt: Option<bool>,
    evidence: Evidence,
}

impl Watched {
    fn start(plan: BackendPlan, reports: mpsc::Sender<Report>) -> Self {
        let prober = Prober::start(plan.subject.clone(), plan.delay, reports);
        Self { plan, prober, in_doubt: None, evidence: Evidence::default() }
    }
}

impl Driver {
    /// Starts driving a service the workers already know. Ends when all senders of orders are gone.
    pub(crate) fn start(
        plan: Plan,
        workers: Arc<Workers>,
        board: Arc<Board>,
    ) -> (mpsc::Sender<Order>, JoinHandle<()>) {
        let (orders, inbox) = mpsc::channel(QUEUE);
        let (reports, verdicts) = mpsc::channel(QUEUE);
        let Plan { id, name, backends, policy, streams } = plan;
        let since = Instant::now();
        let failover = Failover::new(since, &ids(&backends), policy);
        let watched = backends.into_iter().map(|b| (b.id, Watched::start(b, reports.clone())));
        let backends = watched.collect();
        let succession = None;
        let settlements = Settlements::default();
        let mut driver = Self {
            id,
            name,
            failover,
            streams,
            settlements,
            since,
            backends,
            succession,
            reports,
            workers,
            board,
        };
        driver.tell_probers();
        driver.board.publish_decision(id, driver.status());
        (orders, tokio::spawn(driver.run(inbox, verdicts)))
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut reports: mpsc::Receiver<Report>) {
        let mut timer = std::pin::pin!(sleep_until(self.since.into()));
        loop {
            let checked = self.succession.as_ref().map(|succession| succession.until);
            let settled = self.settlements.wake_at();
            let wake = self.failover.wake_at().into_iter().chain(checked).chain(settled).min();
            if let Some(wake) = wake.map(Into::into)
                && timer.deadline() != wake
            {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Suspect { backend, symptom }) => self.suspect(backend, symptom),
                    Some(Order::Command { command, by, reply }) => {
                        // Whoever asked may be gone; the command was carried out all the same.
                        let done = self.command(command).await;
                        let text = format!("done, {}", by.who);
                        let _ = reply.send(done.map(|()| Done { text, moved: None }));
                    }
                    Some(Order::Preview { to, reply }) => {
                        let why = format!("not yet: {to:?}");
                        let _ = reply.send(Err(CommandError::Impossible(why)));
                    }
                    Some(Order::Probe { backend, reply }) => {
                        let why = format!("not yet: {backend}");
                        let _ = reply.send(Err(CommandError::Impossible(why)));
                    }
                    Some(Order::Follow { plan, done }) => self.follow(*plan, done).await,
                    None => return,
                },
                Some(report) = reports.recv() => self.weigh(report).await,
                () = &mut timer, if wake.is_some() => {
                    self.step(Input::Tick).await;
                }
            }
            self.succeed().await;
            self.settle();
        }
    }

    /// Takes one step and carries out what follows: traffic first, paperwork after.
    async fn step(&mut self, input: Input) -> Option<Refusal> {
        let decided = Instant::now();
        let effects = self.failover.step(decided, input);
        let mut streams = 0;
        for effect in &effects {
            if let Effect::ActiveChanged { from, to, reason, epoch } = *effect {
                streams += self.move_traffic(from, to, reason, epoch).await;
            }
        }
        let acknowledged = Instant::now();
        self.tell_probers();
        let mut refused = None;
        for effect in &effects {
            refused = self.write_down(effect, decided, acknowledged, streams).or(refused);
        }
        if effects.is_empty() {
            self.board.publish(self.id, self.status());
        } else {
            self.board.publish_decision(self.id, self.status());
        }
        refused
    }

    /// Returns how many streams were under way at the old active.
    async fn move_traffic(
        &mut self,
        from: Option<BackendId>,
        to: Option<BackendId>,
        reason: Reason,
        epoch: u64,
    ) -> usize {
        let closed = self.board.metrics().streams_closed(&self.name);
        let left = from.and_then(|from| self.backends.get(&from));
        let leave = left.map_or(Leave::Finish, |left| left.evidence.leave());
        let policy = streams::policy(self.streams, reason);
        let activated = self.workers.activate(self.id, epoch, to, leave, policy);
        self.since = Instant::now();
        // A lost worker makes us not ready; the others have moved.
        let count = acknowledged(activated, &self.board).await.unwrap_or(0);
        self.settlements.begin(epoch, count, closed, policy, self.since);
        count
    }

    /// Writes down what became of streams whose time is over.
    fn settle(&mut self) {
        if self.settlements.wake_at().is_some() {
            let closed = self.board.metrics().streams_closed(&self.name);
            for settled in self.settlements.look(Instant::now(), closed) {
                self.board.record(&self.name, settled);
            }
        }
    }

    /// A probe ended.
    async fn weigh(&mut self, report: Report) {
        let backend = BackendId(report.id);
        let Some(watched) = self.backends.get_mut(&backend) else { return };
        let suspicions = watched.evidence.probe(&report);
        if suspicions == Suspicions::ClearedUntilNow {
            watched.prober.suspect();
        }
        let name = watched.plan.name().clone();
        let is_tls = watched.plan.subject.destination.tls.is_some();
        self.step(Input::Probe { backend, verdict: verdict(&report.outcome) }).await;
        if suspicions != Suspicions::Unchanged {
            let _ = acknowledged(self.workers.cleared(self.id, backend), &self.board).await;
        }
        let verdict = verdict_word(&report.outcome);
        self.board.metrics().probe(&self.name, &name, verdict, report.took);
        match report.certificate_expires {
            Some(expires) => self.board.backend_certificate(&self.name, &name, expires),
            None if is_tls => {}
            None => self.board.no_backend_certificate(&self.name, &name),
        }
    }

    /// Live traffic met trouble: have it confirmed or dispelled.
    fn suspect(&mut self, backend: BackendId, symptom: Symptom) {
        if let Some(watched) = self.backends.get_mut(&backend) {
            let first = watched.evidence.suspect(Instant::now(), symptom);
            if first {
                watched.prober.suspect();
            }
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), CommandError> {
        let command = match command {
            Command::Switchover { to, .. } => failover::Command::Switchover(self.backend(to)?),
            Command::Failback { .. } => failover::Command::Failback,
            Command::Pin => failover::Command::Pin,
            Command::Unpin => failover::Command::Unpin,
            Command::Lock => failover::Command::Lock,
            Command::Unlock => failover::Command::Unlock,
            Command::SetAdmin(name, admin) => {
                failover::Command::SetAdmin(self.backend(name)?, admin)
            }
            other => return Err(CommandError::Impossible(format!("not yet: {other:?}"))),
        };
        let refused = self.step(Input::Command(command)).await;
        refused.map_or(Ok(()), |why| Err(CommandError::Refused(why)))
    }

    fn backend(&self, name: String) -> Result<BackendId, CommandError> {
        let found = self.backends.values().find(|watched| **watched.plan.name() == *name);
        found.map(|watched| watched.plan.id).ok_or(CommandError::UnknownBackend(name))
    }

    /// Begins to follow a new plan: its backends join those that will leave.
    async fn follow(&mut self, plan: Plan, done: oneshot::Sender<()>) {
        let backends = ids(&plan.backends);
        let mut leaving: Vec<(BackendId, Arc<str>)> = self
            .backends
            .values()
            .map(|watched| (watched.plan.id, watched.plan.name().clone()))
            .collect();
        leaving.retain(|(id, _)| !backends.contains(id));
        let patience = if leaving.is_empty() { Duration::ZERO } else { self.patience(&plan) };

        // Each that leaves ranks right behind its namesake; those without one rank last.
        let mut all = Vec::new();
        for backend in &plan.backends {
            all.push(backend.id);
            let namesakes = leaving.extract_if(.., |(_, name)| name == backend.name());
            all.extend(namesakes.map(|(id, _)| id));
        }
        all.extend(leaving.into_iter().map(|(id, _)| id));

        self.watch(plan.backends);
        let policy = plan.policy;
        self.streams = plan.streams;
        self.step(Input::Reconfigure { backends: all, policy: policy.clone() }).await;
        let until = Instant::now() + patience;
        self.succession = Some(Succession { backends, policy, until, done });
    }

    /// How long the backends that nothing is known of may take to show themselves. A lost first probe
    /// is not held against one: there is time for those that confirm or refute it.
    fn patience(&self, plan: &Plan) -> Duration {
        let known = self.failover.status().backends;
        let is_known =
            |id| known.iter().any(|known| known.id == id && known.health != Health::Unknown);
        let unknown = plan.backends.iter().filter(|backend| !is_known(backend.id));
        let needed = unknown.map(|backend| {
            let health = &backend.subject.health;
            let confirming = health.confirm_interval.saturating_mul(plan.policy.fall);
            backend.delay.saturating_add(health.timeout).saturating_add(confirming)
        });
        needed.max().unwrap_or_default().min(CHECKED_WITHIN)
    }

    /// Whether there is nothing to wait for before a new plan takes place: every backend has a
    /// verdict, and the one that takes over from an active that leaves is up.
    fn is_checked(&self, next: &Succession) -> bool {
        let status = self.failover.status();
        let health = |id| status.backends.iter().find(|b| b.id == id).map(|b| b.health);
        let stays = |id| next.backends.contains(&id);
        let heir = status.active.filter(|active| !stays(*active)).and_then(|active| {
            let name = self.name(active);
            next.backends.iter().copied().find(|id| self.name(*id) == name)
        });
        heir.is_none_or(|heir| health(heir) == Some(Health::Up))
            && next.backends.iter().all(|id| health(*id) != Some(Health::Unknown))
    }

    /// Completes the new plan once its backends have been checked: those that it leaves out go.
    async fn succeed(&mut self) {
        let Some(next) = &self.succession else { return };
        if !self.is_checked(next) && Instant::now() < next.until {
            return;
        }
        let Some(Succession { backends, policy, done, .. }) = self.succession.take() else {
            return;
        };
        self.step(Input::Reconfigure { backends: backends.clone(), policy }).await;
        // Those that are gone were still needed for the record of the move.
        self.backends.retain(|id, _| backends.contains(id));
        self.board.publish_decision(self.id, self.status());
        let _ = done.send(());
    }

    /// Has these backends watched. One that stays keeps everything known of it; its prober is
    /// started again only when it has to ask differently.
    fn watch(&mut self, backends: Vec<BackendPlan>) {
        for backend in backends {
            let reports = self.reports.clone();
            match self.backends.get_mut(&backend.id) {
                None => {
                    self.backends.insert(backend.id, Watched::start(backend, reports));
                }
                Some(watched) if !watched.plan.probes_like(&backend) => {
                    let evidence = std::mem::take(&mut watched.evidence);
                    *watched = Watched { evidence, ..Watched::start(backend, reports) };
                    if watched.evidence.is_suspected() {
                        watched.prober.suspect();
                    }
                }
                Some(watched) => watched.plan = backend,
            }
        }
    }

    /// Says to each prober whether its next verdicts could change anything.
    fn tell_probers(&mut self) {
        for status in self.failover.status().backends {
            let in_doubt = status.in_doubt();
            if let Some(watched) = self.backends.get_mut(&status.id)
                && watched.in_doubt.replace(in_doubt) != Some(in_doubt)
            {
                watched.prober.in_doubt(in_doubt);
            }
        }
    }
}

fn ids(backends: &[BackendPlan]) -> Vec<BackendId> {
    backends.iter().map(|backend| backend.id).collect()
}

/// Awaits the acknowledgement of every worker. When one does not answer, we are not ready until a
/// later message reaches them all: without its word, "one active" is not known to hold.
pub(crate) async fn acknowledged<T>(
    message: impl Future<Output = Result<T, Lost>>,
    board: &Board,
) -> Result<T, Lost> {
    let result = message.await;
    board.set_fault(result.as_ref().err().map(ToString::to_string));
    result
}
