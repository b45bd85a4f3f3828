//! Whether a failover to each standby would work now: judged, shown, and said when it changes.
//!
//! No decision looks at it. What is judged is confirmed: a lost probe does not make a standby unready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use routing::failover::{self, BackendId};
use serde_json::Value;

use super::rehearse::{self, Found, Rehearsal};
use super::{Driver, Watched};
use crate::board::Board;
use crate::events::Kind;
use crate::handle::HistoryQuery;
use crate::readiness::{Judged, Standby, Terms, judge};
use crate::status::Readiness;

/// How often standbys are judged while nothing is decided.
const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// How many of its latest events are looked through for when each backend of a service served.
const LOOKED_THROUGH: usize = 1_000;

/// What is known of a backend as a standby.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) readiness: Readiness,
    /// Whether it was ready when that was last known: what was not said before is no news.
    was_ready: bool,
    rehearsal: Option<Rehearsal>,
}

impl Driver {
    /// Judges the standbys after a step, at once when it was a decision. Returns whether anything is
    /// to be shown at once.
    pub(super) fn judge_standbys(&mut self, is_decision: bool) -> bool {
        let now = Instant::now();
        if self.aside || !(is_decision || now >= self.judge_at) {
            return false;
        }
        self.judge_at = now + JUDGED_EVERY;
        let status = self.failover.status();
        let terms = Terms {
            rules: &self.settings.readiness,
            required_role: self.failover.policy().required_role,
            is_frozen: status.dual_active.is_some_and(|dual| !dual.accepted),
            is_in_doubt: status.gate.is_some_and(|gate| gate.in_doubt),
        };
        let (wall, mut changed, mut news) = (SystemTime::now(), false, Vec::new());
        for backend in &status.backends {
            let leaves = self.succession.as_ref().is_some_and(|next| next.drops(backend.id));
            let Some(watched) = self.backends.get_mut(&backend.id) else { continue };
            if status.active == Some(backend.id) || leaves {
                changed |= watched.standby.take().is_some();
                continue;
            }
            let served = self.served.get(watched.plan.name()).copied();
            let lags = self.jobs.lags(watched.plan.name(), wall);
            let (was_shown, said) = watched.judge(backend, terms, (served, lags), wall);
            changed |= was_shown;
            // Where nobody is active there is nothing to fail over from.
            if status.active.is_some() {
                news.extend(said);
            }
        }
        for kind in news {
            self.board.record(&self.name, kind);
        }
        changed
    }

    /// A backend has had traffic until now.
    pub(super) fn note_served(&mut self, backend: BackendId) {
        let name = self.name(backend);
        self.served.insert(name, SystemTime::now());
    }
}

impl Watched {
    /// Judges it as a standby. Returns whether it is shown as something else now, and what is to be
    /// said.
    fn judge(
        &mut self,
        backend: &failover::BackendStatus,
        terms: Terms<'_>,
        (served, lags): (Option<SystemTime>, Vec<String>),
        now: SystemTime,
    ) -> (bool, Option<Kind>) {
        let (plan, undecided) = (&self.plan, self.undecided());
        let is_new = self.standby.is_none();
        let standby = self.standby.get_or_insert_with(|| Judgement {
            readiness: Readiness::default(),
            was_ready: true,
            rehearsal: rehearse::is_needed(plan).then(|| Rehearsal::start(plan)),
        });
        let found = standby
            .rehearsal
            .as_ref()
            .map_or_else(|| Found::probed(self.certificate_expires), Rehearsal::found);
        let failing = self.evidence.failing_words();
        let judged = judge(
            &Standby {
                health: backend.health,
                admin: backend.admin,
                role: backend.claim.role,
                wish: backend.claim.wish,
                failing: failing.as_deref(),
                undecided,
                certificate_expires: found.certificate_expires,
                way: found.way,
                clock_ahead_ms: self.evidence.clock_ahead_ms(),
                served,
                is_barred: backend.barred,
                lags,
            },
            terms,
            now,
        );
        standby.follow(judged, is_new, self.plan.name())
    }
}

impl Judgement {
    fn follow(&mut self, judged: Judged, is_new: bool, name: &Arc<str>) -> (bool, Option<Kind>) {
        let Judged { readiness, is_known } = judged;
        let is_ready = readiness.is_ready;
        let is_shown = is_new || is_ready != self.readiness.is_ready;
        let is_news = is_known && is_ready != self.was_ready;
        if is_known {
            self.was_ready = is_ready;
        }
        let kind = is_news.then(|| {
            let (backend, reasons) = (name.clone(), readiness.reasons.clone());
            if is_ready {
                Kind::StandbyReady { backend }
            } else {
                Kind::StandbyNotReady { backend, reasons }
            }
        });
        self.readiness = readiness;
        (is_shown, kind)
    }
}

/// When each backend of a service last served, or was drilled, by the events that are kept.
pub(super) fn served(board: &Board, service: &Arc<str>) -> BTreeMap<Arc<str>, SystemTime> {
    let service = Some(service.to_string());
    let query = HistoryQuery { service, limit: LOOKED_THROUGH, ..HistoryQuery::default() };
    // Oldest first: the last that is said of a backend stays.
    board.history(&query).iter().filter_map(served_by).collect()
}

/// Who had traffic until an event, and when that was.
fn served_by(event: &Value) -> Option<(Arc<str>, SystemTime)> {
    let of = |key: &str| event[key].as_str();
    let name = match of("kind")? {
        "active_changed" => of("from")?,
        // Tagged requests were answered.
        "drill_ended" if event["answered"].as_object().is_some_and(|map| !map.is_empty()) => {
            of("backend")?
        }
        _ => return None,
    };
    let since = Duration::try_from_secs_f64(event["at_seconds"].as_f64()?).ok()?;
    Some((name.into(), UNIX_EPOCH.checked_add(since)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(is_ready: bool, is_known: bool) -> Judged {
        let reasons: Arc<[String]> =
            if is_ready { Arc::default() } else { ["it is down".to_owned()].into() };
        Judged { readiness: Readiness { is_ready, reasons, notes: Arc::default() }, is_known }
    }

    #[test]
    fn what_changes_is_said_once_and_what_is_not_known_yet_not_at_all() {
        let mut standby =
            Judgement { readiness: Readiness::default(), was_ready: true, rehearsal: None };
        let mut said = |judged, is_new| {
            let (shown, kind) = standby.follow(judged, is_new, &"b".into());
            let word = kind.map(|kind| match kind {
                Kind::StandbyReady { .. } => "ready",
                Kind::StandbyNotReady { .. } => "not ready",
                other => panic!("{other:?}"),
            });
            (shown, word)
        };
        assert_eq!(said(found(false, false), true), (true, None));
        assert_eq!(said(found(true, true), false), (true, None), "as it should be");
        assert_eq!(said(found(false, true), false), (true, Some("not ready")));
        assert_eq!(said(found(false, true), false), (false, None));
        assert_eq!(said(found(false, false), false), (false, None));
        assert_eq!(said(found(true, true), false), (true, Some("ready")));
    }

    #[test]
    fn one_that_is_not_ready_from_the_first_is_said() {
        let mut standby =
            Judgement { readiness: Readiness::default(), was_ready: true, rehearsal: None };
        let (_, kind) = standby.follow(found(false, true), true, &"b".into());
        assert!(matches!(kind, Some(Kind::StandbyNotReady { .. })), "{kind:?}");
    }

    #[test]
    fn events_tell_who_served_until_when() {
        let event = |more: Value| {
            let mut event = json!({"at_seconds": 1.5});
            event
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().cloned().expect("one"));
            served_by(&event).map(|(name, at)| (name.to_string(), at))
        };
        let at = UNIX_EPOCH + Duration::from_millis(1_500);
        let moved = json!({"kind": "active_changed", "from": "a", "to": "b"});
        assert_eq!(event(moved), Some(("a".to_owned(), at)));
        let started = json!({"kind": "active_changed", "from": null, "to": "b"});
        assert_eq!(event(started), None);
        let drill = |answered: Value| {
            event(json!({"kind": "drill_ended", "backend": "b", "answered": answered}))
        };
        assert_eq!(drill(json!({"2xx": 7})), Some(("b".to_owned(), at)));
        assert_eq!(drill(json!({})), None, "nobody asked it anything");
        assert_eq!(drill(json!(null)), None, "the active was treated as failed");
        assert_eq!(event(json!({"kind": "unlocked"})), None);
    }
}
