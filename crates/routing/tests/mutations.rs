//! Proves that the checks of `failover` have teeth: breaks its rules one at a time, on purpose, in a
//! copy of its source, and demands that a scenario or the simulation notices each.
//!
//! The copy has every break built in, behind a switch; plain `rustc --test` compiles it once, and its
//! checks run once for each break. A break whose place is no longer in the source fails here too, so
//! this list cannot rot in silence.

#![allow(clippy::unwrap_used)] // All of this file is a test; clippy exempts only the marked function.

use std::cmp::Reverse;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(120);
const RULES: &str = "failover.rs";
const BACKEND: &str = "failover/backend.rs";

/// A deliberate break of a rule.
struct Break {
    name: &'static str,
    file: &'static str,
    /// Occurs exactly once in the file; `«` and `»` mark the expression to replace.
    place: &'static str,
    instead: &'static str,
}

const fn rules(name: &'static str, place: &'static str, instead: &'static str) -> Break {
    Break { name, file: RULES, place, instead }
}

const fn backend(name: &'static str, place: &'static str, instead: &'static str) -> Break {
    Break { name, file: BACKEND, place, instead }
}

#[rustfmt::skip] // One line each: it is a table.
const BREAKS: &[Break] = &[
    // Health.
    backend("starts_healthy", "let (health, admin) = («Health::Unknown»,", "Health::Up"),
    backend("one_failure_takes_down", "(Health::Down, «fall»)", "1"),
    backend("one_pass_brings_up", "(Health::Up, «rise»)", "1"),
    backend("first_verdict_waits_for_rise", "(Health::Unknown, Verdict::Pass) => (Health::Up, «1»)", "rise"),
    backend("one_verdict_too_many", "if «self.streak < needed»", "self.streak <= needed"),
    backend("opposite_verdict_keeps_the_streak", "«self.streak = 0»;\n                return false;", ""),
    backend("change_of_health_keeps_the_streak", "«self.streak = 0»;\n        self.health = health;", ""),
    backend("inconclusive_is_a_failure", "Verdict::Inconclusive) => «return false»,", "(Health::Down, fall)"),
    backend("inconclusive_ends_the_streak", "Verdict::Inconclusive) => «return false»,", "self.streak = 0; return false"),
    backend("admin_state_ignored", "self.health == Health::Up && «self.admin == AdminState::Ready»", "true"),
    backend("hold_down_survives_a_failure", "= «self.is_eligible().then(|| self.eligible_since.unwrap_or(now))»", "Some(self.eligible_since.unwrap_or(now))"),
    backend("hold_down_restarts_at_every_wish", "«self.eligible_since.unwrap_or(now)»", "now"),
    backend("wish_always_reported", "let changed = «self.admin != admin»;", "true"),
    // Who.
    rules("fails_back_at_once", "find(|&(_, due)| «now >= due»)", "true"),
    rules("fails_back_too_late", "find(|&(_, due)| «now >= due»)", "now > due"),
    rules("earliest_failback_first", "let due = «self.failbacks().find(|&(_, due)| now >= due)»;", "self.failback_due().filter(|&(_, due)| now >= due)"),
    rules("never_fails_back", "«due.map(|(id, _)| id).or(self.active)»;", "self.active"),
    rules("lower_priority_first", "«self.backends.iter().filter(free).find(|b| b.is_eligible())»", "self.backends.iter().filter(free).filter(|b| b.is_eligible()).last()"),
    rules("pin_ignored", "«!self.pinned» && !self.locked;", "true"),
    rules("lock_ignored_by_failback", "!self.pinned && «!self.locked»;", "true"),
    rules("lock_ignored_by_failover", "«!self.locked || Some(b.id) == self.last»", "true"),
    rules("lock_never_comes_back", "|| «Some(b.id) == self.last»", "false"),
    rules("manual_moves_by_itself", "else { «return None» };\n        let factor", "return Some(Duration::ZERO)"),
    rules("start_does_not_wait", "«in_grace && self.above(first).any(Backend::is_awaited)»", "false"),
    rules("start_waits_for_anyone", "«in_grace && self.above(first).any(Backend::is_awaited)»", "in_grace && self.backends.iter().any(Backend::is_awaited)"),
    backend("start_waits_for_maintenance", "self.health == Health::Unknown && «self.admin == AdminState::Ready»", "true"),
    rules("grace_at_every_failover", "let in_grace = «!self.has_served()» && ", "true"),
    rules("keeps_the_last_unasked", "AllDown::Reject => «None», // rule 6", "self.last"),
    rules("never_keeps_the_last", "«self.last.filter(|&id| self.is_ready(id))»", "None"),
    rules("keeps_the_last_in_maintenance", "self.last.filter(|&id| «self.is_ready(id)»)", "true"),
    rules("reload_reason_lost", "} else if «reloaded» {", "false"),
    rules("recovery_called_failover", "} else if «self.active.is_none()» {", "false"),
    // Orders.
    rules("switchover_to_anyone", "«self.eligible(id)?»;\n", ""),
    rules("switchover_does_not_stay", "self.pinned = «reason == Reason::Switchover»;", "false"),
    rules("failover_keeps_the_pin", "«self.pinned = reason == Reason::Switchover»;", ""),
    rules("pin_outlives_its_backend", "«self.pinned &= self.active_is_eligible()»;", ""),
    rules("failback_by_order_keeps_the_pin", "«self.pinned = false»;\n                return", ""),
    rules("pin_does_nothing", "self.active.ok_or(Refusal::NothingActive)?)?;\n                «self.pinned = true»;", ""),
    rules("unpin_does_nothing", "Command::Unpin => «self.pinned = false»,", ""),
    rules("failback_by_order_obeys_the_lock", "let to = «first.ok_or(Refusal::NotEligible)?.id»;", "self.first_eligible().ok_or(Refusal::NotEligible)?"),
    rules("refusal_unsaid", "«effects.push(Effect::Rejected { why })»;", ""),
    // Moves.
    rules("epoch_stands_still", "«self.epoch += 1»;", "self.epoch = 1"),
    rules("two_moves_a_step", "        «self.activate(now, to, reason, &mut effects)»;", "self.activate(now, None, reason, &mut effects); self.activate(now, to, reason, &mut effects)"),
    rules("last_forgotten", "self.last = «to.or(self.last)»;", "to"),
    // Damping.
    rules("no_damping", "«self.flaps = self.flaps.saturating_add(1)»;", ""),
    rules("damping_never_ends", "self.failed_back = None;\n            «self.flaps = 0»;", ""),
    rules("probation_never_ends", "«now >= settled»", "false"),
    rules("no_cap", ".min(«self.policy.damping.cap.max(hold_down)»)", "Duration::MAX"),
    rules("cap_shortens", ".min(«self.policy.damping.cap.max(hold_down)»)", "self.policy.damping.cap"),
    rules("every_failover_is_a_flap", "if «self.failed_back.take().is_some()»", "true"),
    rules("draining_is_a_flap", "&& «fell» {", "true"),
    rules("never_locks_itself", "if «limit > 0» &&", "false"),
    rules("locks_one_flap_late", "«self.flaps >= limit»", "self.flaps > limit"),
    rules("zero_flaps_lock", "if «limit > 0» &&", "true"),
    rules("locks_with_nobody_active", "self.flaps >= limit && «to.is_some()»", "true"),
    rules("unlock_keeps_the_flaps", "«self.flaps = 0»;\n                    out.push", ""),
    rules("lock_said_twice", "if «!mem::replace(&mut self.locked, true)» {", "self.locked = true; true"),
    // Reload.
    rules("reload_forgets_health", "«known.unwrap_or_else(|| Backend::new(id))»", "Backend::new(id)"),
    rules("reload_keeps_the_old_policy", "«self.policy = policy»;\n", ""),
    rules("reload_keeps_a_removed_last", "«self.last = self.last.filter(|&id| self.backend(id).is_some())»;", ""),
    rules("reload_keeps_the_old_order", "let mut old = «mem::take(&mut self.backends)»;", "self.backends.clone()"),
    rules("no_window_keeps_the_flaps", "if «self.policy.damping.window.is_zero()» {", "false"),
    // Time.
    rules("wakes_in_the_past", "let waits = «!self.has_served()» && self", "true"),
    rules("sleeps_through_the_grace", "[«self.waits_until()», failback, self.settles_at()]", "None"),
    rules("sleeps_through_the_failback", "[self.waits_until(), «failback», self.settles_at()]", "None"),
    rules("sleeps_through_the_end_of_the_row", "[self.waits_until(), failback, «self.settles_at()»]", "None"),
];

#[test]
fn every_break_of_a_rule_is_noticed() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
    let _ = fs::remove_dir_all(&scratch);
    for file in source_files(Path::new(RULES)) {
        let text = fs::read_to_string(source(&file)).unwrap();
        let copy = scratch.join(&file);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(copy, with_breaks(&text, file.to_str().unwrap())).unwrap();
    }
    fs::write(scratch.join("main.rs"), MAIN).unwrap();

    let checks = scratch.join("checks");
    let mut compile = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    compile.args(["--test", "--edition", "2024", "--crate-name", "checks"]);
    compile.args(["-C", "debuginfo=0", "-C", "debug-assertions=on", "-o"]).arg(&checks);
    let said = finish(compile.arg(scratch.join("main.rs")), &scratch.join("compile.log"));
    assert!(checks.exists(), "the copy does not compile:\n{said}");

    let failed = failed_checks(&checks, "nothing");
    assert!(failed.is_empty(), "the checks fail without any break: {failed:?}");
    let mut missed = vec![];
    for Break { name, .. } in BREAKS {
        let failed = failed_checks(&checks, name);
        let simulated = failed.iter().filter(|check| check.starts_with("simulation::")).count();
        let scenarios = failed.len() - simulated;
        println!("{name:40} {scenarios:3} scenarios, {simulated} simulations");
        if failed.is_empty() {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "nobody noticed: {missed:?}");
}

/// The root of the copy.
const MAIN: &str = r#"
    #![allow(warnings)]
    mod failover;
    fn broken(name: &str) -> bool {
        static BROKEN: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| std::env::var("BROKEN").unwrap());
        *BROKEN == name
    }
"#;

/// Turns each marked expression of this file into `(if broken("name") { instead } else { it })`.
/// Marked expressions may contain each other.
fn with_breaks(text: &str, file: &str) -> String {
    let mut inserted = vec![];
    for Break { name, place, instead, .. } in BREAKS.iter().filter(|b| b.file == file) {
        let (before, rest) = place.split_once('«').unwrap();
        let (marked, after) = rest.split_once('»').unwrap();
        let found: Vec<_> = text.match_indices(&[before, marked, after].concat()).collect();
        let [(at, _)] = found[..] else {
            panic!("{name}: in {file} {} times instead of once: {place}", found.len());
        };
        let (start, end) = (at + before.len(), at + before.len() + marked.len());
        let switch = format!("(if crate::broken({name:?}) {{ {instead} }} else {{ ");
        // At one point: first what ends there, then the widest of what starts there.
        inserted.push((start, 1, Reverse(end), switch));
        inserted.push((end, 0, Reverse(end), " })".to_owned()));
    }
    inserted.sort();
    let mut broken = String::new();
    let mut done = 0;
    for (at, _, _, insert) in inserted {
        broken += &text[done..at];
        broken += &insert;
        done = at;
    }
    broken + &text[done..]
}

/// Runs the checks with this break; returns the names of those that failed.
fn failed_checks(checks: &Path, broken: &str) -> Vec<String> {
    let mut run = Command::new(checks);
    run.env("BROKEN", broken).env("RUST_BACKTRACE", "0").env_remove("UNDERSTUDY_SEED");
    run.env("UNDERSTUDY_SEEDS", "48").env("UNDERSTUDY_STEPS", "300");
    let said = finish(&mut run, &checks.with_extension("log"));
    assert!(said.contains("test result:"), "{broken}: the checks did not finish:\n{said}");
    let failed = said.lines().filter_map(|line| {
        let check = line.strip_prefix("test failover::tests::")?.strip_suffix(" ... FAILED")?;
        Some(check.to_owned())
    });
    failed.collect()
}

/// The module at `file` and everything below its folder, relative to `src`.
fn source_files(file: &Path) -> Vec<PathBuf> {
    let mut files = vec![file.to_owned()];
    let folder = file.with_extension("");
    let Ok(entries) = fs::read_dir(source(&folder)) else { return files };
    for entry in entries {
        let path = folder.join(entry.unwrap().file_name());
        if path.extension().is_some_and(|e| e == "rs") {
            files.extend(source_files(&path));
        }
    }
    files
}

fn source(relative: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(relative)
}

/// Runs the command and returns what it said, whatever its exit code.
fn finish(command: &mut Command, log: &Path) -> String {
    let file = File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let deadline = Instant::now() + DEADLINE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{command:?} takes longer than {DEADLINE:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned()
}
