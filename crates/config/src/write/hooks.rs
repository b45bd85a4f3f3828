//! Gates, jobs and notifiers, back to YAML. References to secrets stay references.

use super::health::statuses;
use super::listener::file;
use super::{line, quote, tls};
use crate::gates::{gate_name, need_name, on_failure_name};
use crate::kinds::{show_duration, show_size};
use crate::model::{
    Action, At, Channel, ExecAction, Gate, GateAction, Gates, HttpAction, Job, JobTarget, Mail,
    MaxAge, Notifier, Schedule, Secret, Tries, UpstreamTls,
};
use crate::notify::mail_tls_name;
use crate::probe::role_name;

/// Every direction, also where it is as another.
pub(super) fn write_gates(out: &mut String, gates: &Gates) {
    let Gates { failover, failback, switchover } = gates;
    if failover.is_empty() && failback.is_empty() && switchover.is_empty() {
        return;
    }
    line(out, format_args!("    gates:"));
    for (name, gates) in
        [("failover", failover), ("failback", failback), ("switchover", switchover)]
    {
        if gates.is_empty() {
            line(out, format_args!("      {name}: {{}}"));
            continue;
        }
        line(out, format_args!("      {name}:"));
        for gate in gates {
            write_gate(out, gate);
        }
    }
}

fn write_gate(out: &mut String, gate: &Gate) {
    line(out, format_args!("        {}:", gate_name(gate.rule.gate)));
    let indent = "          ";
    match &gate.action {
        GateAction::Call(action) => write_action(out, indent, action),
        GateAction::Role(role) => line(out, format_args!("{indent}role: {}", role_name(*role))),
    }
    line(out, format_args!("{indent}need: {}", need_name(gate.rule.need)));
    line(out, format_args!("{indent}on_failure: {}", on_failure_name(gate.rule.on_failure)));
    write_tries(out, indent, gate.tries, gate.rule.idempotent);
}

fn write_tries(out: &mut String, indent: &str, tries: Tries, is_idempotent: bool) {
    let Tries { deadline, retries, back_off } = tries;
    line(out, format_args!("{indent}deadline: {}", show_duration(deadline)));
    line(out, format_args!("{indent}retries: {retries}"));
    line(out, format_args!("{indent}back_off: {}", show_duration(back_off)));
    line(out, format_args!("{indent}idempotent: {is_idempotent}"));
}

pub(super) fn write_jobs(out: &mut String, jobs: &[Job]) {
    if !jobs.is_empty() {
        line(out, format_args!("    jobs:"));
    }
    for job in jobs {
        write_job(out, job);
    }
}

fn write_job(out: &mut String, job: &Job) {
    line(out, format_args!("      {}:", quote(&job.name)));
    let indent = "        ";
    write_action(out, indent, &job.action);
    match &job.schedule {
        Schedule::Every(every) => {
            line(out, format_args!("{indent}every: {}", show_duration(*every)));
        }
        Schedule::Cron(times) => {
            let (pattern, zone) = (quote(times.pattern()), quote(times.time_zone()));
            line(out, format_args!("{indent}cron: {pattern}\n{indent}time_zone: {zone}"));
        }
        Schedule::Never => {}
    }
    line(out, format_args!("{indent}jitter: {}", show_duration(job.jitter)));
    match job.to {
        JobTarget::Active => line(out, format_args!("{indent}to: active")),
        JobTarget::Standbys { role } => {
            line(out, format_args!("{indent}to: standbys"));
            if let Some(role) = role {
                line(out, format_args!("{indent}role: {}", role_name(role)));
            }
        }
    }
    line(out, format_args!("{indent}catch_up: {}", job.catch_up));
    line(out, format_args!("{indent}move_waits: {}", show_duration(job.move_waits)));
    if let Some(MaxAge { age, blocks }) = job.max_age {
        let age = show_duration(age);
        line(out, format_args!("{indent}max_age: {{ age: {age}, blocks: {blocks} }}"));
    }
    write_tries(out, indent, job.tries, job.idempotent);
}

pub(super) fn write_notifiers(out: &mut String, notifiers: &[Notifier]) {
    if !notifiers.is_empty() {
        line(out, format_args!("notify:"));
    }
    for notifier in notifiers {
        line(out, format_args!("  {}:", quote(&notifier.name)));
        write_channel(out, "    ", &notifier.channel);
        for (key, names) in [("events", &notifier.events), ("services", &notifier.services)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
                line(out, format_args!("    {key}: [{}]", names.join(", ")));
            }
        }
        line(out, format_args!("    deadline: {}", show_duration(notifier.deadline)));
        line(out, format_args!("    give_up_after: {}", show_duration(notifier.give_up_after)));
    }
}

fn write_channel(out: &mut String, indent: &str, channel: &Channel) {
    let (key, keys) = match channel {
        Channel::Exec(exec) => ("exec", exec_keys(exec)),
        Channel::Webhook { request, key } => {
            let key = key.as_ref().map(|key| format!("key: {}", secret(key)));
            ("webhook", hook_keys(request).into_iter().chain(key).collect())
        }
        Channel::Slack(slack) => {
            let url = secret(&slack.url);
            let own = own_tls(&slack.tls);
            ("slack", std::iter::once(format!("url: {url}")).chain(own).collect())
        }
        Channel::Alertmanager(request) => ("alertmanager", hook_keys(request)),
        Channel::Mail(mail) => ("mail", mail_keys(mail)),
    };
    write_keys(out, indent, key, keys);
}

fn write_action(out: &mut String, indent: &str, action: &Action) {
    let (key, keys) = match action {
        Action::Exec(exec) => ("exec", exec_keys(exec)),
        Action::Http(request) => ("http", http_keys(request)),
    };
    write_keys(out, indent, key, keys);
}

fn write_keys(out: &mut String, indent: &str, key: &str, keys: Vec<String>) {
    line(out, format_args!("{indent}{key}:"));
    for key in keys {
        line(out, format_args!("{indent}  {key}"));
    }
}

fn exec_keys(exec: &ExecAction) -> Vec<String> {
    let command: Vec<String> = exec.command.iter().map(|argument| quote(argument)).collect();
    let mut keys = vec![format!("command: [{}]", command.join(", "))];
    keys.extend(named(
        "environment",
        exec.environment.iter().map(|(name, value)| (&**name, value)),
    ));
    keys.extend(exec.directory.as_ref().map(|folder| format!("directory: {}", file(folder))));
    keys.push(format!("output_bytes: {}", show_size(exec.output_bytes)));
    keys
}

fn http_keys(request: &HttpAction) -> Vec<String> {
    let mut keys = vec![format!("method: {}", request.method)];
    keys.extend(hook_keys(request));
    keys.push(format!("body: {}", quote(&request.body)));
    keys.push(format!("status: {}", statuses(&request.status)));
    keys.push(format!("output_bytes: {}", show_size(request.output_bytes)));
    keys
}

/// What a request has that somebody is told by.
fn hook_keys(request: &HttpAction) -> Vec<String> {
    let (before, own) = match &request.at {
        At::Backend => (String::new(), None),
        At::From => ("{from}".to_owned(), None),
        At::To => ("{to}".to_owned(), None),
        At::Elsewhere { url, tls } => (url.to_string(), own_tls(tls)),
    };
    let mut keys = vec![format!("url: {}", quote(&format!("{before}{}", request.path)))];
    keys.extend(named(
        "headers",
        request.headers.iter().map(|(name, value)| (name.as_str(), value)),
    ));
    keys.extend(own);
    keys
}

/// Without anything to say it may not be said: the server may be asked in the clear.
pub(super) fn own_tls(settings: &UpstreamTls) -> Option<String> {
    (*settings != UpstreamTls::default()).then(|| format!("tls: {}", tls(settings)))
}

fn mail_keys(mail: &Mail) -> Vec<String> {
    let Mail { host, port, tls, ca, login, from, to } = mail;
    let mut keys = vec![
        format!("host: {}", quote(host)),
        format!("port: {port}"),
        format!("tls: {}", mail_tls_name(*tls)),
    ];
    keys.extend(ca.as_ref().map(|path| format!("ca: {}", file(path))));
    if let Some((user, password)) = login {
        keys.push(format!("user: {}", quote(user)));
        keys.push(format!("password: {}", secret(password)));
    }
    keys.push(format!("from: {}", quote(from)));
    let to: Vec<String> = to.iter().map(|address| quote(address)).collect();
    keys.push(format!("to: [{}]", to.join(", ")));
    keys
}

/// Names with secrets, unless there are none.
pub(super) fn named<'a>(
    key: &str,
    pairs: impl Iterator<Item = (&'a str, &'a Secret)>,
) -> Option<String> {
    let pairs = pairs.map(|(name, value)| format!("{}: {}", quote(name), secret(value)));
    let pairs: Vec<String> = pairs.collect();
    (!pairs.is_empty()).then(|| format!("{key}: {{ {} }}", pairs.join(", ")))
}

fn secret(secret: &Secret) -> String {
    match secret {
        Secret::Plain(text) => quote(text),
        Secret::File(path) => format!("{{ file: {} }}", file(path)),
        Secret::Variable(name) => format!("{{ env: {} }}", quote(name)),
    }
}
