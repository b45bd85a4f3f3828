//! Two operators at once, and what each of them is told.

use std::time::Duration;

use control::{Command, CommandError, Control, Kind, Operator};
use routing::failover::{AdminState, Refusal};

use crate::harness::{
    Backend, PATIENCE, config, get, moves, order, start_on, switchover, wait_for, wait_for_active,
    web,
};

#[tokio::test]
async fn an_order_that_is_refused_takes_nobodys_place() {
    let (a, b, c) =
        (Backend::start("a").await, Backend::start("b").await, Backend::start("c").await);
    let control = start_on(&config(&[&a, &b, &c], ""), "a").await;
    for name in ["b", "c"] {
        wait_for(&control, "not up", |status| {
            web(status).backends.iter().any(|x| &*x.name == name && x.eligible_since.is_some())
        })
        .await;
    }
    let away = Command::SetAdmin("c".to_owned(), AdminState::Maintenance);
    order(&control, away).await.expect("it is done");
    let first = tokio::spawn({
        let control = control.clone();
        async move { order(&control, switchover("b")).await }
    });
    // The first good answer takes a moment, so there is one in which it is waited for.
    wait_for(&control, "nobody has moved", |status| web(status).verifying.is_some()).await;
    let second = control.command("web", switchover("c"), Operator::local("somebody else")).await;
    assert_eq!(second, Err(CommandError::Refused(Refusal::NotEligible)));
    let first = first.await.expect("no panic").expect("the move went on");
    assert!(first.moved.is_some_and(|moved| moved.verified_after.is_some()), "{}", first.text);
    // Nor does it change who is said to have pinned the service.
    let status = control.status();
    let pin = web(&status).drift.iter().find(|drift| &*drift.what == "pin").expect("it is pinned");
    assert_eq!(&*pin.by.who, "test");
}

#[tokio::test]
async fn an_order_that_is_accepted_takes_the_place_of_the_one_before() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], "verify: 20s"), "a").await;
    wait_for(&control, "b is not up", |status| web(status).backends[1].eligible_since.is_some())
        .await;
    // Whoever asks it hears nothing, so the move stays unverified for as long as its probes wait.
    b.hang();
    let first = tokio::spawn({
        let control = control.clone();
        async move { order(&control, switchover("b")).await }
    });
    wait_for(&control, "nobody has moved", |status| web(status).verifying.is_some()).await;
    let back = Command::Switchover { to: "a".to_owned(), verify: Some(Duration::ZERO) };
    let second = order(&control, back).await;
    let first = first.await.expect("no panic");
    assert!(
        matches!(first, Err(CommandError::CalledOff(_) | CommandError::Returned(_))),
        "{first:?}"
    );
    assert!(second.is_ok(), "{second:?}");
    assert_eq!(web(&control.status()).active.as_deref(), Some("a"));
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let met = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, met).await.is_ok(), "{what}");
}

async fn two(more: &str) -> (Backend, Backend, Control) {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], more), "a").await;
    wait_for(&control, "b is not up", |status| web(status).backends[1].eligible_since.is_some())
        .await;
    (a, b, control)
}

/// Who is said to have changed this, and why.
fn marked(control: &Control, what: &str) -> Option<(String, String)> {
    let status = control.status();
    let drift = web(&status).drift.iter().find(|drift| &*drift.what == what)?;
    Some((drift.by.who.to_string(), drift.by.why.to_string()))
}

#[tokio::test]
async fn a_second_order_of_what_is_so_already_takes_nobodys_name_off_it() {
    let (_a, _b, control) = two("").await;
    let by = |who: &str| Operator { why: who.into(), ..Operator::local(who) };
    for who in ["first", "second"] {
        control.command("web", Command::Lock, by(who)).await.expect("it is locked");
        control.command("web", Command::Pin, by(who)).await.expect("it is pinned");
    }
    let first = || Some(("first".to_owned(), "first".to_owned()));
    assert_eq!(marked(&control, "lock"), first());
    assert_eq!(marked(&control, "pin"), first());
    let locked = control.events(0).into_iter().find_map(|event| match event.kind {
        Kind::Locked { why } => Some(why),
        _ => None,
    });
    assert_eq!(locked.as_deref(), Some("ordered by first, first"));
}

#[tokio::test]
async fn an_order_to_move_to_the_active_says_that_it_pins() {
    let (_a, _b, control) = two("").await;
    let preview = control.preview("web", Some("a".to_owned())).await.expect("a preview");
    assert!(preview.steps[0].contains("stays there now: pinned"), "{:?}", preview.steps);
    let done = order(&control, switchover("a")).await.expect("it is done");
    assert!(done.text.contains("stays there now: pinned"), "{}", done.text);
    assert!(marked(&control, "pin").is_some());
}

#[tokio::test]
async fn a_lock_by_the_rules_says_which() {
    let (mut a, _b, control) = two("failback: { auto: { hold_down: 1h, hold_down_cap: 1h, lock_after: { switches: 2, within: 1h } } }").await;
    a.kill().await;
    wait_for_active(&control, "b").await;
    order(&control, Command::SetAdmin("b".to_owned(), AdminState::Drain)).await.expect("done");
    a.revive().await;
    wait_for_active(&control, "a").await;
    order(&control, Command::SetAdmin("b".to_owned(), AdminState::Ready)).await.expect("done");
    wait_for(&control, "b is not eligible", |s| web(s).backends[1].eligible_since.is_some()).await;
    a.kill().await;
    wait_for(&control, "not locked", |status| web(status).locked).await;
    let locked = control.events(0).into_iter().find_map(|event| match event.kind {
        Kind::Locked { why } => Some(why),
        _ => None,
    });
    assert_eq!(locked.as_deref(), Some("2 automatic moves within 3600s"));
}

fn drill(length: Duration) -> Command {
    let header = "x-drill".parse().expect("a name");
    Command::DrillTagged { backend: Some("b".to_owned()), header, value: None, length }
}

/// How a drill of `b` has ended: whether early.
fn ended(control: &Control) -> Option<bool> {
    control.events(0).into_iter().find_map(|event| match event.kind {
        Kind::DrillEnded { early, answered, .. } => {
            assert_eq!(answered, Some(std::collections::BTreeMap::new()));
            Some(early)
        }
        _ => None,
    })
}

#[tokio::test]
async fn a_drill_of_a_standby_ends_when_it_becomes_active() {
    let (mut a, _b, control) = two("").await;
    order(&control, drill(Duration::from_secs(600))).await.expect("it begins");
    let began = control.events(0).into_iter().find_map(|event| match event.kind {
        Kind::DrillBegan { backend, tag } => Some((backend, tag)),
        _ => None,
    });
    assert_eq!(began, Some(("b".into(), Some("x-drill".into()))));
    a.kill().await;
    wait_for_active(&control, "b").await;
    until("it has ended", || ended(&control) == Some(true)).await;
}

#[tokio::test]
async fn a_drill_of_a_standby_ends_when_a_reload_forbids_it_or_takes_the_standby_away() {
    for (leaves, more) in [(false, "exclusive: true"), (true, "")] {
        let (a, b, control) = two("").await;
        order(&control, drill(Duration::from_secs(600))).await.expect("it begins");
        let both = [&a, &b];
        let text = config(if leaves { &both[..1] } else { &both }, more);
        control.reload(text).await.expect("it is in force");
        assert_eq!(ended(&control), Some(true));
        assert!(web(&control.status()).drill.is_none());
    }
}

/// A good answer does not end the watch: who fails within it is left, and the record must say so
/// although the answer was long ago.
#[tokio::test]
async fn a_move_that_answered_and_was_taken_back_is_on_record_as_taken_back() {
    let (_a, mut b, control) = two("verify: 60s").await;
    order(&control, switchover("b")).await.expect("it is made");
    assert_eq!(get(&control).await.1, "b");
    // For longer than the record of a move that is not watched stays open after the answer.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    b.kill().await;
    wait_for_active(&control, "a").await;
    assert_eq!(moves(&control).last().map(String::as_str), Some("b->a Return"));
    let on_record = async {
        loop {
            let incidents = control.incidents(Some("web"), 9).await;
            let moved = incidents.iter().find(|incident| incident["to"] == "b");
            if moved.is_some_and(|incident| incident["outcome"] == "returned") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, on_record).await.is_ok(), "it is not on record");
}

/// Whoever hears that a move was called off finds its record, and not that of another.
#[tokio::test]
async fn a_move_that_is_called_off_is_on_record_when_it_is_told() {
    let more = "exclusive: { drain: 20s }\n    hold: { timeout: 25s }\n    \
                health: { http: { path: / }, interval: 50ms, timeout: 1s, fall: 100 }";
    let (a, _b, control) = two(more).await;
    // The move has to wait for a request that is never answered.
    a.hang();
    let asking = control.clone();
    let request = tokio::spawn(async move { get(&asking).await });
    let sent = r#"understudy_requests_in_flight{service="web"} 1"#;
    until("it is not sent", || control.metrics().encode().contains(sent)).await;
    let mut events = control.follow();
    let asking = control.clone();
    let asked = tokio::spawn(async move { order(&asking, switchover("b")).await });
    wait_for(&control, "nothing is under way", |status| web(status).switching.is_some()).await;
    let away = Command::SetAdmin("b".to_owned(), AdminState::Maintenance);
    order(&control, away).await.expect("it is done");
    let told = async {
        loop {
            if let Kind::CalledOff { incident, .. } = events.recv().await.expect("events").kind {
                return incident;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("it is called off");
    let record = control.incident(told.expect("its number")).await.expect("its record");
    assert_eq!(record["outcome"], "called_off", "{record}");
    assert_eq!(record["to"], "b", "{record}");
    let asked = asked.await.expect("no panic");
    assert!(matches!(asked, Err(CommandError::CalledOff(_))), "{asked:?}");
    request.abort();
}
