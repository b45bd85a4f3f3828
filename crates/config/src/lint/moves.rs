//! Warnings about when and how the active changes, and about who may say so.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use routing::failover::{Conditions, Failback};

use super::Lint;
use crate::kinds::show_duration;
use crate::model::{Admin, FailbackWindow, Service, StreamPolicy};

/// One failover and its failback.
const THERE_AND_BACK: u32 = 2;
/// A window that is open for longer than this at a time is hardly one.
const LONG_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) fn failback(service: &Service, lints: &mut Vec<Lint>) {
    let (rise, interval) = (service.policy.rise, service.health.interval);
    match &service.policy.failback {
        Failback::Auto(Conditions { hold_down, .. }) if *hold_down < interval * rise => {
            lints.push(Lint {
                keys: &["failback.auto.hold_down", "health.interval", "health.rise"],
                message: format!(
                    "a hold-down of {} is shorter than the {} that `rise` times `interval` take",
                    show_duration(*hold_down),
                    show_duration(interval * rise)
                ),
                advice: "a primary that comes and goes would take the service with it: 30s is usual",
            });
        }
        Failback::Auto(_) | Failback::Manual | Failback::Never => {}
    }
    if let Some(rule) = service.policy.lock.filter(|rule| rule.switches <= THERE_AND_BACK) {
        let what = if rule.switches < THERE_AND_BACK {
            "one failover"
        } else {
            "one failover and its failback"
        };
        lints.push(Lint {
            keys: &["failback.auto.lock_after.switches"],
            message: format!(
                "{what} within {} would lock the service: `switches: {}`",
                show_duration(rule.within),
                rule.switches
            ),
            advice: "when the active of a locked service fails nobody takes over: 6 is usual",
        });
    }
    if let Some(window) = service.failback_window.as_ref().filter(|window| hardly_closes(window)) {
        lints.push(Lint {
            keys: &["failback.auto.window"],
            message: format!(
                "a window of {} opens again before it closes: it is open all the time, or nearly",
                show_duration(window.length())
            ),
            advice: "make it shorter, or remove `window`",
        });
    }
}

/// Whether its first opening runs into so many others that no end is found, or a late one.
fn hardly_closes(window: &FailbackWindow) -> bool {
    let (_, Some(opens)) = window.at(Timestamp::UNIX_EPOCH) else { return false };
    let (open, closes) = window.at(opens);
    let Some(closes) = closes.filter(|_| open) else { return false };
    opens.duration_until(closes) > LONG_WINDOW || window.at(closes).0
}

pub(super) fn exclusive(service: &Service, lints: &mut Vec<Lint>) {
    let Some(exclusive) = service.policy.exclusive else { return };
    let (drain, timeout) = (exclusive.drain, service.hold.timeout);
    if drain > timeout.mul_f32(0.8) {
        lints.push(Lint {
            keys: &["exclusive.drain", "exclusive", "hold.timeout"],
            message: format!(
                "a move may take {}, and requests wait for {}",
                show_duration(drain),
                show_duration(timeout)
            ),
            advice: "that leaves little for the move itself: `exclusive.drain` is usually half of `hold.timeout`",
        });
    }
    if service.streams.failback == StreamPolicy::Keep {
        lints.push(Lint {
            keys: &["streams.failback"],
            message: "`streams.failback: keep` has no effect: with `exclusive` nothing stays at the old active".to_owned(),
            advice: "remove one of the two: streams end when the old active is drained",
        });
    }
}

/// What a restart undoes: of `failback`, and of `gates`. `state_dir` is that of the config.
pub(crate) fn memory(service: &Service, state_dir: Option<&Path>) -> [Option<Lint>; 2] {
    if state_dir.is_some() {
        return [None, None];
    }
    let word = match &service.policy.failback {
        Failback::Auto(_) => None,
        Failback::Manual => Some("manual"),
        Failback::Never => Some("never"),
    };
    let failback = word.filter(|_| service.backends.len() > 1).map(|word| Lint {
        keys: &["failback"],
        message: format!("`failback: {word}` does not outlive a restart: without `state_dir` the primary then serves"),
        advice: "set `state_dir`: then a restart goes on with the last active",
    });
    let gates = (!service.policy.gates.is_empty()).then(|| Lint {
        keys: &["gates"],
        message: "without `state_dir` a restart forgets which gates ran, and takes the primary for the active".to_owned(),
        advice: "set `state_dir`: then a restart goes on where it was",
    });
    [failback, gates]
}

/// Keys that say nothing. The keys are below `admin`.
pub(crate) fn admin(admin: &Admin) -> Vec<Lint> {
    if admin.address.is_some() {
        return Vec::new();
    }
    let given: [(bool, &'static [&'static str]); 2] =
        [(admin.tls.is_some(), &["tls"]), (!admin.tokens.is_empty(), &["tokens"])];
    let unused = given.into_iter().filter(|(given, _)| *given).map(|(_, keys)| Lint {
        keys,
        message: format!("`{}` has no effect: `address` is off", keys.concat()),
        advice: "whoever may open the socket needs neither; give an `address`, or remove the key",
    });
    unused.collect()
}
