//! Signals: how a balancer that is asked to end does so.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::get;

use crate::client::Client;
use crate::stage::{PATIENCE, Stage};

const IN_FLIGHT: &str = "understudy_requests_in_flight";

fn wait_refused(stage: &Stage) {
    wait_for(PATIENCE, "no new clients", || {
        TcpStream::connect(stage.understudy.address()).err().ok_or("it still accepts")
    });
}

#[test]
fn a_termination_signal_lets_running_requests_finish() {
    let mut stage = Stage::with_defaults();
    let address = stage.understudy.address();
    let mut idle = Client::connect(address);
    assert_eq!(idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").response().expect("one").status, 200);
    let slow = thread::spawn(move || get(address, "/slow?ms=1000"));
    stage.understudy.wait_metric(IN_FLIGHT, &[], |sum| sum == 1.0);
    stage.understudy.process.signal("TERM");
    wait_refused(&stage);
    assert!(idle.is_closed(), "a connection without a request is not waited for");
    assert!(!slow.is_finished(), "the request was over before the listener was closed");
    let metrics = stage.understudy.metrics();
    assert!(metrics.sum(IN_FLIGHT, &[]) == 1.0, "metrics are there to the end");
    let answer = slow.join().expect("no panic").expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (200, 128), "a running request finishes");
    assert_eq!(stage.understudy.process.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_second_termination_signal_does_not_wait() {
    let mut stage = Stage::with_defaults();
    let address = stage.understudy.address();
    let endless = thread::spawn(move || get(address, "/slow?ms=60000"));
    stage.understudy.wait_metric(IN_FLIGHT, &[], |sum| sum == 1.0);
    stage.understudy.process.signal("TERM");
    wait_refused(&stage);
    assert!(stage.understudy.process.is_running(), "it waits for the request");
    stage.understudy.process.signal("TERM");
    let status = stage.understudy.process.wait_exit(Duration::from_secs(20));
    assert_eq!(status.code(), Some(1));
    assert!(endless.join().expect("no panic").is_err(), "the request was cut off");
}

#[test]
fn a_hung_request_is_waited_for_no_longer_than_configured() {
    let service = "health: { http: { path: /healthz } }";
    let mut stage = Stage::new(service);
    let limited = format!(
        "{}shutdown_timeout: 1s\n",
        std::fs::read_to_string(&stage.config).expect("the config")
    );
    std::fs::write(&stage.config, limited).expect("a config");
    stage.understudy.process.signal("HUP");
    let taken = [("result", "success")];
    stage.understudy.wait_metric("understudy_reloads_total", &taken, |count| count >= 2.0);
    let address = stage.understudy.address();
    let endless = thread::spawn(move || get(address, "/slow?ms=60000"));
    stage.understudy.wait_metric(IN_FLIGHT, &[], |sum| sum == 1.0);
    let asked = Instant::now();
    stage.understudy.process.signal("TERM");
    let status = stage.understudy.process.wait_exit(PATIENCE);
    let waited = asked.elapsed();
    assert_eq!(status.code(), Some(0), "an end that was asked for is no error");
    // By default it would have waited for half a minute.
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(20), "{waited:?}");
    assert!(endless.join().expect("no panic").is_err(), "the request was cut off");
}
