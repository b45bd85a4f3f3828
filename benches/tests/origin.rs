//! The origin does what its paths and its control endpoint say.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::{get, request};
use benches::journal::fingerprint;
use benches::origin::Origin;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

fn origin() -> (Origin, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Origin::start(Path::new(env!("CARGO_BIN_EXE_origin")), folder.path(), "a"), folder)
}

fn raw(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(10 * SECOND)).expect("a timeout");
    stream.write_all(bytes.as_bytes()).expect("write");
    stream
}

fn to_end(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A connection that is broken off on purpose may end with a reset.
    if let Err(error) = stream.read_to_string(&mut text) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    text
}

#[test]
fn the_small_answer_says_who_answered() {
    let (origin, _folder) = origin();
    let answer = get(origin.address(), "/").expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (200, 128));
    assert_eq!(answer.header("x-origin"), Some("a"));
}

#[test]
fn sizes_and_framings_are_as_asked() {
    let (origin, _folder) = origin();
    for size in [0, 1, 16384, 100_000] {
        let sized = get(origin.address(), &format!("/bytes/{size}")).expect("an answer");
        assert_eq!(sized.body.len(), size);
        assert_eq!(sized.header("content-length"), Some(size.to_string().as_str()));
        let chunked = get(origin.address(), &format!("/chunked/{size}")).expect("an answer");
        assert_eq!(chunked.body.len(), size);
        assert_eq!(chunked.header("content-length"), None);
    }
    assert_eq!(get(origin.address(), "/status/418").expect("an answer").status, 418);
    let drip = get(origin.address(), "/drip?parts=3&size=7&ms=5").expect("an answer");
    assert_eq!(drip.body.len(), 21);
    let events = get(origin.address(), "/sse?count=2&ms=1").expect("an answer");
    assert_eq!(events.text(), "id: 0\ndata: a\n\nid: 1\ndata: a\n\n");
}

#[test]
fn echo_shows_the_head_and_the_body() {
    let (origin, _folder) = origin();
    let answer = request(origin.address(), "PUT", "/echo?x=1", &[("x-one", "1")], b"the body");
    let text = answer.expect("an answer").text();
    let (head, body) = text.split_once('\n').expect("two parts");
    let head: serde_json::Value = serde_json::from_str(head).expect("JSON");
    assert_eq!(
        (head["method"].as_str(), head["target"].as_str()),
        (Some("PUT"), Some("/echo?x=1"))
    );
    assert!(head["headers"].as_array().expect("headers").contains(&["x-one", "1"].into()));
    assert_eq!(body, "the body");
}

#[test]
fn an_order_is_in_the_journal_before_its_answer() {
    let (mut origin, _folder) = origin();
    let body = b"two books";
    let head = "POST /orders/42?ms=60000 HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    let stream = raw(origin.address(), &format!("{head}two books"));
    let entry = wait_for(10 * SECOND, "the order is in the journal", || {
        origin.journal().pop().ok_or("an empty journal")
    });
    assert_eq!((entry.method.as_str(), entry.id.as_str()), ("POST", "42"));
    assert_eq!((entry.path.as_str(), entry.origin.as_str()), ("/orders/42", "a"));
    assert_eq!(entry.body, Some(fingerprint(body)));
    origin.process.kill();
    assert_eq!(to_end(stream), "", "no answer was sent");
    assert_eq!(origin.journal(), [entry], "what was recorded survives SIGKILL");
}

#[test]
fn an_order_that_arrives_only_in_part_is_not_recorded() {
    let (origin, _folder) = origin();
    drop(raw(
        origin.address(),
        "POST /orders/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\ntwo",
    ));
    get(origin.address(), "/").expect("an answer");
    let paths: Vec<_> = origin.journal().into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, ["/"]);
}

#[test]
fn control_changes_health_status_and_delay() {
    let (origin, _folder) = origin();
    let status = |path| get(origin.address(), path).expect("an answer").status;
    assert_eq!((status("/healthz"), status("/")), (200, 200));
    origin.control("health=503");
    assert_eq!((status("/healthz"), status("/")), (503, 200));
    origin.control("health=200&status=500");
    assert_eq!((status("/healthz"), status("/")), (200, 500));
    origin.control("status=normal&delay_ms=80");
    let begun = Instant::now();
    assert_eq!(status("/"), 200);
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
    let json = br#"{"health": 404, "delay_ms": 0}"#;
    assert_eq!(request(origin.address(), "PUT", "/control", &[], json).expect("ok").status, 204);
    assert_eq!(status("/healthz"), 404);
    assert_eq!(request(origin.address(), "PUT", "/control?x=1", &[], b"").expect("ok").status, 400);
}

#[test]
fn control_changes_the_text_of_health_and_how_fast_it_comes() {
    let (origin, _folder) = origin();
    let text = || get(origin.address(), "/healthz").expect("an answer").body;
    assert_eq!(text(), b"health\n");
    origin.control("health_text=welcome");
    assert_eq!(text(), b"welcome");
    origin.control("health_drip_ms=20");
    let begun = Instant::now();
    assert_eq!(text(), b"welcome");
    assert!(begun.elapsed() >= Duration::from_millis(7 * 20), "{:?}", begun.elapsed());
    origin.control("health=204&health_drip_ms=0");
    assert_eq!(text(), b"");
}

#[test]
fn control_can_close_the_port_for_a_while() {
    let (origin, _folder) = origin();
    origin.control("refuse_ms=300");
    wait_for(10 * SECOND, "connections are refused", || {
        match TcpStream::connect(origin.address()) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            other => Err(other),
        }
    });
    wait_for(10 * SECOND, "it listens again", || get(origin.address(), "/"));
}

#[test]
fn it_breaks_off_where_it_is_told() {
    let (origin, _folder) = origin();
    let whole = to_end(raw(origin.address(), "GET /abort HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!(whole, "");
    let part = to_end(raw(origin.address(), "GET /abort?after=10 HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert!(
        part.contains("content-length: 1010\r\n") && part.ends_with("\r\n\r\n.........."),
        "{part}"
    );
}

#[test]
fn an_upgraded_connection_echoes() {
    let (origin, _folder) = origin();
    let head = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let stream = raw(origin.address(), &format!("{head}\x01\x02any bytes"));
    stream.shutdown(std::net::Shutdown::Write).expect("half-close");
    let text = to_end(stream);
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    assert!(text.ends_with("\r\n\r\n\x01\x02any bytes"), "{text:?}");
}

#[test]
fn a_trailer_is_sent_to_who_accepts_it() {
    let (origin, _folder) = origin();
    let text = to_end(raw(
        origin.address(),
        "GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, close\r\n\r\n",
    ));
    assert!(text.ends_with("0\r\nx-checksum: 17\r\n\r\n"), "{text:?}");
}

#[test]
fn stats_count_traffic_and_probes_apart() {
    let (mut origin, _folder) = origin();
    for epoch in ["1", "1", "2"] {
        let headers = [("x-understudy-epoch", epoch)];
        request(origin.address(), "GET", "/bytes/3", &headers, b"").expect("an answer");
    }
    get(origin.address(), "/healthz").expect("an answer");
    let stats = origin.stats();
    assert_eq!(stats["requests"], 3);
    assert_eq!(stats["probes"], 1);
    assert_eq!(stats["paths"]["/bytes"], 3);
    assert_eq!(stats["epochs"], serde_json::json!({"1": 2, "2": 1}));
    assert_eq!(stats["connections"], 5);
    origin.revive();
    assert_eq!(origin.stats()["requests"], 0, "a new life begins with new counts");
    assert_eq!(origin.journal().len(), 3, "but with the same journal");
}
