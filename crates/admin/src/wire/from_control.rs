//! From what control says to what clients read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::Control;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    AdminState, Backend, Check, Done, Drift, Drill, DualActive, Event, Failback, Gate, Health,
    Incident, Job, LastProbe, Load, Moved, Operator, Preview, ProbeShown, Process, Readiness,
    Reloaded, Role, Scheduled, Service, Status, Switching, Wish, millis, seconds,
};

impl Status {
    /// How everything stands now.
    pub(crate) fn of(control: &Control) -> Self {
        let status = control.status();
        let services = status.services.iter().map(|service| Service::of(control, service));
        Self { services: services.collect(), process: Process::from(&*status.process) }
    }
}

impl Service {
    /// How one service stands now.
    pub(crate) fn of(control: &Control, service: &control::ServiceStatus) -> Self {
        // None when a reload has just removed it.
        let load = control.load(&service.name).unwrap_or_default();
        let at = |backend: &control::BackendStatus| {
            load.backends.iter().find(|(name, _)| *name == backend.name).map_or(0, |(_, n)| *n)
        };
        let backends = service.backends.iter().map(|backend| Backend::of(backend, at(backend)));
        let failback = service.failback.as_ref().map(Failback::from);
        Self {
            name: service.name.to_string(),
            active: service.active.as_ref().map(ToString::to_string),
            epoch: service.epoch,
            since_seconds: seconds(service.since.ago()),
            on_primary: service.on_primary,
            pinned: service.pinned,
            locked: service.locked,
            hold_down_seconds: service.hold_down.map(seconds),
            flaps: service.flaps,
            dual_active: service.dual_active.as_ref().map(DualActive::from),
            failback_due_in_seconds: failback.as_ref().and_then(|failback| failback.due_in_seconds),
            failback,
            switching: service.switching.as_ref().map(Switching::from),
            gates: service
                .gates
                .as_ref()
                .map(|gates| gates.iter().map(|gate| (*gate).to_owned()).collect()),
            gate: service.gate.as_ref().map(Gate::from),
            verifying_for_seconds: service.verifying.map(|until| seconds(until.left())),
            drill: service.drill.as_ref().map(Drill::from),
            scheduled: service.scheduled.as_ref().map(Scheduled::from),
            drift: service.drift.iter().map(Drift::from).collect(),
            load: Load {
                in_flight: load.in_flight,
                held: load.held,
                held_total: load.held_total,
                replayed_total: load.replayed_total,
                failed_total: load.failed_total,
                rejected_total: load.rejected_total,
            },
            jobs: service.jobs.iter().map(Job::from).collect(),
            backends: backends.collect(),
        }
    }
}

impl Backend {
    fn of(backend: &control::BackendStatus, in_flight: u64) -> Self {
        Self {
            name: backend.name.to_string(),
            url: backend.url.to_string(),
            health: backend.health.into(),
            admin: backend.admin.into(),
            active: backend.active,
            eligible_for_seconds: backend.eligible_since.map(|since| seconds(since.ago())),
            in_flight,
            role: backend.role.map(Role::from),
            wish: backend.wish.map(Wish::from),
            clock_ahead_seconds: backend.clock_ahead_ms.map(|ms| ms as f64 / 1e3),
            last_probe: backend.last_probe.as_ref().map(LastProbe::from),
            last_verdict_ago_seconds: backend.last_verdict.map(|since| seconds(since.ago())),
            undecided: backend.undecided.as_ref().map(ToString::to_string),
            standing: backend.standing.map(str::to_owned),
            barred: backend.barred,
            readiness: backend.readiness.as_ref().map(Readiness::from),
        }
    }
}

impl From<&control::LastProbe> for LastProbe {
    fn from(probe: &control::LastProbe) -> Self {
        let checks = probe.checks.iter().map(|check| Check {
            name: check.name.to_string(),
            level: control::level_word(check.level).to_owned(),
            outcome: check.outcome.to_string(),
            took_ms: millis(check.took),
        });
        Self {
            outcome: probe.outcome.to_string(),
            took_ms: millis(probe.took),
            ago_seconds: seconds(probe.ended.ago()),
            alive: probe.is_alive,
            checks: checks.collect(),
        }
    }
}

impl From<&control::Readiness> for Readiness {
    fn from(readiness: &control::Readiness) -> Self {
        Self {
            ready: readiness.is_ready,
            reasons: readiness.reasons.to_vec(),
            notes: readiness.notes.to_vec(),
        }
    }
}

impl From<&control::GateStatus> for Gate {
    fn from(gate: &control::GateStatus) -> Self {
        Self {
            gate: gate.gate.to_owned(),
            backend: gate.backend.to_string(),
            epoch: gate.epoch,
            in_doubt: gate.in_doubt,
        }
    }
}

impl From<&control::DualActive> for DualActive {
    fn from(dual: &control::DualActive) -> Self {
        Self {
            backends: dual.backends.iter().map(ToString::to_string).collect(),
            since_seconds: seconds(dual.since.ago()),
            accepted: dual.accepted,
        }
    }
}

impl From<control::Role> for Role {
    fn from(role: control::Role) -> Self {
        match role {
            control::Role::Active => Self::Active,
            control::Role::Standby => Self::Standby,
            control::Role::Promoting => Self::Promoting,
            control::Role::Fenced => Self::Fenced,
        }
    }
}

impl From<control::Wish> for Wish {
    fn from(wish: control::Wish) -> Self {
        match wish {
            control::Wish::Serve => Self::Serve,
            control::Wish::Drain => Self::Drain,
            control::Wish::Maintenance => Self::Maintenance,
        }
    }
}

impl From<&control::ProcessStatus> for Process {
    fn from(process: &control::ProcessStatus) -> Self {
        Self {
            state_dir: process.state_dir.as_ref().map(|dir| dir.display().to_string()),
            state_problem: process.state_problem.clone(),
            drift: process.drift.clone(),
            predecessor: process.predecessor,
            witnesses: process.witnesses,
            cut_off_for_seconds: process.cut_off.map(|since| seconds(since.ago())),
        }
    }
}

impl From<&control::FailbackStatus> for Failback {
    fn from(failback: &control::FailbackStatus) -> Self {
        Self {
            to: failback.to.to_string(),
            due_in_seconds: failback.due.map(|due| seconds(due.left())),
            waits_for: failback.waits_for.clone(),
        }
    }
}

impl From<&control::Switching> for Switching {
    fn from(switching: &control::Switching) -> Self {
        Self {
            to: switching.to.to_string(),
            reason: control::reason_word(switching.reason).to_owned(),
            since_seconds: seconds(switching.since.ago()),
        }
    }
}

impl From<&control::DrillStatus> for Drill {
    fn from(drill: &control::DrillStatus) -> Self {
        Self {
            backend: drill.backend.to_string(),
            tag: drill.tag.as_ref().map(ToString::to_string),
            ends_in_seconds: seconds(drill.until.left()),
        }
    }
}

impl From<&control::Scheduled> for Scheduled {
    fn from(scheduled: &control::Scheduled) -> Self {
        let left = scheduled.at.duration_since(SystemTime::now()).unwrap_or_default();
        Self {
            to: scheduled.to.to_string(),
            at: timestamp(scheduled.at),
            in_seconds: seconds(left),
            by: Operator::from(&scheduled.by),
        }
    }
}

impl From<&control::Drift> for Drift {
    fn from(drift: &control::Drift) -> Self {
        Self {
            what: drift.what.to_string(),
            file: drift.file.to_string(),
            now: drift.now.to_string(),
            since: timestamp(drift.since),
            since_seconds: seconds(drift.since.elapsed().unwrap_or_default()),
            by: Operator::from(&drift.by),
        }
    }
}

impl From<&control::Operator> for Operator {
    fn from(by: &control::Operator) -> Self {
        Self { who: by.who.to_string(), from: by.from.to_string(), why: by.why.to_string() }
    }
}

impl From<control::Health> for Health {
    fn from(health: control::Health) -> Self {
        match health {
            control::Health::Unknown => Self::Unknown,
            control::Health::Up => Self::Up,
            control::Health::Down => Self::Down,
        }
    }
}

impl From<control::AdminState> for AdminState {
    fn from(admin: control::AdminState) -> Self {
        match admin {
            control::AdminState::Ready => Self::Ready,
            control::AdminState::Drain => Self::Drain,
            control::AdminState::Maintenance => Self::Maintenance,
        }
    }
}

impl From<control::Done> for Done {
    fn from(done: control::Done) -> Self {
        Self { text: done.text, moved: done.moved.map(Moved::from) }
    }
}

impl From<control::Moved> for Moved {
    fn from(moved: control::Moved) -> Self {
        Self {
            from: moved.from.map(|name| name.to_string()),
            to: moved.to.map(|name| name.to_string()),
            epoch: moved.epoch,
            verified_after_ms: moved.verified_after.map(millis),
        }
    }
}

impl From<control::Preview> for Preview {
    fn from(preview: control::Preview) -> Self {
        Self {
            from: preview.from.map(|name| name.to_string()),
            to: preview.to.map(|name| name.to_string()),
            possible: preview.possible,
            steps: preview.steps,
            blockers: preview.blockers,
            warnings: preview.warnings,
        }
    }
}

impl From<control::ProbeShown> for ProbeShown {
    fn from(shown: control::ProbeShown) -> Self {
        Self {
            verdict: shown.verdict.to_owned(),
            outcome: shown.outcome,
            took_ms: shown.took_ms,
            exchange: shown.exchange,
        }
    }
}

impl From<control::Reloaded> for Reloaded {
    fn from(reloaded: control::Reloaded) -> Self {
        Self { changes: reloaded.changes, warnings: reloaded.warnings }
    }
}

impl Event {
    /// An event as control keeps it; `None` when it is in another form, which an earlier version may
    /// have written.
    pub(crate) fn of(kept: Value) -> Option<Self> {
        let mut event: Self = serde_json::from_value(kept).ok()?;
        event.at = at(event.at_seconds);
        Some(event)
    }
}

impl Incident {
    /// An incident as control keeps it; `None` as for events.
    pub(crate) fn of(kept: Value) -> Option<Self> {
        let mut incident: Self = serde_json::from_value(kept).ok()?;
        incident.at = at(incident.at_seconds);
        Some(incident)
    }
}

/// Seconds since 1970 as a time, to the millisecond.
fn at(seconds: f64) -> Option<Timestamp> {
    let since = Duration::try_from_secs_f64((seconds * 1e3).round() / 1e3).ok()?;
    Some(timestamp(UNIX_EPOCH.checked_add(since)?))
}

/// To the millisecond; more would only be noise to read. What no calendar holds becomes its end.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}
