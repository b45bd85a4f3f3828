//! The documents say what is there: tables, examples, flags, links and the code map.
//!
//! Each rule is a function over text, so that a made-up mistake shows that it would be found. It does
//! not judge the words.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCUMENTS: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md"];

const TABLE_BEGINS: &str = "<!-- metrics: begin; written by a test, see CONTRIBUTING.md -->\n";
const TABLE_ENDS: &str = "<!-- metrics: end -->\n";

#[test]
fn the_table_of_metrics_is_the_registry() {
    let readme = read("README.md");
    let (before, rest) = readme.split_once(TABLE_BEGINS).expect("the table begins");
    let (table, after) = rest.split_once(TABLE_ENDS).expect("the table ends");
    let registry = metrics::names::table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = [before, TABLE_BEGINS, &registry, TABLE_ENDS, after].concat();
        std::fs::write(root().join("README.md"), text).expect("README.md is written");
        return;
    }
    assert!(table == registry, "write it anew with UPDATE_GOLDEN=1; the registry has\n{registry}");
}

#[test]
fn every_relative_link_leads_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let folder = root().join(document).parent().expect("a folder").to_owned();
        assert_eq!(dead_links(&text, &folder), Vec::<String>::new(), "{document}");
    }
}

#[test]
fn a_dead_link_would_be_found() {
    let text = "# One two\n[a](README.md) [b](nobody.md) [c](#one-two) [d](#three) [e](https://x.example/)";
    assert_eq!(dead_links(text, root()), ["nobody.md", "#three"]);
    assert_eq!(dead_links("[a](README.md#nothing-like-it)", root()), ["README.md#nothing-like-it"]);
}

#[test]
fn every_path_that_readme_names_exists() {
    let text = read("README.md");
    let named = paths(&text, &["configs/", "benches/", "crates/"]);
    assert!(named.len() >= 4, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert_eq!(missing, Vec::<&String>::new());
    for shipped in ["configs/minimal.yaml", "configs/full.yaml", "configs/schema.json"] {
        assert!(named.contains(shipped), "README does not name {shipped}");
    }
}

#[test]
fn every_config_in_readme_loads_without_a_warning() {
    let text = read("README.md");
    let configs = blocks(&text, "yaml");
    assert!(!configs.is_empty(), "README shows no config");
    for config in configs {
        let loaded = config::load("README.md", &config, Path::new(""));
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n{config}"));
        assert_eq!(loaded.warnings, [], "{config}");
    }
}

#[test]
fn every_flag_in_readme_exists() {
    let text = read("README.md");
    for command in ["run", "check", "explain", "schema", "demo"] {
        let used = flags(&text, command);
        let missing: Vec<_> = used.difference(&flags_of(command)).cloned().collect();
        assert_eq!(missing, Vec::<String>::new(), "understudy {command}");
    }
    assert!(flags(&text, "run").len() >= 5, "README shows hardly any flag of run");
}

#[test]
fn a_flag_that_does_not_exist_would_be_found() {
    let text = "```sh\nunderstudy run --listen :1 \\\n    --nonsense\ncargo run --release -- demo --for 1s\n```\n";
    assert_eq!(flags(text, "run"), set(&["--listen", "--nonsense"]));
    assert_eq!(flags(text, "demo"), set(&["--for"]), "cargo's own flags are not ours");
    assert!(!flags_of("run").contains("--nonsense"));
}

#[test]
fn the_code_map_names_every_file_and_no_other() {
    let map = code_map(&read("ARCHITECTURE.md"));
    let missing: Vec<_> = map.iter().filter(|path| !root().join(path).exists()).collect();
    assert_eq!(missing, Vec::<&String>::new(), "named, but not there");
    let files = sources();
    assert!(files.len() > 50, "only {} files found", files.len());
    assert_eq!(unnamed(&files, &map), Vec::<&String>::new(), "there, but not named");
}

#[test]
fn a_gap_in_the_code_map_would_be_found() {
    let text = "## Code map\n### `crates/a`\n| `src/lib.rs` | x |\n| `src/b/` | y |\n## Next\n| `c.rs` |\n";
    let map = code_map(text);
    assert_eq!(map, set(&["crates/a/src/lib.rs", "crates/a/src/b/"]));
    let files = set(&["crates/a/src/lib.rs", "crates/a/src/b/c.rs", "crates/a/src/d.rs"]);
    assert_eq!(unnamed(&files, &map), ["crates/a/src/d.rs"]);
}

// === The rules ===

fn dead_links(text: &str, folder: &Path) -> Vec<String> {
    let mut dead = Vec::new();
    for rest in text.split("](").skip(1) {
        let Some((link, _)) = rest.split_once(')') else { continue };
        if link.starts_with("https://") || link.starts_with("http://") {
            continue;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let path = folder.join(file);
        let page =
            if file.is_empty() { Ok(text.to_owned()) } else { std::fs::read_to_string(&path) };
        let is_good = match page {
            Ok(page) => anchor.is_empty() || anchors(&page).contains(anchor),
            Err(_) => path.is_dir() && anchor.is_empty(),
        };
        if !is_good {
            dead.push(link.to_owned());
        }
    }
    dead
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        })
        .collect()
}

/// What looks like a path below one of these folders.
fn paths(text: &str, folders: &[&str]) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    text.split(|c| !is_part(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| folders.iter().any(|folder| word.starts_with(folder)))
        .map(str::to_owned)
        .collect()
}

/// The fenced blocks in this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let parts = text.split(&opening).skip(1);
    parts.map(|part| part.split("```").next().unwrap_or("").to_owned()).collect()
}

/// The flags given to `command` in the shell lines of a text.
fn flags(text: &str, command: &str) -> BTreeSet<String> {
    let lines = blocks(text, "sh").concat().replace("\\\n", " ");
    let mut found = BTreeSet::new();
    for line in lines.lines() {
        // `cargo run` has flags too; what is for us stands behind `--`.
        let ours = line.split_once(" -- ").map_or(line, |(_, ours)| ours);
        let mut words = ours.split_whitespace();
        if words.any(|word| word == command) {
            found.extend(words.filter(|word| word.starts_with("--")).map(str::to_owned));
        }
    }
    found
}

fn flags_of(command: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args([command, "--help"])
        .output()
        .expect("it starts");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    help.split(|c| !is_part(c)).filter(|word| word.starts_with("--")).map(str::to_owned).collect()
}

/// The paths in the section `Code map`: below a heading that names a folder, the first thing in each
/// row of a table.
fn code_map(text: &str) -> BTreeSet<String> {
    let section =
        text.split("\n## ").find(|part| part.trim_start_matches("## ").starts_with("Code map"));
    let mut folder = "";
    let mut found = BTreeSet::new();
    for line in section.unwrap_or("").lines() {
        let code = line.split('`').nth(1).unwrap_or("");
        if line.starts_with("### ") {
            folder = code;
        } else if line.starts_with("| `") {
            found.insert(format!("{folder}/{code}"));
        }
    }
    found
}

/// The files that are not in the map, neither themselves nor by a folder that ends in `/`.
fn unnamed<'a>(files: &'a BTreeSet<String>, map: &BTreeSet<String>) -> Vec<&'a String> {
    let is_named = |file: &str| {
        map.iter().any(|path| path == file || (path.ends_with('/') && file.starts_with(path)))
    };
    files.iter().filter(|file| !is_named(file)).collect()
}

// === What is there ===

/// Every `crates/*/src/**/*.rs`.
fn sources() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("crates")).expect("crates") {
        let source = entry.expect("an entry").path().join("src");
        rust_files(&source, &mut found);
    }
    found
}

fn rust_files(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).expect("below the root");
            found.insert(relative.to_str().expect("UTF-8").to_owned());
        }
    }
}

fn read(document: &str) -> String {
    let path: PathBuf = root().join(document);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}
