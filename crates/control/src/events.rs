//! What happened, newest last: the latest events, in memory.
//!
//! What is here ends with the process; the state keeps them for longer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use routing::failover::{AdminState, Health, Reason, Role, Wish};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::command::Operator;
use crate::status::{write_admin, write_health, write_reason, write_role, write_wish};

mod words;

pub(crate) use words::claim_words;

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
        /// The number of its incident; `None`: nothing had begun but the order.
        incident: Option<u64>,
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
    /// A backend says another thing of itself than before.
    ClaimChanged {
        /// Which.
        backend: Arc<str>,
        /// The role that it claims; `None`: it says nothing on that, or not any more.
        #[serde(serialize_with = "write_role")]
        role: Option<Role>,
        /// What it asks for; `None`: it says nothing on that, or not any more.
        #[serde(serialize_with = "write_wish")]
        wish: Option<Wish>,
    },
    /// Two backends or more claim the active role: automatic moves are frozen.
    DualActive {
        /// Which.
        backends: Vec<Arc<str>>,
    },
    /// That is over.
    DualActiveCleared {
        /// Whether an operator said that automatic moves go on; else fewer than two claim it.
        by_operator: bool,
    },
    /// A failover to this standby would work again.
    StandbyReady {
        /// Which.
        backend: Arc<str>,
    },
    /// A failover to this standby would not work, as far as anybody can tell.
    StandbyNotReady {
        /// Which.
        backend: Arc<str>,
        /// Why not, in sentences.
        reasons: Arc<[String]>,
    },
    /// The probes of a backend have told nothing for long: nothing is decided because of it.
    NoVerdict {
        /// Which.
        backend: Arc<str>,
        /// Why, in words.
        why: Arc<str>,
    },
    /// They tell something again.
    VerdictsAgain {
        /// Of which backend.
        backend: Arc<str>,
    },
    /// None of the witnesses answers: it is we who are cut off, and nothing is decided.
    CutOff {
        /// How many there are.
        witnesses: usize,
    },
    /// A witness answers again.
    Reconnected {
        /// How long none did.
        #[serde(rename = "after_ms", serialize_with = "write_millis")]
        after: Option<Duration>,
    },
    /// A gate has ended.
    GateEnded {
        /// Which.
        gate: &'static str,
        /// The backend that it was about.
        backend: Arc<str>,
        /// The epoch of its move.
        epoch: u64,
        /// `done`, `unreachable`, `failed` or `unknown`.
        outcome: &'static str,
        /// How it ended, in words.
        words: Arc<str>,
        /// How many tries there were.
        tries: u32,
        /// How long it took.
        #[serde(rename = "took_ms", serialize_with = "write_millis")]
        took: Option<Duration>,
    },
    /// Nobody knows how a gate ended: the service waits for an operator to say.
    GateInDoubt {
        /// Which.
        gate: &'static str,
        /// The backend that it is about.
        backend: Arc<str>,
        /// The epoch of its move.
        epoch: u64,
    },
    /// A backend may not become active, because a gate of a move to it failed.
    Barred {
        /// Which.
        backend: Arc<str>,
    },
    /// A job has ended, for one standby or for the active.
    JobEnded {
        /// Which.
        job: Arc<str>,
        /// The standby; `None`: it was about the active alone.
        backend: Option<Arc<str>>,
        /// `done`, `unreachable`, `failed`, `unknown` or `cancelled`.
        outcome: &'static str,
        /// How it ended, in words.
        words: Arc<str>,
        /// How many tries there were.
        tries: u32,
        /// How long it took.
        #[serde(rename = "took_ms", serialize_with = "write_millis")]
        took: Option<Duration>,
    },
    /// The last success of a job for a standby is too old.
    Stale {
        /// Which job.
        job: Arc<str>,
        /// Which standby.
        backend: Arc<str>,
    },
    /// It is not any more.
    Fresh {
        /// Which job.
        job: Arc<str>,
        /// Which standby.
        backend: Arc<str>,
    },
    /// Somebody could not be told what happened, and will not be.
    NotToldOf {
        /// Who.
        notifier: Arc<str>,
        /// How many events.
        events: u64,
        /// Why, in words.
        why: Arc<str>,
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
mod tests;
