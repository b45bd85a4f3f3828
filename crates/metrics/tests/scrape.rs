//! What a scrape shows, read back from the text as Prometheus would.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use metrics::cells::Blame;
use metrics::names::{self, Kind};
use metrics::{
    ActiveView, BackendView, CertificateView, FileView, GatesView, JobBackendView, JobView,
    Metrics, ProbeView, ServiceView,
};

/// A scrape, checked line by line: `# HELP`, `# TYPE`, then samples of that metric only, none twice.
struct Scrape {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, (String, String)>,
}

impl Scrape {
    fn of(metrics: &Metrics) -> Self {
        Self::parse(&metrics.encode())
    }

    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut help = ("", "");
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').expect("help has a text");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type is given");
                assert_eq!(help.0, name, "help comes right before the type");
                let is_new = types.insert(name.to_owned(), (kind.to_owned(), help.1.to_owned()));
                assert!(is_new.is_none(), "{name} appears twice");
                current = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let name = check_series(series);
                let kind = &types[&current].0;
                let suffix = name.strip_prefix(&current).expect("samples follow their type");
                let allowed: &[&str] =
                    if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(allowed.contains(&suffix), "{line}");
                let value: f64 = value.parse().expect("a number");
                assert!(value.is_finite(), "{line}");
                let before = samples.insert(series.to_owned(), value);
                assert!(before.is_none(), "{series} appears twice");
            }
        }
        Self { samples, types }
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        match self.samples.get(series) {
            Some(value) => *value,
            None => panic!("no {series} in {:#?}", self.samples.keys()),
        }
    }

    fn has(&self, part: &str) -> bool {
        self.samples.keys().any(|series| series.contains(part))
    }
}

/// Checks `name{label="value",...}` by the grammar of the text format; returns the name.
fn check_series(series: &str) -> &str {
    let (name, mut rest) = match series.split_once('{') {
        Some((name, rest)) => (name, rest),
        None => return series,
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(!name.is_empty() && name.chars().all(word), "{series}");
    loop {
        let (label, value) = rest.split_once("=\"").expect("a quoted value");
        assert!(!label.is_empty() && label.chars().all(word), "{series}");
        let mut escaped = false;
        let end = value.find(|c| match (escaped, c) {
            (true, '\\' | '"' | 'n') => {
                escaped = false;
                false
            }
            (true, _) => panic!("not an escape: {series}"),
            (false, '\\') => {
                escaped = true;
                false
            }
            (false, c) => c == '"',
        });
        rest = &value[end.expect("a closing quote") + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    assert_eq!(rest, "}", "{series}");
    name
}

fn backend(name: &str, active: bool) -> BackendView {
    BackendView {
        name: name.into(),
        active,
        health: "up",
        admin: "ready",
        role: None,
        is_undecided: false,
        is_barred: Some(false),
        standby_ready: (!active).then_some(true),
    }
}

fn job() -> JobView {
    let backend = JobBackendView {
        name: "standby".into(),
        succeeded: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)),
        is_stale: Some(true),
    };
    JobView {
        name: "sync".into(),
        is_running: true,
        took: Some(Duration::from_millis(1_500)),
        failures: 3,
        backends: vec![backend],
    }
}

fn service(name: &str, epoch: u64, backends: &[BackendView]) -> ServiceView {
    ServiceView {
        jobs: vec![job()],
        name: name.into(),
        epoch,
        is_on_primary: backends.first().is_some_and(|backend| backend.active),
        is_locked: false,
        is_dual_active: false,
        gates: Some(GatesView { names: vec!["fence"], is_in_doubt: false }),
        backends: backends.to_vec(),
    }
}

fn view(services: &[ServiceView]) -> ActiveView {
    ActiveView { services: services.to_vec() }
}

/// One of everything, so that no metric is without samples.
fn full() -> Arc<Metrics> {
    let metrics = Metrics::new();
    metrics.show(view(&[service("s", 3, &[backend("a", true), backend("b", false)])]));
    let _ = metrics.listener(0, "127.0.0.1:80");
    metrics.reload(true, 1_700_000_000.25);
    metrics
        .show_certificates(vec![certificate("a.pem", 1_800_000_000.0)], vec![file("a.pem", true)]);
    metrics.backend_certificate("s", "a", Some(1_900_000_000.0));
    metrics.show_notifiers(vec!["ops".into()]);
    metrics.state_kept(true);
    let ahead = ProbeView { clock_ahead: Some(-2.5), ..probe("pass", Duration::ZERO) };
    metrics.probe("s", "a", &ahead);
    let claims = BackendView { role: Some("active"), ..backend("a", true) };
    metrics.show_service(service("s", 3, &[claims, backend("b", false)]));
    metrics.access_log().written(1);
    metrics.event_log().dropped(1);
    metrics
}

fn probe(verdict: &'static str, took: Duration) -> ProbeView {
    ProbeView { verdict, doubt: None, took, late: Duration::from_millis(3), clock_ahead: None }
}

fn certificate(file: &str, expires: f64) -> CertificateView {
    CertificateView { usage: "listener", file: file.into(), name: "a.test".into(), expires }
}

fn file(file: &str, in_use: bool) -> FileView {
    FileView { file: file.into(), in_use }
}

#[test]
fn workers_add_up() {
    let metrics = Metrics::new();
    for worker in 0..3 {
        let cells = metrics.service(worker, "s");
        cells.requests[1].add(worker as u64 + 1);
        cells.fail(Blame::Upstream);
        cells.latency.observe(Duration::from_millis(worker as u64 * 2));
        cells.held_bytes.add(10);
        metrics.backend(worker, "s", "a").suspicions[3].inc();
        metrics.listener(worker, "l").accepted.inc();
        metrics.listener(worker, "l").connections.add(worker as u64);
    }
    metrics.service(0, "s").held_bytes.sub(15);

    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.value(r#"understudy_requests_total{service="s",class="2xx"}"#), 6.0);
    let failed = r#"understudy_requests_failed_total{service="s",blame="upstream"}"#;
    assert_eq!(scrape.value(failed), 3.0);
    let suspicions = r#"understudy_suspicions_total{service="s",backend="a",symptom="stalled"}"#;
    assert_eq!(scrape.value(suspicions), 3.0);
    assert_eq!(scrape.value(r#"understudy_requests_held_bytes{service="s"}"#), 15.0);
    assert_eq!(scrape.value(r#"understudy_listener_connections{listener="l"}"#), 3.0);
    assert_eq!(scrape.value(r#"understudy_worker_connections{worker="2"}"#), 2.0);

    let duration = "understudy_request_duration_seconds";
    let bucket = |le: &str| scrape.value(&format!(r#"{duration}_bucket{{service="s",le="{le}"}}"#));
    assert_eq!([bucket("0.0001"), bucket("0.002"), bucket("0.005")], [1.0, 2.0, 3.0]);
    assert_eq!([bucket("60"), bucket("+Inf")], [3.0, 3.0]);
    assert_eq!(scrape.value(&format!(r#"{duration}_count{{service="s"}}"#)), 3.0);
    assert_eq!(scrape.value(&format!(r#"{duration}_sum{{service="s"}}"#)), 0.006);
}

#[test]
fn decisions_show_the_last_view() {
    let metrics = full();
    let scrape = Scrape::of(&metrics);
    let of = |series: &str, backend: &str, more: &str| {
        scrape.value(&format!(r#"understudy_{series}{{service="s",backend="{backend}"{more}}}"#))
    };
    assert_eq!([of("backend_active", "a", ""), of("backend_active", "b", "")], [1.0, 0.0]);
    let health = ["unknown", "up", "down"]
        .map(|state| of("backend_health", "a", &format!(r#",state="{state}""#)));
    assert_eq!(health, [0.0, 1.0, 0.0]);
    let admin = ["ready", "drain", "maintenance"]
        .map(|state| of("backend_admin_state", "a", &format!(r#",state="{state}""#)));
    assert_eq!(admin, [1.0, 0.0, 0.0]);
    assert_eq!(scrape.value(r#"understudy_service_has_active{service="s"}"#), 1.0);
    assert_eq!(scrape.value(r#"understudy_service_epoch{service="s"}"#), 3.0);
    let timestamp = "understudy_config_last_reload_success_timestamp_seconds";
    assert_eq!(scrape.value(timestamp), 1_700_000_000.25);

    metrics.show(view(&[service("s", 4, &[backend("a", false)])]));
    metrics.reload(false, 1_700_000_001.0);
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.value(r#"understudy_service_has_active{service="s"}"#), 0.0);
    assert_eq!(scrape.value("understudy_config_last_reload_successful"), 0.0);
    assert_eq!(scrape.value(timestamp), 1_700_000_000.25, "a refused one is not a success");
    assert_eq!(scrape.value(r#"understudy_reloads_total{result="failure"}"#), 1.0);
}

#[test]
fn everything_of_a_shown_service_begins_at_zero() {
    let scrape = Scrape::of(&full());
    for (metric, labels, values) in [
        ("understudy_requests_total", r#"service="s",class"#, "1xx 2xx 3xx 4xx 5xx"),
        (
            "understudy_requests_failed_total",
            r#"service="s",blame"#,
            "downstream upstream internal",
        ),
        ("understudy_requests_rejected_total", r#"service="s",why"#, "overflow timeout"),
        (
            "understudy_service_transitions_total",
            r#"service="s",reason"#,
            "startup failover failback recovery switchover reload",
        ),
        ("understudy_probes_total", r#"service="s",backend="b",verdict"#, "pass fail inconclusive"),
        (
            "understudy_suspicions_total",
            r#"service="s",backend="b",symptom"#,
            "refused reset tls stalled",
        ),
        (
            "understudy_failover_duration_seconds_count",
            r#"service="s",phase"#,
            "detect switch total",
        ),
    ] {
        for value in values.split(' ') {
            let series = format!(r#"{metric}{{{labels}="{value}"}}"#);
            assert_eq!(scrape.value(&series), 0.0, "{series}");
        }
    }
    let series = r#"understudy_probe_duration_seconds_bucket{service="s",backend="b",le="+Inf"}"#;
    assert_eq!(scrape.value(series), 0.0);
}

#[test]
fn events_are_counted() {
    let metrics = full();
    metrics.transition("s", "failover");
    metrics.transition("s", "failover");
    metrics.probe("s", "a", &probe("fail", Duration::from_secs(1)));
    metrics.probe(
        "s",
        "a",
        &ProbeView { doubt: Some("late"), ..probe("inconclusive", Duration::ZERO) },
    );
    metrics.failover("s", "detect", Duration::from_millis(200));
    let scrape = Scrape::of(&metrics);
    let transitions = r#"understudy_service_transitions_total{service="s",reason="failover"}"#;
    assert_eq!(scrape.value(transitions), 2.0);
    let probes = r#"understudy_probes_total{service="s",backend="a",verdict="fail"}"#;
    assert_eq!(scrape.value(probes), 1.0);
    let late = scrape.value("understudy_probe_lateness_seconds_count");
    assert_eq!(late, 3.0, "with the one that passed before");
    assert_eq!(scrape.value(r#"understudy_probes_inconclusive_total{reason="late"}"#), 1.0);
    assert_eq!(scrape.value(r#"understudy_probes_inconclusive_total{reason="cut_off"}"#), 0.0);
    let skew = r#"understudy_backend_clock_skew_seconds{service="s",backend="a"}"#;
    assert_eq!(scrape.value(skew), -2.5, "what says nothing of it changes nothing");
    let took = r#"understudy_probe_duration_seconds_sum{service="s",backend="a"}"#;
    assert_eq!(scrape.value(took), 1.0);
    let detect = r#"understudy_failover_duration_seconds_sum{service="s",phase="detect"}"#;
    assert_eq!(scrape.value(detect), 0.2);
}

#[test]
fn what_backends_claim_and_whether_a_standby_is_ready_is_shown() {
    let metrics = full();
    let of = |series: &str| Scrape::of(&metrics).value(series);
    let role = |role: &str| {
        of(&format!(r#"understudy_backend_role{{service="s",backend="a",role="{role}"}}"#))
    };
    assert_eq!([role("active"), role("standby"), role("fenced")], [1.0, 0.0, 0.0]);
    assert!(!Scrape::of(&metrics).has(r#"role{service="s",backend="b""#), "it claims nothing");
    assert!(!Scrape::of(&metrics).has(r#"standby_ready{service="s",backend="a"}"#));
    assert_eq!(of(r#"understudy_standby_ready{service="s",backend="b"}"#), 1.0);
    assert_eq!(
        (of(r#"understudy_dual_active{service="s"}"#), of("understudy_cut_off")),
        (0.0, 0.0)
    );

    let standby = BackendView { standby_ready: Some(false), ..backend("a", false) };
    let mut shown = service("s", 4, &[standby, backend("b", true)]);
    shown.is_dual_active = true;
    shown.is_locked = true;
    metrics.show_service(shown);
    metrics.cut_off(true);
    assert_eq!(role("active"), 0.0, "it says nothing any more");
    assert_eq!(of(r#"understudy_standby_ready{service="s",backend="a"}"#), 0.0);
    assert_eq!(
        (of(r#"understudy_dual_active{service="s"}"#), of("understudy_cut_off")),
        (1.0, 1.0)
    );
    assert_eq!(of(r#"understudy_service_epoch{service="s"}"#), 4.0);

    let decided = ["service_on_primary", "service_locked"]
        .map(|series| of(&format!(r#"understudy_{series}{{service="s"}}"#)));
    assert_eq!(decided, [0.0, 1.0]);

    metrics.show_service(service("unknown", 1, &[backend("a", true)]));
    assert!(
        !Scrape::of(&metrics).has(r#"service="unknown""#),
        "only a whole view brings a service in"
    );
}

#[test]
fn a_reload_never_turns_a_counter_back() {
    let metrics = full();
    let series = r#"understudy_requests_total{service="s",class="2xx"}"#;
    let mut last = 0.0;
    for epoch in 0..10 {
        // A new snapshot: the worker asks again, then lets go of what it had.
        let cells = metrics.service(0, "s");
        cells.requests[1].inc();
        drop(cells);
        metrics.show(view(&[service("s", epoch, &[backend("a", true)])]));
        let now = Scrape::of(&metrics).value(series);
        assert_eq!(now, last + 1.0);
        last = now;
    }
}

#[test]
fn what_is_not_shown_disappears() {
    let metrics = full();
    metrics.service(0, "gone").requests[1].inc();
    metrics.probe("s", "b", &probe("pass", Duration::ZERO));
    assert!(!Scrape::of(&metrics).has(r#""gone""#), "not shown yet");

    metrics.show(view(&[service("gone", 1, &[backend("g", true)])]));
    let scrape = Scrape::of(&metrics);
    assert!(scrape.has(r#"backend="g""#));
    assert!(!scrape.has(r#"service="s""#));

    metrics.show(view(&[service("s", 5, &[backend("a", true)])]));
    let scrape = Scrape::of(&metrics);
    assert!(!scrape.has(r#""gone""#) && !scrape.has(r#"backend="b""#));
    let (_gone, gone_backend) = (metrics.service(0, "gone"), metrics.backend(0, "gone", "g"));
    assert_eq!(gone_backend.attempts.get(), 0);
    assert!(!Scrape::of(&metrics).has(r#""gone""#), "its last requests do not bring it back");
}

#[test]
fn cells_in_use_outlive_an_older_view() {
    let metrics = full();
    let cells = metrics.service(0, "new");
    cells.requests[1].inc();
    metrics.show(view(&[service("s", 4, &[])]));
    cells.requests[1].inc();
    metrics.show(view(&[service("s", 4, &[]), service("new", 0, &[])]));
    let series = r#"understudy_requests_total{service="new",class="2xx"}"#;
    assert_eq!(Scrape::of(&metrics).value(series), 2.0);
}

#[test]
fn listeners_disappear_when_no_worker_has_them() {
    let metrics = Metrics::new();
    let kept = metrics.listener(0, "kept");
    kept.accepted.inc();
    let _ = metrics.listener(0, "closed");
    metrics.show(view(&[]));
    let scrape = Scrape::of(&metrics);
    assert_eq!(
        scrape.value(r#"understudy_listener_connections_accepted_total{listener="kept"}"#),
        1.0
    );
    assert!(!scrape.has("closed"));
}

#[test]
fn certificates_are_shown_as_they_are_and_refusals_counted_while_the_file_is_named() {
    let metrics = full();
    let expires = |file: &str| {
        format!(
            r#"understudy_certificate_expires_timestamp_seconds{{use="listener",file="{file}",name="a.test"}}"#
        )
    };
    let of = |what: &str, file: &str| {
        Scrape::of(&metrics)
            .value(&format!(r#"understudy_certificate_reload_{what}{{file="{file}"}}"#))
    };
    assert_eq!(Scrape::of(&metrics).value(&expires("a.pem")), 1_800_000_000.0);
    let backend =
        r#"understudy_backend_certificate_expires_timestamp_seconds{service="s",backend="a"}"#;
    assert_eq!(Scrape::of(&metrics).value(backend), 1_900_000_000.0);
    metrics.backend_certificate("s", "a", None);
    assert!(!Scrape::of(&metrics).has(backend));
    assert_eq!((of("failures_total", "a.pem"), of("successful", "a.pem")), (0.0, 1.0));

    // Two of one name in a file: the one that ends first matters.
    let two = [2e9, 1.9e9, 2.1e9].map(|ends| certificate("b.pem", ends)).to_vec();
    metrics.show_certificates(two, vec![file("a.pem", false), file("b.pem", true)]);
    metrics.certificate_refused("a.pem");
    assert_eq!(Scrape::of(&metrics).value(&expires("b.pem")), 1.9e9);
    assert!(!Scrape::of(&metrics).has(&expires("a.pem")));
    assert_eq!((of("failures_total", "a.pem"), of("successful", "a.pem")), (1.0, 0.0));
    metrics.show_certificates(Vec::new(), vec![file("a.pem", true)]);
    assert_eq!((of("failures_total", "a.pem"), of("successful", "a.pem")), (1.0, 1.0));
    metrics.show_certificates(Vec::new(), Vec::new());
    assert!(!Scrape::of(&metrics).has("understudy_certificate_"));
}

#[test]
fn notifications_are_counted_of_notifiers_that_there_are() {
    let metrics = Metrics::new();
    metrics.notification("ops", "sent");
    assert!(!Scrape::of(&metrics).has("understudy_notifications"));
    metrics.show_notifiers(vec!["ops".into(), "chat".into()]);
    metrics.notification("ops", "sent");
    metrics.notifications_behind("chat", 3);
    let sent = |name: &str| {
        let labels = format!(r#"{{notifier="{name}",outcome="sent"}}"#);
        Scrape::of(&metrics).value(&format!("understudy_notifications_total{labels}"))
    };
    assert_eq!((sent("ops"), sent("chat")), (1.0, 0.0));
    let behind = r#"understudy_notifications_behind{notifier="chat"}"#;
    assert_eq!(Scrape::of(&metrics).value(behind), 3.0);
    metrics.show_notifiers(vec!["ops".into()]);
    assert_eq!(sent("ops"), 1.0);
    assert!(!Scrape::of(&metrics).has(r#"notifier="chat""#));
}

#[test]
fn spans_are_counted_from_nothing() {
    let metrics = Metrics::new();
    let counts = || {
        ["spans_exported", "spans_dropped", "span_export_failures"]
            .map(|name| Scrape::of(&metrics).value(&format!("understudy_{name}_total")))
    };
    assert_eq!(counts(), [0.0, 0.0, 0.0]);
    let spans = metrics.spans();
    spans.exported(5);
    spans.dropped(3);
    spans.failed();
    metrics.spans().failed();
    assert_eq!(counts(), [5.0, 3.0, 2.0]);
}

#[test]
fn nothing_is_hidden_before_the_first_view() {
    let metrics = Metrics::new();
    metrics.backend(0, "s", "a").connects.inc();
    let scrape = Scrape::of(&metrics);
    let series = r#"understudy_upstream_connections_opened_total{service="s",backend="a"}"#;
    assert_eq!(scrape.value(series), 1.0);
    assert!(!scrape.has("understudy_backend_active"), "nothing is known of the decisions");
}

#[test]
fn label_values_are_escaped() {
    let metrics = Metrics::new();
    metrics.service(0, "a\"b\\c\nd").requests[4].inc();
    let series = r#"understudy_requests_total{service="a\"b\\c\nd",class="5xx"}"#;
    assert_eq!(Scrape::of(&metrics).value(series), 1.0);
}

#[test]
fn a_scrape_while_workers_count_is_consistent() {
    let metrics = full();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..2 {
            let cells = metrics.service(worker, "s");
            let stop = &stop;
            scope.spawn(move || {
                for millis in (0..200).cycle() {
                    cells.requests[1].inc();
                    cells.latency.observe(Duration::from_millis(millis));
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let (mut last, mut scrapes) = (0.0, 0);
        while last < 1000.0 || scrapes < 20 {
            let scrape = Scrape::of(&metrics);
            let now = scrape.value(r#"understudy_requests_total{service="s",class="2xx"}"#);
            assert!(now >= last);
            let buckets = scrape.samples.iter().filter_map(|(series, count)| {
                let rest = series.strip_prefix(
                    r#"understudy_request_duration_seconds_bucket{service="s",le=""#,
                )?;
                let bound = rest.strip_suffix("\"}")?;
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                Some((bound, *count))
            });
            let mut buckets: Vec<_> = buckets.collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert_eq!(buckets.len(), 19);
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
            let count = r#"understudy_request_duration_seconds_count{service="s"}"#;
            assert_eq!(buckets[18].1, scrape.value(count));
            (last, scrapes) = (now, scrapes + 1);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_scrape_shows_every_declared_metric_and_no_other() {
    let scrape = Scrape::of(&full());
    let declared: BTreeSet<_> =
        names::ALL.iter().map(|metric| (metric.name, metric.kind.as_str(), metric.help)).collect();
    let shown: BTreeSet<_> = scrape
        .types
        .iter()
        .map(|(name, (kind, help))| (name.as_str(), kind.as_str(), help.as_str()))
        .collect();
    let difference: Vec<_> = shown.symmetric_difference(&declared).collect();
    assert!(difference.is_empty(), "{difference:#?}");

    for metric in names::ALL {
        let suffix = if metric.kind == Kind::Histogram { "_count" } else { "" };
        let mut start = format!("{}{suffix}", metric.name);
        if let Some(label) = metric.labels.first() {
            start += &format!("{{{label}=\"");
        }
        assert!(scrape.samples.keys().any(|series| series.starts_with(&start)), "{start}");
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let metrics = full();
    metrics.service(0, "s").latency.observe(Duration::from_millis(7));
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            let must_run = std::env::var("UNDERSTUDY_NO_SKIP").is_ok_and(|value| value == "1");
            assert!(!must_run, "promtool cannot be run: {error}");
            eprintln!(
                "SKIPPED: promtool cannot be run ({error}); the naming rules are checked in names.rs"
            );
            return;
        }
    };
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(metrics.encode().as_bytes()).expect("promtool reads all");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
