// The config in force: every key with the value that holds, and where that is not what the file says.

import { get } from "./api.js";
import { glyph } from "./charts.js";
import { coded, el, memo, setText } from "./dom.js";

export class Config {
  constructor(app) {
    this.app = app;
    this.config = null;
    this.find = el("input", { id: "find", type: "search", placeholder: "hold_down", autocomplete: "off", spellcheck: "false", on: { input: () => this.draw() } });
    this.found = el("span", { class: "hint", role: "status" });
    this.drift = el("div", { class: "drift" });
    this.text = el("div", { class: "yaml-box" }, el("p", { class: "hint" }, "reading the config …"));
    this.node = el("section", { class: "config", "aria-labelledby": "config-title" },
      el("h2", { id: "config-title" }, "Config in force"), this.drift,
      el("div", { class: "bar-of-tools" }, el("label", { for: "find" }, "Find", this.find), this.found), this.text);
    this.load();
  }

  async load() {
    try {
      this.config = await get("/config");
      this.draw();
    } catch (problem) {
      memo(this.text, problem.message, () => el("p", { class: "notice bad", role: "alert" }, glyph("bad", 14), problem.message));
    }
  }

  update(status) {
    this.status = status;
    this.draw();
  }

  draw() {
    const changed = (this.status?.services ?? []).flatMap((service) => service.drift.map((drift) => ({ service: service.name, ...drift })));
    const process = this.status?.process.drift ?? [];
    memo(this.drift, [process, changed.map((drift) => [drift.service, drift.what, drift.now]), this.config?.file], () => drifted(process, changed, this.config));
    if (!this.config) return;
    const wanted = this.find.value.trim().toLowerCase();
    const isNew = memo(this.text, [this.config.yaml, wanted], () => {
      const lines = this.config.yaml.trimEnd().split("\n");
      const hits = wanted ? lines.filter((line) => line.toLowerCase().includes(wanted)).length : 0;
      setText(this.found, wanted ? `${hits} ${hits === 1 ? "line" : "lines"}` : "");
      return el("pre", { class: "yaml", tabindex: 0, "aria-label": "The config in force, as YAML" }, lines.map((line) => yaml(line, wanted)));
    });
    // Once for each search: whoever scrolls on stays there.
    if (isNew && wanted) this.text.querySelector(".hit")?.scrollIntoView({ block: "nearest" });
  }
}

function yaml(line, wanted) {
  const [, space, key, rest] = /^(\s*(?:- )?)((?:"(?:[^"\\]|\\.)*"|[\w.-]+):)?(.*)$/s.exec(line);
  const hit = wanted && line.toLowerCase().includes(wanted);
  return el("span", { class: hit ? "line hit" : "line" }, space, key ? el("b", {}, key) : "", rest, "\n");
}

function drifted(process, changed, config) {
  const file = config ? (config.file ? [el("code", {}, config.file), ", with every default filled in. "] : "From the command line, with every default filled in. ") : "";
  const lines = [el("p", { class: "hint" }, file, "What is or may be secret is not shown.")];
  for (const text of process) lines.push(el("p", { class: "notice warn" }, glyph("warn", 14), el("span", {}, coded(text))));
  if (changed.length) {
    const row = (drift) => el("tr", {}, el("td", {}, drift.service), el("td", {}, drift.what), el("td", {}, drift.file), el("td", {}, el("strong", {}, drift.now)),
      el("td", {}, `${drift.by.who}, ${new Date(drift.since).toLocaleString("en-GB")}${drift.by.why ? `: ${drift.by.why}` : ""}`));
    const head = ["Service", "What", "The file says", "Holds now", "By whom, when and why"].map((name) => el("th", { scope: "col" }, name));
    lines.push(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Changed by operators" },
      el("table", {}, el("caption", {}, "Changed by operators at run time"), el("thead", {}, el("tr", {}, head)), el("tbody", {}, changed.map(row)))));
  }
  if (config && process.length === 0 && changed.length === 0) lines.push(el("p", { class: "notice ok" }, glyph("ok", 14), "What runs is what the file says."));
  return lines;
}
