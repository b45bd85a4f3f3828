//! How backends are probed: the section `health`.

use std::ops::RangeInclusive;
use std::path::Path;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;

use crate::choice::word;
use crate::kinds::{duration, ms, secs, small_count, text};
use crate::model::{Health, HttpProbe, Probe, StatusSet, UpstreamTls};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint};
use crate::yaml::{Scalar, ScalarKind};
use crate::{defaults, tls};

/// Health with the two numbers that belong to the policy.
#[derive(Debug)]
pub(crate) struct HealthDraft {
    pub(crate) health: Health,
    pub(crate) rise: u32,
    pub(crate) fall: u32,
}

/// `traffic` is how the backends are verified otherwise.
pub(crate) fn health(section: &mut Section<'_>, base: &Path, traffic: &UpstreamTls) -> HealthDraft {
    let http = section.section(
        "http",
        "Probe with an HTTP request, over the scheme of the backend's URL",
        http_probe,
    );
    let tcp = section.optional(
        "tcp",
        "Probe with a TCP connection only; has no keys: `tcp: {}`",
        |value| {
            value.section(|_| ());
            Some(())
        },
    );
    section.exclusive("http", "tcp");
    let tls = section.optional(
        "tls",
        "How probes verify `https` backends, where that differs from the service's `tls`",
        |value| Some(value.section(|section| tls::upstream(section, base, traffic))),
    );
    let health = Health {
        probe: if tcp.is_some() { Probe::Tcp } else { Probe::Http(http) },
        tls: tls.filter(|tls| tls != traffic),
        interval: section.or(
            "interval",
            "From one probe to the next when nothing is in doubt",
            defaults::INTERVAL,
            duration(ms(10)..=secs(3600)),
        ),
        timeout: section.or(
            "timeout",
            "The total deadline of one probe: resolve, connect, TLS, send, receive",
            defaults::PROBE_TIMEOUT,
            duration(ms(10)..=secs(300)),
        ),
        confirm_interval: section.or(
            "confirm_interval",
            "From one probe to the next while a change is being confirmed; such probes may overlap",
            defaults::CONFIRM_INTERVAL,
            duration(ms(1)..=secs(3600)),
        ),
        stall_after: section.or(
            "stall_after",
            "A request that waits longer than this for its answer asks for confirming probes",
            defaults::STALL_AFTER,
            duration(ms(10)..=secs(3600)),
        ),
    };
    let rise = section.or(
        "rise",
        "Consecutive passed probes that bring a backend up",
        defaults::RISE,
        small_count(1..=100),
    );
    let fall = section.or(
        "fall",
        "Consecutive failed probes that take a backend down",
        defaults::FALL,
        small_count(1..=100),
    );
    HealthDraft { health, rise, fall }
}

/// Methods that a probe may use; it has no body.
const METHODS: &[(&str, Method)] = &[
    ("GET", Method::GET),
    ("HEAD", Method::HEAD),
    ("OPTIONS", Method::OPTIONS),
    ("POST", Method::POST),
];

fn http_probe(section: &mut Section<'_>) -> HttpProbe {
    HttpProbe {
        method: section.or("method", "The request method", defaults::PROBE_METHOD, word(METHODS)),
        path: section.or(
            "path",
            "Path and query of the request",
            defaults::PROBE_PATH,
            text("a path", parse_probe_path),
        ),
        host: section.optional(
            "host",
            "The `Host` field, when it is not the host and port of the backend's URL",
            text("a host", header_value),
        ),
        headers: section
            .optional("headers", "Further header fields by name", headers)
            .unwrap_or_default(),
        status: section.or(
            "status",
            "Which answers pass: a status, a range `200-299`, or a list of both",
            defaults::PROBE_STATUS,
            statuses,
        ),
    }
}

fn parse_probe_path(text: &str) -> Result<PathAndQuery, Complaint> {
    let bad = || Complaint::new(format!("{} is not a path", quoted(text)));
    if !text.starts_with('/') {
        return Err(
            bad().advice(format!("a path begins with `/`: write {}", quoted(&format!("/{text}"))))
        );
    }
    if text.contains('#') {
        return Err(bad().advice("remove the `#` and what follows"));
    }
    text.parse().map_err(|_| {
        bad().advice("encode spaces and other special characters, for example as `%20`")
    })
}

/// Fields that frame a message or belong to one connection (RFC 9110 7.6.1, 8.6); the prober sets
/// them itself.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn headers(value: &mut Value<'_>) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    value.named("header fields by name", 0, |name, value| {
        let (field, content) = header(&name, value)?;
        if fields.contains_key(&field) {
            let message = format!("{} is given twice", quoted(field.as_str()));
            let complaint = Complaint::new(message).advice("upper and lower case are the same");
            value.report().error(&name.place, complaint);
            return None;
        }
        fields.insert(field, content);
        Some(())
    })?;
    Some(fields)
}

fn header(name: &At<&str>, value: &mut Value<'_>) -> Option<(HeaderName, HeaderValue)> {
    let parsed = HeaderName::from_bytes(name.value.as_bytes());
    let report = value.report();
    let content = text("a header value", header_value)(value);
    let complaint = match &parsed {
        Err(_) => Some(Complaint::new(format!(
            "{} is not the name of a header field",
            quoted(name.value)
        ))),
        Ok(field) if field == http::header::HOST => Some(
            Complaint::new("the `Host` field has a key of its own")
                .advice("write `host:` beside `headers:`"),
        ),
        Ok(field) if RESERVED.contains(&field.as_str()) => Some(Complaint::new(format!(
            "a probe cannot set {}, it belongs to the connection",
            quoted(name.value)
        ))),
        Ok(_) => None,
    };
    if let Some(complaint) = complaint {
        report.error(&name.place, complaint);
        return None;
    }
    Some((parsed.ok()?, content?))
}

fn header_value(text: &str) -> Result<HeaderValue, Complaint> {
    text.parse()
        .map_err(|_| Complaint::new(format!("{} cannot be sent in a header field", quoted(text))))
}

/// Final answers: 1xx never ends an exchange.
const STATUSES: RangeInclusive<u16> = 200..=599;

fn statuses(value: &mut Value<'_>) -> Option<StatusSet> {
    value.either(
        |value| status(value).map(|range| StatusSet(vec![range])),
        |value| value.list("a list of statuses", 1, status).map(StatusSet),
    )
}

fn status(value: &mut Value<'_>) -> Option<RangeInclusive<u16>> {
    let schema = || {
        json!({ "anyOf": [
            { "type": "integer", "minimum": STATUSES.start(), "maximum": STATUSES.end() },
            { "type": "string", "pattern": "^[2-5][0-9][0-9]-[2-5][0-9][0-9]$" },
        ] })
    };
    value.scalar("a status such as 200 or `200-299`", schema, parse_status)
}

fn parse_status(scalar: &Scalar) -> Result<RangeInclusive<u16>, Complaint> {
    let text = scalar.text.as_str();
    let bad = || Complaint::new(format!("{} is not a status or a range of them", quoted(text)));
    let number = |text: &str| {
        let digits = text.len() == 3 && text.chars().all(|c| c.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| digits && STATUSES.contains(status))
    };
    let range = match (scalar.kind, text.split_once('-')) {
        (ScalarKind::Number, None) => number(text).map(|status| status..=status),
        (ScalarKind::Text, Some((first, last))) => {
            number(first).zip(number(last)).map(|(a, b)| a..=b)
        }
        (ScalarKind::Text, None) if number(text).is_some() => {
            return Err(bad().advice("remove the quotes"));
        }
        (ScalarKind::Text | ScalarKind::Flag, None)
        | (ScalarKind::Number | ScalarKind::Flag, Some(_)) => None,
    };
    match range {
        Some(range) if range.is_empty() => Err(bad().advice("write the smaller status first")),
        Some(range) => Ok(range),
        None if text.to_ascii_lowercase().ends_with("xx") => {
            let class = text.chars().next().filter(|c| ('2'..='5').contains(c)).unwrap_or('2');
            Err(bad().advice(format!("write `{class}00-{class}99`")))
        }
        None => Err(bad().advice(
            "write 200, `200-299`, or a list such as `[200, 401]`; statuses are 200 to 599",
        )),
    }
}

/// A status or a range as a user would write it.
pub(crate) fn show_status(range: &RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ScalarKind, text: &str, expected: Option<RangeInclusive<u16>>) {
        let scalar = Scalar { text: text.to_owned(), kind };
        assert_eq!(parse_status(&scalar).ok(), expected, "{text}");
    }

    #[test]
    fn statuses_are_numbers_or_ranges_of_final_answers() {
        check(ScalarKind::Number, "200", Some(200..=200));
        check(ScalarKind::Text, "200-299", Some(200..=299));
        check(ScalarKind::Text, "404-404", Some(404..=404));
        for bad in ["99", "199", "600", "0200", "-200", "2e2", "200.0"] {
            check(ScalarKind::Number, bad, None);
        }
        for bad in ["200", "299-200", "200-", "-299", "200-600", "2xx", "200 - 299", "ok", ""] {
            check(ScalarKind::Text, bad, None);
        }
    }
}
