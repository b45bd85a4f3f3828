// The way to the API: requests, the token, and the stream of what happens.

const BASE = "api/v1";
// The server says something every 10 s; after so long without, the connection is taken for lost.
const SILENT_FOR = 25_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;
// When all places of the stream are taken.
const ASK_EVERY = 2_000;
const ANSWER_WITHIN = 10_000;

// What the server refused, as it says (RFC 9457), or why there was no answer (status 0).
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    Object.assign(this, { status, title, detail });
  }
}

// In this tab only, until it is closed; where a browser keeps nothing, until the page is.
let own = null;
export const token = {
  get() {
    try {
      return sessionStorage.getItem("token");
    } catch {
      return own;
    }
  },
  set(value) {
    own = value;
    try {
      if (value) sessionStorage.setItem("token", value);
      else sessionStorage.removeItem("token");
    } catch {
      // It is kept above.
    }
  },
};

function headers(more = {}) {
  const secret = token.get();
  return secret ? { ...more, Authorization: `Bearer ${secret}` } : more;
}

async function ask(where, options) {
  let response;
  try {
    response = await fetch(where, { ...options, credentials: "omit", cache: "no-store" });
  } catch (error) {
    throw new Problem(0, "No answer", error.name === "TimeoutError" ? "no answer in time" : "the balancer does not answer");
  }
  if (response.ok) return response;
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A proxy in between may answer in its own words.
  }
  throw new Problem(response.status, problem.title ?? `Status ${response.status}`, problem.detail ?? response.statusText);
}

export async function get(path) {
  const response = await ask(`${BASE}${path}`, { headers: headers(), signal: AbortSignal.timeout(ANSWER_WITHIN) });
  return response.json();
}

// What is at an address of the balancer, as text for people.
export async function read(where) {
  const response = await ask(where, { headers: headers(), signal: AbortSignal.timeout(ANSWER_WITHIN) });
  const isJson = response.headers.get("content-type")?.includes("json");
  return isJson ? JSON.stringify(await response.json(), null, 2) : response.text();
}

// Orders something; a move may take as long as its gates do.
export async function order(method, path, body) {
  const content = method === "DELETE" ? {} : { "Content-Type": "application/json" };
  const options = { method, headers: headers(content) };
  if (method !== "DELETE") options.body = JSON.stringify(body);
  return (await ask(`${BASE}${path}`, options)).json();
}

export function part(name) {
  return encodeURIComponent(name);
}

// Follows what happens for as long as the page is there. `hear.status`, `hear.event` and
// `hear.connection(state, problem)` are called; states: connecting, live, asking, lost, unauthorised.
export class Stream {
  constructor(hear) {
    this.hear = hear;
    this.seen = null;
    this.isFollowing = false;
    this.isWanted = false;
    this.again = () => {};
    this.run();
  }

  // Tries at once, for example with another token.
  restart() {
    this.isWanted = this.isFollowing;
    this.abort?.abort();
    this.again();
  }

  async run() {
    let pause = FIRST_PAUSE;
    for (;;) {
      try {
        await this.follow(() => (pause = FIRST_PAUSE));
        this.hear.connection("lost");
      } catch (error) {
        // We broke it off ourselves.
        if (this.isWanted) {
          this.isWanted = false;
          continue;
        }
        if (error.status === 401) {
          this.hear.connection("unauthorised", error);
          await this.rest(null);
          continue;
        }
        if (error.status === 503 && (await this.poll())) {
          pause = ASK_EVERY;
        } else {
          this.hear.connection("lost", error);
        }
      }
      await this.rest(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  rest(pause) {
    return new Promise((done) => {
      const timer = pause === null ? null : setTimeout(done, pause);
      this.again = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  async poll() {
    try {
      this.hear.status(await get("/status"));
      this.seen = Date.now();
      this.hear.connection("asking");
      return true;
    } catch {
      return false;
    }
  }

  async follow(opened) {
    this.abort = new AbortController();
    let watchdog;
    const alive = () => {
      this.seen = Date.now();
      clearTimeout(watchdog);
      watchdog = setTimeout(() => this.abort.abort(), SILENT_FOR);
    };
    const first = setTimeout(() => this.abort.abort(), ANSWER_WITHIN);
    try {
      // What came in between is read again anyway, and a new process may count events anew.
      const response = await ask(`${BASE}/events/stream`, { headers: headers(), signal: this.abort.signal });
      clearTimeout(first);
      alive();
      opened();
      this.isFollowing = true;
      this.hear.connection("live");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        const frames = (text + value).split("\n\n");
        text = frames.pop();
        frames.forEach((frame) => this.take(frame));
      }
    } catch (error) {
      if (error instanceof Problem) throw error;
      // Broken off, or given up by the watchdog.
      throw new Problem(0, "Connection lost", "the connection broke off");
    } finally {
      this.isFollowing = false;
      // Also what a listener threw ends the stream: places are few.
      this.abort.abort();
      clearTimeout(first);
      clearTimeout(watchdog);
    }
  }

  // One frame (HTML, 9.2.6).
  take(frame) {
    let [kind, data] = ["message", []];
    for (const line of frame.split("\n")) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === "event") kind = value;
      else if (name === "data") data.push(value);
    }
    if (data.length === 0) return;
    const said = JSON.parse(data.join("\n"));
    if (kind === "status") this.hear.status(said);
    if (kind === "event") this.hear.event(said);
  }
}
