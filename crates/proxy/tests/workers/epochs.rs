//! What backends are told of the epoch, and what control is told of their first answers.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proxy::Leave;

use crate::backend::{Backend, Gate, Then};
use crate::http2::{Http2Backend, Http2Client, request};
use crate::rig::{PATIENCE, Plan, Rig, served, until};

const FIELD: &str = "x-understudy-epoch";

fn stamped(plan: Plan) -> Plan {
    Plan { epoch_header: Some(HeaderName::from_static(FIELD)), ..plan }
}

/// Every spelling by which a client could pass for us.
const FORGED: &[&str] = &[
    "X-Understudy-Epoch",
    "x_understudy_epoch",
    "X_Understudy-Epoch",
    "x-understudy_epoch",
    "X-UNDERSTUDY-EPOCH",
];

/// Notes what it is told, and answers with `name`.
fn noting(name: &'static str) -> (Backend, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    let backend = Backend::start(move |exchange| {
        exchange.body();
        let lines = exchange.head.lines().filter(|line| {
            let line = line.to_ascii_lowercase().replace('_', "-");
            line.starts_with(FIELD)
        });
        noted.lock().unwrap().push(lines.collect::<Vec<_>>().join("; "));
        exchange.answer(name)
    });
    (backend, told)
}

#[test]
fn every_request_says_the_epoch_and_clients_cannot() {
    let (a, told) = noting("a");
    let mut rig = Rig::active(stamped(Plan::default()), &[a.address]);
    let mut client = rig.client();
    for forged in FORGED {
        client.send(format!("GET / HTTP/1.1\r\nhost: h\r\n{forged}: 99\r\n{forged}: 98\r\n\r\n"));
        assert_eq!(served(&client.answer()), "a");
    }
    // Nor can they take it out.
    client.send(format!("GET / HTTP/1.1\r\nhost: h\r\nconnection: {FIELD}\r\n\r\n"));
    assert_eq!(served(&client.answer()), "a");
    let mut http2 = Http2Client::connect(rig.address);
    for forged in FORGED {
        let forged = forged.to_ascii_lowercase();
        let sent = http2.send(request("GET", "/", &[(&forged, "99")]), true);
        assert_eq!(sent.whole().served(), "a");
    }
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&client.get("/")), "a");
    let told = told.lock().unwrap();
    let (last, first) = told.split_last().unwrap();
    assert_eq!(first.len(), 2 * FORGED.len() + 1);
    assert!(first.iter().all(|line| line == "x-understudy-epoch: 1"), "{first:?}");
    assert_eq!(last, "x-understudy-epoch: 2");
}

#[test]
fn without_a_name_nothing_is_said_or_dropped() {
    let (a, told) = noting("a");
    let rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\nx-understudy-epoch: theirs\r\n\r\n");
    assert_eq!(served(&client.answer()), "a");
    assert_eq!(*told.lock().unwrap(), ["x-understudy-epoch: theirs"]);
}

/// A new name takes effect with the config that has it.
#[test]
fn the_name_follows_the_config() {
    let (a, told) = noting("a");
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    assert_eq!(served(&client.get("/")), "a");
    let mut service = (*rig.snapshot.services[0]).clone();
    service.epoch_header = Some(HeaderName::from_static(FIELD));
    rig.snapshot.services[0] = Arc::new(service);
    rig.configure(Vec::new());
    assert_eq!(served(&client.get("/")), "a");
    assert_eq!(*told.lock().unwrap(), ["", "x-understudy-epoch: 1"]);
}

/// Heads of requests and trailers, as they came.
type Heads = Arc<Mutex<Vec<HeaderMap>>>;

fn noting_http2() -> (Http2Backend, Heads) {
    let heads = Heads::default();
    let noted = Arc::clone(&heads);
    let backend = Http2Backend::start(move |mut call| {
        let noted = Arc::clone(&noted);
        async move {
            noted.lock().unwrap().push(call.request.headers.clone());
            call.received().await;
            if let Ok(Some(trailers)) = call.body.trailers().await {
                noted.lock().unwrap().push(trailers);
            }
            call.answer("a");
        }
    });
    (backend, heads)
}

#[test]
fn backends_of_http2_are_told_too() {
    let (a, heads) = noting_http2();
    let rig = Rig::active(stamped(Plan::http2()), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let mut old = rig.client();
    for forged in FORGED {
        let name = forged.to_ascii_lowercase();
        assert_eq!(client.send(request("GET", "/", &[(&name, "99")]), true).whole().served(), "a");
        old.send(format!("GET / HTTP/1.1\r\nhost: h\r\n{forged}: 99\r\n\r\n"));
        assert_eq!(old.answer().status, 200);
        old.read_until("0\r\n\r\n");
    }
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2 * FORGED.len());
    for head in &*heads {
        let claims = head.iter().filter(|(name, _)| name.as_str().replace('_', "-") == FIELD);
        let claims: Vec<_> = claims.collect();
        assert_eq!(claims.len(), 1, "{head:?}");
        assert_eq!((claims[0].0.as_str(), claims[0].1.as_bytes()), (FIELD, &b"1"[..]));
    }
}

/// Some servers put the trailers to the other fields.
#[test]
fn nor_can_clients_say_it_in_trailers() {
    let (a, heads) = noting_http2();
    let rig = Rig::active(stamped(Plan::http2()), &[a.address]);
    let mut client = Http2Client::connect(rig.address);
    let mut sent = client.send(request("POST", "/", &[]), false);
    sent.send.send_data(Bytes::from_static(b"body"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("7"));
    trailers.insert("x_understudy_epoch", HeaderValue::from_static("99"));
    trailers.insert(FIELD, HeaderValue::from_static("99"));
    sent.send.send_trailers(trailers).unwrap();
    assert_eq!(sent.whole().served(), "a");
    let heads = heads.lock().unwrap();
    let names: Vec<_> = heads[1].keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["checksum"]);
}

#[test]
fn a_switch_says_it_and_so_does_an_extended_connect() {
    let (a, told) = noting("a");
    let rig = Rig::active(stamped(Plan::default()), &[a.address]);
    let mut client = rig.client();
    client.send(
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(served(&client.answer()), "a");
    assert_eq!(*told.lock().unwrap(), ["x-understudy-epoch: 1"]);

    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    let heads = Heads::default();
    let noted = Arc::clone(&heads);
    let b = Http2Backend::start_with(builder, move |call| {
        noted.lock().unwrap().push(call.request.headers.clone());
        async move { call.answer("b") }
    });
    let rig = Rig::active(stamped(Plan::http2()), &[b.address]);
    let mut client = Http2Client::connect(rig.address);
    // The proxy's own settings have come with the first answer.
    assert_eq!(client.get("/").served(), "b");
    let mut connect = request("CONNECT", "/", &[]);
    connect.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    drop(client.send(connect, false).head());
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2);
    assert!(heads.iter().all(|head| head[FIELD] == "1"), "{heads:?}");
}

/// A replay says the epoch of the attempt, not of the request.
#[test]
fn a_replay_says_its_own_epoch() {
    let a = Backend::silent();
    let (b, told) = noting("b");
    let mut rig = Rig::active(stamped(Plan::default()), &[a.address, b.address]);
    let mut client = rig.client();
    client.send_get("/");
    a.journal.await_requests(1);
    rig.hold(None);
    rig.activate(2, Leave::Abandon);
    assert_eq!(served(&client.answer()), "b");
    assert_eq!(*told.lock().unwrap(), ["x-understudy-epoch: 2"]);
}

/// An answer with this status when the gate opens.
fn answering(status: u16, gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::start(move |exchange| {
        exchange.body();
        let status = match exchange.head.split(' ').nth(1) {
            Some("/slow") => {
                gate.pass();
                200
            }
            Some("/good") => 404,
            _ => status,
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        exchange.write(head.as_bytes());
        Then::Next
    })
}

/// Each worker says once per epoch that the active has answered well, and not before it has; and once
/// that it has answered with an error until then.
#[test]
fn the_first_good_answer_is_told_once_per_epoch() {
    let gate = Gate::default();
    let a = answering(503, &gate);
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    assert_eq!(client.get("/bad").status, 503);
    let erred = rig.answered();
    assert_eq!((erred.epoch, erred.is_good), (1, false));
    assert_eq!(client.get("/bad").status, 503);
    assert!(rig.answers().is_empty(), "once is enough");
    let before = Instant::now();
    assert_eq!(client.get("/good").status, 404);
    let answered = rig.answered();
    assert_eq!((answered.epoch, answered.is_good), (1, true));
    assert!(answered.at >= before && answered.at <= Instant::now());
    assert_eq!(client.get("/good").status, 404);
    assert!(rig.answers().is_empty(), "once is enough");
    // A hold that comes to nothing changes nothing.
    rig.hold(None);
    rig.release();
    assert_eq!(client.get("/good").status, 404);
    assert!(rig.answers().is_empty());

    // What was begun under an earlier epoch says nothing of this one.
    let mut slow = rig.client();
    slow.send_get("/slow");
    a.journal.await_requests(6);
    rig.activate(1, Leave::Finish);
    gate.open();
    assert_eq!(slow.answer().status, 200);
    assert!(rig.answers().is_empty());
    assert_eq!(client.get("/good").status, 404);
    assert_eq!(rig.answered().epoch, 2);
}

#[test]
fn each_worker_tells_of_its_own_first_answer() {
    let a = Backend::named("a");
    let plan = Plan { workers: 2, ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address]);
    let mut heard = 0;
    // The kernel spreads connections blindly; sooner or later each worker has had some.
    until("both to tell", || {
        assert_eq!(served(&rig.client().get("/")), "a");
        heard += rig.answers().len();
        heard == 2
    });
    for _ in 0..20 {
        assert_eq!(served(&rig.client().get("/")), "a");
    }
    assert!(rig.answers().is_empty());
}

/// While control has no room for it, it is kept and told later.
#[test]
fn an_answer_that_cannot_be_told_is_told_later() {
    let a = Backend::named("a");
    let mut rig = Rig::active(Plan { notices: 1, ..Plan::default() }, &[a.address]);
    assert_eq!(served(&rig.client().get("/")), "a");
    // The first notice fills the channel.
    rig.activate(1, Leave::Finish);
    assert_eq!(served(&rig.client().get("/")), "a");
    assert_eq!(rig.answered().epoch, 1);
    let begun = Instant::now();
    assert_eq!(rig.answered().epoch, 2);
    assert!(begun.elapsed() < PATIENCE / 2);
}

/// An error that says more of the request than of the backend speaks neither for it nor against it.
#[test]
fn an_odd_error_says_nothing_of_the_backend() {
    let a = answering(501, &Gate::default());
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    let mut client = rig.client();
    assert_eq!(client.get("/bad").status, 501);
    assert!(rig.answers().is_empty());
    assert_eq!(client.get("/good").status, 404);
    assert!(rig.answered().is_good);
}
