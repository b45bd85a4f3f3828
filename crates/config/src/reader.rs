//! Reads values and sections and, by the same calls, learns their schema.
//!
//! Every key is declared once, where it is read: name, meaning, default and kind. From that one call
//! follow the value, the complaints, the list of known keys (hence the unknown ones) and the JSON
//! Schema, which is what the same reading code declares when it is run on no file at all.

use serde_json::{Value as Json, json};

use crate::problem::quoted;
use crate::report::{At, Complaint, Place, Report};
use crate::yaml::{Entry, Mark, Node, Scalar, ScalarKind, Shape, join};

mod section;

use section::pointer;
pub(crate) use section::{RANGE, Section};

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

    /// A value as JSON has them: text, a number, true or false, or null.
    pub(crate) fn plain(&mut self) -> Option<Json> {
        self.declare(|| json!({ "type": ["string", "number", "boolean", "null"] }));
        let node = self.node?;
        match &node.shape {
            Shape::Null => Some(Json::Null),
            Shape::Scalar(scalar) => {
                let read = plain(scalar);
                read.map_err(|complaint| self.report.error(&self.place, complaint)).ok()
            }
            Shape::List(_) | Shape::Map(_) => {
                let advice = "compare single values, each by a pointer of its own";
                self.wrong_shape("text, a number, true, false or null", node, Some(advice));
                None
            }
        }
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
        let mut section =
            Section::new(self.report, entries, self.place.clone(), unreadable.is_some());
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

fn plain(scalar: &Scalar) -> Result<Json, Complaint> {
    match scalar.kind {
        ScalarKind::Text => Ok(json!(scalar.text)),
        ScalarKind::Flag => Ok(json!(scalar.text.eq_ignore_ascii_case("true"))),
        ScalarKind::Number => serde_json::from_str(&scalar.text).map_err(|_| {
            let message = format!("{} is not a number in JSON", quoted(&scalar.text));
            Complaint::new(message)
                .advice("write it in decimal, or in quotes if it is meant as text")
        }),
    }
}
