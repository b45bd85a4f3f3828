//! The code map of ARCHITECTURE.md names every file.

use std::collections::BTreeSet;

use crate::text::{files_below, read, root, set};

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

/// Every `crates/*/src/**/*.rs`.
fn sources() -> BTreeSet<String> {
    let is_source = |path: &String| path.split('/').nth(2) == Some("src");
    files_below("crates", "rs").into_iter().filter(is_source).collect()
}
