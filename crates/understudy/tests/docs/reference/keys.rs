//! The reference of all keys, as Markdown, from the schema of configs.
//!
//! Sections that have the same keys are written once: at the place with the shortest path, which names
//! the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

/// In which order the keys of the whole file are described.
const ORDER: &[&str] = &["listeners", "routes", "services", "notify", "admin"];

pub(crate) fn reference(schema: &Json) -> String {
    let places = places(schema);
    let mut text = String::new();
    write_section(&mut text, "", schema, &places);
    let rest: Vec<_> = keys(schema).map(|(key, _)| key.as_str()).collect();
    let ordered = ORDER.iter().copied().filter(|key| rest.contains(key));
    let others = rest.iter().copied().filter(|key| !ORDER.contains(key));
    for key in ordered.chain(others) {
        write_below(&mut text, key, &schema["properties"][key], &places);
    }
    text
}

/// Where each set of keys is found, the place of its description first.
type Places = BTreeMap<String, Vec<String>>;

fn places(schema: &Json) -> Places {
    let mut places = Places::new();
    let mut queue = VecDeque::from([(String::new(), schema)]);
    while let Some((path, schema)) = queue.pop_front() {
        if schema["properties"].is_object() {
            places.entry(identity(schema)).or_default().push(path.clone());
        }
        queue.extend(children(&path, schema));
    }
    places
}

/// What two sections have in common when they are the same.
fn identity(schema: &Json) -> String {
    schema["properties"].to_string()
}

fn keys(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// What is below a place, with its path: keys, items, values, and the choices of the place itself.
fn children<'a>(path: &str, schema: &'a Json) -> Vec<(String, &'a Json)> {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let mut found: Vec<_> = keys(schema).map(|(key, below)| (join(key), below)).collect();
    if schema["items"].is_object() {
        found.push((format!("{path}[]"), &schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        found.push((join("NAME"), &schema["additionalProperties"]));
    }
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        found.push((path.to_owned(), choice));
    }
    found
}

fn write_below(text: &mut String, path: &str, schema: &Json, places: &Places) {
    if schema["properties"].is_object() && places[&identity(schema)][0] == path {
        write_section(text, path, schema, places);
    }
    for (path, below) in children(path, schema) {
        write_below(text, &path, below, places);
    }
}

fn write_section(text: &mut String, path: &str, schema: &Json, places: &Places) {
    let title = if path.is_empty() { "The whole file".to_owned() } else { format!("`{path}`") };
    write!(text, "\n## {title}\n\n").expect("text");
    let also: BTreeSet<_> = places[&identity(schema)].iter().filter(|it| *it != path).collect();
    if !also.is_empty() {
        let also: Vec<_> = also.iter().map(|path| format!("`{path}`")).collect();
        write!(text, "The same keys: {}.\n\n", also.join(", ")).expect("text");
    }
    let one_of = one_of(schema);
    if !one_of.is_empty() {
        write!(text, "One of {}.\n\n", one_of.join(", ")).expect("text");
    }
    text.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (key, below) in keys(schema) {
        let default = match &below["default"] {
            Json::Null if required.contains(&&json!(key)) => "required".to_owned(),
            Json::Null => String::new(),
            Json::String(word) if word.is_empty() => "empty".to_owned(),
            Json::String(word) => format!("`{word}`"),
            other @ (Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
                format!("`{other}`")
            }
        };
        let about = below["description"].as_str().unwrap_or("").replace('|', "\\|");
        let takes = takes(below, places);
        writeln!(text, "| `{key}` | {takes} | {default} | {about} |").expect("text");
    }
}

/// The keys of which there must be one: choices that only ask for a key.
fn one_of(schema: &Json) -> Vec<String> {
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    let keys = choices.filter_map(|choice| choice["required"].as_array()?.first()?.as_str());
    let mut words: Vec<_> = keys.map(|key| format!("`{key}`")).collect();
    words.dedup();
    words
}

/// What may be written at a place, in words.
fn takes(schema: &Json, places: &Places) -> String {
    if schema["properties"].is_object() {
        let place = &places[&identity(schema)][0];
        return format!("[its keys](#{})", anchor(place));
    }
    if !schema["const"].is_null() {
        return format!("`{}`", plain(&schema["const"]));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let mut words: Vec<String> = Vec::new();
        for choice in choices.iter().map(|choice| takes(choice, places)) {
            if !words.contains(&choice) {
                words.push(choice);
            }
        }
        return words.join(", or ");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("`{}`", plain(word))).collect();
        return words.join(", ");
    }
    if schema["items"].is_object() {
        return format!("a list: {}", takes(&schema["items"], places));
    }
    if schema["additionalProperties"].is_object() {
        return format!("by name: {}", takes(&schema["additionalProperties"], places));
    }
    let types = match &schema["type"] {
        Json::Array(types) => types.clone(),
        other => vec![other.clone()],
    };
    let has = |word: &str| types.contains(&json!(word));
    if has("string") && has("number") {
        let null = if has("null") { ", or `null`" } else { "" };
        return format!("a text, a number, `true`, `false`{null}");
    }
    if has("number") {
        return "a number".to_owned();
    }
    if has("boolean") {
        return "`true`, `false`".to_owned();
    }
    if has("integer") {
        let bound = |key: &str| schema[key].as_i64();
        return match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("a number, {least} to {most}"),
            (Some(least), None) => format!("a number from {least}"),
            (None, Some(most)) => format!("a number up to {most}"),
            (None, None) => "a number".to_owned(),
        };
    }
    match schema["pattern"].as_str() {
        Some(pattern) if pattern.contains("(ms|s|m|h)") => "a duration".to_owned(),
        Some(pattern) if pattern.contains("KiB") => "a size".to_owned(),
        Some(pattern) if pattern.contains("sha256") => "`sha256//...=`".to_owned(),
        Some(pattern) if pattern.contains("]-[") => "a range: `200-299`".to_owned(),
        Some(_) | None if has("string") => "a text".to_owned(),
        Some(_) | None if has("object") => "nothing: `{}`".to_owned(),
        Some(_) | None => "any value".to_owned(),
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The anchor of a section's heading.
fn anchor(path: &str) -> String {
    let is_part = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_');
    path.to_lowercase().chars().filter(is_part).collect()
}

#[test]
fn a_schema_becomes_tables() {
    let tls = json!({ "properties": { "ca": { "type": "string", "description": "A file" } } });
    let mut other = tls.clone();
    other["description"] = json!("The same keys");
    let schema = json!({ "required": ["b"], "properties": {
        "b": { "description": "One | two", "type": "array", "items": { "properties": {
            "tls": tls,
            "count": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3, "description": "N" },
        } } },
        "c": { "description": "By name", "additionalProperties": { "anyOf": [
            { "enum": ["off"] }, { "properties": { "x": { "properties": { "y": other } } } },
        ] } },
        "a": { "description": "One", "anyOf": [{ "required": ["e"] }, { "required": ["f"] }],
            "properties": { "e": { "const": "auto" }, "f": { "type": "boolean" } } },
        "d": { "description": "T", "type": "string", "default": "1s", "pattern": "^([0-9]+(ms|s|m|h))+$" },
    } });
    let expected = "
## The whole file

| key | takes | default | meaning |
|---|---|---|---|
| `a` | [its keys](#a) |  | One |
| `b` | a list: [its keys](#b) | required | One \\| two |
| `c` | by name: `off`, or [its keys](#cname) |  | By name |
| `d` | a duration | `1s` | T |

## `a`

One of `e`, `f`.

| key | takes | default | meaning |
|---|---|---|---|
| `e` | `auto` |  |  |
| `f` | `true`, `false` |  |  |

## `b[]`

| key | takes | default | meaning |
|---|---|---|---|
| `count` | a number, 1 to 9 | `3` | N |
| `tls` | [its keys](#btls) |  |  |

## `b[].tls`

The same keys: `c.NAME.x.y`.

| key | takes | default | meaning |
|---|---|---|---|
| `ca` | a text |  | A file |

## `c.NAME`

| key | takes | default | meaning |
|---|---|---|---|
| `x` | [its keys](#cnamex) |  |  |

## `c.NAME.x`

| key | takes | default | meaning |
|---|---|---|---|
| `y` | [its keys](#btls) |  | The same keys |
";
    assert_eq!(reference(&schema), expected);
}

/// Nothing that the schema knows is left out.
#[test]
fn every_key_of_the_schema_is_in_the_page() {
    let schema: Json =
        serde_json::from_str(&crate::text::read("configs/schema.json")).expect("JSON");
    let page = crate::text::read("docs/reference/configuration.md");
    let mut queue = VecDeque::from([(String::new(), &schema)]);
    let mut count = 0;
    while let Some((path, below)) = queue.pop_front() {
        for (key, about) in keys(below) {
            let about = about["description"].as_str().expect("a description").replace('|', "\\|");
            let is_there = page.lines().any(|line| {
                line.starts_with(&format!("| `{key}` |")) && line.ends_with(&format!("| {about} |"))
            });
            assert!(is_there, "{path}.{key} is not in the page");
            count += 1;
        }
        queue.extend(children(&path, below));
    }
    assert!(count > 300, "only {count} keys");
}
