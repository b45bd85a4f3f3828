// Makes elements and changes them. Text is only ever text: nothing here parses what others wrote.

const SVG = "http://www.w3.org/2000/svg";

// An element. `props`: attributes, and `on` with listeners; children are nodes, texts, or nothing.
export function el(name, props = {}, ...children) {
  return fill(document.createElement(name), props, children);
}

// The same in SVG.
export function svg(name, props = {}, ...children) {
  return fill(document.createElementNS(SVG, name), props, children);
}

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else {
      setAttr(node, key, value);
    }
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Changes an attribute only if that changes anything; without a value it goes.
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

// Changes a text only if that changes anything: a screen reader hears of each change.
export function setText(node, text) {
  const wanted = text ?? "";
  if (node.textContent !== wanted) node.textContent = wanted;
}

// A text with its `code` set as code.
export function coded(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

const shown = new WeakMap();

// Makes the children of a node anew when `key` is another than the last time.
export function memo(node, key, make) {
  const text = typeof key === "string" ? key : JSON.stringify(key);
  if (shown.get(node) === text) return false;
  shown.set(node, text);
  const had = node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  node.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
  if (had) node.querySelector(`[data-focus="${CSS.escape(had)}"]`)?.focus();
  return true;
}

// Has exactly one child for each key, in this order; children that stay keep focus and state.
export function keyed(parent, items, keyOf, make, update) {
  const known = parent.rows ?? (parent.rows = new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, row] of known) {
    if (!wanted.has(key)) {
      row.node.remove();
      known.delete(key);
    }
  }
  const focused = document.activeElement;
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = known.get(key);
    if (!row) {
      row = make(item);
      known.set(key, row);
    }
    update(row, item);
    if (row.node === at) at = at.nextElementSibling;
    else parent.insertBefore(row.node, at);
  }
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

// A moment, shown as how long ago it was and kept up to date by `tick`.
export function since(milliseconds, words) {
  const node = el("time", { class: "num", datetime: new Date(milliseconds).toISOString() });
  node.moment = { at: milliseconds, words };
  node.title = new Date(milliseconds).toLocaleString();
  node.dataset.tick = "";
  tellTime(node);
  return node;
}

// Another moment for such an element.
export function setSince(node, milliseconds) {
  // Two answers about the same moment differ by the time they were under way.
  if (Math.abs(node.moment.at - milliseconds) < 900) return;
  node.moment.at = milliseconds;
  setAttr(node, "datetime", new Date(milliseconds).toISOString());
  node.title = new Date(milliseconds).toLocaleString();
  tellTime(node);
}

function tellTime(node) {
  setText(node, node.moment.words((Date.now() - node.moment.at) / 1000));
}

// Brings every moment on the page up to date.
export function tick() {
  for (const node of document.querySelectorAll("[data-tick]")) tellTime(node);
}
