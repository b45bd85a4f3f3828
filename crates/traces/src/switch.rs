//! The spans of one switch, from the record of its incident: a trace of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::ids::{self, Which};
use crate::span::{Event, Kind, Place, Span};

/// An incident as control keeps it; what has no place in spans is left out.
#[derive(Debug, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: u64,
    pub(crate) service: String,
    reason: String,
    from: Option<String>,
    to: Option<String>,
    pub(crate) epoch: Option<u64>,
    /// When it was decided, by the clock on the wall.
    at_seconds: f64,
    #[serde(default)]
    signs: Vec<Sign>,
    #[serde(default)]
    timeline: Vec<Step>,
    #[serde(default)]
    gates: Vec<Gate>,
    #[serde(default)]
    counts: Counts,
    outcome: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Sign {
    after_ms: f64,
    took_ms: Option<f64>,
    what: String,
}

#[derive(Debug, Deserialize)]
struct Step {
    after_ms: f64,
    /// Records of earlier versions have none.
    #[serde(default)]
    step: String,
}

#[derive(Debug, Deserialize)]
struct Gate {
    gate: String,
    backend: String,
    epoch: u64,
    outcome: String,
    words: String,
    tries: u32,
    took_ms: f64,
    ended_after_ms: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    held: u64,
    replayed: u64,
    failed: u64,
    rejected: u64,
}

/// A phase: its name, and the steps that it may begin with, the latest first, and ends with.
const PHASES: &[(&str, &[&str], &[&str])] = &[
    ("detect", &["first_sign"], &["decided"]),
    ("hold", &["decided"], &["held"]),
    ("gates", &["left"], &["activated", "returned"]),
    ("activate", &["held", "decided"], &["left", "activated"]),
    ("answer", &["activated"], &["first_answer"]),
];

impl Incident {
    /// Reads what control keeps. `None`: it is kept in a form that is not understood.
    pub(crate) fn of(kept: Json) -> Option<Self> {
        serde_json::from_value(kept).ok()
    }

    /// Whether it is not known yet who has the traffic in the end.
    pub(crate) fn is_under_way(&self) -> bool {
        self.outcome == "under_way"
    }

    /// Whether nothing more will happen to it but counting.
    pub(crate) fn is_settled(&self) -> bool {
        let last = ["first_answer", "called_off", "returned"];
        last.iter().any(|step| self.after(step).is_some())
    }

    /// When a step was, after the first; the first of its kind.
    fn after(&self, step: &str) -> Option<f64> {
        self.timeline.iter().find(|line| line.step == step).map(|line| line.after_ms)
    }

    /// When the first step was, by the clock on the wall.
    fn began(&self) -> SystemTime {
        let decided = UNIX_EPOCH + Duration::try_from_secs_f64(self.at_seconds).unwrap_or_default();
        moved(decided, -self.after("decided").unwrap_or_default())
    }

    /// Where its whole is.
    fn place(&self, host: &str) -> Place {
        let which = self.epoch.map_or(Which::Incident(self.id), Which::Epoch);
        ids::switch(host, &self.service, which)
    }

    /// All its spans, the whole first. `host` is where we are.
    pub(crate) fn spans(&self, host: &str) -> Vec<Span> {
        let place = self.place(host);
        let mut parts =
            Parts { trace: place.trace, whole: place.span, began: self.began(), spans: Vec::new() };
        for (name, from, to) in PHASES {
            let first = |steps: &[&str]| steps.iter().find_map(|step| self.after(step));
            let Some((from, to)) = first(from).zip(first(to)) else { continue };
            // One worker may have an answer before another has acknowledged.
            let from = from.min(to);
            parts.add(name, Kind::Internal, from, to, None);
        }
        self.gates(&mut parts);
        self.probes(&mut parts);
        let Parts { mut spans, began, .. } = parts;
        let ends = spans.iter().map(|span| span.ended);
        let last = self.timeline.iter().map(|step| moved(began, step.after_ms));
        let ended = ends.chain(last).max().unwrap_or(began);
        let first = spans.iter().map(|span| span.began).chain([began]).min().unwrap_or(began);
        let took = ended.duration_since(first).unwrap_or_default();
        let mut whole = Span::new(place, "switch", Kind::Internal, first, took);
        self.describe(&mut whole, began);
        for span in &mut spans {
            span.say("understudy.service", &*self.service);
        }
        spans.insert(0, whole);
        spans
    }

    fn describe(&self, whole: &mut Span, began: SystemTime) {
        whole.say("understudy.service", &*self.service);
        whole.say("understudy.reason", &*self.reason);
        for (key, name) in [("understudy.from", &self.from), ("understudy.to", &self.to)] {
            if let Some(name) = name {
                whole.say(key, &**name);
            }
        }
        if let Some(epoch) = self.epoch {
            whole.say("understudy.epoch", epoch);
        }
        whole.say("understudy.incident", self.id);
        whole.say("understudy.outcome", &*self.outcome);
        whole.say("understudy.requests.held", self.counts.held);
        whole.say("understudy.requests.replayed", self.counts.replayed);
        whole.say("understudy.requests.failed", self.counts.failed);
        whole.say("understudy.requests.rejected", self.counts.rejected);
        for sign in self.signs.iter().filter(|sign| sign.took_ms.is_none()) {
            whole.events.push(Event {
                at: moved(began, sign.after_ms),
                name: "suspicion",
                attributes: vec![("understudy.words", (&*sign.what).into())],
            });
        }
        if ["called_off", "returned"].contains(&&*self.outcome) {
            whole.say("error.type", &*self.outcome);
            whole.error = Some(self.text.clone());
        }
    }

    fn gates(&self, parts: &mut Parts) {
        for gate in &self.gates {
            let from = gate.ended_after_ms - gate.took_ms;
            let name = format!("gate {}", gate.gate);
            let within = parts.spans.iter().rposition(|span| span.name == "gates");
            let index = parts.add(&name, Kind::Internal, from, gate.ended_after_ms, within);
            let span = &mut parts.spans[index];
            span.say("understudy.backend", &*gate.backend);
            span.say("understudy.epoch", gate.epoch);
            span.say("understudy.outcome", &*gate.outcome);
            span.say("understudy.tries", u64::from(gate.tries));
            if gate.outcome != "done" {
                span.say("error.type", &*gate.outcome);
                span.error = Some(gate.words.clone());
            }
        }
    }

    /// The probes that failed.
    fn probes(&self, parts: &mut Parts) {
        for sign in &self.signs {
            let Some(took) = sign.took_ms else { continue };
            let from = sign.after_ms - took;
            let index = parts.add("probe", Kind::Client, from, sign.after_ms, None);
            let span = &mut parts.spans[index];
            if let Some(backend) = &self.from {
                span.say("understudy.backend", &**backend);
            }
            span.say("error.type", "fail");
            span.error = Some(sign.what.clone());
        }
    }
}

/// The parts of one switch as they are put together.
struct Parts {
    trace: [u8; 16],
    whole: [u8; 8],
    /// When the first step was.
    began: SystemTime,
    spans: Vec<Span>,
}

impl Parts {
    /// Adds a part; times are milliseconds after the first step. It belongs to the one at `within`, or
    /// to the whole. Says at which index it is.
    fn add(&mut self, name: &str, kind: Kind, from: f64, to: f64, within: Option<usize>) -> usize {
        let number = self.spans.len() as u64 + 1;
        let place = Place { trace: self.trace, span: ids::part(&self.trace, number) };
        let took = Duration::try_from_secs_f64((to - from) / 1e3).unwrap_or_default();
        let mut span = Span::new(place, name, kind, moved(self.began, from), took);
        span.parent = Some(within.map_or(self.whole, |index| self.spans[index].place.span));
        self.spans.push(span);
        self.spans.len() - 1
    }
}

fn moved(at: SystemTime, ms: f64) -> SystemTime {
    let by = Duration::try_from_secs_f64(ms.abs() / 1e3).unwrap_or_default();
    if ms < 0.0 { at - by } else { at + by }
}

#[cfg(test)]
mod tests;
