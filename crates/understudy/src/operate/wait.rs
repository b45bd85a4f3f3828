//! `wait`: until something holds.

use std::process::ExitCode;

use admin::wire::{Health, Service, Status};
use tokio::time::timeout;

use super::{backend_in, parse, service_in, service_named};
use crate::cli::{Wait, WaitFor};
use crate::client::Client;
use crate::files::{Failure, print};
use crate::show::{self, Progress};

/// `wait`.
pub(super) async fn wait(client: &Client, args: &Wait) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.service.as_deref()).await?;
    let what = args.what();
    if args.timeout.is_zero() {
        // One look, and no waiting.
        let status: Status = client.get("status").await?;
        let holds = holds(service_in(&status, Some(&service))?, &what)?;
        return match holds.and_then(|words| old_process(&status, &what).map_or(Ok(words), Err)) {
            Ok(words) => print(&format!("{service}: {words}")),
            Err(words) => Err(Failure::Refused(format!("{service}: not now: {words}"))),
        };
    }
    let mut missing = None;
    let waited = timeout(args.timeout, until(client, &service, &what, &mut missing)).await;
    match waited {
        Ok(Ok(words)) => print(&format!("{service}: {words}")),
        Ok(Err(failure)) => Err(failure),
        Err(_) => {
            let within = show::span(args.timeout.as_secs_f64());
            let missing = missing.unwrap_or_else(|| "no answer".to_owned());
            Err(Failure::Refused(format!("{service}: not within {within}: {missing}")))
        }
    }
}

/// What holds, in words; until then `missing` says what does not yet.
async fn until(
    client: &Client,
    service: &str,
    what: &WaitFor,
    missing: &mut Option<String>,
) -> Result<String, Failure> {
    let mut follow = client.follow(None).await?;
    let mut progress = Progress::default();
    loop {
        let message = follow.next().await?;
        if message.event != "status" {
            continue;
        }
        let status: Status = parse(&message.data)?;
        let holds = holds(service_in(&status, Some(service))?, what)?;
        match holds.and_then(|words| old_process(&status, what).map_or(Ok(words), Err)) {
            Ok(words) => return Ok(words),
            Err(words) => {
                progress.say(&format!("{service}: waiting: {words}"));
                *missing = Some(words);
            }
        }
    }
}

/// Through the process before this one requests may still be at any backend.
fn old_process(status: &Status, what: &WaitFor) -> Option<String> {
    let drains = matches!(what, WaitFor::Drained(_)) && status.process.predecessor;
    drains.then(|| "the process before this one still finishes its requests".to_owned())
}

/// What holds, or what does not yet, in words.
fn holds(service: &Service, what: &WaitFor) -> Result<Result<String, String>, Failure> {
    let active = service.active.as_deref().unwrap_or("nobody");
    Ok(match what {
        WaitFor::Active(name) => {
            backend_in(service, name)?;
            let words = format!("{active} is active");
            if active == name { Ok(words) } else { Err(words) }
        }
        WaitFor::Healthy(name) => {
            let health = backend_in(service, name)?.health;
            let words = format!("{name} is {}", health.word());
            match health {
                Health::Up => Ok(words),
                Health::Down | Health::Unknown => Err(words),
            }
        }
        WaitFor::Drained(Some(name)) => match backend_in(service, name)? {
            backend if backend.active => Err(format!("{name} is the active")),
            backend if backend.in_flight > 0 => {
                Err(format!("{} at {name}", requests(backend.in_flight)))
            }
            _ => Ok(format!("{name} has no requests")),
        },
        WaitFor::Drained(None) => {
            let others = service.backends.iter().filter(|backend| !backend.active);
            let busy = others.filter(|backend| backend.in_flight > 0);
            let busy: Vec<String> = busy
                .map(|backend| format!("{} at {}", requests(backend.in_flight), backend.name))
                .collect();
            match busy.as_slice() {
                [] => Ok("no requests but at the active".to_owned()),
                busy => Err(busy.join(", ")),
            }
        }
    })
}

fn requests(count: u64) -> String {
    match count {
        1 => "1 request".to_owned(),
        count => format!("{count} requests"),
    }
}

#[cfg(test)]
mod tests {
    use admin::wire::Process;

    use super::*;
    use crate::show::status::tests::service;

    /// `Ok` with what holds, `Err` with what does not; wrong use panics.
    fn says(service: &Service, what: &WaitFor) -> Result<String, String> {
        holds(service, what).expect("a backend that exists")
    }

    fn ok(words: &str) -> Result<String, String> {
        Ok(words.to_owned())
    }

    fn err(words: &str) -> Result<String, String> {
        Err(words.to_owned())
    }

    #[test]
    fn the_active_is_waited_for_by_name() {
        let what = |name: &str| WaitFor::Active(name.to_owned());
        assert_eq!(says(&service(), &what("a")), ok("a is active"));
        assert_eq!(says(&service(), &what("standby")), err("a is active"));
        let nobody = Service { active: None, ..service() };
        assert_eq!(says(&nobody, &what("a")), err("nobody is active"));
        assert!(
            holds(&service(), &what("c")).expect_err("no such").to_string().contains("a, standby")
        );
    }

    #[test]
    fn nothing_is_drained_while_the_old_process_goes_on() {
        let process = Process { predecessor: true, ..Process::default() };
        let status = Status { services: vec![service()], process };
        assert!(old_process(&status, &WaitFor::Drained(None)).is_some());
        assert_eq!(old_process(&status, &WaitFor::Active("a".to_owned())), None);
    }

    #[test]
    fn only_what_is_up_is_healthy() {
        let what = WaitFor::Healthy("a".to_owned());
        for (health, expected) in [
            (Health::Up, ok("a is up")),
            (Health::Down, err("a is down")),
            (Health::Unknown, err("a is unknown")),
        ] {
            let mut service = service();
            service.backends[0].health = health;
            assert_eq!(says(&service, &what), expected);
        }
    }

    #[test]
    fn the_active_is_never_drained_and_others_are_without_requests() {
        let one = |name: &str| WaitFor::Drained(Some(name.to_owned()));
        let mut service = service();
        service.backends[0].in_flight = 0;
        assert_eq!(says(&service, &one("a")), err("a is the active"));
        assert_eq!(says(&service, &one("standby")), ok("standby has no requests"));
        assert_eq!(says(&service, &WaitFor::Drained(None)), ok("no requests but at the active"));
        service.backends[1].in_flight = 1;
        assert_eq!(says(&service, &one("standby")), err("1 request at standby"));
        assert_eq!(says(&service, &WaitFor::Drained(None)), err("1 request at standby"));
        service.backends[1].active = true;
        assert_eq!(says(&service, &WaitFor::Drained(None)), ok("no requests but at the active"));
    }
}
