//! `job`: run by order, listed, shown.

use std::process::ExitCode;

use admin::wire::request::RunJob;
use admin::wire::{Job, JobRun, JobShown, Service, Status};
use jiff::Timestamp;

use super::{known, service_in, service_named, service_path};
use crate::cli::{JobCommand, JobList, JobRunArgs, JobShow};
use crate::client::{Client, MOVE_WITHIN, segment};
use crate::files::{Failure, print};
use crate::show::{Progress, millis, printable, span};

/// `job`.
pub(super) async fn job(client: &Client, command: &JobCommand) -> Result<ExitCode, Failure> {
    match command {
        JobCommand::Run(args) => run(client, args).await,
        JobCommand::List(args) => list(client, args).await,
        JobCommand::Show(args) => show(client, args).await,
    }
}

async fn run(client: &Client, args: &JobRunArgs) -> Result<ExitCode, Failure> {
    let job = &args.job.backend;
    let service = service_named(client, args.job.service.as_deref()).await?;
    let path = service_path(&service, &format!("jobs/{}/run", segment(job)));
    let order = RunJob { wait: !args.no_wait, reason: args.why.reason.clone() };
    let asked = client.post(&path, &order, MOVE_WITHIN);
    let answer = Progress::during(&format!("running {job}"), asked).await;
    let run: JobRun = known(client, &service, None, answer).await?;
    print(&went(&service, &run))?;
    Ok(match run.outcome.as_deref() {
        Some("done") | None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

async fn list(client: &Client, args: &JobList) -> Result<ExitCode, Failure> {
    let status: Status = client.get("status").await?;
    let services = match &args.service {
        Some(name) => vec![service_in(&status, Some(name))?],
        None => status.services.iter().collect(),
    };
    print(&listed(&services, Timestamp::now()))
}

async fn show(client: &Client, args: &JobShow) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.job.service.as_deref()).await?;
    let path = service_path(&service, &format!("jobs/{}", segment(&args.job.backend)));
    let answer = client.get(&path).await;
    let shown: JobShown = known(client, &service, None, answer).await?;
    print(&in_full(&service, &shown, Timestamp::now()))
}

/// Each job of these services, in a few lines.
fn listed(services: &[&Service], now: Timestamp) -> String {
    let jobs = services.iter().flat_map(|service| {
        service.jobs.iter().map(|job| stands(&service.name, job, now).join("\n"))
    });
    let jobs: Vec<String> = jobs.collect();
    if jobs.is_empty() { "no jobs".to_owned() } else { jobs.join("\n") }
}

/// How a job stands: a line on it, and one for each backend.
fn stands(service: &str, job: &Job, now: Timestamp) -> Vec<String> {
    let mut line = format!("{service}/{}: {}", job.name, printable(&job.schedule));
    match (job.running_for_seconds, &job.running_to) {
        (Some(seconds), Some(to)) => line += &format!(", running for {to}, {}", span(seconds)),
        (Some(seconds), None) => line += &format!(", running for {}", span(seconds)),
        (None, _) => {}
    }
    match job.began {
        Some(began) => line += &format!(", last began {} ago", span(since(began, now))),
        None => line += ", has not run yet",
    }
    if !job.outcome.is_empty() {
        line += &format!(": {}", job.outcome);
        if let Some(took) = job.took_seconds {
            line += &format!(" in {}", span(took));
        }
        if job.outcome != "done" {
            line += &format!(" ({})", printable(&job.words));
        }
    }
    if job.failures > 0 {
        line += &format!(", failed {} times in a row", job.failures);
    }
    if let Some(due) = job.due.filter(|_| job.running_for_seconds.is_none()) {
        line += &match since(now, due) {
            left if left > 0.0 => format!(", next in {}", span(left)),
            _ => ", due".to_owned(),
        };
    }
    let mut lines = vec![line];
    for backend in job.backends.iter().filter(|backend| !backend.active) {
        let succeeded = match (backend.succeeded, backend.age_seconds) {
            (Some(at), _) => format!("last succeeded {} ago", span(since(at, now))),
            (None, Some(age)) => {
                format!("has not run for it since it was active {} ago", span(age))
            }
            (None, None) => "never succeeded, as far as is known".to_owned(),
        };
        let stale = if backend.stale { ", TOO OLD" } else { "" };
        lines.push(format!("  {}: {succeeded}{stale}", backend.name));
    }
    lines
}

fn in_full(service: &str, shown: &JobShown, now: Timestamp) -> String {
    let mut lines = stands(service, &shown.job, now);
    for run in &shown.runs {
        let began = run.began.map_or_else(String::new, |at| format!("{at:.0} "));
        lines.push(format!("{began}{}", went(service, run)));
    }
    lines.join("\n")
}

/// How a run went, with what it wrote.
fn went(service: &str, run: &JobRun) -> String {
    let by = run.by.as_ref().map_or_else(String::new, |by| {
        let (who, why) = (printable(&by.who), printable(&by.why));
        let why = if why.is_empty() { why } else { format!(": {why}") };
        format!(", ordered by {who}{why}")
    });
    let outcome = match (&run.outcome, run.began) {
        (Some(outcome), _) => outcome,
        (None, Some(_)) => "running",
        (None, None) => "ordered",
    };
    let mut text = format!("{service}/{}: {outcome}{by}", run.job);
    for turn in &run.turns {
        let about = turn.backend.as_deref().unwrap_or("the active");
        let tries = if turn.tries > 1 { format!(", {} tries", turn.tries) } else { String::new() };
        let (took, words) = (millis(turn.took_ms), printable(&turn.words));
        text += &format!("\n  {about}: {} in {took}{tries}: {words}", turn.outcome);
        for line in turn.output.lines() {
            // Keeps the spaces of what was written, and obeys none of it.
            text += &format!("\n    {}", line.trim_end().replace(char::is_control, "?"));
        }
    }
    text
}

fn since(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use admin::wire::{JobBackend, JobTurn, Operator};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job() -> Job {
        let b = JobBackend { name: "b".into(), succeeded: Some(at(100)), ..JobBackend::default() };
        let c = JobBackend { name: "c".into(), stale: true, ..JobBackend::default() };
        Job {
            name: "sync".into(),
            schedule: "every 10 min".into(),
            due: Some(at(700)),
            began: Some(at(100)),
            outcome: "failed".into(),
            words: "exit code 1".into(),
            took_seconds: Some(3.0),
            failures: 2,
            backends: vec![b, c],
            ..Job::default()
        }
    }

    #[test]
    fn a_job_is_said_in_a_line_and_one_for_each_standby() {
        let lines = stands("web", &job(), at(160));
        assert_eq!(
            lines,
            [
                "web/sync: every 10 min, last began 1 min ago: failed in 3 s (exit code 1), failed 2 \
                 times in a row, next in 9 min",
                "  b: last succeeded 1 min ago",
                "  c: never succeeded, as far as is known, TOO OLD",
            ]
        );
        let late = stands("web", &job(), at(701));
        assert!(late[0].ends_with(", due"), "{late:?}");
    }

    #[test]
    fn a_run_shows_what_was_written_and_obeys_none_of_it() {
        let turn = JobTurn {
            backend: Some("b".into()),
            outcome: "failed".into(),
            words: "exit code 1".into(),
            output: "  one\n\u{1b}[2Jtwo\n".into(),
            tries: 2,
            took_ms: 12.0,
        };
        let by = Operator { who: "ops".into(), why: "patch".into(), ..Operator::default() };
        let run = JobRun {
            job: "sync".into(),
            by: Some(by),
            outcome: Some("failed".into()),
            turns: vec![turn],
            ..JobRun::default()
        };
        let text = went("web", &run);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "web/sync: failed, ordered by ops: patch");
        assert!(
            lines[1].starts_with("  b: failed in 12") && lines[1].contains("2 tries"),
            "{text}"
        );
        assert_eq!(lines[2..], ["      one", "    ?[2Jtwo"]);
    }
}
