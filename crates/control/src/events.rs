//! What happened, newest last: the latest events, in memory.
//!
//! What is here ends with the process; the state keeps them for longer.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use routing::failover::{AdminState, Health, Reason};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::command::Operator;
use crate::status::{
    admin_word, health_word, reason_word, write_admin, write_health, write_reason,
};

/// How many events are kept.
const KEPT: usize = 1_000;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Counts up, also across restarts when there is a `state_dir`.
    pub number: u64,
    /// When; written as seconds since 1970.
    #[serde(rename = "at_seconds", serialize_with = "write_time")]
    pub at: SystemTime,
    /// Which service, unless it concerns all.
    pub service: Option<Arc<str>>,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// The traffic moved.
    ActiveChanged {
        /// Who had it.
        from: Option<Arc<str>>,
        /// Who has it now; `None`: requests are held.
        to: Option<Arc<str>>,
        /// Why.
        #[serde(serialize_with = "write_reason")]
        reason: Reason,
        /// The number of this change.
        epoch: u64,
        /// What led to it, in words; empty when nothing did but the rules.
        evidence: Arc<str>,
        /// From the first sign to the last worker's acknowledgement; `None` when there was no sign.
        #[serde(rename = "took_ms", serialize_with = "write_millis")]
        took: Option<Duration>,
        /// Responses and tunnels that were under way at `from`.
        streams: usize,
        /// The number of its incident.
        incident: Option<u64>,
    },
    /// A move that had begun was called off; the traffic stayed where it was.
    CalledOff {
        /// Where it would have gone.
        to: Option<Arc<str>>,
        /// Why it did not.
        why: Arc<str>,
    },
    /// The first good answer after an ordered move.
    Verified {
        /// The number of the move.
        epoch: u64,
    },
    /// The active is treated as failed from now on, or a standby gets tagged requests.
    DrillBegan {
        /// The active, or the standby.
        backend: Arc<str>,
        /// What tags the requests for a standby; `None`: the active is treated as failed.
        tag: Option<Arc<str>>,
    },
    /// A drill is over.
    DrillEnded {
        /// The backend that was treated as failed, or that got the tagged requests.
        backend: Arc<str>,
        /// Whether that was before its time.
        early: bool,
        /// How many tagged requests were answered, by class of the status (`2xx`), those with any;
        /// `None` when none were tagged.
        answered: Option<BTreeMap<&'static str, u64>>,
    },
    /// An operator asked for something.
    Ordered {
        /// What.
        command: Arc<str>,
        /// Who, where from, why.
        by: Operator,
        /// Whether it was done, or begun.
        done: bool,
        /// What came of it, in words.
        outcome: Arc<str>,
    },
    /// What an operator should know of the state: what was set aside, what was not kept.
    State {
        /// In words.
        note: Arc<str>,
    },
    /// The time that streams had at the old active is over.
    StreamsSettled {
        /// The change of the active that left them.
        epoch: u64,
        /// How many there were.
        left: usize,
        /// How many of them we closed; the others ended by themselves, or go on where they are.
        closed: u64,
    },
    /// A backend came up or went down.
    HealthChanged {
        /// Which.
        backend: Arc<str>,
        /// Its health now.
        #[serde(serialize_with = "write_health")]
        health: Health,
        /// How the deciding probe ended.
        evidence: Arc<str>,
    },
    /// An operator's wish for a backend took effect.
    AdminChanged {
        /// Which.
        backend: Arc<str>,
        /// Its admin state now.
        #[serde(serialize_with = "write_admin")]
        admin: AdminState,
    },
    /// Automatic moves are off until the operator unlocks.
    Locked {
        /// Why: who ordered it, or how many moves there were.
        why: Arc<str>,
    },
    /// Automatic moves are on again.
    Unlocked,
    /// A new config is in force.
    Reloaded {
        /// What it changed, in words.
        changes: Arc<str>,
    },
    /// What files say now is in force: certificates, keys, authorities, revocation lists.
    FilesLoaded {
        /// What it changed, in words.
        changes: Arc<str>,
    },
    /// What a file says now is bad; what it said before stays in force.
    FileRefused {
        /// Which file.
        file: Arc<str>,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// A new config was refused, or is not in force everywhere.
    ReloadFailed {
        /// Whether it was refused: then nothing changed.
        refused: bool,
        /// Every problem, in words.
        problems: Arc<str>,
    },
}

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
            Kind::CalledOff { to, why } => {
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

/// How many tagged requests were answered, in words.
fn classes(answered: &BTreeMap<&'static str, u64>) -> String {
    if answered.is_empty() {
        return "no tagged request was answered".to_owned();
    }
    let classes: Vec<_> = answered.iter().map(|(class, n)| format!("{n} times {class}")).collect();
    format!("answered {}", classes.join(", "))
}

impl Event {
    /// The event as everybody outside sees it: its fields, and `text` for people.
    #[must_use]
    pub fn to_json(&self) -> Value {
        // Strings, numbers and options only: there is nothing that JSON cannot express.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("text".to_owned(), self.to_string().into());
        }
        value
    }
}

fn write_time<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
}

fn write_millis<S: Serializer>(took: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    took.map(|took| (took.as_secs_f64() * 1e6).round() / 1e3).serialize(to)
}

/// The latest events.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    events: VecDeque<Event>,
}

impl EventLog {
    /// Adds one, dropping the oldest when there are too many, and returns it.
    pub(crate) fn record(&mut self, number: u64, service: Option<Arc<str>>, kind: Kind) -> Event {
        let event = Event { number, at: SystemTime::now(), service, kind };
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        event
    }

    /// Those with a greater number than `after`, oldest first.
    pub(crate) fn after(&self, after: u64) -> Vec<Event> {
        self.events.iter().filter(|event| event.number > after).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_go_and_numbers_stay() {
        let mut log = EventLog::default();
        for number in 1..=KEPT as u64 + 5 {
            log.record(number, None, Kind::Unlocked);
        }
        let events = log.after(0);
        assert_eq!(events.len(), KEPT);
        assert_eq!(events[0].number, 6);
        assert_eq!(log.after(KEPT as u64 + 3).len(), 2);
    }

    #[test]
    fn an_event_reads_as_one_line() {
        let event = EventLog::default().record(
            1,
            Some("web".into()),
            Kind::ActiveChanged {
                from: Some("a".into()),
                to: Some("b".into()),
                reason: Reason::Failover,
                epoch: 2,
                evidence: "connection refused".into(),
                took: Some(Duration::from_millis(212)),
                streams: 3,
                incident: Some(7),
            },
        );
        assert_eq!(
            event.to_string(),
            "web: failover: a -> b (epoch 2, 212 ms after the first sign, 3 streams under way): connection refused"
        );
    }
}
