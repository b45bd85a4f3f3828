//! What an operator reads in the log of what happened to a service.

use std::sync::Arc;

use routing::failover::Health;

use super::NOBODY;
use crate::events::{Kind, claim_words};
use crate::status::{admin_word, health_word, reason_word};

/// Tells the operator of what happened to a service; what has lines of its own is left out.
pub(super) fn tell(service: &Arc<str>, kind: &Kind) {
    match kind {
        Kind::ActiveChanged { from, to, reason, epoch, evidence, streams, .. } => {
            let nobody = to.is_none();
            let (from, to) = (name(from.as_deref()), name(to.as_deref()));
            let reason = reason_word(*reason);
            if nobody {
                tracing::error!(%service, from, reason, epoch, %evidence, "{NOBODY}");
            } else if reason == "failover" {
                tracing::warn!(%service, from, to, reason, epoch, %evidence, streams, "active changed");
            } else {
                tracing::info!(%service, from, to, reason, epoch, %evidence, streams, "active changed");
            }
        }
        Kind::HealthChanged { backend, health, evidence } => {
            let now = health_word(*health);
            if *health == Health::Down {
                tracing::warn!(%service, %backend, health = now, %evidence, "health changed");
            } else {
                tracing::info!(%service, %backend, health = now, %evidence, "health changed");
            }
        }
        Kind::StreamsSettled { epoch, left, closed } => {
            tracing::info!(%service, epoch, left, closed, "streams of the old active settled");
        }
        Kind::AdminChanged { backend, admin } => {
            tracing::info!(%service, %backend, admin = admin_word(*admin), "admin state changed");
        }
        Kind::CalledOff { to, why, .. } => {
            tracing::warn!(%service, to = name(to.as_deref()), %why, "a move was called off");
        }
        Kind::Verified { epoch } => tracing::info!(%service, epoch, "first good answer"),
        Kind::DrillBegan { backend, tag } => {
            tracing::warn!(%service, %backend, tag = tag.as_deref(), "drill");
        }
        Kind::DrillEnded { backend, early, answered } => {
            tracing::info!(%service, %backend, early, ?answered, "the drill is over");
        }
        Kind::Ordered { command, by, done, outcome } => {
            let (who, from, why) = (&by.who, &by.from, &by.why);
            tracing::info!(%service, %who, %from, %why, %command, done, %outcome, "ordered");
        }
        Kind::ClaimChanged { backend, role, wish } => {
            let says = claim_words(*role, *wish);
            tracing::info!(%service, %backend, %says, "a backend says another thing of itself");
        }
        Kind::DualActive { backends } => {
            let backends = backends.join(", ");
            let now = "several backends claim the active role";
            tracing::error!(%service, %backends, "{now}: no automatic moves until that is over, or `unlock`");
        }
        Kind::DualActiveCleared { by_operator: true } => {
            tracing::warn!(%service, "automatic moves go on by order, although several claim the active role");
        }
        Kind::DualActiveCleared { by_operator: false } => {
            tracing::warn!(%service, "no two backends claim the active role any more");
        }
        Kind::StandbyReady { backend } => {
            tracing::info!(%service, %backend, "the standby is ready again");
        }
        Kind::StandbyNotReady { backend, reasons } => {
            let why = reasons.join("; ");
            tracing::warn!(%service, %backend, %why, "the standby is not ready");
        }
        Kind::NoVerdict { backend, why } => {
            tracing::error!(%service, %backend, %why, "probes have told nothing for long: no move because of this backend");
        }
        Kind::VerdictsAgain { backend } => {
            tracing::info!(%service, %backend, "probes tell something again");
        }
        Kind::GateEnded { gate, backend, epoch, outcome, words, tries, took } => {
            let took = took.unwrap_or_default();
            if *outcome == "done" {
                tracing::info!(%service, gate, %backend, epoch, tries, ?took, %words, "a gate is done");
            } else {
                tracing::warn!(%service, gate, %backend, epoch, outcome, tries, ?took, %words, "a gate has not succeeded");
            }
        }
        Kind::GateInDoubt { gate, backend, epoch } => {
            tracing::error!(%service, gate, %backend, epoch, "nobody knows how a gate ended: nothing moves until an operator says so with `understudy gate`");
        }
        Kind::Barred { backend } => {
            tracing::error!(%service, %backend, "a gate failed: the backend may not become active until unlocked");
        }
        Kind::JobEnded { job, backend, outcome, words, tries, took } => {
            let (backend, took) = (name(backend.as_deref()), took.unwrap_or_default());
            if matches!(*outcome, "done" | "cancelled") {
                tracing::info!(%service, %job, backend, outcome, tries, ?took, %words, "a job has ended");
            } else {
                tracing::warn!(%service, %job, backend, outcome, tries, ?took, %words, "a job has not succeeded");
            }
        }
        Kind::Stale { job, backend } => {
            tracing::warn!(%service, %job, %backend, "the last success of a job is too old");
        }
        Kind::Fresh { job, backend } => {
            tracing::info!(%service, %job, %backend, "a job is up to date again");
        }
        Kind::Locked { why } => {
            tracing::warn!(%service, %why, "locked: no automatic moves until unlocked");
        }
        Kind::Unlocked => tracing::info!(%service, "unlocked"),
        Kind::State { .. }
        | Kind::NotToldOf { .. }
        | Kind::CutOff { .. }
        | Kind::Reconnected { .. }
        | Kind::Reloaded { .. }
        | Kind::FilesLoaded { .. }
        | Kind::FileRefused { .. }
        | Kind::ReloadFailed { .. } => {}
    }
}

fn name(backend: Option<&str>) -> &str {
    backend.unwrap_or("nobody")
}
