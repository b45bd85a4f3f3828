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
/// Tests of their own that judge the copy as well.
const MORE_CHECKS: &[&str] = &["protocol.rs", "flapping.rs"];

/// A deliberate break of a rule.
struct Break {
    name: &'static str,
    file: &'static str,
    /// Occurs exactly once in the file; `«` and `»` mark the expression to replace.
    place: &'static str,
    instead: &'static str,
}

/// `file` has breaks made for it.
macro_rules! breaks_of {
    ($($make:ident: $file:expr,)*) => {$(
        const fn $make(name: &'static str, place: &'static str, instead: &'static str) -> Break {
            Break { name, file: $file, place, instead }
        }
    )*};
}

breaks_of! {
    rules: RULES,
    backend: "failover/backend.rs",
    claim: "failover/claim.rs",
    damping: "failover/damping.rs",
    drill: "failover/drill.rs",
    dual: "failover/dual.rs",
    failback: "failover/failback.rs",
    gates: "failover/gates.rs",
    orders: "failover/orders.rs",
    preview: "failover/preview.rs",
    resume: "failover/resume.rs",
    standing: "failover/standing.rs",
    status: "failover/status.rs",
    switch: "failover/switch.rs",
    verify: "failover/verify.rs",
}

#[rustfmt::skip] // One line each: it is a table.
const BREAKS: &[Break] = &[
    // Health.
    backend("starts_healthy", "let (health, admin) = («Health::Unknown»,", "Health::Up"),
    backend("one_failure_takes_down", "Health::Unknown | Health::Up => «policy.fall»,", "1"),
    backend("one_pass_brings_up", "Health::Down => «policy.rise»,", "1"),
    backend("first_verdict_waits_for_rise", "Health::Unknown => «1»,\n            Health::Down", "policy.rise"),
    backend("first_failure_waits_for_fall", "Health::Unknown if «!self.has_served» => 1,", "false"),
    backend("one_verdict_too_many", "let tips = «self.streak >= needed»;", "self.streak > needed"),
    backend("pass_keeps_the_streak", "«self.streak = 0»;\n                return self", ""),
    backend("failure_keeps_the_streak", "«self.streak = 0»;\n                return;", ""),
    backend("change_of_health_keeps_the_streak", "if tips {\n            «self.streak = 0»;", ""),
    backend("inconclusive_is_a_failure", "Verdict::Inconclusive => «return»,", "self.failed(policy)"),
    backend("inconclusive_ends_the_streak", "Verdict::Inconclusive => «return»,", "self.streak = 0; return"),
    backend("admin_state_ignored", "&& «self.admin == AdminState::Ready»\n            && self.claim()", "true"),
    backend("health_ignored", "«self.health == Health::Up»\n            && self.admin", "self.health != Health::Unknown"),
    backend("once_eligible_always_eligible", "= «self.meets(policy).then(|| self.eligible_since.unwrap_or(now))»", "self.eligible_since.or(self.meets(policy).then_some(now))"),
    backend("hold_down_restarts_at_every_wish", "«self.eligible_since.unwrap_or(now)»", "now"),
    backend("wish_always_reported", "let changed = «self.admin != admin»;", "true"),
    backend("passes_not_counted", "self.is_eligible() => «self.passes.saturating_add(1)»,", "self.passes"),
    backend("passes_outlive_a_failure", "Verdict::Pass | Verdict::Fail | Verdict::Inconclusive => «0»,", "self.passes"),
    backend("passes_end_with_an_unclear_one", "Verdict::Inconclusive => «return»,", "self.passes = 0; return"),
    backend("passes_outlive_eligibility", "            «self.passes = 0»;\n", ""),
    backend("passes_count_before_eligibility", "Verdict::Pass if «self.is_eligible()» =>", "true"),
    // Claims.
    claim("claim_counts_at_once", "if «streak >= rise» {", "true"),
    claim("claim_counts_one_pass_late", "if «streak >= rise» {", "streak > rise"),
    claim("claim_never_counts", "if «streak >= rise» {", "false"),
    claim("other_word_keeps_the_row", "before.filter(|(word, _)| «*word == said»)", "true"),
    claim("row_is_never_longer_than_one", "before.filter(|(word, _)| «*word == said»)", "false"),
    claim("silence_keeps_the_row", "else { «return» };", "self.row = before.filter(|_| said.is_none()); return"),
    claim("silence_takes_back", "else { «return» };", "if said.is_none() { self.confirmed = None; } return"),
    claim("doubt_about_the_role_unsaid", "«self.role.streak()».max", "0_u32"),
    claim("doubt_about_the_wish_unsaid", ".max(«self.wish.streak()»)", "0"),
    status("claims_cause_no_doubt", "|| «self.claim_streak > 0»", "false"),
    status("claim_unsaid", "claim: «b.claim()»,", "Claim::default()"),
    failback("claim_unsaid_in_a_blocker", "claim: «backend.claim()» }", "Claim::default()"),
    backend("first_claim_waits", "«self.claims.believe(claim)»;", "self.claims.weigh(claim, policy.rise)"),
    backend("claim_not_forgotten_when_down", "«self.claims.forget()»;", ""),
    backend("failure_keeps_the_row", "«self.claims.interrupt()»;", ""),
    backend("later_claims_ignored", "return «self.claims.weigh(claim, policy.rise)»;", ""),
    backend("claims_of_failures_count", "Verdict::Fail => «self.failed(policy)»,", "self.failed(policy); self.claims.weigh(claim, policy.rise)"),
    backend("claims_of_unclear_rounds_count", "Verdict::Inconclusive => «return»,", "self.claims.weigh(claim, policy.rise); self.refresh(now, policy); return"),
    rules("change_of_claim_unsaid", "«out.push(Effect::ClaimChanged { backend: id, claim })»;", ""),
    rules("forgotten_claim_said", "claim.is_news(old_claim, last_word) && «health == Health::Up»", "true"),
    rules("will_to_serve_said", "«claim.is_news(old_claim, last_word)»", "claim != old_claim"),
    backend("claims_ignored", "&& «self.claim().allows(policy.required_role)»\n", "true"),
    claim("promoting_or_fenced_is_eligible", "Some(Role::Promoting | Role::Fenced) => «true»,", "false"),
    claim("required_role_ignored", "«required.is_some() && self.role != required»,", "false"),
    claim("silent_is_of_the_required_role", "&& («required.is_none() || self.role == required»)", "true"),
    claim("silence_forbids", "None => «false»,\n        };\n        wrong_role", "required.is_some()"),
    claim("wish_ignored", "Some(Wish::Drain | Wish::Maintenance) => «true»,", "false"),
    claim("wish_to_serve_forbids", "Some(Wish::Serve) | None => «false»,", "self.wish.is_some()"),
    rules("keeps_the_last_against_its_word", "known(b) && «willing(b)»)", "true"),
    rules("keeps_the_last_once_it_is_down", "!«b.last_word()».forbids(", "b.claim()"),
    backend("leaving_by_claim_after_a_restart_called_startup", "Health::Up => «!self.claim().allows(policy.required_role)»,", "false"),
    rules("reload_keeps_who_is_eligible", "«self.backends.iter_mut().for_each(|b| b.refresh(self.now, &self.policy))»;", ""),
    // Two actives.
    dual("dual_ignored", "None if «heard >= 2» => {", "false"),
    dual("one_active_is_two", "None if heard >= «2» => {", "1"),
    dual("three_actives_are_two", "None if heard >= «2» => {", "3"),
    dual("two_actives_are_over_while_two_are_left", "if count < «2» => {", "3"),
    dual("old_words_count", "filter(|b| «b.heard >= joined»)", "true"),
    dual("no_word_counts_after_the_other", "= if «count > self.actives.count» {", "true"),
    dual("old_words_cause_no_doubt", "is_one && «self.suspects_two_actives()» &&", "false"),
    dual("one_active_is_in_doubt", "is_one && «self.suspects_two_actives()» &&", "true"),
    dual("whoever_was_heard_is_in_doubt", "&& «backend.heard < self.actives.joined»", "true"),
    status("old_words_are_no_doubt", "changes || «self.needs_word»", "false"),
    rules("failures_are_words", "if «verdict == Verdict::Pass» {\n            let stands", "verdict != Verdict::Inconclusive"),
    rules("unclear_rounds_are_words", "if «verdict == Verdict::Pass» {\n            let stands", "verdict != Verdict::Fail"),
    rules("silence_is_no_word", "«claim.role.is_none_or(|role| role == Role::Active)»", "(claim.role == Some(Role::Active))"),
    rules("any_word_counts", "«claim.role.is_none_or(|role| role == Role::Active)»", "true"),
    rules("start_does_not_wait_for_a_word", "«self.suspects_two_actives()» && self.now < self.grace_end()", "false"),
    rules("start_waits_for_a_word_for_ever", "self.suspects_two_actives() && «self.now < self.grace_end()»", "true"),
    dual("dual_freezes_nothing", "self.locked || «self.is_dual()»\n", "false"),
    dual("lock_freezes_nothing", "«self.locked» || self.is_dual()\n", "false"),
    failback("dual_blocks_no_failback", "if «self.is_dual()» {", "false"),
    rules("dual_freezes_orders", "if let Some(order) = «self.order» {", "self.order.filter(|_| !self.is_dual())"),
    backend("unwanted_actives_count", "«usable» && claim.role", "true"),
    backend("standbys_are_actives", "usable && «claim.role == Some(Role::Active)» &&", "claim.role.is_some()"),
    backend("who_asks_to_be_left_is_an_active", "Some(Role::Active) && «!claim.is_unwilling()»", "true"),
    dual("dual_ends_the_watch", "«out.push(Effect::DualActive)»;", "self.verifying = None; out.push(Effect::DualActive)"),
    dual("dual_unsaid", "«out.push(Effect::DualActive)»;", ""),
    dual("end_of_dual_unsaid", "«out.push(Effect::DualActiveCleared { by_operator: false })»;", ""),
    dual("dual_never_ends", "if «count < 2» => {", "false"),
    dual("dual_began_at_the_start", "let since = «self.now»;", "self.started"),
    dual("acceptance_ignored", "is_some_and(|dual| «!dual.accepted»)", "true"),
    dual("acceptance_is_for_ever", "if «count < 2» => {", "count < 2 && !accepted"),
    dual("accepted_from_the_start", "since, accepted: «false» });", "true"),
    dual("end_said_twice", "if «!accepted» {", "true"),
    dual("accepted_twice", "&& «!mem::replace(&mut dual.accepted, true)»", "{ dual.accepted = true; true }"),
    dual("acceptance_unsaid", "«out.push(Effect::DualActiveCleared { by_operator: true })»;", ""),
    orders("unlock_accepts_nothing", "        «self.accept_two_actives(out)»;", ""),
    // Who.
    rules("never_fails_back", "return «self.ripe().or(self.active)»;", "self.active"),
    rules("lower_priority_first", "«self.backends.iter().filter(free).map(|b| b.id).find(|&id| self.may_serve(id))»", "self.backends.iter().filter(free).map(|b| b.id).filter(|&id| self.may_serve(id)).last()"),
    rules("lock_ignored_by_failover", "«!self.frozen() || Some(b.id) == self.last»", "true"),
    rules("lock_never_comes_back", "|| «Some(b.id) == self.last»", "false"),
    rules("start_does_not_wait", "«!self.served && (awaits_word || self.above(first).any(|b| self.is_awaited(b.id)))»", "false"),
    rules("start_waits_for_anyone", "«self.above(first).any(|b| self.is_awaited(b.id))»", "self.backends.iter().any(|b| self.is_awaited(b.id))"),
    backend("start_waits_for_maintenance", "self.health == Health::Unknown && «self.admin == AdminState::Ready»", "true"),
    rules("grace_at_every_failover", "«!self.served» && (awaits_word ||", "true"),
    rules("grace_never_ends", "let in_grace = «self.now < self.grace_end()»;", "true"),
    rules("keeps_the_last_unasked", "AllDown::Reject => «None», // rule 10", "self.last"),
    rules("never_keeps_the_last", "«self.last.filter(|&id| self.may_be_kept(id))»", "None"),
    rules("keeps_the_last_in_maintenance", "«b.admin == AdminState::Ready» && b.health", "true"),
    rules("keeps_the_last_unchecked", "b.admin == AdminState::Ready && «b.health != Health::Unknown»;", "true"),
    rules("keeps_the_last_before_all_are_known", "let awaits = «!self.served && self.backends.iter().any(|b| self.is_awaited(b.id))»;\n        let known", "false"),
    rules("reload_reason_lost", "} else if «reloaded» ||", "false"),
    rules("reload_reason_lost_under_hold", "«self.switching.is_by_reload(self.active_is_eligible())»", "false"),
    switch("reload_reason_kept_for_ever", "s.reason == Reason::Reload && «s.planned == planned»", "true"),
    rules("recovery_called_failover", "} else if «self.active.is_none()» {", "false"),
    rules("drill_called_failover", "} else if «self.active_is_eligible()» {\n            Reason::Drill", "false"),
    rules("failover_after_restart_called_startup", "if «!self.served && last.is_some_and(|b| b.has_failed(&self.policy))» {", "false"),
    rules("one_look_a_step", "if «self.epoch != epoch» {", "false"),
    // Failback.
    failback("earliest_failback_first", "«self.higher().find(|b| self.blockers(b).is_empty()).map(|b| b.id)»", "self.higher().filter(|b| self.blockers(b).is_empty()).min_by_key(|b| b.eligible_since()).map(|b| b.id)"),
    failback("pin_ignored", "if «self.pinned» {", "false"),
    failback("lock_ignored_by_failback", "if «self.locked» {", "false"),
    failback("fails_back_at_once", "if «self.now < until» {", "false"),
    failback("fails_back_too_late", "if «self.now < until» {", "self.now <= until"),
    failback("manual_moves_by_itself", "Failback::Manual => return «blockers.push(Blocker::Manual)»,", "()"),
    failback("never_moves_by_itself", "Failback::Never => return «blockers.push(Blocker::Never)»,", "()"),
    failback("never_fails_back_by_order", "if «self.policy.failback == Failback::Never» {", "false"),
    failback("passes_ignored", "if «need > 1 && have < need» {", "false"),
    failback("one_pass_too_few", "«have < need» {", "have + 1 < need"),
    failback("one_pass_matters", "if «need > 1» && have", "need > 0"),
    failback("window_ignored", "if «conditions.windowed && !self.window_open» {", "false"),
    failback("window_always_needed", "if «conditions.windowed» && ", "true"),
    failback("window_never_opens", "&& «!self.window_open» {", "true"),
    rules("window_starts_open", "window_open: «false»,", "true"),
    rules("window_stays_open", "self.window_open = «open»,", "open || self.window_open"),
    failback("requests_ignored", "if let Some(below) = «conditions.in_flight_below»", "None::<usize>"),
    failback("as_many_requests_as_the_limit", "«requests >= below»", "requests > below"),
    rules("old_figures_used", "«self.in_flight = None»;\n        self.pinned", ""),
    failback("figure_needed_under_hold", "&& «!self.fails_back()»", "true"),
    failback("any_move_needs_no_figure", "«self.order.is_none() && (waits || switch.is_some_and(|s| s.planned && by_rule(s.reason)))»", "waits || switch.is_some()"),
    failback("figure_never_asked_for", "«self.switching.under_way.is_none() && self.higher().any(only_that)»", "false"),
    failback("figure_asked_for_under_hold", "«self.switching.under_way.is_none()» && self", "true"),
    failback("watched_move_failed_back_from", "if let Some(verifying) = «&self.verifying» {", "&None"),
    failback("no_pause", "if let Some(until) = «self.switching.paused_until» {", "None"),
    failback("drill_unsaid", "«blockers.push(Blocker::Drill { until: drill.until })»;", ""),
    failback("policy_asked_after_a_drill", "} else if «self.drilled != Some(backend.id)» {", "true"),
    failback("switching_unsaid", "«blockers.push(Blocker::Switching)»;", ""),
    failback("due_is_the_first", "due.and_then(|times| «times.into_iter().max()»)", "times.into_iter().min()"),
    // Orders.
    orders("switchover_to_anyone", "«self.may_be_ordered(to)?»;\n", ""),
    rules("switchover_does_not_stay", "self.pinned = «matches!(reason, Reason::Switchover | Reason::Return)»\n", "(reason == Reason::Return)"),
    rules("pin_lost_by_gates_that_led_nowhere", "            || «is_back»\n", "false"),
    rules("return_does_not_stay", "self.pinned = «matches!(reason, Reason::Switchover | Reason::Return)»\n", "(reason == Reason::Switchover)"),
    rules("pin_outlives_its_backend", "«self.pinned &= self.active_is_eligible()»;", ""),
    orders("failback_by_order_keeps_the_pin", "self.pinned = «order.reason == Reason::Switchover»;", "self.pinned || order.reason == Reason::Switchover"),
    orders("switchover_to_the_active_does_not_pin", "self.pinned = «order.reason == Reason::Switchover»;", "false"),
    orders("pin_does_nothing", "self.active.ok_or(Refusal::NothingActive)?)?;\n                «self.pinned = true»;", ""),
    orders("pin_during_a_move", "if «self.switching.under_way.is_some()» || self.order", "false"),
    orders("unpin_does_nothing", "                «self.pinned = false»;\n                self.resuming", ""),
    orders("unpin_forgets_the_resumption", "«self.resuming = self.resuming.map(Resuming::unpinned)»;", ""),
    failback("failback_by_order_obeys_the_lock", "«first.map(|b| b.id).ok_or(Refusal::NotEligible)»", "self.first_free().ok_or(Refusal::NotEligible)"),
    rules("refusal_unsaid", "«out.push(Effect::Rejected { why })»;", ""),
    rules("order_outlives_its_backend", "«self.order = self.order.filter(|order| self.may_serve(order.to))»;", ""),
    rules("order_forgotten_under_hold", "return «(Some(order.to), order.reason)»; // rule 1", "(self.choose(), order.reason)"),
    orders("first_order_wins", "self.order = «Some(order)».filter", "self.order.or(Some(order))"),
    orders("order_to_the_active_moves_on", "self.order = «Some(order).filter(|order| Some(order.to) != self.active)»;", "Some(order).filter(|order| Some(order.to) != self.active).or(self.order)"),
    orders("order_to_the_active_keeps_the_watch", "            «self.verifying = None»;\n            self.pinned", ""),
    orders("order_leaves_the_drill", "«self.end_drill(true, out)»;\n        self.drilled", ""),
    orders("order_leaves_the_return_from_a_drill", "«self.drilled = None»;\n        self.order", ""),
    orders("lock_keeps_the_watch", "                «self.verifying = None»;\n                self.lock", ""),
    // The switch.
    switch("no_hold", "to.filter(|_| «self.active.is_some() || drain.is_some()»)", "false"),
    switch("moves_before_all_hold", "match «acknowledged.or(overdue)» {", "acknowledged.or(overdue).or(Some(true))"),
    switch("never_moves", "                «self.arrive(Some(to), reason, drained, out)»;", ""),
    switch("planned_goes_on_without", "Some(false) if «planned» => {", "false"),
    switch("unplanned_called_off", "Some(false) if «planned» => {", "true"),
    switch("planned_unsaid", "let planned = «self.active_is_eligible()»;\n        let Some(switch)", "false"),
    switch("waits_for_ever", "let overdue = «(self.now >= switch.until).then_some(false)»;", "None"),
    switch("overdue_is_a_yes", "then_some(«false»)", "true"),
    switch("deadline_without_the_drain", "«drain.unwrap_or_default()».saturating_add", "Duration::ZERO"),
    switch("sleeps_through_the_deadline", "let answer = «self.under_way.map(|s| s.until)»;", "None"),
    switch("sleeps_through_the_pause", ".chain(«self.paused_until»)", "None"),
    switch("older_answers_count", "filter(|switch| «switch.number == number»)", "true"),
    switch("every_answer_is_a_yes", ".map(|_| «all»)", "true"),
    switch("numbers_repeat", "«self.switching.holds += 1»;", "self.switching.holds = 1"),
    switch("old_heir_kept", "«(switch.to, switch.reason, switch.planned) = (to, reason, planned)»;", ""),
    switch("release_unsaid", "«out.push(Effect::Release { switch: number, why })»;", ""),
    switch("heir_lost_unsaid", "if «lost» {", "false"),
    switch("called_off_but_still_ordered", "        «self.order = None»;\n        out.push", ""),
    switch("no_pause_after_a_lost_answer", "«self.switching.paused_until = Some(after(self.now, PAUSE))»;", ""),
    switch("pause_never_ends", "«self.paused_until = self.paused_until.filter(|&until| now < until)»;", ""),
    switch("hold_at_the_start", "to.filter(|_| «self.active.is_some() || drain.is_some()»)", "true"),
    switch("hold_survives_nobody", "        «self.switching.under_way = None»;\n        if drained", ""),
    // Exclusive moves.
    switch("no_drain", "«(self.active.is_some() || left_elsewhere).then_some(exclusive.drain)»", "None"),
    switch("always_drains", "«(self.active.is_some() || left_elsewhere).then_some(exclusive.drain)»", "Some(exclusive.drain)"),
    switch("no_drain_after_nobody", "(«self.active.is_some() || left_elsewhere»).then", "self.active.is_some()"),
    switch("drains_before_the_same", "any(|&id| «id != to»)", "true"),
    switch("drain_from_the_active_only_if_others_are_left", "(«self.active.is_some()» || left_elsewhere)", "false"),
    switch("lost_drain_is_over", "let drained = «all && switch.drain.is_some()»;", "switch.drain.is_some()"),
    switch("hold_without_drain_drains", "let drained = «all && switch.drain.is_some()»;", "all"),
    switch("drained_but_remembered", "«self.switching.stragglers.clear()»;", ""),
    switch("stragglers_forgotten", "            «self.switching.note_straggler(from)»;", ""),
    switch("one_straggler_is_enough", "«self.stragglers.len() < 2» &&", "self.stragglers.is_empty()"),
    switch("reload_to_exclusive_keeps_the_hold", "if «drain.is_some() && switch.drain.is_none()» {", "false"),
    switch("reload_from_exclusive_holds_again", "drain.is_some() && «switch.drain.is_none()» {", "true"),
    // Verification.
    verify("nothing_watched", "let order = order.filter(|order| «!order.verify.is_zero()»);", "false"),
    verify("all_watched", "let order = order.filter(|order| «!order.verify.is_zero()»);", "true"),
    verify("any_epoch_answers", "&& «verifying.epoch == epoch»", "true"),
    verify("answers_said_twice", "&& «!verifying.answered»", "true"),
    verify("answer_forgotten", "«verifying.answered = true»;", ""),
    verify("silence_is_no_failure", "(«silent» || !serves)", "false"),
    verify("answer_makes_invulnerable", "(silent || «!serves»)", "false"),
    verify("silence_too_late", "let silent = «self.now >= until»;", "self.now > until"),
    verify("returns_to_the_dead", "&& !paused && «self.may_serve(origin)»)", "true"),
    verify("return_without_a_pause", "&& «!paused» && self.may_serve(origin)", "true"),
    verify("pause_holds_a_needed_return", "let paused = «serves» && self", "true"),
    verify("watched_for_ever", "«self.now < v.until» ||", "true"),
    verify("answers_do_not_count", "(«!v.answered» && way_back(v)", "true"),
    verify("watch_ends_without_a_return", "(«!v.answered && way_back(v)»)", "false"),
    verify("waits_for_a_way_back", "(!v.answered && «way_back(v)»)", "true"),
    rules("sleeps_through_the_watch", "«self.verifying.as_ref().map(|v| v.until)»,", "None"),
    // Drills.
    rules("drilled_may_serve", "self.eligible(id).is_ok() && «!self.is_drilled(id)»", "true"),
    drill("second_drill", "(«self.drill.is_some()», Refusal::Drilling)", "false"),
    drill("drill_during_a_move", "(«self.switching.under_way.is_some()» ||", "false"),
    drill("drill_of_a_watched_move", "(«self.verifying.is_some()», Refusal::Verifying)", "false"),
    drill("drill_of_a_locked_service", "(«self.frozen()», Refusal::Locked)", "self.is_dual()"),
    drill("drill_of_a_service_with_two_actives", "(«self.frozen()», Refusal::Locked)", "self.locked"),
    drill("drill_of_a_pinned_service", "(«self.pinned», Refusal::Pinned)", "false"),
    drill("drill_without_a_standby", "«b.id != backend» && self.may_serve(b.id)", "true"),
    drill("drill_unsaid", "«out.push(Effect::DrillBegan { backend, until })»;", ""),
    drill("end_of_drill_unsaid", "«out.push(Effect::DrillEnded { backend, early })»;", ""),
    drill("drill_never_ends", "let over = «self.now >= until»;", "false"),
    drill("drill_ends_late", "let over = «self.now >= until»;", "self.now > until"),
    drill("drill_leaves_nobody", "let alone = «self.first_free().is_none() && !awaits»;", "false"),
    drill("resumed_drill_does_not_wait", "self.first_free().is_none() && «!awaits»;", "true"),
    drill("drill_waits_for_nobody_known", "let awaits = «!self.served» && self", "true"),
    drill("drill_of_a_removed_one", "|| «self.backend(backend).is_none()» {", "false"),
    drill("early_unsaid", "self.end_drill(«!over», out)", "false"),
    drill("no_return_from_a_drill", "self.drilled = «Some(backend)»;", "None"),
    drill("returns_although_pinned", "let free = «!self.pinned» && ", "true"),
    drill("returns_although_locked", "!self.pinned && «!self.frozen()» &&", "!self.is_dual()"),
    drill("returns_although_two_are_active", "!self.pinned && «!self.frozen()» &&", "!self.locked"),
    drill("returns_when_it_is_back_some_day", "free && («self.may_serve(*id) || self.is_awaited(*id)»)", "true"),
    drill("resumed_return_not_awaited", "|| «self.is_awaited(*id)»)", "false"),
    drill("return_without_a_pause_after_a_drill", "filter(|&id| «!paused» && self", "true"),
    drill("order_of_the_drill_outlives_it", "«self.order = self.order.filter(|order| order.reason != Reason::Drill)»;", ""),
    drill("called_off_drill_goes_on", "if «self.active.is_some_and(|active| self.is_drilled(active))» {", "false"),
    damping("drill_ends_a_row", "if «reason == Reason::Drill» ||", "false"),
    rules("sleeps_through_the_end_of_the_drill", "«self.drill.as_ref().map(|d| d.until)»,", "None"),
    rules("drilled_is_awaited", "let may = «!self.is_drilled(id)» && !self.is_kept", "true"),
    // Restarts.
    rules("restart_is_a_failback", "if «self.resuming.is_some()» {", "false"),
    resume("one_lost_probe_after_a_restart_decides", "last.has_served = «true»;", "false"),
    resume("all_are_given_more_than_one_probe", "find(|b| «Some(b.id) == resumed.last»)", "true"),
    resume("restart_waits_for_ever", "«self.resuming = self.resuming.filter(|_| self.last.is_some_and(hope))»;", ""),
    resume("restart_waits_for_nobody", "«self.may_serve(id) || self.is_awaited(id)»;", "self.may_serve(id)"),
    resume("epoch_begins_anew", "resumed.gates.number) = «(saved.epoch, saved.epoch)»;", "(0, 0)"),
    resume("lock_forgotten", "resumed.locked = «saved.locked»;", "false"),
    resume("pin_forgotten", "let pinned = «saved.pinned» && ", "false"),
    resume("what_others_have_forgotten", "            «resumed.switching.note_straggler(active)»;", "()"),
    resume("flaps_forgotten", "{ 0 } else { «saved.flaps» }", "0"),
    resume("failback_forgotten", "resumed.failed_back = «saved.failed_back.and_then(|(id, age)| Some((id, ago(age)?)))»;", "None"),
    resume("switches_forgotten", "resumed.recent = «saved.switches.into_iter().filter_map(ago).collect()»;", "vec![]"),
    resume("wishes_forgotten", "                «backend.set_admin(now, admin, &resumed.policy)»;", "false"),
    resume("drill_forgotten", "resumed.drill = «drill.map(|(backend, rest)| Drill { backend, until: after(now, rest) })»;", "None"),
    resume("drill_begins_anew", "d.until.saturating_duration_since(«now»)", "self.started"),
    resume("owed_return_not_saved", "drill: «running.or(self.drilled.map(|id| (id, Duration::ZERO)))»,", "running"),
    resume("waiting_pin_not_saved", "pinned: «self.pinned || self.resuming.is_some_and(|resuming| resuming.pinned)»,", "self.pinned"),
    resume("active_saved_instead_of_last", "active: «self.last»,", "self.active"),
    resume("ages_not_saved", "self.recent.iter().map(|&at| «age(at)»)", "Duration::ZERO"),
    rules("pin_not_resumed", "|| «resumes.is_some_and(|resumes| resumes.pinned)»;", "false"),
    rules("pin_resumed_by_anybody", "self.resuming.take().filter(|_| «to == self.last»);", "true"),
    rules("flap_during_a_restart_forgotten", "self.last.filter(|_| «!self.served» || by_gates)", "false"),
    damping("serving_again_ends_the_row", "|| «(to.is_some() && to == left)» {", "false"),
    // Previews.
    preview("preview_without_moves", "let mut moves = «copy.coming()»;", "None"),
    preview("preview_never_refuses", "Effect::Rejected { why } => «return Err(why)»,", "{}"),
    preview("preview_of_a_past_failback", "failback: «copy.pending_failback()»", "self.pending_failback()"),
    // Gates.
    gates("gates_are_skipped", "if «steps.is_empty()» {", "true"),
    gates("gates_run_beside_each_other", "if «self.is_held_up(to)» {\n            self.leave", "false"),
    gates("active_while_gates_run", "            «self.leave(reason, out)»;\n            let epoch", "()"),
    gates("traffic_after_the_first_gate", "let Some(&(gate, backend)) = «steps.front()» else", "steps.front().filter(|_| self.gates.tried.is_empty())"),
    gates("standbys_are_fenced", "others.filter(|b| «b.standing != Standing::Standby»)", "true"),
    gates("nobody_is_fenced", "others.filter(|b| «b.standing != Standing::Standby»)", "false"),
    gates("unsure_is_not_fenced", "others.filter(|b| «b.standing != Standing::Standby»)", "b.standing == Standing::Holds"),
    gates("who_holds_is_promoted_again", "if «self.standing(to) != Some(Standing::Holds)» {", "true"),
    gates("nobody_is_promoted", "if «self.standing(to) != Some(Standing::Holds)» {", "false"),
    gates("heir_is_fenced", "filter(|b| «b.id != to»)", "true"),
    gates("failback_by_the_list_of_failovers", "if «!self.active_is_eligible()» {\n            return Direction::Failover", "true"),
    gates("failover_by_the_list_of_failbacks", "if «!self.active_is_eligible()» {\n            return Direction::Failover", "false"),
    gates("switchover_by_the_list_of_failbacks", "Reason::Switchover => «Direction::Switchover»,", "Direction::Failback"),
    gates("drill_by_the_list_of_failbacks", "Reason::Drill if «self.order.is_some()» =>", "false"),
    gates("return_from_a_drill_by_the_list_of_switchovers", "Reason::Drill if «self.order.is_some()» =>", "true"),
    gates("made_up_fence_holds_up_its_active", "u.kind != Kind::Owed || «u.run.to != to»;", "true"),
    gates("made_up_fence_holds_up_nobody", "«u.kind != Kind::Owed || u.run.to != to»;", "u.kind != Kind::Owed"),
    gates("heir_is_not_kept", "let attempt = «self.gates.attempt.as_ref()»?;\n        Some", "None::<&Attempt>"),
    gates("lost_heir_is_kept", "filter(|&(to, _)| «self.may_serve(to)»)", "true"),
    gates("number_is_used_again", "«self.gates.number += 1»;", "self.gates.number = self.epoch + 1"),
    gates("watch_outlives_the_leaving", "«(self.verifying, self.pinned) = (None, false)»;", "self.pinned = false"),
    gates("leaving_for_gates_untold", "«out.push(Effect::ActiveChanged { from, to: None, reason, epoch: self.epoch })»;", ""),
    gates("gate_untold", "«out.push(Effect::RunGate { run, again })»;\n    }\n\n    /// The", ""),
    gates("repetition_unsaid", "let again = «self.tried(run.gate, run.backend).is_some()»;", "false"),
    gates("any_gate_ends_the_one_under_way", "|u: &mut UnderWay| «u.run == run» &&", "true"),
    gates("doubt_ends_by_itself", "u.run == run && «u.phase == Phase::Runs»;", "true"),
    gates("best_effort_is_required", "(GateResult::Done, _) | (_, Need::BestEffort) => «true»,", "result == GateResult::Done"),
    gates("unreachable_is_a_failure", "(GateResult::Unreachable, Need::IfReachable) => «true»,", "false"),
    gates("required_may_be_unreachable", "(GateResult::Unreachable | GateResult::Failed, Need::Required) => «false»,", "result == GateResult::Unreachable"),
    gates("if_reachable_may_fail", "(GateResult::Failed, Need::IfReachable) => «false»,", "true"),
    gates("continue_ends_the_attempt", "|| «rule.on_failure == OnFailure::Continue»;", "false"),
    gates("every_failure_goes_on", "|| «rule.on_failure == OnFailure::Continue»;", "true"),
    gates("failure_of_a_replaced_attempt_counts", "None if goes_on || «kind == Kind::Step» => {}", "false"),
    gates("failure_after_a_restart_does_not_count", "None if goes_on || «kind == Kind::Step» => {}", "true"),
    gates("failed_heir_is_not_barred", "            «backend.barred = true»;", ""),
    gates("bar_unsaid", "            «out.push(Effect::Barred { backend: heir })»;", ""),
    gates("abort_does_not_lock", "OnFailure::Abort => «self.lock(out)»,", "()"),
    gates("next_standby_locks", "OnFailure::Continue | OnFailure::NextStandby => «{}»\n", "self.lock(out)"),
    gates("idempotent_gate_waits_for_an_operator", "let again = «self.rule(run.direction, run.gate).is_some_and(|rule| rule.idempotent)»;", "false"),
    gates("any_gate_runs_again", "let again = «self.rule(run.direction, run.gate).is_some_and(|rule| rule.idempotent)»;", "true"),
    gates("resumed_repetition_unsaid", "out.push(Effect::RunGate { run: *run, again: «true» });", "false"),
    gates("doubt_unsaid", "«out.push(Effect::GateInDoubt { run: *run })»;", ""),
    gates("doubt_said_again_and_again", "                «*told = true»;", ""),
    gates("made_up_fence_is_forgotten_to_be_one", "let kind = if «owed» {", "false"),
    gates("every_resumed_gate_was_made_up", "let kind = if «owed» {", "true"),
    gates("gate_of_the_gone_stays", "u.phase != Phase::Runs && «!(here(u.run.backend) && here(u.run.to))»;", "false"),
    gates("who_was_not_fenced_is_as_before", "            «self.stands(run.backend, Standing::Unsure { repeatable: false })»;", ""),
    gates("settled_without_a_doubt", "let in_doubt = |u: &mut UnderWay| «u.is_in_doubt()»;", "true"),
    gates("settled_as_failed_is_done", "Settlement::Failed => self.ended(under_way, «GateResult::Failed», out)", "GateResult::Done"),
    gates("settled_again_is_forgotten", "«self.gates.under_way = Some(UnderWay { phase: Phase::Again, ..under_way })»;", ""),
    standing("done_but_not_harmless", "                    «self.stands(id, Standing::Standby)»;", ""),
    standing("half_is_harmless", "«others.copied().all(|r| done(&r))»", "true"),
    standing("failed_fence_is_no_matter", "                «self.stands(id, Standing::Unsure { repeatable })»;", ""),
    standing("failed_fence_is_always_repeatable", "GateResult::Failed => «idempotent(gate)»,", "true"),
    standing("failed_fence_is_never_repeatable", "GateResult::Failed => «idempotent(gate)»,", "false"),
    standing("unreachable_is_not_repeatable", "GateResult::Done | GateResult::Unreachable => «true»,", "result == GateResult::Done"),
    standing("promoted_before_it_is_verified", "GateResult::Done) if «is_last» =>", "true"),
    standing("failed_promotion_is_no_matter", "(Gate::Promote | Gate::Verify, _) => «self.stands(id, unsure)»,", "()"),
    gates("repeated_promotion_never_began", "GateResult::Unreachable && «kind != Kind::Resumed»;", "true"),
    standing("promotion_that_never_began_is_unsure", "if «never_began» =>", "false"),
    standing("two_hold_the_role", "Standing::Standby | Standing::Holds => «Standing::Standby»,", "backend.standing"),
    standing("unsure_is_forgotten", "Standing::Unsure { .. } if «forget» =>", "true"),
    standing("unsure_outlives_all_gates", "Standing::Unsure { .. } if «forget» =>", "false"),
    standing("bar_is_no_matter", "|| «self.backend(id).is_some_and(|b| b.barred)»", "false"),
    standing("age_is_no_matter", "«self.last != Some(id) && self.backend(id).is_some_and(|b| b.stale)»", "false"),
    standing("last_active_may_be_too_old", "«self.last != Some(id)» && self.backend", "true"),
    standing("nothing_is_made_up_for", "«owed» || id == to", "false"),
    standing("fence_is_tried_without_a_pause", "passed.filter(|_| «self.gates.owed_after.is_none()»)", "true"),
    gates("no_pause_after_a_fence_in_vain", "«self.gates.owed_after = Some(after(self.now, OWED_PAUSE))»;", ""),
    standing("pause_of_fences_never_ends", "self.gates.owed_after.filter(|&at| «self.now < at»)", "true"),
    standing("done_is_repeated", "find(|r| «self.tried(r.gate, id) != Some(GateResult::Done)»)", "true"),
    standing("failed_is_repeated", "if «self.tried(gate, id) == Some(GateResult::Failed) && !idempotent» {", "false"),
    standing("fence_is_made_up_for_during_a_move", "|| «moves» ||", "false"),
    gates("only_the_first_owed_gate_is_made_up_for", "self.gates.made_up = «Some(run.backend)»,", "None"),
    rules("planned_anew_only_after_the_attempt", "            «self.gates.attempt = None»;\n        }\n        self.policy", ""),
    rules("gates_do_not_lead_to_a_failover", "let fell = «self.gates.left == Some(Reason::Failover) && to != self.last»;", "false"),
    rules("recovery_after_gates_called_failover", "Some(Reason::Failover) && «to != self.last»;", "true"),
    rules("who_arrives_does_not_hold", "«to.into_iter().for_each(|to| self.takes_the_role(to))»;", ""),
    rules("nobody_holds_at_first", "«backends.first().into_iter().for_each(|&first| failover.takes_the_role(first))»;", ""),
    rules("flap_through_gates_forgotten", "!self.served || «by_gates»)", "false"),
    rules("kept_out_is_awaited", "&& «!self.is_kept_out(id)»;\n        in_grace", "true"),
    rules("kept_out_is_kept", "fit && !awaits && «!self.is_kept_out(id)»", "true"),
    orders("unlock_keeps_the_bars", "for_each(|b| «b.barred = false»);\n        if", "()"),
    orders("order_obeys_the_bar", "for_each(|b| «b.barred = false»);\n        self.end_drill", "()"),
    orders("ordered_while_in_doubt", "if «self.gate_in_doubt()» &&", "false"),
    orders("order_ignores_the_age", "if «self.is_too_old(to)» {", "false"),
    orders("pin_while_an_order_waits", "|| «self.order.is_some()» {", "false"),
    drill("drill_while_in_doubt", "(«self.gate_in_doubt()», Refusal::InDoubt)", "false"),
    resume("standings_forgotten", "backend.standing = «known.map(|&(_, standing)| standing).unwrap_or_default()»;", "Standing::Standby"),
    resume("bars_forgotten", "backend.barred = «saved.barred.contains(&backend.id)»;", "false"),
    resume("gate_forgotten", "if let Some(run) = «saved.gate» {", "None::<GateRun>"),
    resume("reserved_numbers_not_saved", "epoch: «self.gates.number»,", "self.epoch"),
    resume("who_took_the_role_is_forgotten", "(Some(only), None) => «only.id»,", "active"),
    resume("without_standings_the_first_holds", "«active.into_iter().for_each(|active| self.takes_the_role(active))»;", ""),
    failback("bar_blocks_no_failback", "if «backend.barred» {", "false"),
    failback("age_unsaid", "«blockers.push(Blocker::Stale)»;", ""),
    failback("gate_unsaid", "«blockers.push(Blocker::Gate)»;", ""),
    failback("job_unsaid", "«blockers.push(Blocker::Job { until })»;", ""),
    failback("figure_needed_while_a_job_runs", "(«waits» || switch.is_some_and(", "false"),
    preview("preview_without_gates", "let gates = «plan(to, reason)»;", "Vec::new()"),
    status("gate_unsaid_in_the_status", "gate: «self.gate_status()»,", "None"),
    // Jobs.
    switch("job_does_not_matter", "let for_job = «self.switching.busy»;", "None"),
    switch("job_holds_for_ever", "is_some_and(|limit| «self.now < after(since, limit)»);", "true"),
    switch("job_holds_what_is_not_planned", "if «planned» && self.has_to_wait", "true"),
    switch("patience_begins_anew", "let since = «waited.map_or(self.now, |waited| waited.since)»;", "self.now"),
    switch("gate_does_not_hold_planned_moves", "let gate = «self.gates.under_way.is_some()»;\n        let job", "false"),
    switch("reload_reason_lost_while_a_job_runs", "        «waits» || self.under_way.is_some_and(goes)", "false"),
    switch("sleeps_through_the_end_of_the_patience", ".chain(«waits»).min()", "None"),
    switch("attempt_outlives_its_heir", "«self.gates.attempt.take_if(|attempt| Some(attempt.to) != to)»;", "None"),
    switch("hold_between_gates", "to.filter(|_| «!held»)", "true"),
    rules("patience_ends_before_the_job", "Input::Busy(limit) => self.switching.busy = «limit»,", "limit.map(|_| Duration::ZERO)"),
    // Moves.
    gates("epoch_stands_still", "«self.gates.number += 1»;", "self.gates.number = 1"),
    rules("last_forgotten", "self.last = «to.or(self.last)»;", "to"),
    // Damping.
    damping("no_damping", "«self.flaps = self.flaps.saturating_add(1)»;", ""),
    damping("damping_never_ends", "self.failed_back = None;\n            «self.flaps = 0»;", ""),
    damping("probation_never_ends", "«now >= after(at, window)»", "false"),
    damping("no_cap", ".min(«self.policy.damping.cap.max(hold_down)»)", "Duration::MAX"),
    damping("cap_shortens", ".min(«self.policy.damping.cap.max(hold_down)»)", "self.policy.damping.cap"),
    damping("every_failover_is_a_flap", "if «failed_back» && fell {", "true"),
    damping("draining_is_a_flap", "if failed_back && «fell» {", "true"),
    damping("flaps_of_others_count", "is_some_and(|(id, _)| «Some(id) == left»)", "true"),
    orders("unlock_keeps_the_flaps", "«self.flaps = 0»;\n            self.recent", ""),
    orders("unlock_keeps_the_switches", "«self.recent.clear()»;\n            out.push", ""),
    orders("lock_said_twice", "if «!mem::replace(&mut self.locked, true)» {", "self.locked = true; true"),
    // The lock rule.
    damping("never_locks_itself", "            «self.lock(out)»;\n", ""),
    damping("locks_one_move_late", "«self.recent_switches() >= rule.switches.max(1) as usize»", "self.recent_switches() > rule.switches.max(1) as usize"),
    damping("old_moves_count", "retain(|&at| «now < after(at, rule.within)»)", "true"),
    damping("moves_count_one_moment_too_long", "retain(|&at| «now < after(at, rule.within)»)", "now <= after(at, rule.within)"),
    damping("moves_are_kept_for_ever", "drain(..«self.recent.len().saturating_sub(most)»);", "0"),
    damping("moves_are_kept_without_a_rule", "else { return «self.recent.clear()» };", "()"),
    rules("orders_count", "let by_itself = «order.is_none()» && ", "true"),
    rules("every_reason_counts", "order.is_none() && «matches!(reason, Reason::Failover | Reason::Failback)»;", "true"),
    rules("locks_with_nobody_active", "if by_itself && «to.is_some()» {", "true"),
    // Reload.
    rules("reload_forgets_health", "«known.unwrap_or_else(|| Backend::new(id))»", "Backend::new(id)"),
    rules("reload_keeps_the_old_policy", "«self.policy = policy»;\n", ""),
    rules("reload_keeps_a_removed_last", "«self.last = self.last.filter(|&id| self.backend(id).is_some())»;", ""),
    rules("reload_keeps_the_old_order", "let mut old = «mem::take(&mut self.backends)»;", "self.backends.clone()"),
    rules("no_window_keeps_the_flaps", "if «self.policy.damping.window.is_zero()» {", "false"),
    // Time.
    rules("wakes_in_the_past", ".filter(|&at| «at > self.now»).min()", "true"),
    rules("sleeps_through_the_grace", "«self.grace_matters().then(|| self.grace_end())»,", "None"),
    rules("sleeps_through_the_failback", "«self.failback_nears()»,", "None"),
    rules("sleeps_through_the_end_of_the_row", "«self.settles_at()»,", "None"),
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
    for file in MORE_CHECKS {
        let text = fs::read_to_string(root().join("tests").join(file)).unwrap();
        fs::write(scratch.join(file), text).unwrap();
    }
    fs::write(scratch.join("main.rs"), MAIN).unwrap();

    let checks = scratch.join("checks");
    let mut compile = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    compile.args(["--test", "--edition", "2024", "--crate-name", "checks"]);
    compile
        .args(["-C", "opt-level=1", "-C", "debuginfo=0", "-C", "debug-assertions=on", "-o"])
        .arg(&checks);
    let said = finish(compile.arg(scratch.join("main.rs")), &scratch.join("compile.log"));
    assert!(checks.exists(), "the copy does not compile:\n{said}");

    let failed = failed_checks(&checks, "nothing", "");
    assert!(failed.is_empty(), "the checks fail without any break: {failed:?}");
    let mut missed = vec![];
    for Break { name, .. } in BREAKS {
        // The scenarios take no time; what none of them notices is for the simulations.
        let scenarios = failed_checks(&checks, name, "scenarios::");
        let all = if scenarios.is_empty() { failed_checks(&checks, name, "") } else { vec![] };
        println!("{name:48} {:3} scenarios {all:?}", scenarios.len());
        if scenarios.is_empty() && all.is_empty() {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "nobody noticed: {missed:?}");
}

/// The root of the copy.
const MAIN: &str = r#"
    #![allow(warnings)]
    extern crate self as routing;
    pub mod failover;
    #[cfg(test)]
    mod flapping;
    #[cfg(test)]
    mod protocol;
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

/// Runs the checks whose names contain `which` with this break; returns the names of those that
/// failed.
fn failed_checks(checks: &Path, broken: &str, which: &str) -> Vec<String> {
    let mut run = Command::new(checks);
    run.arg(which);
    run.env("BROKEN", broken).env("RUST_BACKTRACE", "0").env_remove("UNDERSTUDY_SEED");
    run.env("UNDERSTUDY_SEEDS", "48").env("UNDERSTUDY_STEPS", "300");
    let said = finish(&mut run, &checks.with_extension("log"));
    assert!(said.contains("test result:"), "{broken}: the checks did not finish:\n{said}");
    let failed = said.lines().filter_map(|line| {
        let check = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(check.trim_start_matches("failover::tests::").to_owned())
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
    root().join("src").join(relative)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
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
