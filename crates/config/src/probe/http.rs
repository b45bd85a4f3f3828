//! An HTTP probe: the section `http`.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method};

use super::claim::{drain, role};
use super::expect::expect;
use crate::choice::word;
use crate::defaults;
use crate::fields::{field_value, fields};
use crate::kinds::{secret_text, size, small_count, text};
use crate::model::{HttpProbe, RoleRule, RoleSource, StatusSet};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::Complaint;
use crate::statuses::statuses;

/// Methods that a probe may use.
const METHODS: &[(&str, Method)] = &[
    ("GET", Method::GET),
    ("HEAD", Method::HEAD),
    ("OPTIONS", Method::OPTIONS),
    ("POST", Method::POST),
];

/// Most of an answer that is worth reading every second.
const MOST_BODY: usize = 16 << 20;
/// Whoever redirects more often goes round in circles.
const MOST_REDIRECTS: u32 = 5;

pub(super) fn http_probe(section: &mut Section<'_>) -> HttpProbe {
    let errors = section.report().errors();
    section.secret("headers");
    section.secret("body");
    let method = section.or("method", "The request method", defaults::PROBE_METHOD, word(METHODS));
    let path = section.or(
        "path",
        "Path and query of the request",
        defaults::PROBE_PATH,
        text("a path", parse_probe_path),
    );
    let host = section.optional(
        "host",
        "The `Host` field, when it is not the host and port of the backend's URL",
        text("a host", |text| {
            text.parse().map_err(|_| {
                Complaint::new(format!("{} cannot be sent in a header field", quoted(text)))
            })
        }),
    );
    let headers =
        section.optional("headers", "Further header fields by name", headers).unwrap_or_default();
    let body = section.or(
        "body",
        "The body of the request; empty: none",
        defaults::PROBE_BODY,
        secret_text("a body", |text| Ok(Arc::from(text))),
    );
    let status = section.or(
        "status",
        "Which answers pass: a status, a range `200-299`, or a list of both",
        defaults::PROBE_STATUS,
        statuses(1),
    );
    let body_bytes = section.or(
        "body_bytes",
        "Most bytes of the body of an answer that are read; a longer one fails when anything is expected of it",
        defaults::PROBE_BODY_BYTES,
        size(1..=MOST_BODY),
    );
    let redirects = section.or(
        "redirects",
        "How many redirects are followed, to the same scheme, host and port only",
        defaults::REDIRECTS,
        small_count(0..=MOST_REDIRECTS),
    );
    let expect = section.section("expect", "What else must hold of an answer, all of it", expect);
    let drain =
        section.section("drain", "How an answer asks for a drain; one that does passes", drain);
    let sound = section.report().errors() == errors;
    let passing = StatusSet([&*status.0, &*drain.status.0].concat());
    let role = role(section, sound.then_some(&passing));
    let probe = HttpProbe {
        method,
        path,
        host,
        headers,
        body,
        status,
        expect,
        body_bytes,
        redirects,
        role,
        drain,
    };
    if sound {
        without_body(section, &probe);
    }
    probe
}

/// An answer to HEAD has no body (RFC 9110 9.3.2).
fn without_body(section: &Section<'_>, probe: &HttpProbe) {
    let by_body = |role: &RoleRule| matches!(role.by, RoleSource::Pointer(_));
    let told = probe.role.as_ref().is_some_and(by_body);
    if probe.method != Method::HEAD || !(probe.expect.reads_body() || told) {
        return;
    }
    let complaint = Complaint::new("an answer to `HEAD` has no body, and this one is read");
    section.report().error(&section.place("method"), complaint.advice("write `method: GET`"));
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

fn headers(value: &mut Value<'_>) -> Option<HeaderMap> {
    let host = |field: &HeaderName| {
        (field == http::header::HOST).then(|| {
            Complaint::new("the `Host` field has a key of its own")
                .advice("write `host:` beside `headers:`")
        })
    };
    fields(value, "a probe", host, field_value).map(HeaderMap::from_iter)
}
