//! When and how the active changes, in words.

use routing::failover::{Conditions, Exclusive, Failback, LockRule, Policy};

use crate::kinds::show_duration;
use crate::model::Service;
use crate::times::Times;

/// How a recovered primary gets the service back, and what keeps it from coming and going.
pub(super) fn coming_back(service: &Service) -> String {
    let Policy { rise, failback, damping, lock, .. } = &service.policy;
    let times = Times::new(&service.health, &service.policy);
    let passes = match rise {
        1 => "1 passed probe".to_owned(),
        rise => format!("{rise} passed probes"),
    };
    let up = show_duration(times.up_again);
    let mut text = format!("A recovered backend is up after at most {up} ({passes}); ");
    match failback {
        Failback::Never => text.push_str(
            "the service does not go back to it: whoever serves goes on while it can, and only a switchover changes that.",
        ),
        Failback::Manual => text
            .push_str("the service goes back to the primary only when an operator says so."),
        Failback::Auto(conditions) => {
            text.push_str(&by_itself(conditions, service));
            if !damping.window.is_zero() {
                let (window, cap) = (show_duration(damping.window), show_duration(damping.cap));
                text.push_str(&format!(
                    "\n  A failover within {window} of a failback doubles that time, up to {cap}."
                ));
            }
        }
    }
    if let Some(LockRule { switches, within }) = lock {
        let within = show_duration(*within);
        text.push_str(&format!(
            "\n  After {switches} automatic moves within {within} the service locks itself: then nobody takes over until an operator unlocks it."
        ));
    }
    text
}

fn by_itself(conditions: &Conditions, service: &Service) -> String {
    let Conditions { hold_down, passes, in_flight_below, windowed: _ } = conditions;
    let after = if hold_down.is_zero() {
        "at once".to_owned()
    } else {
        format!("after {} more without going down", show_duration(*hold_down))
    };
    let passes = match passes {
        0 | 1 => None,
        passes => Some(format!("once {passes} probes of it have passed in a row")),
    };
    let in_flight = in_flight_below.map(|below| match below {
        1 => "only while no request is in flight".to_owned(),
        below => format!("only while fewer than {below} requests are in flight"),
    });
    let window =
        service.failback_window.as_ref().map(|window| format!("only in this window: {window}"));
    let further: Vec<String> = [passes, in_flight, window]
        .into_iter()
        .flatten()
        .map(|condition| format!(", and {condition}"))
        .collect();
    // A hold-down longer than the window is nothing to worry about.
    let early = match service.failback_window {
        Some(_) if !hold_down.is_zero() => {
            format!(" The {} may pass before it opens.", show_duration(*hold_down))
        }
        Some(_) | None => String::new(),
    };
    format!("the primary gets the service back {after}{}.{early}", further.concat())
}

/// What a move does to requests, who is told of it, and what becomes of one that goes wrong.
pub(super) fn moving(service: &Service) -> String {
    let overlap = match service.policy.exclusive {
        None => "A move is overlap-free for new requests only: none begins at the old active once one has begun at the new one, but those under way may finish there.".to_owned(),
        Some(Exclusive { drain }) if drain.is_zero() => "Moves are exclusive, no two backends ever work on requests at once: at every move all requests at the old active are cut, though it may go on with what was cut.".to_owned(),
        Some(Exclusive { drain }) => format!(
            "Moves are exclusive, no two backends ever work on requests at once: at every move new requests wait while the old active finishes, up to {}; then the rest is cut, though it may go on with what was cut.",
            show_duration(drain)
        ),
    };
    let watched = if service.verify.is_zero() {
        "A move that an operator orders is not watched.".to_owned()
    } else {
        format!(
            "A move that an operator orders is watched for {}: a target that fails, or gives no good answer by then, is left again.",
            show_duration(service.verify)
        )
    };
    let told = service.epoch_header.as_ref().map_or_else(String::new, |name| {
        format!(" Requests and probes tell backends the epoch: {name}.")
    });
    format!("{overlap}\n  {watched}{told}")
}
