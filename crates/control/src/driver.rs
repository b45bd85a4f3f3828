//! Drives one service: verdicts, suspicions, commands and time in; traffic, then paperwork, out.
//!
//! Decides nothing: [`Failover`] does. Sends nothing itself: the workers and the probers do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use health::{Prober, Report};
use proxy::{Leave, Lost, ServiceId, Symptom, Workers};
use routing::failover::{self, BackendId, Effect, Failover, Input, Reason, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::blueprint::{BackendPlan, Plan};
use crate::board::Board;
use crate::events::Kind;
use crate::evidence::{Evidence, Suspicions, verdict, verdict_word};
use crate::handle::{Command, CommandError};
use crate::status::{BackendStatus, ServiceStatus, Since, Until};

/// Reports and orders that wait for the driver; more wait with their senders.
const QUEUE: usize = 64;

/// What a driver is told.
pub(crate) enum Order {
    /// Live traffic met trouble.
    Suspect { backend: BackendId, symptom: Symptom },
    /// An operator asks for something.
    Command { command: Command, reply: oneshot::Sender<Result<(), CommandError>> },
    /// The workers know a new plan: follow it.
    Follow { plan: Box<Plan>, done: oneshot::Sender<()> },
}

pub(crate) struct Driver {
    id: ServiceId,
    name: Arc<str>,
    failover: Failover,
    /// When the active last changed.
    since: Instant,
    backends: BTreeMap<BackendId, Watched>,
    reports: mpsc::Sender<Report>,
    workers: Arc<Workers>,
    board: Arc<Board>,
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
        let prober = Prober::start(plan.target.clone(), plan.delay, reports);
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
        let Plan { id, name, backends, policy } = plan;
        let since = Instant::now();
        let failover = Failover::new(since, &ids(&backends), policy);
        let watched = backends.into_iter().map(|b| (b.id, Watched::start(b, reports.clone())));
        let backends = watched.collect();
        let driver = Self { id, name, failover, since, backends, reports, workers, board };
        driver.board.publish_decision(id, driver.status());
        (orders, tokio::spawn(driver.run(inbox, verdicts)))
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut reports: mpsc::Receiver<Report>) {
        let mut timer = std::pin::pin!(sleep_until(self.since.into()));
        loop {
            let wake = self.failover.wake_at();
            if let Some(wake) = wake.map(Into::into)
                && timer.deadline() != wake
            {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Suspect { backend, symptom }) => self.suspect(backend, symptom),
                    Some(Order::Command { command, reply }) => {
                        // Whoever asked may be gone; the command was carried out all the same.
                        let _ = reply.send(self.command(command).await);
                    }
                    Some(Order::Follow { plan, done }) => {
                        self.follow(*plan).await;
                        let _ = done.send(());
                    }
                    None => return,
                },
                Some(report) = reports.recv() => self.weigh(report).await,
                () = &mut timer, if wake.is_some() => {
                    self.step(Input::Tick).await;
                }
            }
        }
    }

    /// Takes one step and carries out what follows: traffic first, paperwork after.
    async fn step(&mut self, input: Input) -> Option<Refusal> {
        let decided = Instant::now();
        let effects = self.failover.step(decided, input);
        for effect in &effects {
            if let Effect::ActiveChanged { from, to, reason, epoch } = *effect {
                self.move_traffic(from, to, reason, epoch).await;
            }
        }
        let acknowledged = Instant::now();
        self.tell_probers();
        let mut refused = None;
        for effect in &effects {
            refused = self.write_down(effect, decided, acknowledged).or(refused);
        }
        if effects.is_empty() {
            self.board.publish(self.id, self.status());
        } else {
            self.board.publish_decision(self.id, self.status());
        }
        refused
    }

    async fn move_traffic(
        &mut self,
        from: Option<BackendId>,
        to: Option<BackendId>,
        reason: Reason,
        epoch: u64,
    ) {
        let left = from.and_then(|from| self.backends.get(&from));
        let leave = left.map_or(Leave::Finish, |left| left.evidence.leave(reason));
        let activated = self.workers.activate(self.id, epoch, to, leave);
        self.since = Instant::now();
        // A lost worker makes us not ready; the others have moved.
        let _ = acknowledged(activated, &self.board).await;
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
        self.step(Input::Probe { backend, verdict: verdict(&report.outcome) }).await;
        if suspicions != Suspicions::Unchanged {
            let _ = acknowledged(self.workers.cleared(self.id, backend), &self.board).await;
        }
        let verdict = verdict_word(&report.outcome);
        self.board.metrics().probe(&self.name, &name, verdict, report.took);
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
            Command::Switchover(name) => failover::Command::Switchover(self.backend(name)?),
            Command::Failback => failover::Command::Failback,
            Command::Pin => failover::Command::Pin,
            Command::Unpin => failover::Command::Unpin,
            Command::Lock => failover::Command::Lock,
            Command::Unlock => failover::Command::Unlock,
            Command::SetAdmin(name, admin) => {
                failover::Command::SetAdmin(self.backend(name)?, admin)
            }
        };
        let refused = self.step(Input::Command(command)).await;
        refused.map_or(Ok(()), |why| Err(CommandError::Refused(why)))
    }

    fn backend(&self, name: String) -> Result<BackendId, CommandError> {
        let found = self.backends.values().find(|watched| **watched.plan.name() == *name);
        found.map(|watched| watched.plan.id).ok_or(CommandError::UnknownBackend(name))
    }

    /// Follows a new plan. A backend that stays keeps everything known of it; its prober is started
    /// again only when it has to ask differently.
    async fn follow(&mut self, plan: Plan) {
        let backends = ids(&plan.backends);
        for backend in plan.backends {
            match self.backends.get_mut(&backend.id) {
                None => {
                    let watched = Watched::start(backend, self.reports.clone());
                    self.backends.insert(watched.plan.id, watched);
                }
                Some(watched) if !watched.plan.probes_like(&backend) => {
                    watched.prober =
                        Prober::start(backend.target.clone(), backend.delay, self.reports.clone());
                    watched.in_doubt = None;
                    watched.plan = backend;
                    if watched.evidence.is_suspected() {
                        watched.prober.suspect();
                    }
                }
                Some(watched) => watched.plan = backend,
            }
        }
        let input = Input::Reconfigure { backends: backends.clone(), policy: plan.policy };
        self.step(input).await;
        // Those that are gone were still needed for the record of the move.
        self.backends.retain(|id, _| backends.contains(id));
        self.board.publish_decision(self.id, self.status());
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

    /// Records an effect. Returns why a command was refused.
    fn write_down(
        &self,
        effect: &Effect,
        decided: Instant,
        acknowledged: Instant,
    ) -> Option<Refusal> {
        let kind = match *effect {
            Effect::ActiveChanged { from, to, reason, epoch } => {
                let left = from.and_then(|from| self.backends.get(&from));
                let sign = left.and_then(|left| left.evidence.first_sign);
                let sign = sign.filter(|_| reason == Reason::Failover && to.is_some());
                if let Some(sign) = sign {
                    let phase =
                        |phase, took| self.board.metrics().failover(&self.name, phase, took);
                    phase("detect", decided.saturating_duration_since(sign));
                    phase("switch", acknowledged - decided);
                    phase("total", acknowledged.saturating_duration_since(sign));
                }
                Kind::ActiveChanged {
                    from: from.map(|from| self.name(from)),
                    to: to.map(|to| self.name(to)),
                    reason,
                    epoch,
                    evidence: left.map_or_else(String::new, |left| left.evidence.words()).into(),
                    took: sign.map(|sign| acknowledged.saturating_duration_since(sign)),
                }
            }
            Effect::HealthChanged { backend, health } => {
                let watched = self.backends.get(&backend);
                let evidence = watched.map(|watched| watched.evidence.verdict_words());
                let evidence = evidence.unwrap_or_default();
                Kind::HealthChanged { backend: self.name(backend), health, evidence }
            }
            Effect::AdminChanged { backend, admin } => {
                Kind::AdminChanged { backend: self.name(backend), admin }
            }
            Effect::Locked => Kind::Locked,
            Effect::Unlocked => Kind::Unlocked,
            Effect::Rejected { why } => return Some(why),
        };
        self.board.record(&self.name, kind);
        None
    }

    fn name(&self, backend: BackendId) -> Arc<str> {
        self.backends.get(&backend).map_or("?".into(), |watched| watched.plan.name().clone())
    }

    fn status(&self) -> ServiceStatus {
        let status = self.failover.status();
        let backends = status.backends.iter().filter_map(|backend| {
            let watched = self.backends.get(&backend.id)?;
            Some(BackendStatus {
                name: watched.plan.name().clone(),
                url: watched.plan.url.clone(),
                health: backend.health,
                admin: backend.admin,
                active: status.active == Some(backend.id),
                last_probe: watched.evidence.last_probe.clone(),
            })
        });
        let primary = status.backends.first().map(|backend| backend.id);
        ServiceStatus {
            name: self.name.clone(),
            active: status.active.map(|active| self.name(active)),
            epoch: status.epoch,
            since: Since(self.since),
            on_primary: status.active.is_some() && status.active == primary,
            pinned: status.pinned,
            locked: status.locked,
            failback_due: status.failback_due.map(|(_, due)| Until(due)),
            backends: backends.collect(),
        }
    }
}

fn ids(backends: &[BackendPlan]) -> Vec<BackendId> {
    backends.iter().map(|backend| backend.id).collect()
}

/// Awaits the acknowledgement of every worker. When one does not answer, we are not ready until a
/// later message reaches them all: without its word, "one active" is not known to hold.
pub(crate) async fn acknowledged(
    message: impl Future<Output = Result<(), Lost>>,
    board: &Board,
) -> Result<(), Lost> {
    let result = message.await;
    board.set_fault(result.as_ref().err().map(ToString::to_string));
    result
}
