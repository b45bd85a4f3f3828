//! Response heads: what is understood, what is refused, and that it does not matter how they arrive.

use super::*;
use crate::mutate::{Mutator, SEEDS, cases};

/// What a test compares of a head.
#[derive(Debug, PartialEq)]
struct Summary {
    status: u16,
    fields: Vec<(String, String)>,
    body: Decoder,
    keeps_open: bool,
}

impl From<Head> for Summary {
    fn from(head: Head) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = head.head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        Self {
            status: head.head.status.as_u16(),
            fields: fields.collect(),
            body: head.body,
            keeps_open: head.keeps_open,
        }
    }
}

/// Parses all of `input` at once: the head, if there is one, and what is left of the input.
fn whole(input: &[u8], method: &Method) -> Result<(Option<Summary>, BytesMut), Malformed> {
    let mut left = BytesMut::from(input);
    match parse(&mut left, method)? {
        Parsed::Partial => {
            assert_eq!(left, input, "a part of a head was taken");
            Ok((None, left))
        }
        Parsed::Head(head) => Ok((Some(head.into()), left)),
    }
}

/// Parses `input` as it arrives byte by byte: the head and how many bytes it took.
fn bytewise(input: &[u8], method: &Method) -> Result<Option<(Summary, usize)>, Malformed> {
    let mut arrived = BytesMut::new();
    for (index, byte) in input.iter().enumerate() {
        arrived.extend_from_slice(&[*byte]);
        match parse(&mut arrived, method)? {
            Parsed::Partial => assert_eq!(arrived, input[..=index], "a part of a head was taken"),
            Parsed::Head(head) => {
                assert!(arrived.is_empty(), "something of a complete head was left");
                return Ok(Some((head.into(), index + 1)));
            }
        }
    }
    Ok(None)
}

/// A head in a few words.
struct Case {
    input: &'static str,
    method: Method,
    expected: Summary,
}

fn case(
    method: Method,
    input: &'static str,
    status: u16,
    body: Decoder,
    keeps_open: bool,
    fields: &[(&str, &str)],
) -> Case {
    let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Case { input, method, expected: Summary { status, fields, body, keeps_open } }
}

fn get(
    input: &'static str,
    status: u16,
    body: Decoder,
    keeps_open: bool,
    fields: &[(&str, &str)],
) -> Case {
    case(Method::GET, input, status, body, keeps_open, fields)
}

/// Every case at once and byte by byte, with something behind it that must not be touched.
fn check(cases: impl IntoIterator<Item = Case>) {
    for Case { input, method, expected } in cases {
        let mut longer = input.as_bytes().to_vec();
        longer.extend_from_slice(b"HTTP/1.1 ");
        let (head, left) = whole(&longer, &method).unwrap_or_else(|e| panic!("{input:?}: {e}"));
        assert_eq!(head.as_ref(), Some(&expected), "{input:?}");
        assert_eq!(&left[..], b"HTTP/1.1 ", "{input:?}");
        let arrived = bytewise(&longer, &method).unwrap_or_else(|e| panic!("{input:?}: {e}"));
        assert_eq!(arrived, Some((expected, input.len())), "{input:?}, byte by byte");
    }
}

#[test]
fn framing() {
    let (length, chunked) = (Decoder::length, Decoder::chunked);
    check([
        get(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            200,
            length(5),
            true,
            &[("content-length", "5")],
        ),
        get(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            length(0),
            true,
            &[("content-length", "0")],
        ),
        get(
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
            200,
            length(u64::MAX),
            true,
            &[("content-length", "18446744073709551615")],
        ),
        get("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, chunked(), true, &[]),
        get("HTTP/1.1 200 OK\r\nTransfer-Encoding:ChUnKeD \r\n\r\n", 200, chunked(), true, &[]),
        get("HTTP/1.1 200\r\n\r\n", 200, Decoder::until_closed(), true, &[]),
        get(
            "HTTP/1.1 404 Not Found, really\r\nA: b\r\n\r\n",
            404,
            Decoder::until_closed(),
            true,
            &[("a", "b")],
        ),
    ]);
}

#[test]
fn answers_without_a_body() {
    let none = Decoder::length(0);
    check([
        case(
            Method::HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            200,
            none,
            true,
            &[("content-length", "5")],
        ),
        case(
            Method::HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
            none,
            true,
            &[],
        ),
        case(Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n", 200, none, true, &[]),
        get("HTTP/1.1 204 No Content\r\n\r\n", 204, none, true, &[]),
        get("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, none, true, &[]),
        get(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n",
            304,
            none,
            true,
            &[("content-length", "7"), ("etag", "x")],
        ),
        get("HTTP/1.1 100 Continue\r\n\r\n", 100, none, true, &[]),
        get("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 103, none, true, &[("link", "</a>")]),
    ]);
}

#[test]
fn how_long_the_connection_lives() {
    let none = Decoder::length(0);
    let of = |input, keeps_open| get(input, 204, none, keeps_open, &[]);
    check([
        of("HTTP/1.1 204 x\r\n\r\n", true),
        of("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n", false),
        of("HTTP/1.1 204 x\r\nConnection: a, CLOSE\r\n\r\n", false),
        of("HTTP/1.1 204 x\r\nConnection: keep-alive\r\n\r\n", true),
        of("HTTP/1.1 204 x\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false),
        of("HTTP/1.1 204 x\r\nConnection: closed\r\n\r\n", true),
        of("HTTP/1.0 204 x\r\n\r\n", false),
        of("HTTP/1.0 204 x\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n\r\n", true),
        of("HTTP/1.0 204 x\r\nConnection: keep-alive, close\r\n\r\n", false),
    ]);
}

#[test]
fn what_is_about_one_connection_goes_no_further() {
    let none = Decoder::length(0);
    check([
        get(
            "HTTP/1.1 204 x\r\nX-Foo: 1\r\nConnection: close, x-foo\r\nx-foo: 2\r\nX-Bar: 3\r\n\r\n",
            204,
            none,
            false,
            &[("x-bar", "3")],
        ),
        get(
            "HTTP/1.1 200 x\r\nConnection: content-length, content-type\r\nContent-Length: 3\r\n\
             Content-Type: a\r\n\r\n",
            200,
            Decoder::length(3),
            true,
            &[("content-length", "3"), ("content-type", "a")],
        ),
        get(
            "HTTP/1.1 200 x\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
            Decoder::chunked(),
            true,
            &[],
        ),
        get(
            "HTTP/1.1 204 x\r\nUpgrade: h2c\r\nTE: trailers\r\nKeep-Alive: a\r\n\
             Proxy-Connection: b\r\nSet-Cookie: c\r\nset-cookie: d\r\n\r\n",
            204,
            none,
            true,
            &[("set-cookie", "c"), ("set-cookie", "d")],
        ),
        // A switch of protocols is about the connection, and is to be passed on.
        get(
            "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nKeep-Alive: a\r\n\r\n",
            101,
            none,
            true,
            &[("connection", "upgrade"), ("upgrade", "websocket")],
        ),
    ]);
}

#[test]
fn values_are_kept_as_they_are() {
    check([get(
        "HTTP/1.1 204 \r\nA:\r\nB: \t x\ty z\t \r\nC: \u{e9}\r\n\r\n",
        204,
        Decoder::length(0),
        true,
        &[("a", ""), ("b", "x\ty z"), ("c", "\u{e9}")],
    )]);
}

#[test]
fn refused() {
    const MORE: &str = "more than one content-length";
    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";
    let after_status: &[(&str, &str)] = &[
        ("Content-Length: 5\r\nContent-Length: 5\r\n", MORE),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", MORE),
        ("Content-Length: 5, 5\r\n", LENGTH),
        ("Content-Length: +5\r\n", LENGTH),
        ("Content-Length: -1\r\n", LENGTH),
        ("Content-Length: 0x5\r\n", LENGTH),
        ("Content-Length: 5 5\r\n", LENGTH),
        ("Content-Length: 5;\r\n", LENGTH),
        ("Content-Length:\r\n", LENGTH),
        ("Content-Length: \u{0665}\r\n", LENGTH),
        ("Content-Length: 18446744073709551616\r\n", LENGTH),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CODING),
        ("Transfer-Encoding: chunked, chunked\r\n", CODING),
        ("Transfer-Encoding: gzip\r\n", CODING),
        ("Transfer-Encoding: gzip, chunked\r\n", CODING),
        ("Transfer-Encoding: identity\r\n", CODING),
        ("Transfer-Encoding: chunked;a=b\r\n", CODING),
        ("Transfer-Encoding: \"chunked\"\r\n", CODING),
        ("Transfer-Encoding:\r\n", CODING),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "transfer-encoding with content-length",
        ),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding with content-length",
        ),
        ("A: b\0c\r\n", "field"),
        ("A: b\rc\r\n", "field"),
        ("A: b\x7fc\r\n", "field"),
        ("A : b\r\n", "field"),
        ("A\t: b\r\n", "field"),
        (": b\r\n", "field"),
        ("A\r\n", "field"),
        ("A(: b\r\n", "field"),
        ("A: b\r\n c\r\n", "field"),
        ("A: b\r\n\tc\r\n", "field"),
        (" A: b\r\n", "field"),
    ];
    for (fields, reason) in after_status {
        refuse(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), reason);
        refuse(&format!("HTTP/1.1 200 OK\r\nX: y\r\n{fields}Z: z\r\n\r\n"), reason);
    }
    let heads = [
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer-encoding in HTTP/1.0"),
        ("HTTP/1.1 099 OK\r\n\r\n", "status"),
        ("HTTP/1.1 000 OK\r\n\r\n", "status"),
        ("HTTP/1.1 20 OK\r\n\r\n", "status"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "status"),
        ("HTTP/1.1 abc OK\r\n\r\n", "status"),
        ("HTTP/1.1 -20 OK\r\n\r\n", "status"),
        ("HTTP/1.1 200 O\0K\r\n\r\n", "status"),
        ("HTTP/1.1  200 OK\r\n\r\n", "status"),
        ("HTTP/2.0 200 OK\r\n\r\n", "version"),
        ("HTTP/1.2 200 OK\r\n\r\n", "version"),
        ("http/1.1 200 OK\r\n\r\n", "version"),
        ("ICY 200 OK\r\n\r\n", "version"),
        ("<html>hello</html>\n", "version"),
        ("\0HTTP/1.1 200 OK\r\n\r\n", "version"),
    ];
    for (head, reason) in heads {
        refuse(head, reason);
    }
}

#[track_caller]
fn refuse(input: &str, reason: &'static str) {
    let refused = Some(Malformed(reason));
    assert_eq!(whole(input.as_bytes(), &Method::GET).err(), refused, "{input:?}");
    // What is wrong shows at the latest at the end; which of two errors shows first may differ.
    assert!(bytewise(input.as_bytes(), &Method::GET).is_err(), "{input:?}, byte by byte");
    // A response that has no body is no excuse for framing that can be read in two ways.
    assert_eq!(whole(input.as_bytes(), &Method::HEAD).err(), refused, "{input:?} to HEAD");
}

#[test]
fn at_most_a_hundred_fields() {
    let head = |fields: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(fields));
    let (most, _) = whole(head(100).as_bytes(), &Method::GET).unwrap();
    assert_eq!(most.map(|head| head.fields.len()), Some(100));
    refuse(&head(101), "too many fields");
}

#[test]
fn at_most_64_kib() {
    const FRAME: usize = "HTTP/1.1 200 OK\r\na: \r\n\r\n".len();
    let head =
        |bytes: usize| format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(bytes - FRAME));
    let (most, _) = whole(head(MAX_HEAD).as_bytes(), &Method::GET).unwrap();
    assert!(most.is_some());

    let too_large = head(MAX_HEAD + 1);
    let refused = Some(Malformed("head too large"));
    assert_eq!(whole(too_large.as_bytes(), &Method::GET).err(), refused);
    // Nor is more than that awaited: with no end in sight, waiting ends at the limit.
    let endless = &too_large.as_bytes()[..MAX_HEAD];
    assert_eq!(whole(endless, &Method::GET).unwrap().0, None);
    let endless = "HTTP/1.1 200 OK\r\na: ".to_owned() + &"b".repeat(MAX_HEAD);
    assert_eq!(whole(endless.as_bytes(), &Method::GET).err(), refused);
}

/// Whatever a backend sends: no panic, no part of a head taken, and the same result however it
/// arrives.
#[test]
fn mutated_heads() {
    let corpus: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.0 304 Not Modified\r\nConnection: keep-alive, x\r\nX: y\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi",
    ];
    for seed in SEEDS {
        let mut mutator = Mutator::new(seed);
        for index in 0..cases() {
            let input = mutator.mutate(corpus);
            let shown =
                format!("seed {seed}, case {index}: {:?}", input.escape_ascii().to_string());
            let result = std::panic::catch_unwind(|| compare(&input));
            assert!(result.is_ok(), "{shown}");
        }
    }
}

fn compare(input: &[u8]) {
    let (at_once, arrived) = (whole(input, &Method::GET), bytewise(input, &Method::GET));
    match (at_once, arrived) {
        (Ok((Some(head), left)), Ok(Some((same, length)))) => {
            assert_eq!(head, same);
            assert_eq!(left, input[length..]);
        }
        (Ok((None, _)), Ok(None)) | (Err(_), Err(_)) => {}
        (at_once, arrived) => panic!("at once {at_once:?}, byte by byte {arrived:?}"),
    }
}
