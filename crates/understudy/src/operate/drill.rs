//! `drill`: begins one, waits until it is over, and reports the measured times.

use std::process::ExitCode;
use std::time::Duration;

use admin::wire::request;
use admin::wire::{self, Done, Incident, Incidents, Status};
use tokio::time::{Instant, timeout_at};

use super::{done, parse, service_named, service_path};
use crate::cli::Drill;
use crate::client::{Client, Follow, MOVE_WITHIN, SOON, segment};
use crate::files::{Failure, print};
use crate::show::incidents::{counts, times};
use crate::show::{Progress, left};

/// After the end of a drill, for the way back to be made and written down.
const OVERTIME: Duration = Duration::from_secs(60);
/// How many incidents one drill may make at most; usually two.
const INCIDENTS: usize = 100;

/// `drill`.
pub(super) async fn drill(client: &Client, args: &Drill) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.service.as_deref()).await?;
    let path = service_path(&service, "drill");
    let Some(length) = args.length else {
        // The arguments ask for `--for` unless it is to be stopped.
        return done(&service, &client.delete(&path, args.why.reason.as_deref()).await?);
    };
    // Listening begins first, so that nothing is missed.
    let mut follow = client.follow(None).await?;
    let before = newest(client, &service).await?;
    let body = request::Drill {
        length_seconds: length.as_secs_f64(),
        tag: args.tagged.clone().map(|tag| request::Tag {
            header: tag.name,
            value: tag.value,
            backend: args.to.clone(),
        }),
        reason: args.why.reason.clone(),
    };
    let begun = client.post(&path, &body, MOVE_WITHIN);
    let begun: Done = Progress::during(&format!("{service}: beginning"), begun).await?;
    done(&service, &begun)?;
    let deadline = Instant::now() + length + OVERTIME;
    tokio::select! {
        over = over(&mut follow, &service, length, deadline) => over?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::Refused(format!(
                "not waiting any more; the drill goes on and ends by itself, or now with \
                 `understudy drill {service} --stop`"
            )));
        }
    }
    if args.tagged.is_some() {
        return print(&format!(
            "{service}: the drill is over; all other traffic stayed where it was"
        ));
    }
    let report = report(client, &service, before, deadline).await?;
    print(&report)
}

/// Waits until the drill is over: seen, and then not any more, or long enough ago.
async fn over(
    follow: &mut Follow<'_>,
    service: &str,
    length: Duration,
    deadline: Instant,
) -> Result<(), Failure> {
    let end = Instant::now() + length;
    let mut seen = false;
    let mut under_way = false;
    let mut progress = Progress::default();
    loop {
        let ended = Instant::now() >= end;
        // What was said before the drill began says nothing of its end.
        if !under_way && (seen || ended) {
            return Ok(());
        }
        let message = match timeout_at(if ended { deadline } else { end }, follow.next()).await {
            Ok(message) => message?,
            Err(_) if !ended => continue,
            Err(_) => {
                return Err(Failure::Refused(format!(
                    "{service}: the drill should be over, and is not; see `understudy status`"
                )));
            }
        };
        if message.event != "status" {
            continue;
        }
        let status: Status = parse(&message.data)?;
        let Some(found) = status.service(service) else {
            return Err(Failure::Refused(format!("{service} is gone: a reload removed it")));
        };
        under_way = found.drill.is_some() || found.switching.is_some();
        if let Some(drill) = &found.drill {
            seen = true;
            progress.say(&format!("{service}: drill, {} left", left(drill.ends_in_seconds)));
        }
    }
}

/// The number of the newest incident; 0: there is none.
async fn newest(client: &Client, service: &str) -> Result<u64, Failure> {
    let path = format!("incidents?limit=1&service={}", segment(service));
    let Incidents { incidents } = client.get(&path).await?;
    Ok(incidents.first().map_or(0, |incident| incident.id))
}

/// The measured times of every move since the incident `before`.
async fn report(
    client: &Client,
    service: &str,
    before: u64,
    deadline: Instant,
) -> Result<String, Failure> {
    let path = format!("incidents?limit={INCIDENTS}&service={}", segment(service));
    let moves = loop {
        let Incidents { incidents } = client.get(&path).await?;
        let moves: Vec<wire::IncidentSummary> =
            incidents.into_iter().filter(|incident| incident.id > before).collect();
        // Both ways are written down a moment after the traffic has moved.
        let both = moves.iter().filter(|incident| incident.reason == "drill").count() >= 2;
        if both || Instant::now() + SOON >= deadline {
            break moves;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut text = format!("{service}: the drill is over\n");
    // The oldest first, as it happened.
    for summary in moves.iter().rev() {
        let incident: Incident = client.get(&format!("incidents/{}", summary.id)).await?;
        text += &measured(&incident);
    }
    if moves.is_empty() {
        text += "  no move was recorded\n";
    }
    Ok(text)
}

/// One move in one line.
fn measured(incident: &Incident) -> String {
    let name = |backend: &Option<String>| backend.clone().unwrap_or_else(|| "nobody".to_owned());
    let (from, to) = (name(&incident.from), name(&incident.to));
    format!("  {from} -> {to}: {}; requests: {}\n", times(incident), counts(incident))
}
