//! What is written of requests and events, and where to: the sections `access_log` and `event_log`.

use std::net::SocketAddr;
use std::path::Path;

use crate::choice::{means_off, off_or, word};
use crate::defaults;
use crate::kinds::{size, small_count, text};
use crate::model::{AccessLog, EventLog, LogFormat, LogTo, LogVariable, Rotate, TemplatePart};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint, Report};
use crate::sections::Draft;
use crate::service::DraftService;
use crate::share::share;
use crate::suggest::closest;
use crate::unix::parse_path;

const SYSLOG: &str = "syslog:";
const TO: &str = "a file, `stdout`, `syslog:unix:/dev/log` or `syslog:udp:ADDRESS`";

/// `off`, or its keys.
pub(crate) fn access_log(value: &mut Value<'_>, base: &Path) -> Option<Option<At<AccessLog>>> {
    off_or("`off` or the keys of an access log", |value| {
        value.keys(|section| {
            let to = to(section, base);
            let format = section.or(
                "format",
                "`json`, `combined`, or a template such as `{time} {status} {backend}`",
                defaults::LOG_FORMAT,
                text("`json`, `combined` or a template", parse_format),
            );
            let sample = section.or(
                "sample",
                "The share of plain answers that is written, 0 to 1; failures, and requests that were held or sent again, are written always",
                defaults::LOG_SAMPLE,
                share,
            );
            let query = section.or(
                "query",
                "`keep`, or `drop`: the query of targets and of `Referer` is left out",
                defaults::LOG_QUERY,
                word(&[("keep", true), ("drop", false)]),
            );
            let At { value: to, place } = to?;
            Some(At { value: AccessLog { to, format, sample, query }, place })
        })?
    })(value)
}

/// `off`, or its keys.
pub(crate) fn event_log(value: &mut Value<'_>, base: &Path) -> Option<Option<At<EventLog>>> {
    off_or("`off` or the keys of an event log", |value| {
        value.keys(|section| {
            let At { value: to, place } = to(section, base)?;
            Some(At { value: EventLog { to }, place })
        })?
    })(value)
}

/// The keys that both have.
fn to(section: &mut Section<'_>, base: &Path) -> Option<At<LogTo>> {
    let to = section.required(
        "to",
        "A file (relative to the folder of the config), `stdout`, `syslog:unix:/dev/log` or `syslog:udp:192.0.2.1:514`",
        text(TO, |text| parse_to(text, base)),
    );
    let rotate = section.or(
        "rotate",
        "When a file is set aside for a new one: `off` (a SIGUSR1 opens it anew, for logrotate), or its keys",
        defaults::LOG_ROTATE,
        off_or("`off` or the keys `size` and `keep`", |value| value.keys(rotate)),
    );
    let place = section.place("to");
    let mut to = to?;
    match (&mut to, rotate) {
        (LogTo::File { rotate, .. }, wanted) => *rotate = wanted,
        (LogTo::Stdout | LogTo::SyslogUnix(_) | LogTo::SyslogUdp(_), None) => {}
        (LogTo::Stdout | LogTo::SyslogUnix(_) | LogTo::SyslogUdp(_), Some(_)) => {
            let complaint = Complaint::new("only a file can be set aside for a new one");
            let complaint = complaint.advice("remove `rotate`, or write to a file");
            section.report().error(&section.place("rotate"), complaint);
        }
    }
    Some(At { value: to, place })
}

fn rotate(section: &mut Section<'_>) -> Rotate {
    Rotate {
        size: section.or(
            "size",
            "At how many bytes it is set aside",
            defaults::LOG_ROTATE_SIZE,
            size(64 << 10..=1 << 40),
        ),
        keep: section.or(
            "keep",
            "How many are kept beside the one that is written to: `.1` is the youngest",
            defaults::LOG_ROTATE_KEEP,
            small_count(1..=1000),
        ),
    }
}

fn parse_to(text: &str, base: &Path) -> Result<LogTo, Complaint> {
    let bad = |text: &str| Complaint::new(format!("expected {TO}, found {}", quoted(text)));
    if let Some(address) = text.strip_prefix(SYSLOG) {
        if let Some(path) = address.strip_prefix("unix:") {
            return parse_path(path).map(|path| LogTo::SyslogUnix(path.to_path_buf()));
        }
        let address = address.strip_prefix("udp:").and_then(|text| text.parse::<SocketAddr>().ok());
        return address.filter(|address| address.port() != 0).map(LogTo::SyslogUdp).ok_or_else(
            || {
                bad(text).advice(
                    "write `syslog:unix:/dev/log`, or `syslog:udp:` with an IP address and a port",
                )
            },
        );
    }
    if text == "stdout" {
        return Ok(LogTo::Stdout);
    }
    if means_off(text) || text == "off" {
        return Err(bad(text).advice("to write nothing, write `off` in place of the whole section"));
    }
    // A file of that name is nobody's wish.
    let words = ["stdout", "syslog", "stderr", "journal"];
    if !text.contains(['/', '.'])
        && let Some(word) = closest(text, words)
    {
        return Err(bad(text).advice(match word {
            "stdout" => "did you mean `stdout`?",
            "syslog" | "journal" => "write `syslog:unix:/dev/log`",
            _ => "standard error is for the program's own log; write `stdout`, or a file",
        }));
    }
    if text.chars().any(char::is_control) || text.ends_with('/') {
        return Err(bad(text).advice("name a file"));
    }
    Ok(LogTo::File { path: base.join(text), rotate: None })
}

fn parse_format(text: &str) -> Result<LogFormat, Complaint> {
    match text {
        "json" => return Ok(LogFormat::Json),
        "combined" => return Ok(LogFormat::Combined),
        _ => {}
    }
    if !text.contains('{') {
        let message = format!("expected `json`, `combined` or a template, found {}", quoted(text));
        let complaint = Complaint::new(message);
        return Err(match closest(text, ["json", "combined"]) {
            Some(word) => complaint.advice(format!("did you mean {}?", quoted(word))),
            None => complaint.advice("a template names variables in braces: `{time} {status}`"),
        });
    }
    if text.chars().any(char::is_control) {
        let complaint = Complaint::new("a template is one line, without control characters");
        return Err(complaint.advice("remove them; each request ends its line by itself"));
    }
    template(text).map(LogFormat::Template)
}

/// Text with variables in braces; `{{` and `}}` are braces.
fn template(text: &str) -> Result<Vec<TemplatePart>, Complaint> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let (brace, behind) = rest[at..].split_at(1);
        if let Some(behind) = behind.strip_prefix(brace) {
            plain.push_str(brace);
            rest = behind;
            continue;
        }
        let Some((name, behind)) = behind.split_once('}').filter(|_| brace == "{") else {
            let complaint = Complaint::new(format!("the template has a single {brace}"));
            return Err(complaint.advice("write `{{` or `}}` for a brace, `{name}` for a variable"));
        };
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
        }
        parts.push(TemplatePart::Variable(variable(name)?));
        rest = behind;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(TemplatePart::Text(plain));
    }
    Ok(parts)
}

fn variable(name: &str) -> Result<LogVariable, Complaint> {
    let known = LogVariable::ALL.iter().copied();
    known.clone().find(|variable| variable.name() == name).ok_or_else(|| {
        let shown: String = name.chars().take(40).collect();
        let complaint = Complaint::new(format!("unknown variable {{{shown}}}"));
        let names: Vec<&str> = known.map(LogVariable::name).collect();
        match closest(name, names.iter().copied()) {
            Some(meant) => complaint.advice(format!("did you mean {{{meant}}}?")),
            None => complaint.advice(format!("the variables are: {}", names.join(", "))),
        }
    })
}

/// What logs and services say together.
pub(crate) fn together(report: &Report<'_>, draft: &Draft) {
    if let (Some(access), Some(events)) = (&draft.access_log, &draft.event_log)
        && let (LogTo::File { path: one, .. }, LogTo::File { path: other, .. }) =
            (&access.value.to, &events.value.to)
        && one == other
    {
        let message =
            format!("{} is the file of the access log already", quoted(&show_to(&events.value.to)));
        let complaint = Complaint::new(message).advice("give each log a file of its own");
        report.error(&events.place, complaint);
    }
    let silent = |draft: &&DraftService| !draft.service.access_log;
    let Some(first) = draft.services.iter().find(silent) else { return };
    match &draft.access_log {
        None => {
            let name = quoted(&first.service.name);
            let message = format!("there is no access log that {name} could stay out of");
            let advice = "remove `access_log` from the service, or give the document one";
            report.warning(&first.place, Complaint::new(message).advice(advice));
        }
        Some(log) if draft.services.iter().all(|draft| !draft.service.access_log) => {
            let complaint = Complaint::new("every service stays out of the access log");
            let advice = "write `access_log: off` here, or let a service in";
            report.warning(&log.place, complaint.advice(advice));
        }
        Some(_) => {}
    }
}

/// A format as a user would write it.
pub(crate) fn show_format(format: &LogFormat) -> String {
    let parts = match format {
        LogFormat::Json => return "json".to_owned(),
        LogFormat::Combined => return "combined".to_owned(),
        LogFormat::Template(parts) => parts,
    };
    let shown = parts.iter().map(|part| match part {
        TemplatePart::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        TemplatePart::Variable(variable) => format!("{{{}}}", variable.name()),
    });
    shown.collect()
}

/// Where to, as a user would write it.
#[must_use]
pub fn show_to(to: &LogTo) -> String {
    match to {
        LogTo::Stdout => "stdout".to_owned(),
        LogTo::File { path, .. } => path.display().to_string(),
        LogTo::SyslogUnix(path) => format!("{SYSLOG}unix:{}", path.display()),
        LogTo::SyslogUdp(address) => format!("{SYSLOG}udp:{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_reads_back_as_it_was_written() {
        for text in ["{time}", "a{status}b{{c}}", "{{}}{method} {target}", "x{{{client}}}"] {
            let format = parse_format(text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            assert_eq!(show_format(&format), text);
        }
        let parts = template("{{{status}}}").expect("braces around a variable");
        assert_eq!(
            parts,
            [
                TemplatePart::Text("{".to_owned()),
                TemplatePart::Variable(LogVariable::Status),
                TemplatePart::Text("}".to_owned())
            ]
        );
    }

    #[test]
    fn broken_templates_are_refused() {
        for text in ["{", "}{time}", "{time", "{nothing}", "{time}\n", "{}", "jsn"] {
            assert!(parse_format(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_taken_for_one() {
        let base = Path::new("/etc/understudy");
        for text in [
            "off",
            "none",
            "stdou",
            "stderr",
            "syslog",
            "syslog:",
            "syslog:tcp:1.2.3.4:5",
            "syslog:udp:host:514",
            "syslog:udp:192.0.2.1:0",
            "syslog:unix:log",
            "logs/",
        ] {
            assert!(parse_to(text, base).is_err(), "{text}");
        }
        let file = LogTo::File { path: "/etc/understudy/access.log".into(), rotate: None };
        assert_eq!(parse_to("access.log", base).ok(), Some(file));
    }
}
