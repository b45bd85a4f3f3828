//! Every command line in the documents is one that the program takes.
//!
//! The program itself is asked, with `--help` behind the line, so that nothing is carried out. What is
//! missing in a line is not found that way; what is unknown or malformed is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::text::{all_words, documents, every_block, prose_code, read, root, set};

/// Blocks in these languages are lines for a shell.
const SHELLS: &[&str] = &["sh", "bash", "shell", "console"];

#[test]
fn every_command_line_is_taken() {
    // Many pages have the same line; each is asked about once.
    let mut lines: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut count = 0;
    for block in every_block().iter().filter(|block| SHELLS.contains(&block.language.as_str())) {
        let found = calls(&block.text);
        count += found.len();
        lines.extend(found.into_iter().map(|line| (line, block.to_string())));
    }
    assert!(count >= 60, "only {count} command lines");
    for document in documents() {
        for code in prose_code(&read(&document)) {
            let is_call = code.starts_with("understudy ") && !code.contains("...");
            let found = if is_call { calls(&code) } else { Vec::new() };
            lines.extend(found.into_iter().map(|line| (line, document.clone())));
        }
    }
    let refused = lines.iter().filter_map(|(line, place)| Some((place, line, refusal(line)?)));
    let refused: Vec<_> = refused.collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_command_line_that_is_not_taken_would_be_found() {
    for bad in ["run --nonsense", "nonsense", "demo --for 20", "check a b", "status --socket"] {
        let words: Vec<_> = bad.split(' ').map(str::to_owned).collect();
        assert!(refusal(&words).is_some(), "{bad}");
    }
    assert_eq!(refusal(&["demo".to_owned(), "--for".to_owned(), "20s".to_owned()]), None);
}

#[test]
fn command_lines_are_found_as_a_shell_finds_them() {
    let text = "\
understudy run --listen :1 \\
    --primary 'http://a b' # --not-this
cargo run --release -- demo --for 1s
sudo target/release/understudy status | grep up && ls --understudy
journalctl -u understudy --since today
UNDERSTUDY_TOKEN=x understudy status > file
";
    let found: Vec<String> = calls(text).iter().map(|line| line.join("|")).collect();
    let expected = ["run|--listen|:1|--primary|http://a b", "demo|--for|1s", "status", "status"];
    assert_eq!(found, expected);
}

#[test]
fn the_page_on_running_shows_how() {
    let text = read("docs/running.md");
    for flag in ["--listen", "--primary", "--standby", "--health-path", "--state-dir"] {
        assert!(text.contains(flag), "docs/running.md does not show {flag}");
    }
}

/// What the documents show of the program's own words is what it says.
#[test]
fn what_the_program_is_shown_to_say_it_says() {
    let mut count = 0;
    for block in every_block() {
        let mark = block.mark.as_deref().unwrap_or("");
        let Some(line) = mark.strip_prefix("said by: ") else { continue };
        let calls = calls(line);
        assert_eq!(calls.len(), 1, "{block}: {line}");
        let said = words_of(&calls[0]);
        assert_eq!(said.trim_end(), block.text.trim_end(), "{block}");
        count += 1;
    }
    assert_eq!(count, 2, "the documents show an explanation and a check");
}

/// A config with three mistakes, as a page shows them.
const BAD: &str = "\
listeners:
  - 0.0.0.0:8080

services:
  web:
    backend:
      - http://127.0.0.1:9001
      - http://127.0.0.1:9002
    health:
      http: { path: healthz }
      timeout: 2
";

/// What the program says, in a folder that has the shipped configs, and `bad.yaml`.
fn words_of(words: &[String]) -> String {
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("bad.yaml"), BAD).expect("it is written");
    let configs = std::path::absolute(root().join("configs")).expect("a path");
    std::os::unix::fs::symlink(configs, folder.path().join("configs")).expect("a link");
    let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(words)
        .current_dir(folder.path())
        .output()
        .expect("it starts");
    String::from_utf8(output.stdout).expect("UTF-8")
        + &String::from_utf8(output.stderr).expect("UTF-8")
}

/// What the program says about a line that it does not take.
fn refusal(words: &[String]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(words)
        .arg("--help")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    (!output.status.success()).then(|| said.lines().next().unwrap_or("nothing").to_owned())
}

/// The arguments of each call of the program in lines for a shell.
fn calls(text: &str) -> Vec<Vec<String>> {
    let commands = known_commands();
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        for command in all_words(line) {
            // `cargo run` has flags too; what is for us stands behind `--`.
            let is_cargo = command.first().is_some_and(|word| word == "cargo")
                && command.get(1).is_some_and(|word| word == "run")
                && !command.iter().any(|word| word == "--bin");
            let begin = if is_cargo {
                command.iter().position(|word| word == "--")
            } else {
                (0..command.len()).find(|&at| {
                    let name = Path::new(&command[at]).file_name();
                    let is_first = command[..at].iter().all(|word| word.contains('='));
                    let next = command.get(at + 1);
                    name.is_some_and(|name| name == "understudy")
                        && (is_first || next.is_some_and(|next| commands.contains(next)))
                })
            };
            if let Some(begin) = begin {
                found.push(command[begin + 1..].to_vec());
            }
        }
    }
    found
}

fn known_commands() -> &'static BTreeSet<String> {
    static COMMANDS: OnceLock<BTreeSet<String>> = OnceLock::new();
    let ask = || super::reference::commands_of(&[]).into_iter().map(|(name, _)| name).collect();
    COMMANDS.get_or_init(ask)
}

#[test]
fn the_commands_are_known() {
    let known = known_commands();
    assert!(set(&["run", "check", "status", "switchover", "drill"]).is_subset(known), "{known:?}");
}
