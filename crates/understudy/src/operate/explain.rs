//! `explain --live`: when each service would fail back, and why not now.

use std::process::ExitCode;

use admin::wire::{Gate, Service, Status};
use jiff::tz::TimeZone;

use super::service_in;
use crate::client::Client;
use crate::files::{Failure, print};
use crate::show::status::{View, failback};
use crate::show::{Colour, span};

/// `explain --live`.
pub(super) async fn live(client: &Client, service: Option<&str>) -> Result<ExitCode, Failure> {
    let status: Status = client.get("status").await?;
    let view = View { colour: Colour::Never, zone: TimeZone::system(), age: 0.0 };
    let text = match service {
        Some(_) => explained(service_in(&status, service)?, &view),
        None => {
            let all = status.services.iter().map(|service| explained(service, &view));
            all.collect::<Vec<_>>().join("\n")
        }
    };
    print(&text)
}

/// One service in sentences.
fn explained(service: &Service, view: &View) -> String {
    let name = &service.name;
    let since = span(service.since_seconds);
    // Said wherever somebody might count on a move.
    let locked = if service.locked {
        "  locked: no failover and no failback until `unlock`; an ordered `switchover` still moves\n"
    } else if service.dual_active.as_ref().is_some_and(|dual| !dual.accepted) {
        "  two backends claim the active role: no automatic move until that is over, or `unlock`\n"
    } else {
        ""
    };
    let Some(active) = &service.active else {
        if let Some(gate) = &service.gate {
            let Gate { gate, backend, epoch, in_doubt } = gate;
            let then = match in_doubt {
                false => "runs; the traffic moves when the last one has ended",
                true => {
                    "is in doubt: nothing moves until you say how it ended, with `gate done`, `gate \
                     failed` or `gate again`"
                }
            };
            return format!(
                "{name}: nobody has been active for {since}. Gate {gate} of {backend} (epoch {epoch}) \
                 {then}.\n"
            );
        }
        if service.locked {
            return format!(
                "{name}: nobody has been active for {since}. The service is locked: nobody takes over \
                 by itself. `unlock` lets the first eligible backend have the traffic; `switchover \
                 --to BACKEND` moves it under the lock.\n"
            );
        }
        return format!(
            "{name}: nobody has been active for {since}. The first backend that is up and ready gets \
             the traffic at once; there is no hold-down.\n"
        );
    };
    if service.on_primary {
        return format!(
            "{name}: {active} is the primary and has been active for {since}. There is nothing to \
             fail back to.\n{locked}"
        );
    }
    let mut text =
        format!("{name}: {active} is a standby and has been active for {since}.\n{locked}");
    let way = failback(service, view);
    text += &match way {
        Some(way) => format!("  {way}\n"),
        None => "  no backend of higher priority is known to go back to\n".to_owned(),
    };
    if let Some(hold_down) = service.hold_down_seconds {
        let flaps = match service.flaps {
            0 => String::new(),
            1 => ", longer for 1 flap".to_owned(),
            flaps => format!(", longer for {flaps} flaps"),
        };
        text += &format!("  the hold-down is {}{flaps}\n", span(hold_down));
    }
    text + "  `failback` goes back now; `pin` stays\n"
}

#[cfg(test)]
mod tests {
    use admin::wire::Failback;

    use super::*;
    use crate::show::status::tests::service;

    fn says(service: &Service) -> String {
        explained(service, &View { colour: Colour::Never, zone: TimeZone::UTC, age: 0.0 })
    }

    #[test]
    fn it_says_when_a_service_fails_back_and_why_not_now() {
        let primary = "web: a is the primary and has been active for 1 h 2 min. There is nothing to \
                       fail back to.\n";
        assert_eq!(says(&service()), primary);
        let failback = Failback {
            to: "a".to_owned(),
            due_in_seconds: None,
            waits_for: vec!["the failback window opens on Saturday".to_owned()],
        };
        let standby = Service {
            active: Some("b".to_owned()),
            on_primary: false,
            hold_down_seconds: Some(60.0),
            flaps: 1,
            failback: Some(failback),
            ..service()
        };
        let expected = "web: b is a standby and has been active for 1 h 2 min.\n  \
                        not back to a now: the failback window opens on Saturday\n  \
                        the hold-down is 1 min, longer for 1 flap\n  \
                        `failback` goes back now; `pin` stays\n";
        assert_eq!(says(&standby), expected);
        let nobody = Service { active: None, on_primary: false, ..service() };
        assert!(says(&nobody).contains("nobody has been active for 1 h 2 min"));
        let gate =
            Gate { gate: "fence".to_owned(), backend: "a".to_owned(), epoch: 7, in_doubt: true };
        let said = says(&Service { gate: Some(gate), ..nobody.clone() });
        assert!(said.contains("Gate fence of a (epoch 7) is in doubt"), "{said}");
        assert!(!said.contains("at once"), "{said}");
        let locked = Service { locked: true, ..nobody };
        let said = says(&locked);
        assert!(said.contains("nobody takes over by itself. `unlock`"), "{said}");
        assert!(!said.contains("at once"), "{said}");
        let primary = Service { locked: true, ..service() };
        assert!(says(&primary).contains("no failover and no failback until `unlock`"));
    }
}
