//! Kinds of values that choose: true or false, one of a few words, `off` or something else.

use serde_json::json;

use crate::problem::quoted;
use crate::reader::Value;
use crate::report::Complaint;
use crate::suggest::closest;
use crate::yaml::ScalarKind;

/// `true` or `false`.
pub(crate) fn flag(value: &mut Value<'_>) -> Option<bool> {
    value.scalar(
        "true or false",
        || json!({ "type": "boolean" }),
        |scalar| match (scalar.kind, scalar.text.as_str()) {
            (ScalarKind::Flag, "true" | "True" | "TRUE") => Ok(true),
            (ScalarKind::Flag, _) => Ok(false),
            (ScalarKind::Text | ScalarKind::Number, text) => {
                let complaint =
                    Complaint::new(format!("expected true or false, found {}", quoted(text)));
                Err(match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "1" => complaint.advice("write `true`"),
                    "no" | "off" | "0" => complaint.advice("write `false`"),
                    "true" | "false" => complaint.advice("remove the quotes"),
                    _ => complaint,
                })
            }
        },
    )
}

/// One of a few words.
pub(crate) fn word<T: Clone>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&mut Value<'_>) -> Option<T> {
    move |value| {
        let names = || words.iter().map(|(name, _)| *name);
        let listed = alternatives(names());
        let schema = || json!({ "enum": names().collect::<Vec<_>>() });
        value.scalar(&listed, schema, |scalar| {
            let found = words.iter().find(|(name, _)| *name == scalar.text);
            found.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
                let message = format!("expected {listed}, found {}", quoted(&scalar.text));
                let complaint = Complaint::new(message);
                match closest(&scalar.text, names()) {
                    Some(name) => complaint.advice(format!("did you mean {}?", quoted(name))),
                    None => complaint,
                }
            })
        })
    }
}

/// "`a`, `b` or `c`".
fn alternatives<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(quoted).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// `off`, or what `read` reads. `expected` completes "expected ..., found `never`".
pub(crate) fn off_or<T>(
    expected: &'static str,
    read: impl Fn(&mut Value<'_>) -> Option<T>,
) -> impl Fn(&mut Value<'_>) -> Option<Option<T>> {
    const WORDS: &[(&str, ())] = &[("off", ())];
    move |value| {
        if value.report().describes() {
            return value
                .either(|value| word(WORDS)(value).map(|()| None), |value| read(value).map(Some));
        }
        let Some(scalar) = value.single() else { return read(value).map(Some) };
        let text = scalar.text.as_str();
        if text == "off" {
            return Some(None);
        }
        // What begins as a number is a slip in the other kind, which has better advice for it.
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return read(value).map(Some);
        }
        let complaint = if means_off(text) {
            say_off(expected, text)
        } else {
            Complaint::new(format!("expected {expected}, found {}", quoted(text)))
        };
        value.report().error(value.place(), complaint);
        None
    }
}

/// Whether somebody wrote this for `off`.
pub(crate) fn means_off(text: &str) -> bool {
    let words = ["false", "no", "none", "never", "unlimited", "infinite", "disabled"];
    words.contains(&text.to_ascii_lowercase().as_str())
}

/// What to tell them. `expected` completes "expected ..., found `none`".
pub(crate) fn say_off(expected: &str, text: &str) -> Complaint {
    Complaint::new(format!("expected {expected}, found {}", quoted(text))).advice("write `off`")
}
