//! Probes over HTTP/2, agreed on by TLS or known beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use config::model::UpstreamProtocol;
use h2::server::SendResponse;
use health::{Cause, Outcome, Subject};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE, UPGRADE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Version};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::{
    DEADLINE, NEVER, OK, answering, backend, conclusion, next, outcome, read_request, start,
    subject, until_closed, with_probe,
};
use crate::tls::{Authority, assert_tls, https, provider};

/// Serves one connection; hands on what is asked.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: mpsc::Sender<Request<()>>,
    answer: impl Fn(SendResponse<Bytes>),
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        answer(respond);
        let _ = seen.try_send(request.map(|_| ()));
    }
}

fn answer(status: u16, body: &'static str) -> impl Fn(SendResponse<Bytes>) + Clone {
    move |mut respond| {
        let response = Response::builder().status(status).body(()).unwrap();
        let mut body_sender = respond.send_response(response, false).unwrap();
        body_sender.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
    }
}

/// A backend that speaks HTTP/2 in the clear and nothing else.
pub(crate) async fn in_the_clear(
    answer: impl Fn(SendResponse<Bytes>) + Clone + Send + Sync + 'static,
) -> (Subject, mpsc::Receiver<Request<()>>) {
    let (sender, seen) = mpsc::channel(64);
    let address = backend(move |_, stream| serve(stream, sender.clone(), answer.clone())).await;
    let mut subject = subject(address);
    subject.protocol = UpstreamProtocol::Http2;
    (subject, seen)
}

async fn first(mut seen: mpsc::Receiver<Request<()>>) -> Request<()> {
    timeout(DEADLINE, seen.recv()).await.expect("in time").unwrap()
}

#[tokio::test]
async fn a_good_answer_passes() {
    let (subject, seen) = in_the_clear(answer(200, "ok")).await;
    let address = subject.destination.url.authority();
    let subject = with_probe(subject, |probe| {
        probe.path = PathAndQuery::from_static("/healthz?deep=1");
    });
    assert_eq!(outcome(subject).await, Outcome::Pass);
    let request = first(seen).await;
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(request.uri().to_string(), format!("http://{address}/healthz?deep=1"));
    assert_eq!(request.headers()[USER_AGENT], "understudy-health");
}

/// Reads one frame (RFC 9113 section 4.1) and returns its type.
async fn frame(stream: &mut TcpStream) -> Option<u8> {
    let mut header = [0; 9];
    stream.read_exact(&mut header).await.ok()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    stream.read_exact(&mut vec![0; length as usize]).await.ok()?;
    Some(header[3])
}

#[tokio::test]
async fn a_probe_says_goodbye() {
    const HEADERS: u8 = 1;
    const GO_AWAY: u8 = 7;
    let (sender, mut last_frames) = mpsc::channel(8);
    let address = backend(move |_, mut stream| {
        let sender = sender.clone();
        async move {
            stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await.unwrap();
            while frame(&mut stream).await != Some(HEADERS) {}
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let ok = [0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x88];
            stream.write_all(&[&settings[..], &ok[..]].concat()).await.unwrap();
            let mut last = None;
            while let Some(frame) = frame(&mut stream).await {
                last = Some(frame);
            }
            let _ = sender.send(last).await;
        }
    })
    .await;
    assert_eq!(outcome(subject_of(address)).await, Outcome::Pass);
    let last = timeout(DEADLINE, last_frames.recv()).await.expect("it is closed").unwrap();
    assert_eq!(last, Some(GO_AWAY));
}

#[tokio::test]
async fn the_request_is_as_configured_but_for_fields_of_connections() {
    let (subject, seen) = in_the_clear(answer(200, "")).await;
    let subject = with_probe(subject, |probe| {
        probe.method = Method::HEAD;
        probe.host = Some(HeaderValue::from_static("licence.example"));
        probe.headers = HeaderMap::from_iter([
            (USER_AGENT, HeaderValue::from_static("other")),
            ("x-probe".parse().unwrap(), HeaderValue::from_static("1")),
            (CONNECTION, HeaderValue::from_static("close")),
            (UPGRADE, HeaderValue::from_static("nothing")),
            (TE, HeaderValue::from_static("gzip")),
        ]);
    });
    assert_eq!(outcome(subject).await, Outcome::Pass);
    let request = first(seen).await;
    assert_eq!(request.method(), Method::HEAD);
    assert_eq!(request.uri().to_string(), "http://licence.example/");
    let fields = request.headers();
    assert_eq!(
        (&fields[USER_AGENT], &fields["x-probe"]),
        (&"other".parse().unwrap(), &"1".parse().unwrap())
    );
    // The one thing that it may say in HTTP/2 (RFC 9113 8.2.2), and servers of gRPC want to hear.
    assert_eq!(fields[TE], "trailers");
    for name in [CONNECTION, UPGRADE, HOST] {
        assert!(!fields.contains_key(&name), "{name}");
    }
}

#[tokio::test]
async fn a_bad_status_fails_but_answers() {
    let (subject, _seen) = in_the_clear(answer(503, "ill")).await;
    assert_eq!(outcome(subject).await, Outcome::Fail(Cause::Status(503)));
}

#[tokio::test]
async fn an_answer_without_a_body_is_complete() {
    let (subject, _seen) = in_the_clear(|mut respond: SendResponse<Bytes>| {
        let response = Response::builder().status(200).header(CONTENT_LENGTH, 9).body(()).unwrap();
        respond.send_response(response, true).unwrap();
    })
    .await;
    let subject = with_probe(subject, |probe| probe.method = Method::HEAD);
    assert_eq!(outcome(subject).await, Outcome::Pass);
}

#[tokio::test]
async fn a_body_that_does_not_end_is_no_answer() {
    let (subject, _seen) = in_the_clear(|mut respond: SendResponse<Bytes>| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        // Dropped, it would be reset.
        tokio::spawn(async move { std::future::poll_fn(|context| body.poll_reset(context)).await });
    })
    .await;
    assert_eq!(outcome(subject).await, Outcome::Fail(Cause::Timeout));
}

#[tokio::test]
async fn a_large_body_is_judged_by_its_head() {
    let (subject, _seen) = in_the_clear(|mut respond: SendResponse<Bytes>| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from(vec![b'x'; 1 << 20]), false).unwrap();
        tokio::spawn(async move { std::future::poll_fn(|context| body.poll_reset(context)).await });
    })
    .await;
    assert_eq!(outcome(subject).await, Outcome::Pass);
}

#[tokio::test]
async fn a_reset_and_a_goodbye_are_broken() {
    let (subject, _seen) = in_the_clear(|mut respond: SendResponse<Bytes>| {
        respond.send_reset(h2::Reason::REFUSED_STREAM);
    })
    .await;
    match outcome(subject).await {
        Outcome::Fail(Cause::Broken(why)) => assert!(why.contains("refused"), "{why}"),
        other => panic!("{other:?}"),
    }
    let address = backend(|_, mut stream| async move {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
        let _ = stream.write_all(&[&settings[..], &go_away[..]].concat()).await;
        until_closed(&mut stream).await;
    })
    .await;
    let outcome = outcome(subject_of(address)).await;
    assert!(matches!(outcome, Outcome::Fail(Cause::Broken(_))), "{outcome:?}");
}

fn subject_of(address: SocketAddr) -> Subject {
    let mut subject = subject(address);
    subject.protocol = UpstreamProtocol::Http2;
    subject
}

#[tokio::test]
async fn what_speaks_http_1_only_is_broken() {
    let outcome = outcome(subject_of(answering(OK).await)).await;
    assert!(matches!(outcome, Outcome::Fail(Cause::Broken(_))), "{outcome:?}");
}

#[tokio::test]
async fn silence_is_a_timeout_and_leaves_nothing_behind() {
    let open = Arc::new(watch::Sender::new(0_usize));
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
    let mut silent = subject_of(address);
    silent.health.interval = NEVER;
    let (prober, mut reports) = start(silent.clone());
    loop {
        match next(&mut reports).await.outcome {
            Outcome::Fail(Cause::Timeout) => break,
            Outcome::Inconclusive(_) => prober.suspect(),
            other => panic!("{other:?}"),
        }
    }
    drop(prober);
    let mut open = open.subscribe();
    timeout(DEADLINE, open.wait_for(|open| *open == 0)).await.expect("closed").unwrap();

    silent.health.timeout = NEVER;
    let (prober, _reports) = start(silent);
    timeout(DEADLINE, open.wait_for(|open| *open > 0)).await.expect("opened").unwrap();
    drop(prober);
    timeout(DEADLINE, open.wait_for(|open| *open == 0)).await.expect("broken off").unwrap();
}

/// A backend that answers over TLS, in HTTP/2 to whoever agreed to it; notes which it spoke.
async fn over_tls(authority: &Authority, alpn: &[&str]) -> (SocketAddr, mpsc::Receiver<Version>) {
    let (certificate, key) = authority.issue("lm1.example");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sender, spoken) = mpsc::channel(64);
    let address = backend(move |_, stream| {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let _ = sender.try_send(Version::HTTP_2);
                serve(stream, mpsc::channel(1).0, answer(200, "ok")).await;
            } else {
                let _ = sender.try_send(Version::HTTP_11);
                read_request(&mut stream).await;
                let _ = stream.write_all(OK.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    (address, spoken)
}

#[tokio::test]
async fn over_tls_what_is_agreed_on_is_spoken() {
    let authority = Authority::new("company");
    for (protocol, alpn, expected) in [
        (UpstreamProtocol::Auto, &["h2", "http/1.1"][..], Some(Version::HTTP_2)),
        (UpstreamProtocol::Auto, &["http/1.1"], Some(Version::HTTP_11)),
        (UpstreamProtocol::Auto, &[], Some(Version::HTTP_11)),
        (UpstreamProtocol::Http1, &["h2", "http/1.1"], Some(Version::HTTP_11)),
        (UpstreamProtocol::Http2, &["h2", "http/1.1"], Some(Version::HTTP_2)),
        (UpstreamProtocol::Http2, &["http/1.1"], None),
    ] {
        let (address, mut spoken) = over_tls(&authority, alpn).await;
        let mut subject = https(address, "lm1.example", authority.client());
        subject.protocol = protocol;
        let outcome = outcome(subject).await;
        match expected {
            Some(version) => {
                assert_eq!(outcome, Outcome::Pass, "{protocol:?} {alpn:?}");
                assert_eq!(spoken.recv().await, Some(version), "{protocol:?} {alpn:?}");
            }
            None => assert_tls(&outcome, "ALPN"),
        }
    }
}

#[tokio::test]
async fn in_the_clear_http_1_is_spoken_unless_told_otherwise() {
    for protocol in [UpstreamProtocol::Auto, UpstreamProtocol::Http1] {
        let mut subject = subject(answering(OK).await);
        subject.protocol = protocol;
        let report = conclusion(subject).await;
        assert_eq!(report.outcome, Outcome::Pass);
        assert_eq!(report.certificate_expires, None);
    }
}

#[tokio::test]
async fn the_end_of_the_certificate_is_reported_whatever_the_answer() {
    let authority = Authority::new("company");
    let (address, _spoken) = over_tls(&authority, &["h2", "http/1.1"]).await;
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        for status in [200, 500] {
            let mut subject = https(address, "lm1.example", authority.client());
            subject.protocol = protocol;
            let subject = with_probe(subject, |probe| probe.status.0 = vec![status..=status]);
            let report = conclusion(subject).await;
            assert_eq!(report.outcome == Outcome::Pass, status == 200);
            assert_eq!(report.certificate_expires, Some(expected_end()), "{protocol:?} {status}");
        }
    }
}

/// rcgen's certificates last until 4096 unless told otherwise.
fn expected_end() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(67_090_118_400)
}
