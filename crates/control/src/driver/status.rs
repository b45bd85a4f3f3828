//! How a service stands, for whoever asks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use routing::failover::{
    self, AdminState, Blocker, Claim, GateRules, Health, PendingFailback, Role, Wish,
};

use super::Driver;
use super::clock::from_ms;
use crate::command::Operator;
use crate::state::SavedMark;
use crate::status::{
    BackendStatus, Drift, DrillStatus, DualActive, FailbackStatus, GateStatus, Scheduled,
    ServiceStatus, Since, Switching, Until, admin_word, gate_word, health_word, role_word,
    standing_word,
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
            dual_active: status.dual_active.map(|dual| DualActive {
                backends: self.dual_active(),
                since: Since(dual.since),
                accepted: dual.accepted,
            }),
            failback: status.failback.as_ref().map(|failback| self.failback_status(failback)),
            switching,
            verifying: status.verifying.map(|verifying| Until(verifying.until)),
            gates: gates(&self.failover.policy().gates),
            gate: status.gate.map(|gate| GateStatus {
                gate: gate_word(gate.run.gate),
                backend: self.name(gate.run.backend),
                epoch: gate.run.epoch,
                in_doubt: gate.in_doubt,
            }),
            drill: self.drill_status(&status),
            scheduled,
            drift: self.drift(&status),
            jobs: self.job_statuses(&status),
            backends: self.backend_statuses(&status),
        }
    }

    fn backend_statuses(&self, status: &failover::Status) -> Vec<BackendStatus> {
        let has_gates = !self.failover.policy().gates.is_empty();
        let backends = status.backends.iter().filter_map(|backend| {
            let watched = self.backends.get(&backend.id)?;
            Some(BackendStatus {
                name: watched.plan.name().clone(),
                url: watched.plan.url.clone(),
                health: backend.health,
                admin: backend.admin,
                active: status.active == Some(backend.id),
                eligible_since: backend.eligible_since.map(Since),
                role: backend.claim.role,
                wish: backend.claim.wish,
                clock_ahead_ms: watched.evidence.clock_ahead_ms(),
                last_probe: watched.evidence.last_probe.clone(),
                rounds: watched.evidence.rounds.clone(),
                last_verdict: watched.evidence.concluded.map(Since),
                undecided: watched.undecided().map(|(_, why)| why),
                standing: has_gates.then(|| standing_word(backend.standing)),
                barred: backend.barred,
                readiness: watched.standby.as_ref().map(|standby| standby.readiness.clone()),
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
                .map(|blocker| self.blocker_words(blocker, failback.due))
                .collect(),
        }
    }

    /// `due` is said beside it.
    fn blocker_words(&self, blocker: &Blocker, due: Option<Instant>) -> String {
        let now = Instant::now();
        let seconds = |until| seconds_until(until, now);
        let how_long = |until| how_long(until, due, now);
        match *blocker {
            Blocker::DualActive => {
                format!("{} claim the active role: `unlock`", self.dual_active().join(" and "))
            }
            Blocker::NotEligible { health, admin, claim } => {
                not_eligible(health, admin, claim, self.failover.policy().required_role)
            }
            Blocker::HoldDown { until } => {
                format!("it must stay eligible {}", how_long(until))
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
                format!("an ordered move is being watched {}", how_long(until))
            }
            Blocker::Drill { until } => {
                format!("its failure is being drilled {}", how_long(until))
            }
            Blocker::CalledOff { until } => format!(
                "not every worker acknowledged the last try; the next is in {}",
                seconds(until)
            ),
            Blocker::Barred => "a gate of the last move there failed: `unlock`".to_owned(),
            Blocker::Stale => "what it knows is too old".to_owned(),
            Blocker::Gate => "a gate is under way".to_owned(),
            Blocker::Job { until } => {
                format!("a job runs; the move begins in {} at the latest", seconds(until))
            }
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

fn seconds_until(until: Instant, now: Instant) -> String {
    let left = until.saturating_duration_since(now);
    // Rounded up: a countdown that says 0 s is over.
    format!("{} s", left.as_millis().div_ceil(1_000))
}

/// One time is said once: this text gets older than the countdown to `due` beside it.
fn how_long(until: Instant, due: Option<Instant>, now: Instant) -> String {
    if due == Some(until) {
        return "until then".to_owned();
    }
    format!("for another {}", seconds_until(until, now))
}

/// Which gates there are, in the order in which they run; `None`: none.
fn gates(rules: &GateRules) -> Option<Arc<[&'static str]>> {
    let all = [&rules.failover, &rules.failback, &rules.switchover].into_iter().flatten();
    let gates: BTreeSet<_> = all.map(|rule| rule.gate).collect();
    (!gates.is_empty()).then(|| gates.into_iter().map(gate_word).collect())
}

/// Why a backend is not eligible.
pub(super) fn not_eligible(
    health: Health,
    admin: AdminState,
    claim: Claim,
    required: Option<Role>,
) -> String {
    let mut words = Vec::new();
    if health != Health::Up {
        words.push(format!("it is {}", health_word(health)));
    }
    if admin != AdminState::Ready {
        words.push(format!("its admin state is {}", admin_word(admin)));
    }
    match (claim.role, required) {
        // What is not up says nothing.
        _ if health != Health::Up => {}
        (Some(role @ (Role::Promoting | Role::Fenced)), _) => {
            words.push(format!("it claims the role {}", role_word(role)));
        }
        (Some(role), Some(required)) if role != required => {
            words.push(format!("it claims the role {}", role_word(role)));
        }
        (None, Some(_)) => words.push("it does not tell its role".to_owned()),
        (Some(_), Some(_)) | (Some(_) | None, None) => {}
    }
    match claim.wish {
        None | Some(Wish::Serve) => {}
        Some(Wish::Drain) => words.push("it asks for a drain".to_owned()),
        Some(Wish::Maintenance) => words.push("it asks for maintenance".to_owned()),
    }
    if words.is_empty() {
        // It may be so for a moment only.
        words.push("it is not eligible".to_owned());
    }
    words.join(", and ")
}

pub(super) fn operator(mark: &SavedMark) -> Operator {
    Operator { who: mark.who.clone(), from: mark.from.clone(), why: mark.why.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_is_not_said_with_two_numbers() {
        let now = Instant::now();
        let later = |ms| now + std::time::Duration::from_millis(ms);
        assert_eq!(how_long(later(10_400), Some(later(10_400)), now), "until then");
        assert_eq!(how_long(later(10_400), Some(later(60_000)), now), "for another 11 s");
        assert_eq!(how_long(later(10_400), None, now), "for another 11 s");
    }

    #[test]
    fn the_words_say_what_a_claim_stands_in_the_way_of() {
        let words = |health, admin, role, wish, required| {
            not_eligible(health, admin, Claim { role, wish }, required)
        };
        let (up, ready) = (Health::Up, AdminState::Ready);
        let active = Some(Role::Active);
        let down = words(Health::Down, ready, None, None, active);
        assert_eq!(down, "it is down");
        let standby = words(up, ready, Some(Role::Standby), None, active);
        assert_eq!(standby, "it claims the role standby");
        let promoting = words(up, ready, Some(Role::Promoting), None, None);
        assert_eq!(promoting, "it claims the role promoting");
        let silent = words(up, ready, None, None, active);
        assert_eq!(silent, "it does not tell its role");
        let drains = words(up, AdminState::Drain, Some(Role::Standby), Some(Wish::Drain), None);
        assert_eq!(drains, "its admin state is drain, and it asks for a drain");
        let maintained = words(up, ready, active, Some(Wish::Maintenance), active);
        assert_eq!(maintained, "it asks for maintenance");
    }
}
