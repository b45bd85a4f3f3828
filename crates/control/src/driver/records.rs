//! What a driver writes down: effects as events and metrics, and how the service stands.

use std::sync::Arc;
use std::time::Instant;

use routing::failover::{BackendId, Effect, Health, Reason, Refusal};

use super::Driver;
use crate::events::Kind;
use crate::status::{BackendStatus, FailbackStatus, ServiceStatus, Since, Until};

impl Driver {
    /// Records an effect. Returns why a command was refused.
    pub(super) fn write_down(
        &self,
        effect: &Effect,
        decided: Instant,
        acknowledged: Instant,
        streams: usize,
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
                    streams,
                }
            }
            Effect::HealthChanged { backend, health } => {
                let watched = self.backends.get(&backend);
                let evidence = watched.map(|watched| watched.evidence.verdict_words());
                let evidence = evidence.unwrap_or_default();
                self.say_if_nobody_yet(health);
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

    /// A service that nobody has served since the start has no move to report.
    fn say_if_nobody_yet(&self, health: Health) {
        let status = self.failover.status();
        let all_down = status.backends.iter().all(|backend| backend.health == Health::Down);
        if health == Health::Down && all_down && status.epoch == 0 {
            self.board.nobody_yet(&self.name);
        }
    }

    pub(super) fn name(&self, backend: BackendId) -> Arc<str> {
        self.backends.get(&backend).map_or("?".into(), |watched| watched.plan.name().clone())
    }

    pub(super) fn status(&self) -> ServiceStatus {
        let status = self.failover.status();
        let backends = status.backends.iter().filter_map(|backend| {
            let watched = self.backends.get(&backend.id)?;
            Some(BackendStatus {
                name: watched.plan.name().clone(),
                url: watched.plan.url.clone(),
                health: backend.health,
                admin: backend.admin,
                active: status.active == Some(backend.id),
                eligible_since: backend.eligible_since.map(Since),
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
            hold_down: status.hold_down,
            flaps: 0,
            failback: status.failback_due.map(|(to, due)| FailbackStatus {
                to: self.name(to),
                due: Some(Until(due)),
                waits_for: Vec::new(),
            }),
            switching: None,
            verifying: None,
            drill: None,
            scheduled: None,
            drift: Vec::new(),
            backends: backends.collect(),
        }
    }
}
