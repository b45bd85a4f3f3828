//! What can be read.

use admin::wire::{
    Events, Health, Incident, IncidentSummary, Incidents, Service, Services, Status,
};
use serde_json::json;

use crate::lab::{Lab, open};

async fn lock_and_unlock(lab: &Lab, times: usize) {
    for _ in 0..times {
        for action in ["lock", "unlock"] {
            let path = format!("/api/v1/services/web/{action}");
            assert_eq!(lab.post(&path, "{}").await.status, 200);
        }
    }
}

#[tokio::test]
async fn the_status_is_the_same_wherever_it_is_asked_for() {
    let lab = open().await;
    lab.settle().await;
    let status: Status = serde_json::from_str(&lab.get("/api/v1/status").await.text).expect("one");
    let web = status.service("web").expect("web");
    assert_eq!((web.active.as_deref(), web.on_primary, web.pinned), (Some("a"), true, false));
    assert_eq!(web.backends.iter().map(|b| &*b.name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(web.backends.iter().all(|b| b.health == Health::Up && b.last_probe.is_some()));

    let one = lab.get("/api/v1/services/web").await;
    let one: Service = serde_json::from_str(&one.text).expect("a service");
    assert_eq!((one.name, one.epoch), (web.name.clone(), web.epoch));
    let all = lab.get("/api/v1/services").await;
    let all: Services = serde_json::from_str(&all.text).expect("services");
    assert_eq!(all.services.len(), 1);
    let unknown = lab.get("/api/v1/services/none").await;
    assert_eq!((unknown.status.as_u16(), &*unknown.problem()), (404, "unknown-service"));
    assert_eq!(lab.get("/api/v1/services/%ff").await.problem(), "malformed");
}

/// Scripts read these names.
#[tokio::test]
async fn the_old_page_keeps_its_fields() {
    let lab = open().await;
    lab.settle().await;
    let page = lab.get("/status").await.json();
    let web = &page["services"][0];
    for field in [
        "name",
        "active",
        "epoch",
        "since_seconds",
        "on_primary",
        "pinned",
        "locked",
        "failback_due_in_seconds",
        "backends",
    ] {
        assert!(web.get(field).is_some(), "{field}: {web}");
    }
    let a = &web["backends"][0];
    assert_eq!(
        (&a["health"], &a["admin"], &a["active"]),
        (&json!("up"), &json!("ready"), &json!(true))
    );
    for field in ["outcome", "took_ms", "ago_seconds"] {
        assert!(a["last_probe"].get(field).is_some(), "{field}: {a}");
    }
    let fields = |value: &serde_json::Value| {
        value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
    };
    let api = lab.get("/api/v1/status").await.json();
    assert_eq!(fields(&api["services"][0]), fields(web), "the same as in the API");
}

#[tokio::test]
async fn events_are_given_in_order_and_within_bounds() {
    let lab = open().await;
    lab.settle().await;
    lock_and_unlock(&lab, 3).await;
    let get = async |query: &str| {
        let answer = lab.get(&format!("/api/v1/events{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        let events: Events = serde_json::from_str(&answer.text).expect("events");
        events.events
    };
    let all = get("").await;
    let numbers: Vec<u64> = all.iter().map(|event| event.number).collect();
    assert!(numbers.is_sorted() && numbers.len() >= 6, "{numbers:?}");
    let last = all.iter().rfind(|event| event.kind == "unlocked").expect("one");
    assert_eq!(last.service.as_deref(), Some("web"));
    assert!(!last.text.is_empty());
    let at = last.at.expect("a time").as_duration().as_secs_f64();
    assert!((at - last.at_seconds).abs() < 0.002, "{last:?}");

    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    assert_eq!(get("?limit=2").await, all[all.len() - 2..]);
    assert_eq!(get(&format!("?after={first}")).await, all[1..]);
    assert_eq!(
        get(&format!("?before={last}&service=web&limit=1000")).await.last(),
        all.get(all.len() - 2)
    );
    assert_eq!(get(&format!("?after={last}")).await, []);
    assert_eq!(get("?service=none").await, []);
    for query in [
        "?limit=0",
        "?limit=1001",
        "?limit=",
        "?limit=-1",
        "?after=x",
        "?before=9007199254740992",
        "?limit=1&limit=2",
        "?most=1",
    ] {
        let answer = lab.get(&format!("/api/v1/events{query}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (400, "malformed"), "{query}");
    }
    let long = "x".repeat(257);
    for path in ["events", "incidents", "events/stream"] {
        let answer = lab.get(&format!("/api/v1/{path}?service={long}")).await;
        assert_eq!(answer.problem(), "malformed", "{path}");
    }
}

#[tokio::test]
async fn incidents_that_are_not_kept_are_not_found() {
    let lab = open().await;
    let unknown = lab.get("/api/v1/incidents/1000000").await;
    assert_eq!((unknown.status.as_u16(), &*unknown.problem()), (404, "not-found"));
    assert_eq!(lab.get("/api/v1/incidents/first").await.problem(), "malformed");
    assert_eq!(lab.get("/api/v1/incidents?limit=0").await.problem(), "malformed");
}

#[tokio::test]

async fn a_move_becomes_an_incident() {
    let lab = open().await;
    lab.settle().await;
    let order = r#"{"to": "b", "verify_seconds": 0, "reason": "patch night"}"#;
    assert_eq!(lab.post("/api/v1/services/web/switchover", order).await.status, 200);
    let list = lab.get("/api/v1/incidents?service=web&limit=1").await;
    let list: Incidents = serde_json::from_str(&list.text).expect("incidents");
    let newest: &IncidentSummary = list.incidents.first().expect("one");
    assert_eq!((newest.from.as_deref(), newest.to.as_deref()), (Some("a"), Some("b")));
    assert_eq!(newest.reason, "switchover");
    assert_eq!(newest.by.as_ref().expect("somebody").why, "patch night");
    let whole = lab.get(&format!("/api/v1/incidents/{}", newest.id)).await;
    let whole: Incident = serde_json::from_str(&whole.text).expect("an incident");
    assert_eq!(whole.by.expect("somebody").why, "patch night");
    assert!(!whole.timeline.is_empty());
}
