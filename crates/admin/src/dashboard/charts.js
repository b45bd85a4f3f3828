// Pictures: the pulse of a backend, who was active when, how long each phase took.

import { el, svg } from "./dom.js";
import { SHAPES } from "./judge.js";
import { clock, count, duration, millis, plural, reason } from "./words.js";

// A state as a shape and a colour; the word for it stands beside it.
export function glyph(level, size = 16) {
  return svg("svg", { class: `glyph ${level}`, viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true" },
    svg("path", { d: SHAPES[level] ?? SHAPES.unknown }));
}

const STEP = 5;
const KEPT = 60;
const [LINE_TOP, LINE_BOTTOM, STRIP] = [3, 30, 40];

// The latest rounds of probes: how long each took as a line, what it came to as a strip below. A dot
// passed, a bar failed, a hollow diamond told nothing.
export function pulse(rounds) {
  const from = KEPT - rounds.length;
  const x = (index) => (from + index) * STEP + STEP / 2;
  const passed = rounds.filter((round) => round.verdict === "pass");
  const most = Math.max(1, ...passed.map((round) => round.took_ms)) * 1.1;
  const y = (took) => LINE_BOTTOM - (Math.min(took, most) / most) * (LINE_BOTTOM - LINE_TOP);
  const strokes = [];
  let stroke = [];
  rounds.forEach((round, index) => {
    if (round.verdict === "pass") {
      stroke.push(`${x(index).toFixed(1)},${y(round.took_ms).toFixed(1)}`);
    } else if (stroke.length) {
      strokes.push(stroke);
      stroke = [];
    }
  });
  if (stroke.length) strokes.push(stroke);
  const lines = strokes.map((points) => points.length > 1
    ? svg("polyline", { class: "latency", points: points.join(" ") })
    : svg("circle", { class: "latency dot", cx: points[0].split(",")[0], cy: points[0].split(",")[1], r: 1.3 }));
  const marks = rounds.map((round, index) => {
    const at = x(index);
    if (round.verdict === "pass") return svg("circle", { class: "pass", cx: at, cy: STRIP, r: 1.5 });
    if (round.verdict === "fail") return svg("rect", { class: "fail", x: at - 1.7, y: STRIP - 6, width: 3.4, height: 12, rx: 1 });
    return svg("path", { class: "told-nothing", d: `M${at} ${STRIP - 3}l2.4 3-2.4 3-2.4-3Z` });
  });
  const words = saidOf(rounds);
  return svg("svg", { class: "pulse", viewBox: `0 0 ${KEPT * STEP} 48`, role: "img", "aria-label": words },
    svg("title", {}, words),
    svg("line", { class: "base", x1: 0, x2: KEPT * STEP, y1: LINE_BOTTOM + 1.5, y2: LINE_BOTTOM + 1.5 }),
    lines, marks);
}

function saidOf(rounds) {
  if (rounds.length === 0) return "No round of probes has ended yet";
  const of = (verdict) => rounds.filter((round) => round.verdict === verdict).length;
  const said = [`${of("pass")} passed`];
  if (of("fail")) said.push(`${of("fail")} failed`);
  if (of("inconclusive")) said.push(`${of("inconclusive")} told nothing`);
  return `Last ${plural(rounds.length, "round")} of probes: ${said.join(", ")}; the latest took ${millis(rounds.at(-1).took_ms)}`;
}

// Who was active when: parts from what is known of the moves and of now. `null` is nobody.
export function parts(service, incidents, from, now) {
  const moves = incidents
    .filter((incident) => incident.outcome !== "called_off")
    .sort((a, b) => a.at_seconds - b.at_seconds);
  const primary = service.backends[0]?.name;
  const cut = [];
  let [begun, active] = [moves.length ? from : Math.max(from, now - service.since_seconds * 1000), moves.length ? moves[0].from : service.active];
  // Before the first move that had nobody before it there was no process, as far as is known.
  for (const move of moves) {
    const at = move.at_seconds * 1000;
    if (!(active === null && move === moves[0])) cut.push({ active, begun, ended: at });
    [begun, active] = [at, move.to];
  }
  cut.push({ active: service.active, begun, ended: now });
  return cut
    .filter((part) => part.ended > from)
    .map((part) => ({ ...part, begun: Math.max(part.begun, from), kind: part.active === null ? "nobody" : part.active === primary ? "primary" : "standby" }));
}

const LANE = 22;

// One lane of the timeline, `width` pixels wide.
export function lane(service, incidents, { from, now, width }) {
  const x = (at) => Math.max(0, Math.min(width, ((at - from) / (now - from)) * width));
  const pieces = parts(service, incidents, from, now);
  const bars = pieces.map((part) => {
    const length = Math.max(1.5, x(part.ended) - x(part.begun));
    const props = { x: x(part.begun).toFixed(1), y: 5, width: length.toFixed(1), height: LANE - 10 };
    const words = `${part.active ?? "nobody"}, ${clock(part.begun)} to ${clock(part.ended)} (${duration((part.ended - part.begun) / 1000)})`;
    const label = length > 70 && part.active
      ? svg("text", { class: `bar-label ${part.kind}`, x: x(part.begun) + (part.begun > from ? 11 : 6), y: 14.5 }, clip(part.active, (length - 17) / 7))
      : null;
    return [svg("rect", { class: `bar ${part.kind}`, ...props, rx: 2 }, svg("title", {}, words)),
      part.kind === "standby" ? svg("rect", { class: "hatch", ...props, rx: 2, fill: "url(#hatch)" }) : null, label];
  });
  const marks = incidents
    .filter((incident) => incident.at_seconds * 1000 > from && incident.reason !== "startup")
    .map((incident) => {
      const at = x(incident.at_seconds * 1000).toFixed(1);
      const words = `${clock(incident.at_seconds * 1000)}: ${incident.from ?? "nobody"} to ${incident.to ?? "nobody"}, ${reason(incident)}`;
      return svg("a", { href: `#/incident/${incident.id}`, "aria-label": words, class: "mark" },
        svg("title", {}, words),
        svg("circle", { class: "reach", cx: at, cy: LANE / 2, r: 12 }),
        svg("path", { class: `flag ${incident.outcome}`, d: `M${at} ${LANE / 2 - 6.5}l6.5 6.5-6.5 6.5-6.5-6.5Z` }));
    });
  return svg("svg", { class: "lane", width, height: LANE, viewBox: `0 0 ${width} ${LANE}`, role: "group", "aria-label": said(service, pieces) },
    svg("defs", {}, svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("rect", { class: "hatch-line", width: 2, height: 6 }))),
    svg("rect", { class: "rail", y: 5, width, height: LANE - 10, rx: 2 }), bars, marks);
}

function clip(text, letters) {
  return text.length <= letters ? text : `${text.slice(0, Math.max(1, Math.floor(letters) - 1))}…`;
}

function said(service, pieces) {
  const total = pieces.reduce((sum, part) => sum + part.ended - part.begun, 0) || 1;
  const share = (kind) => pieces.filter((part) => part.kind === kind).reduce((sum, part) => sum + part.ended - part.begun, 0) / total;
  const words = [`${Math.round(share("primary") * 100)} % on the primary`];
  if (share("standby") > 0) words.push(`${Math.round(share("standby") * 100)} % on a standby`);
  if (share("nobody") > 0) words.push("some time with nobody active");
  return `${service.name}: ${words.join(", ")}`;
}

// The hours below the lanes.
export function axis({ from, now, width }) {
  const span = now - from;
  const steps = [60e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 14400e3, 21600e3];
  const step = steps.find((each) => (each / span) * width >= 62) ?? steps.at(-1);
  const offset = new Date(now).getTimezoneOffset() * 60e3;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at < now; at += step) {
    const x = ((at - from) / span) * width;
    // A label that would be cut is none.
    if (x < 18 || x > width - 18) continue;
    ticks.push(svg("line", { x1: x, x2: x, y1: 0, y2: 4 }),
      svg("text", { x, y: 16, "text-anchor": "middle" }, new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })));
  }
  return svg("svg", { class: "axis", width, height: 20, viewBox: `0 0 ${width} 20`, "aria-hidden": "true" }, ticks);
}

// Phases of a move, each as a bar from when it began to when it ended, in milliseconds.
export function phases(rows, total) {
  const scale = (ms) => `${((ms / Math.max(total, 0.001)) * 100).toFixed(2)}`;
  return el("ol", { class: "phases" }, rows.map((row) => el("li", { class: row.kind },
    el("span", { class: "phase" }, row.name),
    svg("svg", { class: "track", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "rail", width: 100, height: 8 }),
      svg("rect", { class: `run ${row.kind}`, x: scale(row.begun), width: Math.max(0.6, scale(row.ended - row.begun)), height: 8 })),
    el("span", { class: "num took" }, millis(row.ended - row.begun)))));
}

// A number that matters, with what it counts.
export function figure(number, words, level = "") {
  return el("div", { class: `figure ${level}` }, el("dt", {}, words), el("dd", { class: "num" }, count(number)));
}
