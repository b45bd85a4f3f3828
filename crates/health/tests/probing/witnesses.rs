//! Whether it is the backend, or we who are cut off.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use config::model::{Level, ProbeKind, Witness};
use health::{Cause, Doubt, Outcome, Prober, Report, Subject, Surroundings, Witnesses};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{
    DEADLINE, UNAVAILABLE, answering, backend, named, next, subject, tcp, until_closed,
};

fn witness(address: SocketAddr) -> Witness {
    Witness { host: address.ip().to_string().into(), port: address.port() }
}

/// A port that is bound and refuses.
fn closed() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A port whose backlog is full: what is sent there is dropped.
struct Unreachable {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

async fn unreachable() -> Unreachable {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let brief = Duration::from_millis(200);
    while let Ok(stream) = timeout(brief, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    Unreachable { address, _listener: listener, _waiting: waiting }
}

#[tokio::test]
async fn whoever_accepts_or_refuses_answers() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_socket, refusing) = closed();
    let dead = unreachable().await;
    for address in [open.local_addr().unwrap(), refusing] {
        let witnesses = Witnesses::start(&[witness(dead.address), witness(address)]);
        let began = Instant::now();
        assert!(witnesses.answered_since(began).await);
        assert_eq!(*witnesses.cut_off().borrow(), None);
    }
}

#[tokio::test]
async fn without_witnesses_nothing_is_asked() {
    let witnesses = Witnesses::start(&[]);
    assert!(witnesses.answered_since(Instant::now()).await);
    assert_eq!(*witnesses.cut_off().borrow(), None);
}

#[tokio::test]
async fn when_none_answers_we_are_cut_off_until_one_does() {
    let dead = unreachable().await;
    let witnesses = Witnesses::start(&[witness(dead.address)]);
    let began = Instant::now();
    assert!(!witnesses.answered_since(began).await);
    let mut cut_off = witnesses.cut_off();
    let since = timeout(DEADLINE, cut_off.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert!(since.is_some());
    drop(since);
    // It refuses from now on.
    drop(dead);
    timeout(DEADLINE, cut_off.wait_for(Option::is_none)).await.expect("it is over").unwrap();
    assert!(witnesses.answered_since(began).await);
}

#[tokio::test]
async fn many_who_want_to_know_share_one_round() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&asked);
    let address = backend(move |_, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async {}
    })
    .await;
    let witnesses = Witnesses::start(&[witness(address)]);
    let began = Instant::now();
    let asking = (0..500).map(|_| witnesses.answered_since(began));
    assert!(futures_util::future::join_all(asking).await.into_iter().all(|answered| answered));
    let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked <= 4, "{asked}");
}

#[tokio::test]
async fn the_task_ends_with_the_last_who_could_ask() {
    let witnesses = Witnesses::start(&[witness(closed().1)]);
    let mut cut_off = witnesses.cut_off();
    drop(witnesses);
    let ended = async { while cut_off.changed().await.is_ok() {} };
    timeout(DEADLINE, ended).await.expect("it ends");
}

/// The first report that says anything of the backend or of us.
async fn report(subject: Subject, witnesses: &Witnesses) -> Report {
    let (sender, mut reports) = mpsc::channel(64);
    let surroundings = Surroundings::new(witnesses.clone());
    let _prober = Prober::start(subject, Duration::ZERO, sender, surroundings);
    loop {
        let report = next(&mut reports).await;
        if report.outcome != Outcome::Inconclusive(Doubt::Late) {
            return report;
        }
    }
}

#[tokio::test]
async fn a_failure_that_the_network_may_have_caused_counts_only_if_a_witness_answers() {
    let dead = unreachable().await;
    let cut_off = Witnesses::start(&[witness(dead.address)]);
    let (_socket, refusing) = closed();
    let connected = Witnesses::start(&[witness(refusing)]);
    let silent = backend(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let failed = Outcome::Fail(Cause::Timeout);
    for address in [silent, dead.address] {
        let doubted = report(subject(address), &cut_off).await;
        assert_eq!(doubted.outcome, Outcome::Inconclusive(Doubt::CutOff));
        assert_eq!(report(subject(address), &connected).await.outcome, failed);
    }
    // These are answers, and need no witness.
    let ill = report(subject(answering(UNAVAILABLE).await), &cut_off).await;
    assert_eq!(ill.outcome, Outcome::Fail(Cause::Status(503)));
    let refused = report(subject(refusing), &cut_off).await;
    assert!(matches!(refused.outcome, Outcome::Fail(Cause::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_witness_that_answers_delays_nothing() {
    let (_socket, refusing) = closed();
    let witnesses = Witnesses::start(&[witness(refusing)]);
    let silent = backend(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let silent = subject(silent);
    let timeout_of_probe = silent.health.timeout;
    let report = report(silent, &witnesses).await;
    assert_eq!(report.outcome, Outcome::Fail(Cause::Timeout));
    assert!(report.took < timeout_of_probe + Duration::from_millis(300), "{:?}", report.took);
}

#[tokio::test]
async fn a_firm_failure_beside_a_doubtful_one_counts() {
    let dead = unreachable().await;
    let cut_off = Witnesses::start(&[witness(dead.address)]);
    let mut ill = subject(answering(UNAVAILABLE).await);
    ill.health.probes.push(named("port", Level::Alive, tcp()));
    let probe =
        ProbeKind::Agent(config::model::AgentProbe { host: None, port: 1, send: "".into() });
    ill.health.probes.push(named("agent", Level::Ready, probe));
    assert_eq!(report(ill, &cut_off).await.outcome, Outcome::Fail(Cause::Status(503)));
}
