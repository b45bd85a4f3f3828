//! When a recovered primary gets the service back: the key `failback` of a service.

use std::time::Duration;

use routing::failover::{Conditions, Damping, Failback, LockRule};

use crate::choice::{off_or, word};
use crate::cron::parse_time_zone;
use crate::kinds::{count, duration, secs, small_count, text};
use crate::model::FailbackWindow;
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{Complaint, Report};
use crate::{check, defaults};

/// What `failback` says, and what belongs to it.
#[derive(Debug)]
pub(crate) struct FailbackDraft {
    pub(crate) failback: Failback,
    pub(crate) window: Option<FailbackWindow>,
    pub(crate) damping: Damping,
    pub(crate) lock: Option<LockRule>,
}

/// The words of `failback`.
#[derive(Clone, Copy)]
enum Word {
    Auto,
    Manual,
    Never,
}

const WORDS: &[(&str, Word)] =
    &[("auto", Word::Auto), ("manual", Word::Manual), ("never", Word::Never)];

pub(crate) fn failback(value: &mut Value<'_>) -> Option<FailbackDraft> {
    value.either(
        |value| {
            let plain = Value::root(&Report::new("", ""), None).section(auto);
            Some(match word(WORDS)(value)? {
                Word::Auto => plain,
                Word::Manual => FailbackDraft { failback: Failback::Manual, ..plain },
                Word::Never => FailbackDraft { failback: Failback::Never, ..plain },
            })
        },
        |value| {
            Some(value.section(|section| {
                section.section("auto", "The primary gets the service back by itself", auto)
            }))
        },
    )
}

fn auto(section: &mut Section<'_>) -> FailbackDraft {
    let hold_down = section.or(
        "hold_down",
        "How long the primary must have been eligible without a break",
        defaults::HOLD_DOWN,
        duration(Duration::ZERO..=secs(24 * 3600)),
    );
    let passes = section.or(
        "passes",
        "How many probes of it must have passed in a row since it became eligible; 0: no matter",
        defaults::PASSES,
        small_count(0..=10_000),
    );
    let in_flight_below = section.or(
        "in_flight_below",
        "Fail back only while fewer requests of the service than this are in flight, or `off`",
        defaults::IN_FLIGHT_BELOW,
        off_or("`off` or a number of requests", in_flight_below),
    );
    let window = section.or(
        "window",
        "Fail back only while this window is open: `off` (always), or its keys",
        defaults::WINDOW,
        off_or(WINDOW_EXPECTED, window),
    );
    let damping = Damping {
        window: section.or(
            "damping_window",
            "A failover this soon after a failback is a flap: it doubles the hold-down",
            defaults::DAMPING_WINDOW,
            duration(Duration::ZERO..=secs(7 * 24 * 3600)),
        ),
        cap: section.or(
            "hold_down_cap",
            "The hold-down never grows beyond this",
            defaults::HOLD_DOWN_CAP,
            duration(Duration::ZERO..=secs(7 * 24 * 3600)),
        ),
    };
    let lock = section.or(
        "lock_after",
        "After this many automatic moves within this time the service locks itself until an operator unlocks it: `off`, or its keys",
        defaults::LOCK_AFTER,
        off_or(LOCK_EXPECTED, lock_after),
    );
    check::damping(section, hold_down, &damping);
    let windowed = window.is_some();
    let conditions = Conditions { hold_down, passes, in_flight_below, windowed };
    FailbackDraft { failback: Failback::Auto(conditions), window, damping, lock }
}

fn in_flight_below(value: &mut Value<'_>) -> Option<usize> {
    if value.single().is_some_and(|scalar| scalar.text == "0") {
        let complaint = Complaint::new("fewer than `0` requests in flight there can never be");
        let advice = "write `1` for none in flight, or `off` for any number";
        value.report().error(value.place(), complaint.advice(advice));
        return None;
    }
    count(1..=1_000_000)(value)
}

const LOCK_EXPECTED: &str = "`off` or keys such as `{ switches: 6, within: 1h }`";

fn lock_after(value: &mut Value<'_>) -> Option<LockRule> {
    if let Some(scalar) = value.single() {
        let number = scalar.text.as_str();
        let complaint =
            Complaint::new(format!("expected {LOCK_EXPECTED}, found {}", quoted(number)));
        value.report().error(
            value.place(),
            match number.parse::<u32>() {
                Ok(0) => complaint.advice("write `off`"),
                Ok(number) => complaint.advice(format!(
                    "write {}: that many automatic moves within that time",
                    quoted(&format!("{{ switches: {number}, within: 1h }}"))
                )),
                Err(_) => complaint,
            },
        );
        return None;
    }
    value.keys(lock_rule)?
}

fn lock_rule(section: &mut Section<'_>) -> Option<LockRule> {
    let switches = section.required("switches", "How many automatic moves", switches);
    let within =
        section.required("within", "Within how long", duration(secs(1)..=secs(7 * 24 * 3600)));
    Some(LockRule { switches: switches?, within: within? })
}

fn switches(value: &mut Value<'_>) -> Option<u32> {
    if value.single().is_some_and(|scalar| scalar.text == "0") {
        let complaint = Complaint::new("after `0` moves the service would always be locked");
        value
            .report()
            .error(value.place(), complaint.advice("to never lock write `lock_after: off`"));
        return None;
    }
    small_count(1..=1000)(value)
}

const WINDOW_EXPECTED: &str = "`off` or keys such as `{ cron: \"0 2 * * sat\", length: 2h }`";

fn window(value: &mut Value<'_>) -> Option<FailbackWindow> {
    if let Some(scalar) = value.single() {
        let message = format!("expected {WINDOW_EXPECTED}, found {}", quoted(&scalar.text));
        value.report().error(value.place(), Complaint::new(message));
        return None;
    }
    value.keys(window_keys)?
}

fn window_keys(section: &mut Section<'_>) -> Option<FailbackWindow> {
    let cron = section.required(
        "cron",
        "When it opens: minute, hour, day of the month, month, day of the week, for example `0 2 * * sat`",
        text("a cron pattern", |text| Ok(text.to_owned())),
    );
    let length =
        section.required("length", "For how long", duration(secs(60)..=secs(7 * 24 * 3600)));
    let time_zone = section.or(
        "time_zone",
        "In which time zone, for example `Europe/Madrid`",
        defaults::TIME_ZONE,
        text("a time zone", parse_time_zone),
    );
    let cron = cron?;
    // A pattern is judged also when the length could not be read.
    let window = FailbackWindow::new(&cron, length.unwrap_or(secs(60)), time_zone);
    let never = "the service would never fail back by itself: `failback: manual` says so";
    let complaint = match window {
        Ok(window) => return length.is_some().then_some(window),
        Err(fault) => fault.complaint(&cron, never),
    };
    section.report().error(&section.place("cron"), complaint);
    None
}
