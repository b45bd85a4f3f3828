// What a status means for the person who looks: how urgent, in which words, and could we fail over now.

import { left, list, plural } from "./words.js";

// `bad`: clients suffer, or a person must decide. `warn`: clients are served, something is not as it
// should be. `ok`: neither.
const RANK = { bad: 0, warn: 1, ok: 2 };

export const WORDS = { bad: "act now", warn: "look", ok: "fine" };

// Shapes as well as colours.
export const SHAPES = {
  ok: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Z",
  warn: "M8 1.5 15 14H1Z",
  bad: "M2.5 2.5h11v11h-11Z",
  unknown: "M8 1.5 14.5 8 8 14.5 1.5 8Z",
};

// Everything that is to be said of a service, worst first. No text begins with the name of a backend:
// the first becomes a sentence with a capital, and names stay as they are.
export function judge(service) {
  const found = [];
  const say = (level, text) => found.push({ level, text });
  const unchecked = service.backends.filter((backend) => backend.health === "unknown");
  if (service.dual_active && !service.dual_active.accepted) {
    say("bad", `two or more claim the active role (${list(service.dual_active.backends)}): no automatic move until that is over, or unlocked`);
  }
  if (service.gate?.in_doubt) {
    say("bad", `nobody knows how gate ${service.gate.gate} of ${service.gate.backend} ended: say so with “understudy gate”`);
  }
  if (service.switching) {
    say("warn", `moving to ${service.switching.to} (${service.switching.reason}): requests wait`);
  } else if (!service.active && service.epoch === 0 && unchecked.length > 0) {
    say("warn", `starting: no verdict yet on ${list(unchecked.map((backend) => backend.name))}`);
  } else if (!service.active) {
    say("bad", "nobody can serve: requests wait, then get 503");
  } else if (!service.on_primary) {
    say("warn", service.drill ? `a drill: on ${service.active}` : `on standby ${service.active}`);
  } else if (service.drill) {
    say("warn", service.drill.tag ? `a drill: requests with ${service.drill.tag} go to ${service.drill.backend}` : "a drill is under way");
  }
  if (service.locked) say("warn", "locked: no automatic move");
  const chance = failover(service);
  if (chance.possible === false && service.active) say("warn", "a failover would not work now");
  for (const backend of service.backends) {
    if (backend.health === "down") say("warn", `backend ${backend.name} is down`);
    if (backend.barred) say("warn", `backend ${backend.name} may not become active: a gate failed`);
    if (backend.undecided) say("warn", `no verdict on ${backend.name}: ${backend.undecided}`);
  }
  for (const job of service.jobs ?? []) {
    if (job.failures > 0) say("warn", `job ${job.name} has failed ${plural(job.failures, "time")} in a row`);
    for (const stale of job.backends.filter((backend) => backend.stale && !backend.active)) {
      say("warn", `job ${job.name} is out of date for ${stale.name}`);
    }
  }
  found.sort((a, b) => RANK[a.level] - RANK[b.level]);
  const level = found[0]?.level ?? "ok";
  return { level, rank: RANK[level], found, chance };
}

// Could the traffic move to somebody now?
export function failover(service) {
  const others = service.backends.filter((backend) => !backend.active);
  if (others.length === 0) return { possible: null, to: null, text: "there is no standby", reasons: [] };
  if (service.dual_active && !service.dual_active.accepted) {
    return { possible: false, to: null, text: "no: two claim the active role", reasons: [] };
  }
  if (service.locked) return { possible: false, to: null, text: "no: the service is locked", reasons: [] };
  const ready = others.find((backend) => backend.readiness?.ready);
  if (ready) return { possible: true, to: ready.name, text: `yes, to ${ready.name}`, reasons: [] };
  const reasons = others.flatMap((backend) => {
    const why = backend.readiness?.reasons ?? [backend.health === "unknown" ? "no verdict yet" : `it is ${backend.health}`];
    return why.map((text) => `${backend.name}: ${text}`);
  });
  return { possible: false, to: null, text: "no", reasons };
}

// Who has the traffic, as the one line that matters most.
export function headline(service) {
  if (service.switching) return `moving to ${service.switching.to}`;
  if (!service.active) return "nobody is active";
  return service.on_primary ? "on primary" : "on standby";
}

// When it goes back, and what that waits for.
export function failback(service, seconds) {
  if (!service.failback) return service.active && service.on_primary ? "not needed: on the primary" : "–";
  const to = service.failback.to;
  if (seconds !== null && seconds !== undefined) return `to ${to} in ${left(seconds)}`;
  const waits = service.failback.waits_for;
  return waits.length ? `to ${to}, waiting: ${waits.join("; ")}` : `to ${to}`;
}
