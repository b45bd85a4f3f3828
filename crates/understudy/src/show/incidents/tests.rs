//! What `incidents` shows, text for text.

use admin::wire::{Counts, Operator, Step, Took};

use super::*;

fn incident() -> Incident {
    Incident {
        id: 8,
        service: "web".to_owned(),
        reason: "failover".to_owned(),
        from: Some("a".to_owned()),
        to: Some("b".to_owned()),
        epoch: Some(8),
        at_seconds: 1_795_744_800.25,
        at: None,
        evidence: vec!["connection refused".to_owned(), "2 probes\x07 failed".to_owned()],
        gates: vec![GateRecord {
            gate: "promote".into(),
            backend: "b".into(),
            epoch: 17,
            outcome: "done".into(),
            words: "200 OK".into(),
            output: "jobs on".into(),
            tries: 2,
            took_ms: 12.0,
            ended_after_ms: 260.0,
        }],
        timeline: vec![
            Step { after_ms: 0.0, what: "first sign".to_owned() },
            Step { after_ms: 212.4, what: "b is active".to_owned() },
        ],
        took: Took {
            detect_ms: Some(210.0),
            switch_ms: Some(2.4),
            total_ms: Some(212.4),
            first_answer_ms: Some(215.5),
        },
        counts: Counts { held: 12, replayed: 3, ..Counts::default() },
        by: None,
        outcome: "moved".to_owned(),
        text: "a -> b because a failed".to_owned(),
    }
}

#[test]
fn one_in_full() {
    let expected = "\
incident 8: a -> b because a failed
  when      2026-11-27 02:00:00
  service   web
  move      a -> b (failover)
  outcome   moved
  took      210 ms to detect, 2.40 ms to switch, first good answer after 216 ms
  requests  12 held, 3 replayed
  evidence  connection refused
            2 probes? failed
  gates     promote of b: done after 12 ms, 2 tries: 200 OK
              | jobs on
  steps     +0.00 ms  first sign
             +212 ms  b is active
";
    assert_eq!(full(&incident(), Colour::Never, &TimeZone::UTC), expected);
}

#[test]
fn an_ordered_one_says_who_and_why() {
    let by = Operator {
        who: "alice".to_owned(),
        from: "unix socket, pid 17".to_owned(),
        why: "disk swap".to_owned(),
    };
    let took = Took { switch_ms: Some(2.0), ..Took::default() };
    let ordered = Incident {
        by: Some(by),
        took,
        counts: Counts::default(),
        evidence: Vec::new(),
        gates: Vec::new(),
        timeline: Vec::new(),
        to: None,
        outcome: "called_off".to_owned(),
        ..incident()
    };
    let expected = "\
incident 8: a -> b because a failed
  when      2026-11-27 02:00:00
  service   web
  move      a -> nobody (failover)
  outcome   called_off
  by        alice, unix socket, pid 17
  reason    disk swap
  took      2.00 ms to switch
  requests  none affected
";
    assert_eq!(full(&ordered, Colour::Never, &TimeZone::UTC), expected);
}

#[test]
fn a_list_has_one_line_each() {
    let first = IncidentSummary::from(incident());
    let second = IncidentSummary {
        id: 7,
        service: "api".to_owned(),
        from: None,
        total_ms: None,
        first_answer_ms: None,
        ..first.clone()
    };
    let expected = "\
8  2026-11-27 02:00:00  web  failover  a -> b       moved  216 ms
7  2026-11-27 02:00:00  api  failover  nobody -> b  moved
";
    assert_eq!(list(&[first, second], Colour::Never, &TimeZone::UTC), expected);
}
