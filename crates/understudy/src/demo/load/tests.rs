//! The load against one backend without a balancer in between: whatever breaks is counted.

use super::super::backend::{Backend, Condition};
use super::super::journal::Journal;
use super::super::ledger::Ledger;
use super::*;

fn backend() -> (Backend, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::new());
    let journal = Arc::new(Journal::new(Instant::now()));
    (Backend::start("a", Arc::clone(&ledger), journal).expect("starts"), ledger)
}

fn wait_until(load: &Load, what: &str, condition: impl Fn(&Figures) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition(&load.figures()) {
        assert!(Instant::now() < deadline, "{what}: {:?}", load.figures());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_request_is_answered_and_every_post_is_executed_once() {
    let (backend, ledger) = backend();
    let load = Load::start(backend.address, ["a", "b"]).expect("starts");
    wait_until(&load, "answers", |figures| figures.answered >= 50);
    let figures = load.stop(Duration::from_secs(5));
    assert_eq!((figures.failed, figures.answered), (0, figures.sent), "{figures:?}");
    assert_eq!(backend.served(), figures.sent);
    assert_eq!(figures.posts, figures.sent / POST_EVERY);
    assert_eq!((ledger.executed(), ledger.twice()), (figures.posts, 0));
}

#[test]
fn nothing_is_sent_twice_so_a_dead_backend_is_seen() {
    let (backend, _) = backend();
    let load = Load::start(backend.address, ["a", "b"]).expect("starts");
    wait_until(&load, "answers", |figures| figures.answered >= 10);
    backend.order(Condition::Dead);
    wait_until(&load, "failures", |figures| figures.failed >= 10);
    backend.order(Condition::Well);
    let answered = load.figures().answered;
    wait_until(&load, "answers again", |figures| figures.answered > answered + 10);
    let figures = load.stop(Duration::from_secs(5));
    assert_eq!(figures.sent, figures.answered + figures.failed, "{figures:?}");
}

#[test]
fn waits_for_a_hung_backend_and_says_what_was_left() {
    let (backend, _) = backend();
    backend.order(Condition::Hung);
    while backend.condition() != Condition::Hung {
        std::thread::yield_now();
    }
    let load = Load::start(backend.address, ["a", "b"]).expect("starts");
    wait_until(&load, "requests", |figures| figures.sent >= CONNECTIONS as u64 + 10);
    let figures = load.stop(Duration::ZERO);
    assert_eq!((figures.answered, figures.failed), (0, 0));
    assert_eq!(figures.unanswered, figures.sent);
}
