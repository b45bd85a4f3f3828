//! What we ship for Prometheus and Grafana: Prometheus takes it, each alert fires on what it is for, and
//! all of it is about metrics that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use metrics::{ActiveView, BackendView, Metrics, ServiceView};
use serde_json::{Value, json};

mod promql;

use promql::complaints;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    root().join("configs/prometheus")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs promtool; `None`: it is not here, and does not have to be.
fn promtool(folder: &Path, args: &[&str]) -> Option<Output> {
    match Command::new("promtool").args(args).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let must_run = std::env::var("UNDERSTUDY_NO_SKIP").is_ok_and(|value| value == "1");
            assert!(!must_run, "promtool cannot be run: {error}");
            eprintln!("SKIPPED: promtool cannot be run ({error})");
            None
        }
    }
}

/// It must have nothing to complain of.
fn approved(folder: &Path, args: &[&str]) {
    let Some(output) = promtool(folder, args) else { return };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
}

/// A rule as its file has it.
#[derive(Debug, Default)]
struct Rule {
    name: String,
    expression: String,
    /// `for`, `0s` without.
    lasting: String,
    /// The text of its labels and annotations.
    text: String,
}

/// The rules of a file that is laid out as ours are.
fn rules(path: &str) -> Vec<Rule> {
    let text = read(path);
    let mut rules: Vec<Rule> = Vec::new();
    let mut is_expression = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let name = line.strip_prefix("- alert: ").or_else(|| line.strip_prefix("- record: "));
        if let Some(name) = name {
            let lasting = "0s".to_owned();
            rules.push(Rule { name: name.to_owned(), lasting, ..Rule::default() });
            continue;
        }
        let Some(rule) = rules.last_mut() else { continue };
        if let Some(expression) = line.strip_prefix("expr: ") {
            is_expression = true;
            rule.expression = expression.trim_start_matches(">-").to_owned();
        } else if let Some(lasting) = line.strip_prefix("for: ") {
            is_expression = false;
            lasting.clone_into(&mut rule.lasting);
        } else if is_expression && !line.starts_with("labels:") {
            rule.expression += line;
            rule.expression += " ";
        } else {
            is_expression = false;
            rule.text += line;
            rule.text += "\n";
        }
    }
    assert!(rules.len() >= 8, "{path}: only {} rules found", rules.len());
    rules
}

fn alerts() -> Vec<Rule> {
    rules("configs/prometheus/alerts.yaml")
}

fn recorded() -> Vec<Rule> {
    rules("configs/prometheus/recording.yaml")
}

fn dashboard() -> Value {
    serde_json::from_str(&read("configs/grafana/understudy.json")).expect("JSON")
}

/// Every `expr` of a dashboard, and the query of every variable that is about a metric.
fn expressions(of: &Value, found: &mut Vec<String>) {
    match of {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" => found.push(text.clone()),
                    Value::String(text) if name == "definition" => {
                        let inside = text.strip_prefix("label_values(").expect("label_values");
                        let (series, _label) = inside.rsplit_once(", ").expect("a label");
                        found.push(series.to_owned());
                    }
                    other => expressions(other, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| expressions(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn shown() -> Vec<String> {
    let mut found = Vec::new();
    expressions(&dashboard(), &mut found);
    assert!(found.len() >= 30, "only {} expressions found", found.len());
    found
}

#[test]
fn prometheus_takes_them_and_each_comes_to_what_it_is_for() {
    for (rules, test) in
        [("alerts.yaml", "alerts.test.yaml"), ("recording.yaml", "recording.test.yaml")]
    {
        approved(&folder(), &["check", "rules", rules]);
        approved(&folder(), &["test", "rules", test]);
    }
}

#[test]
fn every_rule_has_a_test() {
    let tests = read("configs/prometheus/alerts.test.yaml");
    for Rule { name, .. } in alerts() {
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(tests.contains(&fires), "{name} is never seen to fire");
        assert!(tests.contains(&format!("alertname: {name} }}")), "{name} is never seen silent");
    }
    let tests = read("configs/prometheus/recording.test.yaml");
    for Rule { name, .. } in recorded() {
        let asked = [format!("expr: {name}\n"), format!("expr: round({name}, 0.001)\n")];
        assert!(asked.iter().any(|asked| tests.contains(asked)), "nobody asks for {name}");
    }
}

#[test]
fn they_are_about_metrics_and_labels_that_there_are() {
    let names: Vec<_> = recorded().into_iter().map(|rule| rule.name).collect();
    let expressions = alerts().into_iter().chain(recorded()).map(|rule| rule.expression);
    let page = read("docs/prometheus.md");
    let blocks: Vec<_> = page.split("```promql\n").skip(1).collect();
    assert!(!blocks.is_empty(), "docs/prometheus.md asks nothing");
    let blocks = blocks.into_iter().filter_map(|block| block.split("```").next());
    let asked = blocks.flat_map(|block| block.split("\n\n")).map(|question| {
        let lines = question.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join(" ")
    });
    for expression in expressions.chain(shown()).chain(asked) {
        let wrong = complaints(&expression, &names);
        assert!(wrong.is_empty(), "{expression}: {wrong:?}");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let page = read("docs/prometheus.md");
    let mut named = BTreeSet::new();
    for Rule { name, lasting, text, .. } in alerts() {
        let severity = ["critical", "warning"]
            .into_iter()
            .find(|severity| text.contains(&format!("labels: {{ severity: {severity} }}")));
        let severity = severity.unwrap_or_else(|| panic!("{name}: how bad is it?"));
        for annotation in ["summary: ", "description: "] {
            assert!(text.contains(annotation), "{name} has no {annotation}");
        }
        let anchor = name.to_lowercase();
        assert!(
            text.contains(&format!("runbook_url: docs/prometheus.md#{anchor}\n")),
            "{name} does not lead to its section"
        );
        let section = page.split_once(&format!("\n### {name}\n"));
        let (_, section) = section.unwrap_or_else(|| panic!("docs/prometheus.md: no ### {name}"));
        let words = section.split("\n#").next().unwrap_or_default().split_whitespace().count();
        assert!(words >= 15, "docs/prometheus.md says next to nothing of {name}");
        let row = format!("| [{name}](#{anchor}) | {severity} | {lasting} |");
        assert!(page.contains(&row), "docs/prometheus.md lacks the row\n{row}");
        named.insert(name);
    }
    let sections = page.lines().filter_map(|line| line.strip_prefix("### Understudy"));
    for section in sections {
        assert!(named.contains(&format!("Understudy{section}")), "no alert is {section}");
    }
}

#[test]
fn every_rule_that_records_is_in_the_page() {
    let page = read("docs/prometheus.md");
    for Rule { name, .. } in recorded() {
        assert!(page.contains(&format!("| `{name}` |")), "docs/prometheus.md lacks {name}");
    }
}

#[test]
fn prometheus_understands_the_dashboard() {
    let rules: Vec<_> = shown()
        .iter()
        .enumerate()
        .map(|(index, expression)| {
            let mut expression = expression.clone();
            for (variable, value) in
                [("$__rate_interval", "5m"), ("$__interval", "1m"), ("$__range", "1h")]
            {
                expression = expression.replace(variable, value);
            }
            json!({ "record": format!("panel:{index}"), "expr": expression })
        })
        .collect();
    let groups = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().expect("a folder");
    // JSON is YAML.
    fs::write(folder.path().join("dashboard.yaml"), groups.to_string()).expect("a file");
    approved(folder.path(), &["check", "rules", "dashboard.yaml"]);
}

#[test]
fn the_dashboard_is_tidy() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        let place = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{title} is too wide");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} covers another");
            }
        }
        if panel["type"] != "row" {
            assert!(!panel["description"].as_str().unwrap_or_default().is_empty(), "{title}: why?");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    let provisioned = read("configs/grafana/provisioning/datasources/prometheus.yaml");
    let uid = dashboard["templating"]["list"][0]["current"]["value"].as_str().expect("a uid");
    assert!(provisioned.contains(&format!("uid: {uid}\n")), "{uid} is not provisioned");
}

#[test]
fn prometheus_takes_the_example_of_its_config() {
    let place = tempfile::tempdir().expect("a folder");
    for name in ["prometheus.yaml", "alerts.yaml", "recording.yaml"] {
        fs::copy(folder().join(name), place.path().join(name)).expect("it is shipped");
    }
    // What the example says must be there.
    for secret in ["understudy.token", "understudy-ca.pem"] {
        fs::write(place.path().join(secret), "").expect("a file");
    }
    approved(place.path(), &["check", "config", "prometheus.yaml"]);
}

/// How many series and bytes a scrape has with so many services of so many backends.
fn cost(services: usize, backends: usize) -> (usize, usize) {
    let backend = |name: String, active: bool| BackendView {
        name: name.into(),
        active,
        health: "up",
        admin: "ready",
        role: None,
        is_undecided: false,
        is_barred: None,
        standby_ready: (!active).then_some(true),
    };
    let service = |number: usize| ServiceView {
        jobs: Vec::new(),
        name: format!("service-{number}").into(),
        epoch: 1,
        is_on_primary: true,
        is_locked: false,
        is_dual_active: false,
        gates: None,
        backends: (0..backends).map(|n| backend(format!("{n}-{number}"), n == 0)).collect(),
    };
    let metrics = Metrics::new();
    metrics.show(ActiveView { services: (0..services).map(service).collect() });
    let text = metrics.encode();
    (text.lines().filter(|line| !line.starts_with('#')).count(), text.len())
}

#[test]
fn the_page_says_what_services_and_backends_cost() {
    let [none, two, three] = [(0, 0), (1, 2), (1, 3)].map(|(s, b)| cost(s, b).0);
    let (many, bytes) = cost(1000, 2);
    assert_eq!(many - none, 1000 * (two - none), "each costs the same");
    let page = read("docs/prometheus.md");
    let said = format!(
        "A service of two backends has {} series, and {} more for each further backend.",
        two - none,
        three - two
    );
    assert!(page.contains(&said), "docs/prometheus.md does not say: {said}");
    let said = format!("a scrape of {} MB", bytes.div_ceil(1_000_000));
    assert!(page.contains(&said), "docs/prometheus.md does not say: {said}");
}
