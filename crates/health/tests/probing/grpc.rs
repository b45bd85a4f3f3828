//! The gRPC health protocol, spoken to servers that follow it, and to others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::model::{GrpcProbe, Level, Probe, ProbeKind, UpstreamProtocol};
use h2::server::SendResponse;
use health::{Cause, Outcome, Shown, Subject, Surroundings, Witnesses, show};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Method, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::{DEADLINE, OK, answering, backend, subject, until_closed};
use crate::tls::{Authority, assert_tls, https, provider};

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

fn asking(mut subject: Subject, service: &str) -> Subject {
    subject.health.timeout = DEADLINE;
    subject.health.probes = vec![Probe {
        name: "health".into(),
        level: Level::Ready,
        kind: ProbeKind::Grpc(GrpcProbe { service: service.into() }),
        interval: None,
        timeout: None,
    }];
    subject
}

async fn shown(subject: Subject) -> Shown {
    show(subject, 0, &Surroundings::new(Witnesses::start(&[]))).await
}

async fn outcome(address: SocketAddr, service: &str) -> Outcome {
    shown(asking(subject(address), service)).await.outcome
}

/// Serves one connection; hands on what is asked, with its body.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: mpsc::Sender<Request<Vec<u8>>>,
    answer: impl Fn(SendResponse<Bytes>) + Clone + Send + 'static,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (seen, answer) = (seen.clone(), answer.clone());
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut message = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                message.extend_from_slice(&data);
            }
            let _ = seen.try_send(Request::from_parts(head, message));
            answer(respond);
        });
    }
}

async fn server(
    answer: impl Fn(SendResponse<Bytes>) + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let seen = mpsc::channel(1).0;
    backend(move |_, stream| serve(stream, seen.clone(), answer.clone())).await
}

fn head(fields: &[(&'static str, &str)]) -> Response<()> {
    let mut head = Response::new(());
    for (name, value) in fields {
        head.headers_mut().insert(*name, value.parse().unwrap());
    }
    head
}

/// A message, then how it ended.
fn says(body: &[u8]) -> impl Fn(SendResponse<Bytes>) + Clone + use<> {
    let body = Bytes::copy_from_slice(body);
    move |mut respond| {
        let head = head(&[("content-type", "application/grpc")]);
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(body.clone(), false).unwrap();
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        stream.send_trailers(trailers).unwrap();
    }
}

/// Trailers only.
fn ends(status: &str, message: &str) -> impl Fn(SendResponse<Bytes>) + Clone + use<> {
    let fields = [status, message].map(str::to_owned);
    move |mut respond| {
        let head = head(&[
            ("content-type", "application/grpc"),
            ("grpc-status", &fields[0]),
            ("grpc-message", &fields[1]),
        ]);
        respond.send_response(head, true).unwrap();
    }
}

#[track_caller]
fn assert_grpc(outcome: &Outcome, why: &str) {
    match outcome {
        Outcome::Fail(Cause::Grpc(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn serving_passes_and_the_question_is_as_the_protocol_says() {
    let (sender, mut seen) = mpsc::channel(1);
    let address = backend(move |_, stream| serve(stream, sender.clone(), says(SERVING))).await;
    let mut subject = asking(subject(address), "shop.Cart");
    // Whatever the traffic speaks.
    subject.protocol = UpstreamProtocol::Http1;
    let shown = shown(subject).await;
    assert_eq!(shown.outcome, Outcome::Pass, "{shown:?}");
    let request = timeout(DEADLINE, seen.recv()).await.unwrap().unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri().to_string(), format!("http://{address}/grpc.health.v1.Health/Check"));
    let fields = request.headers();
    assert_eq!(fields[CONTENT_TYPE], "application/grpc");
    assert_eq!(fields[TE], "trailers");
    let time = fields["grpc-timeout"].to_str().unwrap().strip_suffix('m').unwrap();
    let time = Duration::from_millis(time.parse().unwrap());
    assert!(time <= DEADLINE && time > Duration::ZERO, "{time:?}");
    assert_eq!(request.body()[..], *b"\0\0\0\0\x0b\x0a\x09shop.Cart");
    for line in ["* asking for the health of shop.Cart", "* it is SERVING"] {
        assert!(shown.exchange.iter().any(|shown| shown == line), "{line}: {shown:#?}");
    }
}

#[tokio::test]
async fn any_other_state_fails() {
    for (body, why) in [
        (&[0, 0, 0, 0, 0][..], "UNKNOWN"),
        (&[0, 0, 0, 0, 2, 8, 2], "NOT_SERVING"),
        (&[0, 0, 0, 0, 2, 8, 3], "SERVICE_UNKNOWN"),
        (&[0, 0, 0, 0, 2, 8, 9], "(9)"),
    ] {
        let address = server(says(body)).await;
        assert_grpc(&outcome(address, "").await, why);
        assert_grpc(&outcome(address, "shop.Cart").await, "the service shop.Cart is ");
    }
}

#[tokio::test]
async fn how_a_call_ended_is_told_in_words() {
    for (status, message, service, why) in [
        ("12", "no%20such%20method", "", "it has no health service: no such method"),
        ("5", "unknown", "x", "it does not know the service x: unknown"),
        ("14", "", "", "UNAVAILABLE (14)"),
        // An answer without a message says nothing of health.
        ("0", "", "", "no message"),
    ] {
        let address = server(ends(status, message)).await;
        assert_grpc(&outcome(address, service).await, why);
    }
}

#[tokio::test]
async fn what_is_no_answer_of_grpc_fails() {
    let plain = server(|mut respond: SendResponse<Bytes>| {
        respond.send_response(head(&[("content-type", "text/html")]), true).unwrap();
    });
    assert_grpc(&outcome(plain.await, "").await, "content-type is `text/html`");
    let ill = server(|mut respond: SendResponse<Bytes>| {
        respond.send_response(Response::builder().status(503).body(()).unwrap(), true).unwrap();
    });
    assert_eq!(outcome(ill.await, "").await, Outcome::Fail(Cause::Status(503)));
    let endless = server(|mut respond: SendResponse<Bytes>| {
        let head = head(&[("content-type", "application/grpc")]);
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::from(vec![0; 1 << 20]), false).unwrap();
        tokio::spawn(
            async move { std::future::poll_fn(|context| stream.poll_reset(context)).await },
        );
    });
    assert_grpc(&outcome(endless.await, "").await, "longer than 4096 bytes");
    let unfinished = server(|mut respond: SendResponse<Bytes>| {
        let head = head(&[("content-type", "application/grpc")]);
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(SERVING), true).unwrap();
    });
    assert_grpc(&outcome(unfinished.await, "").await, "without a status");
}

#[tokio::test]
async fn what_does_not_answer_fails() {
    let reset = server(|mut respond: SendResponse<Bytes>| {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    for address in [reset.await, answering(OK).await] {
        let outcome = outcome(address, "").await;
        assert!(matches!(outcome, Outcome::Fail(Cause::Broken(_))), "{outcome:?}");
    }
    let silent = backend(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let mut silent = asking(subject(silent), "");
    silent.health.timeout = Duration::from_millis(200);
    assert_eq!(shown(silent).await.outcome, Outcome::Fail(Cause::Timeout));
}

/// A message that says SERVING, one byte at a time, for ever.
#[tokio::test]
async fn a_drip_is_cut_by_the_deadline() {
    let address = server(|mut respond: SendResponse<Bytes>| {
        let head = head(&[("content-type", "application/grpc")]);
        let mut stream = respond.send_response(head, false).unwrap();
        tokio::spawn(async move {
            while stream.send_data(Bytes::from_static(b"x"), false).is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    })
    .await;
    let mut subject = asking(subject(address), "");
    subject.health.timeout = Duration::from_millis(300);
    assert_eq!(shown(subject).await.outcome, Outcome::Fail(Cause::Timeout));
}

#[tokio::test]
async fn over_tls_http_2_must_be_agreed_on() {
    let authority = Authority::new("company");
    for alpn in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let (certificate, key) = authority.issue("lm1.example");
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = backend(move |_, stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                serve(stream, mpsc::channel(1).0, says(SERVING)).await;
            }
        })
        .await;
        let subject = asking(https(address, "lm1.example", authority.client()), "");
        let outcome = shown(subject).await.outcome;
        if alpn.contains(&"h2") {
            assert_eq!(outcome, Outcome::Pass);
        } else {
            assert_tls(&outcome, "ALPN");
        }
    }
}
