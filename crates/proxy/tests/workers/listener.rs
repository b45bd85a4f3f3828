//! Listeners and workers: how they take connections, share them out, and end.

use std::net::TcpStream;
use std::time::Duration;

use crate::backend::{Backend, Gate};
use crate::rig::{Client, PATIENCE, Plan, Rig, served, until};

/// Answers with `a` when `gate` is open.
fn behind(gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::start(move |exchange| {
        gate.pass();
        exchange.answer("a")
    })
}

#[test]
fn a_listener_that_is_removed_finishes_what_runs() {
    let gate = Gate::default();
    let a = behind(&gate);
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    let (mut running, mut idle) = (rig.client(), rig.client());
    running.send_get("/");
    a.journal.await_requests(1);
    rig.await_metric("listener_connections", 2.0);
    rig.remove_listener();
    assert!(idle.is_closed());
    until("the socket to be closed", || TcpStream::connect(rig.address).is_err());
    gate.open();
    assert_eq!(served(&running.answer()), "a");
    assert!(running.is_closed());
    rig.at_rest();
}

#[test]
fn at_the_limit_clients_wait_in_line() {
    let a = Backend::named("a");
    let mut plan = Plan::default();
    plan.limits.connections = 2;
    let rig = Rig::active(plan, &[a.address]);
    let (mut first, mut second) = (rig.client(), rig.client());
    assert_eq!(served(&first.get("/1")), "a");
    assert_eq!(served(&second.get("/2")), "a");
    let mut third = rig.client();
    third.send_get("/3");
    rig.await_metric("listener_connections_over_limit_total", 1.0);
    assert_eq!(rig.metric("listener_connections"), 2.0);
    assert_eq!(rig.metric("listener_connections_accepted_total"), 2.0);
    // Those who are in are served as ever.
    assert_eq!(served(&first.get("/4")), "a");
    assert_eq!(a.journal.count(), 3);
    drop(second);
    assert_eq!(served(&third.answer()), "a");
    rig.at_rest();
}

#[test]
fn shutting_down_counts_what_it_cuts_off() {
    let a = Backend::silent();
    let mut rig = Rig::active(Plan { workers: 2, ..Plan::default() }, &[a.address]);
    let mut clients = [rig.client(), rig.client(), rig.client()];
    let mut idle = rig.client();
    for client in &mut clients {
        client.send_get("/");
    }
    a.journal.await_requests(3);
    assert_eq!(rig.shut_down(Duration::from_millis(300)), 3);
    assert!(idle.is_closed());
    for client in &mut clients {
        assert!(client.is_closed());
    }
    assert!(TcpStream::connect(rig.address).is_err());
}

#[test]
fn shutting_down_waits_for_what_runs() {
    let gate = Gate::default();
    let a = behind(&gate);
    let mut rig = Rig::active(Plan::default(), &[a.address]);
    let (mut running, mut idle) = (rig.client(), rig.client());
    running.send_get("/");
    a.journal.await_requests(1);
    std::thread::scope(|scope| {
        // Once the idle one is closed, shutting down has begun.
        scope.spawn(|| {
            assert!(idle.is_closed());
            gate.open();
        });
        assert_eq!(rig.shut_down(PATIENCE), 0);
    });
    assert_eq!(served(&running.answer()), "a");
    assert!(running.is_closed());
}

/// The kernel spreads connections blindly. Here all those of one worker leave, until the other has
/// so many more that it gives one away.
#[test]
fn a_worker_with_many_more_connections_gives_one_away() {
    let a = Backend::named("a");
    let rig = Rig::active(Plan { workers: 2, ..Plan::default() }, &[a.address]);
    let mut kept: Vec<Client> = Vec::new();
    for tries in 0.. {
        assert!(tries < 500, "nothing is handed over with {} connections", kept.len());
        let mut client = rig.client();
        assert_eq!(served(&client.get("/")), "a");
        if rig.metric("listener_connections_handed_over_total") > 0.0 {
            break;
        }
        if rig.metric("worker_connections 1") == 0.0 {
            kept.push(client);
        } else {
            drop(client);
            rig.await_metric("worker_connections 1", 0.0);
        }
    }
    // 9 are more than twice none and 8: the tenth went to the other worker, which served it.
    assert_eq!(kept.len(), 9);
    rig.at_rest();
    for client in &mut kept {
        assert_eq!(served(&client.get("/")), "a");
    }
}
