//! The pages beside the API, and what no client may do to the server.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use control::{Control, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than anything here takes, so that only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Admin {
    address: SocketAddr,
    control: Control,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

/// An admin listener on a balancer whose only backend refuses.
async fn start() -> Admin {
    let refusing = {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("an address")
    };
    let text = format!(
        "workers: 1\nlisteners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  web:\n    backends: \
         [{{ name: a, url: \"http://{refusing}\" }}]\n"
    );
    let config = config::load("test.yaml", &text, &PathBuf::new()).expect("a good config").config;
    let control = Control::start(config, Source::default(), control::Inherited::default())
        .await
        .expect("it starts");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let endpoints = vec![admin::Endpoint::Tcp(listener)];
    let settings = admin::Settings::default();
    let serving = tokio::spawn(admin::serve(endpoints, settings, control.clone(), stopped));
    Admin { address, control, stop, serving }
}

impl Admin {
    /// Sends a request as it is; the answer, head and body.
    async fn raw(&self, request: &str) -> String {
        let answer = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        timeout(PATIENCE, answer).await.expect("an answer in time").expect("an answer")
    }

    async fn ask(&self, method: &str, path: &str) -> String {
        let host = self.address;
        self.raw(&format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            .await
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a whole head").1
}

#[tokio::test]
async fn every_page_is_what_it_says() {
    let admin = start().await;
    let index = admin.ask("GET", "/").await;
    for path in ["/metrics", "/livez", "/readyz", "/status"] {
        assert!(body(&index).contains(path), "{index}");
    }
    assert!(admin.ask("GET", "/livez").await.starts_with("HTTP/1.1 200"));

    let metrics = admin.ask("GET", "/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("cache-control: no-store"), "{metrics}");
    assert!(body(&metrics).contains("# HELP understudy_"), "{metrics}");

    let status = admin.ask("GET", "/status").await;
    assert!(status.contains("content-type: application/json"), "{status}");
    let status: serde_json::Value = serde_json::from_str(body(&status)).expect("JSON");
    assert_eq!(status["services"][0]["name"], "web");
}

#[tokio::test]
async fn it_is_ready_once_every_backend_has_been_checked_and_not_while_stopping() {
    let admin = start().await;
    let ready = |status: &control::ServiceStatus| status.settled();
    let mut changes = admin.control.subscribe();
    let settled = changes.wait_for(|status| status.services.iter().all(|service| ready(service)));
    assert!(timeout(PATIENCE, settled).await.is_ok());
    assert!(admin.ask("GET", "/readyz").await.starts_with("HTTP/1.1 200"));
    admin.control.shut_down().await;
    let stopping = admin.ask("GET", "/readyz").await;
    assert!(stopping.starts_with("HTTP/1.1 503"), "{stopping}");
    assert_eq!(body(&stopping), "not ready: stopping\n");
    assert!(admin.ask("GET", "/livez").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn nothing_but_reading_what_is_there() {
    let admin = start().await;
    assert!(admin.ask("GET", "/nothing").await.starts_with("HTTP/1.1 404"));
    let head = admin.ask("HEAD", "/status").await;
    assert!(head.starts_with("HTTP/1.1 200") && body(&head).is_empty(), "{head}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = admin.ask(method, "/status").await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(answer.to_lowercase().contains("allow: get,head"), "{answer}");
    }
    let long = format!(
        "GET /livez HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n",
        admin.address,
        "x".repeat(64 * 1024)
    );
    // hyper may also close the connection while we still write.
    if let Ok(stream) = TcpStream::connect(admin.address).await {
        let answer = send_and_read(stream, &long).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

async fn send_and_read(mut stream: TcpStream, request: &str) -> String {
    let mut answer = Vec::new();
    // Either may fail when the other side has closed.
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_on_loopback() {
    let admin = start().await;
    for (host, status) in [
        ("localhost:9900", "200"),
        ("127.0.0.1", "200"),
        ("rebound.example", "421"),
        ("rebound.example:9900", "421"),
    ] {
        let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = admin.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
        let says_what_to_do = answer.contains("127.0.0.1 or localhost, or configure an address");
        assert_eq!(says_what_to_do, status == "421", "{answer}");
    }
}

#[tokio::test]
async fn a_request_without_a_name_is_answered() {
    let admin = start().await;
    for request in [
        "GET /livez HTTP/1.0\r\n\r\n",
        "OPTIONS /livez HTTP/1.0\r\n\r\n",
        "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    ] {
        let answer = admin.raw(request).await;
        let expected = if request.starts_with("GET") { "200" } else { "405" };
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_name_of_ours_does_not_excuse_another() {
    let admin = start().await;
    let hosts = "Host: localhost\r\nHost: rebound.example\r\n";
    let answer = admin.raw(&format!("GET /livez HTTP/1.0\r\n{hosts}\r\n")).await;
    assert_eq!(answer.split(' ').nth(1), Some("421"), "{answer}");
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_it_from_stopping() {
    let admin = start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(admin.address).await.expect("a place in the queue"));
    }
    // Those beyond the limit wait in the system's queue; none is left when it has stopped.
    drop(admin.stop);
    let stopped = timeout(PATIENCE, admin.serving).await;
    assert!(matches!(stopped, Ok(Ok(Ok(())))), "{stopped:?}");
    for mut stream in silent {
        let read = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("closed in time");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}
