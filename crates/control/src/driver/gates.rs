//! Gates carried out: one at a time, on record before it begins, and again when it has ended.
//!
//! Which gate, and what its end means for the move, is for the decision to say.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::Tries;
use health::{Subject, Surroundings};
use hooks::{About, Ended, Outcome};
use routing::failover::{Effect, GateResult, GateRun, GateStatus, Input, Role, Settlement};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Driver;
use crate::blueprint::{PlannedAction, PlannedGate};
use crate::events::Kind;
use crate::incident::GateRecord;
use crate::status::{gate_word, outcome_word, reason_word, role_word};

/// How long a gate that is under way when we stop may take to end, so that it is not in doubt.
const AT_THE_END: Duration = Duration::from_secs(10);

/// A gate that has begun. Dropped, its program is killed, or its connection closed.
pub(super) struct Running {
    run: GateRun,
    task: JoinHandle<Ended>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A gate that has ended, and how.
pub(super) struct Finished {
    run: GateRun,
    ended: Ended,
}

/// Waits for the gate under way to end, for ever when there is none.
pub(super) async fn ended(gate: &mut Option<Running>) -> Finished {
    let (run, ended) = match gate {
        Some(Running { run, task }) => (*run, task.await),
        None => pending().await,
    };
    *gate = None;
    // A task that panicked may have done anything.
    let ended = ended.unwrap_or_else(|error| quick(Outcome::Unknown, &format!("lost: {error}")));
    Finished { run, ended }
}

impl Driver {
    /// Begins a gate. That it does is on record.
    pub(super) fn begin_gate(&mut self, run: GateRun, decided: Instant) {
        if !self.latest.as_ref().is_some_and(|latest| latest.incident.is_open())
            && self.failover.status().active.is_none()
        {
            // A move from nobody opens its record here.
            self.open_record(run.from, Some(run.to), run.reason, decided);
        }
        let planned = self.settings.gates.find(run.direction, run.gate).cloned();
        let task = match planned {
            Some(planned) => self.spawn_gate(run, planned),
            // A reload took it away since.
            None => tokio::spawn(async { quick(Outcome::Done, "not configured any more") }),
        };
        self.gate = Some(Running { run, task });
    }

    fn spawn_gate(&self, run: GateRun, planned: PlannedGate) -> JoinHandle<Ended> {
        let PlannedGate { rule, action, tries } = planned;
        match action {
            PlannedAction::Call(call) => {
                let about = self.about(run);
                tokio::spawn(
                    async move { hooks::run(&call, &about, &tries, rule.idempotent).await },
                )
            }
            PlannedAction::Role(role) => {
                let Some(watched) = self.backends.get(&run.backend) else {
                    return tokio::spawn(async { quick(Outcome::Failed, "the backend is gone") });
                };
                let subject = watched.plan.subject.clone();
                let surroundings = Surroundings::clone(&self.surroundings);
                tokio::spawn(claims(subject, surroundings, run.epoch, role, tries))
            }
        }
    }

    fn about(&self, run: GateRun) -> About {
        let party = |id| Some(self.backends.get(&id)?.plan.party());
        let gate = gate_word(run.gate);
        let id = format!("{}-{}-{gate}-{}", self.name, run.epoch, self.name(run.backend));
        About {
            service: self.name.clone(),
            hook: gate.into(),
            kind: "gate",
            from: run.from.and_then(party),
            to: party(run.to),
            backend: party(run.backend),
            reason: reason_word(run.reason),
            epoch: run.epoch,
            id: id.into(),
        }
    }

    /// A gate has ended: written down, and told to the decision.
    pub(super) async fn gate_ended(&mut self, Finished { run, ended }: Finished) {
        let (gate, backend) = (gate_word(run.gate), self.name(run.backend));
        let outcome = outcome_word(ended.outcome);
        let words: Arc<str> = ended.words.as_str().into();
        self.board.metrics().gate(&self.name, gate, outcome, ended.took);
        if let Some(latest) = self.latest.as_mut().filter(|latest| latest.incident.is_open()) {
            latest.incident.gate(GateRecord {
                gate,
                backend: backend.clone(),
                epoch: run.epoch,
                outcome,
                words: words.clone(),
                output: ended.output.into(),
                tries: ended.tries,
                took: ended.took,
                ended: Instant::now(),
            });
        }
        let kind = Kind::GateEnded {
            gate,
            backend: backend.clone(),
            epoch: run.epoch,
            outcome,
            words,
            tries: ended.tries,
            took: Some(ended.took),
        };
        self.board.record(&self.name, kind);
        let result = match ended.outcome {
            Outcome::Done => GateResult::Done,
            Outcome::Unreachable => GateResult::Unreachable,
            Outcome::Failed | Outcome::Unknown => GateResult::Failed,
        };
        self.gate_failed = (result != GateResult::Done).then(|| {
            format!("gate {gate} of {backend} (epoch {}) {outcome}: {}", run.epoch, ended.words)
        });
        self.step(Input::GateFinished { run, result }).await;
        self.gate_failed = None;
    }

    /// Why a gate had the service locked, if one did in this step.
    pub(super) fn failed_gate(&self) -> Option<&str> {
        self.gate_failed.as_deref()
    }

    /// What it means that the service is not locked any more.
    pub(super) fn unlocked_text(&self) -> String {
        let status = self.failover.status();
        let barred = status.backends.iter().filter(|backend| backend.barred);
        let barred: Vec<_> = barred.map(|backend| self.name(backend.id)).collect();
        let mut text = "not locked any more".to_owned();
        if !barred.is_empty() {
            text += &format!(", and {} may become active again", barred.join(" and "));
        }
        if status.gate.is_some_and(|gate| gate.in_doubt) {
            text += "; but nothing moves until it is said how the gate in doubt ended: `gate`";
        }
        text
    }

    /// What an operator has said of the gate in doubt.
    pub(super) fn settled_text(&self, settlement: Settlement) -> String {
        let Some(GateStatus { run, .. }) = self.failover.status().gate else {
            return String::new();
        };
        let (gate, backend) = (gate_word(run.gate), self.name(run.backend));
        let epoch = run.epoch;
        match settlement {
            Settlement::Done => format!("gate {gate} of {backend} (epoch {epoch}) counts as done"),
            Settlement::Failed => {
                format!("gate {gate} of {backend} (epoch {epoch}) counts as failed")
            }
            Settlement::Again => format!("gate {gate} of {backend} (epoch {epoch}) is run again"),
        }
    }

    /// Waits, within bounds, for the gate under way, so that the next process knows how it ended. No
    /// other begins.
    pub(super) async fn end_gate(&mut self) {
        if self.gate.is_none() {
            return;
        }
        self.is_ending = true;
        if let Ok(finished) = timeout(AT_THE_END, ended(&mut self.gate)).await {
            self.gate_ended(finished).await;
        }
    }
}

/// Whether these effects lead on to a gate: then nobody is active only until it has ended.
pub(super) fn leads_to_gate(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::RunGate { .. }))
}

/// Probes a backend until it claims `role`, as long as one try may take.
async fn claims(
    subject: Subject,
    surroundings: Surroundings,
    epoch: u64,
    role: Role,
    tries: Tries,
) -> Ended {
    let began = Instant::now();
    let mut last = "it has not answered yet".to_owned();
    let mut probes = 0;
    let seen = async {
        loop {
            probes += 1;
            let shown = health::show(subject.clone(), epoch, &surroundings).await;
            if shown.role == Some(role) && shown.outcome == health::Outcome::Pass {
                return;
            }
            last = match shown.role {
                Some(other) => format!("it claims the role {}", role_word(other)),
                None => shown.outcome.to_string(),
            };
            sleep(subject.health.confirm_interval).await;
        }
    };
    let came = timeout(tries.deadline, seen).await.is_ok();
    let (outcome, words) = match came {
        true => (Outcome::Done, format!("it claims the role {}", role_word(role))),
        false => (Outcome::Failed, format!("not {} in time: {last}", role_word(role))),
    };
    Ended { outcome, words, output: String::new(), tries: probes, took: began.elapsed() }
}

/// An end that took no time.
fn quick(outcome: Outcome, words: &str) -> Ended {
    Ended {
        outcome,
        words: words.to_owned(),
        output: String::new(),
        tries: 1,
        took: Duration::ZERO,
    }
}
