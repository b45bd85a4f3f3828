//! Where the lines of the access log go: no line is lost between files, and nobody waits for a disk.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use benches::condition::wait_for;
use benches::fetch::get;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use serde_json::Value;

use crate::access_log::{QUICK, lines, log_in, stage, to_file};
use crate::stage::{
    PATIENCE, Stage, alone, assert_none_failed, binary, origin_binary, wait_served, yaml_of,
};

#[test]
fn logrotate_loses_no_line() {
    let mut stage = stage(to_file);
    let (folder, log) = (stage.folder.path().to_owned(), log_in(stage.folder.path()));
    let load = Load::start(Plan::gets(stage.understudy.address(), 400));
    let mut files = vec![log.clone()];
    for number in 1..=4 {
        wait_served(&load, "a", 100);
        let aside = folder.join(format!("aside.{number}"));
        fs::rename(&log, &aside).expect("renamed");
        stage.understudy.process.signal("USR1");
        wait_for(PATIENCE, "a new file", || log.exists().then_some(()).ok_or("not there"));
        files.push(aside);
    }
    wait_served(&load, "a", 100);
    let report = load.finish();
    assert_none_failed(&report);
    stage.understudy.process.signal("TERM");
    assert_eq!(stage.understudy.process.wait_exit(PATIENCE).code(), Some(0));
    let counts: Vec<usize> = files.iter().map(|file| lines(file).len()).collect();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), report.samples.len(), "{counts:?}");
}

#[test]
fn a_reload_to_another_file_loses_no_line() {
    let mut stage = stage(to_file);
    let (first, second) = (log_in(stage.folder.path()), stage.folder.path().join("second.log"));
    let load = Load::start(Plan::gets(stage.understudy.address(), 400));
    wait_served(&load, "a", 100);
    let text = fs::read_to_string(&stage.config).expect("a config");
    let changed = text.replace("access.log", "second.log");
    assert_ne!(text, changed);
    fs::write(&stage.config, changed).expect("a config");
    stage.understudy.process.signal("HUP");
    wait_for(PATIENCE, "lines in the second file", || {
        if lines(&second).len() > 50 { Ok(()) } else { Err("too few") }
    });
    let report = load.finish();
    assert_none_failed(&report);
    stage.understudy.process.signal("TERM");
    assert_eq!(stage.understudy.process.wait_exit(PATIENCE).code(), Some(0));
    let counts = [lines(&first).len(), lines(&second).len()];
    assert_eq!(counts.iter().sum::<usize>(), report.samples.len(), "{counts:?}");
}

#[test]
fn nobody_waits_for_a_disk_that_is_full_or_hangs() {
    for name in ["fifo", "/dev/full"] {
        let mut stage = stage(|folder| {
            let path = folder.join(name);
            if !path.exists() {
                let made = Command::new("mkfifo").arg(&path).status();
                assert!(made.is_ok_and(|made| made.success()), "mkfifo");
            }
            format!("access_log: {{ to: {} }}\n", path.display())
        });
        let load = Load::start(Plan::gets(stage.understudy.address(), 400));
        wait_served(&load, "a", 800);
        let report = load.finish();
        assert_none_failed(&report);
        if name == "/dev/full" {
            let dropped = "understudy_access_log_dropped_total";
            let all = report.samples.len() as f64;
            stage.understudy.wait_metric(dropped, &[], |sum| sum == all);
            let said = stage.understudy.process.stderr();
            assert_eq!(said.matches("cannot write the log").count(), 1, "{said}");
            assert!(said.contains("/dev/full"), "{said}");
        }
        stage.understudy.process.signal("TERM");
        assert_eq!(stage.understudy.process.wait_exit(PATIENCE).code(), Some(0), "{name}");
    }
}

/// The pipe behind standard error is full from the start.
#[test]
fn nobody_waits_for_whoever_reads_standard_error() {
    let plain = |folder: &Path, name: &str| Origin::start(&origin_binary(), folder, name);
    let mut stage = Stage::built(QUICK, plain, |config| {
        let script = "mkfifo \"$1\" && exec 3<>\"$1\" && { timeout 5 head -c 65536 /dev/zero >&3; } && \
                      exec \"$0\" run -c \"$2\" 2>&3 3>&-";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(binary());
        command.arg(config.with_file_name("pipe")).arg(config);
        command
    });
    stage.a.process.kill();
    stage.understudy.wait_active("b");
    assert_eq!(get(stage.understudy.address(), "/").expect("an answer").status, 200);
    stage.understudy.process.signal("TERM");
    assert_eq!(stage.understudy.process.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn syslog_gets_a_datagram_for_each_line() {
    let socket = |folder: &Path| folder.join("log.sock");
    let mut server = None;
    let stage = stage(|folder| {
        let bound = UnixDatagram::bind(socket(folder)).expect("bound");
        bound.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        server = Some(bound);
        let to = socket(folder);
        format!("access_log: {{ to: \"syslog:unix:{}\" }}\n", to.display())
    });
    let server = server.expect("bound");
    for number in 0..3 {
        get(stage.understudy.address(), &format!("/{number}")).expect("an answer");
    }
    let mut targets: Vec<String> = (0..3)
        .map(|_| {
            let mut datagram = [0; 8192];
            let length = server.recv(&mut datagram).expect("a datagram");
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            let parts: Vec<&str> = text.splitn(8, ' ').collect();
            let pid = stage.understudy.process.id().to_string();
            let [priority, _, _, name, process, kind, data, line] = parts[..] else {
                panic!("{text}");
            };
            assert_eq!(
                [priority, name, process, kind, data],
                ["<134>1", "understudy", &pid, "access", "-"],
                "{text}"
            );
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["target"].as_str().expect("a target").to_owned()
        })
        .collect();
    targets.sort();
    assert_eq!(targets, ["/0", "/1", "/2"]);
}

#[test]
fn a_log_that_cannot_be_opened_is_said_with_its_path() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("understudy.yaml");
    let nowhere = folder.path().join("nowhere/access.log");
    let text = yaml_of(&[("a", "http://127.0.0.1:9".to_owned())], "health: { tcp: {} }");
    let more = format!("access_log: {{ to: {} }}\n", nowhere.display());
    fs::write(&config, text + &more).expect("a config");
    let output = Command::new(binary()).args(["run", "-c"]).arg(&config).output().expect("it ends");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&nowhere.display().to_string()) && said.contains("No such file"),
        "{said}"
    );
}

#[test]
fn without_a_log_there_is_nothing_to_open_anew() {
    let mut stage = Stage::with_defaults();
    stage.understudy.process.signal("USR1");
    assert_eq!(get(stage.understudy.address(), "/").expect("an answer").status, 200);
    assert!(stage.understudy.process.is_running());
}
