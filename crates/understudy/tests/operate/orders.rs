//! What is sent to change something, and what is said about it.

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, Fake, json, problem};
use crate::{done, service, status, status_of};

/// Answers every order with a sentence.
fn obliging() -> Fake {
    Fake::new(|asked, _| match asked.line().as_str() {
        "GET /api/v1/status" => json(&status(Some("a"))),
        _ => json(&done("it is done")),
    })
}

#[test]
fn each_order_is_one_request_and_one_line() {
    let web = "/api/v1/services/web";
    let why = json!({ "reason": "disk swap" });
    for (args, method, path, body) in [
        ("pin web --reason disk_swap", "POST", "/pin", why.clone()),
        ("unpin web", "POST", "/unpin", json!({})),
        ("lock web", "POST", "/lock", json!({})),
        ("unlock web --reason disk_swap", "POST", "/unlock", why.clone()),
        ("drain web/a --reason disk_swap", "POST", "/backends/a/drain", why),
        ("maintenance web/a", "POST", "/backends/a/maintenance", json!({})),
        ("ready web/a", "POST", "/backends/a/ready", json!({})),
        (
            "switchover web --to b --verify 1m30s --reason disk_swap",
            "POST",
            "/switchover",
            json!({ "to": "b", "verify_seconds": 90.0, "dry_run": false, "reason": "disk swap" }),
        ),
        ("switchover web --to b", "POST", "/switchover", json!({ "to": "b", "dry_run": false })),
        (
            "switchover web --cancel --reason disk_swap",
            "DELETE",
            "/switchover?reason=disk%20swap",
            Value::Null,
        ),
        ("failback web", "POST", "/failback", json!({ "dry_run": false })),
        (
            "failback web --verify 0s",
            "POST",
            "/failback",
            json!({ "dry_run": false, "verify_seconds": 0.0 }),
        ),
        ("drill web --stop", "DELETE", "/drill", Value::Null),
    ] {
        let fake = obliging();
        let args: Vec<String> = args.split(' ').map(|arg| arg.replace('_', " ")).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = fake.run(&args);
        // What the order led to is looked up after it.
        let (more, looks) = match args[0] {
            "drain" | "maintenance" | "lock" => ("web: traffic stays at a\n", 1),
            "switchover" if args[2] == "--to" => {
                ("web: it stays there until `unpin` or `failback`\n", 0)
            }
            _ => ("", 0),
        };
        assert_eq!(said, (0, format!("web: it is done\n{more}"), String::new()), "{args:?}");
        assert_eq!(fake.lines()[0], format!("{method} {web}{path}"), "{args:?}");
        assert_eq!(fake.lines().len(), 1 + looks, "{args:?}");
        let asked = fake.last(method);
        assert_eq!(asked.body, body, "{args:?}");
        let kind = asked.fields.get("content-type").map(String::as_str);
        assert_eq!(kind, (method == "POST").then_some("application/json"));
        assert_eq!(asked.fields["host"], "localhost");
        assert!(!asked.fields.contains_key("authorization"));
    }
}

#[test]
fn an_order_that_leaves_nobody_is_answered_with_a_warning() {
    for (args, undo) in [
        (&["drain", "web/a"][..], "understudy ready web/a"),
        (&["maintenance", "a"], "understudy ready web/a"),
        (&["lock", "web"], "understudy unlock web"),
    ] {
        let fake = Fake::new(|asked, _| match asked.line().as_str() {
            "GET /api/v1/status" => json(&status(None)),
            _ => json(&done("it is done")),
        });
        let (code, stdout, stderr) = fake.run(args);
        assert_eq!((code, stdout.as_str()), (0, "web: it is done\n"), "{args:?}");
        let warning = "warning: web: NOBODY IS ACTIVE NOW: requests wait, then get 503";
        assert_eq!(stderr, format!("{warning}; take it back: `{undo}`\n"));
    }
}

#[test]
fn a_service_may_be_left_out_while_there_is_one() {
    let fake = obliging();
    assert_eq!(fake.run(&["pin"]).0, 0);
    assert_eq!(fake.run(&["drain", "a"]).0, 0);
    assert_eq!(fake.lines()[1], "POST /api/v1/services/web/pin");
    assert_eq!(fake.lines()[3], "POST /api/v1/services/web/backends/a/drain");

    let mut api = service(Some("a"));
    api["name"] = "api".into();
    let both = status_of(&[service(Some("a")), api]);
    let fake = Fake::new(move |_, _| json(&both));
    for args in [&["pin"][..], &["drain", "a"], &["wait", "--active", "a"], &["active"]] {
        let (code, stdout, stderr) = fake.run(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        assert_eq!(stderr, "understudy: which service? There are web, api: name one\n");
    }
}

#[test]
fn a_refusal_is_3_a_mistake_2_and_no_answer_1() {
    for (status, code) in [(409, 3), (422, 3), (404, 2), (400, 2), (403, 1), (503, 1)] {
        let fake = Fake::new(move |_, _| problem(status, "No", "b is not eligible"));
        for args in [
            &["switchover", "web", "--to", "b"][..],
            &["pin", "web"],
            &["drain", "web/b"],
            &["switchover", "web", "--cancel"],
            &["drill", "web", "--stop"],
            &["reload"],
        ] {
            let (exit, stdout, stderr) = fake.run(args);
            assert_eq!((exit, stdout.as_str()), (code, ""), "{args:?} {status}");
            assert_eq!(stderr, "understudy: b is not eligible\n");
        }
    }
    let silent = Fake::new(|_, _| Answer::Nothing);
    let (code, _, stderr) = silent.run(&["pin", "web"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("ended the connection"), "{stderr}");
    let strange = Fake::new(|_, _| Answer::Plain(200, "text/html", "<html>".to_owned()));
    let (code, _, stderr) = strange.run(&["pin", "web"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("does not answer as Understudy"), "{stderr}");
}

#[test]
fn a_switchover_to_come_says_when_and_in_whose_clock() {
    let fake = obliging();
    let (code, stdout, _) = fake.run(&["switchover", "web", "--to", "b", "--at", "+10m"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("web: it is done: 20"), "{stdout}");
    assert!(stdout.contains(" +00:00") && stdout.ends_with(", in 10 min\n"), "{stdout}");
    let at = fake.last("POST").body["at"].as_str().expect("a time").to_owned();
    let at: jiff::Timestamp = at.parse().expect("RFC 3339");
    let ahead = at.duration_since(jiff::Timestamp::now());
    assert!((540..=600).contains(&ahead.as_secs()), "{ahead}");

    let fake = obliging();
    let date = "2999-01-01T02:00:00+01:00";
    assert_eq!(fake.run(&["switchover", "web", "--to", "b", "--at", date]).0, 0);
    assert_eq!(fake.last("POST").body["at"], "2999-01-01T01:00:00Z");
    let past = fake.run(&["switchover", "web", "--to", "b", "--at", "2001-01-01T00:00:00Z"]);
    assert_eq!(past.0, 2);
    assert!(past.2.contains("has passed"), "{}", past.2);
    assert_eq!(fake.lines().len(), 1, "what has passed is not sent");
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_blocks() {
    let preview = |possible: bool| {
        json!({
            "from": "a", "to": "b", "possible": possible, "steps": ["hold", "move"],
            "blockers": if possible { json!([]) } else { json!(["b is down"]) },
            "warnings": ["2 streams stay at a"],
        })
    };
    for (args, path) in
        [(&["switchover", "--to", "b"][..], "switchover"), (&["failback"], "failback")]
    {
        for (possible, code) in [(true, 0), (false, 3)] {
            let fake = Fake::new(move |asked, _| match asked.method.as_str() {
                "GET" => json(&status(Some("a"))),
                _ => json(&preview(possible)),
            });
            let (exit, stdout, _) = fake.run(&[args, &["--dry-run"]].concat());
            assert_eq!(exit, code);
            let asked = fake.last("POST");
            assert_eq!(asked.path, format!("/api/v1/services/web/{path}"));
            assert_eq!(asked.body["dry_run"], true);
            assert!(stdout.contains("nothing was changed\n  1. hold\n  2. move\n"), "{stdout}");
            assert_eq!(stdout.contains("blocked: b is down"), !possible, "{stdout}");
            assert!(stdout.contains("warning: 2 streams stay at a"), "{stdout}");
        }
    }
}

#[test]
fn a_reload_says_what_it_changed() {
    for (changes, said) in [
        (json!("1 backend added"), "reloaded: 1 backend added\n"),
        (Value::Null, "reloaded: the file says what is in force already\n"),
    ] {
        let fake =
            Fake::new(move |_, _| json(&json!({ "changes": changes, "warnings": ["restart"] })));
        let outcome = fake.run(&["reload"]);
        assert_eq!(outcome, (0, said.to_owned(), "warning: restart\n".to_owned()));
        assert_eq!(fake.lines(), ["POST /api/v1/reload"]);
        assert_eq!(fake.last("POST").body, json!({}));
    }
}

#[test]
fn the_test_of_a_notifier_shows_the_answer() {
    for (told, code, line) in
        [(true, 0, "ops: told: answered 200?\n"), (false, 1, "ops: not told: answered 200?\n")]
    {
        let fake =
            Fake::new(move |_, _| json(&json!({ "told": told, "answer": "answered 200\u{1b}" })));
        let outcome = fake.run(&["notify", "test", "ops", "--reason", "new"]);
        assert_eq!(outcome, (code, line.to_owned(), String::new()));
        assert_eq!(fake.lines(), ["POST /api/v1/notifiers/ops/test"]);
        assert_eq!(fake.last("POST").body, json!({ "reason": "new" }));
    }
}

#[test]
fn a_probe_made_now_shows_its_exchange_when_asked() {
    let shown = |verdict: &str| {
        json!({
            "verdict": verdict, "outcome": if verdict == "pass" { "pass" } else { "status 503" },
            "took_ms": 1.25, "exchange": ["> GET / HTTP/1.1", "< HTTP/1.1 503\u{1b}[2J"],
        })
    };
    for (verdict, code, line) in [
        ("pass", 0, "web/b: pass in 1.25 ms\n"),
        ("fail", 1, "web/b: fail in 1.25 ms: status 503\n"),
        ("inconclusive", 1, "web/b: inconclusive in 1.25 ms: status 503\n"),
    ] {
        let fake = Fake::new(move |_, _| json(&shown(verdict)));
        let outcome = fake.run(&["probe", "web/b", "--now"]);
        assert_eq!(outcome, (code, line.to_owned(), String::new()));
        assert_eq!(fake.lines(), ["POST /api/v1/services/web/backends/b/probe"]);
        let (_, stdout, _) = fake.run(&["probe", "web/b", "--now", "-v"]);
        assert_eq!(stdout, format!("> GET / HTTP/1.1\n< HTTP/1.1 503?[2J\n{line}"));
    }
}

#[test]
fn the_last_probe_is_read_from_the_status() {
    let mut failed = status(Some("a"));
    failed["services"][0]["backends"][1]["last_probe"]["outcome"] = "refused".into();
    failed["services"][0]["backends"][1]["health"] = "down".into();
    let fake = Fake::new(move |_: &Asked, _| json(&failed));
    let passed = fake.run(&["probe", "a"]);
    assert_eq!(
        passed,
        (0, "web/a: pass in 0.80 ms, 1 s ago; it is up\n".to_owned(), String::new())
    );
    let failed = fake.run(&["probe", "web/b"]);
    assert_eq!(
        (failed.0, failed.1.as_str()),
        (1, "web/b: refused in 0.80 ms, 1 s ago; it is down\n")
    );
    let (code, _, stderr) = fake.run(&["probe", "web/c"]);
    assert_eq!(
        (code, stderr.as_str()),
        (2, "understudy: there is no backend \"c\"; there are a, b\n")
    );
}
