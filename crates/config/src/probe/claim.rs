//! What an answer tells of its backend: the keys `role` and `drain` of an HTTP probe.

use std::sync::Arc;

use http::HeaderName;
use serde_json::json;

use super::pattern::{parse_field, parse_pointer};
use crate::choice::{means_off, off_or, say_off, word};
use crate::defaults;
use crate::kinds::{free_text, one_or_more, text};
use crate::model::{DrainRule, Role, RoleRule, RoleSource, StatusSet};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint, Report};
use crate::statuses::statuses;
use crate::yaml::Scalar;

/// `passing` are the statuses that pass; `None` when they could not be read.
pub(super) fn role(section: &mut Section<'_>, passing: Option<&StatusSet>) -> Option<RoleRule> {
    let read = |value: &mut Value<'_>| value.keys(|section| rule(section, passing))?;
    section.or(
        "role",
        "How the answer tells the role of the backend: `off` (it does not), or its keys",
        defaults::ROLE,
        off_or("`off` or keys such as `{ by: { header: X-Role } }`", read),
    )
}

/// The keys of the values that stand for a role, and their defaults.
const ROLES: [(&str, &str, &str, Role); 4] = [
    ("active", "It does the work: one value or a list", defaults::ROLE_ACTIVE, Role::Active),
    (
        "standby",
        "It is ready to do the work: one value or a list",
        defaults::ROLE_STANDBY,
        Role::Standby,
    ),
    (
        "promoting",
        "It is on its way from standby to active, and gets no requests: one value or a list",
        defaults::ROLE_PROMOTING,
        Role::Promoting,
    ),
    (
        "fenced",
        "It must not do the work, and gets no requests: one value or a list",
        defaults::ROLE_FENCED,
        Role::Fenced,
    ),
];

fn rule(section: &mut Section<'_>, passing: Option<&StatusSet>) -> Option<RoleRule> {
    let by = section.required(
        "by",
        "Where the value is that tells the role: `status`, `{ header: X-Role }` or `{ pointer: /role }`",
        source,
    );
    let by_status = by == Some(RoleSource::Status);
    let (mut given, mut usual) = (Vec::new(), Vec::new());
    for (key, about, default, role) in ROLES {
        let read = one_or_more("a value or a list of them", 0, one);
        let found = if by_status {
            // No status means a role by itself.
            section.optional(key, about, read).unwrap_or_default()
        } else {
            section.or(key, about, default, read)
        };
        let list = if section.has(key) { &mut given } else { &mut usual };
        list.extend(found.into_iter().map(|at| (at, role)));
    }
    distinct(section.report(), &given);
    if let Some(passing) = passing.filter(|_| by_status) {
        told_by_status(section.report(), &given, passing);
    }
    // Who gives a word another meaning means it.
    usual.retain(|(at, _)| !given.iter().any(|(other, _)| same(other, at)));
    let mut values: Vec<_> =
        given.into_iter().chain(usual).map(|(at, role)| (at.value, role)).collect();
    values.sort_by_key(|(_, role)| *role);
    if by.is_some() && values.is_empty() {
        let complaint = Complaint::new("no value tells a role");
        let advice = if by_status {
            "say which statuses stand for which role, for example `active: 200` and `standby: 429`"
        } else {
            "say which values stand for which role, for example `active: primary`"
        };
        section.report().error(&section.place("by"), complaint.advice(advice));
    }
    Some(RoleRule { by: by?, values })
}

fn same(a: &At<Arc<str>>, b: &At<Arc<str>>) -> bool {
    a.value.eq_ignore_ascii_case(&b.value)
}

fn source(value: &mut Value<'_>) -> Option<RoleSource> {
    const WORDS: &[(&str, RoleSource)] = &[("status", RoleSource::Status)];
    value.either(word(WORDS), |value| value.keys(source_keys)?)
}

fn source_keys(section: &mut Section<'_>) -> Option<RoleSource> {
    let header =
        section.optional("header", "The name of a field", text("the name of a field", parse_field));
    let pointer = section.optional(
        "pointer",
        "Where it is in the body, which is JSON (RFC 6901)",
        free_text("a JSON pointer", parse_pointer),
    );
    section.exactly_one(&["header", "pointer"], "the place of the value");
    header.map(RoleSource::Header).or(pointer.map(RoleSource::Pointer))
}

/// One value, as written: that of a field has no kind.
fn one(value: &mut Value<'_>) -> Option<At<Arc<str>>> {
    let place = value.place().clone();
    let schema = || json!({ "type": ["string", "number", "boolean"], "minLength": 1 });
    value.scalar("a value", schema, |scalar: &Scalar| {
        if scalar.text.is_empty() {
            return Err(Complaint::new("expected a value, found empty text"));
        }
        Ok(At { value: Arc::from(scalar.text.as_str()), place })
    })
}

fn distinct(report: &Report<'_>, values: &[(At<Arc<str>>, Role)]) {
    for (index, (at, _)) in values.iter().enumerate() {
        let earlier = values[..index].iter().find(|(other, _)| same(other, at));
        let Some((_, role)) = earlier else { continue };
        let message =
            format!("{} already stands for {}", quoted(&at.value), quoted(role_name(*role)));
        let advice = "a value tells one role; upper and lower case are the same";
        report.error(&at.place, Complaint::new(message).advice(advice));
    }
}

fn told_by_status(report: &Report<'_>, values: &[(At<Arc<str>>, Role)], passing: &StatusSet) {
    for (At { value, place }, _) in values {
        let status = value.parse::<u16>().ok().filter(|status| (200..=599).contains(status));
        let Some(status) = status.filter(|status| status.to_string() == **value) else {
            let message = format!("{} is not a status", quoted(value));
            report.error(place, Complaint::new(message).advice("statuses are 200 to 599"));
            continue;
        };
        if !passing.contains(status) {
            let message = format!("an answer with {} fails, and tells no role", quoted(value));
            let advice = "add it to the `status` of the probe";
            report.error(place, Complaint::new(message).advice(advice));
        }
    }
}

/// What users call it.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Active => "active",
        Role::Standby => "standby",
        Role::Promoting => "promoting",
        Role::Fenced => "fenced",
    }
}

pub(super) fn drain(section: &mut Section<'_>) -> DrainRule {
    DrainRule {
        header: section.or(
            "header",
            "A field by which any answer asks for a drain, unless its value is 0, false, no or off; or `off`",
            defaults::DRAIN_HEADER,
            off_or_field,
        ),
        status: section.or(
            "status",
            "Statuses that pass and ask for a drain: a status, a range, or a list of both",
            defaults::DRAIN_STATUS,
            statuses(0),
        ),
    }
}

fn off_or_field(value: &mut Value<'_>) -> Option<Option<HeaderName>> {
    text("`off` or the name of a field", |text| match text {
        "off" => Ok(None),
        text if means_off(text) => Err(say_off("`off` or the name of a field", text)),
        name => parse_field(name).map(Some),
    })(value)
}
