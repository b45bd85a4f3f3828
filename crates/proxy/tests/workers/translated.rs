//! From one version of HTTP to the other: fields, lengths, trailers, and what comes before the answer.

use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Response};
use proxy::Leave;
use tokio::sync::Semaphore;

use crate::backend::{Backend, Then};
use crate::frames::FrameBackend;
use crate::http2::{Http2Backend, Http2Client, read, request, wait};
use crate::rig::{Plan, Rig, until};

#[test]
fn trailers_and_cookies_from_http2_to_http1() {
    let a = Backend::start(|exchange| {
        let cookies = exchange.field("cookie").unwrap_or_default();
        let body = exchange.body().expect("a whole body");
        let fields = "transfer-encoding: chunked\r\ntrailer: sum\r\n";
        exchange
            .write(format!("HTTP/1.1 200 OK\r\n{fields}x-cookies: {cookies}\r\n\r\n").as_bytes());
        exchange.write(format!("{:x}\r\n", body.len()).as_bytes());
        exchange.write(&body);
        exchange.write(b"\r\n0\r\nsum: 7\r\n\r\n");
        Then::Next
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let fields = [("cookie", "a=1"), ("cookie", "b=2")];
    let mut sent = client.send(request("POST", "/", &fields), false);
    sent.send.send_data(Bytes::from_static(b"hello"), true).unwrap();
    let whole = sent.whole();
    assert_eq!(whole.served(), "hello");
    // RFC 9113 8.2.3.
    assert_eq!(whole.headers["x-cookies"], "a=1; b=2");
    assert!(!whole.headers.contains_key("transfer-encoding"));
    assert_eq!(whole.trailers.expect("trailers")["sum"], "7");
    rig.at_rest();
}

#[test]
fn trailers_from_http1_to_http2_and_back() {
    let a = Http2Backend::start(|mut call| async move {
        let body = call.received().await;
        let mut send = call.head(&[("trailer", "sum")]);
        let _ = send.send_data(Bytes::from(body), false);
        let mut trailers = HeaderMap::new();
        trailers.insert("sum", HeaderValue::from_static("7"));
        let _ = send.send_trailers(trailers);
    });
    let rig = Rig::active(Plan::http2(), &[a.address]);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("5\r\nhello\r\n0\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("transfer-encoding: chunked\r\n"), "{answer:?}");
    let rest = client.read_until("\r\n\r\n");
    assert!(rest.contains("5\r\nhello\r\n0\r\n") && rest.contains("sum: 7\r\n"), "{rest}");
    rig.at_rest();
}

#[test]
fn a_head_has_a_length_and_no_body() {
    let a = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
        Then::Next
    });
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    for _ in 0..3 {
        let whole = client.send(request("HEAD", "/", &[]), true).whole();
        assert_eq!(whole.served(), "");
        assert_eq!(whole.headers["content-length"], "5");
    }
    assert_eq!(a.journal.accepted(), 1);
    rig.at_rest();
}

/// 103 reaches clients of both versions from backends of both; 100 is ours.
#[test]
fn early_hints_pass_between_versions() {
    let old = Backend::start(|exchange| {
        exchange.write(b"HTTP/1.1 103 Early Hints\r\nlink: </s>\r\n\r\n");
        exchange.answer("a")
    });
    let new = Http2Backend::start(|mut call| async move {
        let hints = Response::builder().status(103).header("link", "</s>").body(()).unwrap();
        call.respond.send_informational(hints).expect("a stream");
        call.answer("a");
    });
    for (plan, address) in [(Plan::default(), old.address), (Plan::http2(), new.address)] {
        let rig = Rig::active(plan, &[address]);
        let mut client = rig.client();
        let hints = client.get("/");
        assert_eq!(hints.status, 103, "{hints:?}");
        assert!(hints.head.contains("link: </s>\r\n"));
        assert_eq!(client.answer().status, 200);
        let mut client = Http2Client::connect(rig.address);
        let mut sent = client.send_get("/");
        let hints = wait(
            "early hints",
            std::future::poll_fn(|context| sent.response.poll_informational(context)),
        );
        let hints = hints.expect("hints").expect("no error");
        assert_eq!(hints.status().as_u16(), 103);
        assert_eq!(hints.headers()["link"], "</s>");
        assert_eq!(sent.whole().served(), "a");
        rig.at_rest();
    }
}

/// A backend whose DATA is more, or less, than it announced: its client sees a broken response.
#[test]
fn data_that_belies_its_length_never_looks_whole() {
    for (announced, text) in [(3, "hello"), (7, "hello")] {
        let a = FrameBackend::start(move |wire| {
            while let Some(stream) = wire.request() {
                wire.head(stream, Some(announced));
                wire.last_data(stream, text.as_bytes());
            }
        });
        let rig = Rig::active(Plan::http2(), &[a.address]);
        let error = Http2Client::connect(rig.address).send_get("/").broken();
        assert!(error.is_reset(), "{announced}: {error}");
        let mut client = rig.client();
        client.send_get("/");
        assert_eq!(client.try_answer(), None, "{announced}");
        rig.await_metric("requests_failed_total upstream", 2.0);
        rig.at_rest();
    }
}

/// gRPC that fails here is told in its own words.
#[test]
fn failures_of_grpc() {
    let gate = Arc::new(Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let a = Http2Backend::start(move |mut call| {
        let gate = Arc::clone(&passed);
        async move {
            if call.request.uri.path() == "/half" {
                let mut send = call.head(&[("content-type", "application/grpc")]);
                let _ = send.send_data(Bytes::from_static(b"begun"), false);
                let _ = gate.acquire().await;
                send.send_reset(Reason::INTERNAL_ERROR);
            }
            // Its drop resets the stream.
        }
    });
    let mut rig = Rig::start(Plan::http2(), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let grpc = |path, timeout| {
        request(
            "POST",
            path,
            &[("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", timeout)],
        )
    };
    // While it is held.
    let whole = client.send(grpc("/held", "300m"), true).whole();
    assert_eq!(whole.served(), "");
    assert_eq!(whole.headers["grpc-status"], "4", "trailers only: its one head is its end");
    assert_eq!(whole.headers["content-type"], "application/grpc");
    assert!(whole.trailers.is_none());
    assert_eq!(a.journal.count(), 0);
    // In the middle.
    rig.activate(1, Leave::Finish);
    let (_, mut body) = client.send(grpc("/half", "1M"), true).head();
    let begun = wait("the first message", body.data()).expect("data").expect("no error");
    assert_eq!(begun, "begun");
    gate.close();
    let (rest, trailers) = wait("the end", read(body)).expect("an end in trailers");
    assert_eq!(rest, b"");
    assert_eq!(trailers.expect("trailers")["grpc-status"], "14");
    // Before the head; it may have been carried out.
    let whole = client.send(grpc("/lost", "1M"), true).whole();
    assert_eq!(whole.headers["grpc-status"], "14");
    until("nothing at work", || rig.metric("requests_in_flight") == 0.0);
    rig.at_rest();
}
