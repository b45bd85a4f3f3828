//! The access log and the event log of the real binary: what they say of each end of a request.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use benches::condition::wait_for;
use benches::fetch::get;
use benches::origin::Origin;
use benches::understudy::Understudy;
use serde_json::Value;

use crate::backend::Backend;
use crate::client::Client;
use crate::stage::{PATIENCE, Stage, alone, binary, origin_binary, yaml_of};

pub(crate) const QUICK: &str = "health: { http: { path: /healthz }, interval: 100ms, confirm_interval: 20ms, \
                     rise: 1 }";

/// A stage whose config ends with what `more` says of its folder.
pub(crate) fn stage(more: impl FnOnce(&Path) -> String) -> Stage {
    let plain = |folder: &Path, name: &str| Origin::start(&origin_binary(), folder, name);
    Stage::built(QUICK, plain, |config| {
        append(config, &more(config.parent().expect("a folder")));
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(config);
        command
    })
}

fn append(config: &Path, more: &str) {
    let text = fs::read_to_string(config).expect("a config");
    fs::write(config, text + more).expect("a config");
}

pub(crate) fn log_in(folder: &Path) -> PathBuf {
    folder.join("access.log")
}

pub(crate) fn to_file(folder: &Path) -> String {
    format!("access_log: {{ to: {} }}\n", log_in(folder).display())
}

/// The whole lines of a file; none when there is no file.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{line:?}: {why}")))
        .collect()
}

/// Waits for the line of the request to `target`; there is one.
fn wait_line(path: &Path, target: &str) -> Value {
    wait_for(PATIENCE, &format!("the line of {target}"), || {
        let mut found = lines(path);
        found.retain(|line| line["target"] == target);
        assert!(found.len() <= 1, "{found:?}");
        found.pop().ok_or("not there")
    })
}

/// Reads until these bytes have come.
fn take_until(client: &mut Client, end: &[u8]) {
    let mut all = Vec::new();
    while !all.ends_with(end) {
        let more = client.take(1);
        assert!(!more.is_empty(), "only {:?} came", String::from_utf8_lossy(&all));
        all.extend(more);
    }
}

fn assert_line(line: &Value, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(line[name], *value, "{name} of {line}");
    }
}

const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

/// Bytes in a tunnel: far more than is read at once.
const MUCH: usize = 1 << 20;

/// Answers by the path that is asked for.
fn play() -> Backend {
    Backend::start(|connection| {
        while let Some(seen) = connection.request() {
            let line = seen.line().to_owned();
            let is = |path: &str| line.contains(path);
            if is("/in/half") {
                connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
                return;
            } else if is("/in/endless") {
                connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
                // Until the proxy lets go of it.
                connection.take_exactly(1);
                return;
            } else if is("/in/silent") {
                connection.take_exactly(1);
                return;
            } else if is("/in/tunnel/left") {
                // More than a client takes that reads none of it.
                connection.write(&[SWITCHED, &vec![b'x'; MUCH][..]].concat());
                connection.take_exactly(1);
                return;
            } else if is("/in/tunnel/reset") {
                connection.write(SWITCHED);
                // The rest is not read, and resets the connection.
                connection.take_exactly(1);
                return;
            } else if is("/in/tunnel") {
                connection.write(&[SWITCHED, b"early"].concat());
                let said = connection.take_exactly(5).unwrap_or_default();
                connection.write(&[said, b"!".to_vec()].concat());
                return;
            }
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
        }
    })
}

/// A balancer before one backend that gets what is below `/in`.
fn house(folder: &Path, backend: SocketAddr) -> Understudy {
    let config = folder.join("understudy.yaml");
    let url = format!("http://{backend}");
    let text = yaml_of(&[("a", url)], "health: { tcp: {} }");
    let routes = "routes: [ { path: /in, service: web } ]\nshutdown_timeout: 0s\n";
    fs::write(&config, format!("{text}{routes}{}", to_file(folder))).expect("a config");
    // As strict as a service may be.
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]);
    command.arg(binary()).args(["run", "-c"]).arg(&config);
    let understudy = Understudy::start(command);
    understudy.wait_active("a");
    understudy
}

#[test]
fn every_end_of_a_request_has_its_line() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let backend = play();
    let mut understudy = house(folder.path(), backend.address());
    let (log, address) = (log_in(folder.path()), understudy.address());
    let ask = |line: &str| {
        let mut client = Client::connect(address);
        client.send(format!("{line} HTTP/1.1\r\nhost: a.example\r\nuser-agent: me\r\n\r\n"));
        client
    };

    // All is well.
    let mut client = Client::connect(address);
    client.send(
        "POST /in/ok?q=1 HTTP/1.1\r\nhost: a.example\r\nreferer: http://b/\r\ncontent-length: 5\r\n\r\nhello",
    );
    assert_eq!(client.response().expect("an answer").status, 200);
    let line = wait_line(&log, "/in/ok?q=1");
    let web = || Value::from("web");
    assert_line(
        &line,
        &[
            ("method", "POST".into()),
            ("status", 200.into()),
            ("client", "127.0.0.1".into()),
            ("host", "a.example".into()),
            ("referer", "http://b/".into()),
            ("version", "HTTP/1.1".into()),
            ("listener", "127.0.0.1:0".into()),
            ("service", web()),
            ("backend", "a".into()),
            ("epoch", understudy.epoch().into()),
            ("attempts", 1.into()),
            ("held_ms", 0.0.into()),
            ("replayed", false.into()),
            ("received", 5.into()),
            ("sent", 3.into()),
            ("blame", Value::Null),
            ("end", "complete".into()),
        ],
    );
    let took = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name} of {line}"));
    assert!(took("connect_ms") <= took("head_ms") && took("head_ms") <= took("total_ms"), "{line}");

    // The backend breaks off.
    // What had come may be lost with the connection.
    let half = ask("GET /in/half").response();
    assert!(!half.as_ref().is_ok_and(|half| half.complete), "{half:?}");
    let upstream = || Value::from("upstream");
    assert_line(
        &wait_line(&log, "/in/half"),
        &[
            ("status", 200.into()),
            ("sent", 3.into()),
            ("end", "backend_gone".into()),
            ("blame", upstream()),
        ],
    );

    // The client leaves: in the middle of the answer, and before it.
    let gone = [("end", "client_gone".into()), ("blame", "downstream".into())];
    for (path, status) in [("/in/endless?1", 200.into()), ("/in/silent?1", Value::Null)] {
        let mut client = ask(&format!("GET {path}"));
        backend.wait_seen(path);
        if status == 200 {
            take_until(&mut client, b"abc");
        }
        drop(client);
        let line = wait_line(&log, path);
        assert_line(&line, &gone);
        assert_line(&line, &[("status", status), ("backend", "a".into())]);
    }

    // It never gets to a service.
    for (line, target, status) in [("GET /out", "/out", 404), ("TRACE /in/trace", "/in/trace", 405)]
    {
        assert_eq!(ask(line).response().expect("an answer").status, status);
        assert_line(
            &wait_line(&log, target),
            &[
                ("status", status.into()),
                ("service", Value::Null),
                ("backend", Value::Null),
                ("attempts", 0.into()),
                ("blame", "downstream".into()),
                ("end", "complete".into()),
                ("user_agent", "me".into()),
            ],
        );
    }

    // Neither a password nor a host without end.
    ask("GET http://me:secret@a.example/in/secret").response().expect("an answer");
    assert_line(&wait_line(&log, "/in/secret"), &[("host", "a.example".into())]);

    // A tunnel.
    let tunnel = |path: &str| {
        let mut client = Client::connect(address);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
        ));
        assert_eq!(client.interim_or_final().expect("a switch").status, 101);
        client
    };
    let mut client = tunnel("/in/tunnel");
    client.send("hello");
    assert_eq!(client.take(11), b"earlyhello!");
    drop(client);
    assert_line(
        &wait_line(&log, "/in/tunnel"),
        &[
            ("status", 101.into()),
            ("received", 5.into()),
            ("sent", 11.into()),
            ("blame", Value::Null),
            ("end", "complete".into()),
        ],
    );

    // One that its client leaves in the middle, and one that its backend does.
    let mut client = tunnel("/in/tunnel/left");
    assert_eq!(client.take(1), b"x");
    drop(client);
    assert_line(&wait_line(&log, "/in/tunnel/left"), &gone);
    let mut client = tunnel("/in/tunnel/reset");
    client.send(vec![b'x'; MUCH]);
    assert_line(
        &wait_line(&log, "/in/tunnel/reset"),
        &[("end", "backend_gone".into()), ("blame", upstream())],
    );

    // For the group, too.
    let mode = fs::metadata(&log).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "{mode:o}");

    // Nobody can read it.
    let mut client = Client::connect(address);
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.response().expect("an answer").status, 400);
    let line = wait_line(&log, "-");
    assert_line(
        &line,
        &[
            ("client", "127.0.0.1".into()),
            ("method", "-".into()),
            ("status", 400.into()),
            ("service", Value::Null),
            ("blame", "downstream".into()),
            ("end", "complete".into()),
        ],
    );

    // We stop.
    let mut client = ask("GET /in/endless?2");
    take_until(&mut client, b"abc");
    understudy.process.signal("TERM");
    assert_eq!(understudy.process.wait_exit(PATIENCE).code(), Some(0));
    assert_line(
        &wait_line(&log, "/in/endless?2"),
        &[
            ("status", 200.into()),
            ("sent", 3.into()),
            ("end", "cut".into()),
            ("blame", Value::Null),
        ],
    );
}

#[test]
fn a_failover_is_told_of_the_requests_that_met_it_whatever_the_sample() {
    let mut stage =
        stage(|folder| format!("access_log: {{ to: {}, sample: 0 }}\n", log_in(folder).display()));
    let (log, address) = (log_in(stage.folder.path()), stage.understudy.address());
    for _ in 0..20 {
        assert_eq!(get(address, "/?plain").expect("an answer").status, 200);
    }
    let met = thread::spawn(move || get(address, "/slow?ms=500"));
    stage.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 1.0);
    stage.a.process.kill();
    assert_eq!(met.join().expect("no panic").expect("an answer").status, 200);
    let line = wait_line(&log, "/slow?ms=500");
    assert_line(
        &line,
        &[
            ("status", 200.into()),
            ("backend", "b".into()),
            ("attempts", 2.into()),
            ("replayed", true.into()),
            ("epoch", stage.understudy.epoch().into()),
            ("blame", Value::Null),
            ("end", "complete".into()),
        ],
    );
    assert!(line["held_ms"].as_f64().is_some_and(|held| held > 0.0), "{line}");
    assert!(line["head_ms"].as_f64() > line["held_ms"].as_f64(), "{line}");
    let all = lines(&log);
    assert!(all.iter().all(|line| line["target"] != "/?plain"), "{all:?}");
}

#[test]
fn a_request_that_outlives_a_move_has_the_epoch_under_which_it_was_sent() {
    let stage = stage(to_file);
    let (log, address) = (log_in(stage.folder.path()), stage.understudy.address());
    let before = stage.understudy.epoch();
    let long = thread::spawn(move || get(address, "/slow?ms=5000"));
    stage.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 1.0);
    stage.a.control("health=503");
    stage.understudy.wait_active("b");
    assert!(!long.is_finished(), "it is over already");
    assert_eq!(long.join().expect("no panic").expect("an answer").status, 200);
    assert_ne!(stage.understudy.epoch(), before);
    let line = wait_line(&log, "/slow?ms=5000");
    assert_line(
        &line,
        &[
            ("backend", "a".into()),
            ("epoch", before.into()),
            ("attempts", 1.into()),
            ("end", "complete".into()),
        ],
    );
}

#[test]
fn the_event_log_has_what_the_api_tells() {
    let mut stage =
        stage(|folder| format!("event_log: {{ to: {} }}\n", folder.join("events.log").display()));
    let log = stage.folder.path().join("events.log");
    stage.a.process.kill();
    stage.understudy.wait_active("b");
    let told = || {
        let answer = get(stage.understudy.admin(), "/api/v1/events").expect("events");
        let mut told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let Value::Array(told) = told["events"].take() else { panic!("{}", answer.text()) };
        told
    };
    let moved = |line: &Value| line["kind"] == "active_changed" && line["to"] == "b";
    wait_for(PATIENCE, "the move in both", || {
        let (written, told) = (lines(&log), told());
        let there = written.iter().any(moved) && told.iter().any(moved);
        // Times may differ in their last digit: the API has read them from its books.
        let timeless = |events: &[Value]| {
            let mut events = events.to_vec();
            for event in &mut events {
                let fields = event.as_object_mut().expect("an object");
                let (at, seconds) = (fields.remove("at"), fields.remove("at_seconds"));
                assert!(at.is_some_and(|at| at.is_string()), "{fields:?}");
                assert!(seconds.is_some_and(|seconds| seconds.is_f64()), "{fields:?}");
            }
            events
        };
        if there && timeless(&written) == timeless(&told) { Ok(()) } else { Err((written, told)) }
    });
}
