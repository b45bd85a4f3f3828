//! Configs with problems and the exact messages they produce.
//!
//! `tests/bad/*.yaml` must be refused, `tests/warn/*.yaml` must load with warnings; beside each
//! stands the expected text. A line with a problem ends in `#!`, so the positions are checked
//! against the file itself and not only against recorded messages. `UPDATE_GOLDEN=1` records anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::{Problem, Problems, Severity, load};

fn files(folder: &str) -> Vec<(String, PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name, path, text)
        })
        .collect();
    files.sort();
    files
}

/// Compares with the recorded text, or records it.
fn compare(path: &Path, actual: &str, failures: &mut Vec<String>) {
    let golden = path.with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    if expected != actual {
        failures.push(format!("{}: expected\n{expected}\nfound\n{actual}", golden.display()));
    }
}

/// Every problem stands on a marked line and at something visible; every marked line has a problem.
fn check_positions(name: &str, text: &str, problems: &[Problem], failures: &mut Vec<String>) {
    let marked: BTreeSet<usize> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.ends_with("#!"))
        .map(|(i, _)| i + 1)
        .collect();
    let found: BTreeSet<usize> = problems.iter().map(|problem| problem.line as usize).collect();
    if !marked.is_empty() && marked != found {
        failures.push(format!("{name}: problems on lines {found:?}, marked are {marked:?}"));
    }
    for problem in problems {
        let line = text.lines().nth(problem.line as usize - 1).unwrap_or_default();
        let rest: String = line.chars().skip(problem.column as usize - 1).collect();
        let visible =
            rest.starts_with(|c: char| !c.is_whitespace() && c != '#') || rest.starts_with('\t');
        // Where text ends too early there is nothing to point at.
        let at_the_end = problem.line as usize >= text.lines().count();
        if !visible && !at_the_end {
            failures.push(format!("{name}: points at nothing: {problem:?}"));
        }
        let Some(snippet) = problem.snippet.as_ref().filter(|_| visible) else { continue };
        let token: String = snippet.text.chars().skip(snippet.start).take(snippet.width).collect();
        let shown = token.trim_end();
        if !rest.starts_with(shown) {
            failures.push(format!("{name}: the snippet shows {token:?}, the file has {rest:?}"));
        }
        // What a message quotes must be what the caret is under, unless it is not there at all or
        // was changed for the terminal.
        let spoken = shown.trim_matches(['"', '\'']).to_lowercase();
        let (message, path) = (problem.message.to_lowercase(), problem.path.to_lowercase());
        let quotes = message.contains('`')
            && !message.contains("is missing")
            && !message.contains('\u{fffd}');
        if quotes && !message.contains(&spoken) && !path.contains(&spoken) {
            failures.push(format!("{name}: points at {shown:?}: {problem}"));
        }
    }
}

#[test]
fn bad_configs_are_refused_with_these_messages() {
    let files = files("bad");
    assert!(files.len() >= 110, "only {} bad configs", files.len());
    let mut failures = Vec::new();
    for (name, path, text) in files {
        match load(&name, &text, Path::new("/etc/understudy")) {
            Ok(_) => failures.push(format!("{name}: was accepted")),
            Err(problems) => {
                assert!(
                    problems.problems.iter().any(|problem| problem.severity == Severity::Error)
                );
                compare(&path, &format!("{problems}\n"), &mut failures);
                check_positions(&name, &text, &problems.problems, &mut failures);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn doubtful_configs_load_with_these_warnings() {
    let mut failures = Vec::new();
    for (name, path, text) in files("warn") {
        match load(&name, &text, Path::new("/etc/understudy")) {
            Ok(loaded) if loaded.warnings.is_empty() => {
                failures.push(format!("{name}: no warning"));
            }
            Ok(loaded) => {
                assert!(
                    loaded.warnings.iter().all(|problem| problem.severity == Severity::Warning)
                );
                check_positions(&name, &text, &loaded.warnings, &mut failures);
                compare(
                    &path,
                    &format!("{}\n", Problems { problems: loaded.warnings }),
                    &mut failures,
                );
            }
            Err(problems) => failures.push(format!("{name}: was refused:\n{problems}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
