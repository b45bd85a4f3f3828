//! What must not be forgotten of gates: who holds the active role, and which gate was under way.

use std::sync::Arc;

use routing::failover::{Direction, Gate, Reason, Standing};
use serde::{Deserialize, Serialize};

/// A gate that has begun, on record before it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedGate {
    pub(crate) epoch: u64,
    #[serde(with = "gate")]
    pub(crate) gate: Gate,
    #[serde(with = "direction")]
    pub(crate) direction: Direction,
    /// The backend that it is about.
    pub(crate) backend: Arc<str>,
    pub(crate) from: Option<Arc<str>>,
    pub(crate) to: Arc<str>,
    #[serde(with = "reason")]
    pub(crate) reason: Reason,
}

/// Whether a backend holds the active role in its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SavedStanding {
    Standby,
    Holds,
    /// Nobody knows; the gate may be run again.
    UnsureRepeatable,
    /// Nobody knows, and it may not.
    Unsure,
}

impl From<Standing> for SavedStanding {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Standby => Self::Standby,
            Standing::Holds => Self::Holds,
            Standing::Unsure { repeatable: true } => Self::UnsureRepeatable,
            Standing::Unsure { repeatable: false } => Self::Unsure,
        }
    }
}

impl From<SavedStanding> for Standing {
    fn from(saved: SavedStanding) -> Self {
        match saved {
            SavedStanding::Standby => Self::Standby,
            SavedStanding::Holds => Self::Holds,
            SavedStanding::UnsureRepeatable => Self::Unsure { repeatable: true },
            SavedStanding::Unsure => Self::Unsure { repeatable: false },
        }
    }
}

/// A module that reads and writes what has a word.
macro_rules! words {
    ($module:ident, $type:ty, $word:path, [$($value:expr),* $(,)?]) => {
        mod $module {
            use serde::de::Error;
            use serde::{Deserialize, Deserializer, Serializer};

            use super::*;

            pub(super) fn serialize<S: Serializer>(value: &$type, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str($word(*value))
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                let word = String::deserialize(from)?;
                let unknown = || D::Error::custom(format!("unknown word: {word}"));
                [$($value),*].into_iter().find(|value| $word(*value) == word).ok_or_else(unknown)
            }
        }
    };
}

words!(
    gate,
    Gate,
    crate::status::gate_word,
    [Gate::Fence, Gate::Demote, Gate::Sync, Gate::Promote, Gate::Verify,]
);

words!(
    direction,
    Direction,
    direction_word,
    [Direction::Failover, Direction::Failback, Direction::Switchover,]
);

words!(
    reason,
    Reason,
    crate::status::reason_word,
    [
        Reason::Startup,
        Reason::Failover,
        Reason::Failback,
        Reason::Recovery,
        Reason::Switchover,
        Reason::Reload,
        Reason::Return,
        Reason::Drill,
    ]
);

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Failover => "failover",
        Direction::Failback => "failback",
        Direction::Switchover => "switchover",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_comes_back_from_json_whatever_it_was() {
        let gates = [Gate::Fence, Gate::Demote, Gate::Sync, Gate::Promote, Gate::Verify];
        let directions = [Direction::Failover, Direction::Failback, Direction::Switchover];
        for (at, gate) in gates.into_iter().enumerate() {
            let saved = SavedGate {
                epoch: 7,
                gate,
                direction: directions[at % 3],
                backend: "b".into(),
                from: (at % 2 == 0).then(|| "a".into()),
                to: "b".into(),
                reason: [Reason::Failover, Reason::Drill, Reason::Startup][at % 3],
            };
            let json = serde_json::to_string(&saved).unwrap();
            assert_eq!(serde_json::from_str::<SavedGate>(&json).unwrap(), saved);
            let wrong = json.replace("\"gate\":\"", "\"gate\":\"un");
            assert!(serde_json::from_str::<SavedGate>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn so_does_a_standing() {
        for standing in [
            Standing::Standby,
            Standing::Holds,
            Standing::Unsure { repeatable: true },
            Standing::Unsure { repeatable: false },
        ] {
            let json = serde_json::to_string(&SavedStanding::from(standing)).unwrap();
            let saved = serde_json::from_str::<SavedStanding>(&json).unwrap();
            assert_eq!(Standing::from(saved), standing);
        }
    }
}
