//! What must hold of an answer, beside its status: the section `expect` of an HTTP probe.

use std::sync::Arc;

use http::HeaderName;
use serde_json::Value as Json;

use super::pattern::{parse_field, parse_pattern, parse_pointer};
use crate::choice::flag;
use crate::kinds::{free_text, one_or_more, text};
use crate::model::{Expect, JsonRule, JsonTest, Pattern};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::Complaint;
use crate::yaml::ScalarKind;

pub(super) fn expect(section: &mut Section<'_>) -> Expect {
    let text_of = text("a text", |text| Ok(Arc::from(text)));
    let texts = one_or_more("a text or a list of them", 1, text_of);
    let patterns = one_or_more("an expression or a list of them", 1, pattern);
    Expect {
        text: section
            .optional("text", "What the body contains: a text, or a list of which all are there", texts)
            .unwrap_or_default(),
        regex: section
            .optional(
                "regex",
                "A regular expression that matches somewhere in the body, or a list of which all do",
                patterns,
            )
            .unwrap_or_default(),
        headers: section
            .optional(
                "headers",
                "Fields that are there, each with a regular expression for its value",
                headers,
            )
            .unwrap_or_default(),
        json: section
            .optional("json", "What holds of values in the body, which is JSON", |value| {
                value.list("a list of tests", 0, |value| value.section(rule))
            })
            .unwrap_or_default(),
    }
}

pub(super) fn pattern(value: &mut Value<'_>) -> Option<Pattern> {
    text("a regular expression", parse_pattern)(value)
}

fn headers(value: &mut Value<'_>) -> Option<Vec<(HeaderName, Pattern)>> {
    let mut seen: Vec<HeaderName> = Vec::new();
    value.named("fields by name", 0, |name, value| {
        let (pattern, report) = (pattern(value), value.report());
        let field = parse_field(name.value);
        let field = field.map_err(|complaint| report.error(&name.place, complaint)).ok()?;
        if seen.contains(&field) {
            let message = format!("{} is given twice", quoted(field.as_str()));
            let complaint = Complaint::new(message).advice("upper and lower case are the same");
            report.error(&name.place, complaint);
            return None;
        }
        seen.push(field.clone());
        Some((field, pattern?))
    })
}

const TESTS: [&str; 6] = ["exists", "equals", "not", "below", "above", "matches"];

fn rule(section: &mut Section<'_>) -> Option<JsonRule> {
    let pointer = section.required(
        "pointer",
        "Where the value is (RFC 6901), for example `/status`; empty: the whole document",
        free_text("a JSON pointer", parse_pointer),
    );
    section.exactly_one(&TESTS, "the test of the value");
    let tests = [
        section.optional("exists", "`true`: it is there", exists),
        section.optional("equals", "It is this text, number, boolean or null", |value| {
            value.plain().map(JsonTest::Equals)
        }),
        section.optional("not", "It is there, and not this one", |value| {
            value.plain().map(JsonTest::Not)
        }),
        section.optional("below", "It is a number below this", |value| {
            number(value).map(JsonTest::Below)
        }),
        section.optional("above", "It is a number above this", |value| {
            number(value).map(JsonTest::Above)
        }),
        section.optional("matches", "It is a text that this regular expression matches", |value| {
            pattern(value).map(JsonTest::Matches)
        }),
    ];
    let is = tests.into_iter().flatten().next();
    Some(JsonRule { pointer: pointer?, is: is? })
}

fn exists(value: &mut Value<'_>) -> Option<JsonTest> {
    if flag(value)? {
        return Some(JsonTest::Exists);
    }
    let complaint = Complaint::new("`exists: false` cannot be asked");
    value.report().error(value.place(), complaint.advice("write `true`, or remove the item"));
    None
}

fn number(value: &mut Value<'_>) -> Option<f64> {
    let schema = || serde_json::json!({ "type": "number" });
    value.scalar("a number", schema, |scalar| {
        let plain = (scalar.kind == ScalarKind::Number).then_some(scalar.text.as_str());
        let number = plain.and_then(|text| serde_json::from_str::<Json>(text).ok());
        number.and_then(|number| number.as_f64()).ok_or_else(|| {
            let complaint = Complaint::new(format!("{} is not a number", quoted(&scalar.text)));
            match scalar.text.parse::<f64>() {
                Ok(number) if number.is_finite() && scalar.kind == ScalarKind::Text => {
                    complaint.advice("remove the quotes")
                }
                Ok(_) | Err(_) => complaint.advice("write for example 10 or 0.5"),
            }
        })
    })
}
