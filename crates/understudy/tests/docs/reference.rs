//! The pages that are written by this test: metrics, commands and configuration.
//!
//! `UPDATE_GOLDEN=1` writes them anew from the registry, from what the program says of itself, and from
//! the schema.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value as Json;

use crate::text::{read, root};

mod keys;

const BEGINS: &str = "<!-- begin; written by a test, see CONTRIBUTING.md -->\n";
const ENDS: &str = "<!-- end -->\n";

#[test]
fn the_table_of_metrics_is_the_registry() {
    record("docs/reference/metrics.md", &metrics::names::table());
}

#[test]
fn the_reference_of_commands_is_what_the_program_says() {
    let mut text = String::new();
    write_commands(&mut text, &[]);
    assert!(text.matches("\n## ").count() > 15, "hardly any command was found: {text}");
    record("docs/reference/commands.md", &text);
}

#[test]
fn the_reference_of_keys_is_the_schema() {
    let schema: Json = serde_json::from_str(&read("configs/schema.json")).expect("JSON");
    let text = keys::reference(&schema);
    record("docs/reference/configuration.md", &text);
}

/// Compares what stands between the two comments of a page, or writes it.
fn record(page: &str, expected: &str) {
    let text = read(page);
    let (before, rest) = text.split_once(BEGINS).expect("the written part begins");
    let (found, after) = rest.split_once(ENDS).expect("the written part ends");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = [before, BEGINS, expected, ENDS, after].concat();
        std::fs::write(root().join(page), text).expect("the page is written");
        return;
    }
    assert!(
        found == expected,
        "write {page} anew with UPDATE_GOLDEN=1; it should have\n{expected}"
    );
}

/// The commands below a command, with what the program says of each in a line.
pub(crate) fn commands_of(path: &[&str]) -> Vec<(String, String)> {
    commands_in(&help(path))
}

fn commands_in(help: &str) -> Vec<(String, String)> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let mut found: Vec<(String, String)> = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        match line.strip_prefix("  ") {
            Some(entry) if !entry.starts_with(' ') => {
                let (name, about) = entry.split_once(' ').unwrap_or((entry, ""));
                found.push((name.to_owned(), about.trim().to_owned()));
            }
            Some(_) | None => {
                let (_, about) = found.last_mut().expect("a command before its words");
                about.push(' ');
                about.push_str(line.trim());
            }
        }
    }
    found.retain(|(name, _)| name != "help");
    found
}

#[test]
fn commands_are_read_from_a_help() {
    let help =
        "x\n\nCommands:\n  a    one\n       two\n  b-c  three\n  help  four\n\nOptions:\n  -d\n";
    let found = commands_in(help);
    let expected = [("a", "one two"), ("b-c", "three")];
    assert_eq!(found, expected.map(|(name, about)| (name.to_owned(), about.to_owned())));
}

/// One section for each command that does something.
fn write_commands(text: &mut String, path: &[&str]) {
    let below = commands_of(path);
    if below.is_empty() || path.is_empty() {
        let words = [&["understudy"], path].concat().join(" ");
        write!(text, "\n## `{words}`\n\n```text\n{}\n```\n", help(path).trim_end()).expect("text");
    }
    for (name, _) in below {
        write_commands(text, &[path, &[name.as_str()]].concat());
    }
}

fn help(path: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(path)
        .arg("--help")
        .env_remove("COLUMNS")
        .env_remove("RUST_LOG")
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{path:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
