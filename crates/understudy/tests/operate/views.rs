//! What is asked for and shown, without changing anything.

use serde_json::{Value, json};

use crate::fake::{Fake, json, problem};
use crate::{service, status, status_of};

#[test]
fn the_worst_service_is_the_exit_code_of_status() {
    for (active, code) in [(Some("a"), 0), (Some("b"), 10), (None, 20)] {
        let mut api = service(Some("a"));
        api["name"] = "api".into();
        let all = status_of(&[service(active), api]);
        let fake = Fake::new(move |_, _| json(&all));
        let (exit, stdout, stderr) = fake.run(&["status"]);
        assert_eq!((exit, stderr.as_str()), (code, ""));
        assert!(stdout.contains("\n\napi: a is active (primary) for 1 min"), "{stdout}");
        assert!(!stdout.contains('\x1b'), "colour is for terminals: {stdout}");
        assert_eq!(fake.run(&["status", "web"]).0, code);
        assert_eq!(fake.run(&["status", "api"]).0, 0, "only what is shown counts");
        assert_eq!(fake.lines()[0], "GET /api/v1/status");
        let nobody = fake.run(&["status", "nobody"]);
        let expected = "understudy: there is no service \"nobody\"; there are web, api\n";
        assert_eq!((nobody.0, nobody.2.as_str()), (2, expected));
    }
    let (code, _, _) = Fake::new(|_, _| problem(503, "Stopping", "stopping")).run(&["status"]);
    assert_eq!(code, 1);
}

#[test]
fn status_as_json_is_what_the_server_said() {
    let fake = Fake::new(|_, _| json(&status(Some("b"))));
    let (code, stdout, _) = fake.run(&["status", "--json"]);
    assert_eq!(code, 10);
    let said: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(said, status(Some("b")), "also fields that this version does not know");
}

#[test]
fn active_prints_a_name_or_nothing() {
    let fake = Fake::new(|_, _| json(&status(Some("b"))));
    assert_eq!(fake.run(&["active"]), (0, "b\n".to_owned(), String::new()));
    assert_eq!(fake.run(&["active", "web"]), (0, "b\n".to_owned(), String::new()));
    assert_eq!(fake.run(&["active", "api"]).0, 2);
    let fake = Fake::new(|_, _| json(&status(None)));
    assert_eq!(fake.run(&["active"]), (20, String::new(), String::new()));
}

fn incident(id: u64, from: &str, to: &str, reason: &str) -> Value {
    json!({
        "id": id, "service": "web", "reason": reason, "from": from, "to": to, "epoch": id,
        "at_seconds": 1_795_744_800.0, "at": "2026-11-27T02:00:00Z", "evidence": ["refused"],
        "timeline": [{ "after_ms": 0.0, "what": "first sign" }],
        "took": { "detect_ms": 200.0, "switch_ms": 2.0, "total_ms": 202.0, "first_answer_ms": 203.0 },
        "counts": { "held": 1 }, "by": null, "outcome": "moved", "text": "it moved",
    })
}

/// What a list has of it.
fn in_short(incident: &Value) -> Value {
    let mut short = incident.clone();
    for key in ["total_ms", "first_answer_ms"] {
        short[key] = short["took"][key].clone();
    }
    for key in ["epoch", "evidence", "timeline", "took", "counts"] {
        short.as_object_mut().expect("an object").remove(key);
    }
    short
}

#[test]
fn incidents_are_a_list_or_one_in_full() {
    let fake = Fake::new(|asked, _| match asked.path.as_str() {
        "/api/v1/incidents/8" => json(&incident(8, "a", "b", "failover")),
        "/api/v1/incidents/9" => problem(404, "Unknown", "there is no incident 9"),
        _ => json(&json!({ "incidents": [in_short(&incident(8, "a", "b", "failover"))] })),
    });
    let (code, stdout, _) = fake.run(&["incidents"]);
    let line = "8  2026-11-27 02:00:00  web  failover  a -> b  moved  203 ms\n";
    assert_eq!((code, stdout.as_str()), (0, line));
    assert_eq!(fake.run(&["incidents", "--service", "w.b", "--limit", "5"]).1, line);
    let (code, stdout, _) = fake.run(&["incidents", "8"]);
    assert_eq!(code, 0);
    assert!(
        stdout.starts_with("incident 8: it moved\n  when      2026-11-27 02:00:00\n"),
        "{stdout}"
    );
    let (_, stdout, _) = fake.run(&["incidents", "8", "--json"]);
    let said: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(said, incident(8, "a", "b", "failover"));
    let (code, _, stderr) = fake.run(&["incidents", "9"]);
    assert_eq!((code, stderr.as_str()), (2, "understudy: there is no incident 9\n"));
    assert_eq!(
        fake.lines()[..3],
        [
            "GET /api/v1/incidents?limit=20",
            "GET /api/v1/incidents?limit=5&service=w%2Eb",
            "GET /api/v1/incidents/8",
        ]
    );
    let fake = Fake::new(|_, _| json(&json!({ "incidents": [] })));
    assert_eq!(fake.run(&["incidents"]).1, "no incidents\n");
}

#[test]
fn what_runs_is_explained_by_what_its_failback_waits_for() {
    let mut standby = service(Some("b"));
    standby["failback"] = json!({ "to": "a", "due_in_seconds": null, "waits_for": ["a is down", "the window is shut"] });
    let mut api = service(Some("a"));
    api["name"] = "api".into();
    let all = status_of(&[standby, api]);
    let fake = Fake::new(move |_, _| json(&all));
    let (code, stdout, _) = fake.run(&["explain", "--live"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("not back to a now: a is down; the window is shut\n"), "{stdout}");
    assert!(stdout.contains("api: a is the primary"), "{stdout}");
    let (_, stdout, _) = fake.run(&["explain", "--live", "api"]);
    assert!(!stdout.contains("web"), "{stdout}");
    assert_eq!(fake.run(&["explain", "--live", "nobody"]).0, 2);
}

#[test]
fn a_drill_waits_for_its_end_and_reports_what_was_measured() {
    let mut drilling = service(Some("b"));
    drilling["drill"] = json!({ "backend": "a", "tag": null, "ends_in_seconds": 1.0 });
    let states = [status(Some("a")), status_of(&[drilling])];
    let ended = json!({
        "number": 9, "at_seconds": 2e9, "at": null, "service": "web", "kind": "drill_ended",
        "text": "the drill of a is over before its time", "backend": "a", "early": true,
    });
    let ordered = |command: &str| {
        json!({
            "number": 10, "at_seconds": 2e9, "at": null, "service": "web", "kind": "ordered",
            "text": "", "command": command, "by": { "who": "alice" }, "done": true,
        })
    };
    let mut stream = crate::fake::sse("status", None, &states[0]);
    stream += &crate::fake::sse("event", Some(9), &ended);
    stream += &crate::fake::sse("event", Some(10), &ordered("end the drill"));
    let states = move |before: usize| match before {
        1 => states[1].clone(),
        _ => {
            let mut over = service(Some("a"));
            over["epoch"] = 9.into();
            status_of(&[over])
        }
    };
    let fake = Fake::new(move |asked, before| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/api/v1/events/stream") => {
            crate::fake::Answer::Events { text: stream.clone(), stays: true }
        }
        ("GET", "/api/v1/status") => json(&states(before)),
        ("POST", _) => json(&crate::done("the drill has begun")),
        ("GET", "/api/v1/incidents?limit=1&service=web") => {
            json(&json!({ "incidents": [in_short(&incident(7, "b", "a", "failback"))] }))
        }
        // The second move is written down a moment late.
        ("GET", "/api/v1/incidents?limit=100&service=web") if before == 0 => json(&json!({
            "incidents": [in_short(&incident(8, "a", "b", "drill")), in_short(&incident(7, "b", "a", "failback"))],
        })),
        ("GET", "/api/v1/incidents?limit=100&service=web") => json(&json!({
            // The newest is a later move, of no concern.
            "incidents": [in_short(&incident(10, "a", "b", "failover")),
                in_short(&incident(9, "b", "a", "drill")), in_short(&incident(8, "a", "b", "drill"))],
        })),
        ("GET", "/api/v1/incidents/8") => json(&incident(8, "a", "b", "drill")),
        ("GET", "/api/v1/incidents/9") => json(&incident(9, "b", "a", "drill")),
        other => panic!("{other:?}"),
    });
    let (code, stdout, stderr) = fake.run(&["drill", "web", "--for", "1h"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let times = "200 ms to detect, 2.00 ms to switch, first good answer after 203 ms";
    let expected = format!(
        "web: the drill has begun\nweb: the drill is over: ended after 0 s of 1 h: alice: end the drill, \
         traffic back at a\n  a -> b: {times}; requests: 1 held\n  \
         b -> a: {times}; requests: 1 held\n"
    );
    assert_eq!(stdout, expected);
    assert_eq!(fake.last("POST").path, "/api/v1/services/web/drill");
    assert_eq!(fake.last("POST").body, json!({ "length_seconds": 3600.0 }));
}

#[test]
fn a_tagged_drill_says_which_requests_and_where_to() {
    let mut drilling = service(Some("a"));
    drilling["drill"] = json!({ "backend": "b", "tag": "x-drill: 1", "ends_in_seconds": 1.0 });
    let states = [status_of(&[drilling]), status(Some("b"))];
    let stream: String =
        states.iter().map(|state| crate::fake::sse("status", None, state)).collect();
    let fake = Fake::new(move |asked, before| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/api/v1/events/stream") => {
            crate::fake::Answer::Events { text: stream.clone(), stays: true }
        }
        ("GET", "/api/v1/status") => json(&match before % 3 {
            0 => status(Some("a")),
            n => states[n - 1].clone(),
        }),
        ("POST", _) => json(&crate::done("the drill has begun")),
        _ => json(&json!({ "incidents": [] })),
    });
    let drill = ["drill", "web", "--for", "10s", "--reason", "training"];
    let (code, stdout, _) =
        fake.run(&[&drill[..], &["--tagged", "X-Drill: 1", "--to", "b"]].concat());
    assert_eq!(code, 3);
    let over = "web: the drill is over: ended after 0 s of 10 s: b became the active, \
                traffic NOT back at a: b has it\n";
    assert_eq!(stdout, format!("web: the drill has begun\n{over}"));
    let expected = json!({
        "length_seconds": 10.0, "reason": "training",
        "tag": { "header": "x-drill", "value": "1", "backend": "b" },
    });
    assert_eq!(fake.last("POST").body, expected);
    assert_eq!(fake.run(&[&drill[..], &["--tagged", "X-Drill"]].concat()).0, 3);
    assert_eq!(fake.last("POST").body["tag"], json!({ "header": "x-drill" }));
}
