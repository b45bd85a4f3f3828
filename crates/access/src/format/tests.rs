//! Lines as they are written, and that nothing of a client's breaks out of them.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use config::model::{AccessLog, LogFormat, LogTo, LogVariable, TemplatePart};
use http::{Method, StatusCode, Version};
use metrics::cells::Blame;
use serde_json::{Value as Json, json};

use super::*;
use crate::record::{End, Outcome, Record, Step, TraceContext, What};

fn log(format: LogFormat) -> AccessLog {
    AccessLog { to: LogTo::Stdout, format, sample: 1.0, query: true }
}

/// A request that was held in a failover and then answered by the standby.
fn record() -> Record {
    let ms = Duration::from_millis;
    let attempt = |backend: &str, epoch, connected_after, outcome| What::Attempt {
        backend: Arc::from(backend),
        epoch,
        connected_after,
        outcome,
    };
    let answered = Outcome::Answered(StatusCode::OK);
    Record {
        began: UNIX_EPOCH + ms(1_795_788_336_007),
        took: Duration::from_micros(231_234),
        answered_after: Some(Duration::from_micros(230_001)),
        listener: "0.0.0.0:8080".into(),
        client: Some(([192, 0, 2, 7], 50_123).into()),
        is_tls: false,
        version: Version::HTTP_11,
        method: Method::GET,
        host: "www.example.com".into(),
        target: "/a?secret=1".into(),
        referer: Some("https://example.org/?q=2".into()),
        user_agent: Some("curl/8 \"x\"".into()),
        service: Some("web".into()),
        status: Some(StatusCode::OK),
        received: 0,
        sent: 12,
        steps: [
            Step { after: ms(0), took: ms(5), what: attempt("a", 1, None, Outcome::Broken) },
            Step { after: ms(5), took: ms(220), what: What::Hold },
            Step { after: ms(225), took: ms(5), what: attempt("b", 2, Some(ms(1)), answered) },
        ]
        .into_iter()
        .collect(),
        end: End::Complete,
        is_drill: false,
        blame: None,
        trace: None,
    }
}

fn line(log: &AccessLog, record: &Record) -> String {
    let mut out = Vec::new();
    write_line(&mut out, log, &mut Clock::new(), record);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_line_of_json_says_what_the_request_met() {
    let line = line(&log(LogFormat::Json), &record());
    assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
    let read: Json = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        read,
        json!({
            "time": "2026-11-27T14:05:36.007Z", "client": "192.0.2.7", "client_port": 50_123,
            "listener": "0.0.0.0:8080", "tls": false, "version": "HTTP/1.1", "method": "GET",
            "host": "www.example.com", "target": "/a?secret=1", "status": 200, "received": 0,
            "sent": 12, "referer": "https://example.org/?q=2", "user_agent": "curl/8 \"x\"",
            "service": "web", "backend": "b", "epoch": 2, "attempts": 2, "held_ms": 220.0,
            "replayed": true, "drill": false, "blame": null, "end": "complete", "connect_ms": 1.0,
            "head_ms": 230.001, "total_ms": 231.234, "trace_id": null,
        })
    );
}

#[test]
fn what_is_not_known_is_null_or_a_dash() {
    let record = Record {
        client: None,
        referer: None,
        user_agent: None,
        host: "".into(),
        service: None,
        status: None,
        answered_after: None,
        steps: smallvec::SmallVec::new(),
        blame: Some(Blame::Downstream),
        end: End::ClientGone,
        ..record()
    };
    let read: Json = serde_json::from_str(&line(&log(LogFormat::Json), &record)).expect("JSON");
    for name in [
        "client",
        "client_port",
        "referer",
        "user_agent",
        "service",
        "backend",
        "epoch",
        "status",
        "connect_ms",
        "head_ms",
        "trace_id",
    ] {
        assert_eq!(read[name], Json::Null, "{name}");
    }
    assert_eq!((&read["blame"], &read["end"]), (&json!("downstream"), &json!("client_gone")));
    assert_eq!(
        line(&log(LogFormat::Combined), &record),
        "- - - [27/Nov/2026:14:05:36 +0000] \"GET /a?secret=1 HTTP/1.1\" 499 12 \"-\" \"-\"\n"
    );
}

#[test]
fn combined_is_what_everybody_reads() {
    assert_eq!(
        line(&log(LogFormat::Combined), &record()),
        "192.0.2.7 - - [27/Nov/2026:14:05:36 +0000] \"GET /a?secret=1 HTTP/1.1\" 200 12 \
         \"https://example.org/?q=2\" \"curl/8 \\x22x\\x22\"\n"
    );
}

#[test]
fn a_template_may_say_everything() {
    let all = LogVariable::ALL.iter().flat_map(|variable| {
        [
            TemplatePart::Text(format!("{}=", variable.name())),
            TemplatePart::Variable(*variable),
            TemplatePart::Text(" ".to_owned()),
        ]
    });
    let trace = TraceContext {
        trace: [0xab; 16],
        span: [1; 8],
        parent: None,
        is_sampled: true,
        waited_for: None,
    };
    let record = Record { trace: Some(trace), ..record() };
    assert_eq!(
        line(&log(LogFormat::Template(all.collect())), &record),
        "time=2026-11-27T14:05:36.007Z client=192.0.2.7 client_port=50123 listener=0.0.0.0:8080 \
         tls=false version=HTTP/1.1 method=GET host=www.example.com target=/a?secret=1 status=200 \
         received=0 sent=12 referer=https://example.org/?q=2 user_agent=curl/8 \\x22x\\x22 \
         service=web backend=b epoch=2 attempts=2 held_ms=220.000 replayed=true drill=false blame=- \
         end=complete connect_ms=1.000 head_ms=230.001 total_ms=231.234 \
         trace_id=abababababababababababababababab \n"
    );
}

#[test]
fn queries_are_left_out_where_they_are_secret() {
    let log = AccessLog { query: false, ..log(LogFormat::Json) };
    let read: Json = serde_json::from_str(&line(&log, &record())).expect("JSON");
    assert_eq!((&read["target"], &read["referer"]), (&json!("/a"), &json!("https://example.org/")));
}

#[test]
fn json_escapes_as_serde_does_and_all_that_terminals_obey() {
    let mut texts: Vec<String> = (0..0x250).filter_map(char::from_u32).map(String::from).collect();
    texts.push((0x70..0x120).rev().filter_map(char::from_u32).collect());
    texts.extend(["".to_owned(), "a\"b\\c\n\u{2028}\u{1f600}\r\t\u{8}\u{c}\u{7f}d".to_owned()]);
    for text in texts {
        let mut out = Vec::new();
        write_json_text(&mut out, &text);
        let written = String::from_utf8(out).expect("UTF-8");
        assert_eq!(
            serde_json::from_str::<String>(&written).ok().as_ref(),
            Some(&text),
            "{written}"
        );
        assert!(!written.contains(char::is_control), "{text:?}");
        if !text.contains(|c| matches!(c, '\u{7f}'..='\u{9f}')) {
            assert_eq!(Some(written), serde_json::to_string(&text).ok());
        }
    }
}

#[test]
fn no_byte_of_a_client_ends_a_line_or_a_value() {
    let hostile: String = (0..0x180).filter_map(char::from_u32).collect();
    let record = Record {
        user_agent: Some(hostile.clone().into()),
        referer: Some("x\" 200 0 \"\n127.0.0.1 - - [".into()),
        target: "/\r\n\u{1b}[31m".into(),
        host: hostile.clone().into(),
        ..record()
    };
    let text = [TemplatePart::Variable(LogVariable::UserAgent)];
    for format in [LogFormat::Combined, LogFormat::Template(text.to_vec())] {
        let line = line(&log(format), &record);
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.trim_end().bytes().all(|byte| matches!(byte, 0x20..=0x7e)), "{line:?}");
    }
    let combined = line(&log(LogFormat::Combined), &record);
    assert_eq!(combined.matches('"').count(), 6, "{combined}");
    let json = line(&log(LogFormat::Json), &record);
    assert!(json.trim_end_matches('\n').chars().all(|c| !c.is_control()), "{json:?}");
    let read: Json = serde_json::from_str(&json).expect("JSON");
    assert_eq!(read["user_agent"], json!(hostile));
}

#[test]
fn numbers_are_written_whole() {
    for number in [0, 7, 10, 999, 1000, u64::MAX] {
        let mut out = Vec::new();
        write_number(&mut out, number);
        assert_eq!(String::from_utf8(out).ok(), Some(number.to_string()));
    }
}
