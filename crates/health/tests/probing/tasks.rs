//! When probes begin, in which order they are reported, and how they stop.

use std::io::Read as _;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use health::{Cause, Doubt, Outcome, Prober};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use crate::support::{
    DEADLINE, NEVER, OK, UNAVAILABLE, alone, answering, at_least, backend, next, read_request,
    start, subject, until_closed,
};

/// A backend that never answers; counts the connections that are open.
async fn silent() -> (std::net::SocketAddr, Arc<watch::Sender<usize>>) {
    let open = Arc::new(watch::Sender::new(0));
    let counted = Arc::clone(&open);
    let address = backend(move |_, mut stream| {
        let open = Arc::clone(&counted);
        async move {
            open.send_modify(|open| *open += 1);
            until_closed(&mut stream).await;
            open.send_modify(|open| *open -= 1);
        }
    })
    .await;
    (address, open)
}

#[tokio::test]
async fn settled_probes_keep_coming() {
    let (_prober, mut reports) = start(subject(answering(OK).await));
    let mut last = None;
    for _ in 0..4 {
        let report = next(&mut reports).await;
        assert_eq!(report.outcome, Outcome::Pass);
        if let Some(last) = last {
            assert!(report.started - last >= Duration::from_millis(45), "interval less a tenth");
        }
        last = Some(report.started);
    }
}

#[tokio::test]
async fn the_first_probe_waits_for_the_delay() {
    let (sender, mut reports) = mpsc::channel(1);
    let before = std::time::Instant::now();
    let delay = Duration::from_millis(60);
    let _prober = Prober::start(subject(answering(OK).await), delay, sender, alone());
    assert!(next(&mut reports).await.started - before >= delay);
}

#[tokio::test]
async fn probes_in_doubt_overlap() {
    let (address, open) = silent().await;
    let mut subject = subject(address);
    subject.health.interval = NEVER;
    subject.health.timeout = NEVER;
    let (prober, mut reports) = start(subject);
    at_least(&open, 1).await;
    prober.in_doubt(true);
    at_least(&open, 3).await;
    assert!(reports.try_recv().is_err(), "none has ended");
}

#[tokio::test]
async fn a_hung_backend_is_confirmed_within_little_more_than_one_timeout() {
    let (address, _) = silent().await;
    let mut subject = subject(address);
    subject.health.interval = NEVER;
    let (prober, mut reports) = start(subject);
    prober.in_doubt(true);
    let mut begun = Vec::new();
    while begun.len() < 3 {
        let report = next(&mut reports).await;
        if report.outcome == Outcome::Fail(Cause::Timeout) {
            begun.push((report.started, report.started + report.took));
        }
    }
    let first_end = begun[0].1;
    assert!(begun[1..].iter().all(|(start, _)| *start < first_end), "they began before it ended");
    assert!(begun.windows(2).all(|pair| pair[0].0 < pair[1].0), "in the order of their start");
}

#[tokio::test]
async fn a_suspicion_does_not_wait_for_the_interval() {
    let mut subject = subject(answering(OK).await);
    subject.health.interval = NEVER;
    let (prober, mut reports) = start(subject);
    let mut last = next(&mut reports).await.started;
    for _ in 0..3 {
        let suspected = std::time::Instant::now();
        prober.suspect();
        let report = next(&mut reports).await;
        assert!(report.started >= suspected && report.started > last);
        last = report.started;
    }
    assert!(reports.try_recv().is_err(), "one good answer settles it");
}

#[tokio::test]
async fn a_suspicion_outlives_the_answer_to_an_older_probe() {
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let begun = Arc::new(watch::Sender::new(0));
    let counted = Arc::clone(&begun);
    let address = backend(move |number, mut stream| {
        let (released, begun) = (Arc::clone(&released), Arc::clone(&counted));
        async move {
            read_request(&mut stream).await;
            begun.send_replace(number);
            if number == 1 {
                released.notified().await;
            }
            let _ = stream.write_all(OK.as_bytes()).await;
        }
    })
    .await;
    let mut subject = subject(address);
    subject.health.interval = NEVER;
    subject.health.timeout = NEVER;
    // The suspicion comes less than half of it after the first probe, so its own probe must wait.
    subject.health.confirm_interval = Duration::from_millis(600);
    let (prober, mut reports) = start(subject);
    at_least(&begun, 1).await;
    prober.suspect();
    release.notify_one();
    let first = next(&mut reports).await;
    prober.in_doubt(false);
    let second = next(&mut reports).await;
    assert!(second.started > first.started);
}

#[tokio::test]
async fn what_a_younger_probe_has_overtaken_is_not_reported() {
    let release = Arc::new(Notify::new());
    let (released, ended) = (Arc::clone(&release), Arc::new(watch::Sender::new(0)));
    let old_ended = Arc::clone(&ended);
    let begun = Arc::new(watch::Sender::new(0));
    let counted = Arc::clone(&begun);
    let address = backend(move |number, mut stream| {
        let (released, ended) = (Arc::clone(&released), Arc::clone(&old_ended));
        let begun = Arc::clone(&counted);
        async move {
            read_request(&mut stream).await;
            begun.send_replace(number);
            if number > 1 {
                stream.write_all(OK.as_bytes()).await.unwrap();
                return;
            }
            released.notified().await;
            stream.write_all(UNAVAILABLE.as_bytes()).await.unwrap();
            until_closed(&mut stream).await;
            ended.send_replace(1);
        }
    })
    .await;
    let mut subject = subject(address);
    subject.health.interval = NEVER;
    subject.health.timeout = NEVER;
    let (prober, mut reports) = start(subject);
    at_least(&begun, 1).await;

    prober.suspect();
    let young = next(&mut reports).await;
    assert_eq!(young.outcome, Outcome::Pass);
    release.notify_one();
    at_least(&ended, 1).await;

    prober.suspect();
    let last = next(&mut reports).await;
    assert_eq!(last.outcome, Outcome::Pass, "the old 503 was dropped");
    assert!(last.started > young.started);
}

#[tokio::test]
async fn a_full_channel_delays_and_loses_nothing() {
    let served = Arc::new(watch::Sender::new(0));
    let counted = Arc::clone(&served);
    let address = backend(move |number, mut stream| {
        let served = Arc::clone(&counted);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            served.send_replace(number);
        }
    })
    .await;
    let mut ignored = subject(address);
    ignored.health.interval = Duration::from_millis(1);
    // At most three run at a time.
    ignored.health.timeout = DEADLINE;
    ignored.health.confirm_interval = DEADLINE;
    let (sender, mut reports) = mpsc::channel(1);
    let _prober = Prober::start(ignored, Duration::ZERO, sender, alone());
    at_least(&served, 2).await;

    // Meanwhile another prober, which is listened to, goes on and on.
    let mut other = subject(answering(OK).await);
    other.health.interval = Duration::from_millis(1);
    let (_other, mut other_reports) = start(other);
    for _ in 0..50 {
        next(&mut other_reports).await;
    }
    let most = 1 + 3; // One in the channel, and what was running when it filled up.
    assert!(*served.borrow() <= most, "probes go on though nobody listens");

    let mut last = None;
    for _ in 0..30 {
        let report = next(&mut reports).await;
        assert!(last < Some(report.started));
        last = Some(report.started);
    }
}

#[tokio::test]
async fn dropping_stops_at_once() {
    let (address, open) = silent().await;
    let mut subject = subject(address);
    subject.health.timeout = NEVER;
    let (prober, mut reports) = start(subject);
    prober.in_doubt(true);
    at_least(&open, 2).await;
    drop(prober);
    let end = timeout(DEADLINE, reports.recv()).await.expect("the channel closes");
    assert!(end.is_none(), "no report comes afterwards");
    let mut open = open.subscribe();
    let closed = timeout(DEADLINE, open.wait_for(|open| *open == 0)).await;
    assert!(closed.is_ok(), "probes under way are broken off");
}

#[tokio::test]
async fn a_timeout_while_we_were_late_is_inconclusive() {
    // It must take the connection while our runtime is blocked.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, mut connected) = mpsc::channel(16);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let accepted = accepted.clone();
            thread::spawn(move || {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                let _ = accepted.blocking_send(());
                while matches!(stream.read(&mut byte), Ok(1)) {}
            });
        }
    });
    let mut subject = subject(address);
    subject.health.interval = NEVER;
    let timeout_of_probe = subject.health.timeout;
    let (_prober, mut reports) = start(subject);
    timeout(DEADLINE, connected.recv()).await.unwrap().unwrap();
    thread::sleep(timeout_of_probe / 3);
    let report = next(&mut reports).await;
    assert_eq!(report.outcome, Outcome::Inconclusive(Doubt::Late));
    assert!(report.took >= timeout_of_probe);
}

#[tokio::test]
async fn a_backend_that_closed_on_us_while_we_were_late_proves_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, mut connected) = mpsc::channel(1);
    let (close, told_to_close) = std::sync::mpsc::channel::<()>();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        accepted.blocking_send(()).unwrap();
        told_to_close.recv().unwrap();
        drop(stream);
    });
    let mut subject = subject(address);
    subject.health.interval = NEVER;
    let timeout_of_probe = subject.health.timeout;
    let (_prober, mut reports) = start(subject);
    timeout(DEADLINE, connected.recv()).await.unwrap().unwrap();
    // From here on until it has slept this thread, which the prober shares, sees nothing.
    close.send(()).unwrap();
    thread::sleep(timeout_of_probe / 3);
    assert_eq!(next(&mut reports).await.outcome, Outcome::Inconclusive(Doubt::Late));
}

#[tokio::test]
async fn many_probers_share_one_thread() {
    let mut template = subject(answering(OK).await);
    template.health.interval = NEVER;
    template.health.timeout = DEADLINE;
    let (sender, mut reports) = mpsc::channel(1);
    let probers: Vec<_> = (0..200)
        .map(|id| {
            let subject = health::Subject { id, ..template.clone() };
            Prober::start(
                subject,
                Duration::from_micros(u64::from(id) * 500),
                sender.clone(),
                alone(),
            )
        })
        .collect();
    let mut seen = vec![false; probers.len()];
    while seen.contains(&false) {
        let report = next(&mut reports).await;
        assert_eq!(report.outcome, Outcome::Pass);
        seen[report.id as usize] = true;
    }
}
