// The backends of an open service: health, role, pulse, and what speaks against each.

import { showActions } from "./actions.js";
import { glyph, pulse } from "./charts.js";
import { coded, el, memo, setAttr, setSince, setText, since } from "./dom.js";
import { count, duration, millis, plural } from "./words.js";

const HEALTH = { up: "ok", down: "bad", unknown: "unknown" };

export function makeBackend(backend) {
  const parts = {
    node: el("li", { class: "backend", "data-backend": backend.name }),
    head: el("div", { class: "backend-head" }),
    url: el("p", { class: "url" }, backend.url),
    pulse: el("div", { class: "pulse-box" }),
    latest: el("p", { class: "latest" }),
    facts: el("dl", { class: "facts" }),
    why: el("div", { class: "why" }),
    actions: el("div", { class: "actions" }),
  };
  parts.inFlight = el("dd", { class: "num" });
  parts.eligible = el("dd", {}, "–");
  parts.facts.append(
    el("div", {}, el("dt", {}, "In flight"), parts.inFlight),
    el("div", {}, el("dt", {}, "Eligible"), parts.eligible));
  parts.more = el("dl", { class: "facts" });
  parts.node.append(parts.head, parts.url, parts.pulse, parts.latest, parts.facts, parts.more, parts.why, parts.actions);
  return parts;
}

export function updateBackend(app, parts, { backend, index, rounds, actions }) {
  setAttr(parts.node, "data-active", backend.active);
  memo(parts.head, [backend.name, backend.health, backend.active, backend.admin, index, backend.barred], () => head(backend, index));
  setText(parts.url, backend.url);
  if (rounds) memo(parts.pulse, [rounds.length, rounds.at(-1)?.number, rounds[0]?.number], () => pulse(rounds));
  setText(parts.latest, latest(backend));
  setText(parts.inFlight, count(backend.in_flight));
  const eligible = backend.eligible_for_seconds;
  if (memo(parts.eligible, [eligible !== null], () => (eligible === null ? "no" : since(Date.now() - eligible * 1000, (s) => `for ${duration(s)}`)))) {
    // Just made.
  } else if (eligible !== null) {
    setSince(parts.eligible.firstChild, Date.now() - eligible * 1000);
  }
  memo(parts.more, [backend.role, backend.standing, backend.wish, backend.clock_ahead_seconds && Math.round(backend.clock_ahead_seconds)], () => more(backend));
  memo(parts.why, [backend.readiness, backend.undecided, backend.active, backend.last_probe?.outcome, backend.last_probe?.checks.map((check) => check.outcome)], () => why(backend));
  showActions(app, parts.actions, actions);
}

function head(backend, index) {
  const place = index === 0 ? "primary" : "standby";
  return [
    el("h4", {}, backend.name),
    backend.active ? el("span", { class: "tag active" }, "has the traffic") : null,
    el("span", { class: "tag" }, place),
    backend.admin === "ready" ? null : el("span", { class: "tag admin" }, backend.admin),
    backend.barred ? el("span", { class: "tag admin" }, "barred") : null,
    el("span", { class: `health ${HEALTH[backend.health]}` }, glyph(HEALTH[backend.health], 13), backend.health),
  ];
}

function latest(backend) {
  const probe = backend.last_probe;
  if (!probe) return "no probe has ended yet";
  return `${probe.outcome === "pass" ? "passed" : probe.outcome}, ${millis(probe.took_ms)}`;
}

function more(backend) {
  const facts = [];
  if (backend.role) facts.push(["Claims", backend.role]);
  if (backend.standing) facts.push(["In the application", backend.standing]);
  if (backend.wish && backend.wish !== "serve") facts.push(["Asks for", backend.wish]);
  if (Math.abs(backend.clock_ahead_seconds ?? 0) >= 2) {
    const ahead = Math.round(backend.clock_ahead_seconds);
    facts.push(["Its clock", `${plural(Math.abs(ahead), "second")} ${ahead > 0 ? "ahead" : "behind"}`]);
  }
  return facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

function why(backend) {
  const lines = [];
  const checks = backend.last_probe?.checks ?? [];
  if (checks.length > 1) {
    lines.push(el("ul", { class: "checks" }, checks.map((check) => el("li", {},
      glyph(check.outcome === "pass" ? "ok" : check.outcome.startsWith("inconclusive") ? "unknown" : "bad", 11),
      `${check.name} (${check.level}): ${check.outcome}`))));
  }
  if (backend.undecided) lines.push(el("p", { class: "say warn" }, glyph("warn", 13), `no verdict for long: ${backend.undecided}`));
  if (backend.readiness) {
    const { ready, reasons, notes } = backend.readiness;
    lines.push(ready
      ? el("p", { class: "say ok" }, glyph("ok", 13), "a failover to it would work now")
      : el("div", { class: "say warn" }, glyph("warn", 13), el("div", {}, "a failover to it would not work now:",
        el("ul", {}, reasons.map((reason) => el("li", {}, coded(reason)))))));
    if (notes.length) lines.push(el("ul", { class: "notes" }, notes.map((note) => el("li", {}, coded(note)))));
  }
  return lines;
}
