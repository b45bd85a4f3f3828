//! What clients are told: what became of an order, and what was wrong with a request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of an order, or, of a dry run, what would.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Answer {
    /// It was carried out.
    Done(Done),
    /// It was only asked about.
    Preview(Preview),
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// One sentence for people.
    pub text: String,
    /// The move that it made; `null` when the traffic stayed where it was.
    pub moved: Option<Moved>,
}

/// A move that an operator ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Moved {
    /// Who had the traffic.
    pub from: Option<String>,
    /// Who has it.
    pub to: Option<String>,
    /// The number of the change; also that of its incident.
    pub epoch: u64,
    /// From the order to the first good answer of the new active; `null` when it was not waited for.
    pub verified_after_ms: Option<f64>,
}

/// What a move would do, and what speaks against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// Who has the traffic.
    pub from: Option<String>,
    /// Who would get it.
    pub to: Option<String>,
    /// Whether the order would be carried out.
    pub possible: bool,
    /// What would happen, step by step, in words.
    pub steps: Vec<String>,
    /// What stands in its way, in words; empty when it is possible.
    pub blockers: Vec<String>,
    /// What an operator should know all the same, in words.
    pub warnings: Vec<String>,
}

/// One probe, shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeShown {
    /// `pass`, `fail` or `inconclusive`.
    pub verdict: String,
    /// Why.
    pub outcome: String,
    /// How long it took.
    pub took_ms: f64,
    /// The exchange, line by line: `> ` sent, `< ` received, `* ` what happened.
    pub exchange: Vec<String>,
}

/// How the test of a notifier went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotifierTest {
    /// Whether it was taken.
    pub told: bool,
    /// What was answered, or why nothing was, in words.
    pub answer: String,
}

/// A reload that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// What changed, in words; `null` when the config is the running one.
    pub changes: Option<String>,
    /// What an operator should know, for example that a key takes effect at the next start only.
    pub warnings: Vec<String>,
}

/// What was wrong (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which problem, for programs: `urn:understudy:problem:` and a word that never changes.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for people, in a few words.
    pub title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong this time, and what to do about it.
    pub detail: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}
