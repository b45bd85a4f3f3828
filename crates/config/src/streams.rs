//! What becomes of streams when the traffic moves: the section `streams` of a service.

use std::time::Duration;

use crate::choice::word;
use crate::defaults;
use crate::kinds::{duration, secs};
use crate::model::{StreamPolicies, StreamPolicy};
use crate::reader::{Section, Value};
use crate::report::Report;

pub(crate) fn streams(section: &mut Section<'_>) -> StreamPolicies {
    StreamPolicies {
        failover: section.or(
            "failover",
            "When a failed active is left: `keep`, `drain` or `close`, or the keys of the last two",
            defaults::STREAM_POLICY,
            policy(FAILOVER),
        ),
        failback: section.or(
            "failback",
            "When the traffic moves for any other reason, or the active works and is drained: the same",
            defaults::STREAM_POLICY,
            policy(FAILBACK),
        ),
    }
}

/// The defaults of one kind of move.
#[derive(Clone, Copy)]
struct Spread {
    deadline: &'static str,
    window: &'static str,
}

const FAILOVER: Spread =
    Spread { deadline: defaults::FAILOVER_DEADLINE, window: defaults::FAILOVER_WINDOW };
const FAILBACK: Spread =
    Spread { deadline: defaults::FAILBACK_DEADLINE, window: defaults::FAILBACK_WINDOW };

/// The words of a policy.
#[derive(Clone, Copy)]
enum PolicyWord {
    Keep,
    Drain,
    Close,
}

fn policy(spread: Spread) -> impl Fn(&mut Value<'_>) -> Option<StreamPolicy> {
    const WORDS: &[(&str, PolicyWord)] =
        &[("keep", PolicyWord::Keep), ("drain", PolicyWord::Drain), ("close", PolicyWord::Close)];
    move |value| {
        value.either(
            |value| {
                let report = Report::new("", "");
                let mut nothing = Value::root(&report, None);
                Some(match word(WORDS)(value)? {
                    PolicyWord::Keep => StreamPolicy::Keep,
                    PolicyWord::Drain => nothing.section(|section| drain(section, spread)),
                    PolicyWord::Close => nothing.section(|section| close(section, spread)),
                })
            },
            |value| Some(value.section(|section| keys(section, spread))),
        )
    }
}

fn keys(section: &mut Section<'_>, spread: Spread) -> StreamPolicy {
    let drained = section.section(
        "drain",
        "They may end by themselves until a deadline, then they are closed",
        |section| drain(section, spread),
    );
    let closed =
        section.section("close", "They are closed at once", |section| close(section, spread));
    section.at_most_one(&["drain", "close"]);
    if section.has("close") { closed } else { drained }
}

fn drain(section: &mut Section<'_>, spread: Spread) -> StreamPolicy {
    let deadline = section.or(
        "deadline",
        "How long they may go on",
        spread.deadline,
        duration(Duration::ZERO..=secs(24 * 3600)),
    );
    StreamPolicy::Close { deadline, window: window(section, spread) }
}

fn close(section: &mut Section<'_>, spread: Spread) -> StreamPolicy {
    StreamPolicy::Close { deadline: Duration::ZERO, window: window(section, spread) }
}

fn window(section: &mut Section<'_>, spread: Spread) -> Duration {
    section.or(
        "window",
        "Over how long their ends are spread, so that not all clients come back at once",
        spread.window,
        duration(Duration::ZERO..=secs(3600)),
    )
}
