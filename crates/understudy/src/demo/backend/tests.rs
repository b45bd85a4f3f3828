//! A backend can be killed, hung, made unwell and revived, and others can tell.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn start() -> (Backend, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::new());
    let journal = Arc::new(Journal::new(Instant::now()));
    let backend = Backend::start("a", Arc::clone(&ledger), journal).expect("starts");
    (backend, ledger)
}

fn order(backend: &Backend, condition: Condition) {
    backend.order(condition);
    let deadline = Instant::now() + PATIENCE;
    while backend.condition() != condition {
        assert!(Instant::now() < deadline, "the order is not carried out");
        std::thread::yield_now();
    }
}

fn connect(backend: &Backend) -> TcpStream {
    let stream = TcpStream::connect(backend.address).expect("the port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    stream
}

/// Sends a request on an open connection and returns what comes back first.
fn exchange(stream: &mut TcpStream, head: &str) -> io::Result<String> {
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: demo\r\n\r\n").as_bytes())?;
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
}

#[test]
fn answers_with_its_name_and_counts_what_is_not_a_probe() {
    let (backend, _) = start();
    let mut stream = connect(&backend);
    let answer = exchange(&mut stream, "GET /hello").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("x-served-by: a"), "{answer}");
    assert!(answer.contains(r#""backend":"a""#), "{answer}");
    let health = exchange(&mut stream, "GET /healthz").expect("an answer");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert_eq!(backend.served(), 1);
}

#[test]
fn an_unwell_one_serves_and_fails_its_probes() {
    let (backend, _) = start();
    order(&backend, Condition::Unwell);
    let mut stream = connect(&backend);
    let health = exchange(&mut stream, "GET /healthz").expect("an answer");
    assert!(health.starts_with("HTTP/1.1 503"), "{health}");
    let answer = exchange(&mut stream, "GET /").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_killed_one_cuts_its_connections_and_comes_back_on_the_same_port() {
    let (backend, _) = start();
    let mut stream = connect(&backend);
    exchange(&mut stream, "GET /").expect("an answer");
    order(&backend, Condition::Dead);
    assert_eq!(exchange(&mut stream, "GET /").unwrap_or_default(), "", "the connection is cut");
    TcpStream::connect(backend.address).expect_err("the port is closed");
    order(&backend, Condition::Well);
    let answer = exchange(&mut connect(&backend), "GET /").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_hung_one_accepts_and_stands_still_and_forgets_what_it_was_sent() {
    let (backend, ledger) = start();
    let mut open = connect(&backend);
    exchange(&mut open, "GET /").expect("an answer");
    order(&backend, Condition::Hung);

    let mut fresh = connect(&backend);
    for stream in [&mut open, &mut fresh] {
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a read timeout");
        let post = "POST / HTTP/1.1\r\nHost: demo\r\nx-demo-id: 7\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(post.as_bytes()).expect("the kernel takes it");
        let silence = stream.read(&mut [0; 16]).expect_err("no answer");
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
    }

    order(&backend, Condition::Well);
    let answer = exchange(&mut connect(&backend), "GET /").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(ledger.executed(), 0, "what it was sent while it hung is not executed later");
}

#[test]
fn a_dead_one_cannot_hang_and_every_one_ends_with_its_handle() {
    for condition in [Condition::Well, Condition::Unwell, Condition::Hung, Condition::Dead] {
        let (backend, _) = start();
        if condition != Condition::Well {
            order(&backend, condition);
        }
        let address = backend.address;
        drop(backend);
        TcpStream::connect(address).expect_err("nobody is left");
    }
    let (backend, _) = start();
    order(&backend, Condition::Dead);
    backend.order(Condition::Hung);
    order(&backend, Condition::Well);
    exchange(&mut connect(&backend), "GET /").expect("an answer");
}

#[test]
fn a_post_with_a_number_is_written_into_the_ledger() {
    let (backend, ledger) = start();
    let mut stream = connect(&backend);
    for _ in 0..2 {
        let head = "POST / HTTP/1.1\r\nHost: demo\r\nx-demo-id: 7\r\nContent-Length: 2\r\n\r\nhi";
        stream.write_all(head.as_bytes()).expect("sends");
        let read = stream.read(&mut [0; 4096]).expect("an answer");
        assert!(read > 0);
    }
    assert_eq!((ledger.executed(), ledger.twice()), (1, 1));
}
