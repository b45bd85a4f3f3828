//! The record of one move: what led to it, what happened when, what it cost.
//!
//! Plain data. The driver writes it while the move goes on; the first version is kept before the
//! traffic moves, the last when its consequences are over.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use routing::failover::Reason;
use serde::Serialize;
use serde_json::Value;

use crate::command::Operator;
use crate::evidence::Sign;
use crate::status::{reason_word, write_reason};

/// What a service has counted since the start; of an incident, what came on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Requests that had to wait.
    pub(crate) held: u64,
    /// Requests that were sent again.
    pub(crate) replayed: u64,
    /// Requests that failed because of a backend or of us.
    pub(crate) failed: u64,
    /// Requests that could not wait, or had waited for too long.
    pub(crate) rejected: u64,
    /// Responses, uploads and tunnels that were at the old active.
    pub(crate) streams_left: u64,
    /// Those of them that we closed.
    pub(crate) streams_closed: u64,
    /// Requests and streams cut because they took longer than a strict move waits.
    pub(crate) cut: u64,
}

impl From<metrics::Counted> for Counts {
    fn from(counted: metrics::Counted) -> Self {
        let metrics::Counted { held, replayed, failed, rejected, .. } = counted;
        let metrics::Counted { streams_left, streams_closed, cut, .. } = counted;
        Self { held, replayed, failed, rejected, streams_left, streams_closed, cut }
    }
}

impl Counts {
    /// What came on top of `before`.
    fn since(self, before: Self) -> Self {
        Self {
            held: self.held.saturating_sub(before.held),
            replayed: self.replayed.saturating_sub(before.replayed),
            failed: self.failed.saturating_sub(before.failed),
            rejected: self.rejected.saturating_sub(before.rejected),
            streams_left: self.streams_left.saturating_sub(before.streams_left),
            streams_closed: self.streams_closed.saturating_sub(before.streams_closed),
            cut: self.cut.saturating_sub(before.cut),
        }
    }
}

/// What happens in a move, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The first sign of trouble.
    FirstSign,
    /// The rules, or an operator, have decided.
    Decided,
    /// Every worker has stopped starting requests.
    Held,
    /// Nobody has the traffic, until the gates have ended.
    Left,
    /// Every worker sends to the new active.
    Activated,
    /// The new active has given its first good answer.
    FirstAnswer,
    /// The move was called off before the traffic moved.
    CalledOff,
    /// The move was taken back.
    Returned,
}

impl Step {
    /// As programs know it.
    fn name(self) -> &'static str {
        match self {
            Self::FirstSign => "first_sign",
            Self::Decided => "decided",
            Self::Held => "held",
            Self::Left => "left",
            Self::Activated => "activated",
            Self::FirstAnswer => "first_answer",
            Self::CalledOff => "called_off",
            Self::Returned => "returned",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::FirstSign => "first sign of trouble",
            Self::Decided => "decided",
            Self::Held => "every worker holds",
            Self::Left => "the old active is left, gates begin",
            Self::Activated => "every worker sends to the new active",
            Self::FirstAnswer => "first good answer of the new active",
            Self::CalledOff => "called off",
            Self::Returned => "taken back",
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Not known yet: the move is under way, or the process ended before it was over.
    UnderWay,
    /// The traffic moved; no good answer of the new active has been seen.
    Moved,
    /// The new active has given a good answer.
    Verified,
    /// The traffic moved, and moved back because it did not work out.
    Returned,
    /// The traffic stayed.
    CalledOff,
}

/// How many gates one record keeps.
const MOST_GATES: usize = 32;

/// A gate of the move that has ended.
#[derive(Clone, Debug)]
pub(crate) struct GateRecord {
    pub(crate) gate: &'static str,
    pub(crate) backend: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) outcome: &'static str,
    /// How it ended, in words.
    pub(crate) words: Arc<str>,
    /// The beginning of what it wrote.
    pub(crate) output: Arc<str>,
    pub(crate) tries: u32,
    pub(crate) took: Duration,
    pub(crate) ended: Instant,
}

/// One move.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) id: u64,
    pub(crate) service: Arc<str>,
    pub(crate) reason: Reason,
    pub(crate) from: Option<Arc<str>>,
    pub(crate) to: Option<Arc<str>>,
    /// The number of the change; `None` while the traffic has not moved.
    pub(crate) epoch: Option<u64>,
    /// Who ordered it.
    pub(crate) by: Option<Operator>,
    pub(crate) outcome: Outcome,
    /// What led to it, in words, oldest first.
    pub(crate) evidence: Vec<String>,
    /// The same, with the time of each.
    pub(crate) signs: Vec<Sign>,
    gates: Vec<GateRecord>,
    at: SystemTime,
    steps: Vec<(Step, Instant)>,
    before: Counts,
    counts: Counts,
}

impl Incident {
    /// A move that is decided at `decided`, `at` by the clock on the wall, after what the service had
    /// counted `before` the first sign of trouble.
    pub(crate) fn new(
        id: u64,
        service: Arc<str>,
        reason: Reason,
        sign: Option<Instant>,
        decided: Instant,
        at: SystemTime,
        before: Counts,
    ) -> Self {
        let sign = sign.map(|sign| (Step::FirstSign, sign.min(decided)));
        let steps = sign.into_iter().chain([(Step::Decided, decided)]).collect();
        Self {
            id,
            service,
            reason,
            from: None,
            to: None,
            epoch: None,
            by: None,
            outcome: Outcome::UnderWay,
            evidence: Vec::new(),
            signs: Vec::new(),
            gates: Vec::new(),
            at,
            steps,
            before,
            counts: Counts::default(),
        }
    }

    /// Whether the move is still under way.
    pub(crate) fn is_open(&self) -> bool {
        self.outcome == Outcome::UnderWay
    }

    /// Notes a step; only the first of its kind counts. Returns whether it was.
    pub(crate) fn mark(&mut self, step: Step, at: Instant) -> bool {
        let first = self.when(step).is_none();
        if first {
            self.steps.push((step, at));
        }
        first
    }

    /// Notes a gate that has ended; of very many, the latest are kept.
    pub(crate) fn gate(&mut self, gate: GateRecord) {
        if self.gates.len() == MOST_GATES {
            self.gates.remove(0);
        }
        self.gates.push(gate);
    }

    pub(crate) fn when(&self, step: Step) -> Option<Instant> {
        self.steps.iter().find(|(known, _)| *known == step).map(|(_, at)| *at)
    }

    /// Takes what the service has counted by now.
    pub(crate) fn count(&mut self, now: Counts) {
        self.counts = now.since(self.before);
    }

    /// From one step to another, if both have been.
    pub(crate) fn took(&self, from: Step, to: Step) -> Option<Duration> {
        Some(self.when(to)?.saturating_duration_since(self.when(from)?))
    }

    /// How long requests were without an active that answers: from the first sign, or without one from
    /// the decision, to the first good answer.
    pub(crate) fn recovery(&self) -> Option<Duration> {
        self.took(Step::FirstSign, Step::FirstAnswer)
            .or_else(|| self.took(Step::Decided, Step::FirstAnswer))
    }

    /// The incident as it is kept and shown.
    pub(crate) fn to_json(&self) -> Value {
        let began = self.steps.first().map(|(_, at)| *at);
        // One worker may have an answer before another has acknowledged.
        let mut steps = self.steps.clone();
        steps.sort_by_key(|(_, at)| *at);
        let timeline = steps.iter().map(|(step, at)| Line {
            after_ms: began.map_or(0.0, |began| millis(at.saturating_duration_since(began))),
            step: step.name(),
            what: step.words(),
        });
        let total = self.took(Step::FirstSign, Step::Activated);
        let record = Record {
            id: self.id,
            service: &self.service,
            reason: self.reason,
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            epoch: self.epoch,
            at_seconds: self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            evidence: &self.evidence,
            signs: self.signs.iter().map(|sign| SignLine::of(sign, began)).collect(),
            timeline: timeline.collect(),
            gates: self.gates.iter().map(|gate| GateLine::of(gate, began)).collect(),
            took: Took {
                detect_ms: self.took(Step::FirstSign, Step::Decided).map(millis),
                switch_ms: self.took(Step::Decided, Step::Activated).map(millis),
                total_ms: total.map(millis),
                first_answer_ms: self.recovery().map(millis),
            },
            counts: self.counts,
            by: self.by.as_ref(),
            outcome: self.outcome,
            text: self.words(),
        };
        // Strings, numbers and options only: there is nothing that JSON cannot express.
        serde_json::to_value(record).unwrap_or_default()
    }

    /// The whole story in one sentence.
    pub(crate) fn words(&self) -> String {
        let name = |backend: &Option<Arc<str>>| backend.clone().unwrap_or_else(|| "nobody".into());
        let mut words =
            format!("{}: {} -> {}", reason_word(self.reason), name(&self.from), name(&self.to));
        match self.outcome {
            Outcome::UnderWay => words += ", under way",
            Outcome::Moved => words += ", moved",
            Outcome::Verified => words += ", answered",
            Outcome::Returned => words += ", taken back",
            Outcome::CalledOff => words += ", called off",
        }
        if let Some(recovery) = self.recovery() {
            words += &format!(" after {} ms", recovery.as_millis());
        }
        let Counts { held, replayed, failed, rejected, .. } = self.counts;
        words + &format!("; {held} held, {replayed} replayed, {failed} failed, {rejected} rejected")
    }
}

#[derive(Serialize)]
struct Record<'a> {
    id: u64,
    service: &'a str,
    #[serde(serialize_with = "write_reason")]
    reason: Reason,
    from: Option<&'a str>,
    to: Option<&'a str>,
    epoch: Option<u64>,
    at_seconds: f64,
    evidence: &'a [String],
    signs: Vec<SignLine<'a>>,
    timeline: Vec<Line>,
    gates: Vec<GateLine<'a>>,
    took: Took,
    counts: Counts,
    by: Option<&'a Operator>,
    outcome: Outcome,
    text: String,
}

#[derive(Serialize)]
struct Line {
    after_ms: f64,
    step: &'static str,
    what: &'static str,
}

/// A sign of trouble, with when it was seen after the first step; before it where that was another.
#[derive(Serialize)]
struct SignLine<'a> {
    after_ms: f64,
    /// How long the probe took that ended then; null: live traffic has seen it.
    took_ms: Option<f64>,
    what: &'a str,
}

impl<'a> SignLine<'a> {
    fn of(sign: &'a Sign, began: Option<Instant>) -> Self {
        let began = began.unwrap_or(sign.at);
        let after = millis(sign.at.saturating_duration_since(began));
        let before = millis(began.saturating_duration_since(sign.at));
        Self { after_ms: after - before, took_ms: sign.took.map(millis), what: &sign.what }
    }
}

/// A gate, with when it ended after the first step.
#[derive(Serialize)]
struct GateLine<'a> {
    gate: &'static str,
    backend: &'a str,
    epoch: u64,
    outcome: &'static str,
    words: &'a str,
    output: &'a str,
    tries: u32,
    took_ms: f64,
    ended_after_ms: f64,
}

impl<'a> GateLine<'a> {
    fn of(record: &'a GateRecord, began: Option<Instant>) -> Self {
        let GateRecord { gate, backend, epoch, outcome, words, output, tries, took, ended } =
            record;
        let after = began.map_or(Duration::ZERO, |began| ended.saturating_duration_since(began));
        Self {
            gate,
            backend,
            epoch: *epoch,
            outcome,
            words,
            output,
            tries: *tries,
            took_ms: millis(*took),
            ended_after_ms: millis(after),
        }
    }
}

/// Durations of the phases, in milliseconds; those that were not gone through are null.
#[derive(Serialize)]
struct Took {
    /// From the first sign to the decision.
    detect_ms: Option<f64>,
    /// From the decision to the last worker's acknowledgement.
    switch_ms: Option<f64>,
    /// From the first sign to the last worker's acknowledgement.
    total_ms: Option<f64>,
    /// From the first sign, or the order, to the first good answer.
    first_answer_ms: Option<f64>,
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_tells_its_story_with_the_time_of_each_phase() {
        let sign = Instant::now();
        let at = |ms| sign + Duration::from_millis(ms);
        let before = Counts { held: 10, replayed: 5, ..Counts::default() };
        let wall = UNIX_EPOCH + Duration::from_secs(1_000);
        let mut incident =
            Incident::new(7, "web".into(), Reason::Failover, Some(sign), at(200), wall, before);
        incident.from = Some("a".into());
        incident.to = Some("b".into());
        incident.epoch = Some(42);
        incident.evidence = vec!["a probe failed".to_owned()];
        let probe = Some(Duration::from_millis(20));
        incident.signs = vec![
            Sign { at: sign, took: None, what: "live traffic".to_owned() },
            Sign { at: at(150), took: probe, what: "a probe failed".to_owned() },
        ];
        assert!(incident.mark(Step::Held, at(201)));
        assert!(incident.mark(Step::Activated, at(203)));
        assert!(incident.mark(Step::FirstAnswer, at(210)));
        assert!(!incident.mark(Step::FirstAnswer, at(900)), "the first counts");
        incident.outcome = Outcome::Verified;
        incident.count(Counts { held: 30, replayed: 6, failed: 1, ..Counts::default() });
        let json = incident.to_json();
        assert_eq!(json["took"]["detect_ms"], 200.0);
        assert_eq!(json["took"]["switch_ms"], 3.0);
        assert_eq!(json["took"]["total_ms"], 203.0);
        assert_eq!(json["took"]["first_answer_ms"], 210.0);
        assert_eq!(json["counts"]["held"], 20);
        assert_eq!(json["timeline"][2]["after_ms"], 201.0);
        assert_eq!(json["timeline"][2]["what"], "every worker holds");
        assert_eq!(json["timeline"][2]["step"], "held");
        let sign = |n: usize| (&json["signs"][n]["after_ms"], &json["signs"][n]["took_ms"]);
        assert_eq!(sign(0), (&0.0.into(), &Value::Null));
        assert_eq!(sign(1), (&150.0.into(), &20.0.into()));
        assert_eq!(json["signs"][1]["what"], "a probe failed");
        assert_eq!(json["at_seconds"], 1_000.0);
        assert_eq!(json["outcome"], "verified");
        assert_eq!(
            json["text"],
            "failover: a -> b, answered after 210 ms; 20 held, 1 replayed, 1 failed, 0 rejected"
        );
    }

    #[test]
    fn an_ordered_move_is_measured_from_the_decision() {
        let decided = Instant::now();
        let wall = UNIX_EPOCH;
        let counts = Counts::default();
        let mut incident =
            Incident::new(1, "web".into(), Reason::Switchover, None, decided, wall, counts);
        incident.mark(Step::FirstAnswer, decided + Duration::from_millis(4));
        let json = incident.to_json();
        assert_eq!(json["took"]["detect_ms"], Value::Null);
        assert_eq!(json["took"]["first_answer_ms"], 4.0);
        assert_eq!(json["outcome"], "under_way");
    }
}
