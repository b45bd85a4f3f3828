//! How a service stands, for whoever asks.

use std::sync::Arc;
use std::time::Instant;

use routing::failover::{self, AdminState, Blocker, PendingFailback};

use super::Driver;
use super::clock::from_ms;
use crate::command::Operator;
use crate::state::SavedMark;
use crate::status::{
    BackendStatus, Drift, DrillStatus, FailbackStatus, Scheduled, ServiceStatus, Since, Switching,
    Until, admin_word, health_word,
};

impl Driver {
    pub(super) fn status(&self) -> ServiceStatus {
        let status = self.failover.status();
        let primary = status.backends.first().map(|backend| backend.id);
        let switching = status.switch.map(|switch| Switching {
            to: self.name(switch.to),
            reason: switch.reason,
            since: Since(switch.since),
        });
        let scheduled = self.kept.scheduled.as_ref().map(|scheduled| Scheduled {
            to: scheduled.to.clone(),
            at: from_ms(scheduled.at_ms),
            by: operator(&scheduled.mark),
        });
        ServiceStatus {
            name: self.name.clone(),
            active: status.active.map(|active| self.name(active)),
            epoch: status.epoch,
            since: Since(self.since),
            on_primary: status.active.is_some() && status.active == primary,
            pinned: status.pinned,
            locked: status.locked,
            hold_down: status.hold_down,
            flaps: status.flaps,
            failback: status.failback.as_ref().map(|failback| self.failback_status(failback)),
            switching,
            verifying: status.verifying.map(|verifying| Until(verifying.until)),
            drill: self.drill_status(&status),
            scheduled,
            drift: self.drift(&status),
            backends: self.backend_statuses(&status),
        }
    }

    fn backend_statuses(&self, status: &failover::Status) -> Vec<BackendStatus> {
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
        backends.collect()
    }

    fn failback_status(&self, failback: &PendingFailback) -> FailbackStatus {
        // The decision names it as long as nobody has counted; so does this only while it is true.
        let mut in_flight = None;
        let mut blocks = |blocker: &&Blocker| match **blocker {
            Blocker::InFlight { below } => {
                let count = || self.board.metrics().counted(&self.name).in_flight;
                let now = *in_flight.get_or_insert_with(count);
                usize::try_from(now).unwrap_or(usize::MAX) >= below
            }
            _ => true,
        };
        FailbackStatus {
            to: self.name(failback.to),
            due: failback.due.map(Until),
            waits_for: failback
                .blockers
                .iter()
                .filter(|blocker| blocks(blocker))
                .map(|blocker| self.blocker_words(blocker))
                .collect(),
        }
    }

    fn blocker_words(&self, blocker: &Blocker) -> String {
        let seconds = |until: Instant| {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up: a countdown that says 0 s is over.
            format!("{} s", left.as_millis().div_ceil(1_000))
        };
        match *blocker {
            Blocker::NotEligible { health, admin } => {
                format!("it is {} and {}", health_word(health), admin_word(admin))
            }
            Blocker::HoldDown { until } => {
                format!("it must stay eligible for another {}", seconds(until))
            }
            Blocker::Passes { have, need } => {
                format!("{have} of {need} probes in a row have passed")
            }
            Blocker::InFlight { below } => {
                format!("fewer than {below} requests must be in flight")
            }
            Blocker::WindowClosed => format!("the window is closed, {}", self.window.words()),
            Blocker::Pinned => "the service is pinned: `unpin`".to_owned(),
            Blocker::Locked => "the service is locked: `unlock`".to_owned(),
            Blocker::Manual => "failback is manual: `failback`".to_owned(),
            Blocker::Never => "this service never fails back: `switchover`".to_owned(),
            Blocker::Switching => "a move is under way".to_owned(),
            Blocker::Verifying { until } => {
                format!("an ordered move is being watched for another {}", seconds(until))
            }
            Blocker::Drill { until } => {
                format!("its failure is being drilled for another {}", seconds(until))
            }
            Blocker::CalledOff { until } => format!(
                "not every worker acknowledged the last try; the next is in {}",
                seconds(until)
            ),
        }
    }

    fn drill_status(&self, status: &failover::Status) -> Option<DrillStatus> {
        if let Some(drill) = status.drill {
            let backend = self.name(drill.backend);
            return Some(DrillStatus { backend, tag: None, until: Until(drill.until) });
        }
        self.tagged.as_ref().map(|tagged| DrillStatus {
            backend: self.name(tagged.backend),
            tag: Some(tagged.tag.clone()),
            until: Until(tagged.until),
        })
    }

    /// What operators changed, against what the file says.
    fn drift(&self, status: &failover::Status) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut add = |what: String, file: &str, now: String, mark: &SavedMark| {
            let (since, by) = (from_ms(mark.at_ms), operator(mark));
            drift.push(Drift { what: what.into(), file: file.into(), now: now.into(), since, by });
        };
        for backend in &status.backends {
            if backend.admin != AdminState::Ready {
                let name = self.name(backend.id);
                let mark = self.kept.admin.get(&name).cloned().unwrap_or_default();
                let now = admin_word(backend.admin).to_owned();
                add(format!("admin state of {name}"), "ready", now, &mark);
            }
        }
        if status.pinned {
            let active = status.active.map_or_else(|| Arc::from("nobody"), |id| self.name(id));
            add("pin".to_owned(), "none", format!("stays on {active}"), &self.kept.pin);
        }
        if status.locked {
            let now = "no automatic move".to_owned();
            add("lock".to_owned(), "none", now, &self.kept.lock);
        }
        drift
    }
}

fn operator(mark: &SavedMark) -> Operator {
    Operator { who: mark.who.clone(), from: mark.from.clone(), why: mark.why.clone() }
}
