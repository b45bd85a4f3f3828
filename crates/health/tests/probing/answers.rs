//! What is expected of an answer, and what it says of the backend, over both protocols.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use config::model::{
    DrainRule, HttpProbe, JsonRule, JsonTest, Pattern, Role, RoleRule, RoleSource, StatusSet, Wish,
};
use h2::server::SendResponse;
use health::{Cause, Outcome, Report, Subject};
use http::{HeaderName, Method, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::http2::in_the_clear;
use crate::support::{
    DEADLINE, OK, backend, conclusion, outcome, read_request, subject, with_probe,
};

/// Two backends with the same answer, one for each protocol.
async fn both(
    status: u16,
    fields: &'static [(&'static str, &'static str)],
    body: &[u8],
) -> [Subject; 2] {
    let body = Bytes::copy_from_slice(body);
    let copy = body.clone();
    let one = backend(move |_, mut stream| {
        let body = copy.clone();
        async move {
            read_request(&mut stream).await;
            let fields: String = fields.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
            let head =
                format!("HTTP/1.1 {status} X\r\n{fields}content-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    })
    .await;
    let (two, _) = in_the_clear(move |mut respond: SendResponse<Bytes>| {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
        stream.send_data(body.clone(), true).unwrap();
    })
    .await;
    [subject(one), two]
}

/// Both reports, after `change` to the probes.
async fn reports(subjects: [Subject; 2], change: impl Fn(&mut HttpProbe)) -> [Report; 2] {
    let [one, two] = subjects.map(|subject| with_probe(subject, &change));
    [conclusion(one).await, conclusion(two).await]
}

fn pattern(text: &str) -> Pattern {
    Pattern(regex::bytes::Regex::new(text).unwrap())
}

#[track_caller]
fn assert_unexpected(report: &Report, words: &str) {
    match &report.outcome {
        Outcome::Fail(Cause::Unexpected(what)) => assert!(what.contains(words), "{what}"),
        other => panic!("{words}: {other:?}"),
    }
}

#[tokio::test]
async fn texts_expressions_and_fields_must_be_there() {
    let body = b"status: ready\xff\n";
    let fields = &[("x-state", "blue"), ("x-state", "ready")];
    for report in reports(both(200, fields, body).await, |probe| {
        probe.expect.text = vec!["ready".into(), "status".into()];
        probe.expect.regex = vec![pattern("^status: [a-z]+")];
        probe.expect.headers = vec![(HeaderName::from_static("x-state"), pattern("^ready$"))];
    })
    .await
    {
        assert_eq!(report.outcome, Outcome::Pass);
    }
    for report in reports(both(200, fields, body).await, |probe| {
        probe.expect.text = vec!["steady".into()];
    })
    .await
    {
        assert_unexpected(&report, "expected a body with \"steady\", came \"status: ready");
    }
    for report in reports(both(200, fields, body).await, |probe| {
        probe.expect.regex = vec![pattern("^ready")];
    })
    .await
    {
        assert_unexpected(&report, "matches \"^ready\"");
    }
    for report in reports(both(200, fields, body).await, |probe| {
        probe.expect.headers = vec![(HeaderName::from_static("x-other"), pattern(""))];
    })
    .await
    {
        assert_unexpected(&report, "`x-other` that matches \"\", there is no such field");
    }
}

#[tokio::test]
async fn values_in_json_are_compared() {
    let body = br#"{"status": "UP", "lag": 1.0, "list": [{"ok": true}], "none": null}"#;
    let rule = |pointer: &str, is: JsonTest| JsonRule { pointer: pointer.into(), is };
    let good = [
        rule("/status", JsonTest::Equals(json!("UP"))),
        rule("/lag", JsonTest::Equals(json!(1))),
        rule("/lag", JsonTest::Below(2.0)),
        rule("/lag", JsonTest::Above(0.5)),
        rule("/status", JsonTest::Not(json!("DOWN"))),
        rule("/status", JsonTest::Matches(pattern("^U"))),
        rule("/list/0/ok", JsonTest::Equals(json!(true))),
        rule("/none", JsonTest::Exists),
        rule("", JsonTest::Exists),
    ];
    for report in
        reports(both(200, &[], body).await, |probe| probe.expect.json = good.to_vec()).await
    {
        assert_eq!(report.outcome, Outcome::Pass);
    }
    for (bad, words) in [
        (rule("/status", JsonTest::Equals(json!("DOWN"))), "expected /status to be \"DOWN\", came"),
        (rule("/lag", JsonTest::Below(1.0)), "below 1"),
        (rule("/lag", JsonTest::Above(1.0)), "above 1"),
        (rule("/status", JsonTest::Above(1.0)), "above 1"),
        (rule("/missing", JsonTest::Not(json!(1))), "there is no such value"),
        (rule("/lag", JsonTest::Matches(pattern("1"))), "a text that matches"),
    ] {
        let [one, _] = both(200, &[], body).await;
        let report = conclusion(with_probe(one, |probe| probe.expect.json = vec![bad])).await;
        assert_unexpected(&report, words);
    }
}

#[tokio::test]
async fn a_hostile_body_is_no_json() {
    let deep = [b"[".repeat(30_000), b"]".repeat(30_000)].concat();
    let binary: Vec<u8> = (0..=255).collect();
    for body in [&deep[..], &binary, b"{\"a\":", b""] {
        for report in reports(both(200, &[], body).await, |probe| {
            probe.expect.json = vec![JsonRule { pointer: "".into(), is: JsonTest::Exists }];
        })
        .await
        {
            assert_unexpected(&report, "the body is not JSON");
        }
    }
}

#[tokio::test]
async fn too_long_a_body_fails_only_when_something_is_expected_of_it() {
    let body = vec![b'x'; 10_001];
    for expects in [false, true] {
        for report in reports(both(200, &[], &body).await, |probe| {
            probe.body_bytes = 10_000;
            probe.expect.text = if expects { vec!["x".into()] } else { Vec::new() };
        })
        .await
        {
            match expects {
                false => assert_eq!(report.outcome, Outcome::Pass),
                true => assert_unexpected(&report, "longer than 10000 bytes"),
            }
        }
    }
    for report in reports(both(200, &[], &body).await, |probe| {
        probe.body_bytes = 10_001;
        probe.expect.text = vec!["x".into()];
    })
    .await
    {
        assert_eq!(report.outcome, Outcome::Pass);
    }
}

#[tokio::test]
async fn an_endless_head_is_broken() {
    let address = backend(|_, mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(&b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(50)).await.is_ok() {
        }
    })
    .await;
    let outcome = outcome(subject(address)).await;
    assert!(matches!(outcome, Outcome::Fail(Cause::Broken(_))), "{outcome:?}");
}

fn role(by: RoleSource, values: &[(&str, Role)]) -> Option<RoleRule> {
    let values = values.iter().map(|(value, role)| ((*value).into(), *role)).collect();
    Some(RoleRule { by, values })
}

#[tokio::test]
async fn an_answer_tells_its_role() {
    let values = [("429", Role::Standby), ("Leader", Role::Active), ("7", Role::Fenced)];
    let header = || RoleSource::Header(HeaderName::from_static("x-role"));
    let pointer = |at: &str| RoleSource::Pointer(at.into());
    for (by, expected) in [
        (RoleSource::Status, Some(Role::Standby)),
        (header(), Some(Role::Active)),
        (pointer("/role"), Some(Role::Active)),
        (pointer("/number"), Some(Role::Fenced)),
        (pointer("/missing"), None),
        (pointer(""), None),
        (RoleSource::Header(HeaderName::from_static("x-none")), None),
    ] {
        let body = br#"{"role": "leader", "number": 7}"#;
        for report in reports(both(429, &[("x-role", "LEADER")], body).await, |probe| {
            probe.status = StatusSet(vec![429..=429]);
            probe.role = role(by.clone(), &values);
        })
        .await
        {
            assert_eq!((&report.outcome, report.role), (&Outcome::Pass, expected), "{by:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_asks_for_a_drain_passes() {
    let on = DrainRule {
        header: Some(HeaderName::from_static("understudy-drain")),
        status: StatusSet(vec![404..=404]),
    };
    let off = DrainRule { header: None, status: StatusSet::default() };
    let field: &[(&str, &str)] = &[("understudy-drain", "1")];
    let no: &[(&str, &str)] = &[("understudy-drain", " OFF ")];
    for (status, fields, rule, passes, wish) in [
        (200, &[][..], &on, true, Some(Wish::Serve)),
        (503, field, &on, true, Some(Wish::Drain)),
        (200, no, &on, true, Some(Wish::Serve)),
        (404, &[], &on, true, Some(Wish::Drain)),
        (503, no, &on, false, None),
        (404, field, &off, false, None),
        (200, field, &off, true, None),
    ] {
        for report in
            reports(both(status, fields, b"").await, |probe| probe.drain = rule.clone()).await
        {
            assert_eq!((report.outcome == Outcome::Pass, report.wish), (passes, wish), "{status}");
        }
    }
}

#[tokio::test]
async fn the_clock_is_read_from_the_answer() {
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    let date: &'static str = httpdate::fmt_http_date(ahead).leak();
    let fields: &'static [(&str, &str)] = vec![("date", date)].leak();
    for report in reports(both(200, fields, b"").await, |_| {}).await {
        let ahead = report.clock_ahead_ms.unwrap();
        assert!((3_580_000..=3_600_000).contains(&ahead), "{ahead}");
    }
    for report in reports(both(200, &[], b"").await, |_| {}).await {
        assert_eq!(report.clock_ahead_ms, None);
    }
}

#[tokio::test]
async fn the_body_of_the_request_is_sent() {
    let (sender, mut requests) = mpsc::channel(8);
    let address = backend(move |_, mut stream| {
        let sender = sender.clone();
        async move {
            let head = read_request(&mut stream).await;
            let mut body = [0; 4];
            stream.read_exact(&mut body).await.unwrap();
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = sender.try_send((head, body));
        }
    })
    .await;
    let posting = with_probe(subject(address), |probe| {
        probe.method = Method::POST;
        probe.body = "ping".into();
    });
    assert_eq!(outcome(posting).await, Outcome::Pass);
    let (head, body) = timeout(DEADLINE, requests.recv()).await.unwrap().unwrap();
    assert!(
        head.starts_with("POST / HTTP/1.1\r\n") && head.contains("content-length: 4\r\n"),
        "{head}"
    );
    assert_eq!(&body, b"ping");
}

/// A backend that sends us round in circles, or once to `/there`.
async fn redirecting(location: &'static str) -> Subject {
    let address = backend(move |_, mut stream| async move {
        let request = read_request(&mut stream).await;
        let answer = if request.starts_with("GET /there ") {
            OK.to_owned()
        } else {
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    with_probe(subject(address), |probe| probe.redirects = 2)
}

#[tokio::test]
async fn redirects_are_followed_to_the_same_origin_only() {
    assert_eq!(outcome(redirecting("/there").await).await, Outcome::Pass);
    assert_unexpected(&conclusion(redirecting("/").await).await, "more than 2 times");
    let elsewhere = conclusion(redirecting("http://127.0.0.1:1/there").await).await;
    assert_unexpected(&elsewhere, "elsewhere, to http://127.0.0.1:1/there");
    let off = with_probe(redirecting("/there").await, |probe| probe.redirects = 0);
    assert_eq!(outcome(off).await, Outcome::Fail(Cause::Status(302)));
}

#[tokio::test]
async fn redirects_share_one_deadline() {
    let address = backend(|_, mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let head = "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    let endless = with_probe(subject(address), |probe| probe.redirects = 1000);
    assert_eq!(outcome(endless).await, Outcome::Fail(Cause::Timeout));
}
