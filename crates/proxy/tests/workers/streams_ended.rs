//! What becomes of streams at a move: kept, or ended one after the other, each with a goodbye that its
//! client understands.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use config::model::StreamPolicy;
use h2::Reason;
use proxy::Leave;
use tokio::sync::Semaphore;

use crate::backend::{Backend, Then};
use crate::http2::{Http2Backend, Http2Client, read, request, wait};
use crate::rig::{Client, Plan, Rig, served, until};

const WINDOW: Duration = Duration::from_millis(800);

fn closing(mut plan: Plan) -> Plan {
    plan.streams = StreamPolicy::Close { deadline: Duration::ZERO, window: WINDOW };
    plan
}

/// Begins an answer of this type that has no end of itself; ends it when let go.
fn streaming(media_type: &'static str) -> (Http2Backend, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let backend = Http2Backend::start(move |mut call| {
        let gate = Arc::clone(&passed);
        async move {
            let mut send = call.head(&[("content-type", media_type)]);
            let _ = send.send_data(Bytes::from_static(b"begun"), false);
            let _ = gate.acquire().await;
            let _ = send.send_data(Bytes::from_static(b", done"), true);
        }
    });
    (backend, gate)
}

#[test]
fn kept_streams_finish_at_the_old_active() {
    let (a, let_go) = streaming("text/event-stream");
    let b = Http2Backend::named("b");
    let mut rig = Rig::active(Plan::http2(), &[a.address, b.address]);
    let mut client = Http2Client::connect(rig.address);
    let streams: Vec<_> = (0..4).map(|_| client.send_get("/").head().1).collect();
    rig.activate(2, Leave::Abandon);
    assert_eq!(client.get("/").served(), "b");
    assert_eq!(rig.metric("streams_left_total"), 4.0);
    let_go.close();
    for stream in streams {
        assert_eq!(wait("the rest", read(stream)).expect("whole").0, b"begun, done");
    }
    assert_eq!(rig.metric("streams_closed_total"), 0.0);
    rig.at_rest();
}

/// Also when nobody is active in between, as long as gates run.
#[test]
fn what_one_move_gave_time_the_next_does_not_hurry() {
    let ((a, let_go), (b, _gate)) =
        (streaming("text/event-stream"), streaming("text/event-stream"));
    let c = Http2Backend::named("c");
    let mut plan = Plan::http2();
    plan.streams =
        StreamPolicy::Close { deadline: Duration::from_secs(60), window: Duration::ZERO };
    let mut rig = Rig::active(plan, &[a.address, b.address, c.address]);
    let mut client = Http2Client::connect(rig.address);
    let patient = client.send_get("/").head().1;
    rig.deactivate(Leave::Finish);
    rig.streams = StreamPolicy::Close { deadline: Duration::ZERO, window: Duration::ZERO };
    rig.activate(2, Leave::Finish);
    let mut other = Http2Client::connect(rig.address);
    let hurried = other.send_get("/").head().1;
    rig.activate(3, Leave::Finish);
    let error = wait("the end", read(hurried)).expect_err("it must not look complete");
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    let_go.close();
    assert_eq!(wait("the rest", read(patient)).expect("whole").0, b"begun, done");
    assert_eq!(rig.metric("streams_left_total"), 2.0, "each once");
    assert_eq!(rig.metric("streams_closed_total"), 1.0);
}

/// Each stream alone, spread over the window; the clients are sent away.
#[test]
fn streams_end_one_after_the_other() {
    for media_type in ["text/event-stream", "application/octet-stream"] {
        let (a, _gate) = streaming(media_type);
        let b = Http2Backend::named("b");
        let mut rig = Rig::active(closing(Plan::http2()), &[a.address, b.address]);
        let mut clients: Vec<_> = (0..4).map(|_| Http2Client::connect(rig.address)).collect();
        let streams: Vec<_> =
            clients.iter_mut().map(|client| client.send_get("/").head().1).collect();
        let moved = Instant::now();
        rig.activate(2, Leave::Finish);
        let mut ends: Vec<Duration> = streams
            .into_iter()
            .map(|stream| {
                let error = wait("the end", read(stream)).expect_err("it must not look complete");
                assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
                moved.elapsed()
            })
            .collect();
        ends.sort();
        // The last of four has three quarters of the window.
        assert!(ends[3] >= WINDOW * 3 / 4, "{ends:?}");
        for client in &mut clients {
            client.end().expect("a graceful end");
        }
        assert_eq!(rig.metric("streams_left_total"), 4.0);
        assert_eq!(rig.metric("streams_closed_total"), 4.0);
        assert_eq!(rig.metric("requests_failed_total"), 0.0);
        until("the streams at the backend to end", || a.open() == 0 || a.journal.closed() > 0);
        rig.at_rest();
    }
}

#[test]
fn a_download_of_http1_is_cut() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun");
        exchange.body_until_closed();
        Then::Close
    });
    let b = Backend::named("b");
    let mut rig = Rig::active(closing(Plan::default()), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_get("/");
    client.read_until("begun");
    rig.activate(2, Leave::Finish);
    assert!(client.is_closed());
    until("the connection to be closed", || a.journal.closed() == 1);
    assert_eq!(rig.metric("streams_left_total"), 1.0);
    assert_eq!(rig.metric("streams_closed_total"), 1.0);
    assert_eq!(served(&rig.client().get("/")), "b");
    rig.at_rest();
}

#[test]
fn an_upload_ends_too() {
    let (a, b) = (
        Http2Backend::start(|mut call| async move {
            call.received().await;
            let _ = call.reset().await;
        }),
        Http2Backend::named("b"),
    );
    let mut rig = Rig::active(closing(Plan::http2()), &[a.address, b.address]);
    let mut client = Http2Client::connect(rig.address);
    let mut upload = client.send(request("POST", "/", &[]), false);
    upload.send.send_data(Bytes::from_static(b"begun"), false).unwrap();
    a.journal.await_requests(1);
    rig.activate(2, Leave::Finish);
    assert_eq!(upload.whole().status, 504);
    assert_eq!(rig.metric("streams_left_total"), 1.0);
    assert_eq!(rig.metric("streams_closed_total"), 1.0);
    assert_eq!(b.journal.count(), 0, "it may have been carried out");
    until("the stream at the backend to end", || a.open() == 0);
    rig.at_rest();
}

/// A WebSocket backend in the middle of a large frame, which it ends when it has been told to go. What
/// it was told is in `said`.
fn goodbyes(said: Arc<Mutex<Vec<u8>>>) -> Backend {
    Backend::start(move |exchange| {
        let fields = "upgrade: websocket\r\nconnection: upgrade\r\n";
        let accept = accept(&exchange.field("sec-websocket-key").expect("a key"));
        let accept = format!("sec-websocket-accept: {accept}\r\n");
        exchange
            .write(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}{accept}\r\n").as_bytes());
        exchange.write(&[0x82, 126, 0x10, 0x00]);
        exchange.write(&[b'x'; 0x800]);
        let mut frame = vec![0; 2];
        exchange.stream.read_exact(&mut frame).expect("a goodbye");
        frame.resize(6 + usize::from(frame[1] & 0x7f), 0);
        exchange.stream.read_exact(&mut frame[2..]).expect("a whole goodbye");
        *said.lock().unwrap() = frame;
        exchange.write(&[b'y'; 0x800]);
        // A frame that nobody is to see.
        exchange.write(&[0x81, 1, b'z']);
        exchange.body_until_closed();
        Then::Close
    })
}

/// What a server answers to a key (RFC 6455 1.3).
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// The code in a frame that says goodbye, with its mask undone.
fn code(frame: &[u8]) -> u16 {
    assert_eq!(frame[0], 0x88, "{frame:?}");
    let is_masked = frame[1] & 0x80 != 0;
    let (mask, at) = if is_masked { ([frame[2], frame[3]], 6) } else { ([0, 0], 2) };
    u16::from_be_bytes([frame[at] ^ mask[0], frame[at + 1] ^ mask[1]])
}

fn switch(rig: &Rig) -> Client {
    let mut client = rig.client();
    let fields = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n";
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(format!("GET /ws HTTP/1.1\r\nhost: h\r\n{fields}{key}\r\n"));
    let head = client.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

#[test]
fn a_websocket_ends_between_two_frames() {
    let said = Arc::default();
    let a = goodbyes(Arc::clone(&said));
    let b = Backend::named("b");
    let mut rig = Rig::active(closing(Plan::default()), &[a.address, b.address]);
    let mut client = switch(&rig);
    client.read_until(&"x".repeat(0x800));
    rig.activate(2, Leave::Finish);
    assert_eq!(rig.metric("streams_left_total"), 1.0);
    client.read_until(&"y".repeat(0x800));
    let mut goodbye = client.rest();
    let mut more = Vec::new();
    // The client's own goodbye, masked.
    client.stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).unwrap();
    client.stream.read_to_end(&mut more).unwrap();
    goodbye.extend_from_slice(&more);
    assert_eq!(code(&goodbye), 1012);
    assert_eq!(goodbye.len(), 2 + usize::from(goodbye[1]), "nothing behind it: {goodbye:?}");
    until("the goodbye at the backend", || a.journal.closed() == 1);
    let said = said.lock().unwrap().clone();
    assert!(said[1] & 0x80 != 0, "masked: {said:?}");
    assert_eq!(code(&said), 1001);
    rig.await_metric("streams_closed_total", 1.0);
    rig.await_metric("streams_open", 0.0);
    rig.at_rest();
}

/// The same for a client of HTTP/2, whose tunnel is a stream (RFC 8441).
#[test]
fn a_websocket_over_http2_ends_between_two_frames() {
    let said = Arc::default();
    let a = goodbyes(Arc::clone(&said));
    let b = Backend::named("b");
    let mut rig = Rig::active(closing(Plan::default()), &[a.address, b.address]);
    let mut client = Http2Client::connect(rig.address);
    // Its settings must have come.
    assert_eq!(
        client.send(request("OPTIONS", "/", &[("max-forwards", "0")]), true).whole().status,
        204
    );
    let mut asked = request("CONNECT", "/ws", &[("sec-websocket-version", "13")]);
    asked.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let sent = client.send(asked, false);
    let response = wait("a response", sent.response).expect("a response");
    assert_eq!(response.status(), 200);
    let (mut send, mut body) = (sent.send, response.into_body());
    let mut bytes = Vec::new();
    let mut take = |bytes: &mut Vec<u8>| match wait("more", body.data()) {
        Some(data) => {
            let data = data.expect("no error");
            let _ = body.flow_control().release_capacity(data.len());
            bytes.extend_from_slice(&data);
            true
        }
        None => false,
    };
    while bytes.len() < 4 + 0x800 {
        assert!(take(&mut bytes), "more to come");
    }
    rig.activate(2, Leave::Finish);
    while bytes.len() < 4 + 0x1000 + 4 {
        assert!(take(&mut bytes), "more to come");
    }
    send.send_data(Bytes::from_static(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]), true).unwrap();
    while take(&mut bytes) {}
    let goodbye = &bytes[4 + 0x1000..];
    assert_eq!(code(goodbye), 1012);
    assert_eq!(goodbye.len(), 2 + usize::from(goodbye[1]), "nothing behind it: {goodbye:?}");
    until("the end at the backend", || a.journal.closed() == 1);
    assert_eq!(code(&said.lock().unwrap()), 1001);
    assert_eq!(rig.metric("streams_left_total"), 1.0);
    rig.await_metric("streams_closed_total", 1.0);
    rig.await_metric("streams_open", 0.0);
    rig.at_rest();
    // Its neighbours live on.
    assert_eq!(client.get("/").served(), "b");
}

/// A download whose client takes nothing is a stream, too: it is counted as closed, not as failed.
#[test]
fn a_download_that_is_not_taken_ends_too() {
    let a = Http2Backend::start(|mut call| async move {
        let mut send = call.head(&[]);
        let _ = send.send_data(Bytes::from(vec![b'x'; 1 << 20]), false);
        let _ = std::future::poll_fn(|context| send.poll_reset(context)).await;
    });
    let b = Http2Backend::named("b");
    let mut rig = Rig::active(closing(Plan::http2()), &[a.address, b.address]);
    let mut client = Http2Client::connect(rig.address);
    let (_, mut body) = client.send_get("/").head();
    let mut taken = 0;
    while taken < 65_535 {
        taken += wait("data", body.data()).expect("more").expect("no error").len();
    }
    rig.activate(2, Leave::Finish);
    let error = wait("the end", body.data()).expect("no end").expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    assert_eq!(rig.metric("streams_left_total"), 1.0);
    assert_eq!(rig.metric("streams_closed_total"), 1.0);
    assert_eq!(rig.metric("requests_failed_total"), 0.0);
    rig.at_rest();
}
