//! Bytes over TCP, and agents.

use std::net::SocketAddr;

use config::model::{AgentProbe, Level, Pattern, ProbeKind, TcpProbe, Wish};
use health::{Cause, Doubt, Outcome, Subject};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    OK, answering, backend, conclusion, named, next, of_kind, outcome, start, subject,
    until_closed, with_probe,
};

/// Says `first`, then to each line it gets `answer`, and stays.
async fn chatty(first: &'static [u8], answer: &'static [u8]) -> SocketAddr {
    backend(move |_, mut stream| async move {
        let _ = stream.write_all(first).await;
        while let Ok(byte) = stream.read_u8().await {
            if byte == b'\n' {
                let _ = stream.write_all(answer).await;
            }
        }
    })
    .await
}

fn asking(address: SocketAddr, send: &str, expect: Option<&str>) -> Subject {
    let expect = expect.map(|text| Pattern(regex::bytes::Regex::new(text).unwrap()));
    of_kind(subject(address), ProbeKind::Tcp(TcpProbe { send: send.into(), expect }))
}

#[tokio::test]
async fn what_is_sent_is_answered_as_expected() {
    let address = chatty(b"", b"+PO\xffNG\r\n").await;
    assert_eq!(outcome(asking(address, "PING\r\n", Some("NG\r"))).await, Outcome::Pass);
    assert_eq!(outcome(asking(address, "PING\r\n", None)).await, Outcome::Pass);
    let silent = outcome(asking(address, "PING", Some("PONG"))).await;
    assert_eq!(silent, Outcome::Fail(Cause::Timeout));
    let banner = chatty(b"220 smtp.example\r\n", b"").await;
    assert_eq!(outcome(asking(banner, "", Some("^220 "))).await, Outcome::Pass);
}

#[tokio::test]
async fn another_answer_is_told_as_such() {
    let stays = chatty(b"", b"-ERR loading\r\n").await;
    let leaves = answering("-ERR loading\r\n\r\n").await;
    for address in [stays, leaves] {
        match outcome(asking(address, "PING\r\n\r\n", Some("PONG"))).await {
            Outcome::Fail(Cause::Unexpected(what)) => {
                assert!(what.contains("\"PONG\", came \"-ERR loading"), "{what}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let address =
        backend(|_, mut stream| async move { while stream.write_all(&[0; 4096]).await.is_ok() {} })
            .await;
    let outcome = outcome(asking(address, "", Some("x"))).await;
    assert!(matches!(outcome, Outcome::Fail(Cause::Unexpected(_))), "{outcome:?}");
}

/// A healthy backend and an agent that listens there.
async fn with_agent(agent: SocketAddr) -> Subject {
    let mut subject = subject(answering(OK).await);
    let probe = AgentProbe { host: None, port: agent.port(), send: "".into() };
    subject.health.probes.push(named("agent", Level::Ready, ProbeKind::Agent(probe)));
    subject
}

#[tokio::test]
async fn an_agent_says_what_it_wants() {
    for (line, passes, wish) in [
        ("up ready\n", true, Some(Wish::Serve)),
        ("drain # update\r\n", true, Some(Wish::Drain)),
        ("maint", true, Some(Wish::Maintenance)),
        ("down # disk\nup\n", false, None),
    ] {
        let agent = backend(move |_, mut stream| async move {
            let _ = stream.write_all(line.as_bytes()).await;
        })
        .await;
        let report = conclusion(with_agent(agent).await).await;
        assert_eq!((report.outcome == Outcome::Pass, report.wish), (passes, wish), "{line}");
        if !passes {
            let cause = Cause::Agent("down: disk".to_owned());
            assert_eq!(report.outcome, Outcome::Fail(cause));
        }
    }
}

#[tokio::test]
async fn an_agent_that_cannot_be_reached_or_is_silent_is_no_failure() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = backend(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let mute = backend(|_, stream| async move { drop(stream) }).await;
    for agent in [socket.local_addr().unwrap(), silent, mute] {
        let mut subject = with_agent(agent).await;
        let report = conclusion(subject.clone()).await;
        assert_eq!((&report.outcome, report.wish), (&Outcome::Pass, None));
        assert_eq!(report.checks[1].outcome, Outcome::Inconclusive(Doubt::Silent));
        // Alone it leaves the question open.
        subject.health.probes.remove(0);
        let (_prober, mut reports) = start(subject);
        assert_eq!(next(&mut reports).await.outcome, Outcome::Inconclusive(Doubt::Silent));
    }
}

#[tokio::test]
async fn what_an_agent_said_holds_until_it_says_otherwise() {
    let agent = backend(|number, mut stream| async move {
        let line = match number {
            1 => "down drain\n",
            2 => "50%\n",
            3 => "\n",
            4 => "up\n",
            _ => "ready\n",
        };
        let _ = stream.write_all(line.as_bytes()).await;
    })
    .await;
    let mut subject = with_agent(agent).await;
    // One at a time, so that each round knows what the last one heard.
    subject.health.interval = std::time::Duration::from_millis(200);
    let (_prober, mut reports) = start(subject);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let report = next(&mut reports).await;
        seen.push((report.outcome == Outcome::Pass, report.wish));
    }
    let drain = Some(Wish::Drain);
    let expected =
        [(false, None), (false, None), (false, None), (true, drain), (true, Some(Wish::Serve))];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_agent_that_falls_silent_lifts_nothing() {
    for (line, passes, wish) in
        [("maint\n", true, Some(Wish::Maintenance)), ("down\n", false, None)]
    {
        let agent = backend(move |number, mut stream| async move {
            if number == 1 {
                let _ = stream.write_all(line.as_bytes()).await;
            }
        })
        .await;
        let mut subject = with_agent(agent).await;
        // What the other says in every pass must not override it.
        subject = with_probe(subject, |probe| {
            probe.drain.header = Some(http::HeaderName::from_static("understudy-drain"));
        });
        // One at a time, so that each round knows what the last one heard.
        subject.health.interval = std::time::Duration::from_millis(200);
        let (_prober, mut reports) = start(subject);
        for round in 1..=3 {
            let report = next(&mut reports).await;
            let said = (report.outcome == Outcome::Pass, report.wish);
            assert_eq!(said.0, passes, "{line}: round {round}: {report:?}");
            if passes {
                assert_eq!(said.1, wish, "round {round}");
            }
        }
    }
}
