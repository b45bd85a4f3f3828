//! A real Alertmanager, where there is one.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::model::Channel;
use connect::Destination;
use hooks::{Message, Reply};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::super::channel::{Delivery, tell};
use super::super::news::News;
use super::super::{PlannedNotifier, Primaries, Way};
use super::telling::{by, planned, request, server};
use super::{PATIENCE, news};

/// Killed when the test ends.
struct Alertmanager(Child);

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Alertmanager {
    /// `None`: it is not here, and does not have to be.
    fn start(folder: &Path, port: u16) -> Option<Self> {
        let config = folder.join("alertmanager.yml");
        std::fs::write(&config, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n")
            .unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let started = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        match started {
            Ok(child) => Some(Self(child)),
            Err(error) => {
                let must_run = std::env::var("UNDERSTUDY_NO_SKIP").is_ok_and(|value| value == "1");
                assert!(!must_run, "prometheus-alertmanager cannot be run: {error}");
                eprintln!("SKIPPED: prometheus-alertmanager cannot be run ({error})");
                None
            }
        }
    }
}

/// Name and backend of each alert that fires.
async fn firing(to: &Destination) -> Option<Vec<String>> {
    let message = Message {
        destination: to.clone(),
        protocol: config::model::UpstreamProtocol::Auto,
        method: Method::GET,
        path: "/api/v2/alerts".parse().unwrap(),
        headers: HeaderMap::new(),
        body: "".into(),
        output_bytes: 1 << 20,
    };
    let reply = hooks::send(&message, Instant::now() + Duration::from_secs(5)).await;
    let Reply::Answer { status: 200, body, broken: None } = reply else { return None };
    let alerts: Value = serde_json::from_slice(&body).unwrap();
    let mut names: Vec<_> = alerts
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| {
            let labels = &alert["labels"];
            assert_eq!(
                (&labels["service"], &alert["annotations"]["summary"]),
                (&json!("web"), &json!("web: words"))
            );
            let backend = labels["backend"].as_str().map(|name| format!(" {name}"));
            format!("{}{}", labels["alertname"].as_str().unwrap(), backend.unwrap_or_default())
        })
        .collect();
    names.sort();
    Some(names)
}

async fn until_firing(to: &Destination, expected: &[&str]) {
    let mut seen = None;
    let reached = async {
        while seen.as_deref().is_none_or(|seen: &[String]| seen != expected) {
            seen = firing(to).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "{seen:?}, not {expected:?}");
}

/// It happens now: what is older than minutes is no news.
fn happens(kind: &str, fields: Value) -> News {
    News { at: SystemTime::now(), ..news(1, kind, fields) }
}

#[tokio::test]
async fn alerts_appear_and_are_resolved() {
    let folder = tempfile::tempdir().unwrap();
    // Taken by nobody between here and there, as good as always; it cannot choose one itself.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let Some(_alertmanager) = Alertmanager::start(folder.path(), address.port()) else { return };
    let (request, way) = request(address);
    let Way::To(to) = way.clone() else { unreachable!() };
    let primaries = Arc::new(Primaries::from([("web".into(), "a".into())]));
    let plan = planned(by("am", Channel::Alertmanager(request)), way);
    let plan = PlannedNotifier { primaries, ..plan };
    until_firing(&to, &[]).await;

    let told = async |news: News| {
        let delivery = tell(&plan, &news).await;
        assert!(matches!(delivery, Delivery::Told(_)), "{delivery:?}");
    };
    told(happens("locked", json!({}))).await;
    told(happens("active_changed", json!({ "from": "a", "to": null }))).await;
    told(happens("standby_not_ready", json!({ "backend": "b" }))).await;
    let bad = ["UnderstudyLocked", "UnderstudyNoActive", "UnderstudyStandbyNotReady b"];
    until_firing(&to, &bad).await;

    told(happens("active_changed", json!({ "from": null, "to": "b" }))).await;
    told(happens("unlocked", json!({}))).await;
    told(happens("standby_ready", json!({ "backend": "b" }))).await;
    until_firing(&to, &["UnderstudyActiveChanged b", "UnderstudyOnStandby"]).await;
    told(happens("active_changed", json!({ "from": "b", "to": "a" }))).await;
    until_firing(&to, &["UnderstudyActiveChanged a", "UnderstudyActiveChanged b"]).await;
    // What has ended may begin again.
    told(happens("locked", json!({}))).await;
    let again = ["UnderstudyActiveChanged a", "UnderstudyActiveChanged b", "UnderstudyLocked"];
    until_firing(&to, &again).await;
}

#[tokio::test]
async fn alerts_go_where_alertmanager_takes_them() {
    let (address, heard) = server(&[200]).await;
    for (path, expected) in [
        ("/", "/api/v2/alerts"),
        ("/am/", "/am/api/v2/alerts"),
        ("/am/api/v2/alerts", "/am/api/v2/alerts"),
    ] {
        let (mut request, way) = request(address);
        request.path = path.into();
        let plan = planned(by("am", Channel::Alertmanager(request)), way);
        let told = Delivery::Told("answered 200: why".to_owned());
        assert_eq!(tell(&plan, &happens("locked", json!({}))).await, told);
        let (head, body) = heard.all().pop().unwrap();
        assert!(head.starts_with(&format!("POST {expected} HTTP/1.1\r\n")), "{head}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body[0]["labels"]["alertname"], "UnderstudyLocked");
    }
}
