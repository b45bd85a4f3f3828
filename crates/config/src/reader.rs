//! Reads sections by key and, by the same calls, learns their schema.
//!
//! Every key is declared once, where it is read: name, meaning, default and kind. From that one call
//! follow the value, the complaints, the list of known keys (hence the unknown ones) and the JSON
//! Schema, which is what the same reading code declares when it is run on no file at all.

use serde_json::{Map, Value as Json, json};

use crate::problem::quoted;
use crate::report::{At, Complaint, Place, Report};
use crate::suggest::closest;
use crate::yaml::{Entry, Mark, Node, Scalar, ScalarKind, Shape, join, parse};

/// One value to be read.
#[derive(Debug)]
pub(crate) struct Value<'a> {
    report: &'a Report<'a>,
    node: Option<&'a Node>,
    place: Place,
    schema: Json,
}

impl<'a> Value<'a> {
    /// The whole document.
    pub(crate) fn root(report: &'a Report<'a>, node: Option<&'a Node>) -> Self {
        let mark = node.map_or(Mark { line: 1, column: 1, width: 0 }, Node::pointer);
        Self::at(report, node, Place { path: String::new(), mark })
    }

    fn at(report: &'a Report<'a>, node: Option<&'a Node>, place: Place) -> Self {
        Self { report, node, place, schema: json!({}) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn report(&self) -> &'a Report<'a> {
        self.report
    }

    /// The single value that is written here, if it is one.
    pub(crate) fn single(&self) -> Option<&'a Scalar> {
        match &self.node?.shape {
            Shape::Scalar(scalar) => Some(scalar),
            Shape::Null | Shape::List(_) | Shape::Map(_) => None,
        }
    }

    /// What the reading calls declared.
    pub(crate) fn into_schema(self) -> Json {
        self.schema
    }

    fn declare(&mut self, schema: impl FnOnce() -> Json) {
        if self.report.describes() {
            self.schema = schema();
        }
    }

    fn wrong_shape(&self, expected: &str, found: &Node, advice: Option<&str>) {
        let complaint =
            Complaint::new(format!("expected {expected}, found {}", found.shape.name()));
        let complaint = match found.shape {
            Shape::Null => complaint.advice("give a value, or remove the key"),
            Shape::Scalar(_) | Shape::List(_) | Shape::Map(_) => match advice {
                Some(advice) => complaint.advice(advice),
                None => complaint,
            },
        };
        self.report.error(&self.place, complaint);
    }

    /// A single value. `expected` completes "expected ..., found a list".
    pub(crate) fn scalar<T>(
        &mut self,
        expected: &str,
        schema: impl FnOnce() -> Json,
        parse: impl FnOnce(&Scalar) -> Result<T, Complaint>,
    ) -> Option<T> {
        self.declare(schema);
        let node = self.node?;
        let Shape::Scalar(scalar) = &node.shape else {
            self.wrong_shape(expected, node, None);
            return None;
        };
        parse(scalar).map_err(|complaint| self.report.error(&self.place, complaint)).ok()
    }

    /// A list; items that cannot be read are left out.
    pub(crate) fn list<T>(
        &mut self,
        expected: &str,
        least: usize,
        mut read: impl FnMut(&mut Value<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if self.report.describes() {
            let mut item = Value::at(self.report, None, self.place.clone());
            let _ = read(&mut item);
            self.schema = json!({ "type": "array", "minItems": least, "items": item.schema });
        }
        let node = self.node?;
        let Shape::List(items) = &node.shape else {
            self.wrong_shape(
                expected,
                node,
                Some("put `- ` before each item, each on a line of its own"),
            );
            return None;
        };
        if items.len() < least {
            self.report.error(
                &self.place,
                Complaint::new(format!("expected {expected}, found an empty list")),
            );
        }
        let read_item = |(index, item): (usize, &Node)| {
            let place =
                Place { path: format!("{}[{index}]", self.place.path), mark: item.pointer() };
            read(&mut Value::at(self.report, Some(item), place))
        };
        Some(items.iter().enumerate().filter_map(read_item).collect())
    }

    /// Names chosen by the user, each with a value; entries that cannot be read are left out.
    pub(crate) fn named<T>(
        &mut self,
        expected: &str,
        least: usize,
        mut read: impl FnMut(At<&str>, &mut Value<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if self.report.describes() {
            let mut item = Value::at(self.report, None, self.place.clone());
            let _ = read(At { value: "name", place: self.place.clone() }, &mut item);
            self.schema = json!({
                "type": "object", "minProperties": least, "additionalProperties": item.schema,
            });
        }
        let node = self.node?;
        let Shape::Map(entries) = &node.shape else {
            self.wrong_shape(
                expected,
                node,
                Some("write each name with a colon, and its keys below it"),
            );
            return None;
        };
        if entries.len() < least {
            self.report
                .error(&self.place, Complaint::new(format!("expected {expected}, found none")));
        }
        let read_entry = |entry: &Entry| {
            let path = join(&self.place.path, &entry.key);
            let name =
                At { value: &*entry.key, place: Place { path: path.clone(), mark: entry.mark } };
            let place = Place { path, mark: pointer(entry) };
            read(name, &mut Value::at(self.report, Some(&entry.value), place))
        };
        Some(entries.iter().filter_map(read_entry).collect())
    }

    /// Known keys, each read by name. No value at all counts as no keys.
    pub(crate) fn section<T>(&mut self, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let entries: &[Entry] = match self.node.map(|node| &node.shape) {
            Some(Shape::Map(entries)) => entries,
            None | Some(Shape::Null | Shape::Scalar(_) | Shape::List(_)) => &[],
        };
        let unreadable =
            self.node.filter(|node| matches!(node.shape, Shape::Scalar(_) | Shape::List(_)));
        let mut section = Section {
            report: self.report,
            entries,
            place: self.place.clone(),
            muted: unreadable.is_some(),
            keys: Vec::new(),
            extensions: false,
            required: Vec::new(),
            exclusive: Vec::new(),
            properties: Map::new(),
        };
        let result = read(&mut section);
        section.report_unknown_keys();
        if let Some(node) = unreadable {
            let message = format!("expected keys with values, found {}", node.shape.name());
            self.report.error(&self.place, Complaint::new(message).advice(section.list_keys()));
        }
        self.schema = section.into_schema();
        result
    }

    /// [`Self::section`] where nothing behind the key must not count as every default.
    pub(crate) fn keys<T>(&mut self, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
        if let Some(node) = self.node.filter(|node| matches!(node.shape, Shape::Null)) {
            self.wrong_shape("keys with values", node, None);
            return None;
        }
        let result = self.section(read);
        if let Some(kind) = self.schema.get_mut("type") {
            *kind = json!("object");
        }
        Some(result)
    }

    /// One way for a single value, another for lists and keys.
    pub(crate) fn either<T>(
        &mut self,
        single: impl FnOnce(&mut Value<'_>) -> Option<T>,
        other: impl FnOnce(&mut Value<'_>) -> Option<T>,
    ) -> Option<T> {
        if self.report.describes() {
            let mut first = Value::at(self.report, None, self.place.clone());
            let mut second = Value::at(self.report, None, self.place.clone());
            let (_, _) = (single(&mut first), other(&mut second));
            self.schema = json!({ "anyOf": [first.schema, second.schema] });
            return None;
        }
        match self.node.map(|node| &node.shape) {
            Some(Shape::Scalar(_)) => single(self),
            None | Some(Shape::Null | Shape::List(_) | Shape::Map(_)) => other(self),
        }
    }
}

/// Keys with values, read one after the other.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    report: &'a Report<'a>,
    entries: &'a [Entry],
    place: Place,
    /// Nothing was there to be read, and that has been said already.
    muted: bool,
    keys: Vec<&'static str>,
    extensions: bool,
    required: Vec<&'static str>,
    exclusive: Vec<[&'static str; 2]>,
    properties: Map<String, Json>,
}

impl<'a> Section<'a> {
    /// Where `key` stands, or the section when the key is not given.
    pub(crate) fn place(&self, key: &str) -> Place {
        let path = join(&self.place.path, key);
        match self.entry(key) {
            Some(entry) => Place { path, mark: pointer(entry) },
            None => Place { path, mark: self.place.mark },
        }
    }

    /// Where the first of `keys` (with dots between levels) that is given stands; otherwise as far as
    /// the first of them is given.
    pub(crate) fn place_of(&self, keys: &[&str]) -> Place {
        let found = |key: &&str| self.descend(key);
        let places: Vec<(Place, bool)> = keys.iter().map(found).collect();
        let given = places.iter().position(|(_, given)| *given).unwrap_or_default();
        places.into_iter().nth(given).map_or_else(|| self.place.clone(), |(place, _)| place)
    }

    /// Follows `keys` as far as they are given; says whether that was to the end.
    fn descend(&self, keys: &str) -> (Place, bool) {
        let (mut place, mut entries, mut given) = (self.place.clone(), self.entries, true);
        for key in keys.split('.') {
            place.path = join(&place.path, key);
            let entry = entries.iter().find(|entry| entry.key == key);
            given &= entry.is_some();
            place.mark = entry.map_or(place.mark, pointer);
            entries = match entry.map(|entry| &entry.value.shape) {
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

    /// Of two keys at most one may be given.
    pub(crate) fn exclusive(&mut self, first: &'static str, second: &'static str) {
        self.exclusive.push([first, second]);
        if let (Some(_), Some(entry)) = (self.entry(first), self.entry(second)) {
            let place = Place { path: join(&self.place.path, second), mark: entry.mark };
            let message = format!("{} and {} cannot both be given", quoted(first), quoted(second));
            self.report.error(&place, Complaint::new(message).advice("keep the one you mean"));
        }
    }

    /// Allows any key that begins with `x-`: a place for anchors.
    pub(crate) fn allow_extensions(&mut self) {
        self.extensions = true;
    }

    fn list_keys(&self) -> String {
        match self.keys.as_slice() {
            [] => "there are no keys here: write `{}`".to_owned(),
            keys => format!("the keys here are: {}", keys.join(", ")),
        }
    }

    fn report_unknown_keys(&self) {
        for entry in self.entries {
            let extension = self.extensions && entry.key.starts_with("x-");
            if extension || self.keys.contains(&entry.key.as_str()) {
                continue;
            }
            let advice = match closest(&entry.key, self.keys.iter().copied()) {
                Some(key) => {
                    // A slip of the finger is one mistake, not two.
                    self.report.retract(&self.place, &missing(key));
                    format!("did you mean {}?", quoted(key))
                }
                None => self.list_keys(),
            };
            let place = Place { path: join(&self.place.path, &entry.key), mark: entry.mark };
            let complaint = Complaint::new(format!("unknown key {}", quoted(&entry.key)));
            self.report.error(&place, complaint.advice(advice));
        }
    }

    fn into_schema(self) -> Json {
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
fn pointer(entry: &Entry) -> Mark {
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
        Shape::Null | Shape::List(_) | Shape::Map(_) => unreachable!("defaults are scalars"),
    }
}
