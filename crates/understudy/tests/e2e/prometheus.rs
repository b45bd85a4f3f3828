//! A real Prometheus that asks two balancers: what it then knows of a failover, and what its own checker
//! says of a balancer that uses everything.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use benches::condition::wait_for;
use benches::fetch::get;
use benches::load::{Load, Plan};
use benches::process::{Process, free_address, installed};
use benches::understudy::Understudy;
use jiff::civil::date;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{PATIENCE, Stage, alone, binary, may_run, wait_served, yaml};
use crate::tls::Authority;

const SERVICE: &str = "health: { http: { path: /healthz, status: 200 }, interval: 200ms, \
                       confirm_interval: 50ms }\nfailback: { auto: { hold_down: 2s } }";

/// Metrics that need an application that says something of itself.
const OF_APPLICATIONS: [&str; 1] = ["understudy_backend_role"];

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/prometheus").join(name)
}

/// With the rules that we ship.
struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Asks these twice a second. UnderstudyOnStandby is told after a second instead of 15 minutes.
    fn asks(balancers: &[&Understudy]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        let rules = fs::read_to_string(shipped("alerts.yaml")).expect("it is shipped");
        let (before, rule) = rules.split_once("- alert: UnderstudyOnStandby\n").expect("a rule");
        let sooner = rule.replacen("for: 15m\n", "for: 1s\n", 1);
        assert_ne!(sooner, rule, "it lasts as long as ever");
        let rules = format!("{before}- alert: UnderstudyOnStandby\n{sooner}");
        fs::write(file("alerts.yaml"), rules).expect("a file");
        fs::copy(shipped("recording.yaml"), file("recording.yaml")).expect("it is shipped");
        let targets: Vec<_> = balancers.iter().map(|one| one.admin().to_string()).collect();
        let config = json!({
            "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms" },
            "rule_files": ["alerts.yaml", "recording.yaml"],
            "scrape_configs": [{ "job_name": "understudy", "static_configs": [{ "targets": targets }] }],
        });
        // JSON is YAML.
        fs::write(file("prometheus.yaml"), config.to_string()).expect("a file");
        // Taken by nobody between here and there, as good as always; it cannot choose one itself.
        let address = free_address().expect("a free address");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", file("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path());
        let mut process = Process::start("prometheus", command);
        process.wait_listening(address);
        Self { address, _process: process, _folder: folder }
    }

    /// The values that an expression has now; nothing: there is no such series.
    fn values(&self, expression: &str) -> Result<Vec<f64>, String> {
        let query: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(self.address, &format!("/api/v1/query?query={query}"))
            .map_err(|error| error.to_string())?;
        let told: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("{error}: {}", answer.text()))?;
        assert!(answer.status != 400, "{expression}: {told}");
        let series = told["data"]["result"].as_array().ok_or_else(|| told.to_string())?;
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        series.iter().map(|one| value(one).ok_or_else(|| one.to_string())).collect()
    }

    /// Waits until its values are as `look` wants them.
    fn wait(&self, expression: &str, look: impl Fn(&[f64]) -> bool) {
        wait_for(PATIENCE, &format!("Prometheus' answer to {expression}"), || {
            let values = self.values(expression)?;
            if look(&values) { Ok(()) } else { Err(format!("{values:?}")) }
        });
    }
}

#[test]
fn a_failover_is_what_prometheus_says_it_was() {
    if !may_run(installed("prometheus").is_some(), "prometheus") {
        return;
    }
    let mut stage = Stage::new(SERVICE);
    let second = stage.folder.path().join("second.yaml");
    fs::write(&second, yaml(&[&stage.a, &stage.b], SERVICE)).expect("a config");
    let second = Understudy::run(binary(), &["run".as_ref(), "-c".as_ref(), second.as_os_str()]);
    second.wait_active("a");
    second.wait_health("b", "up");
    let prometheus = Prometheus::asks(&[&stage.understudy, &second]);
    let load = Load::start(Plan::gets(stage.understudy.address(), 100));

    // Both are asked, and agree; the rules are evaluated, and are silent.
    let on_standby = r#"ALERTS{alertname="UnderstudyOnStandby",alertstate="firing"}"#;
    prometheus.wait(r#"up{job="understudy"}"#, |values| values == [1.0, 1.0]);
    prometheus.wait(r#"understudy_backend_active{backend="a"}"#, |values| values == [1.0, 1.0]);
    prometheus.wait(
        "job_service:understudy_requests:rate5m",
        |values| matches!(values, [rate] if *rate > 0.0),
    );
    assert_eq!(prometheus.values(on_standby), Ok(Vec::new()));

    stage.a.process.kill();
    wait_served(&load, "b", 100);

    // Who is active, and who was: in both views.
    prometheus.wait(r#"understudy_backend_active{backend="b"}"#, |values| values == [1.0, 1.0]);
    prometheus.wait(r#"understudy_backend_active{backend="a"}"#, |values| values == [0.0, 0.0]);
    prometheus.wait(r#"max_over_time(understudy_backend_active{backend="a"}[5m])"#, |values| {
        values == [1.0, 1.0]
    });
    prometheus.wait("changes(understudy_service_epoch[5m])", |values| values == [1.0, 1.0]);
    // The failover was counted and measured, and the first one already is an increase.
    let count = r#"understudy_service_transitions_total{reason="failover"}"#;
    prometheus.wait(count, |values| values == [1.0, 1.0]);
    prometheus.wait(&format!("increase({count}[5m])"), |values| {
        values.len() == 2 && values.iter().all(|value| *value > 0.5)
    });
    prometheus.wait(
        r#"sum by (phase) (understudy_failover_duration_seconds_count{phase="total"})"#,
        |values| values == [2.0],
    );
    let slowest = r#"histogram_quantile(1, sum by (le) (understudy_failover_duration_seconds_bucket{phase="total"}))"#;
    let took = r#"sum(understudy_failover_duration_seconds_sum{phase="total"})"#;
    prometheus.wait(slowest, |values| matches!(values, [bound] if (0.0..=60.0).contains(bound)));
    prometheus.wait(took, |values| matches!(values, [seconds] if *seconds > 0.0));
    // Whoever has requests has measured when the first one was answered.
    let answered = r#"understudy_failover_duration_seconds_count{phase="answer"}"#;
    prometheus
        .wait(&format!("sum({answered})"), |values| matches!(values, [count] if *count >= 1.0));
    // The requests of the service went on, and none failed.
    let rate = r#"sum by (service) (rate(understudy_requests_total{class="2xx"}[3s]))"#;
    prometheus.wait(rate, |values| matches!(values, [rate] if *rate > 1.0));
    let failed = r#"sum(understudy_requests_total{class="5xx"})"#;
    assert_eq!(prometheus.values(failed), Ok(vec![0.0]));
    // The alert fires for as long as it is so.
    prometheus.wait(on_standby, |values| values == [1.0, 1.0]);
    stage.a.revive();
    wait_served(&load, "a", 100);
    prometheus.wait(r#"understudy_backend_active{backend="a"}"#, |values| values == [1.0, 1.0]);
    prometheus.wait(on_standby, <[f64]>::is_empty);
    let report = load.finish();
    assert!(report.failed().is_empty(), "{report}");
}

#[test]
fn promtool_has_nothing_to_say_of_a_balancer_that_uses_everything() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().display();
    let authority = Authority::new("ours");
    let origin = |name| authority.origin_until(folder.path(), name, "127.0.0.1", date(2099, 1, 1));
    let (mut a, b) = (origin("a"), origin("b"));
    let file = |name: &str| authority.file().with_file_name(name).display().to_string();
    let config = folder.path().join("understudy.yaml");
    let program = "exec: { command: [/bin/sh, -c, \"exit 0\"] }";
    let text = format!(
        "workers: 2\nstate_dir: \"{here}/state\"\nlisteners:\n  - address: \"127.0.0.1:0\"\n  \
         - address: \"{}\"\n    tls: {{ certificates: [{{ cert: \"{}\", key: \"{}\" }}] }}\n\
         admin: {{ address: \"127.0.0.1:0\" }}\naccess_log: {{ to: \"{here}/access.log\" }}\n\
         event_log: {{ to: \"{here}/events.log\" }}\nnotify:\n  ops: {{ {program} }}\nservices:\n  web:\n    \
         backends:\n      - {{ name: a, url: \"{}\" }}\n      - {{ name: b, url: \"{}\" }}\n    \
         tls: {{ ca: \"{}\" }}\n    health: {{ http: {{ path: /healthz }}, interval: 200ms, \
         confirm_interval: 50ms }}\n    failback: manual\n    hold: {{ timeout: 1m }}\n    gates:\n      \
         failover:\n        promote: {{ {program} }}\n    jobs:\n      copy: {{ {program}, every: 1s, \
         max_age: 1h }}\n",
        free_address().expect("a free address"),
        file("a-certificate.pem"),
        file("a-key.pem"),
        a.url(),
        b.url(),
        file("ca.pem"),
    );
    fs::write(&config, text).expect("a config");
    let understudy =
        Understudy::run(binary(), &["run".as_ref(), "-c".as_ref(), config.as_os_str()]);
    understudy.wait_active("a");
    understudy.wait_health("b", "up");
    let load = Load::start(Plan::gets(understudy.address(), 100));
    wait_served(&load, "a", 50);
    let done = [("outcome", "done")];
    understudy.wait_metric("understudy_job_runs_total", &done, |runs| runs >= 1.0);
    a.process.kill();
    wait_served(&load, "b", 50);
    understudy.wait_metric("understudy_gate_runs_total", &done, |runs| runs == 1.0);
    let sent = [("outcome", "sent")];
    understudy.wait_metric("understudy_notifications_total", &sent, |events| events >= 1.0);
    assert!(load.finish().failed().is_empty());

    let scrape = get(understudy.admin(), "/metrics").expect("an answer").text();
    let shown = |name: &str| scrape.contains(&format!("# TYPE {name} "));
    let missing: Vec<_> =
        metrics::names::ALL.iter().map(|metric| metric.name).filter(|name| !shown(name)).collect();
    assert_eq!(missing, OF_APPLICATIONS, "what is not seen here is not checked");
    if !may_run(installed("promtool").is_some(), "promtool") {
        return;
    }
    let written = folder.path().join("scrape");
    fs::write(&written, &scrape).expect("a file");
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::from(File::open(written).expect("a file")))
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
