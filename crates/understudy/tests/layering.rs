//! The arrows between the crates, and the length of files, are as ARCHITECTURE.md says.
//!
//! Each rule is a function over plain data, so that a made-up violation shows that it would bite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each may know. `understudy`, the binary, may know all.
const ARROWS: &[(&str, &[&str])] = &[
    ("routing", &[]),
    ("metrics", &[]),
    ("config", &["routing"]),
    ("access", &["config", "metrics"]),
    ("connect", &["config"]),
    ("hooks", &["config", "connect"]),
    ("health", &["config", "connect", "hooks", "metrics"]),
    ("proxy", &["access", "config", "connect", "routing", "metrics"]),
    ("control", &["access", "config", "connect", "hooks", "routing", "metrics", "health", "proxy"]),
    ("admin", &["control", "metrics"]),
    ("traces", &["access", "config", "connect", "control", "hooks", "metrics"]),
    ("benches", &[]),
    ("standins", &["benches"]),
];

/// Not below `crates/`.
const ELSEWHERE: &[&str] = &["benches", "standins"];

/// The only packages that a pure crate may use.
const PURE: &[(&str, &[&str])] = &[("routing", &["http"])];

/// Packages behind one door, so that they can be exchanged in one place.
const ONE_DOOR: &[(&str, &str)] =
    &[("prometheus", "metrics"), ("serde_yaml", "config"), ("redb", "control")];

/// Lines of one file under `src`, without its tests.
const LINES: usize = 500;

/// The names that each crate uses in its code outside of tests, by crate.
type Graph = BTreeMap<String, Vec<String>>;

#[test]
fn the_crates_know_only_whom_they_may() {
    assert_eq!(wrong_arrows(&workspace()), Vec::<String>::new());
}

#[test]
fn each_wrong_arrow_would_be_found() {
    let graph = |crate_name: &str, uses: &str| {
        Graph::from([(crate_name.to_owned(), vec![uses.to_owned()])])
    };
    for (from, to) in [
        ("routing", "config"),
        ("metrics", "routing"),
        ("config", "metrics"),
        ("health", "proxy"),
        ("proxy", "health"),
        ("health", "control"),
        ("proxy", "control"),
        ("control", "admin"),
        ("admin", "proxy"),
        ("benches", "proxy"),
        ("routing", "tokio"),
        ("routing", "serde"),
        ("proxy", "prometheus"),
        ("understudy", "prometheus"),
        ("control", "serde_yaml"),
        ("admin", "redb"),
        ("a-new-crate", "http"),
    ] {
        let mut made_up = workspace();
        made_up.extend(graph(from, to));
        assert_eq!(wrong_arrows(&made_up).len(), 1, "{from} -> {to}");
    }
    for (from, to) in [("routing", "http"), ("control", "health"), ("understudy", "proxy")] {
        let mut made_up = workspace();
        made_up.extend(graph(from, to));
        assert_eq!(wrong_arrows(&made_up), Vec::<String>::new(), "{from} -> {to}");
    }
}

#[test]
fn no_file_is_too_long() {
    let mut files = Vec::new();
    for name in workspace().keys().filter(|name| !ELSEWHERE.contains(&name.as_str())) {
        rust_files(root(), &root().join("crates").join(name).join("src"), &mut files);
    }
    assert!(files.len() > 20, "only {} files found", files.len());
    assert_eq!(too_long(&files), Vec::<String>::new());
}

#[test]
fn a_file_that_is_too_long_would_be_found() {
    let file = |lines: usize| (PathBuf::from(format!("{lines}.rs")), "x\n".repeat(lines));
    assert_eq!(too_long(&[file(LINES)]), Vec::<String>::new());
    assert_eq!(too_long(&[file(LINES), file(LINES + 1)]), ["501.rs has 501 lines"]);
    let (path, mut with_tests) = file(LINES);
    with_tests.push_str("#[cfg(test)]\nmod tests {\n}\n");
    assert_eq!(too_long(&[(path, with_tests)]), Vec::<String>::new());
    for before_the_code in ["#[cfg(test)]\nmod tests;\n", "    #[cfg(test)]\n    fn helper() {}\n"]
    {
        let (path, code) = file(LINES - 1);
        let long = (path, format!("{before_the_code}{code}"));
        assert_eq!(too_long(&[long]), ["499.rs has 501 lines"]);
    }
    let tests_only = PathBuf::from("src/failover/tests/rules.rs");
    assert_eq!(too_long(&[(tests_only, file(LINES + 1).1)]), Vec::<String>::new());
}

#[test]
fn files_are_found_also_where_the_repository_lies_in_a_folder_of_tests() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("tests").join("repository");
    std::fs::create_dir_all(root.join("src")).expect("a folder");
    std::fs::write(root.join("src").join("a.rs"), "x\n".repeat(LINES + 1)).expect("a file");
    let mut files = Vec::new();
    rust_files(&root, &root.join("src"), &mut files);
    assert_eq!(too_long(&files), ["src/a.rs has 501 lines"]);
}

fn wrong_arrows(graph: &Graph) -> Vec<String> {
    let allowed = |list: &[(&'static str, &'static [&'static str])], name: &str| {
        list.iter().find(|(of, _)| *of == name).map(|(_, may)| *may)
    };
    let mut wrong = Vec::new();
    for (name, uses) in graph {
        let arrows = allowed(ARROWS, name);
        if arrows.is_none() && name != "understudy" {
            wrong.push(format!("{name} is not in the picture"));
            continue;
        }
        for used in uses {
            let ours = used == "understudy" || ARROWS.iter().any(|(name, _)| name == used);
            let door = ONE_DOOR.iter().find(|(package, _)| package == used);
            let pure = allowed(PURE, name);
            if ours && arrows.is_some_and(|arrows| !arrows.contains(&used.as_str())) {
                wrong.push(format!("{name} must not know {used}"));
            } else if !ours && pure.is_some_and(|pure| !pure.contains(&used.as_str())) {
                wrong.push(format!("{name} is pure and must not use {used}"));
            } else if door.is_some_and(|(_, door)| door != name) {
                wrong.push(format!("only the door to {used} may use it, and {name} is not"));
            }
        }
    }
    wrong
}

fn too_long(files: &[(PathBuf, String)]) -> Vec<String> {
    let is_tests = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
    let code = files.iter().filter(|(path, _)| !path.iter().any(is_tests));
    let counted = code.map(|(path, text)| {
        // Tests in a file of their own (`mod tests;`) may be named anywhere.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next();
        (path, code.map_or(0, |code| code.lines().count()))
    });
    counted
        .filter(|(_, lines)| *lines > LINES)
        .map(|(path, lines)| format!("{} has {lines} lines", path.display()))
        .collect()
}

/// What the workspace's crates use. What they use in tests only binds nobody.
fn workspace() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {complaint}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| (text(&package["name"]), uses(package))).collect()
}

fn uses(package: &Value) -> Vec<String> {
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    dependencies
        .iter()
        .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
        // The name in the code, where it differs from the package's.
        .map(|dependency| match &dependency["rename"] {
            Value::Null => text(&dependency["name"]),
            renamed => text(renamed),
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The files of `folder` and what they say, by their paths below `root`: what lies above is none of
/// ours, and may well be named `tests`.
fn rust_files(root: &Path, folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let below = path.strip_prefix(root).expect("a file below the root");
            found.push((below.to_owned(), text));
        }
    }
}
