//! What goes on: `wait`, `events --follow`, `status --watch`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::fake::{Answer, Fake, PATIENCE, json, problem, sse, understudy};
use crate::{service, status, status_of};

fn event(number: u64, service: &str) -> Value {
    json!({
        "number": number, "at_seconds": 1_795_744_800.0, "at": "2026-11-27T02:00:00Z",
        "service": service, "kind": "locked", "text": format!("{service}: locked"),
    })
}

fn states(states: &[Value]) -> Answer {
    let text = states.iter().map(|state| sse("status", None, state)).collect();
    Answer::Events { text, stays: true }
}

#[test]
fn a_wait_ends_when_it_holds() {
    let mut busy = service(Some("a"));
    busy["backends"][1]["in_flight"] = 2.into();
    let mut down = service(Some("a"));
    down["backends"][1]["health"] = "down".into();
    for (args, first, said) in [
        (&["--active", "b"][..], service(Some("a")), "web: b is active\n"),
        (&["--drained", "a"], service(Some("a")), "web: a has no requests\n"),
        (&["--drained"], busy, "web: no requests but at the active\n"),
        (&["--healthy", "b"], down, "web: b is up\n"),
    ] {
        let fake = Fake::new(move |_, _| {
            states(&[status_of(std::slice::from_ref(&first)), status(Some("b"))])
        });
        let outcome = fake.run(&[&["wait", "web"], args].concat());
        assert_eq!(outcome, (0, said.to_owned(), String::new()), "{args:?}");
        assert_eq!(fake.lines(), ["GET /api/v1/events/stream"]);
        assert_eq!(fake.last("GET").fields["accept"], "text/event-stream");
    }
}

#[test]
fn a_wait_that_does_not_come_true_is_3_and_says_what_is_missing() {
    let fake = Fake::new(|_, _| states(&[status(Some("a"))]));
    let (code, stdout, stderr) = fake.run(&["wait", "web", "--active", "b", "--timeout", "300ms"]);
    assert_eq!((code, stdout.as_str()), (3, ""));
    assert_eq!(stderr, "understudy: web: not within 0.3 s: a is active\n");
    let (code, _, stderr) = fake.run(&["wait", "web", "--active", "c"]);
    assert_eq!(
        (code, stderr.as_str()),
        (2, "understudy: there is no backend \"c\"; there are a, b\n")
    );
}

#[test]
fn a_wait_survives_a_restart_of_the_server() {
    let fake = Fake::new(|_, before| match before {
        0 => Answer::Events { text: sse("status", None, &status(Some("a"))), stays: false },
        1 => Answer::Nothing,
        2 => problem(503, "Stopping", "stopping"),
        _ => states(&[status(Some("b"))]),
    });
    let (code, stdout, stderr) = fake.run(&["wait", "web", "--active", "b"]);
    assert_eq!((code, stdout.as_str()), (0, "web: b is active\n"), "{stderr}");
    assert_eq!(stderr.matches("trying again").count(), 1, "{stderr}");
    // But who is told no stops asking.
    let fake = Fake::new(|_, before| match before {
        0 => Answer::Events { text: sse("status", None, &status(Some("a"))), stays: false },
        _ => problem(401, "No", "a token is needed"),
    });
    assert_eq!(fake.run(&["wait", "web", "--active", "b"]).0, 1);
}

#[test]
fn events_are_lines_or_json() {
    let fake = Fake::new(|_, _| json(&json!({ "events": [event(7, "web"), event(8, "api")] })));
    let (code, stdout, _) = fake.run(&["events", "web", "--limit", "5", "--after", "6"]);
    assert_eq!(code, 0);
    assert_eq!(fake.lines(), ["GET /api/v1/events?limit=5&after=6&service=web"]);
    let expected =
        "     7  2026-11-27 02:00:00  web: locked\n     8  2026-11-27 02:00:00  api: locked\n";
    assert_eq!(stdout, expected);
    let (_, stdout, _) = fake.run(&["events", "--json"]);
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines, [event(7, "web"), event(8, "api")]);
}

/// A command that goes on; killed when dropped.
struct Going {
    child: Child,
    lines: Receiver<String>,
}

impl Going {
    fn start(fake: &Fake, args: &[&str]) -> Self {
        let mut command = understudy(args);
        command.arg("--socket").arg(fake.at_socket());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("it starts");
        let stdout = child.stdout.take().expect("stdout");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn followed_events_go_on_where_a_lost_connection_ended() {
    let fake = Fake::new(|asked, before| match (asked.path.as_str(), before) {
        ("/api/v1/events/stream", 0) => Answer::Events {
            text: [
                sse("status", None, &status(Some("a"))),
                sse("event", Some(8), &event(8, "web")),
                sse("event", Some(9), &event(9, "api")),
            ]
            .concat(),
            stays: false,
        },
        ("/api/v1/events/stream", _) => {
            Answer::Events { text: sse("event", Some(10), &event(10, "web")), stays: true }
        }
        _ => json(&json!({ "events": [event(7, "web")] })),
    });
    let going = Going::start(&fake, &["events", "web", "--follow"]);
    for number in [7, 8, 10] {
        let line = going.line();
        assert!(
            line.starts_with(&format!("{number:>6}  ")) && line.ends_with("web: locked"),
            "{line}"
        );
    }
    let asked = fake.asked.lock().expect("asked").clone();
    let resumed: Vec<_> = asked.iter().map(|asked| asked.fields.get("last-event-id")).collect();
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(resumed, [None, id("7").as_ref(), id("9").as_ref()]);
}

#[test]
fn who_follows_from_a_number_gets_everything_since() {
    let fake = Fake::new(|_, _| Answer::Events {
        text: sse("event", Some(4), &event(4, "web")),
        stays: true,
    });
    let going = Going::start(&fake, &["events", "--follow", "--after", "3", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&going.line()).expect("JSON"), event(4, "web"));
    assert_eq!(fake.lines(), ["GET /api/v1/events/stream"]);
    assert_eq!(fake.last("GET").fields["last-event-id"], "3");
}

#[test]
fn a_watch_says_only_what_changes_where_there_is_no_terminal() {
    let mut busier = service(Some("a"));
    busier["load"]["in_flight"] = 4.into();
    let all = [status(Some("a")), status_of(&[busier]), status(Some("b"))];
    let text: String = all.iter().map(|state| sse("status", None, state)).collect();
    let fake = Fake::new(move |_, _| Answer::Events { text: text.clone(), stays: true });
    let going = Going::start(&fake, &["status", "--watch"]);
    for said in ["web: a is active (primary), a up, b up", "web: b is active (standby), a up, b up"]
    {
        let line = going.line();
        let (at, what) = line.split_once(' ').expect("a time");
        assert!(at.ends_with('Z') && at.contains('T'), "{line}");
        assert_eq!(what, said);
    }
    let going = Going::start(&fake, &["status", "--watch", "--json"]);
    for state in &all {
        assert_eq!(serde_json::from_str::<Value>(&going.line()).expect("JSON"), *state);
    }
}
