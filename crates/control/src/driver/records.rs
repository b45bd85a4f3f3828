//! What a driver writes down of the effects of a step.

use routing::failover::{Effect, Health, Refusal};

use super::Driver;
use crate::events::Kind;

impl Driver {
    /// Records an effect; moves record themselves. Returns why a command was refused.
    pub(super) fn write_down(&self, effect: &Effect) -> Option<Refusal> {
        let kind = match *effect {
            Effect::ActiveChanged { .. } | Effect::Hold { .. } | Effect::Release { .. } => {
                return None;
            }
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

    /// A service that nobody has served since the start has no move to report.
    fn say_if_nobody_yet(&self, health: Health) {
        let status = self.failover.status();
        let all_down = status.backends.iter().all(|backend| backend.health == Health::Down);
        if health == Health::Down && all_down && !self.has_moved {
            self.board.nobody_yet(&self.name);
        }
    }
}
