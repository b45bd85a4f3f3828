// The list of services: one row each, those that need attention first; a row opens to everything there
// is to know of it.

import { actionsOf, backendActionsOf, showActions } from "./actions.js";
import { makeBackend, updateBackend } from "./backends.js";
import { glyph } from "./charts.js";
import { coded, el, keyed, memo, setAttr, setSince, setText, since } from "./dom.js";
import { failback, headline, judge, WORDS } from "./judge.js";
import { count, duration, left, period, plural } from "./words.js";

// So many services or fewer are open from the start.
const FEW = 3;
const MANY = 20;

export class Services {
  constructor(app) {
    this.app = app;
    this.open = new Map();
    this.rounds = new Map();
    this.summary = el("div", { class: "summary", role: "group", "aria-label": "Summary" });
    this.process = el("div", { class: "process" });
    this.filter = el("input", {
      type: "search", id: "filter", placeholder: "name of a service or backend", autocomplete: "off", spellcheck: "false",
      on: { input: () => this.app.draw() },
    });
    this.only = el("input", { type: "checkbox", id: "only", on: { change: () => this.app.draw() } });
    this.tools = el("div", { class: "tools" },
      el("label", { for: "filter" }, "Filter", this.filter),
      el("label", { class: "check", for: "only" }, this.only, "only what needs attention"));
    this.list = el("div", { class: "services" });
    this.empty = el("p", { class: "notice", hidden: true });
    this.node = el("section", { "aria-labelledby": "services-title" },
      this.summary, this.process,
      el("div", { class: "bar-of-tools" }, el("h2", { id: "services-title" }, "Services"), this.tools),
      this.list, this.empty);
  }

  update(status) {
    const judged = status.services.map((service, index) => ({ service, index, judgement: judge(service) }));
    memo(this.summary, judged.map(({ judgement }) => [judgement.level, judgement.found[0]?.text, judgement.chance.possible]), () => summary(judged));
    memo(this.process, [status.process.drift, status.process.state_problem, status.process.predecessor, status.process.cut_off_for_seconds !== null], () => notices(status.process));
    setAttr(this.tools, "hidden", status.services.length <= FEW);
    const wanted = this.filter.value.trim().toLowerCase();
    const has = (name) => name.toLowerCase().includes(wanted);
    const found = judged.filter(({ service, judgement }) =>
      (!wanted || has(service.name) || service.backends.some((backend) => has(backend.name)))
      && (!this.only.checked || judgement.level !== "ok"));
    found.sort((a, b) => a.judgement.rank - b.judgement.rank || a.index - b.index);
    const few = status.services.length <= FEW;
    this.list.classList.toggle("many", status.services.length > MANY);
    keyed(this.list, found, ({ service }) => service.name, ({ service }) => this.row(service.name, few), (row, item) => this.fill(row, item));
    const none = status.services.length === 0 ? "There are no services in the config." : "No service fits.";
    setAttr(this.empty, "hidden", found.length > 0);
    setText(this.empty, found.length ? "" : none);
  }

  row(name, few) {
    const id = `service-${hash(name)}`;
    const parts = {
      glyph: el("span", { class: "glyph-box" }),
      word: el("span", { class: "unseen" }),
      active: el("strong", { class: "active-name", "data-role": "active" }),
      headline: el("span", { class: "headline" }),
      since: since(Date.now(), (s) => duration(s)),
      chance: el("span", { class: "chance" }),
      load: el("span", { class: "load num" }),
      chips: el("span", { class: "chips" }),
      panel: el("div", { class: "panel", id, hidden: true }),
    };
    parts.toggle = el("button", { type: "button", class: "toggle", "aria-controls": id, "aria-expanded": "false", on: { click: () => this.toggle(name) } },
      parts.glyph, el("span", { class: "service-name" }, name), parts.word);
    parts.node = el("article", { class: "service", "data-service": name },
      el("div", { class: "row" },
        el("h3", {}, parts.toggle),
        el("p", { class: "who" }, parts.active, " ", parts.headline, el("span", { class: "for" }, " for ", parts.since)),
        parts.chips, parts.chance, parts.load),
      parts.panel);
    // The whole row opens it; by keyboard and for a screen reader the name does.
    parts.node.firstChild.addEventListener("click", (event) => {
      if (!event.target.closest("button, a")) this.toggle(name);
    });
    if (!this.open.has(name)) this.open.set(name, few);
    return parts;
  }

  toggle(name) {
    this.open.set(name, !this.open.get(name));
    this.app.draw();
  }

  fill(parts, { service, judgement }) {
    setAttr(parts.node, "data-level", judgement.level);
    memo(parts.glyph, judgement.level, () => glyph(judgement.level));
    setText(parts.word, `: ${WORDS[judgement.level]}`);
    setText(parts.active, service.active ?? "nobody");
    setText(parts.headline, service.active || service.switching ? headline(service) : "is active");
    setSince(parts.since, Date.now() - service.since_seconds * 1000);
    memo(parts.chance, [judgement.chance.possible, judgement.chance.text], () => [
      el("span", { class: "caption" }, "Failover now "), el("span", { class: judgement.chance.possible === false ? "warn-text" : "" }, judgement.chance.text)]);
    const { in_flight, held } = service.load;
    memo(parts.load, [in_flight, held], () => [`${count(in_flight)} in flight`, held > 0 ? el("span", { class: "warn-text" }, `, ${count(held)} held`) : null]);
    memo(parts.chips, service.backends.map((backend) => [backend.name, backend.health, backend.active, backend.admin]), () => chips(service.backends));
    const open = this.open.get(service.name);
    setAttr(parts.toggle, "aria-expanded", String(open));
    setAttr(parts.panel, "hidden", !open);
    if (open) this.fillPanel(parts, service, judgement);
  }

  fillPanel(parts, service, judgement) {
    if (!parts.inside) {
      parts.inside = {
        says: el("div", { class: "says" }),
        facts: el("dl", { class: "facts wide" }),
        backends: el("ul", { class: "backends", "aria-label": `Backends of ${service.name}` }),
        more: el("div", { class: "more-of-service" }),
        actions: el("div", { class: "actions of-service", role: "group", "aria-label": `Orders to ${service.name}` }),
        how: el("p", { class: "how" }),
      };
      const { says, facts, backends, more, actions, how } = parts.inside;
      parts.panel.append(says, facts, backends, more, actions, how);
    }
    const inside = parts.inside;
    const due = service.failback?.due_in_seconds;
    memo(inside.says, [judgement.found, judgement.chance], () => says(judgement));
    memo(inside.facts, [
      service.failback?.to, due === null || due === undefined ? service.failback?.waits_for : Math.ceil(due),
      service.load, service.epoch, service.pinned, service.locked, service.flaps, judgement.chance,
      service.hold_down_seconds, service.gates, service.drill && Math.ceil(service.drill.ends_in_seconds),
      service.scheduled?.at, service.verifying_for_seconds && Math.ceil(service.verifying_for_seconds),
    ], () => facts(service, judgement));
    this.app.wantRounds(service);
    const rounds = this.app.rounds.get(service.name);
    const items = service.backends.map((backend, index) => ({
      backend, index, rounds: rounds?.get(backend.name), actions: backendActionsOf(this.app, service, backend),
    }));
    keyed(inside.backends, items, ({ backend }) => backend.name, ({ backend }) => makeBackend(backend), (parts, item) => updateBackend(this.app, parts, item));
    memo(inside.more, [service.gate, service.jobs?.map((job) => [job.name, job.outcome, job.failures, job.running_to, job.began, job.due]), service.drift.map((drift) => [drift.what, drift.now])], () => more(service));
    const actions = actionsOf(this.app, service);
    showActions(this.app, inside.actions, actions);
    const { how } = this.app.may;
    setAttr(inside.how, "hidden", !how);
    memo(inside.how, how ?? "", () => (how ? ["Orders are for those who may write. ", coded(how)] : null));
  }
}

function chips(backends) {
  const shown = backends.slice(0, 8);
  return [shown.map((backend) => {
    const level = backend.health === "up" ? (backend.admin === "ready" ? "ok" : "warn") : backend.health === "down" ? "bad" : "unknown";
    const state = backend.admin === "ready" ? backend.health : `${backend.health}, ${backend.admin}`;
    return el("span", { class: `chip${backend.active ? " active" : ""}`, title: `${backend.name}: ${state}${backend.active ? ", has the traffic" : ""}` },
      glyph(level, 10), el("span", {}, backend.name), el("span", { class: "unseen" }, ` ${state};`));
  }), backends.length > shown.length ? el("span", { class: "chip" }, `+${backends.length - shown.length}`) : null];
}

function summary(judged) {
  const of = (level) => judged.filter(({ judgement }) => judgement.level === level).length;
  const [bad, warn, ok] = [of("bad"), of("warn"), of("ok")];
  const level = bad ? "bad" : warn ? "warn" : "ok";
  const all = judged.length;
  const alone = all === 1 && judged[0].judgement.chance.possible === null;
  let text = all === 1 ? `The service is on its primary, ${alone ? "and has no standby" : "and could fail over"}.` : `All ${count(all)} services are on their primaries.`;
  if (all === 0) text = "There are no services.";
  if (all === 1 && level !== "ok") text = sentence(judged[0].judgement.found[0].text);
  else if (bad) text = `${plural(bad, "service needs", "services need")} you now.`;
  else if (warn) text = `${plural(warn, "service")} of ${count(all)} ${warn === 1 ? "wants" : "want"} a look; clients are served.`;
  const counts = all > 1 && (bad || warn) ? el("p", { class: "tally" },
    bad ? el("span", {}, glyph("bad", 12), `${count(bad)} to act on`) : null,
    warn ? el("span", {}, glyph("warn", 12), `${count(warn)} to look at`) : null,
    el("span", {}, glyph("ok", 12), `${count(ok)} fine`)) : null;
  return el("div", { class: `verdict ${level}` }, glyph(level, 30), el("div", {}, el("p", { class: "big" }, text), counts));
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}

function notices(process) {
  const lines = [];
  if (process.cut_off_for_seconds !== null && process.cut_off_for_seconds !== undefined) {
    lines.push(["bad", "We are cut off: none of the witnesses answers. Nothing is decided until one does."]);
  }
  if (process.state_problem) lines.push(["bad", `Decisions are not kept: ${process.state_problem}`]);
  for (const drift of process.drift) lines.push(["warn", drift]);
  if (process.predecessor) lines.push(["ok", "The process that ran before still finishes its requests."]);
  return lines.map(([level, text]) => el("p", { class: `notice ${level}` }, glyph(level, 14), el("span", {}, coded(text))));
}

function says(judgement) {
  if (judgement.found.length === 0) return null;
  return el("ul", {}, judgement.found.map(({ level, text }) => el("li", { class: level }, glyph(level, 13), el("span", {}, text))));
}

function facts(service, { chance }) {
  const { load } = service;
  const rows = [
    ["Failover now", chance.text],
    ["Failback", failback(service, service.failback?.due_in_seconds)],
    ["In flight", count(load.in_flight)],
    ["Held now", count(load.held)],
    ["Held since the start", count(load.held_total)],
    ["Replayed since the start", count(load.replayed_total)],
    ["Failed, rejected", `${count(load.failed_total)}, ${count(load.rejected_total)}`],
    ["Epoch", String(service.epoch)],
  ];
  if (service.hold_down_seconds !== null) {
    rows.push(["Hold-down", period(service.hold_down_seconds) + (service.flaps ? `, after ${plural(service.flaps, "flap")}` : "")]);
  }
  if (service.pinned) rows.push(["Pinned", `to ${service.active ?? "whoever is active"}`]);
  if (service.locked) rows.push(["Locked", "no automatic move"]);
  if (service.gates) rows.push(["Gates", service.gates.join(", ")]);
  if (service.verifying_for_seconds !== null) rows.push(["Watching the move", `for another ${left(service.verifying_for_seconds)}`]);
  if (service.drill) rows.push(["Drill", `${service.drill.tag ? `${service.drill.tag} to ` : ""}${service.drill.backend}, ends in ${left(service.drill.ends_in_seconds)}`]);
  if (service.scheduled) rows.push(["Scheduled", `to ${service.scheduled.to} at ${new Date(service.scheduled.at).toLocaleString("en-GB")}, by ${service.scheduled.by.who}`]);
  return rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { class: "num" }, coded(value))));
}

function more(service) {
  const blocks = [];
  if (service.gate) {
    const { gate, backend, epoch, in_doubt } = service.gate;
    blocks.push(el("p", { class: `say ${in_doubt ? "bad" : "warn"}` }, glyph(in_doubt ? "bad" : "warn", 13),
      in_doubt ? `Gate ${gate} of ${backend} (epoch ${epoch}): nobody knows how it ended. Nothing moves until “understudy gate” says so.` : `Gate ${gate} of ${backend} is running (epoch ${epoch}).`));
  }
  if (service.jobs?.length) {
    blocks.push(el("h4", {}, "Jobs"), el("ul", { class: "jobs" }, service.jobs.map((job) => {
      const level = job.failures > 0 ? "warn" : "ok";
      const state = job.running_for_seconds !== null ? `running${job.running_to ? ` for ${job.running_to}` : ""}` : job.outcome ? `last: ${job.outcome}${job.words ? `, ${job.words}` : ""}` : "has not run yet";
      return el("li", {}, glyph(level, 12), el("span", {}, el("strong", {}, job.name), ` ${job.schedule}; ${state}`));
    })));
  }
  if (service.drift.length) {
    blocks.push(el("h4", {}, "Changed by operators"), el("ul", { class: "jobs" }, service.drift.map((drift) => el("li", {},
      el("span", {}, `${drift.what}: ${drift.now}, the file says ${drift.file}; by ${drift.by.who}${drift.by.why ? `: ${drift.by.why}` : ""}`)))));
  }
  return blocks;
}

// A name may have any character; an id may not.
function hash(name) {
  return Array.from(new TextEncoder().encode(name), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

