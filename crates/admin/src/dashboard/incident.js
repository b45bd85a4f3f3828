// One move of the traffic as a story: what led to it, what was done, what it meant.

import { get } from "./api.js";
import { figure, glyph, phases } from "./charts.js";
import { el, memo } from "./dom.js";
import { millis, outcome, plural, reason } from "./words.js";

const LEVEL = { verified: "ok", moved: "warn", under_way: "warn", returned: "warn", called_off: "warn" };

export class Story {
  constructor(app, id) {
    this.app = app;
    this.id = id;
    this.node = el("section", { class: "story", "aria-labelledby": "story-title" }, el("p", { class: "hint" }, "reading the record …"));
    this.load();
  }

  // Asked again when something happens: the end of a story comes last.
  async load() {
    try {
      const incident = await get(`/incidents/${this.id}`);
      memo(this.node, incident, () => story(incident));
    } catch (problem) {
      memo(this.node, problem.message, () => [
        el("p", {}, el("a", { href: "#/history" }, "← Switches")), el("h2", { id: "story-title" }, `Switch ${this.id}`),
        el("p", { class: "notice bad", role: "alert" }, glyph("bad", 14), problem.message),
      ]);
    }
  }

  update() {}
}

function story(incident) {
  const at = incident.at_seconds * 1000;
  const level = incident.to === null ? "bad" : LEVEL[incident.outcome] ?? "warn";
  return [
    el("p", { class: "back" }, el("a", { href: "#/history" }, "← Switches")),
    el("h2", { id: "story-title" }, el("span", { class: "of" }, incident.service), ` ${incident.from ?? "nobody"} → ${incident.to ?? "nobody"}`),
    el("p", { class: "lead" }, glyph(level, 18), el("span", {}, lead(incident))),
    el("p", { class: "hint" }, el("time", { datetime: new Date(at).toISOString() }, new Date(at).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "medium" })),
      incident.epoch === null ? "" : ` · epoch ${incident.epoch}`, ` · ${outcome(incident.outcome)}`),
    incident.by ? el("p", { class: "by" }, "Ordered by ", el("strong", {}, incident.by.who), ` (${incident.by.from})`, incident.by.why ? [": ", el("q", {}, incident.by.why)] : "") : null,
    el("div", { class: "chapters" },
      el("section", { "aria-labelledby": "story-evidence" }, el("h3", { id: "story-evidence" }, "What led to it"),
        incident.evidence.length ? el("ol", { class: "evidence" }, incident.evidence.map((line) => el("li", {}, evidence(line))))
          : el("p", { class: "hint" }, incident.by ? "Nothing but the order." : "Nothing but the rules.")),
      el("section", { "aria-labelledby": "story-counts" }, el("h3", { id: "story-counts" }, "What it meant for requests"), meant(incident.counts)),
      el("section", { class: "whole", "aria-labelledby": "story-phases" }, el("h3", { id: "story-phases" }, "What was done"), done(incident)),
      incident.gates.length ? el("section", { class: "whole", "aria-labelledby": "story-gates" }, el("h3", { id: "story-gates" }, "Gates"), gates(incident.gates)) : null),
  ];
}

function lead(incident) {
  const { took, counts } = incident;
  const why = reason({ reason: incident.reason });
  const words = [`${why[0].toUpperCase()}${why.slice(1)}.`];
  if (took.detect_ms !== null && took.switch_ms !== null) {
    words.push(`It was noticed in ${millis(took.detect_ms)} and switched in ${millis(took.switch_ms)}`
      + (took.first_answer_ms === null ? "." : `; clients had good answers again ${millis(took.first_answer_ms)} after the first sign.`));
  } else if (took.first_answer_ms !== null) {
    words.push(`The first good answer came ${millis(took.first_answer_ms)} after the decision.`);
  }
  const lost = counts.failed + counts.rejected;
  words.push(lost ? `${plural(lost, "request")} failed or ${lost === 1 ? "was" : "were"} turned away.` : "No request failed.");
  return words.join(" ");
}

// The time in front of what was seen stands apart.
function evidence(line) {
  const found = /^(\d+) ms before the decision: (.*)$/s.exec(line);
  return found ? [el("span", { class: "num before" }, `−${millis(Number(found[1]))}`), el("span", {}, found[2])] : el("span", {}, line);
}

function meant(counts) {
  const streams = counts.streams_left ? [figure(counts.streams_left, "streams left behind"), figure(counts.streams_closed, "of them closed")] : [];
  return el("dl", { class: "figures" },
    figure(counts.held, "held"), figure(counts.replayed, "replayed"),
    figure(counts.failed, "failed", counts.failed ? "bad" : ""), figure(counts.rejected, "turned away", counts.rejected ? "bad" : ""),
    streams, counts.cut ? figure(counts.cut, "cut", "bad") : null);
}

function done(incident) {
  const { timeline } = incident;
  const ends = [...timeline.map((step) => step.after_ms), ...incident.gates.map((gate) => gate.ended_after_ms)];
  const total = Math.max(...ends, 0.001);
  const rows = timeline.slice(1).map((step, index) => ({
    name: `${timeline[index].what} → ${step.what}`, begun: timeline[index].after_ms, ended: step.after_ms, kind: index === 0 && timeline[0].what.startsWith("first sign") ? "detect" : "move",
  }));
  const ran = incident.gates.map((gate) => ({
    name: `gate ${gate.gate} of ${gate.backend}: ${gate.outcome}`, begun: Math.max(0, gate.ended_after_ms - gate.took_ms), ended: gate.ended_after_ms, kind: gate.outcome === "done" ? "gate" : "gate bad",
  }));
  const all = [...rows, ...ran].sort((a, b) => a.begun - b.begun || a.ended - b.ended);
  if (all.length === 0) return el("p", { class: "hint" }, timeline.map((step) => step.what).join("; ") || "Nothing is recorded.");
  return [phases(all, total), el("p", { class: "hint" }, `${millis(total)} in all, from ${timeline[0]?.what ?? "the beginning"}.`)];
}

function gates(records) {
  return el("ul", { class: "gates" }, records.map((gate) => el("li", {},
    el("p", { class: `say ${gate.outcome === "done" ? "ok" : "bad"}` }, glyph(gate.outcome === "done" ? "ok" : "bad", 13),
      el("span", {}, el("strong", {}, gate.gate), ` of ${gate.backend}: ${gate.outcome} after ${millis(gate.took_ms)}, ${plural(gate.tries, "try", "tries")}; ${gate.words}`)),
    gate.output ? el("pre", { tabindex: 0 }, gate.output) : null)));
}

