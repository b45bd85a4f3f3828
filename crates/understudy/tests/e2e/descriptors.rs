//! Out of file descriptors: that is our trouble and not a backend's.

use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::get;
use benches::origin::Origin;

use crate::client::Client;
use crate::stage::{PATIENCE, Stage, binary, origin_binary};

const QUICK: &str = "health: { http: { path: /healthz }, interval: 100ms, timeout: 300ms, \
                     confirm_interval: 20ms }";

/// A balancer that may have 64 descriptors, with these lines for the service.
fn poor(service: &str) -> Stage {
    let plain =
        |folder: &std::path::Path, name: &str| Origin::start(&origin_binary(), folder, name);
    Stage::built(service, plain, |config| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]).arg(binary());
        command.args(["run", "-c"]).arg(config);
        command
    })
}

#[test]
fn without_descriptors_it_waits_and_blames_nobody() {
    let mut stage = poor(QUICK);
    let address = stage.understudy.address();
    let mut early = Client::connect(address);
    let ask = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(early.send(ask).response().expect("an answer").status, 200);
    let epoch = stage.understudy.epoch();

    let flooded = Instant::now();
    let flood: Vec<_> =
        (0..200).map(|_| TcpStream::connect(address).expect("the backlog takes it")).collect();
    let complaints = |stage: &Stage| {
        let log = stage.understudy.process.stderr();
        log.lines().filter(|line| line.contains("cannot accept")).count()
    };
    wait_for(PATIENCE, "it runs out of descriptors", || match complaints(&stage) {
        0 => Err(stage.understudy.process.stderr()),
        _ => Ok(()),
    });
    // Who is connected already is served with the connections that there are.
    assert_eq!(early.send(ask).response().expect("an answer").status, 200);

    let before = stage.understudy.process.cpu_time().expect("a time");
    let window = Duration::from_secs(2);
    thread::sleep(window);
    let used = stage.understudy.process.cpu_time().expect("a time") - before;
    assert!(used < window / 4, "{used:?} of CPU in {window:?}: it spins");
    assert!(stage.understudy.process.is_running(), "{}", stage.understudy.process.stderr());

    drop(flood);
    let starved = flooded.elapsed().as_secs() + 1;
    wait_for(PATIENCE, "it serves again", || match get(address, "/") {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(other),
    });
    let errors = stage.metric("understudy_listener_accept_errors_total", &[]);
    // Each of the two workers tries ten times a second.
    assert!((1..=starved * 25).contains(&errors), "{errors} accept errors in {starved} s");
    let verdicts = |name| stage.metric("understudy_probes_total", &[("verdict", name)]);
    assert!(verdicts("inconclusive") >= 5, "{} probes without a verdict", verdicts("inconclusive"));
    assert_eq!(verdicts("fail"), 0, "the backends were blamed");
    assert_eq!(stage.understudy.epoch(), epoch);
    assert_eq!(get(stage.understudy.admin(), "/readyz").expect("an answer").status, 200);
    stage.wait_passes("a", 3);
    stage.assert_never_moved();
}

/// A program needs pipes, and a probe by TCP a socket: whichever it is, it is we who have none.
#[test]
fn without_descriptors_no_kind_of_probe_blames_a_backend() {
    let timing = "interval: 100ms\n  timeout: 300ms\n  confirm_interval: 20ms";
    for probe in ["exec: { command: [/bin/true] }", "tcp: {}"] {
        let stage = poor(&format!("health:\n  {probe}\n  {timing}"));
        let address = stage.understudy.address();
        let flood: Vec<_> =
            (0..200).map(|_| TcpStream::connect(address).expect("the backlog takes it")).collect();
        // The admin listener has no descriptor for a question either: the log says when it began.
        wait_for(PATIENCE, "it runs out of descriptors", || {
            let log = stage.understudy.process.stderr();
            if log.contains("cannot accept") { Ok(()) } else { Err(log) }
        });
        wait_for(PATIENCE, "rounds that lack descriptors", || {
            let rounds = stage.understudy.process.stderr().matches("no means to").count();
            if rounds >= 40 { Ok(()) } else { Err(rounds) }
        });
        drop(flood);
        wait_for(PATIENCE, "it serves again", || match get(address, "/") {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(other),
        });
        let verdicts = |name| stage.metric("understudy_probes_total", &[("verdict", name)]);
        let exhausted = [("reason", "exhausted")];
        let odd = stage.metric("understudy_probes_inconclusive_total", &exhausted);
        assert!(
            odd >= 20,
            "{probe}: {odd} were exhausted, {} without a verdict",
            verdicts("inconclusive")
        );
        assert_eq!(verdicts("fail"), 0, "{probe}: the backends were blamed");
        stage.wait_passes("a", 3);
        stage.assert_never_moved();
    }
}
