//! Real servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::model::{
    At, BackendUrl, Scheme, Secret, StatusSet, Tries, UpstreamProtocol, UpstreamTls,
};
use connect::Tls;
use hooks::{About, Call, Outcome, Party};
use http::header::{HOST, HeaderName, USER_AGENT};
use http::{Method, Request, Response};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::{
    DEADLINE, ONCE, about, answering, call, nobody, party, post, read_request, run, server, to,
    until_closed,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";

fn at(address: SocketAddr) -> About {
    About { backend: Some(party("a", address)), ..about() }
}

#[tokio::test]
async fn a_request_says_what_it_is_about() {
    let (address, seen) = answering(&[OK]).await;
    let mut request = post();
    request.path = "/api/{backend}?to={to}&at={url}".into();
    request.body = r#"{"epoch": {epoch}, "from": "{from}", "x": "{nobody}"}"#.into();
    let name = |name| HeaderName::from_static(name);
    request.headers = vec![
        (name("authorization"), Secret::Plain("Bearer hunter2".into())),
        (name("x-two"), Secret::Plain("1".into())),
        (name("x-two"), Secret::Plain("2".into())),
    ];
    let ended = run(&call(request), &at(address)).await;
    assert_eq!((ended.outcome, &*ended.words), (Outcome::Done, "answered 200: ok"));
    assert_eq!(ended.output, "ok\n");
    let seen = seen.lock().unwrap();
    let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"epoch": 41, "from": "a", "x": "{nobody}"}"#);
    let mut lines: Vec<_> = head.lines().collect();
    let port = address.port();
    assert_eq!(
        lines.remove(0),
        format!("POST /api/a?to=b&at=http%3A%2F%2F127.0.0.1%3A{port} HTTP/1.1")
    );
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "authorization: Bearer hunter2",
            "connection: close",
            "content-length: 43",
            &*format!("host: 127.0.0.1:{port}"),
            "idempotency-key: s-41-fence-a",
            "user-agent: understudy-hook",
            "x-two: 1",
            "x-two: 2",
            "x-understudy-epoch: 41",
            "x-understudy-gate: fence",
        ]
    );
}

#[tokio::test]
async fn what_is_configured_stands_in_place_of_ours() {
    let (address, seen) = answering(&[OK]).await;
    let mut request = post();
    let field = |name, value: &str| (name, Secret::Plain(value.into()));
    request.headers = vec![field(HOST, "app.example"), field(USER_AGENT, "me")];
    request.method = Method::GET;
    assert_eq!(run(&call(request), &at(address)).await.outcome, Outcome::Done);
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("GET / HTTP/1.1\r\n"), "{seen:?}");
    for line in ["\r\nhost: app.example\r\n", "\r\nuser-agent: me\r\n"] {
        assert!(seen[0].contains(line), "{seen:?}");
    }
    assert!(!seen[0].contains("understudy-hook"));
}

#[tokio::test]
async fn each_goes_where_it_should() {
    let (address, seen) = answering(&[OK]).await;
    let wrong = nobody().await;
    let nowhere = || Some(party("x", wrong));
    let about = About { from: nowhere(), to: nowhere(), backend: nowhere(), ..about() };
    let here = || Some(party("y", address));
    for (at, about) in [
        (At::Backend, About { backend: here(), ..about.clone() }),
        (At::From, About { from: here(), ..about.clone() }),
        (At::To, About { to: here(), ..about.clone() }),
    ] {
        let mut request = post();
        request.at = at;
        assert_eq!(run(&call(request), &about).await.outcome, Outcome::Done);
    }
    let url = BackendUrl::tcp(Scheme::Http, "elsewhere.example", 80);
    let mut request = post();
    request.at = At::Elsewhere { url, tls: UpstreamTls::default() };
    let call = Call::Http { request: request.clone(), elsewhere: Some(to(address)) };
    assert_eq!(run(&call, &about).await.outcome, Outcome::Done);
    assert_eq!(seen.lock().unwrap().len(), 4);

    request.at = At::From;
    let ended = run(&crate::support::call(request), &About { from: None, ..about }).await;
    assert_eq!(ended.outcome, Outcome::Unreachable);
    assert_eq!(ended.words, "there is no old active to ask");
}

#[tokio::test]
async fn who_refuses_is_not_reached() {
    let ended = run(&call(post()), &at(nobody().await)).await;
    assert_eq!(ended.outcome, Outcome::Unreachable);
    assert!(ended.words.starts_with("cannot connect: 127.0.0.1:"), "{ended:?}");
}

#[tokio::test]
async fn a_status_that_is_not_expected_fails_and_no_redirect_is_followed() {
    let (address, seen) = answering(&[
        "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\nwhy\n",
        "HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    ])
    .await;
    let mut request = post();
    request.status = StatusSet(vec![200..=299, 404..=404]);
    let call = call(request);
    for (outcome, words) in [
        (Outcome::Failed, "answered 500: why"),
        (Outcome::Failed, "answered 302"),
        (Outcome::Done, "answered 404"),
    ] {
        let ended = run(&call, &at(address)).await;
        assert_eq!((ended.outcome, &*ended.words), (outcome, words));
    }
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_known() {
    let silent = server(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let tries = Tries { deadline: Duration::from_millis(300), ..ONCE };
    let ended = hooks::run(&call(post()), &at(silent), &tries, false).await;
    assert_eq!(ended.outcome, Outcome::Unknown);
    assert_eq!(ended.words, "no complete answer in time");

    for answer in [
        &["HTTP/1.1 200 OK\r\ncontent-le"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"],
        &[""],
    ] {
        let (address, _) = answering(answer).await;
        let ended = run(&call(post()), &at(address)).await;
        assert_eq!(ended.outcome, Outcome::Unknown, "{answer:?}: {ended:?}");
    }
    let (address, _) = answering(&["HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\nhalf"]).await;
    let ended = run(&call(post()), &at(address)).await;
    assert_eq!(ended.outcome, Outcome::Failed, "what it says is enough: {ended:?}");
    assert_eq!(ended.output, "half");
}

#[tokio::test]
async fn a_request_that_is_dropped_closes_its_connection() {
    let (sender, mut closed) = mpsc::channel(8);
    let address = server(move |_, mut stream| {
        let sender = sender.clone();
        async move {
            read_request(&mut stream).await;
            sender.send("asked").await.unwrap();
            until_closed(&mut stream).await;
            sender.send("closed").await.unwrap();
        }
    })
    .await;
    let (call, about) = (call(post()), at(address));
    tokio::select! {
        ended = run(&call, &about) => panic!("{ended:?}"),
        heard = closed.recv() => assert_eq!(heard, Some("asked")),
    }
    assert_eq!(timeout(DEADLINE, closed.recv()).await.unwrap(), Some("closed"));
}

#[tokio::test]
async fn a_long_answer_is_kept_up_to_its_limit() {
    let address = server(|_, mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
    })
    .await;
    let mut request = post();
    request.output_bytes = 10;
    let ended = run(&call(request), &at(address)).await;
    assert_eq!((ended.outcome, &*ended.output), (Outcome::Done, "xxxxxxxxxx"));
}

#[tokio::test]
async fn a_missing_secret_fails_before_anything_is_sent() {
    let (address, seen) = answering(&[OK]).await;
    let mut request = post();
    request.headers = vec![(HeaderName::from_static("x-key"), Secret::File("/no/such/key".into()))];
    let ended = run(&call(request.clone()), &at(address)).await;
    assert_eq!(ended.outcome, Outcome::Failed);
    assert!(ended.words.contains("/no/such/key"), "{ended:?}");
    request.headers[0].1 = Secret::Plain("hunter\n2".into());
    let ended = run(&call(request), &at(address)).await;
    assert_eq!(ended.outcome, Outcome::Failed);
    assert!(!ended.words.contains("hunter"), "{ended:?}");
    assert!(seen.lock().unwrap().is_empty());
}

/// A server that speaks HTTP/2 and hands on what it is asked.
async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: mpsc::Sender<Request<Bytes>>,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut whole = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                whole.extend_from_slice(&data);
            }
            seen.send(Request::from_parts(head, whole.into())).await.unwrap();
            let mut sender = respond.send_response(Response::new(()), false).unwrap();
            sender.send_data(Bytes::from_static(b"ok"), true).unwrap();
        });
    }
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_configured() {
    let (sender, mut seen) = mpsc::channel(8);
    let address = server(move |_, stream| serve_http2(stream, sender.clone())).await;
    let backend = Party { protocol: UpstreamProtocol::Http2, ..party("a", address) };
    let mut request = post();
    request.path = "/x?y".into();
    request.body = "{epoch}".into();
    let ended = run(&call(request), &About { backend: Some(backend), ..about() }).await;
    assert_eq!((ended.outcome, &*ended.words), (Outcome::Done, "answered 200: ok"));
    let request = seen.recv().await.unwrap();
    assert_eq!(request.uri().to_string(), format!("http://{address}/x?y"));
    assert_eq!(request.body(), "41");
    assert_eq!(request.headers()["x-understudy-epoch"], "41");
    assert_eq!(request.headers()["idempotency-key"], "s-41-fence-a");
}

/// A backend over TLS that offers `protocols`, and the way to it.
async fn over_tls(protocols: &[&[u8]]) -> (Party, mpsc::Receiver<Request<Bytes>>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["app.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sender, seen) = mpsc::channel(8);
    let address = server(move |_, stream| {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return serve_http2(stream, sender).await;
            }
            read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut party = party("a", address);
    party.destination.url.scheme = Scheme::Https;
    let server_name = ServerName::try_from("app.example").unwrap();
    party.destination.tls = Some(Tls { config: Arc::new(client), server_name });
    (party, seen)
}

#[tokio::test]
async fn over_tls_what_is_spoken_is_what_the_server_chooses() {
    let (backend, _) = over_tls(&[b"http/1.1"]).await;
    let ended = run(&call(post()), &About { backend: Some(backend), ..about() }).await;
    assert_eq!((ended.outcome, &*ended.words), (Outcome::Done, "answered 200: ok"));

    let (backend, mut seen) = over_tls(&[b"h2", b"http/1.1"]).await;
    let ended = run(&call(post()), &About { backend: Some(backend.clone()), ..about() }).await;
    assert_eq!(ended.outcome, Outcome::Done, "{ended:?}");
    assert_eq!(seen.recv().await.unwrap().uri().scheme_str(), Some("https"));

    let (mut stranger, _) = over_tls(&[]).await;
    stranger.destination.tls = backend.destination.tls;
    let ended = run(&call(post()), &About { backend: Some(stranger), ..about() }).await;
    assert_eq!(ended.outcome, Outcome::Failed, "somebody is there");
    assert!(ended.words.contains("TLS handshake failed"), "{ended:?}");
}
