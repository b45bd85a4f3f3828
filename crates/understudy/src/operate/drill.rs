//! `drill`: begins one, waits until it is over, and reports who ended it and the
//! measured times.

use std::process::ExitCode;
use std::time::Duration;

use admin::wire::request;
use admin::wire::{self, Done, Event, Incident, Incidents, Service, Status};
use tokio::time::{Instant, timeout_at};

use super::{done, parse, service_in, service_named, service_path};
use crate::cli::Drill;
use crate::client::{Client, Follow, MOVE_WITHIN, segment};
use crate::files::{Failure, print};
use crate::show::incidents::{counts, times};
use crate::show::{Progress, left, printable, span};

/// After the end of a drill, for the way back to be made and written down.
const OVERTIME: Duration = Duration::from_secs(60);
/// After that, for the return to begin, for both moves to be on record with their first good answers,
/// and for what ended it to be known.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// How many incidents one drill may make at most; usually two.
const INCIDENTS: usize = 100;
/// It ended early, or the traffic did not come back.
const NOT_AS_PLANNED: u8 = 3;

/// A drill that was begun here.
struct Run<'a> {
    client: &'a Client,
    service: String,
    /// Who had the traffic before.
    from: Option<String>,
    tagged: bool,
    length: Duration,
    began: Instant,
    /// What the service has said since it was about to begin.
    events: Vec<Event>,
}

/// How it ended.
struct End {
    after: Duration,
    /// How the service stands since.
    service: Service,
}

/// What ended a drill before its time.
struct Cause {
    words: String,
    /// Whether it was told to end, with `--stop`.
    stopped: bool,
}

/// `drill`.
pub(super) async fn drill(client: &Client, args: &Drill) -> Result<ExitCode, Failure> {
    let Some(length) = args.length else {
        // The arguments ask for `--for` unless it is to be stopped.
        let service = service_named(client, args.service.as_deref()).await?;
        let path = service_path(&service, "drill");
        return done(&service, &client.delete(&path, args.why.reason.as_deref()).await?);
    };
    let status: Status = client.get("status").await?;
    let before = service_in(&status, args.service.as_deref())?;
    let service = before.name.clone();
    let path = service_path(&service, "drill");
    // Listening begins first, so that nothing is missed.
    let mut follow = client.follow(None).await?;
    let newest = newest(client, &service).await?;
    let body = request::Drill {
        length_seconds: length.as_secs_f64(),
        tag: args.tagged.clone().map(|tag| request::Tag {
            header: tag.name,
            value: tag.value,
            backend: args.to.clone(),
        }),
        reason: args.why.reason.clone(),
    };
    let began = Instant::now();
    let begun = client.post(&path, &body, MOVE_WITHIN);
    let begun: Done = Progress::during(&format!("{service}: beginning"), begun).await?;
    done(&service, &begun)?;
    let (from, tagged) = (before.active.clone(), args.tagged.is_some());
    let mut run = Run { client, service, from, tagged, length, began, events: Vec::new() };
    tokio::select! {
        report = run.see_through(&mut follow, newest) => report,
        _ = tokio::signal::ctrl_c() => {
            let service = &run.service;
            Err(Failure::Refused(format!(
                "not waiting any more; the drill goes on and ends by itself, or now with \
                 `understudy drill {service} --stop`"
            )))
        }
    }
}

impl Run<'_> {
    /// Waits for the end and reports it.
    async fn see_through(
        &mut self,
        follow: &mut Follow<'_>,
        newest: u64,
    ) -> Result<ExitCode, Failure> {
        let end = self.over(follow).await?;
        let early = end.after < self.length;
        let cause = if early { self.cause(follow, &end).await? } else { None };
        let mut text = format!("{}: {}", self.service, self.ended(&end, cause.as_ref()));
        if !self.tagged {
            text += &self.moves(newest, &end.service).await?;
        }
        print(&text)?;
        let told = !early || cause.is_some_and(|cause| cause.stopped);
        let back = self.tagged || end.service.active == self.from;
        Ok(if told && back { ExitCode::SUCCESS } else { ExitCode::from(NOT_AS_PLANNED) })
    }

    /// Waits until it is over, and the traffic is back or does not come back.
    async fn over(&mut self, follow: &mut Follow<'_>) -> Result<End, Failure> {
        let mut progress = Progress::default();
        let mut ended: Option<Instant> = None;
        loop {
            // What the stream says may be from before the drill: it only tells when to look.
            let status: Status = match self.client.get("status").await {
                Ok(status) => status,
                Err(error) if error.may_pass() => {
                    self.listen(follow, Instant::now() + OVERTIME).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(found) = status.service(&self.service) else {
                let service = &self.service;
                return Err(Failure::Refused(format!("{service} is gone: a reload removed it")));
            };
            let now = Instant::now();
            let due = match &found.drill {
                Some(drill) => {
                    let left = left(drill.ends_in_seconds);
                    progress.say(&format!("{}: drill, {left} left", self.service));
                    self.began + self.length + OVERTIME
                }
                None => {
                    let since = *ended.get_or_insert(now);
                    let returning = found.switching.is_some();
                    let patience = if returning { OVERTIME } else { WRITTEN_WITHIN };
                    let waits = returning || self.may_return(found);
                    if !waits || (now >= since + patience && !returning) {
                        return Ok(End { after: since - self.began, service: found.clone() });
                    }
                    since + patience
                }
            };
            if now >= due {
                let service = &self.service;
                return Err(Failure::Refused(format!(
                    "{service}: the drill should be over, and is not; see `understudy status`"
                )));
            }
            self.listen(follow, due).await?;
        }
    }

    /// Whether the service is still to go back by itself.
    fn may_return(&self, now: &Service) -> bool {
        let is_back = |name: &str| now.active.as_deref() == Some(name);
        let from = now.backends.iter().find(|b| Some(&b.name) == self.from.as_ref());
        !self.tagged
            && !now.pinned
            && !now.locked
            && from.is_some_and(|b| !is_back(&b.name) && b.eligible_for_seconds.is_some())
    }

    /// Hears one message, if there is one in time.
    async fn listen(&mut self, follow: &mut Follow<'_>, until: Instant) -> Result<(), Failure> {
        let Ok(message) = timeout_at(until, follow.next()).await else { return Ok(()) };
        let message = message?;
        if message.event == "event" {
            let event: Event = parse(&message.data)?;
            if event.service.as_ref().is_none_or(|service| *service == self.service) {
                self.events.push(event);
            }
        }
        Ok(())
    }

    /// What ended it before its time; an order is written down a moment after the end.
    async fn cause(
        &mut self,
        follow: &mut Follow<'_>,
        end: &End,
    ) -> Result<Option<Cause>, Failure> {
        let deadline = Instant::now() + WRITTEN_WITHIN;
        loop {
            let cause = cause(&self.events).or_else(|| {
                let active = end.service.active.clone();
                let taken = self.tagged && active.is_some() && active != self.from;
                let words = format!("{} became the active", active.unwrap_or_default());
                taken.then_some(Cause { words, stopped: false })
            });
            if cause.is_some() || Instant::now() >= deadline {
                return Ok(cause);
            }
            self.listen(follow, deadline).await?;
        }
    }

    /// How it ended, and who has the traffic.
    fn ended(&self, end: &End, cause: Option<&Cause>) -> String {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
        let (from, now) = (name(&self.from), name(&end.service.active));
        let mut text = if end.after < self.length {
            let after = span(end.after.as_secs_f64());
            let why = cause.map(|cause| format!(": {}", cause.words)).unwrap_or_default();
            format!(
                "the drill is over: ended after {after} of {}{why}",
                span(self.length.as_secs_f64())
            )
        } else {
            "the drill is over".to_owned()
        };
        text += &match (end.service.active == self.from, self.tagged) {
            (true, true) => format!("; all other traffic stayed at {from}"),
            (true, false) => format!(", traffic back at {from}"),
            (false, _) => format!(", traffic NOT back at {from}: {now} has it"),
        };
        if !self.tagged && end.service.active != self.from {
            let stays = [(end.service.pinned, "pinned"), (end.service.locked, "locked")];
            for (_, why) in stays.iter().filter(|(holds, _)| *holds) {
                text += &format!(" ({why})");
            }
        }
        text + "\n"
    }

    /// The measured times of the moves that belong to it: those that it made, and those while it ran.
    async fn moves(&self, before: u64, after: &Service) -> Result<String, Failure> {
        let path = format!("incidents?limit={INCIDENTS}&service={}", segment(&self.service));
        let deadline = Instant::now() + WRITTEN_WITHIN;
        let over = self.events.iter().find(|event| event.kind == "drill_ended");
        let over = over.map_or(f64::INFINITY, |event| event.at_seconds);
        // No way back, nothing to wait for.
        let expected = if after.active == self.from { 2 } else { 1 };
        let moves = loop {
            let Incidents { incidents } = self.client.get(&path).await?;
            let mine = incidents.into_iter().filter(|incident| {
                let known = incident.id > before && incident.id <= after.epoch;
                known && (incident.reason == "drill" || incident.at_seconds < over)
            });
            let moves: Vec<wire::IncidentSummary> = mine.collect();
            // Written down a moment after the traffic has moved, the first good answer after that.
            let answered = moves.iter().filter(|incident| incident.outcome == "verified").count();
            if answered >= expected || Instant::now() >= deadline {
                break moves;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let mut text = String::new();
        // The oldest first, as it happened.
        for summary in moves.iter().rev() {
            let incident: Incident = self.client.get(&format!("incidents/{}", summary.id)).await?;
            text += &measured(&incident);
        }
        if moves.is_empty() {
            text += "  no move was recorded\n";
        }
        Ok(text)
    }
}

/// What ended the drill of which these are the events: what was said just before the end, or who
/// ordered something just after it.
fn cause(events: &[Event]) -> Option<Cause> {
    let text = |event: &Event, field: &str| {
        event.fields.get(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    let over = events.iter().position(|event| event.kind == "drill_ended")?;
    let (earlier, later) = events.split_at(over);
    if let Some(event) = earlier.last().filter(|event| event.kind == "health_changed") {
        let words = format!("{} is {}", text(event, "backend"), text(event, "health"));
        return Some(Cause { words: printable(&words), stopped: false });
    }
    let done = |event: &&Event| event.fields.get("done").is_some_and(|done| done == true);
    later.iter().find_map(|event| match event.kind.as_str() {
        "ordered" if done(&event) => {
            let command = text(event, "command");
            let who = event.fields.get("by").and_then(|by| by.get("who")?.as_str());
            let words = printable(&format!("{}: {command}", who.unwrap_or("somebody")));
            Some(Cause { words, stopped: command == "end the drill" })
        }
        "reloaded" => Some(Cause { words: printable(&event.text), stopped: false }),
        _ => None,
    })
}

/// The number of the newest incident; 0: there is none.
async fn newest(client: &Client, service: &str) -> Result<u64, Failure> {
    let path = format!("incidents?limit=1&service={}", segment(service));
    let Incidents { incidents } = client.get(&path).await?;
    Ok(incidents.first().map_or(0, |incident| incident.id))
}

/// One move in one line.
fn measured(incident: &Incident) -> String {
    let name = |backend: &Option<String>| backend.clone().unwrap_or_else(|| "nobody".to_owned());
    let (from, to) = (name(&incident.from), name(&incident.to));
    format!("  {from} -> {to}: {}; requests: {}\n", times(incident), counts(incident))
}
