//! Jobs carried out: one at a time, from the active to each standby in turn, and never during a move.
//!
//! When one is due, and how old its successes are, is for [`Timetable`] to say.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use config::model::JobTarget;
use hooks::{Ended, Outcome};
use routing::failover::{AdminState, BackendId, BackendStatus, Health, Input, Status};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use super::Driver;
use super::clock::{Clock, from_ms, to_ms};
use crate::blueprint::{BackendPlan, PlannedJob};
use crate::command::{CommandError, JobRun, Operator};
use crate::events::Kind;
use crate::jobs::{LOST, Timetable};
use crate::state::SavedService;

mod fresh;
mod order;
mod shown;
mod turn;
mod yielding;

/// How long a job that is cancelled may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// How long another process that takes over waits for a job, at most.
const ASIDE_WITHIN: Duration = Duration::from_secs(5);

/// How long no job begins after such a process has asked.
const ASIDE_PAUSE: Duration = Duration::from_secs(1);

/// How many runs of a job are shown.
const SHOWN: usize = 5;

/// The jobs of a service.
pub(super) struct Jobs {
    timetable: Timetable,
    /// Ordered, and waiting for their turn.
    ordered: VecDeque<Ordered>,
    running: Option<Running>,
    /// The turn under way. Dropped, its program is killed, or its connection closed.
    task: JoinSet<Ended>,
    /// What the decision was last told of how long a move waits.
    told_busy: Option<Duration>,
    /// Whom the decision takes for stale.
    told_stale: Vec<BackendId>,
    /// What was said to be stale, by job and backend.
    said_stale: Vec<(Arc<str>, Arc<str>)>,
    /// When another process first asked to take over, and when it last did.
    asked_aside: Option<(Instant, Instant)>,
    /// Jobs that were under way when the process before us ended, and not said yet.
    lost: Vec<Arc<str>>,
    /// Whether something has changed that must be written down.
    is_unsaved: bool,
    wake_at: Option<Instant>,
    /// The latest runs, newest first.
    runs: BTreeMap<Arc<str>, VecDeque<JobRun>>,
}

/// An order to run a job.
struct Ordered {
    job: Arc<str>,
    by: Operator,
    reply: Option<oneshot::Sender<Result<JobRun, CommandError>>>,
}

/// A job under way.
struct Running {
    run: JobRun,
    began: Instant,
    from: BackendId,
    /// Whom the present turn is about; `None`: the active alone.
    to: Option<BackendId>,
    turn_began_ms: u64,
    turn_began: Instant,
    /// Whose turn is to come.
    left: VecDeque<BackendId>,
    reply: Option<oneshot::Sender<Result<JobRun, CommandError>>>,
}

impl Jobs {
    /// Goes on from what was `saved`. Where nothing was, the first backend counts as the last active.
    pub(super) fn resume(
        saved: &SavedService,
        planned: &[PlannedJob],
        first: Option<&BackendPlan>,
    ) -> Self {
        let now_ms = now_ms();
        let jobs = planned.iter().map(|planned| &planned.job);
        let (mut timetable, lost) = Timetable::resume(jobs, saved, now_ms, fastrand::f64);
        if let Some(first) = first.filter(|_| saved.active.is_none() && saved.epoch == 0) {
            timetable.was_active(first.name().clone(), now_ms);
        }
        Self {
            timetable,
            ordered: VecDeque::new(),
            running: None,
            task: JoinSet::new(),
            told_busy: None,
            told_stale: Vec::new(),
            said_stale: Vec::new(),
            asked_aside: None,
            lost,
            is_unsaved: false,
            wake_at: None,
            runs: BTreeMap::new(),
        }
    }

    /// Goes on after another process has decided for a while; from what it has `saved`.
    pub(super) fn go_on(&mut self, saved: &SavedService, planned: &[PlannedJob]) {
        let Self { said_stale, runs, .. } =
            std::mem::replace(self, Self::resume(saved, planned, None));
        self.said_stale = said_stale;
        self.runs = runs;
    }

    /// Follows a new config.
    pub(super) fn follow(&mut self, planned: &[PlannedJob]) {
        self.timetable.follow(planned.iter().map(|p| &p.job), now_ms(), fastrand::f64);
        self.runs.retain(|name, _| planned.iter().any(|planned| planned.job.name == *name));
    }

    pub(super) fn save(&self, to: &mut SavedService) {
        self.timetable.save(to);
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Waits for the turn under way to end; `None`: there is none.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        self.task.join_next().await.map(ended)
    }

    /// Why a standby is not up to date, in sentences.
    pub(super) fn lags(&self, backend: &str, now: SystemTime) -> Vec<String> {
        self.timetable.lags(backend, to_ms(now))
    }
}

impl Driver {
    /// Begins what is due, and sees to what is too old.
    pub(super) async fn look_at_jobs(&mut self) {
        if self.aside {
            return;
        }
        self.say_what_was_lost();
        if self.is_gone() {
            self.cancel_job("the config is without it, or without its backend").await;
        }
        self.look_at_freshness().await;
        if self.jobs.running.is_none() {
            self.tell_busy(None).await;
            while let Some(next) = self.whose_turn() {
                if self.begin_job(next).await {
                    break;
                }
            }
        }
        if std::mem::take(&mut self.jobs.is_unsaved) {
            self.keep(true).await;
            self.board.publish_decision(self.id, self.status());
        }
        self.set_timer();
    }

    fn say_what_was_lost(&mut self) {
        for job in std::mem::take(&mut self.jobs.lost) {
            let words = LOST.into();
            let kind = Kind::JobEnded {
                job,
                backend: None,
                outcome: UNKNOWN,
                words,
                tries: 1,
                took: None,
            };
            self.board.record(&self.name, kind);
            self.jobs.is_unsaved = true;
        }
    }

    /// Whether a reload took away what runs, or whom it is about.
    fn is_gone(&self) -> bool {
        self.jobs.running.as_ref().is_some_and(|running| {
            self.jobs.timetable.entry(&running.run.job).is_none()
                || running.to.is_some_and(|to| !self.backends.contains_key(&to))
        })
    }

    /// The job that begins now, if any.
    fn whose_turn(&mut self) -> Option<Ordered> {
        let status = self.failover.status();
        let is_free = self.is_free(&status);
        let standbys: Vec<&BackendStatus> = self.standbys(&status).collect();
        let may_run =
            |to: JobTarget| is_free && (to == JobTarget::Active || will_do(&standbys, to));
        let looked = self.jobs.timetable.look(now_ms(), |job| may_run(job.to), fastrand::f64);
        let (due, is_changed) = looked;
        self.jobs.is_unsaved |= is_changed;
        if !is_free {
            return None;
        }
        self.jobs.ordered.pop_front().or_else(|| {
            let by = Operator::local(SCHEDULE);
            due.map(|job| Ordered { job, by, reply: None })
        })
    }

    /// Whether a job may begin: somebody is active, and nothing moves or is about to.
    fn is_free(&self, status: &Status) -> bool {
        let asked = self.jobs.asked_aside.is_some_and(|(_, last)| last.elapsed() < ASIDE_PAUSE);
        let moves = status.switch.is_some() || status.gate.is_some() || status.waits_for_job;
        status.active.is_some() && !moves && !asked && self.succession.is_none()
    }

    /// Those that a job may be about: up and ready, and here to stay.
    fn standbys<'a>(&self, status: &'a Status) -> impl Iterator<Item = &'a BackendStatus> {
        let active = status.active;
        let standbys = status.backends.iter().filter(move |backend| Some(backend.id) != active);
        standbys
            .filter(|backend| backend.health == Health::Up && backend.admin == AdminState::Ready)
    }

    /// Begins a job, unless something has come between. Returns whether it runs.
    async fn begin_job(&mut self, ordered: Ordered) -> bool {
        let Ordered { job, by, reply } = ordered;
        let Some(entry) = self.jobs.timetable.entry(&job) else {
            answer(reply, Err(CommandError::UnknownJob(job.to_string())));
            return false;
        };
        let (to, move_waits) = (entry.job.to, entry.job.move_waits);
        self.tell_busy(Some(move_waits)).await;
        let status = self.failover.status();
        let standbys: Vec<&BackendStatus> = self.standbys(&status).collect();
        let Some(from) = status.active.filter(|_| self.is_free(&status)) else {
            answer(reply, Err(CommandError::CalledOff("a move came between".to_owned())));
            self.tell_busy(None).await;
            return false;
        };
        let fits = standbys.iter().filter(|standby| has_role(standby, to)).map(|b| b.id);
        let left: VecDeque<BackendId> = match to {
            JobTarget::Standbys { .. } => fits.collect(),
            JobTarget::Active => VecDeque::new(),
        };
        if left.is_empty() && to != JobTarget::Active {
            answer(reply, Err(nobody_will_do(to)));
            self.tell_busy(None).await;
            return false;
        }
        let (now_ms, now) = (now_ms(), Instant::now());
        self.jobs.timetable.began(&job, now_ms, fastrand::f64());
        let by = Some(by).filter(|by| &*by.who != SCHEDULE);
        let began = Some(from_ms(now_ms));
        let run = JobRun { job, began, by, outcome: None, turns: Vec::new() };
        self.jobs.running = Some(Running {
            run,
            began: now,
            from,
            to: None,
            turn_began_ms: now_ms,
            turn_began: now,
            left,
            reply,
        });
        // That it begins is on record before it does.
        self.keep(true).await;
        self.begin_turn(to);
        self.board.publish_decision(self.id, self.status());
        true
    }

    async fn tell_busy(&mut self, busy: Option<Duration>) {
        if self.jobs.told_busy != busy {
            self.jobs.told_busy = busy;
            self.step(Input::Busy(busy)).await;
        }
    }

    fn set_timer(&mut self) {
        let status = self.failover.status();
        let names: Vec<Arc<str>> = status.backends.iter().map(|b| self.name(b.id)).collect();
        let stale_at_ms =
            self.jobs.timetable.stale_at_ms(names.iter().map(|name| &**name), now_ms());
        let at_ms = [self.jobs.timetable.look_at_ms(), stale_at_ms].into_iter().flatten().min();
        let paused = self.jobs.asked_aside.map(|(_, last)| last + ASIDE_PAUSE);
        let paused = paused.filter(|until| *until > Instant::now());
        let at = at_ms.map(|at_ms| Clock::wake_for(from_ms(at_ms)));
        self.jobs.wake_at = at.into_iter().chain(paused).min();
    }
}

/// In place of an operator.
const SCHEDULE: &str = "the schedule";

const DONE: &str = "done";
const UNKNOWN: &str = "unknown";
const CANCELLED: &str = "cancelled";

/// Which of several outcomes is that of the whole.
fn badness(outcome: &str) -> usize {
    let order = [DONE, CANCELLED, "unreachable", "failed", UNKNOWN];
    order.iter().position(|word| *word == outcome).unwrap_or(order.len())
}

fn ended(joined: Result<Ended, JoinError>) -> Ended {
    joined.unwrap_or_else(|error| Ended {
        // A task that panicked may have done anything.
        outcome: Outcome::Unknown,
        words: format!("lost: {error}"),
        output: String::new(),
        tries: 1,
        took: Duration::ZERO,
    })
}

fn has_role(standby: &BackendStatus, to: JobTarget) -> bool {
    match to {
        JobTarget::Standbys { role } => role.is_none_or(|role| standby.claim.role == Some(role)),
        JobTarget::Active => false,
    }
}

fn will_do(standbys: &[&BackendStatus], to: JobTarget) -> bool {
    standbys.iter().any(|standby| has_role(standby, to))
}

fn nobody_will_do(to: JobTarget) -> CommandError {
    let role = match to {
        JobTarget::Standbys { role: Some(role) } => {
            format!(" and claims the role {}", crate::status::role_word(role))
        }
        JobTarget::Standbys { role: None } | JobTarget::Active => String::new(),
    };
    CommandError::Impossible(format!("no standby is up and ready{role}"))
}

/// Whoever asked may be gone.
fn answer(
    reply: Option<oneshot::Sender<Result<JobRun, CommandError>>>,
    answer: Result<JobRun, CommandError>,
) {
    if let Some(reply) = reply {
        let _ = reply.send(answer);
    }
}

fn now_ms() -> u64 {
    to_ms(SystemTime::now())
}
