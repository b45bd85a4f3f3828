//! What each kind of answer, or none, is taken for.

use std::time::Duration;

use config::model::{BackendAddress, BackendUrl, Scheme};
use health::{Cause, Outcome};
use http::header::{HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{
    DEADLINE, OK, UNAVAILABLE, answering, backend, of_kind, outcome, read_request, start, subject,
    tcp, until_closed, with_probe,
};

const TIMEOUT: Outcome = Outcome::Fail(Cause::Timeout);

#[track_caller]
fn assert_broken(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Fail(Cause::Broken(_))), "{outcome:?}");
}

/// The request that a backend gets.
async fn request(change: impl FnOnce(&mut config::model::HttpProbe)) -> (String, String) {
    let (sender, mut requests) = mpsc::channel(8);
    let address = backend(move |_, mut stream| {
        let sender = sender.clone();
        async move {
            let request = read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            let _ = sender.send(request).await;
        }
    })
    .await;
    let (_prober, _reports) = start(with_probe(subject(address), change));
    let request = timeout(DEADLINE, requests.recv()).await.expect("in time").unwrap();
    (request.to_ascii_lowercase(), address.to_string())
}

#[tokio::test]
async fn a_good_answer_passes() {
    assert_eq!(outcome(subject(answering(OK).await)).await, Outcome::Pass);
}

#[tokio::test]
async fn the_request_says_who_asks_and_that_it_is_the_last() {
    let (request, address) =
        request(|probe| probe.path = PathAndQuery::from_static("/healthz?deep=1")).await;
    assert!(request.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{request}");
    for field in
        [&*format!("host: {address}"), "user-agent: understudy-health", "connection: close"]
    {
        assert_eq!(request.lines().filter(|line| *line == field).count(), 1, "{field}: {request}");
    }
}

#[tokio::test]
async fn the_request_is_as_configured() {
    let (request, _) = request(|probe| {
        probe.method = Method::HEAD;
        probe.host = Some(HeaderValue::from_static("licence.example"));
        probe.headers = HeaderMap::from_iter([
            (USER_AGENT, HeaderValue::from_static("other")),
            ("x-probe".parse().unwrap(), HeaderValue::from_static("1")),
        ]);
    })
    .await;
    assert!(request.starts_with("head / http/1.1\r\n"), "{request}");
    for field in ["host: licence.example", "user-agent: other", "x-probe: 1"] {
        assert_eq!(request.lines().filter(|line| *line == field).count(), 1, "{field}: {request}");
    }
    assert_eq!(request.matches("host:").count(), 1);
}

#[tokio::test]
async fn a_bad_status_fails_but_answers() {
    let outcome = outcome(subject(answering(UNAVAILABLE).await)).await;
    assert_eq!(outcome, Outcome::Fail(Cause::Status(503)));
    assert!(Cause::Status(503).answers() && !Cause::Timeout.answers());
}

#[tokio::test]
async fn the_config_says_what_passes() {
    let address = answering(UNAVAILABLE).await;
    let odd = with_probe(subject(address), |probe| probe.status.0.push(503..=503));
    assert_eq!(outcome(odd).await, Outcome::Pass);
}

#[tokio::test]
async fn an_answer_without_a_body_is_complete() {
    let address = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(outcome(subject(address)).await, Outcome::Pass);
    let head = with_probe(
        subject(answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await),
        |probe| probe.method = Method::HEAD,
    );
    assert_eq!(outcome(head).await, Outcome::Pass);
}

#[tokio::test]
async fn a_slow_body_passes_within_the_deadline() {
    let address = backend(|_, mut stream| async move {
        read_request(&mut stream).await;
        let (head, body) = OK.split_at(OK.len() - 2);
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        let _ = stream.write_all(body.as_bytes()).await;
    })
    .await;
    assert_eq!(outcome(subject(address)).await, Outcome::Pass);
}

#[tokio::test]
async fn a_body_that_does_not_end_is_no_answer() {
    let address = backend(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        until_closed(&mut stream).await;
    })
    .await;
    assert_eq!(outcome(subject(address)).await, TIMEOUT);
}

#[tokio::test]
async fn a_trickle_of_bytes_does_not_extend_the_deadline() {
    let address = backend(|_, mut stream| async move {
        let mut bytes = b"HTTP/1.1 200 OK\r\nx: ".iter().chain(std::iter::repeat(&b'x'));
        while stream.write_u8(*bytes.next().unwrap()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(outcome(subject(address)).await, TIMEOUT);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let address = backend(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    assert_eq!(outcome(subject(address)).await, TIMEOUT);
}

#[tokio::test]
async fn a_closed_port_refuses() {
    // Bound but not listening: nobody else gets the port meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let subject = subject(socket.local_addr().unwrap());
    for subject in [subject.clone(), of_kind(subject, tcp())] {
        let outcome = outcome(subject).await;
        assert!(matches!(outcome, Outcome::Fail(Cause::Refused(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_broken() {
    assert_broken(&outcome(subject(answering("SSH-2.0-OpenSSH_9.6\r\n").await)).await);
}

#[tokio::test]
async fn an_early_end_is_broken() {
    assert_broken(&outcome(subject(answering("").await)).await);
    assert_broken(&outcome(subject(answering("HTTP/1.1 200 OK\r\ncont").await)).await);
    let cut_off = answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    assert_broken(&outcome(subject(cut_off)).await);
    let unread = backend(|_, stream| async move { drop(stream) }).await;
    assert_broken(&outcome(subject(unread)).await);
}

#[tokio::test]
async fn an_endless_body_is_judged_by_its_head() {
    for status in ["200 OK", "500 Oh no"] {
        let address = backend(move |_, mut stream| async move {
            read_request(&mut stream).await;
            let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        })
        .await;
        let expected = match status {
            "200 OK" => Outcome::Pass,
            _ => Outcome::Fail(Cause::Status(500)),
        };
        assert_eq!(outcome(subject(address)).await, expected);
    }
}

#[tokio::test]
async fn tcp_asks_for_a_connection_only() {
    let address = backend(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let mut subject = of_kind(subject(address), tcp());
    assert_eq!(outcome(subject.clone()).await, Outcome::Pass);
    subject.destination.url.scheme = Scheme::Https;
    assert_eq!(outcome(subject).await, Outcome::Pass, "whatever is spoken there");
}

#[tokio::test]
async fn a_name_is_resolved_and_each_address_tried() {
    let mut subject = subject(answering(OK).await);
    let url = &mut subject.destination.url;
    let BackendAddress::Tcp { host, .. } = &mut url.address else { unreachable!("it is TCP") };
    *host = "localhost".into();
    assert_eq!(outcome(subject).await, Outcome::Pass);
}

#[tokio::test]
async fn a_name_without_an_address_does_not_resolve() {
    let mut subject = subject(answering(OK).await);
    // A label may have 63 octets (RFC 1035 section 2.3.4); so nobody is asked.
    let url = &mut subject.destination.url;
    *url = BackendUrl::tcp(Scheme::Http, &format!("{}.invalid", "x".repeat(64)), 80);
    subject.health.timeout = DEADLINE;
    let outcome = outcome(subject).await;
    assert!(matches!(outcome, Outcome::Fail(Cause::Resolve(_))), "{outcome:?}");
}
