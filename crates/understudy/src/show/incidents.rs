//! Moves of the traffic, for people: a list, and one in full. Pure.

use admin::wire::{GateRecord, Incident, IncidentSummary};
use jiff::tz::TimeZone;

use super::{Cell, Colour, Tone, millis, moment, printable, table};

/// One a line, the newest first.
pub(crate) fn list(incidents: &[IncidentSummary], colour: Colour, zone: &TimeZone) -> String {
    let rows: Vec<Vec<Cell>> = incidents
        .iter()
        .map(|incident| {
            let took =
                incident.first_answer_ms.or(incident.total_ms).map(millis).unwrap_or_default();
            vec![
                Cell::new(Tone::Strong, incident.id.to_string()),
                Cell::new(Tone::Faint, moment(incident.at_seconds, zone)),
                Cell::new(Tone::Plain, &*incident.service),
                Cell::new(Tone::Plain, &*incident.reason),
                Cell::new(Tone::Plain, way(incident.from.as_deref(), incident.to.as_deref())),
                Cell::new(tone(&incident.outcome), printable(&incident.outcome)),
                Cell::new(Tone::Plain, took),
            ]
        })
        .collect();
    table(&rows, "", colour)
}

/// Everything about one.
pub(crate) fn full(incident: &Incident, colour: Colour, zone: &TimeZone) -> String {
    let title = format!("incident {}: {}", incident.id, printable(&incident.text));
    let mut text = format!("{}\n", colour.paint(Tone::Strong, &title));
    let mut line = |name: &str, words: String| text += &format!("  {name:<9} {words}\n");
    line("when", moment(incident.at_seconds, zone));
    line("service", incident.service.clone());
    let way = way(incident.from.as_deref(), incident.to.as_deref());
    line("move", format!("{way} ({})", incident.reason));
    line("outcome", colour.paint(tone(&incident.outcome), &printable(&incident.outcome)));
    if let Some(by) = &incident.by {
        let (who, from, why) = (printable(&by.who), printable(&by.from), printable(&by.why));
        line("by", format!("{who}, {from}"));
        if !why.is_empty() {
            line("reason", why);
        }
    }
    line("took", times(incident));
    line("requests", counts(incident));
    for (index, evidence) in incident.evidence.iter().enumerate() {
        line(if index == 0 { "evidence" } else { "" }, printable(evidence));
    }
    for (index, gate) in incident.gates.iter().enumerate() {
        line(if index == 0 { "gates" } else { "" }, gate_words(gate));
        for output in gate.output.lines().take(MOST_OUTPUT) {
            line("", format!("  | {}", printable(output)));
        }
    }
    let steps = incident.timeline.iter();
    let steps: Vec<(String, String)> =
        steps.map(|step| (format!("+{}", millis(step.after_ms)), printable(&step.what))).collect();
    let width = steps.iter().map(|(after, _)| after.len()).max().unwrap_or_default();
    for (index, (after, what)) in steps.iter().enumerate() {
        line(if index == 0 { "steps" } else { "" }, format!("{after:>width$}  {what}"));
    }
    text
}

/// How many lines of what a gate wrote are shown; the rest is in the JSON.
const MOST_OUTPUT: usize = 10;

/// A gate in a line.
fn gate_words(gate: &GateRecord) -> String {
    let tries = if gate.tries > 1 { format!(", {} tries", gate.tries) } else { String::new() };
    let (name, backend, outcome) = (&gate.gate, &gate.backend, &gate.outcome);
    let (took, words) = (millis(gate.took_ms), printable(&gate.words));
    format!("{name} of {backend}: {outcome} after {took}{tries}: {words}")
}

/// How long each part of it took.
pub(crate) fn times(incident: &Incident) -> String {
    let took = &incident.took;
    let mut parts = Vec::new();
    if let Some(ms) = took.detect_ms {
        parts.push(format!("{} to detect", millis(ms)));
    }
    if let Some(ms) = took.switch_ms {
        parts.push(format!("{} to switch", millis(ms)));
    }
    if let Some(ms) = took.first_answer_ms {
        parts.push(format!("first good answer after {}", millis(ms)));
    } else if let Some(ms) = took.total_ms {
        parts.push(format!("{} in all", millis(ms)));
    }
    if parts.is_empty() { "not known".to_owned() } else { parts.join(", ") }
}

/// What became of requests and streams; only what there was.
pub(crate) fn counts(incident: &Incident) -> String {
    let counts = &incident.counts;
    let all = [
        (counts.held, "held"),
        (counts.replayed, "replayed"),
        (counts.failed, "failed"),
        (counts.rejected, "rejected"),
        (counts.streams_left, "streams left behind"),
        (counts.streams_closed, "streams closed"),
        (counts.cut, "cut"),
    ];
    let some: Vec<String> = all
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if some.is_empty() { "none affected".to_owned() } else { some.join(", ") }
}

fn way(from: Option<&str>, to: Option<&str>) -> String {
    format!("{} -> {}", from.unwrap_or("nobody"), to.unwrap_or("nobody"))
}

fn tone(outcome: &str) -> Tone {
    match outcome {
        "moved" | "verified" => Tone::Good,
        // Also what a newer server says.
        _ => Tone::Odd,
    }
}

#[cfg(test)]
mod tests;
