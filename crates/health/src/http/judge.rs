//! What an answer means: whether it passes, and what the backend says of itself. Pure.

use std::borrow::Cow;

use config::model::{
    DrainRule, Expect, HttpProbe, JsonRule, JsonTest, Pattern, Role, RoleRule, RoleSource, Wish,
};
use http::HeaderMap;
use serde_json::Value;

use super::{Body, Reply};
use crate::answer::Answer;
use crate::report::{Cause, Outcome};
use crate::transcript::is_secret;
use crate::words::excerpt;

/// Whether anything depends on an answer's body.
pub(super) fn wants_body(probe: &HttpProbe) -> bool {
    probe.expect.reads_body() || role_pointer(probe).is_some()
}

fn role_pointer(probe: &HttpProbe) -> Option<&str> {
    match probe.role.as_ref().map(|role| &role.by) {
        Some(RoleSource::Pointer(pointer)) => Some(pointer),
        Some(RoleSource::Status | RoleSource::Header(_)) | None => None,
    }
}

/// Judges a complete answer.
pub(super) fn judge(probe: &HttpProbe, reply: &Reply) -> Answer {
    let wish = wish(&probe.drain, reply);
    let json = Json::of(probe, &reply.body);
    let outcome = match wish {
        Some(Wish::Drain) => Outcome::Pass,
        Some(Wish::Serve | Wish::Maintenance) | None => match check(probe, reply, &json) {
            Ok(()) => Outcome::Pass,
            Err(cause) => Outcome::Fail(cause),
        },
    };
    let role = probe.role.as_ref().and_then(|rule| role(rule, reply, &json));
    let clock_ahead_ms = reply.clock_ahead_ms;
    Answer { role, wish, clock_ahead_ms, ..outcome.into() }
}

/// What it asks for; `None` when nothing could ask for a drain.
fn wish(rule: &DrainRule, reply: &Reply) -> Option<Wish> {
    let DrainRule { header, status } = rule;
    if header.is_none() && status.0.is_empty() {
        return None;
    }
    let off = ["0", "false", "no", "off"];
    let mut values = header.iter().flat_map(|name| reply.headers.get_all(name));
    let asks = values.any(|value| {
        !off.iter().any(|off| value.as_bytes().trim_ascii().eq_ignore_ascii_case(off.as_bytes()))
    });
    Some(if asks || status.contains(reply.status) { Wish::Drain } else { Wish::Serve })
}

fn role(rule: &RoleRule, reply: &Reply, json: &Json) -> Option<Role> {
    let value: Cow<'_, str> = match &rule.by {
        RoleSource::Status => reply.status.to_string().into(),
        RoleSource::Header(name) => reply.headers.get(name)?.to_str().ok()?.into(),
        RoleSource::Pointer(pointer) => match json.at(pointer)? {
            Value::String(text) => text.as_str().into(),
            value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => value.to_string().into(),
            Value::Array(_) | Value::Object(_) => return None,
        },
    };
    let value = value.trim();
    let mut values = rule.values.iter();
    values.find(|(name, _)| name.eq_ignore_ascii_case(value)).map(|(_, role)| *role)
}

fn check(probe: &HttpProbe, reply: &Reply, json: &Json) -> Result<(), Cause> {
    let HttpProbe { expect, body_bytes, .. } = probe;
    if !probe.status.contains(reply.status) {
        return Err(Cause::Status(reply.status));
    }
    check_headers(expect, &reply.headers)?;
    if expect.reads_body() && reply.body.is_longer {
        let words = format!("the body is longer than {body_bytes} bytes (`body_bytes`)");
        return Err(Cause::Unexpected(words));
    }
    check_text(expect, &reply.body.bytes)?;
    check_json(&expect.json, json)
}

fn check_headers(expect: &Expect, headers: &HeaderMap) -> Result<(), Cause> {
    for (name, pattern) in &expect.headers {
        let mut values = headers.get_all(name).iter();
        if values.any(|value| pattern.0.is_match(value.as_bytes())) {
            continue;
        }
        let came = match headers.get(name) {
            None => "there is no such field".to_owned(),
            Some(_) if is_secret(name) => "another one came (not shown)".to_owned(),
            Some(value) => excerpt(value.as_bytes()),
        };
        let pattern = pattern.0.as_str();
        let words = format!("expected a field `{name}` that matches \"{pattern}\", {came}");
        return Err(Cause::Unexpected(words));
    }
    Ok(())
}

fn check_text(expect: &Expect, body: &[u8]) -> Result<(), Cause> {
    let missing = |what: String| Err(Cause::Unexpected(format!("{what}, {}", excerpt(body))));
    for text in &expect.text {
        if !contains(body, text.as_bytes()) {
            return missing(format!("expected a body with \"{text}\""));
        }
    }
    for Pattern(regex) in &expect.regex {
        if !regex.is_match(body) {
            return missing(format!("expected a body that matches \"{}\"", regex.as_str()));
        }
    }
    Ok(())
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

fn check_json(rules: &[JsonRule], json: &Json) -> Result<(), Cause> {
    for JsonRule { pointer, is } in rules {
        if let Json::Invalid(why) = json {
            return Err(Cause::Unexpected(why.clone()));
        }
        let value = json.at(pointer);
        if value.is_some_and(|value| holds(is, value)) {
            continue;
        }
        let came = match value {
            None => "there is no such value".to_owned(),
            Some(value) => excerpt(value.to_string().as_bytes()),
        };
        let place = if pointer.is_empty() { "the document" } else { pointer };
        let words = format!("expected {place} {}, {came}", expected(is));
        return Err(Cause::Unexpected(words));
    }
    Ok(())
}

fn holds(test: &JsonTest, value: &Value) -> bool {
    match test {
        JsonTest::Exists => true,
        JsonTest::Equals(wanted) => same(wanted, value),
        JsonTest::Not(unwanted) => !same(unwanted, value),
        JsonTest::Below(limit) => value.as_f64().is_some_and(|number| number < *limit),
        JsonTest::Above(limit) => value.as_f64().is_some_and(|number| number > *limit),
        JsonTest::Matches(pattern) => {
            value.as_str().is_some_and(|text| pattern.0.is_match(text.as_bytes()))
        }
    }
}

/// 1 and 1.0 are the same number, however they are written.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (_, _) => a == b,
    }
}

fn expected(test: &JsonTest) -> String {
    match test {
        JsonTest::Exists => "to be there".to_owned(),
        JsonTest::Equals(value) => format!("to be {value}"),
        JsonTest::Not(value) => format!("to be another value than {value}"),
        JsonTest::Below(limit) => format!("to be a number below {limit}"),
        JsonTest::Above(limit) => format!("to be a number above {limit}"),
        JsonTest::Matches(pattern) => {
            format!("to be a text that matches \"{}\"", pattern.0.as_str())
        }
    }
}

/// A body as JSON, parsed only where something is wanted of it.
#[derive(Debug)]
enum Json {
    Unread,
    /// In words.
    Invalid(String),
    Document(Value),
}

impl Json {
    fn of(probe: &HttpProbe, body: &Body) -> Self {
        if probe.expect.json.is_empty() && role_pointer(probe).is_none() {
            return Self::Unread;
        }
        // Deep nesting is an error of the parser's, and no overflow.
        match serde_json::from_slice(&body.bytes) {
            Ok(document) if !body.is_longer => Self::Document(document),
            Ok(_) => Self::Unread,
            Err(error) => {
                Self::Invalid(format!("the body is not JSON: {error}; {}", excerpt(&body.bytes)))
            }
        }
    }

    /// The value at a pointer (RFC 6901).
    fn at(&self, pointer: &str) -> Option<&Value> {
        match self {
            Self::Document(document) => document.pointer(pointer),
            Self::Unread | Self::Invalid(_) => None,
        }
    }
}
