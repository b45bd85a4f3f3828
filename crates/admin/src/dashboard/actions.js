// What an operator may order, each with a dialog: first what it would do, then why, then to confirm.
// What buttons and dialogs say follows the status: nobody confirms how it stood a while ago.

import { order, part } from "./api.js";
import { glyph } from "./charts.js";
import { coded, el, keyed, memo, setAttr, setText } from "./dom.js";
import { millis } from "./words.js";

// The longest reason that the API takes, in characters.
const REASON = 500;
const DRILL_SECONDS = 60;

// What may be ordered of a service as it stands; nothing for whoever may only read.
export function actionsOf(app, service) {
  if (!app.may.write) return [];
  const base = `/services/${part(service.name)}`;
  const others = service.backends.filter((backend) => !backend.active);
  const actions = [];
  const add = (name, does) => actions.push({ name, service: service.name, stands: howItStands(service), ...does });
  if (others.length) add("Switch over …", { path: `${base}/switchover`, choose: others.map((backend) => backend.name), dry: true, title: `Move ${service.name} to another backend` });
  if (!service.on_primary && service.active) add("Fail back …", { path: `${base}/failback`, dry: true, title: `Move ${service.name} back` });
  if (service.scheduled) add("Forget the scheduled move …", { method: "DELETE", path: `${base}/switchover`, says: [`The move to ${service.scheduled.to} that is to come is forgotten.`] });
  add(...(service.pinned
    ? ["Unpin …", { place: "pin", path: `${base}/unpin`, says: ["The pin ends: the rules may fail back again."] }]
    : ["Pin …", { place: "pin", path: `${base}/pin`, says: [`The traffic stays at ${service.active ?? "whoever becomes active"} while that is eligible: no failback until it is unpinned.`, "A failover still happens."] }]));
  add(...(service.locked || (service.dual_active && !service.dual_active.accepted)
    ? ["Unlock …", { place: "lock", path: `${base}/unlock`, says: ["Automatic moves are allowed again; what barred a backend is forgotten."] }]
    : ["Lock …", { place: "lock", path: `${base}/lock`, says: ["No automatic move until it is unlocked.", "Also no failover: if the active fails, requests are held and then rejected."], risky: true }]));
  if (service.drill) add("End the drill …", { place: "drill", method: "DELETE", path: `${base}/drill`, says: ["The drill ends now; the active counts as what its probes say."] });
  else if (service.active && others.length) {
    add("Drill …", { place: "drill", path: `${base}/drill`, length: true, risky: true, says: [`${service.active} is treated as failed, so the traffic fails over for real, and returns when the drill is over.`] });
  }
  return actions;
}

// What may be ordered of a backend.
export function backendActionsOf(app, service, backend) {
  if (!app.may.write) return [];
  const base = `/services/${part(service.name)}/backends/${part(backend.name)}`;
  const others = service.backends.filter((other) => !other.active && other.readiness?.ready);
  const leaves = backend.active
    ? [others.length ? `It has the traffic: that fails over to ${others[0].name}.` : "It has the traffic, and no standby is ready: requests will be held and then rejected."]
    : ["It has no traffic now, so nothing moves."];
  const make = (name, does) => ({ name, service: service.name, backend: backend.name, ...does });
  const actions = [];
  if (backend.admin !== "ready") actions.push(make("Ready …", { path: `${base}/ready`, says: [`${backend.name} may have the traffic again.`] }));
  if (backend.admin !== "drain") actions.push(make("Drain …", { path: `${base}/drain`, says: [`${backend.name} gets no new requests; running ones may finish.`, ...leaves], risky: backend.active }));
  if (backend.admin !== "maintenance") actions.push(make("Maintenance …", { path: `${base}/maintenance`, says: [`${backend.name} is out of use until it is set ready.`, ...leaves], risky: backend.active }));
  return actions;
}

// Has a button in `box` for each of these. One that stays keeps focus, and orders what holds then.
export function showActions(app, box, actions) {
  keyed(box, actions, ({ place, name }) => place ?? name, () => makeButton(app), (row, does) => {
    row.does = does;
    setText(row.node, does.name);
    setAttr(row.node, "class", does.risky ? "order risky" : "order");
    setAttr(row.node, "aria-label", titled(does));
  });
}

function makeButton(app) {
  const row = {};
  row.node = el("button", { type: "button", on: { click: () => new Order(app, row.does).open() } });
  return row;
}

function titled({ name, service, backend }) {
  return `${name.replace(" …", "")}: ${backend ? `${backend} of ${service}` : service}`;
}

// What the outcome of a dry run depends on: when this is another, it is asked for again.
function howItStands(service) {
  const { active, epoch, pinned, locked, switching, gate, drill, scheduled, dual_active, verifying_for_seconds } = service;
  const backends = service.backends.map((backend) => [backend.name, backend.health, backend.admin, backend.barred, backend.readiness?.ready]);
  return JSON.stringify([active, epoch, pinned, locked, switching?.to, gate?.gate, drill?.backend, scheduled?.to, dual_active?.accepted, verifying_for_seconds === null, backends]);
}

// The same order by the latest status; nothing if it cannot be given any more.
function latest(app, { name, service, backend }) {
  const of = app.status?.services.find((each) => each.name === service);
  if (!of) return undefined;
  if (backend === undefined) return actionsOf(app, of).find((each) => each.name === name);
  const to = of.backends.find((each) => each.name === backend);
  return to && backendActionsOf(app, of, to).find((each) => each.name === name);
}

// The dialog of one order.
class Order {
  constructor(app, does) {
    Object.assign(this, { app, does, verb: does.name.replace(" …", ""), asked: 0, stands: null, isSent: false });
    this.why = el("input", { id: "order-reason", type: "text", maxlength: REASON, autocomplete: "off", required: true, "aria-describedby": "order-needs" });
    this.needs = el("p", { class: "hint", id: "order-needs" }, "For the records: they name you, the time and this.");
    this.choice = does.choose ? el("select", { id: "order-to", on: { change: () => this.ask() } }) : null;
    this.length = does.length ? el("input", { id: "order-length", type: "number", min: 1, max: 86_400, step: 1, value: DRILL_SECONDS }) : null;
    this.would = el("div", { class: "would", "aria-live": "polite" });
    this.result = el("div", { class: "result", role: "status" });
    this.confirm = el("button", { type: "submit", class: "confirm" }, this.verb);
    this.cancel = el("button", { type: "button", class: "quiet", on: { click: () => this.dialog.close() } }, "Cancel");
    const form = el("form", { novalidate: true, on: { submit: (event) => this.submit(event) } },
      this.choice ? el("label", { for: "order-to" }, "To", this.choice) : null,
      this.length ? el("label", { for: "order-length" }, "For how many seconds", this.length) : null,
      el("h3", {}, "What happens"), this.would,
      el("label", { for: "order-reason" }, "Reason", this.why), this.needs,
      this.result, el("div", { class: "buttons" }, this.cancel, this.confirm));
    this.dialog = el("dialog", { class: "order-dialog", "aria-labelledby": "order-title", on: { close: () => this.closed() } },
      el("h2", { id: "order-title" }, does.title ?? titled(does)), form);
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    (this.choice ?? this.length ?? this.why).focus();
    this.app.order = this;
    this.update();
  }

  closed() {
    this.dialog.remove();
    if (this.app.order === this) this.app.order = null;
  }

  // Follows the latest status, until the order is given. What a person has written stays.
  update() {
    if (this.isSent) return;
    const does = latest(this.app, this.does);
    if (!does) return this.refuse("This order cannot be given any more: things have changed meanwhile.");
    this.does = does;
    setAttr(this.confirm, "class", does.risky ? "confirm risky" : "confirm");
    if (this.choice) this.offer(does.choose);
    if (!does.dry) {
      memo(this.would, does.says, () => el("ul", {}, does.says.map((text) => el("li", {}, text))));
      setAttr(this.confirm, "disabled", false);
    } else if (this.stands !== does.stands) {
      this.ask();
    }
  }

  // Whoever was chosen stays chosen. If that one is no choice any more, nobody is chosen in its place.
  offer(names) {
    const chosen = this.choice.value;
    const isLost = this.choice.options.length > 0 && !names.includes(chosen);
    memo(this.choice, [names, isLost], () => [
      isLost ? el("option", { value: "", disabled: true }, "choose") : null,
      names.map((name) => el("option", { value: name }, name)),
    ]);
    if (isLost) this.choice.value = "";
    else if (chosen) this.choice.value = chosen;
  }

  refuse(text) {
    this.asked += 1;
    this.stands = null;
    setAttr(this.confirm, "disabled", true);
    memo(this.would, text, () => el("p", { class: "say warn" }, glyph("warn", 14), text));
  }

  // Has the balancer itself say what would happen.
  async ask() {
    if (this.choice && !this.choice.value) return this.refuse("Who was chosen has the traffic now, or is gone. Choose again.");
    const mine = ++this.asked;
    this.stands = this.does.stands;
    setAttr(this.confirm, "disabled", true);
    memo(this.would, "asking", () => el("p", {}, "asking what would happen …"));
    try {
      const preview = await order("POST", this.does.path, { ...this.body(), reason: undefined, dry_run: true });
      // Another choice was made meanwhile, or things have changed.
      if (mine !== this.asked) return;
      memo(this.would, preview, () => previewed(preview));
      setAttr(this.confirm, "disabled", !preview.possible);
    } catch (problem) {
      if (mine !== this.asked) return;
      memo(this.would, problem.message, () => refused(problem));
    }
  }

  body() {
    return {
      reason: this.why.value.trim(),
      ...(this.choice ? { to: this.choice.value } : {}),
      ...(this.length ? { length_seconds: Number(this.length.value) } : {}),
    };
  }

  async submit(event) {
    event.preventDefault();
    // Enter in the field comes here also when the button is gone.
    if (this.isSent) return;
    if (this.why.value.trim() === "") {
      setText(this.needs, "Say why: whoever reads the records will ask.");
      this.needs.classList.add("missing");
      setAttr(this.why, "aria-invalid", "true");
      this.why.focus();
      return;
    }
    this.isSent = true;
    setAttr(this.confirm, "disabled", true);
    setText(this.confirm, `${this.verb} …`);
    this.result.replaceChildren();
    try {
      const done = await carryOut(this.does, this.body());
      this.result.replaceChildren(el("p", { class: "say ok" }, glyph("ok", 14), told(done)));
      this.app.announce(done.text);
      this.confirm.remove();
      setText(this.cancel, "Close");
      this.cancel.focus();
    } catch (problem) {
      this.result.replaceChildren(refused(problem));
      setText(this.confirm, this.verb);
      setAttr(this.confirm, "disabled", false);
      this.isSent = false;
      this.update();
    }
  }
}

function carryOut(does, body) {
  if (does.method !== "DELETE") return order("POST", does.path, body);
  return order("DELETE", `${does.path}?reason=${encodeURIComponent(body.reason)}`);
}

function told(done) {
  const after = done.moved?.verified_after_ms;
  return after === null || after === undefined ? done.text : `${done.text} (first good answer after ${millis(after)})`;
}

function previewed(preview) {
  const lines = [el("p", { class: preview.possible ? "say ok" : "say bad" }, glyph(preview.possible ? "ok" : "bad", 14),
    !preview.possible ? "This would be refused." : preview.to === null || preview.to === preview.from ? "Nothing would move."
      : `${preview.from ?? "nobody"} → ${preview.to}: this would be done.`)];
  const say = (title, texts, level) => {
    if (texts.length) lines.push(el("h4", {}, title), el("ul", { class: level }, texts.map((text) => el("li", {}, coded(text)))));
  };
  say("In the way", preview.blockers, "bad");
  say("Steps", preview.steps, "");
  say("Worth knowing", preview.warnings, "warn");
  return lines;
}

function refused(problem) {
  return el("p", { class: "say bad", role: "alert" }, glyph("bad", 14), el("span", {}, coded(`${problem.title}: ${problem.message}`)));
}

// Asks for a token, and says why if it is `needed`.
export function signIn(app, { needed = "" } = {}) {
  if (document.querySelector("dialog[open]")) return;
  const secret = el("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const form = el("form", { novalidate: true },
    needed ? el("p", { class: "say warn", role: "alert" }, glyph("warn", 14), needed) : "",
    el("p", {}, "A token as ", el("code", {}, "understudy token"), " makes them. It stays in this tab, and is gone when you close it."),
    el("label", { for: "token" }, "Token", secret),
    el("div", { class: "buttons" },
      el("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Cancel"),
      app.signedIn() ? el("button", { type: "button", class: "quiet", on: { click: () => { dialog.close(); app.signOut(); } } }, "Sign out") : "",
      el("button", { type: "submit", class: "confirm" }, "Sign in")));
  const dialog = el("dialog", { class: "order-dialog", "aria-labelledby": "sign-in-title", on: { close: () => dialog.remove() } },
    el("h2", { id: "sign-in-title" }, "Sign in"), form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = secret.value.trim();
    if (!value) return secret.focus();
    dialog.close();
    app.signedInWith(value);
  });
  document.body.append(dialog);
  dialog.showModal();
  secret.focus();
}
