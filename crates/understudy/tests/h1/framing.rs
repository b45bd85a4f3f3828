//! Where a request ends: nothing that two parsers could read in two ways goes through
//! (RFC 9112 sections 6 and 7).

use crate::backend::Backend;
use crate::rig::{OK, Rig, Row};

const REFUSED: &[u16] = &[400, 501];
const NEXT: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

/// `POST /row` with these fields and this body, followed by a request on the same connection.
fn post(fields: &[u8], body: &[u8]) -> Vec<u8> {
    [b"POST /row HTTP/1.1\r\nhost: a\r\n", fields, b"\r\n", body, NEXT].concat()
}

#[test]
fn item_02_a_length_beside_chunked_is_refused_or_settled_and_closed() {
    for fields in [
        &b"content-length: 5\r\ntransfer-encoding: chunked\r\n"[..],
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let rig = Rig::new(Backend::answering(OK));
        let mut client = rig.client();
        client.send(post(fields, b"0\r\n\r\n"));
        let answer = client.response().expect("an answer");
        assert!(client.is_closed(), "not closed after {answer:?}");
        let seen = rig.backend.seen();
        if answer.status == 400 {
            assert!(seen.is_empty(), "refused, but at the backend: {seen:?}");
        } else {
            assert_eq!((answer.status, seen.len()), (200, 1), "{answer:?} {seen:?}");
            assert_eq!(seen[0].values("content-length"), Vec::<&str>::new(), "{seen:?}");
            assert_eq!(seen[0].values("transfer-encoding"), ["chunked"], "{seen:?}");
        }
    }
}

#[test]
fn item_03_a_length_that_is_not_one_number_is_refused() {
    const ROWS: &[Row] = &[
        Row::new("two that differ", b"content-length: 5\r\ncontent-length: 6\r\n"),
        Row::new("a list that differs", b"content-length: 5, 6\r\n"),
        Row::new("a sign", b"content-length: +5\r\n"),
        Row::new("hexadecimal", b"content-length: 0x5\r\n"),
        Row::new("a separator", b"content-length: 1_0\r\n"),
        Row::new("negative", b"content-length: -1\r\n"),
        Row::new("empty", b"content-length:\r\n"),
        Row::new("a space inside", b"content-length: 5 5\r\n"),
        Row::new("a fraction", b"content-length: 5.0\r\n"),
        Row::new("beyond 64 bits", b"content-length: 18446744073709551621\r\n"),
    ];
    let rig = Rig::new(Backend::answering(OK));
    // 413: too large is a fair word for a number beyond every limit.
    rig.refuses_all(ROWS, &[400, 413], |fields| post(fields, b"hello"));
}

#[test]
fn item_03_the_same_length_twice_is_refused_or_sent_on_once() {
    for fields in [&b"content-length: 5\r\ncontent-length: 5\r\n"[..], b"content-length: 5, 5\r\n"]
    {
        let rig = Rig::new(Backend::answering(OK));
        let request = [b"POST /row HTTP/1.1\r\nhost: a\r\n", fields, b"\r\nhello"].concat();
        let answer = rig.ask(request);
        let seen = rig.backend.seen();
        match answer.status {
            400 => assert!(seen.is_empty(), "{seen:?}"),
            _ => {
                assert_eq!((answer.status, seen.len()), (200, 1), "{answer:?} {seen:?}");
                assert_eq!(seen[0].values("content-length"), ["5"]);
                assert_eq!(seen[0].body, b"hello");
            }
        }
    }
}

#[test]
fn item_04_a_coding_that_is_not_one_final_chunked_is_refused() {
    const ROWS: &[Row] = &[
        Row::new("an unknown coding", b"transfer-encoding: xchunked\r\n"),
        Row::new("an empty first element", b"transfer-encoding: ,chunked\r\n"),
        Row::new("a vertical tab", b"transfer-encoding: \x0bchunked\r\n"),
        Row::new("identity", b"transfer-encoding: identity\r\n"),
        Row::new("chunked is not last", b"transfer-encoding: chunked, gzip\r\n"),
        Row::new("twice in a list", b"transfer-encoding: chunked, chunked\r\n"),
        Row::nginx_differs(
            "two lines",
            b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ),
        Row::nginx_differs(
            "two lines, the last unknown",
            b"transfer-encoding: chunked\r\ntransfer-encoding: x\r\n",
        ),
    ];
    let rig = Rig::new(Backend::answering(OK));
    rig.refuses_all(ROWS, REFUSED, |fields| post(fields, b"0\r\n\r\n"));
}

#[test]
fn item_04_chunked_in_http_1_0_is_refused() {
    let rig = Rig::new(Backend::answering(OK));
    let request = b"POST /row HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    rig.refuses("chunked in HTTP/1.0", [request, NEXT].concat(), REFUSED);
}

#[test]
fn item_05_a_malformed_chunk_ends_the_request() {
    const ROWS: &[Row] = &[
        Row::new("a prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
        Row::new("a minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        Row::new("a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
        Row::new("a separator", b"0_5\r\nhello\r\n0\r\n\r\n"),
        Row::new("a space before", b" 5\r\nhello\r\n0\r\n\r\n"),
        Row::new("17 digits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        Row::new("no size", b"\r\nhello\r\n0\r\n\r\n"),
        Row::nginx_differs("LF after the size", b"5\nhello\r\n0\r\n\r\n"),
        Row::new("CR after the size", b"5\rhello\r\n0\r\n\r\n"),
        Row::new("nothing after the data", b"5\r\nhello0\r\n\r\n"),
        Row::nginx_differs("LF after the data", b"5\r\nhello\n0\r\n\r\n"),
        Row::nginx_differs("LF in an extension", b"5;a\nhello\r\n0\r\n\r\n"),
    ];
    let rig = Rig::new(Backend::answering(OK));
    // By closing, if the head had been sent on and an answer begun. What must not arrive is a whole
    // request.
    rig.refuses_all(ROWS, &[0, 400, 502], |body| post(b"transfer-encoding: chunked\r\n", body));
}

#[test]
fn item_05_chunk_extensions_are_not_sent_on() {
    let rig = Rig::new(Backend::answering(OK));
    let request = b"POST /row HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                    5;secret=\"1\"\r\nhello\r\n0;secret\r\n\r\n";
    assert_eq!(rig.ask(request).status, 200);
    let seen = rig.backend.wait_seen("/row");
    assert_eq!(seen.body, b"hello");
    assert!(!String::from_utf8_lossy(&seen.raw).contains("secret"), "{seen:?}");
}

#[test]
fn item_05_chunk_extensions_are_bounded() {
    if !Row::nginx_differs("no bound", b"").applies() {
        return;
    }
    let rig = Rig::new(Backend::answering(OK));
    let mut client = rig.client();
    client.send(b"POST /row HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    // One byte of content for a kilobyte of extension, again and again.
    let chunk = [b"1;".as_slice(), &[b'x'; 1024], b"\r\nh\r\n"].concat();
    for _ in 0..1024 {
        client.send(&chunk);
    }
    client.send(b"0\r\n\r\n");
    if let Ok(answer) = client.response() {
        assert!([400, 413, 502].contains(&answer.status), "{answer:?}");
    }
    assert_eq!(rig.backend.seen_with("/row").len(), 0);
}

#[test]
fn requests_in_single_bytes_are_the_same_requests() {
    let rig = Rig::new(Backend::answering(OK));
    let requests: [&[u8]; 3] = [
        b"GET /get HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        b"POST /chunked HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
          3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    ];
    let mut client = rig.client();
    for (request, (marker, body)) in
        requests.iter().zip([("/get", ""), ("/length", "hello"), ("/chunked", "hello")])
    {
        let answer = client.send_in_bytes(request).response().expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()), "{marker}");
        assert_eq!(rig.backend.wait_seen(marker).body, body.as_bytes());
    }
}
