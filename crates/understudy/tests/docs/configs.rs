//! Every config in the documents loads without a warning; every JSON is JSON.

use std::path::Path;

use crate::text::{Block, blocks, every_block, read};

/// Whose YAML may stand in the documents beside ours, by the mark `<!-- of NAME -->` above the block.
const OTHERS: &[&str] = &[
    "Prometheus",
    "Alertmanager",
    "Grafana",
    "Traefik",
    "Docker Compose",
    "Kubernetes",
    "OpenTelemetry Collector",
    "Loki",
];

/// What completes `<!-- part of a service -->`.
const SERVICE: &str = "listeners: [127.0.0.1:8080]\nservices:\n  web:\n    backends: [http://10.0.0.1:8080, http://10.0.0.2:8080]\n";

#[test]
fn every_config_loads_without_a_warning() {
    let blocks: Vec<_> =
        every_block().into_iter().filter(|block| block.language == "yaml").collect();
    assert!(blocks.len() >= 15, "only {} configs", blocks.len());
    let problems: Vec<_> = blocks.iter().filter_map(problem).collect();
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn readme_shows_a_config() {
    assert!(!blocks("README.md", &read("README.md"), "yaml").is_empty());
}

#[test]
fn a_bad_config_would_be_found() {
    let bad = |text: &str| {
        let found = blocks("x.md", text, "yaml");
        problem(&found[0]).unwrap_or_else(|| panic!("nothing wrong with {text}"))
    };
    let unknown = bad("```yaml\nlisteners: [:80]\nservices: { a: { backend: [http://a] } }\n```\n");
    assert!(unknown.starts_with("x.md:1:") && unknown.contains("backends"), "{unknown}");
    let part = bad("<!-- part of a service -->\n```yaml\nhold: { timeout: 1 }\n```\n");
    assert!(part.contains("no unit"), "{part}");
    let warned = bad("<!-- part of a service -->\n```yaml\nhealth: { fall: 1 }\n```\n");
    assert!(warned.contains("one lost packet"), "{warned}");
    let unmarked = bad("```yaml\nhold: { timeout: 1s }\n```\n");
    assert!(unmarked.contains("<!-- part of a service -->"), "{unmarked}");
    let unheard = bad("<!-- part of a whole -->\n```yaml\na: b\n```\n");
    assert!(unheard.contains("`part of a whole`"), "{unheard}");
    let stranger = bad("<!-- of Nobody -->\n```yaml\na: b\n```\n");
    assert!(stranger.contains("Nobody"), "{stranger}");
}

#[test]
fn a_good_part_is_good() {
    for text in [
        "<!-- part of a service -->\n```yaml\nhold: { timeout: 20s }\n```\n",
        "```yaml\nadmin: { address: \"127.0.0.1:9901\" }\n```\n",
        "<!-- of Prometheus -->\n```yaml\nscrape_configs: []\n```\n",
    ] {
        assert_eq!(problem(&blocks("x.md", text, "yaml")[0]), None, "{text}");
    }
}

#[test]
fn every_json_is_json() {
    for block in every_block().iter().filter(|block| block.language == "json") {
        let read = serde_json::from_str::<serde_json::Value>(&block.text);
        assert!(read.is_ok(), "{block}: {read:?}");
    }
}

fn problem(block: &Block) -> Option<String> {
    let text = match block.mark.as_deref() {
        Some("part of a service") => {
            let lines = block.text.lines().map(|line| format!("    {line}\n"));
            SERVICE.to_owned() + &lines.collect::<String>()
        }
        Some(mark) if mark.starts_with("of ") => {
            let who = mark.trim_start_matches("of ");
            let is_known = OTHERS.contains(&who);
            return (!is_known).then(|| format!("{block}: {who} is not one of {OTHERS:?}"));
        }
        Some(other) => return Some(format!("{block}: nobody knows the mark `{other}`")),
        // Keys of the whole file, without those that it must have.
        None if !block.text.lines().any(|line| line.starts_with("listeners:")) => {
            format!("{SERVICE}{}", block.text)
        }
        None => block.text.clone(),
    };
    match config::load("docs", &text, Path::new("")) {
        Ok(loaded) if loaded.warnings.is_empty() => None,
        Ok(loaded) => Some(format!("{block}: {:?}", loaded.warnings)),
        Err(problems) => Some(format!(
            "{block}: {problems}\nWhat is not a whole config needs a comment in the line above: \
             <!-- part of a service --> or <!-- of NAME -->"
        )),
    }
}
