//! What happened: events, and the incidents that they add up to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Operator;

/// Events, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// The events.
    pub events: Vec<Event>,
}

/// Something that happened. Further fields depend on the kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Counts up; a gap means that older events are not kept any more.
    pub number: u64,
    /// When, in seconds since 1970.
    pub at_seconds: f64,
    /// The same in RFC 3339.
    pub at: Option<Timestamp>,
    /// Which service, unless it concerns all.
    pub service: Option<String>,
    /// What kind of event, for example `active_changed`.
    pub kind: String,
    /// What happened, in one line for people.
    pub text: String,
    /// Further fields of its kind.
    #[serde(flatten)]
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    pub fields: Map<String, Value>,
}

/// Incidents, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incidents {
    /// The incidents, in short.
    pub incidents: Vec<IncidentSummary>,
}

/// A move of the traffic, in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentSummary {
    /// Its number.
    pub id: u64,
    /// Which service.
    pub service: String,
    /// Why the traffic moved.
    pub reason: String,
    /// Who had it.
    pub from: Option<String>,
    /// Who has it since; `null`: nobody.
    pub to: Option<String>,
    /// When, in seconds since 1970.
    pub at_seconds: f64,
    /// The same in RFC 3339.
    pub at: Option<Timestamp>,
    /// From the first sign to the last acknowledgement.
    pub total_ms: Option<f64>,
    /// From the first sign, or without one from the decision, to the first good answer.
    #[serde(default)]
    pub first_answer_ms: Option<f64>,
    /// Who ordered it; `null`: nobody, the rules did.
    pub by: Option<Operator>,
    /// What came of it: `moved`, `verified`, `returned`, `called_off`.
    pub outcome: String,
    /// In one line for people.
    pub text: String,
}

/// A move of the traffic, with what led to it and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Its number.
    pub id: u64,
    /// Which service.
    pub service: String,
    /// Why the traffic moved.
    pub reason: String,
    /// Who had it.
    pub from: Option<String>,
    /// Who has it since; `null`: nobody.
    pub to: Option<String>,
    /// The number of the change of the active; `null`: it was called off before.
    pub epoch: Option<u64>,
    /// When, in seconds since 1970.
    pub at_seconds: f64,
    /// The same in RFC 3339.
    pub at: Option<Timestamp>,
    /// What led to it, in words, in the order in which it was seen.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What was done, step by step.
    #[serde(default)]
    pub timeline: Vec<Step>,
    /// The gates that it went through, in the order in which they ended.
    #[serde(default)]
    pub gates: Vec<GateRecord>,
    /// How long it took.
    #[serde(default)]
    pub took: Took,
    /// What it meant for requests.
    #[serde(default)]
    pub counts: Counts,
    /// Who ordered it; `null`: nobody, the rules did.
    pub by: Option<Operator>,
    /// What came of it: `moved`, `verified`, `returned`, `called_off`.
    pub outcome: String,
    /// In one line for people.
    pub text: String,
}

/// A gate that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GateRecord {
    /// `fence`, `demote`, `sync`, `promote` or `verify`.
    pub gate: String,
    /// The backend that it was about.
    pub backend: String,
    /// The epoch that it was told.
    pub epoch: u64,
    /// `done`, `unreachable`, `failed` or `unknown`.
    pub outcome: String,
    /// How it ended, in words.
    pub words: String,
    /// The beginning of what it wrote, or of the answer.
    pub output: String,
    /// How many tries there were.
    pub tries: u32,
    /// How long it took.
    pub took_ms: f64,
    /// How long after the first step it ended.
    pub ended_after_ms: f64,
}

/// One step of a move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// How long after the first sign, or the order.
    pub after_ms: f64,
    /// What was done.
    pub what: String,
}

/// How long a move took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Took {
    /// From the first sign to the decision.
    pub detect_ms: Option<f64>,
    /// From the decision to the last acknowledgement.
    #[serde(default)]
    pub switch_ms: Option<f64>,
    /// Both together.
    pub total_ms: Option<f64>,
    /// From the first sign, or without one from the decision, to the first good answer of the new active.
    pub first_answer_ms: Option<f64>,
}

/// What a move meant for requests and streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    /// Requests that waited for the new active.
    pub held: u64,
    /// Requests that were sent again.
    pub replayed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were turned away.
    pub rejected: u64,
    /// Streams that were under way at the old active.
    pub streams_left: u64,
    /// Those of them that we closed.
    pub streams_closed: u64,
    /// Requests and streams that were cut so that two backends never work at once.
    pub cut: u64,
}

impl From<Incident> for IncidentSummary {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id,
            service: incident.service,
            reason: incident.reason,
            from: incident.from,
            to: incident.to,
            at_seconds: incident.at_seconds,
            at: incident.at,
            total_ms: incident.took.total_ms,
            first_answer_ms: incident.took.first_answer_ms,
            by: incident.by,
            outcome: incident.outcome,
            text: incident.text,
        }
    }
}
