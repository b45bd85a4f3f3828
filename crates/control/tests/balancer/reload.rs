//! A new config is in force as a whole, or nothing has changed.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use control::{Kind, ReloadError, Status};
use routing::failover::Health;

use crate::harness::{
    Backend, config, config_on, get, get_at, moves, start_on, wait_for, wait_for_active, web,
};

const HEALTH: &str = "interval: 50ms, timeout: 1s, confirm_interval: 10ms";

/// Starts on `a` with both backends known to be up.
async fn start_with_both_up(text: &str) -> control::Control {
    let control = start_on(text, "a").await;
    let both_up =
        |status: &Arc<Status>| web(status).backends.iter().all(|b| b.health == Health::Up);
    wait_for(&control, "not both are up", both_up).await;
    control
}

#[tokio::test]
async fn the_running_config_again_changes_nothing() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let text = config(&[&a, &b], "");
    let control = start_with_both_up(&text).await;
    let reloaded = control.reload(text + "# only a comment\n").await.unwrap();
    assert_eq!(reloaded.changes, None);
    assert_eq!(moves(&control).len(), 1);
}

#[tokio::test]
async fn a_broken_config_changes_nothing_and_says_why() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let broken = config(&[&a, &b], "holt: { timeout: 1s }");
    let error = control.reload(broken).await.unwrap_err();
    assert!(matches!(error, ReloadError::Config(_)), "{error}");
    assert!(error.to_string().contains("holt"), "{error}");
    let event = control.events(0).pop().unwrap();
    assert!(
        matches!(&event.kind, Kind::ReloadFailed { refused: true, problems } if problems.contains("holt"))
    );
    assert_eq!(get(&control).await, (200, "a".to_owned()));
}

#[tokio::test]
async fn a_listener_that_cannot_be_bound_refuses_the_whole_config() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listeners = ["127.0.0.1:0".to_owned(), address.clone()];
    let error = control.reload(config_on(&listeners, &[&b, &a], "")).await.unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
    assert_eq!(get(&control).await, (200, "a".to_owned()));
    assert_eq!(control.listening().len(), 1);
    assert_eq!(moves(&control).len(), 1);
}

#[tokio::test]
async fn another_order_moves_the_traffic_and_keeps_all_health() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let failback = "failback: { auto: { hold_down: 1ms } }";
    let control = start_with_both_up(&config(&[&a, &b], failback)).await;
    let forgot = Arc::new(AtomicBool::new(false));
    let mut changes = control.subscribe();
    let watch = tokio::spawn({
        let forgot = forgot.clone();
        async move {
            while changes.changed().await.is_ok() {
                let status = changes.borrow_and_update().clone();
                let unknown = web(&status).backends.iter().any(|b| b.health == Health::Unknown);
                forgot.fetch_or(unknown, Relaxed);
            }
        }
    });
    let reloaded = control.reload(config(&[&b, &a], failback)).await.unwrap();
    assert_eq!(reloaded.changes.as_deref(), Some("settings (services.web.backends)"));
    wait_for_active(&control, "b").await;
    assert_eq!(get(&control).await, (200, "b".to_owned()));
    let thresholds =
        format!("{failback}\n    health: {{ http: {{ path: / }}, {HEALTH}, fall: 5 }}");
    control.reload(config(&[&b, &a], &thresholds)).await.unwrap();
    assert_eq!(moves(&control).len(), 2);
    watch.abort();
    assert!(!forgot.load(Relaxed));
}

#[tokio::test]
async fn a_removed_active_hands_over_at_once() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let reloaded = control.reload(config(&[&b], "")).await.unwrap();
    assert_eq!(reloaded.changes.as_deref(), Some("backend web/a removed"));
    assert_eq!(get(&control).await, (200, "b".to_owned()));
    assert_eq!(moves(&control), ["-->a Startup", "a->b Reload"]);
    assert_eq!(web(&control.status()).backends.len(), 1);
}

#[tokio::test]
async fn a_changed_probe_does_not_send_a_healthy_primary_away() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let other = format!("health: {{ http: {{ path: /other }}, {HEALTH} }}");
    let reloaded = control.reload(config(&[&a, &b], &other)).await.unwrap();
    assert_eq!(reloaded.changes.as_deref(), Some("backend web/a replaced, backend web/b replaced"));
    assert_eq!(moves(&control), ["-->a Startup", "a->a Reload"]);
    assert_eq!(get(&control).await, (200, "a".to_owned()));
    let names: Vec<_> = web(&control.status()).backends.iter().map(|b| b.name.clone()).collect();
    assert_eq!(names, ["a".into(), "b".into()]);
}

#[tokio::test]
async fn a_replaced_primary_that_does_not_answer_leaves_the_traffic_to_the_standby() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let mut moved = Backend::start("a").await;
    moved.kill().await;
    control.reload(config(&[&moved, &b], "")).await.unwrap();
    assert_eq!(moves(&control), ["-->a Startup", "a->b Reload"]);
    assert_eq!(get(&control).await, (200, "b".to_owned()));
}

#[tokio::test]
async fn one_lost_probe_of_a_replaced_primary_does_not_move_the_traffic() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let moved = Backend::start("a").await;
    moved.be_sick_once();
    control.reload(config(&[&moved, &b], "")).await.unwrap();
    assert_eq!(moves(&control), ["-->a Startup", "a->a Reload"]);
    assert_eq!(get(&control).await, (200, "a".to_owned()));
    let events = control.events(0);
    let was_sick = events.iter().any(|event| event.to_string().contains("a is down: answered 503"));
    assert!(was_sick, "{events:#?}");
}

#[tokio::test]
async fn a_replaced_active_is_waited_for_until_its_first_probe_had_its_turn() {
    let a = Backend::start("a").await;
    // Nobody listens at these; first probes of so many are spread, and that of `a` is the last.
    let dead: String = (2..20)
        .map(|n| {
            format!("      - {{ name: d{n}, url: \"http://127.0.0.{n}:{}\" }}\n", a.address.port())
        })
        .collect();
    let with = |path: &str| {
        let health = "interval: 1s, timeout: 100ms, confirm_interval: 10ms, fall: 2";
        let more = format!("health: {{ http: {{ path: {path} }}, {health} }}");
        config(&[&a], &more).replace("backends:\n", &format!("backends:\n{dead}"))
    };
    let control = start_on(&with("/"), "a").await;
    control.reload(with("/other")).await.unwrap();
    assert_eq!(moves(&control), ["-->a Startup", "a->a Reload"]);
}

#[tokio::test]
async fn listeners_open_and_close() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let first = control.listening()[0].clone();
    let other = "[::1]:0".to_owned();
    control.reload(config_on(&["127.0.0.1:0".into(), other.clone()], &[&a, &b], "")).await.unwrap();
    let both = control.listening();
    assert_eq!(both[0], first);
    assert_eq!(get_at(&both[1].local).await, (200, "a".to_owned()));
    control.reload(config_on(&[other], &[&a, &b], "")).await.unwrap();
    assert_eq!(*control.listening(), [both[1].clone()]);
    assert_eq!(get_at(&both[1].local).await, (200, "a".to_owned()));
    // Acknowledged by all workers, so it is closed.
    assert!(tokio::net::TcpStream::connect(first.local.tcp().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_service_comes_and_goes() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let one = config(&[&a, &b], "");
    let control = start_with_both_up(&one).await;
    let shop = format!("  shop:\n    backends: [{{ name: b, url: \"http://{}\" }}]\n", b.address);
    let routes =
        "routes:\n  - { host: shop.test, path: /, service: shop }\n  - { path: /, service: web }\n";
    control.reload(format!("{one}{shop}{routes}")).await.unwrap();
    wait_for(&control, "shop is not served", |status| {
        status.service("shop").is_some_and(|shop| shop.active.is_some())
    })
    .await;
    control.reload(one).await.unwrap();
    assert!(control.status().service("shop").is_none());
    assert_eq!(get(&control).await, (200, "a".to_owned()));
}

#[tokio::test]
async fn what_needs_a_restart_is_kept_with_a_warning_and_the_rest_applies() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let text =
        config(&[&b], "").replace("workers: 1", "workers: 2\nadmin: { address: \"127.0.0.1:9\" }");
    let reloaded = control.reload(text).await.unwrap();
    let warned =
        |key: &str| reloaded.warnings.iter().any(|w| w.contains(key) && w.contains("restart"));
    assert!(warned("`workers`") && warned("`admin`"), "{:?}", reloaded.warnings);
    assert_eq!(reloaded.changes.as_deref(), Some("backend web/a removed"));
    assert_eq!(get(&control).await, (200, "b".to_owned()));
}

#[tokio::test]
async fn the_last_of_many_reloads_wins() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_with_both_up(&config(&[&a, &b], "")).await;
    let mut reloads = Vec::new();
    for n in 1..=20 {
        let text = config(&[&a, &b], &format!("failback: {{ auto: {{ hold_down: {n}s }} }}"));
        // Polled once here, so that they are asked for in this order; then nobody waits for them.
        let mut reload = Box::pin({
            let control = control.clone();
            async move { control.reload(text).await }
        });
        tokio::select! {
            biased;
            _ = &mut reload => {}
            () = std::future::ready(()) => {}
        }
        reloads.push(reload);
    }
    for reload in reloads {
        reload.await.unwrap();
    }
    let last = config(&[&a, &b], "failback: { auto: { hold_down: 20s } }");
    assert_eq!(control.reload(last).await.unwrap().changes, None);
}
