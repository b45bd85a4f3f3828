//! `probe`: the last probe of a backend, or one made now.

use std::process::ExitCode;

use admin::wire::request::Reason;
use admin::wire::{ProbeShown, Service};

use super::{backend_in, service_in, service_named, service_path};
use crate::cli::Probe;
use crate::client::{Client, MOVE_WITHIN, segment};
use crate::files::{Failure, print};
use crate::show::{Progress, millis, printable, span};

/// `probe`.
pub(super) async fn probe(client: &Client, args: &Probe) -> Result<ExitCode, Failure> {
    let (service, backend) = (args.backend.service.as_deref(), &args.backend.backend);
    let (passed, text) = if args.now {
        let service = service_named(client, service).await?;
        let path = service_path(&service, &format!("backends/{}/probe", segment(backend)));
        let nothing = Reason::default();
        let asked = client.post(&path, &nothing, MOVE_WITHIN);
        let shown: ProbeShown = Progress::during(&format!("probing {backend}"), asked).await?;
        (shown.verdict == "pass", made(&service, backend, &shown, args.verbose))
    } else {
        last(service_in(&client.get("status").await?, service)?, backend)?
    };
    print(&text)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn made(service: &str, backend: &str, shown: &ProbeShown, verbose: bool) -> String {
    let (verdict, outcome) = (printable(&shown.verdict), printable(&shown.outcome));
    // A probe that passed has nothing more to say.
    let why = if outcome == verdict { String::new() } else { format!(": {outcome}") };
    let mut text = String::new();
    if verbose {
        for line in &shown.exchange {
            // Keeps the spaces of what was sent, and obeys none of it.
            text += &line.trim_end().replace(char::is_control, "?");
            text.push('\n');
        }
    }
    text + &format!("{service}/{backend}: {verdict} in {}{why}", millis(shown.took_ms))
}

/// Whether the last regular probe passed, and what it said.
fn last(service: &Service, backend: &str) -> Result<(bool, String), Failure> {
    let probed = backend_in(service, backend)?;
    let service = &service.name;
    let Some(probe) = &probed.last_probe else {
        return Ok((false, format!("{service}/{backend}: not probed yet")));
    };
    let (outcome, ago) = (printable(&probe.outcome), span(probe.ago_seconds));
    let (took, health) = (millis(probe.took_ms), probed.health.word());
    let mut text = String::new();
    if probe.checks.len() > 1 {
        for check in &probe.checks {
            let (name, level, took) = (&check.name, &check.level, millis(check.took_ms));
            text += &format!("  {name} ({level}): {} in {took}\n", printable(&check.outcome));
        }
    }
    text += &format!("{service}/{backend}: {outcome} in {took}, {ago} ago; it is {health}");
    Ok((probe.outcome == "pass", text))
}
