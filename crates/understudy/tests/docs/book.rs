//! The book: every page is in its summary, and only pages are.

use std::collections::BTreeSet;

use crate::text::{pages, prose, read, set};

#[test]
fn the_summary_names_every_page_and_no_other() {
    let mut pages = pages();
    assert!(pages.remove("docs/SUMMARY.md"), "there is a summary");
    let summary = read("docs/SUMMARY.md");
    assert_eq!(chapters(&summary), pages);
    assert_eq!(twice(&summary), Vec::<String>::new(), "a page has one place");
}

#[test]
fn a_page_that_is_missing_in_the_summary_would_be_found() {
    let summary = "# S\n[A](a.md)\n- [B](b/c.md)\n- [A again](a.md)\n- [Draft]()\n";
    assert_eq!(chapters(summary), set(&["docs/a.md", "docs/b/c.md", "docs/"]));
    assert_eq!(twice(summary), ["docs/a.md"]);
}

/// The title in the browser, in the list of chapters and on GitHub is the first line.
#[test]
fn every_page_begins_with_its_only_title() {
    // Those of the summary are the titles of its parts.
    for page in pages().iter().filter(|page| *page != "docs/SUMMARY.md") {
        let text = read(page);
        assert!(text.starts_with("# "), "{page} does not begin with a title");
        assert_eq!(titles(&text), 1, "{page}");
    }
    assert_eq!(titles("# a\n```sh\n# not one\n```\n# b\n"), 2);
}

/// mdBook would lead a link to another Markdown file to a page that is not there.
#[test]
fn no_page_links_to_markdown_outside_of_the_book() {
    for page in pages() {
        assert_eq!(markdown_outside(&page, &read(&page)), Vec::<String>::new(), "{page}");
    }
    let text = "[a](../README.md#x) [b](b.md) [c](../configs/full.yaml) [d](../recipes/README.md)";
    assert_eq!(markdown_outside("docs/x.md", text), ["../README.md#x", "../recipes/README.md"]);
    assert_eq!(markdown_outside("docs/recipes/x.md", "[a](../b.md)"), Vec::<String>::new());
}

fn markdown_outside(page: &str, text: &str) -> Vec<String> {
    let depth = page.matches('/').count();
    let text = prose(text);
    let links = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let is_outside = |link: &&str| {
        let file = link.split('#').next().unwrap_or("");
        file.ends_with(".md") && !link.contains("://") && link.matches("../").count() >= depth
    };
    links.filter(is_outside).map(str::to_owned).collect()
}

/// The figures are in two places; a new measurement changes both.
#[test]
fn readme_has_the_figures_of_the_comparison() {
    let comparison = read("docs/comparison.md");
    let readme = read("README.md");
    let programs = ["| understudy |", "| nginx 1", "| haproxy 2"];
    let rows: Vec<_> =
        readme.lines().filter(|line| programs.iter().any(|it| line.starts_with(it))).collect();
    assert_eq!(rows.len(), 5, "{rows:?}");
    for row in rows {
        assert!(comparison.lines().any(|line| line == row), "the comparison lacks {row}");
    }
}

/// One screen: what it is, how to begin, and where to read on.
#[test]
fn readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 100, "README has {lines} lines: what is more belongs into the book");
}

fn links(summary: &str) -> Vec<String> {
    let rest = summary.split("](").skip(1);
    rest.filter_map(|rest| Some(format!("docs/{}", rest.split_once(')')?.0))).collect()
}

fn chapters(summary: &str) -> BTreeSet<String> {
    links(summary).into_iter().collect()
}

fn twice(summary: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    links(summary).into_iter().filter(|link| !seen.insert(link.clone())).collect()
}

fn titles(text: &str) -> usize {
    prose(text).lines().filter(|line| line.starts_with("# ")).count()
}
