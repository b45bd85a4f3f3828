//! `incidents`: the moves of the traffic.

use std::process::ExitCode;

use admin::wire::{self, Incident};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{check_name, parse};
use crate::cli::Incidents;
use crate::client::{Client, segment};
use crate::files::{Failure, print};
use crate::show::Colour;
use crate::show::incidents::{full, list};

/// `incidents`.
pub(super) async fn incidents(client: &Client, args: &Incidents) -> Result<ExitCode, Failure> {
    let path = match (args.id, &args.service) {
        (Some(id), _) => format!("incidents/{id}"),
        (None, None) => format!("incidents?limit={}", args.limit),
        (None, Some(service)) => {
            format!("incidents?limit={}&service={}", args.limit, segment(service))
        }
    };
    let raw: Value = client.get(&path).await?;
    if raw["incidents"].as_array().is_some_and(Vec::is_empty) {
        check_name(client, args.service.as_deref()).await?;
    }
    if args.json {
        return print(&format!("{raw:#}"));
    }
    let (colour, zone) = (Colour::of_stdout(), TimeZone::system());
    if args.id.is_some() {
        let incident: Incident = parse(&raw.to_string())?;
        return print(&full(&incident, colour, &zone));
    }
    let wire::Incidents { incidents } = parse(&raw.to_string())?;
    match incidents.as_slice() {
        [] => print("no incidents"),
        incidents => print(&list(incidents, colour, &zone)),
    }
}
