//! Kinds of single values: durations, sizes, counts, text and names.
//!
//! Each is a function that makes a reader, with the schema an editor needs beside it.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::problem::quoted;
use crate::reader::{RANGE, Value};
use crate::report::Complaint;
use crate::yaml::{Scalar, ScalarKind};

/// Bounds of ranges, short.
pub(crate) const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Bounds of ranges, short.
pub(crate) const fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// `1m30s`, `500ms`, `1.5s`; units are `ms`, `s`, `m` and `h`.
pub(crate) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&mut Value<'_>) -> Option<Duration> {
    move |value| {
        let bounds =
            format!("{} to {}", show_duration(*range.start()), show_duration(*range.end()));
        let schema = || {
            let pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";
            json!({ "type": "string", "pattern": pattern, RANGE: bounds })
        };
        value.scalar("a duration such as `30s`", schema, |scalar| {
            let duration = parse_duration(scalar)?;
            in_range(scalar, duration, &range, "duration", &bounds)
        })
    }
}

/// Reads a duration. Without a unit it is refused: nobody can tell `30` s from `30` ms.
pub(crate) fn parse_duration(scalar: &Scalar) -> Result<Duration, Complaint> {
    let text = scalar.text.as_str();
    let bad = || Complaint::new(format!("{} is not a duration", quoted(text)));
    if text.parse::<f64>().is_ok_and(|number| number >= 0.0 && number.is_finite()) {
        let complaint = Complaint::new(format!("duration {} has no unit", quoted(text)));
        return Err(complaint.advice(format!(
            "write {} or {}",
            quoted(&format!("{text}s")),
            quoted(&format!("{text}ms"))
        )));
    }
    let units = ["ms", "s", "m", "h"];
    let mut parts =
        text.split(|c: char| c.is_ascii_digit() || c == '.').filter(|part| !part.is_empty());
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !parts.all(|part| units.contains(&part)) {
        return Err(bad().advice("write for example `500ms`, `1.5s`, `1m30s` or `2h`"));
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| {
        bad().advice("write for example `500ms`, `1.5s`, `1m30s` or `2h`, the larger unit first")
    })?;
    Duration::try_from(parsed).map_err(|_| bad())
}

/// A duration as a user would write it: `1m30s`, `1.45s`, `200ms`.
pub(crate) fn show_duration(duration: Duration) -> String {
    let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60);
    let rest = duration - secs(hours * 3600 + minutes * 60);
    let mut text = String::new();
    for (number, unit) in [(hours, "h"), (minutes, "m")] {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    let decimal = |whole: u64, fraction: String, unit: &str| {
        format!(
            "{}{unit}",
            format!("{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.')
        )
    };
    if rest >= secs(1) || (rest.is_zero() && text.is_empty()) {
        text.push_str(&decimal(rest.as_secs(), format!("{:09}", rest.subsec_nanos()), "s"));
    } else if !rest.is_zero() {
        let nanos = u64::from(rest.subsec_nanos());
        text.push_str(&decimal(nanos / 1_000_000, format!("{:06}", nanos % 1_000_000), "ms"));
    }
    text
}

/// Units of sizes: the binary ones first, they are what is nearly always meant.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// `64KiB` (65536 bytes), `64KB` (64000 bytes), `100B`. A bare `k` is refused: some read it as 1000,
/// some as 1024.
pub(crate) fn size(range: RangeInclusive<usize>) -> impl Fn(&mut Value<'_>) -> Option<usize> {
    move |value| {
        let bounds = format!("{} to {}", show_size(*range.start()), show_size(*range.end()));
        let schema = || {
            let pattern = r"^[0-9]+(\.[0-9]+)?(B|KB|MB|GB|KiB|MiB|GiB)$";
            json!({ "type": "string", "pattern": pattern, RANGE: bounds })
        };
        value.scalar("a size such as `64KiB`", schema, |scalar| {
            let size = parse_size(scalar)?;
            in_range(scalar, size, &range, "size", &bounds)
        })
    }
}

/// Reads a size.
pub(crate) fn parse_size(scalar: &Scalar) -> Result<usize, Complaint> {
    let text = scalar.text.as_str();
    let bad = || Complaint::new(format!("{} is not a size", quoted(text)));
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    if !number.starts_with(|c: char| c.is_ascii_digit())
        || !number.ends_with(|c: char| c.is_ascii_digit())
    {
        return Err(bad().advice("write for example `64KiB` or `16MiB`"));
    }
    if unit.is_empty() {
        let complaint = Complaint::new(format!("size {} has no unit", quoted(text)));
        return Err(complaint.advice(format!(
            "write {} for bytes, or use `KiB`, `MiB`",
            quoted(&format!("{number}B"))
        )));
    }
    if !SIZE_UNITS.iter().any(|(name, _)| *name == unit) {
        let complaint =
            Complaint::new(format!("size {} has the unknown unit {}", quoted(text), quoted(unit)));
        let first =
            unit.chars().next().map(|c| c.to_ascii_uppercase()).filter(|c| "KMG".contains(*c));
        return Err(complaint.advice(match first {
            Some(letter) => format!(
                "write {} (times 1024) or {} (times 1000)",
                quoted(&format!("{number}{letter}iB")),
                quoted(&format!("{number}{letter}B"))
            ),
            None => {
                "units are B, KiB, MiB, GiB (times 1024) and KB, MB, GB (times 1000)".to_owned()
            }
        }));
    }
    let size: bytesize::ByteSize = text.parse().map_err(|_| bad())?;
    usize::try_from(size.as_u64()).map_err(|_| bad())
}

/// A size as a user would write it.
pub(crate) fn show_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let binary =
        SIZE_UNITS.iter().take(3).find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    match binary {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

/// A whole number.
pub(crate) fn count(range: RangeInclusive<usize>) -> impl Fn(&mut Value<'_>) -> Option<usize> {
    move |value| {
        let bounds = format!("{} to {}", range.start(), range.end());
        let schema =
            || json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() });
        value.scalar("a whole number", schema, |scalar| {
            let number = parse_count(scalar)?;
            in_range(scalar, number, &range, "number", &bounds)
        })
    }
}

/// [`count`] for places that keep a `u32`.
pub(crate) fn small_count(range: RangeInclusive<u32>) -> impl Fn(&mut Value<'_>) -> Option<u32> {
    let read = count(*range.start() as usize..=*range.end() as usize);
    move |value| read(value).and_then(|number| u32::try_from(number).ok())
}

/// Reads a whole number.
pub(crate) fn parse_count(scalar: &Scalar) -> Result<usize, Complaint> {
    let bad = || Complaint::new(format!("{} is not a whole number", quoted(&scalar.text)));
    match scalar.kind {
        ScalarKind::Number => scalar.text.parse().map_err(|_| bad()),
        ScalarKind::Text if scalar.text.parse::<usize>().is_ok() => {
            Err(bad().advice("remove the quotes"))
        }
        ScalarKind::Text | ScalarKind::Flag => Err(bad()),
    }
}

/// Text that `parse` makes something of. `expected` completes "expected ..., found a list".
pub(crate) fn text<T>(
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, Complaint>,
) -> impl Fn(&mut Value<'_>) -> Option<T> {
    text_like(expected, json!({ "type": "string", "minLength": 1 }), parse)
}

/// [`text`] that may be empty.
pub(crate) fn free_text<T>(
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, Complaint>,
) -> impl Fn(&mut Value<'_>) -> Option<T> {
    let read = text_like(expected, json!({ "type": "string" }), |text| Ok(text.to_owned()));
    move |value| {
        let empty = value.single().is_some_and(|scalar| scalar.text.is_empty());
        let text = if empty { String::new() } else { read(value)? };
        parse(&text).map_err(|complaint| value.report().error(value.place(), complaint)).ok()
    }
}

/// [`free_text`] that no message repeats.
pub(crate) fn secret_text<T>(
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, Complaint>,
) -> impl Fn(&mut Value<'_>) -> Option<T> {
    move |value| {
        value.report().conceal(value.place());
        value.scalar(
            expected,
            || json!({ "type": "string" }),
            |scalar| {
                let found = match scalar.kind {
                    ScalarKind::Text => return parse(&scalar.text),
                    ScalarKind::Number => "a number",
                    ScalarKind::Flag => "true or false",
                };
                let complaint = Complaint::new(format!("expected {expected}, found {found}"));
                Err(complaint.advice("if it is meant as text, put it in quotes"))
            },
        )
    }
}

/// One value, or a list of at least `least`. `expected` completes "expected ..., found keys".
pub(crate) fn one_or_more<T>(
    expected: &'static str,
    least: usize,
    read: impl Fn(&mut Value<'_>) -> Option<T>,
) -> impl Fn(&mut Value<'_>) -> Option<Vec<T>> {
    move |value| {
        value.either(
            |value| read(value).map(|one| vec![one]),
            |value| value.list(expected, least, &read),
        )
    }
}

/// [`text`] with a schema of its own.
pub(crate) fn text_like<T>(
    expected: &'static str,
    schema: Json,
    parse: impl Fn(&str) -> Result<T, Complaint>,
) -> impl Fn(&mut Value<'_>) -> Option<T> {
    move |value| {
        value.scalar(
            expected,
            || schema.clone(),
            |scalar| match scalar.kind {
                ScalarKind::Text if scalar.text.is_empty() => {
                    Err(Complaint::new(format!("expected {expected}, found empty text")))
                }
                ScalarKind::Text => parse(&scalar.text),
                // What is wrong as text anyway needs no quotes.
                ScalarKind::Number | ScalarKind::Flag => parse(&scalar.text).and_then(|_| {
                    let number = scalar.kind == ScalarKind::Number;
                    let found = if number { "number" } else { "true or false value" };
                    let text = &scalar.text;
                    let message =
                        format!("expected {expected}, found the {found} {}", quoted(text));
                    let quotes = format!("if it is meant as text, put it in quotes: `\"{text}\"`");
                    Err(Complaint::new(message).advice(quotes))
                }),
            },
        )
    }
}

/// Most characters of a name.
const NAME_LENGTH: usize = 100;

/// A name of a service or backend: what is safe in paths, labels and messages.
pub(crate) fn parse_name(text: &str) -> Result<String, Complaint> {
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']');
    if text.is_empty() || text.len() > NAME_LENGTH || !text.chars().all(allowed) {
        let message = format!("{} is not a name", quoted(text));
        let advice = format!("use up to {NAME_LENGTH} letters, digits and `-`, `_`, `.`, `:`");
        return Err(Complaint::new(message).advice(advice));
    }
    Ok(text.to_owned())
}

fn in_range<T: PartialOrd>(
    scalar: &Scalar,
    value: T,
    range: &RangeInclusive<T>,
    what: &str,
    bounds: &str,
) -> Result<T, Complaint> {
    if range.contains(&value) {
        return Ok(value);
    }
    let message = format!("{what} {} is out of range", quoted(&scalar.text));
    Err(Complaint::new(message).advice(format!("allowed: {bounds}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str) -> Scalar {
        let number = text.parse::<f64>().is_ok();
        let kind = if number { ScalarKind::Number } else { ScalarKind::Text };
        Scalar { text: text.to_owned(), kind }
    }

    #[test]
    fn durations_have_units() {
        let check = |text: &str, expected: Duration, shown: &str| {
            assert_eq!(parse_duration(&scalar(text)), Ok(expected), "{text}");
            assert_eq!(show_duration(expected), shown);
        };
        check("500ms", ms(500), "500ms");
        check("1.5s", ms(1500), "1.5s");
        check("1m30s", secs(90), "1m30s");
        check("90s", secs(90), "1m30s");
        check("2h", secs(7200), "2h");
        check("0s", Duration::ZERO, "0s");
        check("0.5ms", Duration::from_micros(500), "0.5ms");
        check("1h0.25s", ms(3_600_250), "1h250ms");
        for bad in [
            "",
            "30",
            "1.5",
            "-1s",
            "+1s",
            "s",
            "1",
            "1 s",
            "1S",
            "1d",
            "1w",
            "1min",
            "1sec",
            "1s1m",
            "1s-",
            "PT1S",
            "1s ago",
            "1..5s",
            ".5s",
            "1e3s",
            "99999999999999999999s",
            "nan",
            "inf",
            "1,5s",
            "ms1",
        ] {
            assert!(parse_duration(&scalar(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn shown_durations_read_the_same() {
        for nanos in [
            1,
            999,
            1_000_000,
            1_000_001,
            999_999_999,
            1_000_000_001,
            59_123_456_789,
            3_600_000_000_007,
        ] {
            let duration = Duration::from_nanos(nanos);
            let shown = show_duration(duration);
            assert_eq!(parse_duration(&scalar(&shown)), Ok(duration), "{shown}");
        }
    }

    #[test]
    fn sizes_have_units_and_k_alone_is_refused() {
        let check = |text: &str, expected: usize, shown: &str| {
            assert_eq!(parse_size(&scalar(text)), Ok(expected), "{text}");
            assert_eq!(show_size(expected), shown);
        };
        check("64KiB", 65536, "64KiB");
        check("64KB", 64000, "64000B");
        check("1.5MiB", 1_572_864, "1536KiB");
        check("1GiB", 1 << 30, "1GiB");
        check("2MB", 2_000_000, "2000000B");
        check("0B", 0, "0B");
        for bad in [
            "", "64", "64k", "64K", "64Ki", "64kib", "64kB", "1TiB", "KiB", "-1KiB", "1.KiB",
            "1 KiB", "1e3B", "64KiBs", "0x10B", "1..5KiB",
        ] {
            assert!(parse_size(&scalar(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_are_whole_plain_numbers() {
        assert_eq!(parse_count(&scalar("10")), Ok(10));
        for bad in ["-1", "1.5", "1e3", "0x10", "ten", ""] {
            assert!(parse_count(&scalar(bad)).is_err(), "{bad}");
        }
        let quoted = Scalar { text: "10".to_owned(), kind: ScalarKind::Text };
        assert!(parse_count(&quoted).is_err());
    }

    #[test]
    fn names_are_safe_to_show() {
        for good in ["web", "lm-1", "a.example.com:80", "[::1]:80", "A_b"] {
            assert_eq!(parse_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "a/b", "a\"b", "a\n", "ü", &"x".repeat(101)] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
    }
}
