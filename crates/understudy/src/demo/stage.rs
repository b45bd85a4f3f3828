//! Everything that plays in the demo: two backends, the balancer, the load, and the journal of what
//! happens.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use control::{Event, Kind, ServiceStatus};
use routing::failover::{Health, Reason};

use super::backend::{Backend, Condition};
use super::balancer::{Balancer, SERVICE};
use super::journal::{Journal, Tone};
use super::ledger::Ledger;
use super::load::Load;
use super::snapshot::{Active, BackendLine, Look, Probe, Snapshot};
use super::tally::Figures;
use super::text::short;

/// The names of the backends, in priority order.
pub(super) const NAMES: [&str; 2] = ["a", "b"];
/// How long the first verdicts may take.
const STARTUP: Duration = Duration::from_secs(10);

/// The running demo. The order of the fields is the order in which they end: first the load, so
/// that nobody is left without an answer.
#[derive(Debug)]
pub(super) struct Stage {
    load: Load,
    balancer: Balancer,
    backends: [Backend; 2],
    ledger: Arc<Ledger>,
    journal: Arc<Journal>,
    /// Events happen by the wall clock, everything else by the steady one.
    started_wall: SystemTime,
    seen: u64,
}

impl Stage {
    /// Starts everything, and returns once a backend is active and requests flow.
    ///
    /// # Errors
    /// When a port or a thread cannot be had, or no backend becomes active.
    pub(super) fn open(hold_down: Duration, interrupted: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let started_wall = SystemTime::now();
        let journal = Arc::new(Journal::new(Instant::now()));
        let ledger = Arc::new(Ledger::new());
        let start = |name| Backend::start(name, Arc::clone(&ledger), Arc::clone(&journal));
        let backends = [start(NAMES[0])?, start(NAMES[1])?];
        let addresses = [0, 1].map(|index| (backends[index].name, backends[index].address));
        let balancer = Balancer::start(addresses, hold_down, interrupted)?;
        wait_for_an_active(&balancer)?;
        let load = Load::start(balancer.service, NAMES)?;
        Ok(Self { load, balancer, backends, ledger, journal, started_wall, seen: 0 })
    }

    /// The journal of what happens.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The load that runs.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// Where to look.
    pub(super) fn look(&self) -> Look {
        Look {
            service: format!("http://{}/", self.balancer.service),
            admin: format!("http://{}", self.balancer.admin),
        }
    }

    /// The index of the active backend.
    pub(super) fn active(&self) -> Option<usize> {
        let status = self.balancer.control.status();
        index(status.service(SERVICE)?.active.as_deref()?)
    }

    /// Does something to a backend, and writes it down.
    pub(super) fn order(&mut self, backend: usize, condition: Condition) {
        let name = self.backends[backend].name;
        let text = match condition {
            Condition::Well => format!("{name} is revived"),
            Condition::Unwell => format!("{name} says 503 to probes, and still serves"),
            Condition::Hung => format!("{name} hangs"),
            Condition::Dead => format!("{name} is killed"),
        };
        // What happened before comes before.
        self.catch_up();
        self.journal.note(Tone::Done, text);
        self.backends[backend].order(condition);
    }

    /// Makes every backend well again.
    pub(super) fn revive(&mut self) {
        for backend in 0..self.backends.len() {
            if self.backends[backend].condition() != Condition::Well {
                self.order(backend, Condition::Well);
            }
        }
    }

    /// Writes down what the balancer has done since the last call, and returns it with its time
    /// since the start.
    pub(super) fn catch_up(&mut self) -> Vec<(Duration, Event)> {
        let mut events = Vec::new();
        for event in self.balancer.control.events(self.seen) {
            self.seen = event.number;
            let at = event.at.duration_since(self.started_wall).unwrap_or_default();
            let (tone, text) = describe(&event);
            self.journal.note_at(self.journal.started() + at, tone, text);
            events.push((at, event));
        }
        events
    }

    /// The cells of the one worker.
    fn cells(&self) -> Arc<metrics::cells::ServiceCells> {
        self.balancer.control.metrics().service(0, SERVICE)
    }

    /// Everything there is to see, with the last `events`.
    pub(super) fn snapshot(&self, events: usize) -> Snapshot {
        let status = self.balancer.control.status();
        let status = status.service(SERVICE);
        let cells = self.cells();
        Snapshot {
            running: self.journal.started().elapsed(),
            look: self.look(),
            service: SERVICE,
            active: status.and_then(|status| {
                let backend = index(status.active.as_deref()?)?;
                Some(Active { backend, since: status.since.ago() })
            }),
            epoch: status.map_or(0, |status| status.epoch),
            failback_in: status.and_then(|status| Some(status.failback.as_ref()?.due?.left())),
            backends: [0, 1].map(|index| self.backend_line(index, status)),
            figures: self.load.figures(),
            held: cells.held.get(),
            held_total: cells.held_total.get(),
            replayed: cells.replayed.get(),
            twice: self.ledger.twice(),
            events: self.journal.last(events),
        }
    }

    fn backend_line(&self, index: usize, status: Option<&ServiceStatus>) -> BackendLine {
        let backend = &self.backends[index];
        let status = status.and_then(|status| status.backends.get(index));
        BackendLine {
            name: backend.name,
            health: status.map_or(Health::Unknown, |status| status.health),
            served: backend.served(),
            probe: status
                .and_then(|status| status.last_probe.as_ref())
                .map(|probe| Probe { outcome: probe.outcome.to_string(), took: probe.took }),
            condition: backend.condition(),
        }
    }

    /// Ends the load; unanswered requests have up to `patience`. Then ends everything else, and
    /// returns the last counts.
    pub(super) fn close(self, patience: Duration) -> Counts {
        let Self { load, balancer, backends, ledger, .. } = self;
        let figures = load.stop(patience);
        let cells = balancer.control.metrics().service(0, SERVICE);
        let counts = Counts {
            figures,
            executed: ledger.executed(),
            twice: ledger.twice(),
            held: cells.held_total.get(),
            replayed: cells.replayed.get(),
        };
        drop(balancer);
        drop(backends);
        counts
    }
}

/// What was counted in all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// By the load.
    pub(super) figures: Figures,
    /// Different POSTs that were executed.
    pub(super) executed: u64,
    /// POSTs that were executed more than once.
    pub(super) twice: u64,
    /// Requests that had to wait for an active.
    pub(super) held: u64,
    /// Requests that were sent again.
    pub(super) replayed: u64,
}

fn index(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name)
}

fn wait_for_an_active(balancer: &Balancer) -> anyhow::Result<()> {
    let deadline = Instant::now() + STARTUP;
    while balancer.control.status().service(SERVICE).is_none_or(|status| status.active.is_none()) {
        if Instant::now() > deadline {
            bail!("no backend became active within {} s", STARTUP.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// An event in one short line.
fn describe(event: &Event) -> (Tone, String) {
    match &event.kind {
        Kind::ActiveChanged { from, to, reason, took, .. } => {
            let reason = reason_word(*reason);
            let after = took
                .map(|took| format!(", {} after the first sign", short(took)))
                .unwrap_or_default();
            match (from, to) {
                (Some(from), Some(to)) => (Tone::Moved, format!("{from} -> {to}: {reason}{after}")),
                (None, Some(to)) => (Tone::Moved, format!("all traffic to {to}: {reason}{after}")),
                (_, None) => (Tone::Bad, format!("nobody is left, requests wait: {reason}")),
            }
        }
        Kind::StreamsSettled { left, closed, .. } => {
            (Tone::Plain, format!("of {left} streams left behind, {closed} were closed"))
        }
        Kind::HealthChanged { backend, health, evidence } => match health {
            Health::Up => (Tone::Good, format!("{backend} is up")),
            Health::Down => {
                // The number that the system gives an error tells a person nothing.
                let evidence = evidence.split(" (os error").next().unwrap_or_default();
                (Tone::Bad, format!("{backend} is down: {evidence}"))
            }
            Health::Unknown => (Tone::Plain, format!("{backend} is unknown")),
        },
        Kind::CalledOff { .. }
        | Kind::Verified { .. }
        | Kind::DrillBegan { .. }
        | Kind::DrillEnded { .. }
        | Kind::Ordered { .. }
        | Kind::State { .. }
        | Kind::ClaimChanged { .. }
        | Kind::DualActive { .. }
        | Kind::DualActiveCleared { .. }
        | Kind::StandbyReady { .. }
        | Kind::StandbyNotReady { .. }
        | Kind::NoVerdict { .. }
        | Kind::VerdictsAgain { .. }
        | Kind::GateEnded { .. }
        | Kind::GateInDoubt { .. }
        | Kind::Barred { .. }
        | Kind::JobEnded { .. }
        | Kind::Stale { .. }
        | Kind::Fresh { .. }
        | Kind::NotToldOf { .. }
        | Kind::CutOff { .. }
        | Kind::Reconnected { .. }
        | Kind::AdminChanged { .. }
        | Kind::Locked { .. }
        | Kind::Unlocked
        | Kind::Reloaded { .. }
        | Kind::FilesLoaded { .. }
        | Kind::FileRefused { .. }
        | Kind::ReloadFailed { .. } => (Tone::Plain, event.to_string()),
    }
}

fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Startup => "start",
        Reason::Failover => "failover",
        Reason::Failback => "failback",
        Reason::Recovery => "recovery",
        Reason::Switchover => "switchover",
        Reason::Reload => "reload",
        Reason::Return => "return",
        Reason::Drill => "drill",
    }
}
