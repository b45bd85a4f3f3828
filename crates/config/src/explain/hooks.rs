//! Gates, jobs and notifiers in words. Never what is secret: of commands the program alone, of URLs
//! the host.

use routing::failover::{self, Direction, Need, OnFailure};

use super::listeners::warning;
use crate::gates::gate_name;
use crate::kinds::show_duration;
use crate::lint;
use crate::model::{
    Action, At, Channel, Config, Gate, GateAction, Job, JobTarget, MailTls, Notifier, Schedule,
    Service,
};
use crate::notify::{hook_host, mail_tls_name};
use crate::probe::role_name;
use crate::times::gates_take;

/// What happens in the applications before the traffic moves.
pub(super) fn gates(service: &Service) -> Option<String> {
    if service.policy.gates.is_empty() {
        return None;
    }
    let gates = &service.gates;
    let mut lines = vec![
        "Before the traffic moves the applications are told, one gate after the other, while requests wait:".to_owned(),
    ];
    let directions = [
        (Direction::Failover, &gates.failover),
        (Direction::Failback, &gates.failback),
        (Direction::Switchover, &gates.switchover),
    ];
    for (index, (direction, list)) in directions.iter().enumerate() {
        let name = direction_name(*direction);
        let same = directions[..index].iter().rev().find(|(_, other)| other == list);
        let text = match same {
            _ if list.is_empty() => format!("at a {name}: nothing."),
            Some((as_that, _)) => format!("at a {name}: as at a {}.", direction_name(*as_that)),
            None => direction_gates(name, list),
        };
        lines.push(format!("  {text}"));
    }
    let again = |gate: &&Gate| !gate.rule.idempotent;
    let once: Vec<&str> = all(service).filter(again).map(|gate| gate_name(gate.rule.gate)).fold(
        Vec::new(),
        |mut names, name| {
            if !names.contains(&name) {
                names.push(name);
            }
            names
        },
    );
    lines.push(if once.is_empty() {
        "When nobody knows how a gate ended, as after a crash, it is run again.".to_owned()
    } else {
        format!(
            "When nobody knows how a gate ended, as after a crash, an operator must say ({}), as they are not `idempotent`.",
            once.join(", ")
        )
    });
    let told = all(service).flat_map(lint::gate).map(|lint| warning(&lint));
    for line in told {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Some(lines.join("\n  "))
}

fn all(service: &Service) -> impl Iterator<Item = &Gate> {
    let gates = &service.gates;
    gates.failover.iter().chain(&gates.failback).chain(&gates.switchover)
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Failover => "failover",
        Direction::Failback => "failback",
        Direction::Switchover => "switchover",
    }
}

fn direction_gates(name: &str, list: &[Gate]) -> String {
    let gates: Vec<String> = list.iter().map(one).collect();
    let take = show_duration(gates_take(list));
    format!(
        "at a {name}, in this order, which adds {take} at worst:\n      {}",
        gates.join("\n      ")
    )
}

fn one(gate: &Gate) -> String {
    let does = match &gate.action {
        GateAction::Call(action) => done(action, about(gate.rule.gate)),
        GateAction::Role(role) => format!("probes find the role {}", role_name(*role)),
    };
    let name = gate_name(gate.rule.gate);
    let fails = match (gate.rule.need, gate.rule.on_failure) {
        (Need::BestEffort, _) => "the move goes on if it fails",
        (_, OnFailure::Abort) => "the service is locked if it fails",
        (_, OnFailure::Continue) => "the move goes on if it fails",
        (_, OnFailure::NextStandby) => "it is the next standby's turn if it fails",
    };
    let is_about_old = match gate.rule.gate {
        failover::Gate::Fence => gate.rule.on_failure == OnFailure::Abort,
        failover::Gate::Demote
        | failover::Gate::Sync
        | failover::Gate::Promote
        | failover::Gate::Verify => false,
    };
    let unless = match gate.rule.need {
        Need::IfReachable => ", unless nothing can be reached",
        Need::Required if is_about_old => ", also if it cannot be reached: then nobody takes over",
        Need::Required | Need::BestEffort => "",
    };
    let (deadline, tries) = (show_duration(gate.tries.deadline), gate.tries.retries);
    let again = match tries {
        0 => String::new(),
        1 => ", tried once more".to_owned(),
        tries => format!(", tried {tries} times more"),
    };
    format!("{name}: {does}, within {deadline}{again}; {fails}{unless}.")
}

/// Whom a gate is about.
fn about(gate: failover::Gate) -> &'static str {
    match gate {
        failover::Gate::Fence | failover::Gate::Demote => "whoever may still hold the active role",
        failover::Gate::Sync | failover::Gate::Promote | failover::Gate::Verify => "the new active",
    }
}

/// `runs x`, or `sends POST to y`.
fn done(action: &Action, about: &str) -> String {
    match action {
        Action::Exec(exec) => {
            format!("runs {}", exec.command.first().map_or("nothing", |program| program))
        }
        Action::Http(request) => {
            let whom = match &request.at {
                At::Backend => about.to_owned(),
                At::From => "the old active".to_owned(),
                At::To => "the one that it goes to".to_owned(),
                At::Elsewhere { url, .. } => url.to_string(),
            };
            format!("sends {} to {whom}", request.method)
        }
    }
}

/// What is done on a schedule.
pub(super) fn jobs(service: &Service) -> Option<String> {
    let lines: Vec<String> = service.jobs.iter().map(job).collect();
    (!lines.is_empty()).then(|| lines.join("\n  "))
}

fn job(job: &Job) -> String {
    let when = match &job.schedule {
        Schedule::Every(every) => format!("every {}", show_duration(*every)),
        Schedule::Cron(times) => format!("{times} ({})", times.time_zone()),
        Schedule::Never => "only when an operator says so".to_owned(),
    };
    let whom = match job.to {
        JobTarget::Active => "about the active alone".to_owned(),
        JobTarget::Standbys { role: None } => "for each standby in turn".to_owned(),
        JobTarget::Standbys { role: Some(role) } => {
            format!("for each standby in turn that claims the role {}", role_name(role))
        }
    };
    let waits = if job.move_waits.is_zero() {
        "a move cancels it".to_owned()
    } else {
        format!(
            "a planned move waits {} for it, any other cancels it",
            show_duration(job.move_waits)
        )
    };
    let late = match (&job.schedule, job.catch_up) {
        (Schedule::Never, _) => "",
        (_, true) => " What was missed is made up for, once.",
        (_, false) => " What was missed is left out.",
    };
    let fresh = job.max_age.map_or_else(String::new, |max_age| {
        let may = if max_age.blocks { "may not become active" } else { "is not ready" };
        format!(" A standby whose last success is older than {} {may}.", show_duration(max_age.age))
    });
    let about = match job.to {
        JobTarget::Active => "the active",
        JobTarget::Standbys { .. } => "the standby",
    };
    let mut text = format!(
        "Job {}: {}, {when}, {whom}, within {}; {waits}.{late}{fresh}",
        job.name,
        done(&job.action, about),
        show_duration(job.tries.deadline)
    );
    for lint in lint::job(job) {
        text.push_str(&format!("\n  {}", warning(&lint)));
    }
    text
}

/// Lines with line breaks.
pub(super) fn notified(config: &Config) -> String {
    let lines = config.notify.iter().map(|notifier| {
        let lints = lint::notifier(notifier).into_iter();
        let lints: Vec<String> = lints.map(|lint| format!("{}\n", warning(&lint))).collect();
        format!("{}\n{}", told(notifier), lints.concat())
    });
    lines.collect()
}

fn told(notifier: &Notifier) -> String {
    let host = |at: &At| match at {
        At::Elsewhere { url, .. } => url.to_string(),
        At::Backend | At::From | At::To => String::new(),
    };
    let how = match &notifier.channel {
        Channel::Exec(exec) => done(&Action::Exec(exec.clone()), ""),
        Channel::Webhook { request, key } => {
            let signed = if key.is_some() { "signed" } else { "not signed" };
            format!("by a webhook at {}, {signed}", host(&request.at))
        }
        Channel::Slack(slack) => match hook_host(&slack.url) {
            Some(url) => format!("by a chat message at {url}"),
            None => "by a chat message at a secret URL".to_owned(),
        },
        Channel::Alertmanager(request) => format!("by alerts at {}", host(&request.at)),
        Channel::Mail(mail) => {
            let way = match mail.tls {
                MailTls::Off => "in the clear".to_owned(),
                tls @ (MailTls::Wrapped | MailTls::StartTls) => {
                    format!("over TLS ({})", mail_tls_name(tls))
                }
            };
            format!("by mail to {} through {}:{}, {way}", mail.to.join(", "), mail.host, mail.port)
        }
    };
    let what = if notifier.events.is_empty() {
        "all that somebody should look at".to_owned()
    } else {
        notifier.events.join(", ")
    };
    let whose = if notifier.services.is_empty() {
        String::new()
    } else {
        format!(" of {}", notifier.services.join(", "))
    };
    format!(
        "{} is told of {what}{whose}: {how}; for {} it is tried again and again.",
        notifier.name,
        show_duration(notifier.give_up_after)
    )
}
