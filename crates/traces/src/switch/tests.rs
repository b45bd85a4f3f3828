//! The trace of a switch, from incidents as control keeps them.

use serde_json::json;

use super::*;
use crate::span::Value;

fn incident() -> Incident {
    Incident::of(json!({
        "id": 7, "service": "web", "reason": "failover", "from": "a", "to": "b", "epoch": 42,
        "at_seconds": 1000.5,
        "evidence": ["x"],
        "signs": [
            { "after_ms": 0.0, "took_ms": null, "what": "live traffic: cannot connect" },
            { "after_ms": 50.0, "took_ms": 60.0, "what": "a probe failed: refused" },
            { "after_ms": 400.0, "took_ms": 10.0, "what": "a probe failed: refused" },
        ],
        "timeline": [
            { "after_ms": 0.0, "step": "first_sign", "what": "" },
            { "after_ms": 500.0, "step": "decided", "what": "" },
            { "after_ms": 502.0, "step": "held", "what": "" },
            { "after_ms": 503.0, "step": "left", "what": "" },
            { "after_ms": 700.0, "step": "activated", "what": "" },
            { "after_ms": 710.0, "step": "first_answer", "what": "" },
        ],
        "gates": [{
            "gate": "promote", "backend": "b", "epoch": 42, "outcome": "failed", "words": "no",
            "output": "", "tries": 2, "took_ms": 100.0, "ended_after_ms": 650.0,
        }],
        "counts": { "held": 3, "replayed": 2, "failed": 1, "rejected": 0, "cut": 0 },
        "by": null, "outcome": "verified", "text": "failover: a -> b",
    }))
    .expect("it is understood")
}

fn times(span: &Span) -> (f64, f64) {
    // The first step was at 1000 s.
    let began = UNIX_EPOCH + Duration::from_secs(1_000);
    let ms = |at: SystemTime| match at.duration_since(began) {
        Ok(after) => (after.as_secs_f64() * 1e6).round() / 1e3,
        Err(before) => -(before.duration().as_secs_f64() * 1e6).round() / 1e3,
    };
    (ms(span.began), ms(span.ended))
}

#[test]
fn a_failover_is_a_tree_of_probes_phases_and_gates() {
    let spans = incident().spans("host");
    let (whole, parts) = spans.split_first().expect("spans");
    assert_eq!((&*whole.name, whole.parent), ("switch", None));
    assert_eq!(whole.place, ids::switch("host", "web", Which::Epoch(42)));
    assert_eq!(times(whole), (-10.0, 710.0), "from the probe that began first");
    let found: Vec<_> = parts.iter().map(|span| (&*span.name, times(span))).collect();
    assert_eq!(
        found,
        [
            ("detect", (0.0, 500.0)),
            ("hold", (500.0, 502.0)),
            ("gates", (503.0, 700.0)),
            ("activate", (502.0, 503.0)),
            ("answer", (700.0, 710.0)),
            ("gate promote", (550.0, 650.0)),
            ("probe", (-10.0, 50.0)),
            ("probe", (390.0, 400.0)),
        ]
    );
    let gates = parts.iter().find(|span| span.name == "gates").expect("gates");
    for part in parts {
        let within = if part.name == "gate promote" { gates } else { whole };
        assert_eq!(part.parent, Some(within.place.span), "{}", part.name);
        assert_eq!(part.place.trace, whole.place.trace);
        assert!(part.began >= within.began && part.ended <= within.ended, "{}", part.name);
    }
    let mut ids: Vec<_> = spans.iter().map(|span| span.place.span).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
    let said =
        |key| whole.attributes.iter().find(|(known, _)| *known == key).map(|(_, v)| v.clone());
    assert_eq!(said("understudy.epoch"), Some(Value::Number(42)));
    assert_eq!(said("understudy.requests.replayed"), Some(Value::Number(2)));
    assert_eq!(
        (said("understudy.from"), said("understudy.to")),
        (Some("a".into()), Some("b".into()))
    );
    assert_eq!(whole.error, None, "it worked out");
    let [suspicion] = &whole.events[..] else { panic!("{:?}", whole.events) };
    assert_eq!(suspicion.name, "suspicion");
    let gate = parts.iter().find(|span| span.name == "gate promote").expect("a gate");
    assert_eq!(gate.error.as_deref(), Some("no"));
}

#[test]
fn an_ordered_move_has_no_signs_and_one_called_off_no_epoch() {
    let called_off = Incident::of(json!({
        "id": 9, "service": "web", "reason": "switchover", "from": "a", "to": "b", "epoch": null,
        "at_seconds": 1000.0,
        "timeline": [
            { "after_ms": 0.0, "step": "decided", "what": "" },
            { "after_ms": 30.0, "step": "called_off", "what": "" },
        ],
        "outcome": "called_off", "text": "switchover: a -> b, called off",
    }))
    .expect("it is understood");
    assert!(called_off.is_settled());
    let spans = called_off.spans("host");
    let [whole] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(whole.place, ids::switch("host", "web", Which::Incident(9)));
    assert_eq!(times(whole), (0.0, 30.0));
    assert_eq!(whole.error.as_deref(), Some("switchover: a -> b, called off"));
}

#[test]
fn records_of_earlier_versions_are_a_span_without_parts() {
    let old = json!({
        "id": 9, "service": "web", "reason": "failover", "from": "a", "to": "b", "epoch": 3,
        "at_seconds": 1000.0, "timeline": [{ "after_ms": 0.0, "what": "decided" }],
        "outcome": "moved", "text": "",
    });
    let old = Incident::of(old).expect("it is understood");
    assert!(!old.is_settled());
    assert_eq!(old.spans("host").len(), 1);
    assert!(Incident::of(json!({ "id": 1 })).is_none());
}
