//! Sets of statuses: `200`, `200-299`, or a list of both.

use std::ops::RangeInclusive;

use serde_json::json;

use crate::kinds::one_or_more;
use crate::model::StatusSet;
use crate::problem::quoted;
use crate::reader::Value;
use crate::report::Complaint;
use crate::yaml::{Scalar, ScalarKind};

/// Final answers: 1xx never ends an exchange.
const STATUSES: RangeInclusive<u16> = 200..=599;

/// A status, a range, or a list of both with at least `least` items.
pub(crate) fn statuses(least: usize) -> impl Fn(&mut Value<'_>) -> Option<StatusSet> {
    let read = one_or_more("a list of statuses", least, status);
    move |value| read(value).map(StatusSet)
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
fn show_status(range: &RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

/// A set of them as a user would write it.
pub(crate) fn show_statuses(set: &StatusSet) -> String {
    let ranges: Vec<String> = set.0.iter().map(show_status).collect();
    ranges.join(", ")
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
