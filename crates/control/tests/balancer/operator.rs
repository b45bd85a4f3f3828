//! Two operators at once, and what each of them is told.

use std::time::Duration;

use control::{Command, CommandError, Operator};
use routing::failover::{AdminState, Refusal};

use crate::harness::{Backend, config, order, start_on, switchover, wait_for, web};

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
