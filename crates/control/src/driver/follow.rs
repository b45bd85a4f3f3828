//! How a driver follows a new plan: old and new backends side by side until the new are known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use health::Surroundings;
use routing::failover::{BackendId, Health, Input, Policy};
use tokio::sync::oneshot;

use super::window::Window;
use super::{Driver, Watched, readiness};
use crate::blueprint::{BackendPlan, Plan};

/// The longest that a new plan waits for the first verdicts on its backends.
const CHECKED_WITHIN: Duration = Duration::from_secs(5);

/// A new plan whose backends are still being checked, while those that it leaves out stay in place:
/// a changed probe or URL of a healthy primary must not look like a failover.
pub(super) struct Succession {
    backends: Vec<BackendId>,
    policy: Policy,
    /// When it takes place whatever is known; `None`: it has, and the move that follows from it is
    /// still under way.
    pub(super) until: Option<Instant>,
    done: oneshot::Sender<()>,
}

impl Succession {
    /// Whether a backend goes with it.
    pub(super) fn drops(&self, backend: BackendId) -> bool {
        !self.backends.contains(&backend)
    }
}

impl Driver {
    /// Begins to follow a new plan: its backends join those that will leave.
    pub(super) async fn follow(
        &mut self,
        plan: Plan,
        surroundings: Arc<Surroundings>,
        done: oneshot::Sender<()>,
    ) {
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

        self.watch(plan.backends, surroundings);
        let policy = plan.policy;
        if plan.settings.readiness.last_drill.is_some()
            && self.settings.readiness.last_drill.is_none()
        {
            // Nobody has asked until now. What has happened since the start is the latest.
            let mut served = readiness::served(&self.board, &self.name);
            served.append(&mut self.served);
            self.served = served;
        }
        self.window = Window::new(plan.settings.failback_window.clone());
        self.settings = plan.settings;
        self.jobs.follow(&self.settings.jobs);
        self.end_tagged_drill_unless(&backends).await;
        self.step(Input::Reconfigure { backends: all, policy: policy.clone() }).await;
        let until = Some(Instant::now() + patience);
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

    /// Puts the new plan in place once its backends have been checked; those that it leaves out go when
    /// the traffic has left them.
    pub(super) async fn succeed(&mut self) {
        let Some(next) = &self.succession else { return };
        if let Some(until) = next.until {
            if !self.is_checked(next) && Instant::now() < until {
                return;
            }
            let (backends, policy) = (next.backends.clone(), next.policy.clone());
            // It may have begun since the new plan came.
            self.end_tagged_drill_unless(&backends).await;
            self.step(Input::Reconfigure { backends, policy }).await;
        }
        let status = self.failover.status();
        let Some(mut next) = self.succession.take() else { return };
        next.until = None;
        let has_left = status.active.is_none_or(|active| next.backends.contains(&active));
        if status.switch.is_some() || !has_left {
            self.succession = Some(next);
            return;
        }
        // Those that are gone were still needed for the record of the move.
        self.backends.retain(|id, _| next.backends.contains(id));
        self.forget_gone_backends();
        self.board.publish_decision(self.id, self.status());
        let _ = next.done.send(());
    }

    /// Has these backends watched. One that stays keeps everything known of it; its prober is
    /// started again only when it has to ask differently, or other witnesses.
    fn watch(&mut self, backends: Vec<BackendPlan>, surroundings: Arc<Surroundings>) {
        let same = Arc::ptr_eq(&self.surroundings, &surroundings);
        self.surroundings = surroundings;
        for backend in backends {
            let reports = self.reports.clone();
            match self.backends.get_mut(&backend.id) {
                None => {
                    let watched = Watched::start(backend, reports, &self.surroundings);
                    self.backends.insert(watched.plan.id, watched);
                }
                Some(watched) if !same || !watched.plan.probes_like(&backend) => {
                    let started = Watched::start(backend, reports, &self.surroundings);
                    let Watched { evidence, verdicts, certificate_expires, .. } =
                        std::mem::replace(watched, started);
                    watched.evidence = evidence;
                    watched.verdicts = verdicts;
                    watched.certificate_expires = certificate_expires;
                    if watched.evidence.is_suspected() {
                        watched.prober.suspect();
                    }
                }
                Some(watched) => {
                    if !watched.plan.destination.same_as(&backend.destination) {
                        // The way that was rehearsed is not that of the traffic any more.
                        watched.standby = None;
                    }
                    watched.plan = backend;
                }
            }
        }
    }
}

pub(super) fn ids(backends: &[BackendPlan]) -> Vec<BackendId> {
    backends.iter().map(|backend| backend.id).collect()
}
