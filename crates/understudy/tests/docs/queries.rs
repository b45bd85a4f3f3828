//! Queries in the documents are PromQL, and every metric that is named exists.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::Command;

use crate::text::{Block, documents, every_block, read, set};

#[test]
fn every_metric_that_is_named_exists() {
    let known: BTreeSet<_> = metrics::names::ALL.iter().map(|metric| metric.name).collect();
    let recorded = recorded();
    assert!(recorded.len() > 3, "{recorded:?}");
    for document in documents() {
        let text = recorded.iter().fold(read(&document), |text, rule| text.replace(rule, ""));
        let unknown = unknown_metrics(&text, &known);
        assert_eq!(unknown, BTreeSet::new(), "{document}");
    }
}

#[test]
fn a_metric_that_does_not_exist_would_be_found() {
    let known = BTreeSet::from(["understudy_a_total", "understudy_b_seconds"]);
    let text = "`understudy_a_total` understudy_b_seconds_bucket{} understudy_c `understudy_a_*`";
    assert_eq!(unknown_metrics(text, &known), set(&["understudy_c"]));
}

#[test]
fn every_query_is_promql() {
    let queries = every_block();
    let queries: Vec<_> = queries.iter().filter(|block| block.language == "promql").collect();
    if may_run("promtool") {
        assert!(!queries.is_empty(), "the documents show no query");
        assert_eq!(complaints(&queries), None);
    }
}

#[test]
fn a_bad_query_would_be_found() {
    if may_run("promtool") {
        let bad = crate::text::blocks("x.md", "```promql\nsum by (a (b)\n```\n", "promql");
        assert!(complaints(&bad.iter().collect::<Vec<_>>()).is_some());
        let two = "```promql\n# One\nup == 0\n\nsum(up)\n  / count(up)\n```\n```promql\nup\n```\n";
        let two = crate::text::blocks("x.md", two, "promql");
        assert_eq!(complaints(&two.iter().collect::<Vec<_>>()), None);
    }
}

/// What begins with our name and is no metric, nor one of the series of a histogram.
/// What our recording rules call their results.
fn recorded() -> Vec<String> {
    let rules = read("configs/prometheus/recording.yaml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    names.map(str::to_owned).collect()
}

fn unknown_metrics(text: &str, known: &BTreeSet<&str>) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '*');
    text.split(|c| !is_part(c))
        .filter(|word| word.strip_prefix("understudy_").is_some_and(|rest| !rest.is_empty()))
        .filter(|word| !word.contains('*'))
        .filter(|word| {
            let series = ["_bucket", "_sum", "_count"];
            let base = series.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            !known.contains(word) && !known.contains(base)
        })
        .map(str::to_owned)
        .collect()
}

/// Each query becomes a rule, so that Prometheus' own checker reads it. Empty lines part those of a block.
fn complaints(blocks: &[&Block]) -> Option<String> {
    let mut rules = String::from("groups:\n  - name: docs\n    rules:\n");
    let mut number = 0;
    for block in blocks {
        for query in block.text.split("\n\n") {
            number += 1;
            let text = serde_json::to_string(query.trim()).expect("a text");
            writeln!(rules, "      - {{ record: \"q{number}\", expr: {text} }} # {block}")
                .expect("text");
        }
    }
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), rules).expect("it is written");
    let output =
        Command::new("promtool").args(["check", "rules"]).arg(file.path()).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(said)
}

/// Whether a program is here; if not the test says so, and with `UNDERSTUDY_NO_SKIP=1` in the environment
/// it fails.
pub(crate) fn may_run(program: &str) -> bool {
    let found = find(program).is_some();
    if !found {
        let must_run = std::env::var("UNDERSTUDY_NO_SKIP").is_ok_and(|value| value == "1");
        assert!(!must_run, "this test needs {program}");
        // Not `eprintln!`, which is not shown when the test passes.
        let _ = writeln!(io::stderr(), "SKIPPED: this test needs {program}");
    }
    found
}

/// Where a program is; daemons live where a user's PATH does not look.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
