//! How each event reads, in one line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use routing::failover::{Role, Wish};

use super::{Event, Kind};
use crate::command::Operator;
use crate::status::{admin_word, health_word, reason_word, role_word, wish_word};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = &self.service {
            write!(f, "{service}: ")?;
        }
        match &self.kind {
            Kind::ActiveChanged { from, to, reason, epoch, evidence, took, streams, .. } => {
                let name = |backend: &Option<Arc<str>>| backend.clone().unwrap_or("nobody".into());
                write!(f, "{}: {} -> {}", reason_word(*reason), name(from), name(to))?;
                write!(f, " (epoch {epoch}")?;
                if let Some(took) = took {
                    write!(f, ", {} ms after the first sign", took.as_millis())?;
                }
                if *streams > 0 {
                    write!(f, ", {streams} streams under way")?;
                }
                f.write_str(")")?;
                if !evidence.is_empty() {
                    write!(f, ": {evidence}")?;
                }
                Ok(())
            }
            Kind::StreamsSettled { epoch, left, closed } => {
                write!(f, "of {left} streams left behind by epoch {epoch}, {closed} were closed")
            }
            Kind::CalledOff { to, why, .. } => {
                let to = to.as_deref().unwrap_or("nobody");
                write!(f, "the move to {to} was called off: {why}")
            }
            Kind::Verified { epoch } => write!(f, "epoch {epoch}: first good answer"),
            Kind::DrillBegan { backend, tag: None } => {
                write!(f, "a drill: {backend} is treated as failed")
            }
            Kind::DrillBegan { backend, tag: Some(tag) } => {
                write!(f, "a drill: requests with {tag} go to {backend}")
            }
            Kind::DrillEnded { backend, early, answered } => {
                let early = if *early { " before its time" } else { "" };
                write!(f, "the drill of {backend} is over{early}")?;
                match answered {
                    None => Ok(()),
                    Some(answered) => write!(f, ": {}", classes(answered)),
                }
            }
            Kind::Ordered { command, by, done, outcome } => {
                let Operator { who, from, why } = by;
                write!(f, "{who} ({from}): {command}")?;
                if !why.is_empty() {
                    write!(f, " ({why})")?;
                }
                write!(f, ": {}{outcome}", if *done { "" } else { "refused: " })
            }
            Kind::State { note } => f.write_str(note),
            Kind::HealthChanged { backend, health, evidence } => {
                write!(f, "{backend} is {}: {evidence}", health_word(*health))
            }
            Kind::AdminChanged { backend, admin } => {
                write!(f, "{backend} is set to {}", admin_word(*admin))
            }
            Kind::ClaimChanged { backend, role, wish } => {
                write!(f, "{backend} says of itself: {}", claim_words(*role, *wish))
            }
            Kind::DualActive { backends } => {
                let names = backends.join(" and ");
                write!(f, "{names} claim the active role: no automatic moves until that is over")
            }
            Kind::DualActiveCleared { by_operator: true } => {
                f.write_str("automatic moves go on by order, although two claim the active role")
            }
            Kind::DualActiveCleared { by_operator: false } => {
                f.write_str("no two backends claim the active role any more")
            }
            Kind::StandbyReady { backend } => write!(f, "standby {backend} is ready again"),
            Kind::StandbyNotReady { backend, reasons } => {
                write!(f, "standby {backend} is not ready: {}", reasons.join("; "))
            }
            Kind::NoVerdict { backend, why } => {
                write!(f, "the probes of {backend} have told nothing for long: {why}")
            }
            Kind::VerdictsAgain { backend } => {
                write!(f, "the probes of {backend} tell something again")
            }
            Kind::CutOff { witnesses } => {
                write!(f, "cut off: none of the {witnesses} witnesses answers; decisions hold")
            }
            Kind::Reconnected { after } => {
                let after = after.unwrap_or_default().as_millis();
                write!(f, "a witness answers again after {after} ms")
            }
            Kind::GateEnded { gate, backend, epoch, outcome, words, tries, took } => {
                let took = took.unwrap_or_default().as_millis();
                write!(f, "gate {gate} of {backend} (epoch {epoch}): {outcome} after {took} ms")?;
                write!(f, "{}: {words}", after_tries(*tries))
            }
            Kind::GateInDoubt { gate, backend, epoch } => write!(
                f,
                "nobody knows how gate {gate} of {backend} (epoch {epoch}) ended: nothing moves \
                 until an operator says so with `understudy gate`"
            ),
            Kind::Barred { backend } => {
                write!(
                    f,
                    "{backend} may not become active until unlocked: a gate of a move to it failed"
                )
            }
            Kind::JobEnded { job, backend, outcome, words, tries, took } => {
                write!(f, "job {job}")?;
                if let Some(backend) = backend {
                    write!(f, " for {backend}")?;
                }
                let took = took.unwrap_or_default().as_millis();
                write!(f, ": {outcome} after {took} ms{}: {words}", after_tries(*tries))
            }
            Kind::Stale { job, backend } => {
                write!(f, "the last success of job {job} for {backend} is too old")
            }
            Kind::Fresh { job, backend } => {
                write!(f, "job {job} is up to date for {backend} again")
            }
            Kind::NotToldOf { notifier, events, why } => {
                write!(f, "{notifier} was not told of {events} events: {why}")
            }
            Kind::Locked { why } => write!(f, "locked, no automatic moves until unlocked: {why}"),
            Kind::Unlocked => f.write_str("unlocked"),
            Kind::Reloaded { changes } => write!(f, "reloaded: {changes}"),
            Kind::FilesLoaded { changes } => write!(f, "files have changed: {changes}"),
            Kind::FileRefused { why, .. } => write!(f, "the old file stays in use: {why}"),
            Kind::ReloadFailed { refused: true, problems } => {
                write!(f, "reload refused: {problems}")
            }
            Kind::ReloadFailed { refused: false, problems } => {
                write!(f, "reload incomplete: {problems}")
            }
        }
    }
}

/// How many tries there were, where there was more than one.
fn after_tries(tries: u32) -> String {
    if tries > 1 { format!(", {tries} tries") } else { String::new() }
}

/// What a backend says of itself.
pub(crate) fn claim_words(role: Option<Role>, wish: Option<Wish>) -> String {
    let role = role.map(|role| format!("role {}", role_word(role)));
    let wish = wish.map(|wish| format!("wish {}", wish_word(wish)));
    let words: Vec<_> = [role, wish].into_iter().flatten().collect();
    if words.is_empty() { "nothing any more".to_owned() } else { words.join(", ") }
}

/// How many tagged requests were answered, in words.
fn classes(answered: &BTreeMap<&'static str, u64>) -> String {
    if answered.is_empty() {
        return "no tagged request was answered".to_owned();
    }
    let classes: Vec<_> = answered.iter().map(|(class, n)| format!("{n} times {class}")).collect();
    format!("answered {}", classes.join(", "))
}
