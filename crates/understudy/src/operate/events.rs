//! `events`: what happened, and what happens.

use std::process::ExitCode;

use admin::wire::Event;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{check_name, parse};
use crate::cli::Events;
use crate::client::{Client, segment};
use crate::files::{Failure, print_on};
use crate::show::{moment, printable};

/// `events`.
pub(super) async fn events(client: &Client, args: &Events) -> Result<ExitCode, Failure> {
    let mut query = format!("events?limit={}", args.limit);
    if let Some(after) = args.after {
        query += &format!("&after={after}");
    }
    if let Some(service) = &args.service {
        query += &format!("&service={}", segment(service));
    }
    let zone = TimeZone::system();
    let mut last = args.after.unwrap_or_default();
    let mut nothing = true;
    // Who follows from a number wants every event since, and the stream has them all.
    if !args.follow || args.after.is_none() {
        let kept: Value = client.get(&query).await?;
        for event in kept["events"].as_array().into_iter().flatten() {
            let known: Event = parse(&event.to_string())?;
            (last, nothing) = (last.max(known.number), false);
            if !print_on(&shown(event, &known, args.json, &zone))? {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    if nothing {
        check_name(client, args.service.as_deref()).await?;
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    let mut follow = client.follow(Some(last)).await?;
    loop {
        let message = follow.next().await?;
        if message.event != "event" {
            continue;
        }
        let event: Value = parse(&message.data)?;
        let known: Event = parse(&message.data)?;
        let wanted = args.service.is_none() || args.service == known.service;
        if wanted && !print_on(&shown(&event, &known, args.json, &zone))? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// One as the server said it, or for people.
fn shown(event: &Value, known: &Event, json: bool, zone: &TimeZone) -> String {
    if json { event.to_string() } else { line(known, zone) }
}

/// One on a line: number, time, what.
fn line(event: &Event, zone: &TimeZone) -> String {
    let Event { number, at_seconds, text, .. } = event;
    format!("{number:>6}  {}  {}", moment(*at_seconds, zone), printable(text))
}
