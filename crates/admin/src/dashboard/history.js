// The switches of the last hours: a lane per service, and each switch in a list.

import { axis, glyph, lane } from "./charts.js";
import { el, memo, setAttr, setText } from "./dom.js";
import { clock, count, millis, outcome, plural, reason } from "./words.js";

const SPANS = [["15 min", 900e3], ["1 h", 3600e3], ["6 h", 6 * 3600e3], ["24 h", 24 * 3600e3], ["7 d", 7 * 24 * 3600e3]];
// Lanes at most; the services that moved last come first.
const LANES = 24;
const LISTED = 50;

// As much as anything is known of, 6 h at most.
function fitting(now, incidents) {
  const oldest = Math.min(now, ...(incidents ?? []).map((incident) => incident.at_seconds * 1000));
  return SPANS.slice(0, 3).map(([, span]) => span).find((span) => now - oldest < span) ?? SPANS[2][1];
}

export class History {
  // `short`: as part of the first page.
  constructor(app, { short }) {
    this.app = app;
    this.short = short;
    this.span = null;
    this.width = 0;
    this.buttons = SPANS.map(([name, span]) => el("button", { type: "button", "aria-pressed": "false", on: { click: () => this.choose(span) } }, name));
    this.lanes = el("div", { class: "lanes" });
    this.legend = el("p", { class: "legend" },
      el("span", {}, el("i", { class: "key primary" }), "primary"), el("span", {}, el("i", { class: "key standby" }), "a standby"),
      el("span", {}, el("i", { class: "key nobody" }), "nobody"), el("span", {}, el("i", { class: "key flag" }), "a switch"));
    this.quiet = el("p", { class: "hint" });
    this.list = el("div", { class: "incidents" });
    const title = short ? "history-short" : "history-title";
    this.node = el("section", { class: "history", "aria-labelledby": title },
      el("div", { class: "bar-of-tools" }, el("h2", { id: title }, "Switches"),
        el("div", { class: "spans", role: "group", "aria-label": "Time shown" }, this.buttons)),
      this.lanes, this.quiet, this.legend, this.list);
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      this.draw();
    }).observe(this.lanes);
  }

  choose(span) {
    this.chosen = true;
    this.look(span);
    this.draw();
  }

  look(span) {
    if (this.span === span) return;
    this.span = span;
    SPANS.forEach(([, each], index) => setAttr(this.buttons[index], "aria-pressed", String(each === span)));
  }

  update(status, incidents) {
    this.status = status;
    this.incidents = incidents;
    this.draw();
  }

  draw() {
    if (!this.status) return;
    const now = Date.now();
    if (!this.chosen) this.look(fitting(now, this.incidents));
    const from = now - this.span;
    const label = this.width < 560 ? 0 : 168;
    const width = Math.max(200, Math.floor(this.width - label));
    const moves = new Map();
    for (const incident of this.incidents ?? []) {
      if (!moves.has(incident.service)) moves.set(incident.service, []);
      moves.get(incident.service).push(incident);
    }
    const moved = (service) => (moves.get(service.name) ?? []).some((incident) => incident.at_seconds * 1000 > from && incident.reason !== "startup");
    const { services } = this.status;
    const movers = services.filter(moved);
    // With few services also those that stayed are worth a lane.
    const shown = (services.length <= 8 ? services : movers).slice(0, LANES);
    const rest = services.length - shown.length;
    const look = { from, now, width };
    const second = Math.floor(now / (this.span / 2000));
    memo(this.lanes, [second, width, shown.map((service) => [service.name, service.epoch, service.active]), this.incidents?.length, this.incidents?.[0]?.outcome, this.span], () => [
      shown.map((service) => el("div", { class: "lane-row" }, el("span", { class: "lane-name", title: service.name }, service.name), lane(service, moves.get(service.name) ?? [], look))),
      shown.length ? el("div", { class: "lane-row" }, el("span", { class: "lane-name" }), axis(look)) : null,
    ]);
    setAttr(this.legend, "hidden", shown.length === 0);
    setText(this.quiet, rest > 0 ? `${plural(rest, shown.length ? "other service" : "service")} did not move in this time.` : "");
    this.drawList(from);
  }

  drawList(from) {
    // That a process began is no switch; among all records it is told.
    const found = (this.incidents ?? []).filter((incident) => incident.at_seconds * 1000 > from && !(this.short && incident.reason === "startup"));
    const shown = found.slice(0, this.short ? 6 : LISTED);
    memo(this.list, [this.app.incidentsProblem, this.incidents === null, shown.map((incident) => [incident.id, incident.outcome, incident.first_answer_ms ?? incident.total_ms]), found.length], () => {
      if (this.app.incidentsProblem) return el("p", { class: "notice bad" }, glyph("bad", 14), `The records cannot be read: ${this.app.incidentsProblem}`);
      if (this.incidents === null) return el("p", { class: "hint" }, "reading the records …");
      if (found.length === 0) return el("p", { class: "notice" }, "No switch in this time.");
      return [
        el("ol", { class: "incident-list" }, shown.map((incident) => this.item(incident))),
        found.length > shown.length ? el("p", { class: "hint" }, this.short ? el("a", { href: "#/history" }, `All ${count(found.length)} in this time`) : `The latest ${shown.length} of ${count(found.length)} in this time.`) : null,
      ];
    });
  }

  item(incident) {
    const at = incident.at_seconds * 1000;
    const took = incident.first_answer_ms ?? incident.total_ms;
    return el("li", {}, el("a", { href: `#/incident/${incident.id}`, class: "incident-item", "data-incident": incident.id },
      el("time", { class: "num", datetime: new Date(at).toISOString() }, clock(at)),
      el("span", { class: "move" }, el("strong", {}, incident.service), ` ${incident.from ?? "nobody"} → ${incident.to ?? "nobody"}`),
      el("span", { class: "because" }, reason(incident)),
      el("span", { class: "num took" }, took === null ? outcome(incident.outcome) : `${outcome(incident.outcome)}, ${millis(took)}`)));
  }
}
