//! What can be ordered, well and badly.

use std::path::PathBuf;

use admin::wire::{AdminState, Answer, Done, Preview, ProbeShown, Reloaded, Status};
use control::Source;

use crate::lab::{Call, Lab, Way, config, open};

const WEB: &str = "/api/v1/services/web";

async fn order(lab: &Lab, action: &str, body: &str) -> Done {
    let answer = lab.post(&format!("{WEB}/{action}"), body).await;
    assert_eq!(answer.status, 200, "{action}: {}", answer.text);
    serde_json::from_str(&answer.text).expect("what became of it")
}

async fn web(lab: &Lab) -> admin::wire::Service {
    let status: Status = serde_json::from_str(&lab.get("/api/v1/status").await.text).expect("one");
    status.service("web").expect("web").clone()
}

#[tokio::test]
async fn each_order_is_carried_out() {
    let lab = open().await;
    lab.settle().await;
    assert!(!order(&lab, "pin", "{}").await.text.is_empty());
    assert!(web(&lab).await.pinned);
    order(&lab, "unpin", "").await;
    assert!(!web(&lab).await.pinned);
    order(&lab, "lock", r#"{"reason": "night"}"#).await;
    assert!(web(&lab).await.locked);
    order(&lab, "unlock", "{}").await;
    assert!(!web(&lab).await.locked);
    for (action, state) in [
        ("drain", AdminState::Drain),
        ("maintenance", AdminState::Maintenance),
        ("ready", AdminState::Ready),
    ] {
        order(&lab, &format!("backends/b/{action}"), "{}").await;
        assert_eq!(web(&lab).await.backends[1].admin, state, "{action}");
    }
    order(&lab, "switchover", r#"{"to": "b", "verify_seconds": 0}"#).await;
    assert_eq!(web(&lab).await.active.as_deref(), Some("b"));
    order(&lab, "failback", r#"{"verify_seconds": 0}"#).await;
    assert_eq!(web(&lab).await.active.as_deref(), Some("a"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_reason_and_changes_nothing() {
    let lab = open().await;
    lab.settle().await;
    order(&lab, "backends/b/maintenance", "{}").await;
    let before = web(&lab).await;
    for (action, body, status, word) in [
        ("switchover", r#"{"to": "b"}"#, 409, "not-eligible"),
        ("switchover", r#"{"to": "c"}"#, 404, "unknown-backend"),
        ("switchover", "{}", 422, "invalid"),
        ("switchover", r#"{"to": "a", "verify_seconds": -1}"#, 422, "invalid"),
        ("switchover", r#"{"to": "a", "verify_seconds": 301}"#, 422, "invalid"),
        ("switchover", r#"{"to": "a", "at": "soon"}"#, 422, "invalid"),
        ("switchover", r#"{"to": "a", "when": "now"}"#, 422, "invalid"),
        ("switchover", r#"{"to": "a""#, 400, "malformed"),
        ("switchover", r#"["a"]"#, 422, "invalid"),
        ("drill", r#"{"length_seconds": 5, "tag": ["X-Drill"]}"#, 422, "invalid"),
        ("pin", r#"{"reason": "two\nlines"}"#, 422, "invalid"),
        ("pin", r#"{"reason": 1}"#, 422, "invalid"),
        ("drill", "{}", 422, "invalid"),
        ("drill", r#"{"length_seconds": 0}"#, 422, "invalid"),
        ("drill", r#"{"length_seconds": 5, "tag": {"header": "no name"}}"#, 422, "invalid"),
        ("backends/c/drain", "{}", 404, "unknown-backend"),
        ("backends/a/nothing", "{}", 404, "not-found"),
    ] {
        let answer = lab.post(&format!("{WEB}/{action}"), body).await;
        assert_eq!(answer.status.as_u16(), status, "{action} {body}: {}", answer.text);
        assert_eq!(answer.problem(), word, "{action} {body}: {}", answer.text);
    }
    for action in ["switchover", "failback", "pin", "drill", "backends/a/drain"] {
        let body = match action {
            "switchover" => r#"{"to": "a"}"#,
            "drill" => r#"{"length_seconds": 1}"#,
            _ => "{}",
        };
        let answer = lab.post(&format!("/api/v1/services/none/{action}"), body).await;
        assert_eq!(answer.problem(), "unknown-service", "{action}: {}", answer.text);
        assert!(answer.text.contains("`status` lists them"), "it says where they are");
    }
    let after = web(&lab).await;
    assert_eq!((after.epoch, after.pinned, after.active), (before.epoch, false, before.active));
}

#[tokio::test]
async fn bodies_are_bounded() {
    let lab = open().await;
    let body = format!(r#"{{"reason": "{}"}}"#, "x".repeat(20_000));
    let answer = lab.post(&format!("{WEB}/pin"), &body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.problem(), "too-large");
    let deep = "[".repeat(10_000);
    let answer = lab.post(&format!("{WEB}/pin"), &deep).await;
    assert!(answer.status == 400 || answer.status == 422, "{}", answer.text);
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right() {
    let lab = open().await;
    for (method, path, allowed) in [
        ("GET", "pin", &["POST"][..]),
        ("GET", "switchover", &["POST", "DELETE"]),
        ("PUT", "drill", &["POST", "DELETE"]),
        ("TRACE", "drill", &["POST", "DELETE"]),
        ("DELETE", "backends/a/drain", &["POST"]),
    ] {
        let answer = lab.send(Way::Unix, &Call::json(method, &format!("{WEB}/{path}"), "{}")).await;
        assert_eq!(answer.problem(), "wrong-method", "{method} {path}");
        for method in allowed {
            assert!(answer.field("allow").contains(method), "{path}: {}", answer.field("allow"));
        }
    }
}

#[tokio::test]
async fn a_reload_reads_the_file_again_or_says_why_not() {
    let lab = open().await;
    assert_eq!(lab.post("/api/v1/reload", "{}").await.problem(), "no-file");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.yaml");
    let (backends, text) = config("").await;
    std::fs::write(&path, &text).expect("written");
    let source = Source {
        file: "test.yaml".to_owned(),
        base: PathBuf::from(folder.path()),
        path: Some(path.clone()),
    };
    let lab = Lab::run(Vec::new(), source, backends, &text).await;
    lab.settle().await;
    let reloaded = lab.post("/api/v1/reload", "{}").await;
    let reloaded: Reloaded = serde_json::from_str(&reloaded.text).expect("how it went");
    assert_eq!(reloaded.changes, None);
    std::fs::write(&path, text.replace("interval: 50ms", "interval: 60ms")).expect("written");
    let reloaded = lab.post("/api/v1/reload", r#"{"reason": "slower"}"#).await;
    let reloaded: Reloaded = serde_json::from_str(&reloaded.text).expect("how it went");
    assert!(reloaded.changes.is_some());
    std::fs::write(&path, "workers: many\n").expect("written");
    let refused = lab.post("/api/v1/reload", "{}").await;
    assert_eq!((refused.status.as_u16(), &*refused.problem()), (422, "bad-config"));
    assert!(refused.text.contains("workers"), "{}", refused.text);
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(lab.post("/api/v1/reload", "{}").await.problem(), "file-unreadable");
}

#[tokio::test]

async fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let lab = open().await;
    lab.settle().await;
    let before = web(&lab).await.epoch;
    let dry = r#"{"to": "b", "dry_run": true}"#;
    let answer = lab.post(&format!("{WEB}/switchover"), dry).await;
    let preview: Preview = serde_json::from_str(&answer.text).expect("a preview");
    assert!(preview.possible && !preview.steps.is_empty(), "{preview:?}");
    assert_eq!((preview.from.as_deref(), preview.to.as_deref()), (Some("a"), Some("b")));
    order(&lab, "backends/b/maintenance", "{}").await;
    let answer = lab.post(&format!("{WEB}/switchover"), dry).await;
    let answer: Answer = serde_json::from_str(&answer.text).expect("one of two");
    match answer {
        Answer::Preview(preview) => assert!(!preview.possible && !preview.blockers.is_empty()),
        Answer::Done(done) => panic!("nothing was to be done: {done:?}"),
    }
    let answer = lab.post(&format!("{WEB}/failback"), r#"{"dry_run": true}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let unknown = r#"{"to": "c", "dry_run": true}"#;
    let answer = lab.post(&format!("{WEB}/switchover"), unknown).await;
    assert_eq!(answer.problem(), "unknown-backend");
    assert_eq!(web(&lab).await.epoch, before);
}

#[tokio::test]

async fn a_probe_is_shown() {
    let lab = open().await;
    lab.settle().await;
    let answer = lab.post(&format!("{WEB}/backends/a/probe"), "{}").await;
    let shown: ProbeShown = serde_json::from_str(&answer.text).expect("a probe");
    assert_eq!(shown.verdict, "pass", "{shown:?}");
    assert!(shown.exchange.iter().any(|line| line.starts_with("> GET / HTTP/1.1")), "{shown:?}");
    let answer = lab.post(&format!("{WEB}/backends/c/probe"), "{}").await;
    assert_eq!(answer.problem(), "unknown-backend");
}

#[tokio::test]
async fn a_notifier_that_there_is_not_is_named() {
    let lab = open().await;
    let answer = lab.post("/api/v1/notifiers/ops/test", "{}").await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (404, "not-found"));
    assert!(answer.text.contains("there are none"), "{}", answer.text);
}

#[tokio::test]

async fn a_move_can_be_ordered_for_later_and_forgotten() {
    let lab = open().await;
    lab.settle().await;
    order(&lab, "switchover", r#"{"to": "b", "at": "2999-01-01T00:00:00Z", "reason": "later"}"#)
        .await;
    let scheduled = web(&lab).await.scheduled.expect("it is to come");
    assert_eq!((&*scheduled.to, &*scheduled.by.why), ("b", "later"));
    assert_eq!(scheduled.at.to_string(), "2999-01-01T00:00:00Z");
    let cancel = Call::new("DELETE", &format!("{WEB}/switchover?reason=never%20mind"));
    assert_eq!(lab.send(Way::Unix, &cancel).await.status, 200);
    assert_eq!(web(&lab).await.scheduled, None);
    let past = r#"{"to": "b", "at": "2001-01-01T00:00:00Z"}"#;
    let answer = lab.post(&format!("{WEB}/switchover"), past).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
}

#[tokio::test]

async fn a_drill_begins_and_ends() {
    let lab = open().await;
    lab.settle().await;
    order(&lab, "drill", r#"{"length_seconds": 3600}"#).await;
    let drill = web(&lab).await.drill.expect("it runs");
    assert_eq!((&*drill.backend, drill.tag), ("a", None));
    let end = Call::new("DELETE", &format!("{WEB}/drill"));
    assert_eq!(lab.send(Way::Unix, &end).await.status, 200);
    assert_eq!(web(&lab).await.drill, None);

    let tagged =
        r#"{"length_seconds": 3600, "tag": {"header": "X-Drill", "value": "yes", "backend": "b"}}"#;
    order(&lab, "drill", tagged).await;
    let service = web(&lab).await;
    let drill = service.drill.expect("it runs");
    assert_eq!(drill.backend, "b");
    assert!(drill.tag.is_some_and(|tag| tag.to_lowercase().starts_with("x-drill")));
    assert_eq!(service.active.as_deref(), Some("a"), "all others stay");
    assert_eq!(lab.send(Way::Unix, &end).await.status, 200);
}
