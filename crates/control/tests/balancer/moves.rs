//! From verdicts and orders to traffic.

use std::time::Duration;

use control::{Command, CommandError, Kind, Operator};
use routing::failover::{AdminState, Reason, Refusal};

use tokio::time::timeout;

use crate::harness::{
    Backend, PATIENCE, config, get, moves, order, start, start_on, switchover, wait_for,
    wait_for_active, web,
};

#[tokio::test]
async fn requests_that_come_before_the_first_verdict_are_served_after_it() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start(&config(&[&a, &b], "")).await;
    let not_ready = control.ready().unwrap_err();
    assert!(not_ready.contains("web") && not_ready.contains('a'), "{not_ready}");
    assert_eq!(get(&control).await, (200, "a".to_owned()));
    assert_eq!(control.ready(), Ok(()));
    assert_eq!(moves(&control), ["-->a Startup"]);
    assert!(web(&control.status()).on_primary);
}

#[tokio::test]
async fn a_dead_primary_is_left_and_comes_back() {
    let (mut a, b) = (Backend::start("a").await, Backend::start("b").await);
    let failback = "failback: { auto: { hold_down: 200ms } }";
    let control = start_on(&config(&[&a, &b], failback), "a").await;
    a.kill().await;
    assert_eq!(get(&control).await, (200, "b".to_owned()));
    wait_for_active(&control, "b").await;
    assert!(!web(&control.status()).on_primary);
    a.revive().await;
    wait_for(&control, "no failback is due", |status| {
        web(status).failback.as_ref().is_some_and(|failback| failback.due.is_some())
    })
    .await;
    wait_for_active(&control, "a").await;
    assert_eq!(get(&control).await, (200, "a".to_owned()));
    assert_eq!(moves(&control), ["-->a Startup", "a->b Failover", "b->a Failback"]);

    let failover = control.events(0).into_iter().find_map(|event| {
        let Kind::ActiveChanged { evidence, took, reason: Reason::Failover, .. } = event.kind
        else {
            return None;
        };
        Some((evidence, took))
    });
    let (evidence, took) = failover.unwrap();
    assert!(evidence.contains("cannot connect"), "{evidence}");
    assert!(took.is_some());
    let metrics = control.metrics().encode();
    assert!(metrics.contains(r#"reason="failover""#), "{metrics}");
    assert!(metrics.contains(r#"phase="detect""#), "{metrics}");
}

#[tokio::test]
async fn a_sick_primary_is_left_with_its_status_as_evidence() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], ""), "a").await;
    a.answer_with(503);
    wait_for_active(&control, "b").await;
    let failover = control.events(0).pop().unwrap().to_string();
    assert!(failover.contains("answered 503"), "{failover}");
    let status = control.status();
    let probe = web(&status).backends[0].last_probe.clone().unwrap();
    assert_eq!(&*probe.outcome, "answered 503");
}

#[tokio::test]
async fn orders_are_carried_out_or_refused_with_a_reason() {
    let (a, mut b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], ""), "a").await;
    wait_for(&control, "b is not up", |status| {
        web(status).backends[1].health == routing::failover::Health::Up
    })
    .await;
    let order = async |command| order(&control, command).await.map(|done| done.moved.is_some());
    let unknown = control.command("shop", Command::Pin, Operator::local("test")).await;
    assert_eq!(unknown, Err(CommandError::UnknownService("shop".into())));
    let unknown = order(switchover("c")).await;
    assert_eq!(unknown, Err(CommandError::UnknownBackend("c".into())));

    assert_eq!(order(switchover("b")).await, Ok(true));
    assert_eq!(get(&control).await, (200, "b".to_owned()));
    assert!(web(&control.status()).pinned);
    assert_eq!(order(Command::Failback { verify: None }).await, Ok(true));
    assert_eq!(get(&control).await, (200, "a".to_owned()));

    assert_eq!(order(Command::SetAdmin("a".into(), AdminState::Drain)).await, Ok(false));
    assert_eq!(get(&control).await, (200, "b".to_owned()));
    b.kill().await;
    wait_for(&control, "b is still active", |status| web(status).active.is_none()).await;
    let refused = order(switchover("b")).await;
    assert_eq!(refused, Err(CommandError::Refused(Refusal::NotEligible)));
}

#[tokio::test]
async fn an_ordered_move_away_from_a_hung_backend_takes_its_requests_along() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    // It never goes down, so only the order moves the traffic.
    let health = "health: { http: { path: / }, interval: 200ms, timeout: 200ms, fall: 100 }";
    let control = start_on(&config(&[&a, &b], health), "a").await;
    a.hang();
    let asking = control.clone();
    let request = tokio::spawn(async move { get(&asking).await });
    wait_for(&control, "no probe of a timed out", |status| {
        let backends = &web(status).backends;
        let last = backends[0].last_probe.as_ref();
        last.is_some_and(|probe| probe.outcome.contains("in time"))
            && backends[1].health == routing::failover::Health::Up
    })
    .await;
    let sent = r#"understudy_requests_in_flight{service="web"} 1"#;
    assert!(control.metrics().encode().contains(sent), "{}", control.metrics().encode());
    order(&control, switchover("b")).await.unwrap();
    assert_eq!(request.await.unwrap(), (200, "b".to_owned()));
    assert_eq!(moves(&control), ["-->a Startup", "a->b Switchover"]);
}

#[tokio::test]
async fn after_the_stop_nobody_listens_and_nobody_is_ready() {
    let a = Backend::start("a").await;
    let control = start_on(&config(&[&a], ""), "a").await;
    let listener = control.listening()[0].local.tcp().unwrap();
    assert_eq!(control.shut_down().await, 0);
    assert_eq!(control.ready(), Err("stopping".to_owned()));
    assert!(tokio::net::TcpStream::connect(listener).await.is_err());
    assert!(order(&control, Command::Pin).await.is_err());
    assert_eq!(control.reload(config(&[&a], "")).await.unwrap_err().to_string(), "stopping");
}

#[tokio::test]
async fn a_request_that_waits_for_a_failover_is_saved_though_we_are_stopping() {
    let (mut a, b) = (Backend::start("a").await, Backend::start("b").await);
    // Seldom enough that the stop comes before the failover.
    let health = "health: { http: { path: / }, interval: 10s, confirm_interval: 200ms, fall: 4 }";
    let control = start_on(&config(&[&a, &b], health), "a").await;
    wait_for(&control, "b is not up", |status| {
        web(status).backends[1].health == routing::failover::Health::Up
    })
    .await;
    a.kill().await;
    let asking = control.clone();
    let request = tokio::spawn(async move { get(&asking).await });
    let held = async {
        while !control
            .metrics()
            .encode()
            .contains(r#"understudy_requests_waiting{service="web"} 1"#)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, held).await.expect("the request is held");
    assert_eq!(moves(&control), ["-->a Startup"]);
    let cut_off = control.shut_down().await;
    assert_eq!(request.await.unwrap(), (200, "b".to_owned()));
    assert_eq!(cut_off, 0);
    assert_eq!(moves(&control), ["-->a Startup", "a->b Failover"]);
}
