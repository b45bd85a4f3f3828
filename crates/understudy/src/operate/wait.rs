//! `wait`: until something holds.

use std::process::ExitCode;

use admin::wire::{Health, Service, Status};
use tokio::time::timeout;

use super::{parse, service_named, unknown};
use crate::cli::{Wait, WaitFor};
use crate::client::Client;
use crate::files::{Failure, print};
use crate::show::{self, Progress};

/// `wait`.
pub(super) async fn wait(client: &Client, args: &Wait) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.service.as_deref()).await?;
    let what = args.what();
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
        let Some(found) = status.service(service) else {
            let known = status.services.iter().map(|service| service.name.clone());
            return Err(unknown("service", service, known));
        };
        match holds(found, what)? {
            Ok(words) => return Ok(words),
            Err(words) => {
                progress.say(&format!("{service}: waiting: {words}"));
                *missing = Some(words);
            }
        }
    }
}

/// What holds, or what does not yet, in words.
fn holds(service: &Service, what: &WaitFor) -> Result<Result<String, String>, Failure> {
    let backend = |name: &String| {
        let found = service.backends.iter().find(|backend| backend.name == *name);
        let known = service.backends.iter().map(|backend| backend.name.clone());
        found.ok_or_else(|| unknown("backend", name, known))
    };
    let active = service.active.as_deref().unwrap_or("nobody");
    Ok(match what {
        WaitFor::Active(name) => {
            backend(name)?;
            let words = format!("{active} is active");
            if active == name { Ok(words) } else { Err(words) }
        }
        WaitFor::Healthy(name) => {
            let health = backend(name)?.health;
            let words = format!("{name} is {}", health.word());
            match health {
                Health::Up => Ok(words),
                Health::Down | Health::Unknown => Err(words),
            }
        }
        WaitFor::Drained(Some(name)) => match backend(name)? {
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
