//! The load generator tells the truth about a backend that pauses or dies.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::journal::fingerprint;
use benches::load::{Load, Plan, order};
use benches::origin::Origin;
use benches::process::{Process, free_address, installed};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

fn origin() -> (Origin, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Origin::start(Path::new(env!("CARGO_BIN_EXE_origin")), folder.path(), "a"), folder)
}

/// Waits until `count` requests have succeeded.
fn succeeded(load: &Load, count: usize) {
    wait_for(20 * SECOND, &format!("{count} successes"), || {
        let samples = load.samples();
        let so_far = samples.iter().filter(|sample| sample.succeeded()).count();
        if so_far >= count { Ok(()) } else { Err((so_far, samples.len())) }
    });
}

/// Stops `process` for a measured time of at least a second; the pause as it really was.
fn pause(process: &Process) -> Duration {
    process.stop();
    let begun = Instant::now();
    // The pause is the measured quantity here, not a wait for something.
    thread::sleep(SECOND);
    let lasted = begun.elapsed();
    process.resume();
    lasted
}

#[test]
fn a_pause_of_a_second_shows_in_gap_and_latency() {
    let (origin, _folder) = origin();
    let load = Load::start(Plan::gets(origin.address(), 500));
    succeeded(&load, 100);
    let before = load.now();
    let lasted = pause(&origin.process);
    let target = load.samples().len() + 400;
    succeeded(&load, target);
    let ran = load.now();
    let report = load.finish();
    assert_eq!(report.failed(), Vec::<&benches::report::Sample>::new());
    assert!(report.longest_gap() >= lasted.mul_f64(0.9), "{report}");
    // 500 requests were due during the pause and waited half of it on average.

    let late = report.samples.iter().filter(|s| s.finished - s.scheduled > lasted / 2).count();
    assert!((200..=350).contains(&late), "{late} waited longer than half the pause: {report}");
    assert!(report.latency(1.0) >= lasted.mul_f64(0.9), "{report}");
    // Open loop: the schedule was kept throughout.
    let due = (ran.as_secs_f64() * 500.0) as usize;
    assert!(report.samples.len().abs_diff(due) <= 50, "{} of {due}", report.samples.len());
    let at_pause = report.samples.iter().filter(|s| s.sent.is_some_and(|at| at > before)).count();
    assert!(at_pause >= 450, "sending went on: {at_pause}");
}

#[test]
fn a_killed_origin_shows_as_failures() {
    let (mut origin, _folder) = origin();
    let load = Load::start(Plan::gets(origin.address(), 200));
    succeeded(&load, 50);
    origin.process.kill();
    wait_for(20 * SECOND, "40 failures", || {
        let failed = load.samples().iter().filter(|sample| !sample.succeeded()).count();
        if failed >= 40 { Ok(()) } else { Err(failed) }
    });
    let report = load.finish();
    assert!(report.failed().iter().all(|sample| sample.error.is_some()));
    assert!(
        report.failed().iter().any(|s| s.error.as_ref().is_some_and(|e| e.starts_with("connect")))
    );
    assert!(report.longest_gap() >= Duration::from_millis(150), "{report}");
    assert_eq!(report.origins().len(), 1, "{report}");
}

#[test]
fn an_answer_with_a_bad_status_is_a_failure() {
    let (origin, _folder) = origin();
    origin.control("status=503");
    let load = Load::start(Plan::gets(origin.address(), 200));
    wait_for(20 * SECOND, "20 answers", || {
        let answers = load.samples().len();
        if answers >= 20 { Ok(()) } else { Err(answers) }
    });
    let report = load.finish();
    assert_eq!(report.failed().len(), report.samples.len());
    assert_eq!(report.with_status(503), report.samples.len());
}

#[test]
fn no_answer_in_time_is_a_failure() {
    let (origin, _folder) = origin();
    origin.control("delay_ms=60000");
    let patience = Duration::from_millis(200);
    let load = Load::start(Plan { patience, ..Plan::gets(origin.address(), 100) });
    wait_for(20 * SECOND, "10 failures", || {
        let ended = load.samples().len();
        if ended >= 10 { Ok(()) } else { Err(ended) }
    });
    let report = load.finish();
    assert_eq!(report.failed().len(), report.samples.len());
    assert!(report.failed().iter().all(|s| s.error.as_deref() == Some("no answer")), "{report}");
    assert!(report.latency(0.5) >= patience);
}

#[test]
fn every_order_arrives_once_with_its_own_body() {
    let (origin, _folder) = origin();
    let load = Load::start(Plan::orders(origin.address(), 300, Duration::from_millis(20)));
    succeeded(&load, 200);
    let report = load.finish();
    assert_eq!(report.failed().len(), 0, "{report}");
    assert_eq!(report.with_status(201), report.samples.len());
    let mut arrived: Vec<(u64, u64)> = origin
        .journal()
        .iter()
        .map(|entry| (entry.id.parse().expect("a number"), entry.body.expect("a body")))
        .collect();
    arrived.sort_unstable();
    let sent: Vec<_> = (0..report.samples.len() as u64)
        .map(|number| (number, fingerprint(order(number).as_bytes())))
        .collect();
    assert_eq!(arrived, sent);
}

#[test]
fn it_uses_connections_again_and_opens_more_when_all_are_busy() {
    let (origin, _folder) = origin();
    let load = Load::start(Plan::gets(origin.address(), 200));
    succeeded(&load, 200);
    let quick = load.finish();
    let opened = origin.stats()["connections"].as_u64().expect("a number");
    assert!(opened < quick.samples.len() as u64 / 4, "{opened} for {}", quick.samples.len());
    origin.control("delay_ms=300");
    let load = Load::start(Plan::gets(origin.address(), 200));
    succeeded(&load, 100);
    let slow = load.finish();
    assert_eq!(slow.failed().len(), 0, "{slow}");
    let more = origin.stats()["connections"].as_u64().expect("a number") - opened;
    assert!(more >= 40, "about 60 were in flight at once, {more} connections opened");
}

/// The same truth about somebody else's server; says so and passes where there is no nginx.
#[test]
fn a_pause_of_nginx_shows_too() {
    let Some(nginx) = installed("nginx") else {
        eprintln!("skipped: nginx is not installed");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address().expect("a port");
    let at = folder.path().display();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr;\n\
         events {{ worker_connections 2048; }}\n\
         http {{ access_log off; keepalive_requests 100000;\n\
         client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         server {{ listen {address}; location / {{ return 200 hello; }} }} }}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).expect("a config");
    let mut command = Command::new(nginx);
    command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
    let mut nginx = Process::start("nginx", command);
    nginx.wait_listening(address);

    let load = Load::start(Plan::gets(address, 200));
    succeeded(&load, 50);
    let lasted = pause(&nginx);
    let target = load.samples().len() + 200;
    succeeded(&load, target);
    let report = load.finish();
    assert_eq!(report.failed().len(), 0, "{report}");
    assert!(report.longest_gap() >= lasted.mul_f64(0.9), "{report}");
    assert!(report.latency(1.0) >= lasted.mul_f64(0.9), "{report}");
}
