//! What a backend is told of the epoch, and what an operator is shown of a probe.

use config::model::{AgentProbe, Level, Probe, ProbeKind};
use health::{Cause, Outcome, Subject};
use http::HeaderName;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{
    DEADLINE, NEVER, OK, UNAVAILABLE, alone, answering, backend, named, read_request, start,
    subject, tcp, with_probe,
};

const EPOCH: HeaderName = HeaderName::from_static("x-understudy-epoch");

/// A backend that hands on what it is asked.
async fn asked() -> (Subject, mpsc::Receiver<String>) {
    let (sender, requests) = mpsc::channel(64);
    let address = backend(move |_, mut stream| {
        let sender = sender.clone();
        async move {
            let request = read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = sender.send(request.to_ascii_lowercase()).await;
        }
    })
    .await;
    (subject(address), requests)
}

#[tokio::test]
async fn a_probe_tells_the_epoch_of_its_service_and_follows_it() {
    let (mut subject, mut requests) = asked().await;
    subject.epoch_header = Some(EPOCH);
    let (prober, mut reports) = start(subject);
    for epoch in [41_u64, 42] {
        prober.tell_epoch(epoch);
        let field = format!("\r\nx-understudy-epoch: {epoch}\r\n");
        let told = async {
            while !requests.recv().await.unwrap().contains(&field) {
                reports.recv().await.unwrap();
            }
        };
        timeout(DEADLINE, told).await.expect("it is told in time");
    }
}

#[tokio::test]
async fn without_a_field_for_it_nothing_is_told() {
    let (subject, mut requests) = asked().await;
    let (prober, _reports) = start(subject);
    prober.tell_epoch(41);
    let request = timeout(DEADLINE, requests.recv()).await.unwrap().unwrap();
    assert!(!request.contains("epoch"), "{request}");
}

#[tokio::test]
async fn an_operator_sees_the_whole_exchange() {
    let (mut subject, _requests) = asked().await;
    subject.epoch_header = Some(EPOCH);
    let address = subject.destination.url.authority();
    let shown = health::show(subject, 7, &alone()).await;
    assert_eq!(shown.outcome, Outcome::Pass, "{shown:?}");
    for line in [
        &*format!("* connecting to http://{address}"),
        "> GET / HTTP/1.1",
        "> x-understudy-epoch: 7",
        "< HTTP/1.1 200 OK",
        "< content-length: 2",
        "< ok",
    ] {
        assert!(shown.exchange.iter().any(|shown| shown == line), "{line}: {shown:#?}");
    }
}

#[tokio::test]
async fn what_fails_is_shown_as_far_as_it_came() {
    let shown = health::show(subject(answering(UNAVAILABLE).await), 7, &alone()).await;
    assert_eq!(shown.outcome, Outcome::Fail(Cause::Status(503)));
    assert!(shown.exchange.contains(&"< HTTP/1.1 503 Service Unavailable".to_owned()), "{shown:?}");
}

#[tokio::test]
async fn each_probe_of_a_round_is_shown_with_what_it_says() {
    let answer = "HTTP/1.1 200 OK\r\nunderstudy-drain: 1\r\ncontent-length: 0\r\n\r\n";
    let mut subject = with_probe(subject(answering(answer).await), |probe| {
        probe.drain.header = Some(HeaderName::from_static("understudy-drain"));
    });
    let closed = AgentProbe { host: None, port: 1, send: "".into() };
    let agent =
        Probe { interval: Some(NEVER), ..named("agent", Level::Ready, ProbeKind::Agent(closed)) };
    subject.health.probes.extend([named("port", Level::Alive, tcp()), agent]);
    let shown = health::show(subject, 7, &alone()).await;
    assert_eq!(shown.outcome, Outcome::Pass, "{shown:?}");
    let line = |begin: &str, end: &str| {
        shown.exchange.iter().any(|line| line.starts_with(begin) && line.ends_with(end))
    };
    for (begin, end) in [
        ("* probe http (ready) after ", " ms: pass, wishes a drain"),
        ("* probe port (alive) after ", " ms: pass"),
        ("* the agent cannot be asked: cannot connect: ", ""),
        ("* probe agent (ready) after ", " ms: inconclusive: nobody said anything"),
    ] {
        assert!(line(begin, end), "{begin}: {shown:#?}");
    }
}
