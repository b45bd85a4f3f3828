//! What the dashboard shows beside the status: rounds of probes, the config, who is asking.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{millis, seconds};

/// The latest rounds of probes of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Probes {
    /// Its backends, in priority order.
    pub backends: Vec<BackendProbes>,
}

/// The latest rounds of probes of a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackendProbes {
    /// Its name.
    pub name: String,
    /// At most 60, oldest first.
    pub rounds: Vec<Round>,
}

/// A round of probes that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Round {
    /// Counts up from 1 since the probes of its backend began.
    pub number: u64,
    /// `pass`, `fail` or `inconclusive`.
    pub verdict: String,
    /// How long it took.
    #[schema(minimum = 0.0)]
    pub took_ms: f64,
    /// How long ago it ended.
    #[schema(minimum = 0.0)]
    pub ago_seconds: f64,
}

/// The config in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigShown {
    /// The file that it came from; `null`: it is in none.
    pub file: Option<String>,
    /// As YAML, every default filled in. What is or may be secret reads `(not shown)`.
    pub yaml: String,
    /// Where the file and what runs differ, in words.
    pub drift: Vec<String>,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The name of the token, or the user on the machine; `anybody` where none is needed.
    pub who: String,
    /// Where from: an address, or `unix socket, pid 17`.
    pub from: String,
    /// `read` or `write`.
    pub access: String,
    /// Whether it was a token that said so.
    pub by_token: bool,
    /// What to do to be allowed to change something, in words; `null`: it is.
    pub how_to_write: Option<String>,
}

impl From<&control::BackendStatus> for BackendProbes {
    fn from(backend: &control::BackendStatus) -> Self {
        let rounds = backend.rounds.latest();
        Self {
            name: backend.name.to_string(),
            rounds: rounds.into_iter().map(Round::from).collect(),
        }
    }
}

impl From<control::Round> for Round {
    fn from(round: control::Round) -> Self {
        let verdict = match round.verdict {
            control::Verdict::Pass => "pass",
            control::Verdict::Fail => "fail",
            control::Verdict::Inconclusive => "inconclusive",
        };
        Self {
            number: round.number,
            verdict: verdict.to_owned(),
            took_ms: millis(round.took),
            ago_seconds: seconds(round.ended.ago()),
        }
    }
}
