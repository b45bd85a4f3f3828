// The page: hears what happens, keeps what is known, shows the view that the address names.

import { signIn } from "./actions.js";
import { get, part, read, Stream, token } from "./api.js";
import { Config } from "./config.js";
import { coded, el, memo, setAttr, setText, tick } from "./dom.js";
import { History } from "./history.js";
import { Story } from "./incident.js";
import { judge } from "./judge.js";
import { Services } from "./services.js";
import { clock, duration } from "./words.js";

const at = (id) => document.getElementById(id);
// How many switches are read.
const RECORDS = 500;
// The pulses of an open service are read at most so often.
const ROUNDS_EVERY = 1_000;
// What is announced at once, so that a storm of events does not talk without end.
const SAID_AT_ONCE = 3;
// What there is beside the page: where, and its name.
const BESIDE = [["metrics", "/metrics"], ["status", "/status"], ["api/v1/openapi.json", "API"]];
// Events that change what the records say.
const RECORDED = new Set(["active_changed", "called_off", "verified", "streams_settled", "gate_ended"]);

class App {
  status = null;
  incidents = null;
  incidentsProblem = null;
  rounds = new Map();
  may = { write: false, how: null };
  // The dialog that is open, of an order.
  order = null;
  connection = "connecting";
  asked = new Map();
  saying = [];

  constructor() {
    this.main = at("main");
    at("theme").addEventListener("click", () => this.turn());
    at("who").addEventListener("click", () => signIn(this));
    addEventListener("hashchange", () => this.go());
    document.addEventListener("visibilitychange", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.nameTheme());
    setInterval(() => this.beat(), 1000);
    this.nameTheme();
    this.go({ first: true });
    this.stream = new Stream({
      status: (status) => this.hearStatus(status),
      event: (event) => this.hearEvent(event),
      connection: (state, problem) => this.hearConnection(state, problem),
    });
  }

  // === What is heard ===

  hearStatus(status) {
    this.status = status;
    this.heard = Date.now();
    this.draw();
  }

  hearEvent(event) {
    if (RECORDED.has(event.kind)) this.readRecords();
    if (event.kind === "reloaded" && this.view instanceof Config) this.view.load();
    const service = event.service ? `${event.service}: ` : "";
    if (["active_changed", "locked", "dual_active", "gate_in_doubt", "cut_off", "reload_failed"].includes(event.kind)) {
      const text = event.kind === "active_changed" ? `${event.to ?? "nobody"} has the traffic now` : event.text;
      this.announce(text.startsWith(service) ? text : service + text);
    }
  }

  hearConnection(state, problem) {
    const before = this.connection;
    this.connection = state;
    if (state === "live" || state === "asking") {
      if (before !== state) {
        this.askWho();
        this.readRecords();
        if (before === "lost") this.announce("connected again");
      }
    }
    if (state === "unauthorised") {
      this.status = null;
      this.incidents = null;
      this.may = { write: false, how: null };
      this.refusal = problem.message;
      this.shown = null;
      if (before !== state || token.get()) signIn(this, { needed: token.get() ? problem.message : "" });
    }
    if (state === "lost" && before === "live") this.announce("connection lost");
    this.beat();
    this.draw();
  }

  async askWho() {
    try {
      const who = await get("/whoami");
      this.who = who;
      this.may = { write: who.access === "write", how: who.how_to_write && `${who.how_to_write[0].toUpperCase()}${who.how_to_write.slice(1)}.` };
    } catch {
      // The stream says what is wrong.
    }
    this.draw();
  }

  // Not more often than once a second, and once more when something happened meanwhile.
  readRecords() {
    this.often("records", ROUNDS_EVERY, async () => {
      try {
        this.incidents = (await get(`/incidents?limit=${RECORDS}`)).incidents;
        this.incidentsProblem = null;
      } catch (problem) {
        this.incidentsProblem = problem.message;
      }
      if (this.view instanceof Story) this.view.load();
      this.draw();
    });
  }

  // The pulses of a service that is open, when any of its probes has ended since.
  wantRounds(service) {
    const known = service.backends.map((backend) => (backend.last_probe ? Math.round((this.heard / 1000 - backend.last_probe.ago_seconds) * 20) : 0)).join();
    const state = this.asked.get(`rounds of ${service.name}`);
    if (state?.known === known) return;
    this.often(`rounds of ${service.name}`, ROUNDS_EVERY, async () => {
      try {
        const { backends } = await get(`/services/${part(service.name)}/probes`);
        this.rounds.set(service.name, new Map(backends.map((backend) => [backend.name, backend.rounds])));
        this.draw();
      } catch {
        // A reload may just have removed it; the status will say.
      }
    }).known = known;
  }

  often(name, pause, does) {
    const state = this.asked.get(name) ?? { busy: false, again: false };
    this.asked.set(name, state);
    if (state.busy) {
      state.again = true;
      return state;
    }
    state.busy = true;
    does().finally(() => setTimeout(() => {
      state.busy = false;
      if (state.again) {
        state.again = false;
        this.often(name, pause, does);
      }
    }, pause));
    return state;
  }

  // === What is shown ===

  go({ first = false } = {}) {
    const [, name, id] = location.hash.split("/");
    this.history = null;
    if (name === "history") this.view = new History(this, { short: false });
    else if (name === "incident") this.view = new Story(this, encodeURIComponent(id ?? ""));
    else if (name === "config") this.view = new Config(this);
    else {
      this.services ??= new Services(this);
      this.view = this.services;
      this.history = new History(this, { short: true });
    }
    const shown = name === "incident" ? "history" : name || "services";
    for (const link of document.querySelectorAll("nav a")) setAttr(link, "aria-current", link.dataset.view === shown ? "page" : null);
    this.shown = null;
    this.render();
    if (!first) {
      this.main.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }

  // As soon as the browser draws, and then once for all that was heard until then.
  draw() {
    if (this.drawing || document.hidden) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.render();
    });
  }

  render() {
    const wanted = this.status ? "view" : this.connection;
    if (this.shown !== wanted) {
      this.shown = wanted;
      this.main.replaceChildren(...(this.status ? [this.view.node, this.history?.node].filter(Boolean) : [this.instead()]));
    }
    const who = this.who && this.status ? (this.who.by_token ? `${this.who.who} (${this.who.access})` : this.may.write ? this.who.who : "Read only") : "Sign in";
    setText(at("who"), who);
    setAttr(at("who"), "title", this.may.how);
    this.renderBeside();
    if (!this.status) return;
    this.view.update(this.status, this.incidents);
    this.history?.update(this.status, this.incidents);
    this.order?.update();
    const calls = this.status.services.filter((service) => judge(service).level !== "ok").length;
    setText(document.querySelector("title"), calls ? `▲ ${calls} of ${this.status.services.length} – Understudy` : "● Understudy");
  }

  // A browser sends no token with a link: where one is needed, the page fetches what the link leads to.
  renderBeside() {
    const isNeeded = this.signedIn() || this.connection === "unauthorised";
    memo(at("beside"), isNeeded ? "shown here" : "linked", () => BESIDE.map(([where, name]) => (isNeeded
      ? el("button", { type: "button", class: "link", on: { click: () => this.showBeside(where, name) } }, name)
      : el("a", { href: where }, name))));
  }

  async showBeside(where, name) {
    if (this.connection === "unauthorised") return signIn(this);
    const text = el("pre", { class: "yaml", tabindex: 0, role: "region", "aria-labelledby": "beside-title" }, "reading …");
    const dialog = el("dialog", { class: "beside", "aria-labelledby": "beside-title", on: { close: () => dialog.remove() } },
      el("h2", { id: "beside-title" }, name), text,
      el("div", { class: "buttons" }, el("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Close")));
    document.body.append(dialog);
    dialog.showModal();
    try {
      setText(text, await read(where));
    } catch (problem) {
      setText(text, `${problem.title}: ${problem.message}`);
    }
  }

  // What stands where the services would be.
  instead() {
    if (this.connection === "unauthorised") {
      return el("section", { class: "instead" }, el("h2", {}, "A token is needed"),
        el("p", {}, coded(this.signedIn() ? this.refusal : "Sign in with a token that the config knows; `understudy token` makes one.")),
        el("button", { type: "button", class: "confirm", on: { click: () => signIn(this) } }, "Sign in"));
    }
    if (this.connection === "lost") {
      return el("section", { class: "instead" }, el("h2", {}, "The balancer does not answer"),
        el("p", {}, "This page tries again and again. If you came by a tunnel, is it still open?"));
    }
    return el("section", { class: "instead", "aria-busy": "true" }, el("h2", { class: "unseen" }, "Loading"),
      el("div", { class: "bone wide" }), el("div", { class: "bone" }), el("div", { class: "bone" }));
  }

  beat() {
    tick();
    const { connection, stream } = this;
    const seen = stream?.seen;
    const words = { connecting: "connecting …", live: "live", asking: "live, every 2 s", lost: "connection lost", unauthorised: "signed out" };
    setText(at("connection"), words[connection]);
    setAttr(at("connection"), "data-state", connection);
    const lost = at("lost");
    const is = connection === "lost" && this.status;
    setAttr(lost, "hidden", !is);
    document.body.classList.toggle("stale", Boolean(is));
    // The alert is said once; the seconds behind it only count.
    if (is) memo(lost, String(seen), () => [el("strong", {}, "Connection lost"), ` – what you see is how it stood at ${clock(seen)}, `, el("span", { class: "num", "aria-hidden": "true" }), ". Trying again …"]);
    else memo(lost, "", () => []);
    if (is) setText(lost.querySelector("span"), `last seen ${duration((Date.now() - seen) / 1000)} ago`);
    if (this.history || this.view instanceof History) this.draw();
  }

  // Says something to whoever cannot see it change.
  announce(text) {
    this.saying = [...this.saying, text].slice(-SAID_AT_ONCE);
    const box = at("announcer");
    box.replaceChildren(...this.saying.map((each) => el("p", {}, each)));
  }

  // === Who, and how it looks ===

  signedIn() {
    return Boolean(token.get());
  }

  signedInWith(secret) {
    token.set(secret);
    this.connection = "connecting";
    this.stream.restart();
  }

  signOut() {
    token.set(null);
    // Nothing of what one person saw is left for the next, nor is any answer under way.
    location.reload();
  }

  isDark() {
    const { theme } = document.documentElement.dataset;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  turn() {
    const next = this.isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Until the page is closed.
    }
    this.nameTheme();
  }

  nameTheme() {
    setText(at("theme"), this.isDark() ? "Light" : "Dark");
    setAttr(at("theme"), "aria-label", `Switch to ${this.isDark() ? "light" : "dark"} colours`);
  }
}

new App();
