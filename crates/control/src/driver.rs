//! Drives one service: verdicts, notices, commands and time in; traffic, then paperwork, out.
//!
//! Decides nothing: [`Failover`] does. Sends nothing itself: the workers and the probers do.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use health::{Prober, Report, Surroundings};
use metrics::ProbeView;
use proxy::{Answered, Lost, ServiceId, Symptom};
use routing::failover::{self, BackendId, Claim, Effect, Failover, Input, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use self::follow::Succession;
use self::jobs::Jobs;
use self::keep::{Kept, Unkept};
use self::moves::{Holding, Move};
use self::operate::Asked;
use self::readiness::Judgement;
use self::tagged::Tagged;
use self::verdicts::Verdicts;
use self::window::Window;
use crate::blueprint::{BackendPlan, Plan, Settings};
use crate::board::Board;
use crate::command::{
    Command, CommandError, Done, JobRun, JobShown, Operator, Preview, ProbeShown,
};
use crate::evidence::{Evidence, Suspicions, doubt_word, verdict, verdict_word};
use crate::forwarders::{Forwarders, Said};
use crate::state::SavedService;
use crate::streams::Settlements;

mod aside;
mod clock;
mod follow;
mod gates;
mod jobs;
mod keep;
mod later;
mod moves;
mod operate;
mod preview;
mod readiness;
mod records;
mod rehearse;
mod status;
mod tagged;
mod verdicts;
mod verified;
mod window;

/// Reports and orders that wait for the driver; more wait with their senders.
const QUEUE: usize = 64;

/// How often the number of requests in flight is looked at while a failback waits for that alone.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a driver is told.
pub(crate) enum Order {
    /// Live traffic met trouble.
    Suspect { backend: BackendId, symptom: Symptom },
    /// Live traffic got its first good answer since a move.
    Answered(Answered),
    /// An operator asks for something.
    Command { command: Command, by: Operator, reply: oneshot::Sender<Result<Done, CommandError>> },
    /// What would an ordered move do?
    Preview { to: Option<String>, reply: oneshot::Sender<Result<Preview, CommandError>> },
    /// Probe a backend once and show it.
    Probe { backend: String, reply: oneshot::Sender<Result<ProbeShown, CommandError>> },
    /// Run a job once, now, and say how it went; or, if not `wait`, that it will.
    RunJob {
        job: String,
        wait: bool,
        by: Operator,
        reply: oneshot::Sender<Result<JobRun, CommandError>>,
    },
    /// How does a job stand, and what did it say lately?
    ShowJob { job: String, reply: oneshot::Sender<Result<JobShown, CommandError>> },
    /// The workers know the backends of a new plan, and still those of the old one: follow it.
    Follow { plan: Box<Plan>, surroundings: Arc<Surroundings>, done: oneshot::Sender<()> },
    /// Another process takes over: decide nothing more, and say what it must know. `None`: a move is
    /// under way, ask again.
    StandAside { reply: oneshot::Sender<Option<SavedService>> },
    /// It did not take over: go on, also from what it has written.
    StepBackIn { saved: Option<Box<SavedService>> },
    /// Is anybody there?
    Beat { done: oneshot::Sender<()> },
    /// It has, and says what our workers do with what they still have.
    Obey { said: Said, done: oneshot::Sender<Result<usize, Lost>> },
}

pub(crate) struct Driver {
    id: ServiceId,
    name: Arc<str>,
    failover: Failover,
    settings: Settings,
    settlements: Settlements,
    /// When the active last changed.
    since: Instant,
    backends: BTreeMap<BackendId, Watched>,
    succession: Option<Succession>,
    /// The workers are told to hold, and have not all answered.
    holding: Option<Holding>,
    /// The gate that has begun and not ended.
    gate: Option<gates::Running>,
    /// How the gate failed that ended in this step.
    gate_failed: Option<String>,
    /// Nothing begins any more: we stop.
    is_ending: bool,
    /// The latest move, until its consequences are over.
    latest: Option<Move>,
    /// The operator who waits for a move.
    asked: Option<Asked>,
    tagged: Option<Tagged>,
    jobs: Jobs,
    /// Who ordered the latest drill; not known of one that has outlived a restart.
    drilled_by: Option<Operator>,
    kept: Kept,
    /// Why what was kept last is not on the disk, as far as is known.
    unkept: Unkept,
    window: Window,
    /// Another process decides.
    aside: bool,
    /// Where it last sent the traffic, and under which epoch.
    obeyed: Option<(Option<Arc<str>>, u64)>,
    /// Whether anybody was active since the start.
    has_moved: bool,
    /// When each backend last served, or was drilled, as far as is known.
    served: BTreeMap<Arc<str>, SystemTime>,
    /// When standbys are judged next.
    judge_at: Instant,
    /// What probers share; another one when the witnesses change.
    surroundings: Arc<Surroundings>,
    reports: mpsc::Sender<Report>,
    forwarders: Arc<Forwarders>,
    board: Arc<Board>,
}

/// A backend with its prober and what is known of it.
struct Watched {
    plan: BackendPlan,
    prober: Prober,
    /// What the prober was last told.
    told: Option<(bool, u64)>,
    evidence: Evidence,
    /// When its probes began.
    began: Instant,
    verdicts: Verdicts,
    /// When the certificate expires that it last showed to a probe.
    certificate_expires: Option<SystemTime>,
    /// What is known of it as a standby; `None`: it is not judged as one.
    standby: Option<Judgement>,
}

impl Watched {
    fn start(
        plan: BackendPlan,
        reports: mpsc::Sender<Report>,
        surroundings: &Arc<Surroundings>,
    ) -> Self {
        let surroundings = Surroundings::clone(surroundings);
        let prober = Prober::start(plan.subject.clone(), plan.delay, reports, surroundings);
        Self {
            plan,
            prober,
            told: None,
            evidence: Evidence::default(),
            began: Instant::now(),
            verdicts: Verdicts::Come,
            certificate_expires: None,
            standby: None,
        }
    }
}

impl Driver {
    /// Starts driving a service the workers already know, from what was `saved` of it. Ends when all
    /// senders of orders are gone.
    pub(crate) fn start(
        plan: Plan,
        saved: SavedService,
        surroundings: Arc<Surroundings>,
        forwarders: Arc<Forwarders>,
        board: Arc<Board>,
    ) -> (mpsc::Sender<Order>, JoinHandle<()>) {
        let (orders, inbox) = mpsc::channel(QUEUE);
        let (reports, verdicts) = mpsc::channel(QUEUE);
        let since = Instant::now();
        let jobs = Jobs::resume(&saved, &plan.settings.jobs, plan.backends.first());
        let (failover, kept) = keep::resume(saved, &plan.names(), plan.policy.clone());
        let Plan { id, name, backends, settings, .. } = plan;
        let watched = backends.into_iter();
        let watched = watched.map(|b| (b.id, Watched::start(b, reports.clone(), &surroundings)));
        let asks = settings.readiness.last_drill.is_some();
        let served = if asks { readiness::served(&board, &name) } else { BTreeMap::new() };
        let mut driver = Self {
            id,
            name,
            failover,
            window: Window::new(settings.failback_window.clone()),
            settings,
            settlements: Settlements::default(),
            since,
            backends: watched.collect(),
            succession: None,
            holding: None,
            gate: None,
            gate_failed: None,
            is_ending: false,
            latest: None,
            asked: None,
            tagged: None,
            jobs,
            drilled_by: None,
            kept,
            unkept: Unkept::default(),
            aside: false,
            obeyed: None,
            has_moved: false,
            served,
            judge_at: since,
            surroundings,
            reports,
            forwarders,
            board,
        };
        driver.tell_probers();
        driver.board.publish_decision(id, driver.status());
        (orders, tokio::spawn(driver.run(inbox, verdicts)))
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut reports: mpsc::Receiver<Report>) {
        let mut timer = std::pin::pin!(sleep_until(self.since.into()));
        // What was resumed may have something to do at once.
        self.step(Input::Tick).await;
        self.look_at_jobs().await;
        loop {
            let wake = self.wake_at();
            if let Some(wake) = wake.map(Into::into)
                && timer.deadline() != wake
            {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take(order).await,
                    None => {
                        self.end_jobs().await;
                        return self.end_gate().await;
                    }
                },
                Some(report) = reports.recv() => self.weigh(report).await,
                Some(ended) = self.jobs.ended() => self.job_ended(ended).await,
                held = moves::answer(&mut self.holding) => self.held(held).await,
                finished = gates::ended(&mut self.gate) => self.gate_ended(finished).await,
                () = &mut timer, if wake.is_some() => {
                    self.step(Input::Tick).await;
                }
            }
            self.look_around().await;
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        // Nothing is due while another process decides.
        if self.aside {
            return None;
        }
        let times = [
            self.failover.wake_at(),
            self.succession.as_ref().and_then(|succession| succession.until),
            self.settlements.wake_at(),
            self.failover.wants_in_flight().then(|| Instant::now() + LOOK_EVERY),
            self.latest.as_ref().map(|latest| latest.look_at),
            self.probe_counts_at(),
            self.tagged.as_ref().map(|tagged| tagged.until),
            self.window.wake_at(),
            self.scheduled_at(),
            self.verdicts_missing_at(),
            self.jobs.wake_at(),
        ];
        times.into_iter().flatten().min()
    }

    async fn take(&mut self, order: Order) {
        match order {
            Order::Suspect { backend, symptom } => self.suspect(backend, symptom),
            Order::Answered(answered) => self.answered_traffic(answered).await,
            Order::Command { command, by, reply } => self.operate(command, by, reply).await,
            // Whoever asked may be gone; what was asked for was done all the same.
            Order::Preview { to, reply } => drop(reply.send(self.preview(to))),
            Order::Probe { backend, reply } => self.show_probe(backend, reply),
            Order::RunJob { job, wait, by, reply } => self.order_job(&job, wait, by, reply),
            Order::ShowJob { job, reply } => drop(reply.send(self.show_job(&job))),
            Order::Follow { plan, surroundings, done } => {
                self.follow(*plan, surroundings, done).await;
            }
            Order::StandAside { reply } => {
                let saved = self.stand_aside().await;
                let _ = reply.send(saved);
            }
            Order::StepBackIn { saved } => self.step_back_in(saved).await,
            Order::Beat { done } => drop(done.send(())),
            Order::Obey { said, done } => self.obey(said, done),
        }
    }

    /// What may be due after anything that happened.
    async fn look_around(&mut self) {
        if self.aside {
            return;
        }
        if let Some(open) = self.window.look() {
            self.step(Input::Window { open }).await;
        }
        if self.failover.wants_in_flight() {
            let requests = self.board.metrics().counted(&self.name).in_flight;
            self.step(Input::InFlight(usize::try_from(requests).unwrap_or(usize::MAX))).await;
        }
        self.count_probe().await;
        self.look_for_lost_order();
        self.carry_out_schedule().await;
        self.end_tagged_drill_in_time().await;
        self.succeed().await;
        self.settle();
        self.look_at_latest_move();
        self.look_for_verdicts();
        self.look_at_jobs().await;
    }

    /// Takes one step and carries out what follows: kept first, then the traffic, paperwork after.
    async fn step(&mut self, input: Input) -> Option<Refusal> {
        if self.aside {
            return None;
        }
        let decided = Instant::now();
        let is_command = matches!(input, Input::Command(_));
        let is_lock = matches!(input, Input::Command(failover::Command::Lock));
        // Whatever follows: else the next process would be in doubt about a gate that has ended.
        let is_gate_end = matches!(input, Input::GateFinished { .. });
        let effects = self.failover.step(decided, input);
        self.note_marks(&effects, is_lock);
        // A gate waits for the disk for as long as that may take: it must be on record.
        let to_gate = gates::leads_to_gate(&effects);
        let is_urgent = !to_gate && (!is_command || self.traffic_waits(&effects));
        self.make_way(&effects).await;
        let mut is_kept = false;
        for effect in &effects {
            if keep::matters(effect) && !is_kept {
                self.keep(is_urgent).await;
                is_kept = true;
            }
            match *effect {
                Effect::Hold { switch, drain, .. } => self.begin_hold(switch, drain, decided),
                Effect::ActiveChanged { from, to, reason, epoch } => {
                    self.move_traffic(from, to, reason, epoch, decided, to_gate).await;
                }
                Effect::RunGate { run, .. } if !self.is_ending => self.begin_gate(run, decided),
                Effect::Release { why, .. } => self.release(why).await,
                Effect::RunGate { .. }
                | Effect::ClaimChanged { .. }
                | Effect::GateInDoubt { .. }
                | Effect::Barred { .. }
                | Effect::DualActive
                | Effect::DualActiveCleared { .. }
                | Effect::Verified { .. }
                | Effect::HealthChanged { .. }
                | Effect::AdminChanged { .. }
                | Effect::Locked
                | Effect::Unlocked
                | Effect::DrillBegan { .. }
                | Effect::DrillEnded { .. }
                | Effect::Rejected { .. } => {}
            }
        }
        if (is_command || is_gate_end) && !is_kept {
            self.keep(is_urgent).await;
        }
        self.tell_probers();
        let mut refused = None;
        for effect in &effects {
            refused = self.write_down(effect).or(refused);
        }
        self.answer_operator(&effects);
        let is_decision = is_command || !effects.is_empty();
        if !self.judge_standbys(is_decision) && !is_decision {
            self.board.publish(self.id, self.status());
        } else {
            self.board.publish_decision(self.id, self.status());
        }
        refused
    }

    /// A probe ended.
    async fn weigh(&mut self, report: Report) {
        let backend = BackendId(report.id);
        let (board, service) = (self.board.clone(), self.name.clone());
        let Some(watched) = self.backends.get_mut(&backend) else { return };
        let suspicions = watched.evidence.probe(&report, || board.counts_before(&service));
        if suspicions == Suspicions::ClearedUntilNow {
            watched.prober.suspect();
        }
        let name = watched.plan.name().clone();
        let is_tls = watched.plan.subject.destination.tls.is_some();
        let claim = Claim { role: report.role, wish: report.wish };
        watched.certificate_expires = match report.certificate_expires {
            // It showed none that is believed: what it showed before may still hold.
            None if is_tls => watched.certificate_expires,
            shown => shown,
        };
        self.step(Input::Probe { backend, verdict: verdict(&report.outcome), claim }).await;
        if suspicions != Suspicions::Unchanged {
            let cleared = self.forwarders.workers().cleared(self.id, backend);
            let _ = acknowledged(cleared, &self.board).await;
        }
        self.answered_by_probe(backend, &report).await;
        let probe = ProbeView {
            verdict: verdict_word(&report.outcome),
            doubt: doubt_word(&report.outcome),
            took: report.took,
            late: report.late,
            clock_ahead: report.clock_ahead_ms.map(|ms| ms as f64 / 1e3),
        };
        self.board.metrics().probe(&self.name, &name, &probe);
        match report.certificate_expires {
            Some(expires) => self.board.backend_certificate(&self.name, &name, expires),
            None if is_tls => {}
            None => self.board.no_backend_certificate(&self.name, &name),
        }
    }

    /// Live traffic met trouble: have it confirmed or dispelled.
    fn suspect(&mut self, backend: BackendId, symptom: Symptom) {
        let (board, service) = (&self.board, &self.name);
        if let Some(watched) = self.backends.get_mut(&backend) {
            let now = Instant::now();
            let first = watched.evidence.suspect(now, symptom, || board.counts_before(service));
            if first {
                watched.prober.suspect();
            }
        }
    }

    /// Says to each prober whether its next verdicts could change anything, and the epoch.
    fn tell_probers(&mut self) {
        let status = self.failover.status();
        for backend in status.backends {
            let told = (backend.in_doubt(), status.epoch);
            if let Some(watched) = self.backends.get_mut(&backend.id)
                && watched.told.replace(told) != Some(told)
            {
                watched.prober.tell_epoch(status.epoch);
                watched.prober.in_doubt(backend.in_doubt());
            }
        }
    }

    fn name(&self, backend: BackendId) -> Arc<str> {
        self.backends.get(&backend).map_or("?".into(), |watched| watched.plan.name().clone())
    }
}

/// Awaits the acknowledgement of every worker. When one does not answer, we are not ready until a
/// later message reaches them all: without its word, "one active" is not known to hold.
pub(crate) async fn acknowledged<T, E: Display>(
    message: impl Future<Output = Result<T, E>>,
    board: &Board,
) -> Result<T, E> {
    let result = message.await;
    board.set_fault(result.as_ref().err().map(ToString::to_string));
    result
}
