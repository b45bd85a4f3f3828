// Numbers and times in words, always in the same way.

// A duration in seconds, in two units at most.
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days > 0) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return whole < 600 && whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
}

// A setting, which may be shorter than a second.
export function period(seconds) {
  return seconds > 0 && seconds < 1 ? `${Math.round(seconds * 1000)} ms` : duration(seconds);
}

// How long is left, rounded up: what says 0 s is over.
export function left(seconds) {
  return duration(Math.ceil(seconds));
}

// Milliseconds, with as many digits as matter.
export function millis(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  if (ms < 10_000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

// A count with its digits in groups.
export function count(number) {
  return number.toLocaleString("en-GB").replaceAll(",", "\u202f");
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// The time of day of a moment in milliseconds; with the day unless it is today.
export function clock(at, { seconds = true } = {}) {
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined });
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

// Names in a row: a, b and c.
export function list(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const REASONS = {
  startup: "first active after the start",
  failover: "the active was no longer eligible",
  failback: "back to a backend of higher priority",
  recovery: "a backend came up while nobody was active",
  switchover: "moved by hand",
  reload: "a new config",
  return: "an ordered move was taken back",
  drill: "a drill",
};

// Why the traffic moved, and by whom where somebody ordered it.
export function reason({ reason: word, by }) {
  const why = REASONS[word] ?? word;
  return by ? `${why}, ordered by ${by.who}` : why;
}

const OUTCOMES = {
  under_way: "under way",
  moved: "moved",
  verified: "answered",
  returned: "taken back",
  called_off: "called off",
};

// What came of a move.
export function outcome(word) {
  return OUTCOMES[word] ?? word;
}
