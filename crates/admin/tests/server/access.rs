//! Who may do what, over which endpoint.

use std::time::Duration;

use admin::{Endpoint, Settings};
use control::{Control, Source};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::lab::{self, Call, Lab, PATIENCE, READER, WRITER, Way, guarded, open};

const PIN: &str = "/api/v1/services/web/pin";

/// Method, path, token, status, and the problem's word.
type Row = (&'static str, &'static str, Option<&'static str>, u16, &'static str);

async fn check(lab: &Lab, ways: &[Way], rows: &[Row]) {
    for way in ways {
        for &(method, path, token, status, word) in rows {
            let mut call = match method {
                "POST" => Call::json(method, path, "{}"),
                _ => Call::new(method, path),
            };
            if let Some(token) = token {
                call = call.token(token);
            }
            let answer = lab.send(*way, &call).await;
            let row = format!("{way:?} {method} {path} {token:?}: {}", answer.text);
            assert_eq!(answer.status.as_u16(), status, "{row}");
            if !word.is_empty() {
                assert_eq!(answer.problem(), word, "{row}");
            }
            assert_eq!(answer.field("cache-control"), "no-store", "{row}");
            assert_eq!(answer.field("x-content-type-options"), "nosniff", "{row}");
            assert_eq!(answer.field("x-frame-options"), "DENY", "{row}");
            let policy = answer.field("content-security-policy");
            assert!(policy.contains("frame-ancestors 'none'"), "{row}");
            assert_eq!(answer.field("access-control-allow-origin"), "", "{row}");
            assert_eq!(answer.field("set-cookie"), "", "{row}");
            let asks = answer.field("www-authenticate").starts_with("Bearer");
            assert_eq!(asks, status == 401, "{row}");
        }
    }
}

const WRONG: Option<&str> = Some("understudy_wrong");
const READ: Option<&str> = Some(READER);
const WRITE: Option<&str> = Some(WRITER);

#[tokio::test]
async fn without_tokens_loopback_is_for_reading() {
    let lab = open().await;
    lab.settle().await;
    check(
        &lab,
        &[Way::Tcp, Way::Tls],
        &[
            ("GET", "/", None, 200, ""),
            ("GET", "/livez", None, 200, ""),
            ("GET", "/metrics", None, 200, ""),
            ("GET", "/status", None, 200, ""),
            ("GET", "/api/v1/status", None, 200, ""),
            ("GET", "/api/v1/openapi.json", None, 200, ""),
            ("GET", "/api/v1/status", WRONG, 200, ""),
            ("GET", "/api/v1/nothing", None, 404, "not-found"),
            ("POST", PIN, None, 403, "read-only"),
            ("POST", PIN, WRONG, 403, "read-only"),
            ("POST", "/api/v1/reload", None, 403, "read-only"),
            ("POST", "/api/v1/services/web/jobs/sync/run", None, 403, "read-only"),
            ("GET", "/api/v1/services/web/jobs/sync", None, 404, "unknown-job"),
            ("DELETE", "/api/v1/services/web/drill", None, 403, "read-only"),
            ("POST", "/api/v1/services/none/pin", None, 403, "read-only"),
            ("PUT", PIN, None, 405, "wrong-method"),
        ],
    )
    .await;
    let refused = lab.send(Way::Tcp, &Call::json("POST", PIN, "{}")).await;
    assert!(refused.text.contains("Unix socket") && refused.text.contains("`understudy token`"));
    assert!(!lab.control.status().service("web").expect("web").pinned, "nothing was done");
}

#[tokio::test]
async fn with_tokens_everything_but_being_alive_needs_one() {
    let lab = guarded().await;
    lab.settle().await;
    check(
        &lab,
        &[Way::Tcp, Way::Tls],
        &[
            ("GET", "/livez", None, 200, ""),
            ("GET", "/readyz", None, 200, ""),
            ("HEAD", "/readyz", None, 200, ""),
            ("POST", "/livez", None, 401, "token-needed"),
            ("GET", "/", None, 401, "token-needed"),
            ("GET", "/metrics", None, 401, "token-needed"),
            ("GET", "/status", None, 401, "token-needed"),
            ("GET", "/api/v1/status", None, 401, "token-needed"),
            ("GET", "/api/v1/events/stream", None, 401, "token-needed"),
            ("GET", "/api/v1/openapi.json", None, 401, "token-needed"),
            ("GET", "/nothing", None, 401, "token-needed"),
            ("POST", PIN, None, 401, "token-needed"),
            ("GET", "/api/v1/status", WRONG, 401, "token-unknown"),
            ("POST", PIN, WRONG, 401, "token-unknown"),
            ("GET", "/metrics", READ, 200, ""),
            ("GET", "/api/v1/status", READ, 200, ""),
            ("POST", PIN, READ, 403, "read-only"),
            ("DELETE", "/api/v1/services/web/drill", READ, 403, "read-only"),
            ("POST", "/api/v1/reload", READ, 403, "read-only"),
            ("GET", "/metrics", WRITE, 200, ""),
            ("POST", PIN, WRITE, 200, ""),
            ("GET", "/nothing", WRITE, 404, "not-found"),
            ("POST", "/api/v1/services/none/pin", WRITE, 404, "unknown-service"),
            ("POST", "/api/v1/services/web/jobs/sync/run", WRITE, 404, "unknown-job"),
        ],
    )
    .await;
}

#[tokio::test]
async fn whoever_can_open_the_socket_is_in_charge() {
    for lab in [open().await, guarded().await] {
        lab.settle().await;
        check(
            &lab,
            &[Way::Unix],
            &[
                ("GET", "/metrics", None, 200, ""),
                ("GET", "/api/v1/status", WRONG, 200, ""),
                ("POST", PIN, None, 200, ""),
            ],
        )
        .await;
        let rebound = Call::new("GET", "/livez").with("Host", "any.example");
        assert_eq!(lab.send(Way::Unix, &rebound).await.status, 200, "no browser gets here");
    }
}

#[tokio::test]
async fn only_one_bearer_token_is_a_token() {
    let lab = guarded().await;
    let ask = async |values: &[&str]| {
        let mut call = Call::new("GET", "/api/v1/status");
        for value in values {
            call = call.with("Authorization", value);
        }
        lab.send(Way::Tcp, &call).await
    };
    assert_eq!(ask(&[&format!("bearer  {READER}")]).await.status, 200);
    let twice = format!("Bearer {READER}");
    for values in [&[READER][..], &["Basic b3BzOm9wcw=="], &["Bearer"], &[&twice, &twice]] {
        assert_eq!(ask(values).await.problem(), "token-needed", "{values:?}");
    }
    let long = format!("Bearer {}", "x".repeat(5_000));
    assert_eq!(ask(&[&long]).await.problem(), "token-unknown");
    let query = Call::new("GET", &format!("/api/v1/status?access_token={READER}"));
    assert_eq!(lab.send(Way::Tcp, &query).await.problem(), "token-needed", "URLs are logged");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_does_not_lock_out_who_is_known() {
    let lab = guarded().await;
    let status = async |token: &str| {
        lab.send(Way::Tcp, &Call::new("GET", "/livez/x").token(token)).await.status.as_u16()
    };
    assert_eq!(status(READER).await, 404);
    let guessing = async {
        let mut n = 0;
        while status(&format!("guess {n}")).await != 429 {
            n += 1;
        }
        assert!(n >= 10, "ten are looked at, not {n}");
        assert_eq!(status(READER).await, 404, "it is remembered");
        // A right token that nobody has shown before waits with the wrong ones.
        while status(WRITER).await == 429 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(status(WRITER).await, 404);
    };
    timeout(PATIENCE, guessing).await.expect("in time");
}

/// Who changed what is known to control: the token's name and address, or the user of the socket.
#[tokio::test]

async fn every_change_says_who_made_it() {
    let lab = guarded().await;
    lab.settle().await;
    let lock = "/api/v1/services/web/lock";
    let call = Call::json("POST", lock, r#"{"reason": "night shift"}"#).token(WRITER);
    assert_eq!(lab.send(Way::Tls, &call).await.status, 200);
    let refused = Call::json("POST", lock, r#"{"reason": "not mine"}"#).token(READER);
    assert_eq!(lab.send(Way::Tls, &refused).await.status, 403);
    let unlock = "/api/v1/services/web/unlock";
    assert_eq!(lab.post(unlock, r#"{"reason": "morning"}"#).await.status, 200);
    let events = lab.get("/api/v1/events").await.text;
    let pid = format!("unix socket, pid {}", std::process::id());
    for said in ["\"ops\"", "127.0.0.1:", "night shift", "morning", &pid] {
        assert!(events.contains(said), "{said}: {events}");
    }
    assert!(!events.contains("not mine") && !events.contains(WRITER), "{events}");
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let lab = open().await;
    lab.settle().await;
    let json = || Call::json("POST", PIN, "{}");
    let form = |kind| Call::new("POST", PIN).with("Content-Type", kind).body("{}");
    let host = lab.tcp.to_string();
    let cases = [
        // What a browser adds.
        (json().with("Sec-Fetch-Site", "cross-site"), 403, "cross-site"),
        (json().with("Sec-Fetch-Site", "same-site"), 403, "cross-site"),
        (json().with("Origin", "https://evil.example"), 403, "cross-site"),
        (json().with("Origin", "null"), 403, "cross-site"),
        (json().with("Origin", &format!("http://{host}.evil.example")), 403, "cross-site"),
        // Forms, and what `fetch` may send without asking.
        (form("text/plain"), 415, "not-json"),
        (form("application/x-www-form-urlencoded"), 415, "not-json"),
        (form("multipart/form-data; boundary=x"), 415, "not-json"),
        (Call::new("POST", PIN).body("{}"), 415, "not-json"),
        (Call::new("POST", PIN), 415, "not-json"),
        (
            Call::new("DELETE", "/api/v1/services/web/drill").with("Origin", "http://evil.example"),
            403,
            "cross-site",
        ),
        // The question whether it may (CORS) gets no yes.
        (
            Call::new("OPTIONS", PIN)
                .with("Origin", "https://evil.example")
                .with("Access-Control-Request-Method", "POST"),
            405,
            "wrong-method",
        ),
    ];
    // Over the socket nothing else keeps them from writing.
    for (call, status, word) in cases {
        let answer = lab.send(Way::Unix, &call).await;
        assert_eq!(answer.status.as_u16(), status, "{call:?}: {}", answer.text);
        assert_eq!(answer.problem(), word);
        assert_eq!(answer.field("access-control-allow-origin"), "");
    }
    assert!(!lab.control.status().service("web").expect("web").pinned);
    let ours = json().with("Sec-Fetch-Site", "same-origin");
    assert_eq!(lab.send(Way::Unix, &ours).await.status, 200);
    let rebound = json().with("Host", "evil.example").with("Origin", "http://evil.example");
    assert_eq!(lab.send(Way::Tcp, &rebound).await.problem(), "foreign-name");
}

#[tokio::test]
async fn the_network_needs_tls_and_a_token() {
    let (backends, text) = lab::config("").await;
    let config = config::load("test.yaml", &text, std::path::Path::new("")).expect("good").config;
    let inherited = control::Inherited::default();
    let control = Control::start(config, Source::default(), inherited).await.expect("it starts");
    let listener = || std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let (tls, _) = lab::tls_settings();
    for (endpoint, tokens, why) in [
        (Endpoint::Tcp(listener()), lab::tokens(), "needs TLS"),
        (Endpoint::Tcp(listener()), Vec::new(), "needs TLS"),
        (Endpoint::Tls(listener(), tls), Vec::new(), "needs a token"),
    ] {
        let settings = Settings { tokens };
        let forever = std::future::pending();
        let served = admin::serve(vec![endpoint], settings, control.clone(), forever);
        let refused = timeout(PATIENCE, served).await.expect("at once").expect_err("it is refused");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    backends.abort();
}

#[tokio::test]
async fn who_speaks_no_tls_is_let_go() {
    use tokio::io::AsyncWriteExt as _;
    let lab = guarded().await;
    let mut plain = tokio::net::TcpStream::connect(lab.tls).await.expect("a connection");
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("closed in time");
    assert!(!answer.starts_with(b"HTTP"), "an alert at most");
    assert_eq!(lab.send(Way::Tls, &Call::new("GET", "/livez")).await.status, 200);
}
