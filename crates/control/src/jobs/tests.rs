//! When jobs run, and how old their successes are, on made-up clocks.

use std::path::PathBuf;

use config::model::{Action, ExecAction, Schedule, Tries};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// Some time in 2026.
const START: u64 = 1_790_000_000_000;

fn job(name: &str, schedule: Schedule) -> Job {
    let deadline = Duration::from_secs(60);
    let exec = ExecAction {
        command: vec!["/bin/true".into()],
        environment: Vec::new(),
        directory: None,
        output_bytes: 1_024,
    };
    Job {
        name: name.into(),
        action: Action::Exec(exec),
        tries: Tries { deadline, retries: 0, back_off: Duration::ZERO },
        idempotent: false,
        schedule,
        jitter: Duration::ZERO,
        to: JobTarget::Standbys { role: None },
        catch_up: true,
        move_waits: Duration::ZERO,
        max_age: None,
    }
}

fn every(name: &str, interval_ms: u64) -> Job {
    job(name, Schedule::Every(Duration::from_millis(interval_ms)))
}

/// One that names times, as a config says it.
fn cron(pattern: &str, time_zone: &str) -> Job {
    let text = format!(
        "listeners: [ {{ address: \"127.0.0.1:0\" }} ]\nservices:\n  web:\n    backends: [ {{ url: \
         \"http://127.0.0.1:1\" }} ]\n    jobs:\n      nightly: {{ exec: {{ command: [/bin/true] \
         }}, cron: \"{pattern}\", time_zone: {time_zone} }}\n"
    );
    let loaded = config::load("test.yaml", &text, &PathBuf::new());
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    loaded.config.services[0].jobs[0].clone()
}

fn at(time: &str, time_zone: &str) -> u64 {
    let time: DateTime = time.parse().unwrap();
    let time_zone = TimeZone::get(time_zone).unwrap();
    let at = time_zone.to_ambiguous_zoned(time).compatible().unwrap();
    at.timestamp().as_millisecond().try_into().unwrap()
}

fn table(jobs: &[&Job], saved: &SavedService, now_ms: u64) -> Timetable {
    Timetable::resume(jobs.iter().copied(), saved, now_ms, || 0.0).0
}

/// A table nothing is remembered of.
fn fresh(jobs: &[&Job]) -> Timetable {
    table(jobs, &SavedService::default(), START)
}

impl Timetable {
    fn turn(&mut self, now_ms: u64, may_run: bool) -> Option<String> {
        self.look(now_ms, |_| may_run, || 0.0).0.map(|name| name.to_string())
    }

    /// Runs it as soon as it may, and ends it at once.
    fn ran(&mut self, now_ms: u64) -> Option<String> {
        let name = self.turn(now_ms, true)?;
        self.began(&name, now_ms, 0.0);
        self.ended(&name, "done", "", Duration::ZERO);
        Some(name)
    }

    fn saved(&self) -> SavedService {
        let mut saved = SavedService::default();
        self.save(&mut saved);
        saved
    }
}

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn one_that_runs_at_intervals_begins_at_once_and_then_so_long_after_it_began() {
    let sync = every("sync", 10 * MINUTE);
    let mut table = fresh(&[&sync]);
    assert_eq!(table.ran(START), some("sync"));
    assert_eq!(table.ran(START + 10 * MINUTE - 1), None);
    assert_eq!(table.look_at_ms(), Some(START + 10 * MINUTE));
    // However long it takes, and however late it begins.
    assert_eq!(table.ran(START + 13 * MINUTE), some("sync"));
    assert_eq!(table.ran(START + 22 * MINUTE), None);
    assert_eq!(table.ran(START + 23 * MINUTE), some("sync"));
}

#[test]
fn one_without_a_schedule_never_runs_by_itself() {
    let mut table = fresh(&[&job("by hand", Schedule::Never)]);
    assert_eq!((table.ran(START + 1_000 * HOUR), table.look_at_ms()), (None, None));
}

#[test]
fn it_begins_later_by_a_part_of_its_jitter() {
    let jittery = Job { jitter: Duration::from_secs(60), ..every("sync", HOUR) };
    let mut table = fresh(&[&jittery]);
    table.began("sync", START, 0.5);
    table.ended("sync", "done", "", Duration::ZERO);
    assert_eq!(table.turn(START + HOUR, true), None);
    assert_eq!(table.turn(START + HOUR + 30 * SECOND, true), some("sync"));
}

#[test]
fn those_that_wait_go_in_the_order_of_their_times() {
    let (slow, quick) = (every("slow", HOUR), every("quick", MINUTE));
    let mut table = fresh(&[&slow, &quick]);
    assert_eq!(table.ran(START), some("slow"), "the order of the config, at the same time");
    assert_eq!(table.ran(START), some("quick"));
    assert_eq!(table.turn(START + 59 * MINUTE, true), some("quick"));
    // It waits while the other runs, and for as long as it takes.
    assert_eq!(table.turn(START + 62 * MINUTE, true), some("quick"));
    assert_eq!(table.ran(START + 63 * MINUTE), some("quick"));
    assert_eq!(table.ran(START + 63 * MINUTE), some("slow"));
}

#[test]
fn what_could_not_run_is_made_up_for_once_or_passed_over() {
    for catch_up in [true, false] {
        let sync = Job { catch_up, ..every("sync", 10 * MINUTE) };
        let mut table = fresh(&[&sync]);
        table.ran(START);
        let due = START + 10 * MINUTE;
        // A move under way for a moment does not matter to either.
        assert_eq!(table.turn(due, false), None);
        assert_eq!(table.clone().turn(due + 59 * SECOND, true), some("sync"));
        assert_eq!(table.look_at_ms(), (!catch_up).then_some(due + MINUTE + 1));
        assert_eq!(table.turn(due + 5 * MINUTE, false), None);
        let made_up = table.ran(due + 6 * MINUTE);
        assert_eq!(made_up.is_some(), catch_up);
        let since = if catch_up { due + 6 * MINUTE } else { due + 5 * MINUTE };
        assert_eq!(table.ran(since + 10 * MINUTE - 1), None);
        assert_eq!(table.ran(since + 10 * MINUTE), some("sync"));
    }
}

#[test]
fn a_time_at_which_nobody_was_running_is_made_up_for_or_passed_over() {
    for catch_up in [true, false] {
        let sync = Job { catch_up, ..every("sync", 10 * MINUTE) };
        let mut before = fresh(&[&sync]);
        before.ran(START);
        let saved = before.saved();
        let due = START + 10 * MINUTE;
        assert_eq!(table(&[&sync], &saved, due).ran(due + 30 * SECOND), some("sync"));
        let mut after = table(&[&sync], &saved, due + HOUR);
        assert_eq!(after.ran(due + HOUR).is_some(), catch_up);
        assert_eq!(after.ran(due + HOUR + MINUTE), None, "once");
        assert_eq!(after.ran(due + HOUR + 10 * MINUTE), some("sync"));
    }
}

#[test]
fn one_that_waits_for_its_turn_behind_another_is_not_passed_over() {
    let sync = Job { catch_up: false, ..every("sync", 10 * MINUTE) };
    let mut table = fresh(&[&sync]);
    assert_eq!(table.turn(START, true), some("sync"));
    assert_eq!(table.turn(START + HOUR, true), some("sync"));
}

#[test]
fn one_that_was_under_way_has_begun_and_nobody_knows_how_it_ended() {
    let sync = every("sync", 10 * MINUTE);
    let mut before = fresh(&[&sync]);
    before.began("sync", START, 0.0);
    let (mut after, lost) =
        Timetable::resume([&sync].into_iter(), &before.saved(), START + MINUTE, || 0.0);
    assert_eq!(lost, ["sync".into()]);
    assert_eq!(&*after.entries()[0].saved.outcome, "unknown");
    assert_eq!(after.ran(START + 9 * MINUTE), None);
    assert_eq!(after.ran(START + 10 * MINUTE), some("sync"));
    let (_, lost) = Timetable::resume([&sync].into_iter(), &after.saved(), START, || 0.0);
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_clock_that_was_set_does_not_stop_a_job_nor_run_it_twice() {
    let (sync, nightly) = (every("sync", 10 * MINUTE), cron("0 3 * * *", "Europe/Madrid"));
    let three = at("2026-06-10T03:00", "Europe/Madrid");
    let mut table = table(&[&sync, &nightly], &SavedService::default(), three - HOUR);
    assert_eq!(table.ran(three - HOUR), some("sync"));
    assert_eq!(table.ran(three), some("sync"));
    assert_eq!(table.ran(three), some("nightly"));
    // Back by a little: at intervals from now on, and no second night.
    assert_eq!(table.ran(three - SECOND), None);
    assert_eq!(table.ran(three), None);
    assert_eq!(table.ran(three + 10 * MINUTE - SECOND), some("sync"));
    // Back by a day: that night comes again.
    let yesterday = three - 24 * HOUR;
    assert_eq!(table.ran(yesterday - HOUR), None);
    assert_eq!(table.ran(yesterday - HOUR + 10 * MINUTE), some("sync"));
    assert_eq!(table.ran(yesterday), some("sync"));
    assert_eq!(table.ran(yesterday), some("nightly"));
    // Forward by a month: once, whatever was missed.
    let later = three + 30 * 24 * HOUR;
    let mut ran = || table.ran(later + MINUTE);
    assert_eq!((ran(), ran(), ran()), (some("sync"), some("nightly"), None));
}

#[test]
fn times_of_a_pattern_follow_the_clocks_of_their_zone() {
    let zone = "Europe/Madrid";
    let nightly = cron("30 2 * * *", zone);
    let runs = |from: &str, days: u64| {
        let start = at(from, zone);
        let mut table = table(&[&nightly], &SavedService::default(), start);
        let minutes = (0..days * 24 * 60).map(|minute| start + minute * MINUTE);
        let runs = minutes.filter(|now| table.ran(*now).is_some());
        runs.map(|now| (now - start) / MINUTE).collect::<Vec<_>>()
    };
    // Noon to noon; clocks go back at 03:00 on 25 October, and forward at 02:00 on 29 March.
    assert_eq!(runs("2026-10-23T12:00", 1), [870]);
    assert_eq!(runs("2026-10-24T12:00", 2), [870, 870 + 25 * 60]);
    let spring = runs("2026-03-28T12:00", 2);
    assert_eq!(spring.len(), 2, "{spring:?}");
    assert_eq!(spring[1], 870 + 23 * 60);
}

#[test]
fn a_new_config_keeps_what_is_known_of_jobs_that_stay() {
    let (sync, other) = (every("sync", 10 * MINUTE), every("other", HOUR));
    let mut table = fresh(&[&sync, &other]);
    table.ran(START);
    table.ran(START);
    let quicker = every("sync", MINUTE);
    let new = every("new", HOUR);
    table.follow([&new, &quicker].into_iter(), START + 5 * SECOND, || 0.0);
    assert_eq!(table.ran(START + 5 * SECOND), some("new"));
    assert_eq!(table.ran(START + 5 * SECOND), None);
    assert_eq!(table.ran(START + MINUTE), some("sync"), "since it began under the old one");
    assert!(table.entry("other").is_none());
}

// === How old successes are ===

fn aged(blocks: bool) -> Job {
    let age = Duration::from_secs(3_600);
    Job { max_age: Some(MaxAge { age, blocks }), ..every("sync", 10 * MINUTE) }
}

fn succeeded(table: &mut Timetable, backend: &str, began_ms: u64) {
    let backend = Some(backend.into());
    table.turn_ended("sync", &Ending { backend, began_ms, succeeded: true });
}

#[test]
fn a_standby_is_as_fresh_as_the_last_success_for_it_or_the_time_it_was_active() {
    let mut table = fresh(&[&aged(true)]);
    assert!(table.is_blocked("b", START));
    assert_eq!(table.lags("b", START), ["job sync has never succeeded for it, as far as is known"]);
    succeeded(&mut table, "b", START);
    let ending = Ending { backend: Some("b".into()), began_ms: START + HOUR, succeeded: false };
    table.turn_ended("sync", &ending);
    assert!(!table.is_blocked("b", START + HOUR) && table.is_blocked("c", START));
    assert_eq!(table.stale_at_ms(["b", "c"].into_iter(), START), Some(START + HOUR + 1));
    assert!(table.is_blocked("b", START + HOUR + 1));
    assert_eq!(table.stale_at_ms(["b"].into_iter(), START + HOUR + 1), None);
    assert_eq!(
        table.lags("b", START + 3 * HOUR),
        ["job sync last succeeded for it 3 h ago, more than 60 min"]
    );
    table.was_active("b".into(), START + 3 * HOUR);
    assert_eq!(table.lags("b", START + 4 * HOUR), Vec::<String>::new());
}

#[test]
fn one_that_only_warns_blocks_nobody_and_one_of_the_active_is_for_all_standbys() {
    let table = fresh(&[&aged(false)]);
    assert_eq!((table.is_blocked("b", START), table.lags("b", START).len()), (false, 1));
    let mut table = fresh(&[&Job { to: JobTarget::Active, ..aged(true) }]);
    succeeded(&mut table, "a", START);
    assert!(!table.is_blocked("b", START) && !table.is_blocked("c", START));
}

#[test]
fn ages_survive_a_restart_and_the_last_active_was_so_until_now() {
    let job = aged(true);
    let mut before = fresh(&[&job]);
    succeeded(&mut before, "b", START);
    let saved = SavedService { active: Some("a".into()), ..before.saved() };
    let later = START + 24 * HOUR;
    let after = table(&[&job], &saved, later);
    assert_eq!((after.is_blocked("a", later), after.is_blocked("b", later)), (false, true));
    assert!(!table(&[&job], &saved, START + HOUR).is_blocked("b", START + HOUR));
    // A clock that was set back makes nothing fresh for longer.
    let mut set_back = table(&[&job], &saved, START - 24 * HOUR);
    set_back.turn(START - 24 * HOUR, false);
    assert!(set_back.is_blocked("b", START - 22 * HOUR));
}

#[test]
fn failures_in_a_row_are_counted_until_it_succeeds() {
    let mut table = fresh(&[&every("sync", HOUR)]);
    let mut failures = |outcome| {
        table.began("sync", START, 0.0);
        table.ended("sync", outcome, "x", Duration::from_secs(1));
        table.entries()[0].saved.failures
    };
    let found = ["failed", "unknown", "cancelled", "unreachable", "done"].map(&mut failures);
    assert_eq!(found, [1, 2, 2, 3, 0]);
}

#[test]
fn schedules_have_words() {
    let words = |schedule: &Schedule| Words(schedule).to_string();
    assert_eq!(words(&Schedule::Every(Duration::from_secs(600))), "every 10 min");
    assert_eq!(words(&Schedule::Never), "by order only");
    let nightly = cron("0 3 * * *", "Europe/Madrid");
    assert_eq!(words(&nightly.schedule), "0 3 * * * (Europe/Madrid)");
}
