//! Pictures say in words what they show, are good on light and dark pages, and load nothing.

use crate::text::{files_below, read};

#[test]
fn every_drawing_can_be_read_by_everybody() {
    let drawings = files_below("docs/pictures", "svg");
    assert!(drawings.len() >= 4, "{drawings:?}");
    for drawing in drawings {
        assert_eq!(faults(&read(&drawing)), Vec::<&str>::new(), "{drawing}");
    }
}

#[test]
fn a_drawing_without_words_would_be_found() {
    let all = [
        "no role=\"img\"",
        "no <title>",
        "no <desc>",
        "no colours for a dark page",
        "no viewBox, so that it does not shrink",
        "loads something",
    ];
    assert_eq!(faults("<svg><image href=\"https://x.example/a.png\"/></svg>"), all);
}

fn faults(svg: &str) -> Vec<&'static str> {
    let has = |part: &str| svg.contains(part);
    let loads = ["<image", "<script", "href=\"http", "url(http", "@import", "<foreignObject"];
    let rules = [
        (has("role=\"img\""), "no role=\"img\""),
        (has("<title id="), "no <title>"),
        (has("<desc id="), "no <desc>"),
        (has("prefers-color-scheme: dark"), "no colours for a dark page"),
        (has("viewBox="), "no viewBox, so that it does not shrink"),
        (!loads.iter().any(|it| has(it)), "loads something"),
    ];
    rules.iter().filter(|(is_good, _)| !is_good).map(|(_, fault)| *fault).collect()
}

/// What is said to those who do not see it.
#[test]
fn every_picture_has_words_in_its_place() {
    for page in crate::text::documents() {
        assert_eq!(wordless(&read(&page)), Vec::<String>::new(), "{page}");
    }
    assert_eq!(wordless("![](a.svg) ![ok: a picture of b](b.svg)"), ["a.svg"]);
}

fn wordless(text: &str) -> Vec<String> {
    let pictures = text.split("![").skip(1).filter_map(|rest| rest.split_once("]("));
    pictures
        .filter(|(words, _)| words.trim().len() < 10)
        .filter_map(|(_, rest)| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}
