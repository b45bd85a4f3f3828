//! Backends whose probes have told nothing for long: nothing moves for them, so it must be said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::Health;

use super::{Driver, Watched};
use crate::events::Kind;

/// No backend is said to be without a verdict before so much time.
const LEAST: Duration = Duration::from_secs(10);

/// Nor before so many rounds should have had one.
const ROUNDS: u32 = 5;

/// What is known of the verdicts on a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdicts {
    #[default]
    Come,
    /// There has been none for long. `said`: it is among the events.
    Missing { said: bool },
}

impl Driver {
    /// When the next backend will have been without a verdict for long.
    pub(super) fn verdicts_missing_at(&self) -> Option<Instant> {
        let backends = self.backends.values();
        let come = backends.filter(|watched| watched.verdicts == Verdicts::Come);
        come.map(Watched::verdict_missing_at).min()
    }

    /// Says which backends have been without a verdict for long, and which are not any more.
    pub(super) fn look_for_verdicts(&mut self) {
        let (now, mut news, mut changed) = (Instant::now(), Vec::new(), false);
        for watched in self.backends.values_mut() {
            let is_missing = now >= watched.verdict_missing_at();
            let backend = watched.plan.name().clone();
            match (watched.verdicts, is_missing) {
                (Verdicts::Come, false) | (Verdicts::Missing { .. }, true) => continue,
                (Verdicts::Come, true) => {
                    // All backends lack one while we are cut off, and that has its own event.
                    let said = self.board.status().process.cut_off.is_none();
                    watched.verdicts = Verdicts::Missing { said };
                    let why = watched.evidence.undecided_words();
                    news.extend(said.then_some(Kind::NoVerdict { backend, why }));
                }
                (Verdicts::Missing { said }, false) => {
                    watched.verdicts = Verdicts::Come;
                    news.extend(said.then_some(Kind::VerdictsAgain { backend }));
                }
            }
            changed = true;
        }
        if !changed {
            return;
        }
        for kind in news {
            self.board.record(&self.name, kind);
        }
        self.judge_standbys(true);
        self.board.publish_decision(self.id, self.status());
    }
}

impl Watched {
    fn verdict_missing_at(&self) -> Instant {
        self.last_verdict() + patience(&self.plan.subject.health)
    }

    /// When it last had a verdict; before the first, when its probes began.
    fn last_verdict(&self) -> Instant {
        self.evidence.concluded.unwrap_or(self.began)
    }

    /// For how long it has been without a verdict, and why; `None`: not for long.
    pub(super) fn undecided(&self) -> Option<(Duration, Arc<str>)> {
        match self.verdicts {
            Verdicts::Come => None,
            Verdicts::Missing { .. } => {
                Some((self.last_verdict().elapsed(), self.evidence.undecided_words()))
            }
        }
    }
}

/// How long a backend may be without a verdict: some rounds, and two that take all their time.
fn patience(health: &Health) -> Duration {
    let timeouts = health.probes.iter().filter_map(|probe| probe.timeout);
    let longest = timeouts.fold(health.timeout, Duration::max);
    let slow = health.interval.saturating_add(longest.saturating_mul(2));
    LEAST.max(health.interval.saturating_mul(ROUNDS)).max(slow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_probes_have_more_time() {
        let patience = |health: &str| {
            let text = format!(
                "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://10.0.0.1 ], \
                 health: {{ {health} }} }} }}"
            );
            let loaded = config::load("test", &text, std::path::Path::new(""));
            let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
            patience(&config.services[0].health)
        };
        let seconds = Duration::from_secs;
        assert_eq!(patience("interval: 1s"), seconds(10));
        assert_eq!(patience("interval: 7s"), seconds(35));
        assert_eq!(patience("interval: 1s, timeout: 20s"), seconds(41));
        let own = "probes: [ { name: a, http: {}, timeout: 30s } ]";
        assert_eq!(patience(own), seconds(61));
    }
}
