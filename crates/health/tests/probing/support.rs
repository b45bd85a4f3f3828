//! Backends that behave as a test wants, and probers for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::model::{
    BackendUrl, DrainRule, Expect, Health, HttpProbe, Level, Probe, ProbeKind, Scheme, StatusSet,
    TcpProbe, UpstreamProtocol,
};
use connect::Destination;
use health::{Outcome, Prober, Report, Subject, Surroundings, Witnesses};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
pub(crate) const NEVER: Duration = Duration::from_secs(3600);
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
pub(crate) const UNAVAILABLE: &str =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// Serves each connection with `serve`, which gets its number, from 1.
pub(crate) async fn backend<F>(serve: impl Fn(usize, TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(number, stream));
        }
    });
    address
}

/// Reads a request, answers with `bytes`, and closes.
pub(crate) async fn answering(bytes: impl Into<String>) -> SocketAddr {
    let bytes: Arc<str> = bytes.into().into();
    backend(move |_, mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
    })
    .await
}

/// Reads up to the empty line that ends a request without a body.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}

/// Waits until the other side has closed.
pub(crate) async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut sink = [0; 1024];
    while matches!(stream.read(&mut sink).await, Ok(1..)) {}
}

/// Waits until `count` is at least `least`.
#[track_caller]
pub(crate) fn at_least(count: &watch::Sender<usize>, least: usize) -> impl Future<Output = ()> {
    let mut count = count.subscribe();
    async move {
        let reached = timeout(DEADLINE, count.wait_for(|count| *count >= least)).await;
        reached.expect("the count is reached in time").unwrap();
    }
}

/// `GET /`, any 2xx passes; every 50 ms with a timeout of 400 ms.
pub(crate) fn subject(address: SocketAddr) -> Subject {
    let probe = HttpProbe {
        method: Method::GET,
        path: PathAndQuery::from_static("/"),
        host: None,
        headers: HeaderMap::new(),
        body: "".into(),
        status: StatusSet(vec![200..=299]),
        expect: Expect::default(),
        body_bytes: 64 * 1024,
        redirects: 0,
        role: None,
        drain: DrainRule { header: None, status: StatusSet::default() },
    };
    Subject {
        id: 7,
        service: "s".into(),
        backend: "b".into(),
        destination: Destination {
            url: BackendUrl::tcp(Scheme::Http, &address.ip().to_string(), address.port()),
            tls: None,
            proxy_protocol: None,
            names: connect::KnownNames::default(),
        },
        protocol: UpstreamProtocol::Auto,
        health: Health {
            probes: vec![named("http", Level::Ready, ProbeKind::Http(probe))],
            quorum: None,
            tls: None,
            interval: Duration::from_millis(50),
            timeout: Duration::from_millis(400),
            confirm_interval: Duration::from_millis(20),
            stall_after: NEVER,
            errors: None,
        },
        epoch_header: None,
    }
}

/// A probe that is asked in every round.
pub(crate) fn named(name: &str, level: Level, kind: ProbeKind) -> Probe {
    Probe { name: name.into(), level, kind, interval: None, timeout: None }
}

/// A connection will do.
pub(crate) fn tcp() -> ProbeKind {
    ProbeKind::Tcp(TcpProbe::default())
}

/// Another kind of probe in place of the one of a subject.
pub(crate) fn of_kind(mut subject: Subject, kind: ProbeKind) -> Subject {
    subject.health.probes[0].kind = kind;
    subject
}

/// Changes the probe of a subject.
pub(crate) fn with_probe(mut subject: Subject, change: impl FnOnce(&mut HttpProbe)) -> Subject {
    match &mut subject.health.probes[0].kind {
        ProbeKind::Http(probe) => change(probe),
        other => unreachable!("it begins as HTTP: {other:?}"),
    }
    subject
}

/// Without witnesses.
pub(crate) fn alone() -> Surroundings {
    Surroundings::new(Witnesses::start(&[]))
}

/// Starts at once, with room for some reports.
pub(crate) fn start(subject: Subject) -> (Prober, mpsc::Receiver<Report>) {
    let (sender, reports) = mpsc::channel(64);
    (Prober::start(subject, Duration::ZERO, sender, alone()), reports)
}

pub(crate) async fn next(reports: &mut mpsc::Receiver<Report>) -> Report {
    let report = timeout(DEADLINE, reports.recv()).await.expect("a report comes in time");
    report.expect("the prober is running")
}

/// Probes until a probe passes or fails. An inconclusive one is no surprise on a busy machine.
pub(crate) async fn conclusion(subject: Subject) -> Report {
    let (_prober, mut reports) = start(subject);
    loop {
        let report = next(&mut reports).await;
        assert_eq!(report.id, 7);
        if !matches!(report.outcome, Outcome::Inconclusive(_)) {
            return report;
        }
    }
}

/// What [`conclusion`] comes to.
pub(crate) async fn outcome(subject: Subject) -> Outcome {
    conclusion(subject).await.outcome
}
