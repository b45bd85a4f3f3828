//! What is remembered of one service: plain data, as JSON in the file.
//!
//! Times are wall clock, in milliseconds since 1970: monotonic clocks end with the process.
//! Unknown fields are skipped and missing ones have defaults, so that an older version can read
//! what a newer one of the same format wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use routing::failover::AdminState;
use serde::{Deserialize, Serialize};

mod gates;

pub(crate) use self::jobs::SavedJob;
pub(crate) use gates::{SavedGate, SavedStanding};

mod jobs;

/// What a service must not forget across a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedService {
    /// The name of the backend that had the traffic.
    pub(crate) active: Option<Arc<str>>,
    /// The number of the latest change of the active. See [`epoch_from`].
    pub(crate) epoch: u64,
    /// Stays at the active while that one is eligible.
    pub(crate) pinned: bool,
    /// Who wanted that.
    pub(crate) pin: SavedMark,
    /// No automatic moves at all.
    pub(crate) locked: bool,
    /// Who wanted that.
    pub(crate) lock: SavedMark,
    /// How often a failback was followed by trouble, less what calm has taken back.
    pub(crate) flaps: u32,
    /// Whom the service last failed back to, as long as that may still turn out to be a flap.
    pub(crate) failed_back: Option<SavedFailback>,
    /// The admin states that operators set, by backend. Who is not here is ready.
    pub(crate) admin: BTreeMap<Arc<str>, SavedAdmin>,
    /// When the latest automatic moves were, oldest first: what the lock rule counts.
    pub(crate) switches_ms: Vec<u64>,
    /// The drill under way.
    pub(crate) drill: Option<SavedDrill>,
    /// A switchover that an operator ordered for later.
    pub(crate) scheduled: Option<SavedSwitchover>,
    /// Who holds the active role in the applications, by backend; empty: nobody has said.
    pub(crate) standings: BTreeMap<Arc<str>, SavedStanding>,
    /// Which backends may not become active, because a gate failed.
    pub(crate) barred: Vec<Arc<str>>,
    /// The gate under way.
    pub(crate) gate: Option<SavedGate>,
    /// Its jobs, by name.
    pub(crate) jobs: BTreeMap<Arc<str>, SavedJob>,
    /// When each backend was last active, as far as jobs want to know.
    pub(crate) was_active_ms: BTreeMap<Arc<str>, u64>,
}

impl SavedService {
    /// Another process has sent the traffic to `active` since, under `epoch`, and what it wrote of that
    /// is lost. Whoever serves holds the role; of a gate before that nobody knows any more.
    pub(crate) fn obeyed(&mut self, active: Option<Arc<str>>, epoch: u64) {
        self.epoch = epoch;
        let Some(active) = active else { return };
        if let Some(gate) = self.gate.take_if(|gate| gate.to != active) {
            self.standings.insert(gate.backend, SavedStanding::Unsure);
        }
        // Where nobody is named the active holds it.
        if !self.standings.is_empty() {
            let holders = self.standings.values_mut();
            holders
                .filter(|standing| **standing == SavedStanding::Holds)
                .for_each(|standing| *standing = SavedStanding::Standby);
            self.standings.insert(active.clone(), SavedStanding::Holds);
        }
        self.active = Some(active);
    }
}

/// Who did something, where from, why, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedMark {
    pub(crate) who: Arc<str>,
    pub(crate) from: Arc<str>,
    /// In their words.
    pub(crate) why: Arc<str>,
    pub(crate) at_ms: u64,
}

impl Default for SavedMark {
    fn default() -> Self {
        let unknown: Arc<str> = "unknown".into();
        Self { who: unknown.clone(), from: unknown, why: "".into(), at_ms: 0 }
    }
}

/// An operator's wish for a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedAdmin {
    /// The wish.
    #[serde(with = "admin_state")]
    pub(crate) state: AdminState,
    /// Whose.
    #[serde(default)]
    pub(crate) mark: SavedMark,
}

/// A failback that may still turn out to be a flap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedFailback {
    /// Where to.
    pub(crate) backend: Arc<str>,
    /// When.
    pub(crate) at_ms: u64,
}

/// A drill under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedDrill {
    /// The backend that is treated as failed.
    pub(crate) backend: Arc<str>,
    /// Until when.
    pub(crate) until_ms: u64,
}

/// A switchover for later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedSwitchover {
    /// The backend that is to become active.
    pub(crate) to: Arc<str>,
    /// When.
    pub(crate) at_ms: u64,
    /// How long the move is watched, in milliseconds; 0: not at all.
    #[serde(default)]
    pub(crate) verify_ms: u64,
    /// Who ordered it, and when.
    #[serde(default)]
    pub(crate) mark: SavedMark,
}

/// Where epochs begin when nothing is remembered: the milliseconds since 1970.
///
/// An epoch is a fencing token, so it must never repeat, also not when the state is lost. Epochs
/// count on by one for each move. As long as a service makes fewer than 1,000 moves a second and
/// nobody sets the clock back by more than the process ran, the clock is ahead of every epoch
/// that was ever given.
pub(crate) fn seed_epoch(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The epoch to count on from, of a service whose remembered one is `saved`.
///
/// The greater of it and the clock: what is remembered may be an old backup, whose epochs have
/// been given since; and the clock may be behind. Costs nothing but a gap.
pub(crate) fn epoch_from(saved: u64, now: SystemTime) -> u64 {
    saved.max(seed_epoch(now))
}

/// Admin states as words.
mod admin_state {
    use routing::failover::AdminState;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::status::{admin_word, write_admin};

    pub(super) fn serialize<S: Serializer>(state: &AdminState, to: S) -> Result<S::Ok, S::Error> {
        write_admin(state, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<AdminState, D::Error> {
        let word = String::deserialize(from)?;
        [AdminState::Ready, AdminState::Drain, AdminState::Maintenance]
            .into_iter()
            .find(|state| admin_word(*state) == word)
            .ok_or_else(|| D::Error::custom(format!("unknown admin state: {word}")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use routing::failover::{Direction, Gate, Reason};

    use super::*;

    fn mark() -> SavedMark {
        let why = "patch day".into();
        SavedMark { who: "ops".into(), from: "10.0.0.9".into(), why, at_ms: 7 }
    }

    fn saved_job() -> SavedJob {
        SavedJob {
            since_ms: 17,
            began_ms: Some(17),
            under_way: true,
            succeeded_ms: [("b".into(), 12)].into(),
            failures: 2,
            outcome: "failed".into(),
            words: "exit code 1".into(),
            took_ms: Some(800),
        }
    }

    #[test]
    fn everything_comes_back_from_json() {
        let saved = SavedService {
            active: Some("b".into()),
            epoch: 1_795_746_000_123,
            pinned: true,
            locked: true,
            flaps: 3,
            pin: mark(),
            lock: mark(),
            failed_back: Some(SavedFailback { backend: "a".into(), at_ms: 5 }),
            admin: [AdminState::Ready, AdminState::Drain, AdminState::Maintenance]
                .into_iter()
                .enumerate()
                .map(|(i, state)| {
                    let saved = SavedAdmin { state, mark: mark() };
                    (Arc::from(format!("b{i}")), saved)
                })
                .collect(),
            switches_ms: vec![1, 2, 3],
            drill: Some(SavedDrill { backend: "a".into(), until_ms: 9 }),
            scheduled: Some(SavedSwitchover {
                to: "c".into(),
                at_ms: 11,
                verify_ms: 10_000,
                mark: mark(),
            }),
            standings: [("a".into(), SavedStanding::Unsure)].into(),
            barred: vec!["a".into()],
            gate: Some(SavedGate {
                epoch: 1_795_746_000_124,
                gate: Gate::Promote,
                direction: Direction::Failover,
                backend: "b".into(),
                from: Some("a".into()),
                to: "b".into(),
                reason: Reason::Failover,
            }),
            jobs: [("sync".into(), saved_job())].into(),
            was_active_ms: [("a".into(), 13)].into(),
        };
        let json = serde_json::to_string(&saved).unwrap();
        assert_eq!(serde_json::from_str::<SavedService>(&json).unwrap(), saved);
        assert!(json.contains(r#""state":"maintenance""#), "{json}");
    }

    #[test]
    fn where_the_traffic_was_sent_since_holds_the_role() {
        use SavedStanding::{Holds, Standby, Unsure};
        let standings = |a, b| BTreeMap::from([("a".into(), a), ("b".into(), b)]);
        let before = || SavedService {
            active: Some("a".into()),
            epoch: 7,
            standings: standings(Holds, Standby),
            ..SavedService::default()
        };
        let mut saved = before();
        saved.obeyed(Some("b".into()), 8);
        let after = SavedService { active: Some("b".into()), epoch: 8, ..before() };
        assert_eq!(saved, SavedService { standings: standings(Standby, Holds), ..after.clone() });

        let gate = |backend: &str, to: &str| SavedGate {
            epoch: 7,
            gate: Gate::Fence,
            direction: Direction::Failover,
            backend: backend.into(),
            from: None,
            to: to.into(),
            reason: Reason::Failover,
        };
        let mut saved = SavedService { gate: Some(gate("a", "c")), ..before() };
        saved.obeyed(Some("b".into()), 8);
        let unsure = SavedService { standings: standings(Unsure, Holds), ..after };
        assert_eq!(saved, unsure, "it has ended, for b serves");

        let mut saved = SavedService { gate: Some(gate("a", "b")), ..before() };
        saved.obeyed(Some("b".into()), 8);
        assert_eq!(saved.gate, Some(gate("a", "b")), "it may be made up for while b serves");

        let mut saved = SavedService { standings: BTreeMap::new(), ..before() };
        saved.obeyed(None, 8);
        assert_eq!((saved.active, saved.epoch), (Some("a".into()), 8), "nobody serves");
    }

    #[test]
    fn missing_fields_have_defaults_and_unknown_ones_are_skipped() {
        let json = r#"{"epoch":4,"mood":"good","admin":{"a":{"state":"drain","sign":1}}}"#;
        let saved = serde_json::from_str::<SavedService>(json).unwrap();
        assert_eq!((saved.epoch, saved.pinned, saved.active), (4, false, None));
        assert_eq!(saved.admin["a"].state, AdminState::Drain);
        assert!(serde_json::from_str::<SavedAdmin>(r#"{"state":"asleep"}"#).is_err());
    }

    #[test]
    fn epochs_count_on_from_the_greater_of_memory_and_clock() {
        let now = UNIX_EPOCH + Duration::from_millis(1_795_746_000_123);
        assert_eq!(seed_epoch(now), 1_795_746_000_123);
        assert_eq!(epoch_from(0, now), 1_795_746_000_123);
        assert_eq!(epoch_from(1_795_746_000_122, now), 1_795_746_000_123, "an old backup");
        assert_eq!(epoch_from(1_795_746_000_999, now), 1_795_746_000_999, "a slow clock");
        assert_eq!(seed_epoch(UNIX_EPOCH - Duration::from_secs(1)), 0);
    }
}
