//! `status` and `active`: how services stand, also as an exit code.

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use admin::wire::{self, Service};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::Value;
use tokio::time::{Instant, interval};

use super::{parse, service_in};
use crate::cli::{Active, Status};
use crate::client::Client;
use crate::files::{Failure, print, print_on};
use crate::show::Colour;
use crate::show::status::{View, render, summary};

/// A service is on a standby.
const STANDBY: u8 = 10;
/// Nobody has the traffic of a service.
const NOBODY: u8 = 20;

/// `active`.
pub(super) async fn active(client: &Client, args: &Active) -> Result<ExitCode, Failure> {
    let status: wire::Status = client.get("status").await?;
    match &service_in(&status, args.service.as_deref())?.active {
        Some(active) => print(active),
        None => Ok(ExitCode::from(NOBODY)),
    }
}

/// `status`.
pub(super) async fn status(client: &Client, args: &Status) -> Result<ExitCode, Failure> {
    let service = args.service.as_deref();
    if args.watch {
        return watch(client, service, args.json).await;
    }
    let raw: Value = client.get("status").await?;
    let status: wire::Status = parse(&raw.to_string())?;
    let chosen = chosen(&status, service)?;
    if args.json {
        print(&format!("{:#}", only(raw, service)))?;
    } else {
        let view = View { colour: Colour::of_stdout(), zone: TimeZone::system(), age: 0.0 };
        print(&render(&chosen, &status.process, &view))?;
    }
    Ok(ExitCode::from(code(&chosen)))
}

/// The worst counts: 20 nobody active, 10 on a standby, 0 on the primary.
fn code(services: &[&Service]) -> u8 {
    let each = services.iter().map(|service| match &service.active {
        None => NOBODY,
        Some(_) if service.on_primary => 0,
        Some(_) => STANDBY,
    });
    each.max().unwrap_or(NOBODY)
}

/// One service by its name, or all.
fn chosen<'a>(
    status: &'a wire::Status,
    service: Option<&str>,
) -> Result<Vec<&'a Service>, Failure> {
    match service {
        Some(_) => Ok(vec![service_in(status, service)?]),
        None => Ok(status.services.iter().collect()),
    }
}

/// The same as JSON, as the server said it.
fn only(mut status: Value, service: Option<&str>) -> Value {
    if let (Some(name), Some(services)) = (service, status["services"].as_array_mut()) {
        services.retain(|service| service["name"] == name);
    }
    status
}

/// Shows it whenever something changes; on a terminal also the time that passes.
async fn watch(client: &Client, service: Option<&str>, json: bool) -> Result<ExitCode, Failure> {
    let mut follow = client.follow(None).await?;
    let mut screen = (!json && io::stdout().is_terminal()).then(Screen::default);
    let mut lines = Lines::default();
    loop {
        let message = match &screen {
            Some(screen) => screen.redraw_until(service, follow.next()).await??,
            None => follow.next().await?,
        };
        if message.event != "status" {
            continue;
        }
        let raw: Value = parse(&message.data)?;
        let status: wire::Status = parse(&message.data)?;
        let chosen = chosen(&status, service)?;
        let somebody_reads = match &mut screen {
            None if json => print_on(&only(raw, service).to_string())?,
            None => lines.print(&chosen)?,
            Some(screen) => {
                screen.last = Some((status, Instant::now()));
                screen.draw(service)?;
                true
            }
        };
        if !somebody_reads {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// What a terminal shows: the last status, and how old it is.
#[derive(Default)]
struct Screen {
    last: Option<(wire::Status, Instant)>,
}

impl Screen {
    /// Lets the time pass on the screen until something is heard.
    async fn redraw_until<T>(
        &self,
        service: Option<&str>,
        heard: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut heard = pin!(heard);
        let mut ticks = interval(Duration::from_secs(1));
        ticks.tick().await;
        loop {
            tokio::select! {
                heard = &mut heard => return Ok(heard),
                _ = ticks.tick() => self.draw(service)?,
            }
        }
    }

    fn draw(&self, service: Option<&str>) -> Result<(), Failure> {
        let Some((status, at)) = &self.last else { return Ok(()) };
        let age = at.elapsed().as_secs_f64();
        let view = View { colour: Colour::of_stdout(), zone: TimeZone::system(), age };
        let text = render(&chosen(status, service)?, &status.process, &view);
        let now = Zoned::now().strftime("%F %T").to_string();
        // Over what was there before, without a blank moment in between.
        let text = text.replace('\n', "\x1b[K\n");
        let mut out = io::stdout().lock();
        out.write_all(format!("\x1b[H{now}\x1b[K\n\x1b[K\n{text}\x1b[J").as_bytes())?;
        Ok(out.flush()?)
    }
}

/// What a pipe or a file gets: a line for each service that has changed.
#[derive(Default)]
struct Lines {
    last: Vec<String>,
}

impl Lines {
    fn print(&mut self, services: &[&Service]) -> Result<bool, Failure> {
        let summaries: Vec<String> = services.iter().map(|service| summary(service)).collect();
        for line in summaries.iter().filter(|line| !self.last.contains(line)) {
            let now = Timestamp::now().strftime("%FT%TZ").to_string();
            if !print_on(&format!("{now} {line}"))? {
                return Ok(false);
            }
        }
        self.last = summaries;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::show::status::tests::service;

    #[test]
    fn the_worst_service_decides_the_exit_code() {
        let primary = service();
        let standby = Service { on_primary: false, ..service() };
        let nobody = Service { active: None, on_primary: false, ..service() };
        assert_eq!(code(&[&primary, &primary]), 0);
        assert_eq!(code(&[&primary, &standby]), 10);
        assert_eq!(code(&[&nobody, &standby, &primary]), 20);
    }

    #[test]
    fn one_service_is_shown_as_the_server_said_it() {
        let raw = json!({"services": [{"name": "a", "new": 1}, {"name": "b"}], "process": {}});
        let expected = json!({"services": [{"name": "a", "new": 1}], "process": {}});
        assert_eq!(only(raw.clone(), Some("a")), expected);
        assert_eq!(only(raw.clone(), None), raw);
    }
}
