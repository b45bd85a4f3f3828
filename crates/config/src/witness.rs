//! Whether it is we who are cut off, and whether a standby would do: the keys `witnesses` and
//! `readiness`.

use std::time::Duration;

use crate::address::parse_host_and_port;
use crate::choice::off_or;
use crate::defaults;
use crate::kinds::{duration, ms, secs, text};
use crate::model::{Readiness, Witness};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint};

/// Each is asked every second; a few that fail apart from one another say all there is to know.
const MOST_WITNESSES: usize = 16;

/// No address twice.
pub(crate) fn witnesses(value: &mut Value<'_>) -> Option<Vec<At<Witness>>> {
    let mut seen: Vec<At<Witness>> = Vec::new();
    value.list("a list of addresses", 0, |value| {
        let read = text("a host and a port", parse_host_and_port)(value);
        let (host, port) = read?;
        let at = At { value: Witness { host, port }, place: value.place().clone() };
        if let Some(other) = seen.iter().find(|other| other.value == at.value) {
            let shown = value.single().map_or("", |scalar| scalar.text.as_str());
            let line = other.place.mark.line;
            let message = format!("{} is already a witness (line {line})", quoted(shown));
            value
                .report()
                .error(&at.place, Complaint::new(message).advice("remove one of the two"));
        } else if seen.len() == MOST_WITNESSES {
            let message = format!("more than {MOST_WITNESSES} witnesses");
            let advice = "a few that do not fail together are enough: a gateway, a name server";
            value.report().error(&at.place, Complaint::new(message).advice(advice));
        }
        seen.push(at);
        Some(())
    })?;
    Some(seen)
}

pub(crate) fn readiness(section: &mut Section<'_>) -> Readiness {
    let ever = secs(10 * 365 * 86_400);
    Readiness {
        certificate: section.or(
            "certificate",
            "Its certificate must be valid for at least so long",
            defaults::READY_CERTIFICATE,
            duration(Duration::ZERO..=ever),
        ),
        clock_skew: section.or(
            "clock_skew",
            "Its clock, by the `Date` of its answers, may differ from ours by no more than this, or `off`",
            defaults::READY_CLOCK_SKEW,
            // `Date` counts in seconds.
            off_or("`off` or a duration such as `5s`", duration(ms(1000)..=ever)),
        ),
        last_drill: section.or(
            "last_drill",
            "It must have been drilled, or have served, within this time, or `off`",
            defaults::READY_LAST_DRILL,
            off_or("`off` or a duration such as `720h`", duration(secs(60)..=ever)),
        ),
    }
}
