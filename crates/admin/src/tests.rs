//! Clients that do not read, with a shorter time limit than the real one.

use std::net::TcpListener;
use std::path::PathBuf;

use control::{Inherited, Source};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use super::*;
use crate::wire::Incident;

/// Far more than anything here takes, so that only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers at `path` until the test ends.
async fn start(path: &std::path::Path) {
    let refusing = {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("an address")
    };
    let text = format!(
        "workers: 1\nlisteners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  web:\n    \
         health: {{ http: {{ path: / }}, interval: 10ms, timeout: 10ms }}\n    \
         backends: [{{ name: a, url: \"http://{refusing}\" }}]\n"
    );
    let config = config::load("test.yaml", &text, &PathBuf::new()).expect("a good config").config;
    let inherited = Inherited::default();
    let control = Control::start(config, Source::default(), inherited).await.expect("it starts");
    let socket = Socket::bind(path).expect("a socket");
    let serving =
        serve(vec![Endpoint::Unix(socket)], Settings::default(), control, std::future::pending());
    drop(tokio::spawn(serving));
}

/// Whether the server closes a connection on which `request` is sent again and again, and nothing read.
async fn is_dropped(path: &std::path::Path, request: &str) {
    let mut stream = UnixStream::connect(path).await.expect("a connection");
    let writing = async {
        // A socket that the other side has closed takes nothing any more.
        while stream.write_all(request.as_bytes()).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, writing).await.expect("given up in time");
}

#[tokio::test]
async fn who_takes_nothing_of_the_answers_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    start(&path).await;
    is_dropped(&path, "GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
}

/// The process ended in the middle of it, in a gate perhaps.
#[test]
fn an_incident_that_was_cut_off_is_understood() {
    let record = serde_json::json!({
        "id": 9, "service": "web", "reason": "failover", "from": "a", "to": "b", "epoch": null,
        "at_seconds": 1.0, "evidence": [], "timeline": [], "gates": [],
        "took": { "detect_ms": 1.0, "switch_ms": null, "total_ms": null, "first_answer_ms": null },
        "counts": {}, "by": null, "outcome": "under_way", "text": "under way",
    });
    let incident: Incident = serde_json::from_value(record).expect("it is understood");
    assert_eq!((incident.took.switch_ms, incident.epoch), (None, None));
}
