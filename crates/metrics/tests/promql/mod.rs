//! What an expression of PromQL names, compared with what there is. Whether it is well-formed is for
//! promtool to say.

use metrics::names::{self, Kind, Metric};

/// Labels that Prometheus adds by itself: whom it asked.
const TARGET: [&str; 2] = ["job", "instance"];

/// Labels whose values are words that the help text of their metric lists.
const LISTED: [&str; 11] = [
    "class", "reason", "phase", "outcome", "state", "role", "verdict", "symptom", "blame", "why",
    "use",
];

/// Words of the language that stand where a metric could, and no parenthesis follows.
const WORDS: [&str; 13] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "inf",
    "nan",
];

const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

fn tokens(expression: &str) -> Vec<Token> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        if is_part(c) {
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if c == '"' {
            let end = 1 + rest[1..].find('"').expect("a closing quote");
            found.push(Token::Text(rest[1..end].to_owned()));
            rest = &rest[end + 1..];
        } else if c == '[' {
            // A range: a duration, or a variable of Grafana.
            rest = &rest[rest.find(']').expect("a closing bracket") + 1..];
        } else {
            if !c.is_whitespace() {
                found.push(Token::Mark(c));
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// What an expression names that there is not, in words. `recorded` are the series of recording rules.
pub(crate) fn complaints(expression: &str, recorded: &[String]) -> Vec<String> {
    let tokens = tokens(expression);
    let mut wrong = Vec::new();
    let mut labels: Vec<&str> = [&TARGET[..], &["le"]].concat();
    let mut lists = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Token::Word(word) = &tokens[at] else {
            at += 1;
            continue;
        };
        let next = tokens.get(at + 1);
        at += 1;
        if LISTS.contains(&word.as_str()) && next == Some(&Token::Mark('(')) {
            let end = tokens[at..].iter().position(|token| *token == Token::Mark(')'));
            let end = at + end.expect("a closing parenthesis");
            lists.extend(tokens[at..end].iter().filter_map(|token| match token {
                Token::Word(word) => Some(word.clone()),
                Token::Text(_) | Token::Mark(_) => None,
            }));
            at = end;
        } else if WORDS.contains(&word.as_str())
            || word.starts_with(|c: char| c.is_ascii_digit())
            || next == Some(&Token::Mark('('))
            || matches!(next, Some(Token::Word(next)) if ["by", "without"].contains(&next.as_str()))
        {
            // A function, an operator or a number.
        } else {
            let metric = declared(word);
            match metric {
                Some(metric) => labels.extend(metric.labels),
                None if word == "up" => {}
                None if recorded.contains(word) => labels.extend(["service", "backend"]),
                None => wrong.push(format!("no metric is called {word}")),
            }
            if next == Some(&Token::Mark('{')) {
                let end = tokens[at..].iter().position(|token| *token == Token::Mark('}'));
                let end = at + end.expect("a closing brace");
                let is_bucket = word.ends_with("_bucket");
                wrong.extend(wrong_matchers(word, metric, is_bucket, &tokens[at + 1..end]));
                at = end;
            }
        }
    }
    let unknown = lists.iter().filter(|label| !labels.contains(&label.as_str()));
    wrong.extend(unknown.map(|label| format!("nothing here has the label {label}")));
    wrong
}

fn wrong_matchers(
    word: &str,
    metric: Option<&Metric>,
    is_bucket: bool,
    matchers: &[Token],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let labels = metric.map_or(&[][..], |metric| metric.labels);
    let mut label = "";
    for token in matchers {
        match token {
            Token::Word(name) => {
                label = name;
                let is_known = labels.contains(&label)
                    || TARGET.contains(&label)
                    || (is_bucket && label == "le");
                if !is_known {
                    wrong.push(format!("{word} has no label {label}"));
                }
            }
            Token::Text(text) if LISTED.contains(&label) => {
                let help = metric.map_or("", |metric| metric.help);
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let listed: Vec<_> = help.split(|c| !is_part(c)).collect();
                let values = text.split('|').filter(|value| !listed.contains(value));
                wrong.extend(values.map(|value| format!("{label} of {word} is never {value}")));
            }
            Token::Text(_) | Token::Mark(_) => {}
        }
    }
    wrong
}

/// The metric that a series belongs to.
fn declared(series: &str) -> Option<&'static Metric> {
    names::ALL.iter().find(|metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| series.strip_suffix(suffix) == Some(metric.name)),
        Kind::Counter | Kind::Gauge => series == metric.name,
    })
}

#[test]
fn what_there_is_may_be_named_and_nothing_else() {
    let recorded = ["job_service:understudy_requests:rate5m".to_owned()];
    let of = |expression: &str| complaints(expression, &recorded);
    for good in [
        r#"sum without (reason) (increase(understudy_service_transitions_total{reason=~"failover|failback"}[1h])) >= 3"#,
        r#"histogram_quantile(0.99, sum by (le, job) (rate(understudy_probe_lateness_seconds_bucket[5m]))) > 0.1"#,
        r#"up{job="understudy"} == 0 or job_service:understudy_requests:rate5m > 1e3"#,
    ] {
        assert_eq!(of(good), Vec::<String>::new(), "{good}");
    }
    for (bad, what) in [
        ("understudy_cut_of == 1", "no metric is called understudy_cut_of"),
        ("undestudy_cut_off == 1", "no metric is called undestudy_cut_off"),
        (
            "understudy_probe_lateness_seconds > 1",
            "no metric is called understudy_probe_lateness_seconds",
        ),
        ("understudy_cut_off_bucket > 1", "no metric is called understudy_cut_off_bucket"),
        (
            "job_service:understudy_requests:rate1m > 1",
            "no metric is called job_service:understudy_requests:rate1m",
        ),
        (r#"understudy_cut_off{service="web"} == 1"#, "understudy_cut_off has no label service"),
        (r#"understudy_dual_active{le="1"} == 1"#, "understudy_dual_active has no label le"),
        (
            r#"understudy_requests_total{class="5XX"}"#,
            "class of understudy_requests_total is never 5XX",
        ),
        ("sum by (backend) (understudy_requests_total)", "nothing here has the label backend"),
    ] {
        assert_eq!(of(bad), [what], "{bad}");
    }
}
