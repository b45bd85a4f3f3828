//! Probes that are programs: bounded in time, output, number and environment, and gone with all their
//! children when their time is up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::condition::wait_for;
use benches::origin::Origin;
use benches::script;

use crate::stage::{PATIENCE, Stage, backend_in, binary, origin_binary, wait_verdicts, wait_wish};

/// The script of all these tests is this file, in a folder that the test knows.
struct Script {
    folder: tempfile::TempDir,
}

impl Script {
    /// With `$HERE` as its folder; arguments are the backend and what the probe gives further.
    fn new(text: &str) -> Self {
        let script = Self { folder: tempfile::tempdir().expect("a folder") };
        script.become_(text);
        script
    }

    /// Another text from now on.
    fn become_(&self, text: &str) {
        let new = self.folder.path().join("new");
        let here = self.folder.path().display();
        script::write(&new, &format!("#!/bin/sh\nHERE={here}\n{text}\n"));
        fs::rename(&new, self.path()).expect("rename");
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("probe.sh")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The balancer whose probes run it.
    fn stage(&self, exec: &str) -> Stage {
        self.stage_by(exec, |config| {
            let mut command = Command::new(binary());
            command.args(["run", "-c"]).arg(config);
            command
        })
    }

    fn stage_by(&self, exec: &str, command: impl FnOnce(&Path) -> Command) -> Stage {
        let plain = |folder: &Path, name: &str| Origin::start(&origin_binary(), folder, name);
        let path = self.path();
        let service = format!(
            "health:\n  exec: {{ command: [\"{}\", \"{{backend}}\"]{exec} }}\n  interval: 100ms\n  \
             timeout: 600ms\n  confirm_interval: 50ms\n  rise: 2\n  fall: 2\nfailback: manual",
            path.display()
        );
        Stage::built(&service, plain, command)
    }
}

/// What its last probe said.
fn last(stage: &Stage, backend: &str) -> String {
    backend_in(&stage.understudy.service(), backend)["last_probe"].to_string()
}

fn is_alive(pid: &str) -> bool {
    // A zombie is dead, but somebody should have buried it.
    Path::new("/proc").join(pid).exists()
}

#[test]
fn a_program_that_hangs_is_killed_with_all_its_children() {
    let script = Script::new("exit 0");
    let stage = script.stage("");
    script.become_(
        "[ \"$1\" = a ] || exit 0\n\
         sleep 300 & one=$!\n\
         (sleep 301 & echo $! >> $HERE/pids; exec sleep 302) & two=$!\n\
         echo $$ $one $two >> $HERE/pids\n\
         echo thinking\n\
         wait",
    );
    stage.understudy.wait_health("a", "down");
    stage.understudy.wait_active("b");
    assert!(
        last(&stage, "a").contains("timeout") || last(&stage, "a").contains("time"),
        "{}",
        last(&stage, "a")
    );
    script.become_("exit 0");
    stage.understudy.wait_health("a", "up");
    let pids = fs::read_to_string(script.file("pids")).expect("they wrote");
    let pids: Vec<_> = pids.split_whitespace().collect();
    assert!(pids.len() >= 8, "two runs of four processes at least: {pids:?}");
    wait_for(PATIENCE, "all of them are gone", || {
        let left: Vec<_> = pids.iter().filter(|pid| is_alive(pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn a_child_that_outlives_its_parent_is_ended_and_delays_no_verdict() {
    let script = Script::new("exit 0");
    let stage = script.stage("");
    script.become_("sleep 300 & echo $! >> $HERE/pids\nexit 0");
    wait_verdicts(&stage.understudy, "a", "pass", 5);
    assert_eq!(stage.metric("understudy_probes_total", &[("verdict", "fail")]), 0);
    script.become_("exit 0");
    wait_verdicts(&stage.understudy, "a", "pass", 10);
    let pids = fs::read_to_string(script.file("pids")).expect("they wrote");
    wait_for(PATIENCE, "all of them are gone", || {
        let left: Vec<_> = pids.split_whitespace().filter(|pid| is_alive(pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn what_it_says_is_shown_and_its_exit_code_counts() {
    let script = Script::new("exit 0");
    let stage = script.stage(", output_bytes: 1KiB, exit: { drain: [4], inconclusive: [7] }");
    script.become_("[ \"$1\" = a ] || exit 0\necho replication is broken\necho more\nexit 1");
    stage.understudy.wait_active("b");
    assert!(last(&stage, "a").contains("replication is broken"), "{}", last(&stage, "a"));
    // What nobody keeps does not block it either.
    script.become_("head -c 3000000 /dev/zero | tr '\\0' x\nexit 0");
    stage.understudy.wait_health("a", "up");
    script.become_("[ \"$1\" = b ] || exit 0\nexit 4");
    wait_wish(&stage.understudy, "b", "drain");
    stage.understudy.wait_active("a");
    script.become_("exit 7");
    wait_verdicts(&stage.understudy, "a", "inconclusive", 5);
    assert_eq!(
        (stage.understudy.health("a"), stage.understudy.health("b")),
        ("up".into(), "up".into())
    );
    script.become_("kill -SEGV $$");
    stage.understudy.wait_health("a", "down");
}

#[test]
fn it_gets_what_it_needs_to_know_and_nothing_of_ours() {
    let script = Script::new(
        "[ \"$1\" = a ] && tr '\\0' '\\n' < /proc/$$/environ > $HERE/new-$$ \
                              && mv $HERE/new-$$ $HERE/environment\n\
                              [ \"$1\" = a ] && pwd > $HERE/where\n\
                              [ \"$1\" = a ] && ls -l /proc/$$/fd > $HERE/open\n\
                              exit 0",
    );
    let stage = script.stage_by(", environment: { PING_LOGIN: monitor }", |config| {
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(config);
        command.env("DATABASE_PASSWORD", "s3cret").env("NOTIFY_SOCKET_OF_A_TEST", "x");
        command
    });
    stage.wait_passes("a", 2);
    let environment = fs::read_to_string(script.file("environment")).expect("it wrote");
    let names: Vec<_> =
        environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let strange: Vec<_> = names
        .iter()
        .filter(|name| {
            !(**name == "PATH" || **name == "PING_LOGIN" || name.starts_with("UNDERSTUDY_"))
        })
        .collect();
    assert!(strange.is_empty(), "these leaked: {strange:?}");
    let port = stage.a.address().port();
    for line in [
        "PING_LOGIN=monitor".to_owned(),
        "UNDERSTUDY_SERVICE=web".to_owned(),
        "UNDERSTUDY_BACKEND=a".to_owned(),
        "UNDERSTUDY_HOST=127.0.0.1".to_owned(),
        format!("UNDERSTUDY_PORT={port}"),
    ] {
        assert!(environment.lines().any(|known| known == line), "{line}? {environment}");
    }
    // What is left of it.
    let left = environment.lines().find_map(|line| line.strip_prefix("UNDERSTUDY_TIMEOUT_MS="));
    let left: u64 = left.and_then(|left| left.parse().ok()).expect("a number");
    assert!((1..=600).contains(&left), "{left}");
    for name in ["UNDERSTUDY_URL", "UNDERSTUDY_EPOCH", "UNDERSTUDY_PROBE"] {
        assert!(names.contains(&name), "{name}? {environment}");
    }
    assert_eq!(fs::read_to_string(script.file("where")).expect("it wrote"), "/\n");
    let open = fs::read_to_string(script.file("open")).expect("it wrote");
    assert!(!open.contains("socket:"), "a socket of ours leaked:\n{open}");
}

#[test]
fn only_so_many_run_at_a_time() {
    let script = Script::new("exit 0");
    let stage = script.stage(", at_a_time: 2");
    // Slow enough that the confirming ones would overlap eight at a time.
    script.become_(
        "[ \"$1\" = a ] || exit 0\n\
         mkdir -p $HERE/running; touch $HERE/running/$$\n\
         ls $HERE/running | wc -l >> $HERE/counts\n\
         sleep 0.4\n\
         rm -f $HERE/running/$$\n\
         exit 1",
    );
    stage.understudy.wait_active("b");
    wait_verdicts(&stage.understudy, "a", "fail", 10);
    let counts = fs::read_to_string(script.file("counts")).expect("they wrote");
    let most = counts.split_whitespace().map(|count| count.parse::<u32>().expect("a number")).max();
    assert!(most <= Some(2), "{most:?} at a time");
}

#[test]
fn a_program_that_cannot_be_run_says_why() {
    let script = Script::new("exit 0");
    let stage = script.stage("");
    fs::remove_file(script.path()).expect("it was there");
    stage.understudy.wait_health("a", "down");
    assert!(last(&stage, "a").contains("cannot be run"), "{}", last(&stage, "a"));
}
