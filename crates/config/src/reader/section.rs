//! Keys of a section: each is declared by the call that reads it.

use serde_json::{Map, Value as Json, json};

use super::Value;
use crate::problem::quoted;
use crate::report::{Complaint, Place, Report};
use crate::suggest::{belongs, closest};
use crate::yaml::{Entry, Mark, Node, Scalar, ScalarKind, Shape, join, parse};

/// Keys with values, read one after the other.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    report: &'a Report<'a>,
    entries: &'a [Entry],
    place: Place,
    /// Nothing was there to be read, and that has been said already.
    muted: bool,
    keys: Vec<&'static str>,
    /// Keys that are none here, which has been said already.
    refused: Vec<&'static str>,
    extensions: bool,
    required: Vec<&'static str>,
    exclusive: Vec<[&'static str; 2]>,
    /// Of these, one must be given.
    choices: Vec<&'static str>,
    /// What stands behind these is not shown.
    secrets: Vec<&'static str>,
    properties: Map<String, Json>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        report: &'a Report<'a>,
        entries: &'a [Entry],
        place: Place,
        muted: bool,
    ) -> Self {
        Self {
            report,
            entries,
            place,
            muted,
            keys: Vec::new(),
            refused: Vec::new(),
            extensions: false,
            required: Vec::new(),
            exclusive: Vec::new(),
            choices: Vec::new(),
            secrets: Vec::new(),
            properties: Map::new(),
        }
    }

    /// Where `key` stands, or the section when the key is not given.
    pub(crate) fn place(&self, key: &str) -> Place {
        let path = join(&self.place.path, key);
        match self.entry(key) {
            Some(entry) => Place { path, mark: pointer(entry) },
            None => Place { path, mark: self.place.mark },
        }
    }

    /// Where the first of `keys` (with dots between levels, items of lists as `key[0]`) that is given stands; otherwise as far as
    /// the first of them is given.
    pub(crate) fn place_of(&self, keys: &[impl AsRef<str>]) -> Place {
        let found = |key: &_| self.descend(AsRef::as_ref(key));
        let places: Vec<(Place, bool)> = keys.iter().map(found).collect();
        let given = places.iter().position(|(_, given)| *given).unwrap_or_default();
        places.into_iter().nth(given).map_or_else(|| self.place.clone(), |(place, _)| place)
    }

    /// Follows `keys` as far as they are given; says whether that was to the end.
    fn descend(&self, keys: &str) -> (Place, bool) {
        let (mut place, mut entries, mut given) = (self.place.clone(), self.entries, true);
        for step in keys.split('.') {
            let (key, index) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
                Some((key, index)) => (key, index.parse::<usize>().ok()),
                None => (step, None),
            };
            place.path = join(&place.path, key);
            let entry = entries.iter().find(|entry| entry.key == key);
            place.mark = entry.map_or(place.mark, pointer);
            let mut node = entry.map(|entry| &entry.value);
            if let Some(index) = index {
                place.path = format!("{}[{index}]", place.path);
                node = node.and_then(|node| match &node.shape {
                    Shape::List(items) => items.get(index),
                    Shape::Null | Shape::Scalar(_) | Shape::Map(_) => None,
                });
                place.mark = node.map_or(place.mark, Node::pointer);
            }
            given &= node.is_some();
            entries = match node.map(|node| &node.shape) {
                Some(Shape::Map(entries)) => entries,
                None | Some(Shape::Null | Shape::Scalar(_) | Shape::List(_)) => &[],
            };
        }
        (place, given)
    }

    /// Whether `key` is given.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    pub(crate) fn report(&self) -> &'a Report<'a> {
        self.report
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn value(&self, key: &str) -> Value<'a> {
        let entry = self.entry(key);
        let place = match entry {
            Some(entry) => Place { path: join(&self.place.path, key), mark: pointer(entry) },
            None => self.place(key),
        };
        Value::at(self.report, entry.map(|entry| &entry.value), place)
    }

    fn declare(
        &mut self,
        key: &'static str,
        about: &str,
        default: Option<&Node>,
        value: Value<'_>,
    ) {
        self.keys.push(key);
        if !self.report.describes() {
            return;
        }
        let mut schema = value.schema;
        if let Some(fields) = schema.as_object_mut() {
            let range = take_range(fields).map(|range| format!(" ({range})")).unwrap_or_default();
            fields.insert("description".to_owned(), format!("{about}{range}").into());
            if let Some(default) = default {
                fields.insert("default".to_owned(), plain_json(default));
            }
        }
        self.properties.insert(key.to_owned(), schema);
    }

    /// A key that must be given.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        about: &str,
        read: impl FnOnce(&mut Value<'_>) -> Option<T>,
    ) -> Option<T> {
        self.required.push(key);
        if !self.has(key) && !self.muted {
            self.report.error(&self.place, Complaint::new(missing(key)).advice(about));
        }
        self.optional(key, about, read)
    }

    /// A key that may be given and has no default.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        about: &str,
        read: impl FnOnce(&mut Value<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut value = self.value(key);
        let wanted = value.node.is_some() || self.report.describes();
        let result = wanted.then(|| read(&mut value)).flatten();
        self.declare(key, about, None, value);
        result
    }

    /// A key with a default, written as a user would write it.
    pub(crate) fn or<T>(
        &mut self,
        key: &'static str,
        about: &str,
        default: &'static str,
        read: impl Fn(&mut Value<'_>) -> Option<T>,
    ) -> T {
        let mut value = self.value(key);
        let wanted = value.node.is_some() || self.report.describes();
        let given = wanted.then(|| read(&mut value)).flatten();
        if let (Some(given), false) = (given, self.report.describes()) {
            self.keys.push(key);
            return given;
        }
        let default = parse(default).0.expect("a default is YAML");
        self.declare(key, about, Some(&default), value);
        let reading = Report::new("default", "");
        let place = Place { path: key.to_owned(), mark: default.mark };
        read(&mut Value::at(&reading, Some(&default), place)).expect("a default is valid")
    }

    /// Keys below a key; without it all of them have their defaults.
    pub(crate) fn section<T>(
        &mut self,
        key: &'static str,
        about: &str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let mut value = self.value(key);
        let result = value.section(read);
        self.declare(key, about, None, value);
        result
    }

    /// Of these keys at most one may be given.
    pub(crate) fn at_most_one(&mut self, keys: &[&'static str]) {
        for (index, first) in keys.iter().enumerate() {
            self.exclusive.extend(keys[index + 1..].iter().map(|second| [*first, *second]));
        }
        let mut given = keys.iter().filter(|key| self.has(key));
        let Some(first) = given.next() else { return };
        for second in given {
            let message = format!("{} and {} cannot both be given", quoted(first), quoted(second));
            let complaint = Complaint::new(message).advice("keep the one you mean");
            self.report.error(&self.key_place(second), complaint);
        }
    }

    /// Of these keys exactly one must be given. `what` completes "... is missing".
    pub(crate) fn exactly_one(&mut self, keys: &[&'static str], what: &str) {
        self.at_most_one(keys);
        self.choices.extend(keys);
        if !keys.iter().any(|key| self.has(key)) && !self.muted {
            let names: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
            let complaint = Complaint::new(format!("{what} is missing"));
            self.report.error(
                &self.place,
                complaint.advice(format!("give one of these keys: {}", names.join(", "))),
            );
        }
    }

    /// What stands behind `key` must not be shown in messages, nor behind a slip of the finger for it.
    pub(crate) fn secret(&mut self, key: &'static str) {
        self.secrets.push(key);
        if self.has(key) {
            self.report.conceal(&self.place(key));
            self.report.conceal(&self.key_place(key));
        }
    }

    /// Nothing of this section is shown in messages.
    pub(crate) fn conceal(&self) {
        for entry in self.entries {
            for mark in [entry.mark, pointer(entry)] {
                self.report.conceal(&Place { path: String::new(), mark });
            }
        }
    }

    /// A key that others of its kind have, and this one has not.
    pub(crate) fn refuse(&mut self, key: &'static str, complaint: impl FnOnce() -> Complaint) {
        if self.has(key) {
            self.refused.push(key);
            self.report.error(&self.key_place(key), complaint());
        }
    }

    /// Where `key` itself stands.
    pub(crate) fn key_place(&self, key: &str) -> Place {
        let mark = self.entry(key).map_or(self.place.mark, |entry| entry.mark);
        Place { path: join(&self.place.path, key), mark }
    }

    /// Allows any key that begins with `x-`: a place for anchors.
    pub(crate) fn allow_extensions(&mut self) {
        self.extensions = true;
    }

    pub(super) fn list_keys(&self) -> String {
        match self.keys.as_slice() {
            [] => "there are no keys here: write `{}`".to_owned(),
            keys => format!("the keys here are: {}", keys.join(", ")),
        }
    }

    pub(super) fn report_unknown_keys(&self) {
        for entry in self.entries {
            let extension = self.extensions && entry.key.starts_with("x-");
            let key = entry.key.as_str();
            if extension || self.keys.contains(&key) || self.refused.contains(&key) {
                continue;
            }
            let advice = match closest(&entry.key, self.keys.iter().copied()) {
                Some(key) => {
                    if self.secrets.contains(&key) {
                        let mark = pointer(entry);
                        self.report.conceal(&Place { path: String::new(), mark });
                        self.report.conceal(&Place { path: String::new(), mark: entry.mark });
                    }
                    // A slip of the finger is one mistake, not two.
                    self.report.retract(&self.place, &missing(key));
                    format!("did you mean {}?", quoted(key))
                }
                None => match belongs(key) {
                    Some(place) => format!("{} belongs {place}", quoted(key)),
                    None => self.list_keys(),
                },
            };
            let place = Place { path: join(&self.place.path, &entry.key), mark: entry.mark };
            let complaint = Complaint::new(format!("unknown key {}", quoted(&entry.key)));
            self.report.error(&place, complaint.advice(advice));
        }
    }

    pub(super) fn into_schema(self) -> Json {
        if !self.report.describes() {
            return Json::Null;
        }
        // A section whose keys are all commented out is written as a key with nothing behind it.
        let kind =
            if self.required.is_empty() { json!(["object", "null"]) } else { json!("object") };
        let mut schema = json!({
            "type": kind, "properties": self.properties, "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        if self.extensions {
            schema["patternProperties"] = json!({ "^x-": {} });
        }
        if !self.choices.is_empty() {
            let choices = self.choices.iter().map(|key| json!({ "required": [key] }));
            schema["anyOf"] = choices.collect();
        }
        if !self.exclusive.is_empty() {
            let pairs: Vec<Json> =
                self.exclusive.iter().map(|pair| json!({ "not": { "required": pair } })).collect();
            schema["allOf"] = json!(pairs);
        }
        schema
    }
}

/// What is said when a required key is not there.
fn missing(key: &str) -> String {
    format!("key {} is missing", quoted(key))
}

/// Key under which a kind leaves its range for the description; not part of the schema.
pub(crate) const RANGE: &str = "range";

/// Removes the range that a kind left, or one of several kinds.
fn take_range(schema: &mut Map<String, Json>) -> Option<String> {
    let choices = schema.get_mut("anyOf").and_then(Json::as_array_mut).into_iter().flatten();
    let below = choices.filter_map(Json::as_object_mut).find_map(|choice| choice.remove(RANGE));
    schema.remove(RANGE).or(below).and_then(|range| range.as_str().map(str::to_owned))
}

/// Where to point for the value of `entry`: a single value itself, otherwise the key.
pub(super) fn pointer(entry: &Entry) -> Mark {
    match entry.value.shape {
        Shape::Scalar(_) => entry.value.mark,
        Shape::Null | Shape::List(_) | Shape::Map(_) => entry.mark,
    }
}

/// A default as JSON.
fn plain_json(node: &Node) -> Json {
    match &node.shape {
        Shape::Scalar(Scalar { text, kind: ScalarKind::Number | ScalarKind::Flag }) => {
            serde_json::from_str(text).expect("a default number is plain")
        }
        Shape::Scalar(Scalar { text, kind: ScalarKind::Text }) => json!(text),
        Shape::List(items) => items.iter().map(plain_json).collect(),
        Shape::Null | Shape::Map(_) => unreachable!("defaults are values or lists"),
    }
}
