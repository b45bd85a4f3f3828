//! Events and status as they happen.

use std::time::Duration;

use admin::wire::{Event, Status};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use crate::lab::{Call, Lab, PATIENCE, Way, open};

const STREAM: &str = "/api/v1/events/stream";

/// Reads server-sent events.
struct Reader {
    body: Incoming,
    text: String,
}

/// One of them.
#[derive(Debug, Default)]
struct Sent {
    event: String,
    id: Option<u64>,
    data: String,
}

impl Reader {
    async fn open(lab: &Lab, call: &Call) -> Self {
        let answer = timeout(PATIENCE, lab.begin(Way::Unix, call)).await.expect("in time");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Self { body: answer.into_body(), text: String::new() }
    }

    /// The next one, comments left out; `None` at the end.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut sent = Sent::default();
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("event", event)) => sent.event = event.to_owned(),
                        Some(("id", id)) => sent.id = Some(id.parse().expect("a number")),
                        Some(("data", data)) => sent.data.push_str(data),
                        _ => assert!(line.starts_with(':'), "{line}"),
                    }
                }
                self.text = rest.to_owned();
                if !sent.event.is_empty() {
                    return Some(sent);
                }
                continue;
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("something in time")?;
            let data = frame.expect("a whole stream").into_data().expect("no trailers");
            self.text.push_str(std::str::from_utf8(&data).expect("text"));
        }
    }

    /// The next event that is no status.
    async fn event(&mut self) -> Event {
        loop {
            let sent = self.next().await.expect("it goes on");
            if sent.event == "event" {
                let event: Event = serde_json::from_str(&sent.data).expect("an event");
                assert_eq!(sent.id, Some(event.number), "by which a client resumes");
                return event;
            }
            assert_eq!((&*sent.event, sent.id), ("status", None));
        }
    }
}

async fn lock_and_unlock(lab: &Lab) {
    for action in ["lock", "unlock"] {
        assert_eq!(lab.post(&format!("/api/v1/services/web/{action}"), "{}").await.status, 200);
    }
}

/// What is kept, in the order in which it happened.
async fn numbers(lab: &Lab) -> Vec<u64> {
    let events = lab.get("/api/v1/events?limit=1000").await.json();
    let events = events["events"].as_array().expect("a list");
    events.iter().map(|event| event["number"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn it_begins_with_the_status_and_goes_on_with_what_happens() {
    let lab = open().await;
    lab.settle().await;
    let mut reader = Reader::open(&lab, &Call::new("GET", STREAM)).await;
    let first = reader.next().await.expect("the status");
    assert_eq!((&*first.event, first.id), ("status", None));
    let status: Status = serde_json::from_str(&first.data).expect("a status");
    assert_eq!(status.service("web").and_then(|web| web.active.as_deref()), Some("a"));
    lock_and_unlock(&lab).await;
    let (locked, unlocked) = (reader.event().await, reader.event().await);
    assert_eq!((&*locked.kind, &*unlocked.kind), ("locked", "unlocked"), "nothing from before");
    assert!(unlocked.number > locked.number);
}

#[tokio::test]
async fn the_status_follows_when_it_changes_and_not_too_often() {
    let lab = open().await;
    lab.settle().await;
    let mut reader = Reader::open(&lab, &Call::new("GET", STREAM)).await;
    // Probes change the status twenty times a second and more.
    let begun = Instant::now();
    let mut count: u32 = 0;
    while count < 5 {
        count += u32::from(reader.next().await.expect("it goes on").event == "status");
    }
    let least = Duration::from_millis(250) * (count - 1);
    assert!(begun.elapsed() + Duration::from_millis(20) >= least, "{:?}", begun.elapsed());
    lock_and_unlock(&lab).await;
    assert_eq!(lab.post("/api/v1/services/web/pin", "{}").await.status, 200);
    loop {
        let sent = reader.next().await.expect("it goes on");
        if sent.event == "status" {
            let status: Status = serde_json::from_str(&sent.data).expect("a status");
            if status.service("web").is_some_and(|web| web.pinned) {
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_was_away_gets_what_it_missed_once() {
    let lab = open().await;
    lab.settle().await;
    lock_and_unlock(&lab).await;
    let before = numbers(&lab).await;
    let seen = before[before.len() - 2];
    let resumed = [
        Call::new("GET", STREAM).with("Last-Event-ID", &seen.to_string()),
        Call::new("GET", &format!("{STREAM}?after={seen}")),
        Call::new("GET", &format!("{STREAM}?after=0")).with("Last-Event-ID", &seen.to_string()),
    ];
    for call in resumed {
        let from = numbers(&lab).await.iter().position(|&number| number == seen).expect("kept");
        let mut reader = Reader::open(&lab, &call).await;
        lock_and_unlock(&lab).await;
        for number in &numbers(&lab).await[from + 1..] {
            assert_eq!(reader.event().await.number, *number, "{call:?}");
        }
    }
    let mut all = Reader::open(&lab, &Call::new("GET", &format!("{STREAM}?after=0"))).await;
    for number in numbers(&lab).await {
        assert_eq!(all.event().await.number, number);
    }
}

#[tokio::test]
async fn only_one_service_can_be_followed() {
    let lab = open().await;
    lab.settle().await;
    let mut none = Reader::open(&lab, &Call::new("GET", &format!("{STREAM}?service=none"))).await;
    lock_and_unlock(&lab).await;
    assert_eq!(lab.post("/api/v1/reload", "{}").await.status, 409);
    // Of other services nothing comes; what comes concerns all or is a status.
    for _ in 0..5 {
        let sent = none.next().await.expect("it goes on");
        if sent.event == "event" {
            let event: Event = serde_json::from_str(&sent.data).expect("an event");
            assert_eq!(event.service, None, "{event:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_number_is_refused() {
    let lab = open().await;
    for call in [
        Call::new("GET", STREAM).with("Last-Event-ID", "x"),
        Call::new("GET", &format!("{STREAM}?after=-1")),
        Call::new("GET", &format!("{STREAM}?from=1")),
    ] {
        assert_eq!(lab.send(Way::Unix, &call).await.problem(), "malformed", "{call:?}");
    }
}

#[tokio::test]
async fn so_many_may_follow_and_a_place_is_free_when_one_goes() {
    let lab = open().await;
    let call = Call::new("GET", STREAM);
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(Reader::open(&lab, &call).await);
    }
    let busy = lab.send(Way::Unix, &call).await;
    assert_eq!((busy.status.as_u16(), &*busy.problem()), (503, "busy"));
    assert!(!busy.field("retry-after").is_empty());
    assert_eq!(lab.get("/livez").await.status, 200, "others are not kept out");
    drop(readers.pop());
    let again = async {
        while lab.begin(Way::Unix, &call).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("a place in time");
}

#[tokio::test]
async fn it_ends_whole_when_everything_stops() {
    let mut lab = open().await;
    let mut reader = Reader::open(&lab, &Call::new("GET", STREAM)).await;
    reader.next().await.expect("the status");
    lab.stop();
    while reader.next().await.is_some() {}
    timeout(PATIENCE, lab.stopped()).await.expect("in time").expect("without an error");
}
