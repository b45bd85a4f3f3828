//! Several probes in a round: levels, quorum, intervals of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::{Level, Pattern, Probe, ProbeKind, TcpProbe};
use health::{Cause, Outcome, Prober, Subject};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, watch};

use crate::support::{
    DEADLINE, NEVER, OK, UNAVAILABLE, alone, answering, at_least, backend, conclusion, named, next,
    outcome, read_request, start, subject, tcp, until_closed,
};

async fn silent() -> SocketAddr {
    backend(|_, mut stream| async move { until_closed(&mut stream).await }).await
}

/// Passes once a byte has come from `address`... which it never does from a silent backend.
fn hangs() -> ProbeKind {
    let pattern = Pattern(regex::bytes::Regex::new("x").unwrap());
    ProbeKind::Tcp(TcpProbe { send: Vec::new(), expect: Some(pattern) })
}

#[tokio::test]
async fn a_failed_alive_probe_ends_the_round_at_once() {
    let mut subject = subject(silent().await);
    subject.health.timeout = NEVER;
    let alive =
        Probe { timeout: Some(Duration::from_millis(50)), ..named("port", Level::Alive, hangs()) };
    subject.health.probes.push(alive);
    let report = conclusion(subject).await;
    assert_eq!(report.outcome, Outcome::Fail(Cause::Timeout));
    assert_eq!(report.blamed.as_deref(), Some("port"));
    assert!(!report.is_alive);
    assert_eq!(report.checks.len(), 1, "the other was broken off");
}

#[tokio::test]
async fn a_failed_ready_probe_leaves_the_backend_alive() {
    let mut subject = subject(answering(UNAVAILABLE).await);
    subject.health.probes.push(named("port", Level::Alive, tcp()));
    let report = conclusion(subject).await;
    assert_eq!((report.outcome, report.is_alive), (Outcome::Fail(Cause::Status(503)), true));
    assert_eq!(report.blamed.as_deref(), Some("http"));
    assert_eq!(report.checks.len(), 2);
}

#[tokio::test]
async fn a_quorum_of_ready_probes_is_enough() {
    let mut subject = subject(answering(UNAVAILABLE).await);
    subject.health.probes.extend(["a", "b"].map(|name| named(name, Level::Ready, tcp())));
    for (quorum, passes) in [(Some(1), true), (Some(2), true), (Some(3), false), (None, false)] {
        subject.health.quorum = quorum;
        let outcome = outcome(subject.clone()).await;
        assert_eq!(outcome == Outcome::Pass, passes, "{quorum:?}: {outcome:?}");
    }
}

/// Counts its requests, and answers the first `good` ones well.
async fn counting(good: usize) -> (Subject, Arc<watch::Sender<usize>>) {
    let count = Arc::new(watch::Sender::new(0));
    let counted = Arc::clone(&count);
    let address = backend(move |_, mut stream| {
        let count = Arc::clone(&counted);
        async move {
            // A connection without a request is another probe's.
            if read_request(&mut stream).await.is_empty() {
                return;
            }
            count.send_modify(|count| *count += 1);
            let bytes = if *count.borrow() <= good { OK } else { UNAVAILABLE };
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
    })
    .await;
    let mut subject = subject(address);
    subject.health.probes.push(named("port", Level::Alive, tcp()));
    (subject, count)
}

#[tokio::test]
async fn a_pass_stands_for_the_interval_of_its_probe() {
    let (mut subject, count) = counting(usize::MAX).await;
    subject.health.probes[0].interval = Some(NEVER);
    let (_prober, mut reports) = start(subject);
    let mut standing = 0;
    for _ in 0..8 {
        let report = next(&mut reports).await;
        if report.outcome == Outcome::Pass && report.checks.len() == 1 {
            standing += 1;
        }
    }
    assert!(standing >= 5, "{standing}");
    assert!(*count.borrow() <= 3, "asked while it had not yet answered, and never again");
}

#[tokio::test]
async fn a_failure_is_asked_again_in_every_round() {
    let (mut subject, count) = counting(0).await;
    subject.health.probes[0].interval = Some(NEVER);
    let (_prober, mut reports) = start(subject);
    for _ in 0..3 {
        assert_ne!(next(&mut reports).await.outcome, Outcome::Pass);
    }
    at_least(&count, 3).await;
}

#[tokio::test]
async fn a_pass_is_asked_for_again_after_its_interval() {
    let (mut subject, _) = counting(1).await;
    subject.health.probes[0].interval = Some(Duration::from_millis(150));
    let (_prober, mut reports) = start(subject);
    let began = Instant::now();
    while !matches!(next(&mut reports).await.outcome, Outcome::Fail(_)) {
        assert!(began.elapsed() < DEADLINE);
    }
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn two_thousand_probers_share_one_thread() {
    let address = answering(OK).await;
    let mut template = subject(address);
    template.health.probes[0].kind = tcp();
    template.health.interval = NEVER;
    template.health.timeout = DEADLINE;
    let (sender, mut reports) = mpsc::channel(1);
    let surroundings = alone();
    let probers: Vec<_> = (0..2000)
        .map(|id| {
            let subject = Subject { id, ..template.clone() };
            let delay = Duration::from_micros(u64::from(id) * 500);
            Prober::start(subject, delay, sender.clone(), surroundings.clone())
        })
        .collect();
    let mut seen = vec![false; probers.len()];
    while seen.contains(&false) {
        let report = next(&mut reports).await;
        assert_eq!(report.outcome, Outcome::Pass);
        assert!(report.late < DEADLINE);
        seen[report.id as usize] = true;
    }
}
