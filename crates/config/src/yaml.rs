//! YAML text to a tree of nodes that know where they stand: the only file that knows the YAML
//! library.
//!
//! It is strict about YAML (one document, no repeated keys, no tags, bounded size) and knows
//! nothing of what the keys mean.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Error, Location, Options, Spanned};

use crate::problem::quoted;

/// Deeper than any config needs (eleven levels), far below what could exhaust the stack.
const MAX_DEPTH: usize = 32;
/// A service with every key given has about a hundred nodes; aliases count as what they stand for.
const MAX_NODES: usize = 200_000;
/// A thousand services with every key given stay below this.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Where a token stands. Lines and columns count from 1, columns and width count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) width: u32,
}

/// One node and where it is defined (for an alias: at its anchor).
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) mark: Mark,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Nothing after the key, `~` or `null`.
    Null,
    /// A single value.
    Scalar(Scalar),
    /// `[a, b]` or lines with dashes.
    List(Vec<Node>),
    /// Keys and values in the order of the file, no key twice.
    Map(Vec<Entry>),
}

/// A single value, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) kind: ScalarKind,
}

/// What YAML takes a scalar for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Text,
    Number,
    Flag,
}

/// One key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) value: Node,
}

/// Something the YAML itself gets wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) mark: Mark,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
}

impl Shape {
    /// What a person would call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(scalar) => match scalar.kind {
                ScalarKind::Text => "text",
                ScalarKind::Number => "a number",
                ScalarKind::Flag => "true or false",
            },
            Self::List(_) => "a list",
            Self::Map(_) => "keys with values",
        }
    }
}

impl Node {
    /// Where to point a reader: a scalar itself, or what a collection begins with.
    pub(crate) fn pointer(&self) -> Mark {
        match &self.shape {
            Shape::Null | Shape::Scalar(_) => self.mark,
            Shape::List(items) => items.first().map_or(self.mark, Self::pointer),
            Shape::Map(entries) => entries.first().map_or(self.mark, |entry| entry.mark),
        }
    }
}

/// Parses one document. The node is there as far as it could be read; the faults are what to tell.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Fault>) {
    if text.len() > MAX_BYTES {
        let message =
            format!("the config is {} bytes long, at most {MAX_BYTES} are read", text.len());
        return (None, vec![Fault { mark: START, path: String::new(), message, advice: None }]);
    }
    // Later values win inside the library only so that this module sees every repeated key and can
    // report all of them, not just the first.
    match serde_yaml::from_str_with_options(text, options(DuplicateKeyPolicy::LastWins)) {
        Ok(raw) => {
            let mut faults = Vec::new();
            let node = node(text, "", raw, &mut faults);
            if faults.is_empty() {
                faults.extend(repeated_number_key(text));
            }
            (Some(node), faults)
        }
        Err(error) => (None, vec![on_the_tag(text, fault(&error))]),
    }
}

/// The library folds repeated keys that are numbers before this module can see them.
fn repeated_number_key(text: &str) -> Option<Fault> {
    let strict = options(DuplicateKeyPolicy::Error);
    let parsed: Result<Spanned<Raw>, Error> = serde_yaml::from_str_with_options(text, strict);
    parsed.err().map(|error| fault(&error))
}

const START: Mark = Mark { line: 1, column: 1, width: 0 };

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_yaml::options! {
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        reject_unsupported_tags: true,
        ignore_binary_tag_for_string: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        budget: serde_yaml::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MAX_NODES },
    }
}

/// What the library hands over: shapes without the text of numbers and flags.
#[derive(Debug)]
enum Raw {
    Null,
    Number,
    Flag,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Flag)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

fn node(source: &str, path: &str, raw: Spanned<Raw>, faults: &mut Vec<Fault>) -> Node {
    let location = raw.defined;
    let as_written = |kind| Shape::Scalar(Scalar { text: slice(source, location), kind });
    let shape = match raw.value {
        Raw::Null => Shape::Null,
        Raw::Number => as_written(ScalarKind::Number),
        Raw::Flag => as_written(ScalarKind::Flag),
        Raw::Text(text) => Shape::Scalar(Scalar { text, kind: ScalarKind::Text }),
        Raw::List(items) => Shape::List(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| node(source, &format!("{path}[{index}]"), item, faults))
                .collect(),
        ),
        Raw::Map(entries) => Shape::Map(map(source, path, entries, faults)),
    };
    Node { shape, mark: mark(location) }
}

fn map(
    source: &str,
    path: &str,
    entries: Vec<(Spanned<Raw>, Spanned<Raw>)>,
    faults: &mut Vec<Fault>,
) -> Vec<Entry> {
    let mut seen: std::collections::HashMap<String, Mark> = std::collections::HashMap::new();
    let mut map = Vec::with_capacity(entries.len());
    for (raw_key, raw_value) in entries {
        let mark = mark(raw_key.defined);
        let key = match raw_key.value {
            Raw::Text(text) => text,
            Raw::Number | Raw::Flag | Raw::Null => slice(source, raw_key.defined),
            Raw::List(_) | Raw::Map(_) => {
                let message = "a key must be plain text".to_owned();
                faults.push(Fault { mark, path: path.to_owned(), message, advice: None });
                continue;
            }
        };
        let path = join(path, &key);
        let value = node(source, &path, raw_value, faults);
        if let Some(first) = seen.get(&key) {
            let message = format!("key {} is given twice", quoted(&key));
            let advice = Some(format!("it is already given on line {}", first.line));
            faults.push(Fault { mark, path, message, advice });
            continue;
        }
        seen.insert(key.clone(), mark);
        map.push(Entry { key, mark, value });
    }
    map
}

/// The path of a key below `parent`, as messages show it.
pub(crate) fn join(parent: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
    let key =
        if !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { format!("{key:?}") };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}

fn slice(source: &str, location: Location) -> String {
    let span = location.span();
    let range = span.byte_offset().zip(span.byte_len()).and_then(|(offset, len)| {
        let start = usize::try_from(offset).ok()?;
        source.get(start..start.checked_add(usize::try_from(len).ok()?)?)
    });
    range.unwrap_or_default().trim_end().to_owned()
}

fn mark(location: Location) -> Mark {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Mark {
        line: number(location.line().max(1)),
        column: number(location.column().max(1)),
        width: number(location.span().len()),
    }
}

/// The library's error in words for a person who edits a config, not for a person who calls an API.
fn fault(error: &Error) -> Fault {
    let mark = error.location().map_or(START, mark);
    let limit = "this config stands for more than any real one needs";
    let (message, advice) = match error {
        Error::MultipleDocuments { .. } => {
            ("a config is one YAML document".to_owned(), Some("remove the `---` in the middle"))
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("this alias contains itself".to_owned(), None)
        }
        Error::Budget { .. } => {
            ("too large, too deep, or too many aliases".to_owned(), Some(limit))
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            ("aliases of aliases grow too large".to_owned(), Some(limit))
        }
        Error::UnknownAnchor { .. } => (
            "this alias has no anchor before it".to_owned(),
            Some(
                "an anchor is written `&name`, an alias `*name`; put text that begins with `*` in quotes",
            ),
        ),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (format!("key {} is given twice", quoted(key)), None)
        }
        Error::AliasError { error, .. } => {
            let Fault { message, advice, .. } = fault(error);
            return Fault { mark, path: String::new(), message, advice };
        }
        other => {
            let text = other.to_string();
            let text = text.split(" at line ").next().unwrap_or_default().to_owned();
            let advice = syntax_advice(&text);
            (text, advice)
        }
    };
    Fault { mark, path: String::new(), message, advice: advice.map(str::to_owned) }
}

/// The library points behind a tag it does not know.
fn on_the_tag(source: &str, mut fault: Fault) -> Fault {
    let line = source.lines().nth(fault.mark.line as usize - 1).unwrap_or_default();
    let tag =
        fault.message.strip_prefix("unsupported tag `").and_then(|rest| rest.strip_suffix('`'));
    if let Some((tag, at)) = tag.and_then(|tag| line.find(tag).map(|at| (tag, at))) {
        let characters = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        (fault.mark.column, fault.mark.width) = (characters(&line[..at]) + 1, characters(tag));
    }
    fault
}

fn syntax_advice(message: &str) -> Option<&'static str> {
    const OPEN: &str = "is a quote or a bracket left open further up?";
    const INDENT: &str = "check the indentation, or put text with `: ` in quotes";
    const ADVICE: [(&str, &str); 10] = [
        ("u{", "remove this character"),
        ("merge value", "`<<` takes an alias of keys with values: `<<: *name`"),
        ("tab", "YAML is indented with spaces, not tabs"),
        ("recursion limit", "no key of a config is nested that deep"),
        ("mapping values are not allowed", INDENT),
        ("block mapping", INDENT),
        ("trailing content", OPEN),
        ("illegal placement", OPEN),
        ("unexpected character", "put text that begins with a special character in quotes"),
        ("unsupported tag", "a config uses no `!tags`; put text that begins with `!` in quotes"),
    ];
    ADVICE.iter().find(|(part, _)| message.contains(part)).map(|(_, advice)| *advice)
}
