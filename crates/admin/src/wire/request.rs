//! What clients send: the bodies of `POST`, in JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest reason, in characters.
pub const REASON_LENGTH: usize = 500;
/// The longest time that a move may be watched, in seconds.
pub const VERIFY_SECONDS: f64 = 300.0;
/// The longest drill, in seconds: a day.
pub const DRILL_SECONDS: f64 = 86_400.0;

/// Move the traffic to a backend, and stay there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SwitchoverRequest)]
#[serde(deny_unknown_fields)]
pub struct Switchover {
    /// The name of the backend.
    #[schema(min_length = 1, max_length = 256)]
    pub to: String,
    /// How long the move is watched, and taken back if it does not work out; as configured when left
    /// out, not at all when 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.0, maximum = 300.0)]
    pub verify_seconds: Option<f64>,
    /// When; now when left out. A second order for later takes the place of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// Move the traffic to the first eligible backend, and end a pin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FailbackRequest)]
#[serde(deny_unknown_fields)]
pub struct Failback {
    /// How long the move is watched, and taken back if it does not work out; as configured when left
    /// out, not at all when 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.0, maximum = 300.0)]
    pub verify_seconds: Option<f64>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// Nothing but why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReasonRequest)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// How a gate ended, as an operator knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GateRequest)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// How.
    pub ended: GateEnd,
    /// Why, for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// How a gate ended, or what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateEnd {
    /// It did what it should.
    Done,
    /// It did not.
    Failed,
    /// Nobody knows: run it once more.
    Again,
}

/// Run a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunJobRequest)]
#[serde(deny_unknown_fields)]
pub struct RunJob {
    /// Whether to answer when it has ended; else as soon as it is going to run.
    #[serde(default = "yes")]
    pub wait: bool,
    /// Why, for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

fn yes() -> bool {
    true
}

/// Treat the active as failed for a time, or send tagged requests to a standby.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DrillRequest)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// How long.
    #[schema(minimum = 1.0, maximum = 86400.0)]
    pub length_seconds: f64,
    /// Only requests that carry this field; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// Why, for the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub reason: Option<String>,
}

/// Which requests a drill is for, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The name of the field.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
    pub header: String,
    /// Its value; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, pattern = r"^[\x20-\x7e]*$")]
    pub value: Option<String>,
    /// The standby that gets them; the first eligible one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub backend: Option<String>,
}
