//! Suspicions: what live traffic asks control to look at, how often at most, and that nobody else
//! notices.

use std::time::{Duration, Instant};

use config::model::{ErrorRule, StatusSet};
use http::HeaderName;
use proxy::{Leave, Notice, Symptom};

use crate::backend::{Backend, Then};
use crate::http2::{Http2Client, request};
use crate::rig::{Plan, Rig, served, until};

const DRAIN: &str = "understudy-drain";

fn errors(count: u32) -> Option<ErrorRule> {
    let status = StatusSet(vec![500..=500, 502..=504]);
    Some(ErrorRule { status, count, within: Duration::from_secs(60) })
}

/// Does what the path says.
fn obedient() -> Backend {
    Backend::start(|exchange| {
        if exchange.body().is_none() {
            return Then::Close;
        }
        let path = exchange.head.split(' ').nth(1).unwrap_or_default().to_owned();
        match path.as_str() {
            "/reset" => return Then::Close,
            "/stall" => {
                exchange.body_until_closed();
                return Then::Close;
            }
            _ => {}
        }
        if let Some(status) = path.strip_prefix("/status/") {
            exchange.write(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").as_bytes());
            return Then::Next;
        }
        if let Some(value) = path.strip_prefix("/drain/") {
            let field = format!("Understudy-Drain: {value}");
            let head =
                format!("HTTP/1.1 200 x\r\n{field}\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\n");
            exchange.write(format!("{head}ok").as_bytes());
            return Then::Next;
        }
        exchange.answer("a")
    })
}

/// Symptoms of the notices that are there already.
fn symptoms(rig: &mut Rig) -> Vec<Symptom> {
    let notices = std::iter::from_fn(|| rig.notices.try_recv().ok());
    let symptoms = notices.filter_map(|notice| match notice {
        Notice::Suspicion(suspicion) => Some(suspicion.symptom),
        Notice::Answered(_) => None,
    });
    symptoms.collect()
}

#[test]
fn so_many_errors_are_suspicious_and_no_others() {
    let (a, b) = (obedient(), obedient());
    let plan = Plan { errors: errors(3), ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address, b.address]);
    let mut client = rig.client();
    rig.tag("x-drill", "", 2);
    for _ in 0..4 {
        for status in ["404", "501", "505"] {
            assert_eq!(client.get(&format!("/status/{status}")).status.to_string(), status);
        }
        client.send("GET /status/500 HTTP/1.1\r\nhost: h\r\nx-drill: 1\r\n\r\n");
        assert_eq!(client.answer().status, 500);
    }
    for status in ["500", "503"] {
        client.get(&format!("/status/{status}"));
    }
    assert_eq!(symptoms(&mut rig), []);
    client.get("/status/502");
    let suspicion = rig.suspicion();
    assert_eq!((suspicion.backend.0, suspicion.symptom), (1, Symptom::Errors));
    assert_eq!(rig.metric("suspicions_total errors"), 1.0);
    assert_eq!(served(&client.get("/")), "a");
    rig.at_rest();
}

#[test]
fn each_worker_counts_its_share_of_errors() {
    let a = obedient();
    let plan = Plan { workers: 2, errors: errors(3), ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address]);
    // All on one connection, and so at one worker: two of three, rounded up.
    let mut client = rig.client();
    client.get("/status/500");
    assert_eq!(symptoms(&mut rig), []);
    client.get("/status/500");
    assert_eq!(rig.suspicion().symptom, Symptom::Errors);
}

#[test]
fn an_answer_can_ask_for_a_drain() {
    let (a, b) = (obedient(), obedient());
    let header = Some(HeaderName::from_static(DRAIN));
    let plan = Plan { drain_header: header, ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address, b.address]);
    rig.tag("x-drill", "", 2);
    let (mut client, mut other) = (rig.client(), Http2Client::connect(rig.address));
    for value in ["0", "no", "False", "OFF"] {
        let answer = client.get(&format!("/drain/{value}"));
        assert!(!answer.head.to_lowercase().contains(DRAIN), "{answer:?}");
        assert!(answer.head.contains("x-kept"), "{answer:?}");
    }
    client.send("GET /drain/1 HTTP/1.1\r\nhost: h\r\nx-drill: 1\r\n\r\n");
    let drilled = client.answer();
    assert!(!drilled.head.to_lowercase().contains(DRAIN), "{drilled:?}");
    assert_eq!(symptoms(&mut rig), []);

    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(served(&client.get("/drain/1")), "ok");
        let whole = other.send(request("GET", "/drain/yes", &[]), true).whole();
        assert_eq!(whole.served(), "ok");
        assert!(!whole.headers.contains_key(DRAIN), "{whole:?}");
    }
    let suspicion = rig.suspicion();
    assert_eq!((suspicion.backend.0, suspicion.symptom), (1, Symptom::Drain));
    let more = symptoms(&mut rig).len();
    assert!(more as u64 <= begun.elapsed().as_secs(), "{more} more");
    rig.at_rest();
}

/// A head that comes later than usual is no stall where such heads are usual.
#[test]
fn a_stall_is_longer_than_usual() {
    let slow = Duration::from_millis(700);
    let a = Backend::start(move |exchange| {
        exchange.body();
        std::thread::sleep(slow);
        exchange.answer("slow")
    });
    let plan = Plan { stall_after: Duration::from_millis(400), ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address]);
    let mut client = rig.client();
    // What is usual is not known yet.
    assert_eq!(served(&client.get("/")), "slow");
    assert_eq!(rig.suspicion().symptom, Symptom::Stalled);
    rig.clear(1);
    // No older computation of what is usual holds now.
    let begun = Instant::now();
    until("a second", || begun.elapsed() > Duration::from_millis(1100));
    assert_eq!(served(&client.get("/")), "slow");
    assert_eq!(symptoms(&mut rig), []);
    assert_eq!(rig.metric("suspicions_total stalled"), 1.0);
}

/// Nothing that clients do makes control hear of it more than once a second for each symptom, and all
/// others are served meanwhile by connections that are not taken from them.
#[test]
fn hostile_clients_are_heard_of_once_a_second_and_hurt_nobody() {
    const ROUNDS: usize = 1000;
    let a = obedient();
    let mut plan = Plan { errors: errors(1), stall_after: Duration::ZERO, ..Plan::default() };
    plan.drain_header = Some(HeaderName::from_static(DRAIN));
    let mut rig = Rig::active(plan, &[a.address]);
    let begun = Instant::now();
    let (mut hostile, mut honest) = (rig.client(), rig.client());
    let mut stalled = Vec::new();
    let mut heard = Vec::new();
    for round in 0..ROUNDS {
        hostile.send("POST /reset HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(hostile.answer().status, 502);
        assert_eq!(hostile.get("/status/500").status, 500);
        assert_eq!(hostile.get("/drain/1").status, 200);
        // One that waits, and one that leaves at once with its body unfinished.
        if round % 20 == 0 {
            stalled.push(rig.client());
            stalled.last_mut().expect("one").send_get("/stall");
        }
        rig.client().send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhalf");
        assert_eq!(served(&honest.get("/")), "a", "{round}");
        // A probe passes at once.
        rig.clear(1);
        heard.extend(symptoms(&mut rig));
    }
    let most = begun.elapsed().as_secs() as usize + 1;
    for symptom in [Symptom::Reset, Symptom::Errors, Symptom::Drain, Symptom::Stalled] {
        let count = heard.iter().filter(|heard| **heard == symptom).count();
        assert!(count <= most, "{symptom:?}: {count} in {most} s");
        assert!(symptom == Symptom::Stalled || count > 0, "{symptom:?} was never heard of");
    }
    assert_eq!(rig.metric("requests_held_total"), 0.0, "nobody waited for a verdict");
    drop(stalled);
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&honest.get("/")), "a");
}
