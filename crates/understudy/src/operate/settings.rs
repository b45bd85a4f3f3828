//! `pin`, `unpin`, `lock`, `unlock`, `drain`, `maintenance`, `ready`, `reload`: one request each.

use std::process::ExitCode;
use std::time::Duration;

use admin::wire::request::{self, Reason};
use admin::wire::{Done, Reloaded, Service, Status};
use tokio::time::Instant;

use super::{done, known, service_named, service_path};
use crate::cli::{Change, Gate, GateEnd, Reload, SetAdmin};
use crate::client::{Client, MOVE_WITHIN, SOON, segment};
use crate::files::{Failure, print};
use crate::show::printable;

/// For a move that an order led to.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Has a service `pin`, and so on.
pub(super) async fn change(
    client: &Client,
    args: &Change,
    what: &str,
) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.service.as_deref()).await?;
    let reason = Reason { reason: args.why.reason.clone() };
    let asked = Instant::now();
    let answer = client.post(&service_path(&service, what), &reason, SOON).await;
    let answer: Done = known(client, &service, None, answer).await?;
    done(&service, &answer)?;
    match what {
        "lock" => led_to(client, &service, &format!("understudy unlock {service}"), asked).await,
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Sets a backend to `drain`, and so on.
pub(super) async fn set_admin(
    client: &Client,
    args: &SetAdmin,
    to: &str,
) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.backend.service.as_deref()).await?;
    let rest = format!("backends/{}/{to}", segment(&args.backend.backend));
    let reason = Reason { reason: args.why.reason.clone() };
    let asked = Instant::now();
    let answer = client.post(&service_path(&service, &rest), &reason, SOON).await;
    let answer: Done = known(client, &service, Some(&args.backend.backend), answer).await?;
    done(&service, &answer)?;
    match to {
        "ready" => Ok(ExitCode::SUCCESS),
        _ => {
            let undo = format!("understudy ready {service}/{}", args.backend.backend);
            led_to(client, &service, &undo, asked).await
        }
    }
}

/// Says what an order led to, which is more than was `asked` for then; `undo` is the command against
/// it. The order itself is done whatever comes of the look.
async fn led_to(
    client: &Client,
    service: &str,
    undo: &str,
    asked: Instant,
) -> Result<ExitCode, Failure> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let status: Status = match client.get("status").await {
            Ok(status) => status,
            Err(error) => {
                eprintln!("understudy: done, but how it stands now is not known: {error}");
                return Ok(ExitCode::SUCCESS);
            }
        };
        match status.service(service) {
            Some(now) if now.switching.is_some() && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Some(now) if is_without_active(now) => {
                eprintln!("warning: {service}: {}", stands(now, undo, asked.elapsed()));
                return Ok(ExitCode::SUCCESS);
            }
            Some(now) => {
                return print(&format!("{service}: {}", stands(now, undo, asked.elapsed())));
            }
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Who has the traffic after an order that was given so long `ago`.
fn stands(service: &Service, undo: &str, ago: Duration) -> String {
    let has_moved = service.since_seconds <= ago.as_secs_f64();
    match (&service.switching, &service.active) {
        (Some(switching), _) => format!("traffic is moving to {} now", switching.to),
        (None, Some(active)) if service.locked && !is_eligible(service, active) => format!(
            "traffic still goes to {active}, which should have none; nobody takes over while the \
             service is locked: `{undo}` undoes it"
        ),
        (None, Some(active)) if has_moved => format!("traffic goes to {active} now"),
        (None, Some(active)) => format!("traffic stays at {active}"),
        (None, None) => {
            format!("NOBODY IS ACTIVE NOW: requests wait, then get 503; take it back: `{undo}`")
        }
    }
}

fn is_without_active(service: &Service) -> bool {
    service.active.is_none() && service.switching.is_none()
}

fn is_eligible(service: &Service, name: &str) -> bool {
    let mut backends = service.backends.iter();
    backends.any(|backend| backend.name == name && backend.eligible_for_seconds.is_some())
}

/// Says how the gate ended of which nobody knows.
pub(super) async fn gate(client: &Client, args: &Gate) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.service.as_deref()).await?;
    let ended = match args.ended {
        GateEnd::Done => request::GateEnd::Done,
        GateEnd::Failed => request::GateEnd::Failed,
        GateEnd::Again => request::GateEnd::Again,
    };
    let order = request::Gate { ended, reason: args.why.reason.clone() };
    let answer = client.post(&service_path(&service, "gate"), &order, SOON).await;
    let answer: Done = known(client, &service, None, answer).await?;
    done(&service, &answer)
}

/// Has the config file read again.
pub(super) async fn reload(client: &Client, args: &Reload) -> Result<ExitCode, Failure> {
    let reason = Reason { reason: args.why.reason.clone() };
    let reloaded: Reloaded = client.post("reload", &reason, MOVE_WITHIN).await?;
    for warning in &reloaded.warnings {
        eprintln!("warning: {}", printable(warning));
    }
    match &reloaded.changes {
        Some(changes) => print(&format!("reloaded: {}", printable(changes))),
        None => print("reloaded: the file says what is in force already"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::status::tests::service;

    #[test]
    fn it_says_what_an_order_led_to() {
        let ago = Duration::from_secs(1);
        let moved = Service { since_seconds: 0.2, ..service() };
        assert_eq!(stands(&moved, "ready b", ago), "traffic goes to a now");
        assert_eq!(stands(&service(), "ready b", ago), "traffic stays at a");
        let mut stuck = Service { locked: true, ..service() };
        assert_eq!(stands(&stuck, "unlock", ago), "traffic stays at a");
        stuck.backends[0].eligible_for_seconds = None;
        let said = stands(&stuck, "unlock", ago);
        assert!(said.starts_with("traffic still goes to a, which should have none"), "{said}");
        let nobody = Service { active: None, ..service() };
        let said = stands(&nobody, "ready a", ago);
        assert!(said.starts_with("NOBODY IS ACTIVE NOW") && said.contains("`ready a`"), "{said}");
    }
}
