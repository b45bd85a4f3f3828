//! Links lead somewhere, also to the heading that they name; paths that are named exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::text::{documents, prose, read, root, set};

#[test]
fn every_relative_link_leads_somewhere() {
    let mut dead = Vec::new();
    for document in documents() {
        let folder = root().join(&document).parent().expect("a folder").to_owned();
        let found = dead_links(&read(&document), &folder);
        dead.extend(found.iter().map(|link| format!("{document}: {link}")));
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn a_dead_link_would_be_found() {
    let text = "# One two\n[a](README.md) [b](nobody.md) [c](#one-two) [d](#three) [e](https://x.example/)";
    assert_eq!(dead_links(text, root()), ["nobody.md", "#three"]);
    assert_eq!(dead_links("[a](README.md#nothing-like-it)", root()), ["README.md#nothing-like-it"]);
    assert_eq!(dead_links("![a](nothing.svg) `[b](c)`", root()), ["nothing.svg"]);
}

#[test]
fn every_path_that_readme_names_exists() {
    let text = read("README.md");
    let named = paths(&text, &["configs/", "benches/", "crates/", "docs/"]);
    assert!(named.len() >= 4, "{named:?}");
    // A comment holds the place of a picture that is made by a test.
    let comments: Vec<_> = text.split("<!--").skip(1).collect();
    let is_wanted = |path: &&String| comments.iter().any(|comment| comment.contains(path.as_str()));
    let missing = named.iter().filter(|path| !root().join(path).exists());
    let missing: Vec<_> = missing.filter(|path| !is_wanted(path)).collect();
    assert_eq!(missing, Vec::<&String>::new());
    for shipped in ["configs/minimal.yaml", "configs/full.yaml"] {
        assert!(named.contains(shipped), "README does not name {shipped}");
    }
}

/// What a project that somebody else installs must not say.
#[test]
fn no_document_names_a_path_of_one_machine() {
    for document in documents() {
        for path in ["/work/", "/tmp/wt", "/home/", "/root/"] {
            assert!(!read(&document).contains(path), "{document} names {path}");
        }
    }
}

#[test]
fn two_headings_of_one_page_never_have_one_anchor() {
    for document in documents() {
        let twice = anchors_twice(&read(&document));
        assert_eq!(twice, Vec::<String>::new(), "{document}");
    }
    assert_eq!(anchors_twice("# A\n## B\n## b\n```\n# A\n```\n"), ["b"]);
}

fn dead_links(text: &str, folder: &Path) -> Vec<String> {
    let mut dead = Vec::new();
    for rest in prose(text).split("](").skip(1) {
        let Some((link, _)) = rest.split_once(')') else { continue };
        if link.starts_with("https://") || link.starts_with("http://") {
            continue;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let path = folder.join(file);
        let is_good = if anchor.is_empty() {
            path.exists()
        } else {
            let page =
                if file.is_empty() { Ok(text.to_owned()) } else { std::fs::read_to_string(&path) };
            page.is_ok_and(|page| anchors(&page).any(|it| it == anchor))
        };
        if !is_good {
            dead.push(link.to_owned());
        }
    }
    dead
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    let mut inside = false;
    let mut headings = Vec::new();
    for line in page.lines() {
        inside ^= line.trim_start().starts_with("```");
        if !inside && line.starts_with('#') {
            headings.push(line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"));
        }
    }
    headings.into_iter().map(|words| {
        words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    })
}

fn anchors_twice(page: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    // A changelog repeats its headings from version to version.
    let changes = ["added", "changed", "fixed", "removed", "security", "deprecated"];
    anchors(page)
        .filter(|anchor| !seen.insert(anchor.clone()) && !changes.contains(&anchor.as_str()))
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

#[test]
fn paths_are_found_in_text_and_links() {
    let text = "see [a](configs/a.yaml), `benches/run` and docs/b.md.";
    assert_eq!(paths(text, &["configs/", "docs/"]), set(&["configs/a.yaml", "docs/b.md"]));
}
