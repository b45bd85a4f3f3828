//! Programs as probes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use config::model::{ExecProbe, ExitRule, Level, Probe, ProbeKind, Wish};
use health::{Cause, Doubt, Outcome, Shown, Subject, Surroundings, Witnesses, show};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::support::{DEADLINE, NEVER, next, subject};

/// A probe of a backend that nobody needs to reach.
fn running(command: &[&str], change: impl FnOnce(&mut ExecProbe)) -> Subject {
    let mut probe = ExecProbe {
        command: command.iter().map(|&argument| argument.into()).collect(),
        environment: Vec::new(),
        directory: None,
        output_bytes: 4096,
        exit: ExitRule { pass: vec![0], drain: Vec::new(), inconclusive: Vec::new() },
        at_a_time: 2,
    };
    change(&mut probe);
    let mut subject = subject("127.0.0.1:9".parse().unwrap());
    subject.health.timeout = DEADLINE;
    subject.health.probes = vec![Probe {
        name: "query".into(),
        level: Level::Ready,
        kind: ProbeKind::Exec(probe),
        interval: None,
        timeout: None,
    }];
    subject
}

fn script(script: &str) -> Subject {
    running(&["/bin/sh", "-c", script], |_| {})
}

fn surroundings() -> Surroundings {
    Surroundings::new(Witnesses::start(&[]))
}

async fn shown(subject: Subject) -> Shown {
    show(subject, 41, &surroundings()).await
}

/// What a program wrote.
fn written(shown: &Shown) -> Vec<&str> {
    shown.exchange.iter().filter_map(|line| line.strip_prefix("< ")).collect()
}

#[track_caller]
fn assert_program(outcome: &Outcome, why: &str) {
    match outcome {
        Outcome::Fail(Cause::Program(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, holds).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Ended, and seen off by its parent.
fn is_gone(process: &str) -> bool {
    !Path::new("/proc").join(process).exists()
}

/// Ended. Whose parent has gone is seen off by others, who may take their time.
fn is_dead(process: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(process).join("stat"));
    stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_program_is_told_what_it_needs_and_nothing_else() {
    let subject = running(&["env"], |probe| {
        probe.environment.push(("PING_LOGIN".into(), "monitor".into()));
    });
    let shown = shown(subject).await;
    assert_eq!(shown.outcome, Outcome::Pass, "{shown:?}");
    let mut told = written(&shown);
    told.sort_unstable();
    let path = format!("PATH={}", std::env::var("PATH").unwrap());
    let (timeout, told): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|line| line.starts_with("UNDERSTUDY_TIMEOUT_MS="));
    assert_eq!(
        told,
        [
            &*path,
            "PING_LOGIN=monitor",
            "UNDERSTUDY_BACKEND=b",
            "UNDERSTUDY_EPOCH=41",
            "UNDERSTUDY_HOST=127.0.0.1",
            "UNDERSTUDY_PORT=9",
            "UNDERSTUDY_PROBE=query",
            "UNDERSTUDY_SERVICE=s",
            "UNDERSTUDY_URL=http://127.0.0.1:9",
        ]
    );
    let left: u128 = timeout[0].rsplit('=').next().unwrap().parse().unwrap();
    assert!(left <= DEADLINE.as_millis() && left > 0, "{left}");
}

#[tokio::test]
async fn arguments_directory_and_input_are_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    let check = r#"echo "$1|$2|$3"; pwd; cat"#;
    let command = ["/bin/sh", "-c", check, "sh", "{host}:{port}", "{service}/{backend} {x}", ""];
    let told = shown(running(&command, |probe| probe.directory = Some(folder.clone()))).await;
    assert_eq!(told.outcome, Outcome::Pass, "{told:?}");
    assert_eq!(written(&told), ["127.0.0.1:9|s/b {x}|", folder.to_str().unwrap()]);
    assert!(!told.exchange.iter().any(|line| line.contains("pwd")), "no arguments: {told:?}");
    assert_eq!(written(&shown(script("pwd")).await), ["/"]);
}

#[tokio::test]
async fn exit_codes_and_first_lines_are_the_verdict() {
    let rule = ExitRule { pass: vec![0, 3], drain: vec![4], inconclusive: vec![75] };
    let ended = async |text: &str| {
        let subject = running(&["sh", "-c", text], |probe| probe.exit = rule.clone());
        shown(subject).await.outcome
    };
    assert_eq!(ended("exit 0").await, Outcome::Pass);
    assert_eq!(ended("exit 3").await, Outcome::Pass);
    assert_eq!(ended("exit 4").await, Outcome::Pass);
    assert_eq!(
        ended("echo; echo no database >&2; echo more; exit 75").await,
        Outcome::Inconclusive(Doubt::Program("exit code 75: no database".to_owned()))
    );
    assert_eq!(ended("exit 1").await, Outcome::Fail(Cause::Program("exit code 1".to_owned())));
    assert_program(&ended(r"printf '\033[2Jred\r\n'; exit 2").await, "exit code 2: [2Jred");
    assert_program(&ended("kill -SEGV $$").await, "killed by signal 11 (SIGSEGV)");
}

#[tokio::test]
async fn a_program_asks_for_a_drain_and_takes_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("drain");
    fs::write(&flag, "").unwrap();
    let test = format!("test -e {} && exit 4; exit 0", flag.display());
    let mut subject = running(&["/bin/sh", "-c", &test], |probe| probe.exit.drain = vec![4]);
    subject.health.interval = Duration::from_millis(20);
    let (sender, mut reports) = mpsc::channel(64);
    let _prober = health::Prober::start(subject, Duration::ZERO, sender, surroundings());
    for wish in [Wish::Drain, Wish::Serve] {
        let heard = async { while next(&mut reports).await.wish != Some(wish) {} };
        timeout(DEADLINE, heard).await.expect("it is heard in time");
        let _ = fs::remove_file(&flag);
    }
}

#[tokio::test]
async fn what_cannot_be_run_fails_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let [missing, plain] =
        [folder.path().join("missing"), plain].map(|path| path.to_str().unwrap().to_owned());
    for (program, why) in [
        (&*missing, "missing cannot be run: No such file or directory"),
        (&*missing, "see whether it, its interpreter and the directory / are there"),
        ("no-such-program-anywhere", "cannot be run: "),
        (&*plain, "see whether our user may execute it"),
    ] {
        assert_program(&shown(running(&[program], |_| {})).await.outcome, why);
    }
    let elsewhere = running(&["/bin/sh"], |probe| probe.directory = Some(missing.clone().into()));
    assert_program(&shown(elsewhere).await.outcome, &format!("the directory {missing}"));
}

/// Writes its own number and that of a child into a file.
fn family(file: &Path) -> Subject {
    let file = file.display();
    script(&format!("sleep 3600 & echo $! >{file}; echo $$ >>{file}; sleep 3600"))
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let mut subject = family(&file);
    // Time enough to start; the longest time in which it might not have is no failure of this test.
    for timeout_ms in [200, 1000, 5000] {
        subject.health.timeout = Duration::from_millis(timeout_ms);
        let _ = fs::remove_file(&file);
        assert_eq!(shown(subject.clone()).await.outcome, Outcome::Fail(Cause::Timeout));
        if lines(&file).len() == 2 {
            break;
        }
    }
    let processes = lines(&file);
    assert_eq!(processes.len(), 2);
    until("the child is killed", || is_dead(&processes[0])).await;
    until("the program is seen off", || is_gone(&processes[1])).await;
}

#[tokio::test]
async fn a_probe_that_is_dropped_kills_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let surroundings = surroundings();
    let free = surroundings.programs.permits().available_permits();
    {
        let probing = show(family(&file), 0, &surroundings);
        tokio::select! {
            shown = probing => panic!("{shown:?}"),
            () = until("they run", || lines(&file).len() == 2) => {}
        }
    }
    let processes = lines(&file);
    until("the child is killed", || is_dead(&processes[0])).await;
    until("the program is seen off", || is_gone(&processes[1])).await;
    until("its permit is back", || surroundings.programs.permits().available_permits() == free)
        .await;
}

#[tokio::test]
async fn a_prober_that_is_dropped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let mut subject = family(&file);
    subject.health.interval = NEVER;
    let (sender, _reports) = mpsc::channel(64);
    let prober = health::Prober::start(subject, Duration::ZERO, sender, surroundings());
    until("they run", || lines(&file).len() == 2).await;
    drop(prober);
    let processes = lines(&file);
    until("the child is killed", || is_dead(&processes[0])).await;
    until("the program is seen off", || is_gone(&processes[1])).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_in_its_group_is_killed() {
    let began = Instant::now();
    let shown = shown(script("sleep 3600 & echo $!; exit 0")).await;
    assert_eq!(shown.outcome, Outcome::Pass);
    assert!(began.elapsed() < DEADLINE / 2, "the verdict did not wait for it");
    let child = written(&shown)[0];
    until("the child is killed", || is_dead(child)).await;
}

#[tokio::test]
async fn who_leaves_the_group_and_keeps_the_pipe_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("process");
    let path = file.display();
    let text = format!(
        "setsid sh -c 'echo $$ >{path}; exec sleep 3600' & \
                        while ! test -s {path}; do :; done; echo bad; exit 1"
    );
    let began = Instant::now();
    assert_program(&shown(script(&text)).await.outcome, "exit code 1: bad");
    assert!(began.elapsed() < DEADLINE / 2);
    let process = &lines(&file)[0];
    assert!(!is_dead(process), "it left on purpose");
    let killed = std::process::Command::new("kill").arg(process).status();
    assert!(killed.unwrap().success());
}

#[tokio::test]
async fn none_stays_as_a_zombie() {
    let surroundings = surroundings();
    let mut processes = Vec::new();
    for text in ["echo $$", "echo $$; exit 1", "echo $$; kill -9 $$", "echo $$; exec sleep 3600"] {
        let mut subject = script(text);
        if text.ends_with("3600") {
            subject.health.timeout = Duration::from_secs(1);
        }
        let shown = show(subject, 0, &surroundings).await;
        processes.extend(written(&shown).first().map(|&process| process.to_owned()));
    }
    assert!(processes.len() >= 3, "{processes:?}");
    for process in processes {
        until("it is seen off", || is_gone(&process)).await;
    }
}

#[tokio::test]
async fn much_output_holds_nobody_up_and_is_not_kept() {
    let subject =
        running(&["sh", "-c", "head -c 2000000 /dev/zero | tr '\\0' x; exit 3"], |probe| {
            probe.output_bytes = 10;
        });
    let shown = shown(subject).await;
    assert_program(&shown.outcome, "exit code 3: xxxxxxxxxx");
    assert_eq!(written(&shown), ["xxxxxxxxxx"]);
}

#[tokio::test]
async fn output_without_end_is_killed_at_the_deadline() {
    let mut subject = running(&["yes"], |probe| probe.output_bytes = 4);
    subject.health.timeout = Duration::from_millis(300);
    let shown = shown(subject).await;
    assert_eq!(shown.outcome, Outcome::Fail(Cause::Timeout));
}

#[tokio::test]
async fn a_program_that_never_got_its_turn_says_nothing() {
    let surroundings = surroundings();
    let free = u32::try_from(surroundings.programs.permits().available_permits()).unwrap();
    let mut subject = script("exit 0");
    subject.health.timeout = Duration::from_millis(200);
    let all = surroundings.programs.permits().acquire_many(free).await.unwrap();
    let shown = show(subject.clone(), 0, &surroundings).await;
    assert_eq!(shown.outcome, Outcome::Inconclusive(Doubt::Busy));
    drop(all);
    subject.health.timeout = DEADLINE;
    assert_eq!(show(subject, 0, &surroundings).await.outcome, Outcome::Pass);
}

#[tokio::test]
async fn a_program_that_got_its_turn_late_is_not_blamed_for_its_deadline() {
    let surroundings = surroundings();
    let free = u32::try_from(surroundings.programs.permits().available_permits()).unwrap();
    let mut subject = script("sleep 3600");
    subject.health.timeout = Duration::from_secs(1);
    let all = surroundings.programs.permits().acquire_many(free).await.unwrap();
    let release = async {
        sleep(Duration::from_millis(700)).await;
        drop(all);
    };
    let (shown, ()) = tokio::join!(show(subject, 0, &surroundings), release);
    assert_eq!(shown.outcome, Outcome::Inconclusive(Doubt::Busy));
}
