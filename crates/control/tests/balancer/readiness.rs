//! Whether a failover to a standby would work is known, shown and said before anybody needs it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use control::{Control, Readiness, Status};

use crate::certificates::{Authority, TlsBackend};
use crate::file::wait_for_event;
use crate::harness::{Backend, config, start_on, wait_for, wait_for_active, web};

fn readiness(status: &Status, backend: &str) -> Option<Readiness> {
    let mut backends = web(status).backends.iter();
    backends.find(|b| &*b.name == backend).and_then(|b| b.readiness.clone())
}

async fn wait_for_readiness(control: &Control, backend: &str, wanted: impl Fn(&Readiness) -> bool) {
    let what = format!("the readiness of {backend}");
    let is_so =
        |status: &Arc<Status>| readiness(status, backend).is_some_and(|found| wanted(&found));
    wait_for(control, &what, is_so).await;
}

fn shown(control: &Control, backend: &str) -> Option<bool> {
    let text = control.metrics().encode();
    let series = format!("understudy_standby_ready{{service=\"web\",backend=\"{backend}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map(|value| value == "1")
}

#[tokio::test]
async fn a_standby_that_is_down_is_not_ready_and_the_active_is_no_standby() {
    let (a, mut b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], ""), "a").await;
    wait_for_readiness(&control, "b", |found| found.is_ready && found.reasons.is_empty()).await;
    assert_eq!(readiness(&control.status(), "a"), None);
    assert_eq!((shown(&control, "a"), shown(&control, "b")), (None, Some(true)));
    let news = |event: &control::Event| event.to_string().contains("standby");
    assert!(!control.events(0).iter().any(news), "as it should be is no news");

    b.kill().await;
    let mut seen = 0;
    let said = "web: standby b is not ready: it is down: cannot connect";
    wait_for_event(&control, &mut seen, said).await;
    wait_for_readiness(&control, "b", |found| !found.is_ready).await;
    assert_eq!(shown(&control, "b"), Some(false));
    b.revive().await;
    wait_for_event(&control, &mut seen, "web: standby b is ready again").await;
    wait_for_readiness(&control, "b", |found| found.is_ready).await;
    assert_eq!(shown(&control, "b"), Some(true));
}

#[tokio::test]
async fn after_a_failover_it_is_the_old_active_that_is_judged() {
    let (mut a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], "failback: manual"), "a").await;
    wait_for_readiness(&control, "b", |found| found.is_ready).await;
    a.kill().await;
    wait_for_active(&control, "b").await;
    wait_for_readiness(&control, "a", |found| !found.is_ready).await;
    let gone = |status: &Arc<Status>| readiness(status, "b").is_none();
    wait_for(&control, "b is no standby", gone).await;
    assert_eq!((shown(&control, "a"), shown(&control, "b")), (Some(false), None));
    a.revive().await;
    wait_for_event(&control, &mut 0, "web: standby a is ready again").await;
}

/// A service whose probes only connect, over a way that they do not go.
fn connecting(folder: &Path, active: &Backend, standby: SocketAddr) -> String {
    let ca = folder.join("ca.pem").display().to_string();
    format!(
        "workers: 1\nlisteners:\n  - address: \"127.0.0.1:0\"\nservices:\n  web:\n    backends:\n      \
         - {{ name: a, url: \"http://{}\" }}\n      - {{ name: b, url: \"https://{standby}\" }}\n    \
         tls: {{ ca: \"{ca}\" }}\n    \
         health: {{ tcp: {{}}, interval: 50ms, timeout: 1s, confirm_interval: 10ms }}\n",
        active.address
    )
}

#[tokio::test]
async fn what_probes_that_only_connect_do_not_see_the_rehearsal_does() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, stranger) = (Authority::new("trusted"), Authority::new("stranger"));
    fs::write(folder.path().join("ca.pem"), trusted.pem()).unwrap();
    let a = Backend::start("a").await;
    for (authority, is_ready) in [(&trusted, true), (&stranger, false)] {
        let b = TlsBackend::start("b", authority).await;
        let control = start_on(&connecting(folder.path(), &a, b.address), "a").await;
        let reasons = |found: &Readiness| found.reasons.join("; ");
        if is_ready {
            wait_for_readiness(&control, "b", |found| found.is_ready).await;
        } else {
            let said = "the way of the traffic fails: TLS handshake failed";
            wait_for_readiness(&control, "b", |found| reasons(found).contains(said)).await;
            wait_for_event(&control, &mut 0, "web: standby b is not ready: the way of").await;
        }
    }
}

#[tokio::test]
async fn probes_that_tell_nothing_for_long_are_said_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let sign = folder.path().join("sign");
    fs::write(&sign, "").unwrap();
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let health = format!(
        "health: {{ exec: {{ command: [/bin/sh, -c, \"[ -e {} ] || exit 75\"], exit: {{ \
         inconclusive: [75] }} }}, interval: 200ms, timeout: 3s }}",
        sign.display()
    );
    let control = start_on(&config(&[&a, &b], &health), "a").await;
    wait_for_readiness(&control, "b", |found| found.is_ready).await;
    let undecided = |backend: &str| {
        let text = control.metrics().encode();
        let series =
            format!("understudy_backend_undecided{{service=\"web\",backend=\"{backend}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.map(|value| value == "1")
    };
    assert_eq!(undecided("a"), Some(false));

    fs::remove_file(&sign).unwrap();
    // Also of the active, which is judged by nobody.
    let said = "web: the probes of a have told nothing for long: inconclusive: the program: ";
    wait_for_event(&control, &mut 0, said).await;
    assert_eq!(undecided("a"), Some(true));
    let said = "its probes have told nothing for 10";
    wait_for_readiness(&control, "b", |found| found.reasons.join("; ").contains(said)).await;
    let status = control.status();
    assert!(web(&status).backends.iter().any(|backend| backend.undecided.is_some()));

    fs::write(&sign, "").unwrap();
    wait_for_event(&control, &mut 0, "web: the probes of a tell something again").await;
    wait_for_readiness(&control, "b", |found| found.is_ready).await;
    assert_eq!(undecided("a"), Some(false));
}
