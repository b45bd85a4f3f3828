//! What a driver writes down of the effects of a step.

use std::sync::Arc;

use routing::failover::{AdminState, Claim, Effect, Health, Refusal, Role};

use super::Driver;
use crate::events::Kind;
use crate::status::gate_word;

impl Driver {
    /// Records an effect; moves record themselves. Returns why a command was refused.
    pub(super) fn write_down(&self, effect: &Effect) -> Option<Refusal> {
        let kind = match *effect {
            Effect::ActiveChanged { .. }
            | Effect::Hold { .. }
            | Effect::Release { .. }
            | Effect::RunGate { .. } => {
                return None;
            }
            Effect::ClaimChanged { backend, claim: Claim { role, wish } } => {
                Kind::ClaimChanged { backend: self.name(backend), role, wish }
            }
            Effect::DualActive => Kind::DualActive { backends: self.dual_active() },
            Effect::DualActiveCleared { by_operator } => Kind::DualActiveCleared { by_operator },
            Effect::Verified { epoch } => Kind::Verified { epoch },
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
            Effect::GateInDoubt { run } => Kind::GateInDoubt {
                gate: gate_word(run.gate),
                backend: self.name(run.backend),
                epoch: run.epoch,
            },
            Effect::Barred { backend } => Kind::Barred { backend: self.name(backend) },
            Effect::Locked => Kind::Locked { why: self.lock_words() },
            Effect::Unlocked => Kind::Unlocked,
            Effect::DrillBegan { backend, .. } => {
                Kind::DrillBegan { backend: self.name(backend), tag: None }
            }
            Effect::DrillEnded { backend, early } => {
                Kind::DrillEnded { backend: self.name(backend), early, answered: None }
            }
            Effect::Rejected { why } => return Some(why),
        };
        self.board.record(&self.name, kind);
        None
    }

    /// Who claims the active role and could be it.
    pub(super) fn dual_active(&self) -> Vec<Arc<str>> {
        let status = self.failover.status();
        let claims = status.backends.iter().filter(|backend| {
            let is_wanted = backend.admin == AdminState::Ready && backend.health == Health::Up;
            is_wanted && backend.claim.role == Some(Role::Active)
        });
        claims.map(|backend| self.name(backend.id)).collect()
    }

    /// A service that nobody has served since the start has no move to report.
    fn say_if_nobody_yet(&self, health: Health) {
        let status = self.failover.status();
        let all_down = status.backends.iter().all(|backend| backend.health == Health::Down);
        if health == Health::Down && all_down && !self.has_moved {
            self.board.nobody_yet(&self.name);
        }
    }
}
