//! The page of the config file: every key with what it does and its default, from the schema. Pure.

use std::fmt::Write as _;

use serde_json::Value;

/// Deeper than any key is, so that a schema that refers to itself could not keep us here.
const DEEPEST: usize = 12;

const HEAD: &str = r#".TH understudy.yaml 5
.SH NAME
understudy.yaml \- the config file of understudy(1)
.SH DESCRIPTION
YAML. Everything but \fBlisteners\fR and \fBservices\fR has a default. Unknown keys are errors.
\fBunderstudy check\fR FILE says everything that is wrong with a file, and \fBunderstudy explain\fR FILE
what it makes the load balancer do. Durations are written as 1m30s, sizes as 64KiB.
The running load balancer reads its file again when it changes, or on SIGHUP; a file with an error
changes nothing.
.SH EXAMPLE
.nf
listeners:
  \- 0.0.0.0:8080
services:
  web:
    backends:    # the first is the primary
      \- http://10.0.0.1:8080
      \- http://10.0.0.2:8080
    health: { http: { path: /healthz } }
.fi
.SH KEYS
A dot leads into a section. NAME stands for a name that you choose, [] for each entry of a list.
"#;

const TAIL: &str = ".SH FILES
.TP
\\fI/etc/understudy/understudy.yaml\\fR
Where the package of a distribution has it.
.SH SEE ALSO
understudy(1), understudy\\-check(1), understudy\\-explain(1)
";

/// The page as troff.
pub(super) fn render(schema: &Value) -> String {
    let mut keys = Vec::new();
    walk(schema, "", DEEPEST, &mut keys);
    // A key may be described in several alternatives.
    keys.sort();
    keys.dedup_by(|a, b| a.0 == b.0);
    let mut page = HEAD.to_owned();
    for (key, words) in keys {
        // A String takes all.
        let _ = writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(&key), escaped(&words));
    }
    page + TAIL
}

/// Every key below a part of the schema, with what is said of it.
fn walk(schema: &Value, path: &str, left: usize, keys: &mut Vec<(String, String)>) {
    if left == 0 {
        return;
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        keys.push((path.clone(), words(below)));
        walk(below, &path, left - 1, keys);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), left - 1, keys);
    }
    if schema["additionalProperties"].is_object() {
        walk(&schema["additionalProperties"], &format!("{path}.NAME"), left - 1, keys);
    }
    for choice in ["anyOf", "allOf", "oneOf"] {
        for below in schema[choice].as_array().into_iter().flatten() {
            walk(below, path, left - 1, keys);
        }
    }
}

/// What it does, and its default.
fn words(schema: &Value) -> String {
    let says = schema["description"].as_str().unwrap_or_default();
    match &schema["default"] {
        Value::Null => format!("{says}."),
        Value::String(default) => format!("{says}. Default: {default}."),
        default => format!("{says}. Default: {default}."),
    }
}

/// Text as troff shows it as it is, and never takes for one of its requests.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\n', " ");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_is_there_once_wherever_the_schema_has_it() {
        let schema = json!({"properties": {
            "list": {"description": ".A list", "items": {"anyOf": [
                {"type": "string"},
                {"properties": {"x-y": {"description": "An entry's", "default": "1s"}}},
                {"properties": {"x-y": {"description": "An entry's", "default": "1s"}}},
            ]}},
            "named": {"description": "By name", "additionalProperties": {
                "properties": {"on": {"description": "A \\ switch", "default": false}}}},
        }});
        let page = render(&schema);
        let keys = page.split_once("of a list.\n").expect("keys").1;
        let keys = keys.split_once(".SH FILES").expect("an end").0;
        assert_eq!(
            keys,
            ".TP\n\\fBlist\\fR\n\\&.A list.\n\
             .TP\n\\fBlist[].x\\-y\\fR\nAn entry's. Default: 1s.\n\
             .TP\n\\fBnamed\\fR\nBy name.\n\
             .TP\n\\fBnamed.NAME.on\\fR\nA \\e switch. Default: false.\n"
        );
    }

    #[test]
    fn the_page_has_the_keys_of_the_schema_that_is_shipped() {
        let page = render(&config::schema());
        for key in ["listeners", "services.NAME.backends", "services.NAME.failback", "state_dir"] {
            assert!(page.contains(&format!("\\fB{key}\\fR\n")), "{key}");
        }
    }
}
