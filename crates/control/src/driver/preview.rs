//! What an ordered move would do, in words, without doing it.

use std::time::{Duration, Instant};

use routing::failover::{self, Claim, PreviewedMove, Refusal};

use super::Driver;
use super::operate::{STAYS, named};
use crate::command::{CommandError, Preview, refusal};
use crate::events::claim_words;
use crate::status::gate_word;

impl Driver {
    /// A switchover to the backend `to`, or a failback, looked at.
    pub(super) fn preview(&self, to: Option<String>) -> Result<Preview, CommandError> {
        let verify = self.settings.verify;
        let command = match &to {
            Some(to) => failover::Command::Switchover { to: self.backend(to)?, verify },
            None => failover::Command::Failback { verify },
        };
        let status = self.failover.status();
        let from = status.active.map(|active| self.name(active));
        let mut preview = Preview {
            from: from.clone(),
            to: to.as_deref().map(Into::into),
            possible: true,
            steps: Vec::new(),
            blockers: Vec::new(),
            warnings: self.warnings(to.is_some()),
        };
        if self.aside {
            preview.blockers.push("another process has taken over: ask that one".to_owned());
        }
        match self.failover.preview(Instant::now(), &command) {
            Err(why) => preview.blockers.push(self.blocker(why, to.as_deref())),
            Ok(previewed) => match previewed.moves {
                None => preview.steps.push(format!(
                    "nothing moves: {} has the traffic already{}",
                    named(from.as_deref()),
                    if to.is_some() { STAYS } else { "" }
                )),
                Some(moves) => {
                    preview.to = moves.to.map(|to| self.name(to));
                    preview.steps = self.steps(&moves, verify, to.is_some());
                }
            },
        }
        preview.possible = preview.blockers.is_empty();
        if preview.possible {
            preview.warnings.extend(self.unready(preview.to.as_deref()));
        }
        Ok(preview)
    }

    fn steps(&self, moves: &PreviewedMove, verify: Duration, pins: bool) -> Vec<String> {
        let load = self.board.metrics().counted(&self.name);
        let (from, to) = (moves.from.map(|id| self.name(id)), moves.to.map(|id| self.name(id)));
        let (from, to) = (named(from.as_deref()), named(to.as_deref()));
        let running = load.in_flight.saturating_sub(load.held_now);
        let hold = match moves.drain {
            Some(drain) => format!(
                "hold new requests; the {running} in flight at {from} may finish for up to \
                 {drain:?}, then they are cut"
            ),
            None => format!(
                "hold new requests until every worker has acknowledged, which takes less than a \
                 millisecond; the {running} in flight at {from} finish there"
            ),
        };
        let gates = moves.gates.iter().map(|(gate, backend)| {
            format!(
                "run gate {} for {}, while requests wait",
                gate_word(*gate),
                self.name(*backend)
            )
        });
        let mut steps = vec![hold];
        steps.extend(gates);
        steps.push(format!("send all traffic to {to}, under a new epoch"));
        if !verify.is_zero() {
            steps.push(format!(
                "watch {to} for {verify:?}: without a good answer, or if it fails, go back to \
                 {from} and stay there"
            ));
        }
        steps.push(if pins {
            format!("stay on {to} while it is eligible, until `unpin` or `failback`")
        } else {
            "let the rules go on as configured".to_owned()
        });
        steps
    }

    fn blocker(&self, why: Refusal, to: Option<&str>) -> String {
        let status = self.failover.status();
        let state = to.and_then(|to| {
            let id = self.backend(to).ok()?;
            let backend = status.backends.iter().find(|backend| backend.id == id)?;
            let probe = self.backends.get(&id)?.evidence.last_probe.clone();
            let probe = probe.map(|probe| format!(", last probe: {}", probe.outcome));
            let health = crate::status::health_word(backend.health);
            let admin = crate::status::admin_word(backend.admin);
            let claim = match backend.claim {
                Claim { role: None, wish: None } => String::new(),
                Claim { role, wish } => format!(", says of itself: {}", claim_words(role, wish)),
            };
            let probe = probe.unwrap_or_default();
            Some(format!(" ({to} is {health} and {admin}{claim}{probe})"))
        });
        let state = state.filter(|_| why == Refusal::NotEligible).unwrap_or_default();
        format!("{}{state}", refusal(&why))
    }

    fn warnings(&self, is_switchover: bool) -> Vec<String> {
        let status = self.failover.status();
        let mut warnings = Vec::new();
        if status.locked && is_switchover {
            warnings.push("the service is locked: an order moves it all the same".to_owned());
        }
        if status.dual_active.is_some_and(|dual| !dual.accepted) {
            let claim = self.dual_active().join(" and ");
            warnings.push(format!("{claim} claim the active role: an order moves it all the same"));
        }
        if let Some(scheduled) = &self.kept.scheduled {
            warnings.push(format!("a move to {} is ordered for later", scheduled.to));
        }
        if status.switch.is_some() {
            warnings.push("a move is under way: this order takes its place".to_owned());
        }
        warnings
    }

    /// What speaks against a standby that may take over all the same.
    fn unready(&self, to: Option<&str>) -> Vec<String> {
        let backend = to.and_then(|to| self.backend(to).ok()).and_then(|id| self.backends.get(&id));
        let standby = backend.and_then(|watched| watched.standby.as_ref());
        let reasons = standby.map(|standby| standby.readiness.reasons.clone()).unwrap_or_default();
        let name = to.unwrap_or_default();
        reasons.iter().map(|reason| format!("{name} is not ready: {reason}")).collect()
    }
}
