//! Every kind of event in the words and the form in which it is kept.

use super::*;

#[test]
fn the_oldest_events_go_and_numbers_stay() {
    let mut log = EventLog::default();
    for number in 1..=KEPT as u64 + 5 {
        log.record(number, None, Kind::Unlocked);
    }
    let events = log.after(0);
    assert_eq!(events.len(), KEPT);
    assert_eq!(events[0].number, 6);
    assert_eq!(log.after(KEPT as u64 + 3).len(), 2);
}

/// Notifiers name kinds in the config.
#[test]
fn a_config_knows_every_kind() {
    let (_, kinds) = include_str!("../events.rs").split_once("pub enum Kind {\n").unwrap();
    let (kinds, _) = kinds.split_once("\n}\n").unwrap();
    let variant = |line: &str| {
        let name = line.strip_prefix("    ")?;
        let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        name.starts_with(|c: char| c.is_ascii_uppercase()).then(|| name[..end].to_owned())
    };
    let snake = |name: String| {
        let parts = name.char_indices().map(|(index, c)| match c.is_ascii_uppercase() {
            true if index > 0 => format!("_{}", c.to_ascii_lowercase()),
            true | false => c.to_ascii_lowercase().to_string(),
        });
        parts.collect::<String>()
    };
    let kinds: Vec<String> = kinds.lines().filter_map(variant).map(snake).collect();
    assert_eq!(kinds, config::EVENT_KINDS);
}

#[test]
fn an_event_reads_as_one_line() {
    let event = EventLog::default().record(
        1,
        Some("web".into()),
        Kind::ActiveChanged {
            from: Some("a".into()),
            to: Some("b".into()),
            reason: Reason::Failover,
            epoch: 2,
            evidence: "connection refused".into(),
            took: Some(Duration::from_millis(212)),
            streams: 3,
            incident: Some(7),
        },
    );
    assert_eq!(
        event.to_string(),
        "web: failover: a -> b (epoch 2, 212 ms after the first sign, 3 streams under way): connection refused"
    );
}
