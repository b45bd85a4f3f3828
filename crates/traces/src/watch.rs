//! Watches for switches, and makes spans of each once nothing more happens to it.

use std::collections::VecDeque;
use std::time::Duration;

use control::{Control, Event, Kind};
use tokio::time::Instant;

use crate::span::Span;
use crate::switch::Incident;

/// From the last step of a switch to the last count of what it cost.
const AFTERMATH: Duration = Duration::from_millis(1_500);
/// A switch that nobody answers for is exported as it is this long after the traffic has moved; control
/// looks after it for less.
const LONGEST: Duration = Duration::from_secs(35);
/// A switch that does not end, its gates for instance, is exported as it is after this long.
const HOPELESS: Duration = Duration::from_secs(3_600);
/// Most switches that are watched at a time; services move one by one.
const MOST_OPEN: usize = 1_024;
/// How many incidents are remembered, so that none is exported twice.
const REMEMBERED: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Watch {
    control: Control,
    host: String,
    /// The number of the last event that was looked at.
    last: u64,
    open: Vec<Open>,
    seen: VecDeque<u64>,
}

/// A switch that is not over.
#[derive(Debug)]
struct Open {
    incident: u64,
    noticed: Instant,
    /// When it was first seen not to be under way any more.
    ended: Option<Instant>,
    /// When its last step was seen.
    settled: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(control: Control, host: String) -> Self {
        Self { control, host, last: 0, open: Vec::new(), seen: VecDeque::new() }
    }

    /// Looks at what has happened since the last time. Events are read where they are kept, not as they
    /// are told: who is told may miss some.
    pub(crate) fn look(&mut self) {
        for event in self.control.events(self.last) {
            self.last = self.last.max(event.number);
            if let Some(incident) = incident_of(&event) {
                self.note(incident);
            }
        }
    }

    fn note(&mut self, incident: u64) {
        if self.seen.contains(&incident) || self.open.len() >= MOST_OPEN {
            return;
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(incident);
        let noticed = Instant::now();
        self.open.push(Open { incident, noticed, ended: None, settled: None });
    }

    /// Whether any switch is not over.
    pub(crate) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// The spans of those that are over; when `all`, also of those that are not.
    pub(crate) async fn take(&mut self, all: bool) -> Vec<Span> {
        let (mut spans, now) = (Vec::new(), Instant::now());
        for mut open in std::mem::take(&mut self.open) {
            let kept = self.control.incident(open.incident).await.and_then(Incident::of);
            if !open.is_over(kept.as_ref(), now) && !all {
                self.open.push(open);
            } else if let Some(incident) = kept {
                spans.extend(incident.spans(&self.host));
            }
        }
        spans
    }
}

impl Open {
    /// Whether it is exported now, being `kept` so, or given up.
    fn is_over(&mut self, kept: Option<&Incident>, now: Instant) -> bool {
        let since = |begin: Instant| now.saturating_duration_since(begin);
        // Nobody is shown what the disk does not have yet.
        let Some(incident) = kept else { return since(self.noticed) >= LONGEST };
        if incident.is_under_way() {
            return since(self.noticed) >= HOPELESS;
        }
        let ended = *self.ended.get_or_insert(now);
        if incident.is_settled() {
            self.settled.get_or_insert(now);
        }
        self.settled.is_some_and(|settled| since(settled) >= AFTERMATH) || since(ended) >= LONGEST
    }
}

/// The incident that an event has begun or ended, if it is about a switch.
fn incident_of(event: &Event) -> Option<u64> {
    if let Kind::ActiveChanged { incident, .. } | Kind::CalledOff { incident, .. } = &event.kind {
        return *incident;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(outcome: &str, steps: &[&str]) -> Incident {
        let timeline: Vec<_> =
            steps.iter().map(|step| json!({ "after_ms": 0.0, "step": step })).collect();
        let incident = json!({
            "id": 7, "service": "web", "reason": "failover", "from": "a", "to": "b", "epoch": 42,
            "at_seconds": 1000.5, "timeline": timeline, "outcome": outcome, "text": "",
        });
        Incident::of(incident).expect("it is understood")
    }

    fn open() -> (Open, Instant) {
        let now = Instant::now();
        (Open { incident: 7, noticed: now, ended: None, settled: None }, now)
    }

    #[test]
    fn what_the_disk_does_not_have_yet_is_waited_for() {
        let (mut open, now) = open();
        assert!(!open.is_over(None, now));
        assert!(!open.is_over(None, now + LONGEST / 2));
        let answered = kept("verified", &["decided", "activated", "first_answer"]);
        let seen = now + LONGEST / 2;
        assert!(!open.is_over(Some(&answered), seen));
        assert!(open.is_over(Some(&answered), seen + AFTERMATH));
        // But not for ever.
        assert!(open.is_over(None, now + LONGEST));
    }

    #[test]
    fn gates_take_as_long_as_they_take() {
        let (mut open, now) = open();
        let in_gates = kept("under_way", &["decided", "left"]);
        for after in [Duration::ZERO, LONGEST, LONGEST * 10] {
            assert!(!open.is_over(Some(&in_gates), now + after), "{after:?}");
        }
        // And then there is as much time for the first answer as without any.
        let moved = kept("moved", &["decided", "left", "activated"]);
        let ended = now + LONGEST * 10;
        assert!(!open.is_over(Some(&moved), ended));
        assert!(!open.is_over(Some(&moved), ended + LONGEST / 2));
        assert!(open.is_over(Some(&moved), ended + LONGEST));
        assert!(open.is_over(Some(&in_gates), now + HOPELESS));
    }

    #[test]
    fn what_came_to_nothing_is_over_soon() {
        let (mut open, now) = open();
        let called_off = kept("called_off", &["decided", "called_off"]);
        assert!(!open.is_over(Some(&called_off), now));
        assert!(open.is_over(Some(&called_off), now + AFTERMATH));
    }
}
