//! What clients send stays out of metrics and logs, and how many they are keeps no operator out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::{get, request};
use benches::process::free_address;

use crate::backend::{Backend, PATIENCE};
use crate::client::{Client, End};
use crate::stage::{Scene, Stage};

const ASK: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

#[test]
fn two_hundred_busy_connections_do_not_keep_the_operator_out() {
    let stage = Stage::with_defaults();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let mut client = Client::connect(stage.understudy.address());
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    match client.send(ASK).response() {
                        Ok(answer) if answer.status == 200 => answered.fetch_add(1, SeqCst),
                        other => return Err(other),
                    };
                }
                Ok(())
            })
        })
        .collect();
    wait_for(PATIENCE, "all of them are served", || {
        let open = stage.metric("understudy_listener_connections", &[]);
        if open >= 200 && answered.load(SeqCst) >= 1000 { Ok(()) } else { Err(open) }
    });
    for round in 1..=10 {
        let before = answered.load(SeqCst);
        for path in ["/metrics", "/readyz", "/livez", "/status"] {
            let asked = Instant::now();
            let answer = get(stage.understudy.admin(), path).expect("an answer");
            let took = asked.elapsed();
            assert_eq!(answer.status, 200, "{path}");
            // Shut out, it would wait until it gives up, after half a minute.
            assert!(took < Duration::from_secs(15), "{path} took {took:?} in round {round}");
        }
        wait_for(PATIENCE, "they hammer on", || {
            let now = answered.load(SeqCst);
            if now >= before + 200 { Ok(()) } else { Err(now) }
        });
    }
    stage.wait_passes("a", 2);
    stop.store(true, SeqCst);
    for client in clients {
        client.join().expect("no panic").expect("every request is answered");
    }
    assert_eq!(stage.metric("understudy_probes_total", &[("verdict", "fail")]), 0);
    stage.assert_never_moved();
}

#[test]
fn the_admin_endpoints_are_not_on_the_public_listener() {
    let stage = Stage::with_defaults();
    for path in ["/metrics", "/readyz", "/livez", "/status", "/", "/dashboard"] {
        for host in ["a.example", &stage.understudy.admin().to_string()] {
            let mut client = Client::connect(stage.understudy.address());
            client.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
            let answer = client.response().expect("an answer");
            assert_eq!(
                answer.header("x-origin"),
                Some("a"),
                "{path}: not the backend's: {answer:?}"
            );
            let body = String::from_utf8_lossy(&answer.body);
            assert!(!body.contains("understudy_") && !body.contains("epoch"), "{path}: {body}");
        }
    }
    // And the traffic is not on the admin listener.
    let answer = get(stage.understudy.admin(), "/echo").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (404, None));
}

#[test]
fn no_metric_has_words_of_a_request_in_it() {
    let stage = Stage::with_defaults();
    let (public, admin) = (stage.understudy.address(), stage.understudy.admin());
    let series = || -> BTreeSet<String> {
        let text = get(admin, "/metrics").expect("an answer").text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
    };
    let before = series();
    let classes = |status: u16| {
        Client::connect(public)
            .send(format!("GET /status/{status} HTTP/1.1\r\nhost: a.example\r\n\r\n"))
            .response()
            .expect("an answer")
    };
    for status in [200, 301, 404, 500] {
        assert_eq!(classes(status).status, status);
    }
    for number in 0..50 {
        let method = format!("MARK{number}");
        let target = format!("/mark{number}/%22%0a?mark={number}");
        let fields = [("x-mark", "mark"), ("user-agent", "mark\"}"), ("x-request-id", "mark")];
        // 404 from the backend, or a refusal: either way it has been counted somewhere.
        let _ = request(public, &method, &target, &fields, b"mark");
        let odd = format!("GET /mark HTTP/1.1\r\nhost: mark{number}.example\r\n\r\n");
        let _ = Client::connect(public).send(odd).response();
        let _ = get(admin, &format!("/mark{number}"));
    }
    let after = series();
    let marked: Vec<_> =
        after.iter().filter(|name| name.to_ascii_lowercase().contains("mark")).collect();
    assert!(marked.is_empty(), "words of requests in metrics: {marked:?}");
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "series that appeared with the requests: {new:?}");
    let counted = stage.metric("understudy_requests_total", &[("class", "4xx")]);
    assert!(counted >= 50, "only {counted} arrived: the test shows nothing");
}

#[test]
fn every_log_line_is_one_line_whatever_clients_and_backends_send() {
    let backend = Backend::start(|connection| {
        while let Some(request) = connection.request() {
            let answer: &[u8] = match request.line() {
                line if line.contains("/bad-status") => {
                    b"HTTP/1.1 200\x1b[31m FORGED\nFORGED\r\n\r\n"
                }
                line if line.contains("/bad-field") => {
                    b"HTTP/1.1 200 OK\r\nx: \x1b[2J\rFORGED\nFORGED\r\ncontent-length: 0\r\n\r\n"
                }
                line if line.contains("/bad-length") => {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 1\x1b\nFORGED\r\n\r\n"
                }
                _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            };
            if !connection.write(answer) {
                return;
            }
        }
    });
    let url = format!("http://{}", backend.address());
    let service = "health: { tcp: {}, interval: 100ms }";
    // With a standby, so that there is no warning: that is not part of the log.
    let nobody = format!("http://{}", free_address().expect("an address"));
    let scene = Scene::with_log(&[("a", url), ("b", nobody)], service, "debug");
    scene.understudy.wait_active("a");
    let ask = |bytes: &[u8]| -> Result<u16, End> {
        let answer = Client::connect(scene.understudy.address()).send(bytes).response();
        answer.map(|answer| answer.status)
    };
    let odd: [&[u8]; 12] = [
        b"GET /\x1b[31mFORGED HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /\rFORGED HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /\nFORGED HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /%0d%0aFORGED%1b HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /\xc2\x9b31m\xe2\x80\xa8FORGED HTTP/1.1\r\nhost: a\r\n\r\n",
        b"FORGED\x1b[0m / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\x1b\rFORGED\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx-\x1b\nFORGED: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: \xc2\x85FORGED\x9b\r\n\r\n",
        b"GET /bad-status HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /bad-field HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /bad-length HTTP/1.1\r\nhost: a\r\n\r\n",
    ];
    let answers: Vec<_> = odd.iter().map(|bytes| ask(bytes)).collect();
    assert!(answers.contains(&Ok(400)) && answers.contains(&Ok(502)), "{answers:?}");
    assert_eq!(ask(ASK.as_bytes()), Ok(200), "it goes on");
    let log = wait_for(PATIENCE, "the log tells of the broken answers", || {
        let log = scene.understudy.process.stderr();
        if log.matches("exchange broke").count() >= 3 { Ok(log) } else { Err(log) }
    });
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        let whole = parsed.is_ok_and(|value| value["timestamp"].is_string());
        assert!(whole, "not a whole line: {line:?}");
        let control = line.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
        assert_eq!(control, None, "{line:?}");
    }
}
