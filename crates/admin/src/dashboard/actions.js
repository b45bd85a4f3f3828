// What an operator may order, each with a dialog: first what it would do, then why, then to confirm.

import { order, part } from "./api.js";
import { glyph } from "./charts.js";
import { coded, el, memo, setAttr, setText } from "./dom.js";
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
  const add = (name, does) => actions.push(action(app, { name, service: service.name, ...does }));
  if (others.length) add("Switch over …", { path: `${base}/switchover`, choose: others.map((backend) => backend.name), dry: true, title: `Move ${service.name} to another backend` });
  if (!service.on_primary && service.active) add("Fail back …", { path: `${base}/failback`, dry: true, title: `Move ${service.name} back` });
  if (service.scheduled) add("Forget the scheduled move …", { method: "DELETE", path: `${base}/switchover`, says: [`The move to ${service.scheduled.to} that is to come is forgotten.`] });
  add(...(service.pinned
    ? ["Unpin …", { path: `${base}/unpin`, says: ["The pin ends: the rules may fail back again."] }]
    : ["Pin …", { path: `${base}/pin`, says: [`The traffic stays at ${service.active ?? "whoever becomes active"} while that is eligible: no failback until it is unpinned.`, "A failover still happens."] }]));
  add(...(service.locked || (service.dual_active && !service.dual_active.accepted)
    ? ["Unlock …", { path: `${base}/unlock`, says: ["Automatic moves are allowed again; what barred a backend is forgotten."] }]
    : ["Lock …", { path: `${base}/lock`, says: ["No automatic move until it is unlocked.", "Also no failover: if the active fails, requests are held and then rejected."], risky: true }]));
  if (service.drill) add("End the drill …", { method: "DELETE", path: `${base}/drill`, says: ["The drill ends now; the active counts as what its probes say."] });
  else if (service.active && others.length) {
    add("Drill …", { path: `${base}/drill`, length: true, risky: true, says: [`${service.active} is treated as failed, so the traffic fails over for real, and returns when the drill is over.`] });
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
  const make = (name, does) => action(app, { name, service: service.name, backend: backend.name, ...does });
  const actions = [];
  if (backend.admin !== "ready") actions.push(make("Ready …", { path: `${base}/ready`, says: [`${backend.name} may have the traffic again.`] }));
  if (backend.admin !== "drain") actions.push(make("Drain …", { path: `${base}/drain`, says: [`${backend.name} gets no new requests; running ones may finish.`, ...leaves], risky: backend.active }));
  if (backend.admin !== "maintenance") actions.push(make("Maintenance …", { path: `${base}/maintenance`, says: [`${backend.name} is out of use until it is set ready.`, ...leaves], risky: backend.active }));
  return actions;
}

function action(app, does) {
  const focus = `${does.backend ?? ""}/${does.name}`;
  const whom = does.backend ? `${does.backend} of ${does.service}` : does.service;
  return {
    name: does.name,
    button: () => el("button", {
      type: "button", class: does.risky ? "order risky" : "order", "data-focus": focus, "aria-label": `${does.name.replace(" …", "")}: ${whom}`,
      on: { click: () => open(app, { ...does, title: does.title ?? `${does.name.replace(" …", "")}: ${whom}` }) },
    }, does.name),
  };
}

// The dialog of one order.
function open(app, does) {
  const verb = does.name.replace(" …", "");
  const form = el("form", { novalidate: true });
  const why = el("input", { id: "order-reason", type: "text", maxlength: REASON, autocomplete: "off", required: true, "aria-describedby": "order-needs" });
  const needs = el("p", { class: "hint", id: "order-needs" }, "For the records: they name you, the time and this.");
  const choice = does.choose ? el("select", { id: "order-to" }, does.choose.map((name) => el("option", { value: name }, name))) : null;
  const length = does.length ? el("input", { id: "order-length", type: "number", min: 1, max: 86_400, step: 1, value: DRILL_SECONDS }) : null;
  const would = el("div", { class: "would", "aria-live": "polite" });
  const result = el("div", { class: "result", role: "status" });
  const confirm = el("button", { type: "submit", class: does.risky ? "confirm risky" : "confirm" }, verb);
  const cancel = el("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Cancel");
  form.append(
    choice ? el("label", { for: "order-to" }, "To", choice) : "",
    length ? el("label", { for: "order-length" }, "For how many seconds", length) : "",
    el("h3", {}, "What happens"), would,
    el("label", { for: "order-reason" }, "Reason", why), needs,
    result, el("div", { class: "buttons" }, cancel, confirm));
  const dialog = el("dialog", { class: "order-dialog", "aria-labelledby": "order-title", on: { close: () => dialog.remove() } },
    el("h2", { id: "order-title" }, does.title), form);

  const body = () => ({
    reason: why.value.trim(),
    ...(choice ? { to: choice.value } : {}),
    ...(length ? { length_seconds: Number(length.value) } : {}),
  });
  let asked = 0;
  const show = async () => {
    if (!does.dry) return void memo(would, does.says, () => el("ul", {}, does.says.map((text) => el("li", {}, text))));
    const mine = ++asked;
    setAttr(confirm, "disabled", true);
    memo(would, "asking", () => el("p", {}, "asking what would happen …"));
    try {
      const preview = await order("POST", does.path, { ...body(), reason: undefined, dry_run: true });
      // Another choice was made meanwhile.
      if (mine !== asked) return;
      memo(would, preview, () => previewed(preview));
      setAttr(confirm, "disabled", !preview.possible);
    } catch (problem) {
      if (mine !== asked) return;
      memo(would, problem.message, () => refused(problem));
    }
  };
  choice?.addEventListener("change", show);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (why.value.trim() === "") {
      setText(needs, "Say why: whoever reads the records will ask.");
      needs.classList.add("missing");
      setAttr(why, "aria-invalid", "true");
      why.focus();
      return;
    }
    setAttr(confirm, "disabled", true);
    setText(confirm, `${verb} …`);
    result.replaceChildren();
    try {
      const done = await carryOut(does, body());
      result.replaceChildren(el("p", { class: "say ok" }, glyph("ok", 14), told(done)));
      app.announce(done.text);
      confirm.remove();
      setText(cancel, "Close");
      cancel.focus();
    } catch (problem) {
      result.replaceChildren(refused(problem));
      setText(confirm, verb);
      setAttr(confirm, "disabled", false);
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  (choice ?? length ?? why).focus();
  show();
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
  return el("p", { class: "say bad", role: "alert" }, glyph("bad", 14), `${problem.title}: ${problem.message}`);
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
