//! `switchover` and `failback`: ordered moves, or what they would do.

use std::process::ExitCode;
use std::time::Duration;

use admin::wire::request;
use admin::wire::{Done, Preview};
use jiff::Zoned;
use serde::Serialize;

use super::{done, known, service_named, service_path};
use crate::cli::{Failback, Switchover, When};
use crate::client::{AskError, Client, MOVE_WITHIN};
use crate::files::{Failure, print};
use crate::show::{self, Progress, printable};

/// `switchover`, now, later, or not any more.
pub(super) async fn switchover(client: &Client, args: &Switchover) -> Result<ExitCode, Failure> {
    // What is wrong with the time is said before anybody is asked.
    let now = Zoned::now();
    let at = args.at.as_ref().map(|at| at.resolve(&now)).transpose();
    let at = at.map_err(|why| Failure::Config(format!("understudy: --at: {why}")))?;
    let service = service_named(client, args.service.as_deref()).await?;
    let path = service_path(&service, "switchover");
    let Some(to) = args.to.clone() else {
        // The arguments ask for `--to` unless it is to be cancelled.
        return done(&service, &client.delete(&path, args.why.reason.as_deref()).await?);
    };
    let waits_for = format!("{service}: moving to {to}");
    let body = request::Switchover {
        to,
        verify_seconds: args.verify.map(|verify| verify.as_secs_f64()),
        at: at.as_ref().map(|at| at.timestamp()),
        dry_run: args.dry_run,
        reason: args.why.reason.clone(),
    };
    if args.dry_run {
        return preview(client, &service, &path, &body, at.as_ref()).await;
    }
    let answer = order(client, &path, &body, &waits_for).await;
    let answer = known(client, &service, Some(&body.to), answer).await?;
    match at {
        None => {
            done(&service, &answer)?;
            print(&format!("{service}: it stays there until `unpin` or `failback`"))
        }
        // Only here is it known which clock was read.
        Some(at) => print(&format!("{service}: {}: {}", printable(&answer.text), ahead(&at, &now))),
    }
}

/// `failback`.
pub(super) async fn failback(client: &Client, args: &Failback) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.service.as_deref()).await?;
    let path = service_path(&service, "failback");
    let body = request::Failback {
        verify_seconds: args.verify.map(|verify| verify.as_secs_f64()),
        dry_run: args.dry_run,
        reason: args.why.reason.clone(),
    };
    if args.dry_run {
        return preview(client, &service, &path, &body, None).await;
    }
    let waits_for = format!("{service}: failing back");
    let answer = order(client, &path, &body, &waits_for).await;
    done(&service, &known(client, &service, None, answer).await?)
}

async fn order(
    client: &Client,
    path: &str,
    body: &impl Serialize,
    waits_for: &str,
) -> Result<Done, AskError> {
    Progress::during(waits_for, client.post(path, body, MOVE_WITHIN)).await
}

async fn preview(
    client: &Client,
    service: &str,
    path: &str,
    body: &impl Serialize,
    at: Option<&When>,
) -> Result<ExitCode, Failure> {
    let preview: Preview = client.post(path, body, MOVE_WITHIN).await?;
    print(&previewed(service, &preview, at))?;
    Ok(if preview.possible { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// A preview in words.
fn previewed(service: &str, preview: &Preview, at: Option<&When>) -> String {
    let from = preview.from.as_deref().unwrap_or("nobody");
    let way = match &preview.to {
        Some(to) => format!("{from} -> {to}"),
        None => format!("{from} stays"),
    };
    let verdict = if preview.possible { "would be done" } else { "would be refused" };
    let when = at.map(|at| format!(" at {at}")).unwrap_or_default();
    let mut text = format!("{service}: {way}{when}: {verdict}; nothing was changed\n");
    for (number, step) in preview.steps.iter().enumerate() {
        text += &format!("  {}. {}\n", number + 1, printable(step));
    }
    for (word, lines) in [("blocked", &preview.blockers), ("warning", &preview.warnings)] {
        for line in lines {
            text += &format!("  {word}: {}\n", printable(line));
        }
    }
    text
}

/// A moment to come, and how far it is.
fn ahead(at: &When, now: &Zoned) -> String {
    let left = Duration::try_from(at.local.duration_since(now)).unwrap_or_default();
    format!("{at}, in {}", show::left(left.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview() -> Preview {
        Preview {
            from: Some("a".to_owned()),
            to: Some("b".to_owned()),
            possible: true,
            steps: vec!["requests are held".to_owned(), "b gets\nthem".to_owned()],
            blockers: Vec::new(),
            warnings: vec!["3 streams stay at a".to_owned()],
        }
    }

    #[test]
    fn a_preview_says_whether_how_and_what_else() {
        let expected = "web: a -> b: would be done; nothing was changed\n  1. requests are held\n  \
                        2. b gets them\n  warning: 3 streams stay at a\n";
        assert_eq!(previewed("web", &preview(), None), expected);
        let blocked = Preview {
            from: None,
            possible: false,
            steps: Vec::new(),
            blockers: vec!["b is down".to_owned()],
            warnings: Vec::new(),
            ..preview()
        };
        let expected =
            "web: nobody -> b: would be refused; nothing was changed\n  blocked: b is down\n";
        assert_eq!(previewed("web", &blocked, None), expected);
        let idle = Preview { from: Some("b".to_owned()), to: None, ..blocked };
        assert!(previewed("web", &idle, None).starts_with("web: b stays: would be refused"));
    }

    #[test]
    fn a_moment_says_its_zone_and_how_far_it_is() {
        let now: Zoned = "2026-11-27T02:00:00[UTC]".parse().expect("a time");
        let at = When { local: "2026-11-28T02:30:00[UTC]".parse().expect("a time") };
        assert_eq!(ahead(&at, &now), "2026-11-28 02:30:00 +00:00 (UTC), in 1 d");
    }
}
