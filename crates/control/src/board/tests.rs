//! What was shown stays true: statuses, drift, and what is announced of them.

use std::time::{Duration, Instant};

use super::*;
use crate::rounds::Rounds;
use crate::status::{BackendStatus, Since};
use crate::tls::Usage;

fn backend(name: &str) -> BackendStatus {
    BackendStatus {
        name: name.into(),
        url: "https://127.0.0.1".into(),
        health: Health::Up,
        admin: routing::failover::AdminState::Ready,
        active: false,
        eligible_since: None,
        role: None,
        wish: None,
        clock_ahead_ms: None,
        last_probe: None,
        rounds: Rounds::default(),
        last_verdict: None,
        undecided: None,
        standing: None,
        barred: false,
        readiness: None,
    }
}

fn service(name: &str, epoch: u64) -> ServiceStatus {
    ServiceStatus {
        name: name.into(),
        active: None,
        epoch,
        since: Since(Instant::now()),
        on_primary: false,
        pinned: false,
        locked: false,
        hold_down: None,
        flaps: 0,
        dual_active: None,
        failback: None,
        switching: None,
        verifying: None,
        gates: None,
        gate: None,
        drill: None,
        scheduled: None,
        drift: Vec::new(),
        jobs: Vec::new(),
        backends: vec![backend("a"), backend("b")],
    }
}

#[test]
fn a_new_status_of_one_service_leaves_the_others_and_older_statuses_alone() {
    let board = Board::new(Metrics::new(), Store::in_memory());
    let [first, second, unknown] = [1, 2, 3].map(ServiceId);
    board.publish(first, service("first", 1));
    board.publish(second, service("second", 1));
    assert_eq!(board.status().services.len(), 0, "nobody has said what is shown");
    board.arrange(&[second, first]);
    let before = board.status();
    let epochs = |status: &Status| {
        let each = status.services.iter().map(|service| (service.name.to_string(), service.epoch));
        each.collect::<Vec<_>>()
    };
    let of = |name: &str, epoch| (name.to_owned(), epoch);
    assert_eq!(epochs(&before), [of("second", 1), of("first", 1)]);
    board.publish_decision(first, service("first", 2));
    board.publish_decision(unknown, service("unknown", 2));
    let after = board.status();
    assert_eq!(epochs(&after), [of("second", 1), of("first", 2)]);
    assert_eq!(epochs(&before), [of("second", 1), of("first", 1)]);
    assert!(Arc::ptr_eq(&before.services[0], &after.services[0]));
    let text = board.metrics().encode();
    assert!(text.contains("understudy_service_epoch{service=\"first\"} 2\n"), "{text}");
    assert!(!text.contains("service=\"unknown\""), "{text}");
    board.arrange(&[unknown, first]);
    assert_eq!(epochs(&board.status()), [of("unknown", 2), of("first", 2)]);
}

#[test]
fn certificates_that_expire_soon_are_called_to_mind_ours_and_those_of_backends() {
    let board = Board::new(Metrics::new(), Store::in_memory());
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    let certificate = |name: &str, left: u32| Certificate {
        usage: Usage::Listener,
        file: "a.pem".into(),
        names: vec![name.to_owned()],
        begins: UNIX_EPOCH,
        ends: now + day * left,
    };
    let status = service("web", 0);
    board.publish(ServiceId(1), status);
    board.arrange(&[ServiceId(1)]);
    for (backend, left) in [("a", 20), ("b", 30), ("removed", 1)] {
        board.backend_certificate(&"web".into(), &backend.into(), now + day * left);
    }
    let complaints = board.complaints(&[certificate("near", 3), certificate("far", 22)], now);
    assert_eq!(
        complaints,
        [
            "the certificate of near in a.pem expires in 3 days",
            "the certificate of backend web/a expires in 20 days",
        ]
    );
}

#[test]
fn a_failed_reload_says_whether_anything_has_changed() {
    let board = Board::new(Metrics::new(), Store::in_memory());
    let said = |error: ReloadError| {
        board.reload_failed(&error);
        board.events(0).pop().map(|event| event.to_string()).unwrap_or_default()
    };
    let lost = said(ReloadError::Lost(proxy::Lost { worker: 3 }));
    assert!(lost.starts_with("reload incomplete: the new config is in force"), "{lost}");
    assert!(lost.ends_with(": worker 3 does not answer"), "{lost}");
    let late = said(ReloadError::Unfinished { service: "web".into() });
    assert!(late.starts_with("reload incomplete: the new config is in force"), "{late}");
    let unreadable = std::io::Error::other("no such file");
    let read = said(ReloadError::Read { file: "u.yaml".into(), source: unreadable });
    assert_eq!(read, "reload refused: cannot read u.yaml: no such file");
}

#[test]
fn a_refused_file_is_shown_with_the_place_of_its_first_error() {
    let board = Board::new(Metrics::new(), Store::in_memory());
    let text =
        "listeners: [\"127.0.0.1:0\"]\nservices:\n  web:\n    backends: [\"a:80\"]\nbroken: [\n";
    let problems = config::load("u.yaml", text, Path::new("/etc")).unwrap_err();
    let first = problems.problems[0].message.clone();
    let (line, column) = (problems.problems[0].line, problems.problems[0].column);
    board.reload_failed(&ReloadError::Config(problems));
    let expected = format!("{REFUSED}u.yaml:{line}:{column}: {first}");
    assert_eq!(board.status().process.drift, [expected]);
    assert!(first.contains("unclosed bracket"), "{first}");
}

#[test]
fn who_waits_as_trouble_is_noticed_is_not_counted_as_before_it() {
    let metrics = Metrics::new();
    let board = Board::new(Arc::clone(&metrics), Store::in_memory());
    let held = |worker: usize, times: usize, waiting: usize| {
        let cells = metrics.service(worker, "web");
        (0..times).for_each(|_| cells.held_total.inc());
        (0..waiting).for_each(|_| cells.held.inc());
    };
    held(0, 10, 2);
    held(1, 5, 1);
    assert_eq!((board.counts("web").held, board.counts_before("web").held), (15, 12));
    // A gauge that is ahead of the total for a moment makes nothing negative.
    held(1, 0, 100);
    assert_eq!(board.counts_before("web").held, 0);
}
