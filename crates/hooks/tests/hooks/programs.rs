//! Real programs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use config::model::{Secret, Tries};
use hooks::{About, Call, Outcome};

use crate::support::{DEADLINE, ONCE, about, exec, run, script, until};

/// Ended. Whose parent has gone is seen off by others, who may take their time.
fn is_dead(process: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(process).join("stat"));
    stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

/// Ended, and seen off by its parent.
fn is_gone(process: &str) -> bool {
    !Path::new("/proc").join(process).exists()
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Writes its own number and those of a child and a grandchild into a file, and stays.
fn family(file: &Path) -> Call {
    let file = file.display();
    script(&format!(
        "(sleep 3600 & echo $! >>{file}; exec sleep 3600) & echo $! >>{file}; \
         echo $$ >>{file}; sleep 3600"
    ))
}

#[tokio::test]
async fn a_program_is_told_what_it_needs_and_nothing_else() {
    let mut action = exec(&["env"]);
    action.environment = vec![("LOGIN".into(), Secret::Plain("monitor".into()))];
    let ended = run(&Call::Exec(action), &about()).await;
    assert_eq!((ended.outcome, ended.tries), (Outcome::Done, 1), "{ended:?}");
    let mut told: Vec<_> = ended.output.lines().collect();
    told.sort_unstable();
    let path = format!("PATH={}", std::env::var("PATH").unwrap());
    assert_eq!(
        told,
        [
            "LOGIN=monitor",
            &*path,
            "UNDERSTUDY_BACKEND=a",
            "UNDERSTUDY_EPOCH=41",
            "UNDERSTUDY_FROM=a",
            "UNDERSTUDY_FROM_URL=http://127.0.0.1:9",
            "UNDERSTUDY_GATE=fence",
            "UNDERSTUDY_HOST=127.0.0.1",
            "UNDERSTUDY_ID=s-41-fence-a",
            "UNDERSTUDY_PORT=9",
            "UNDERSTUDY_REASON=failover",
            "UNDERSTUDY_SERVICE=s",
            "UNDERSTUDY_TO=b",
            "UNDERSTUDY_TO_URL=http://127.0.0.1:10",
            "UNDERSTUDY_URL=http://127.0.0.1:9",
        ]
    );
}

#[tokio::test]
async fn a_job_is_told_its_name_and_who_is_missing_is_empty() {
    let about = About { kind: "job", hook: "sync".into(), from: None, ..about() };
    let call = script("echo $UNDERSTUDY_JOB:$UNDERSTUDY_GATE:$UNDERSTUDY_FROM:");
    assert_eq!(run(&call, &about).await.output, "sync:::\n");
}

#[tokio::test]
async fn arguments_directory_and_input_are_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    let echo = r#"for x; do echo "$x"; done; pwd; cat"#;
    let mut action =
        exec(&["/bin/sh", "-c", echo, "sh", "{from}>{to}", "{epoch} {gate} {job}", ""]);
    action.directory = Some(folder.clone());
    let ended = run(&Call::Exec(action), &about()).await;
    let told: Vec<_> = ended.output.lines().collect();
    assert_eq!(told, ["a>b", "41 fence {job}", "", folder.to_str().unwrap()]);
    assert_eq!(run(&script("pwd"), &about()).await.output, "/\n");
}

#[tokio::test]
async fn secrets_arrive_and_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "hunter2\n").unwrap();
    let mut action = exec(&["/bin/sh", "-c", "echo $TOKEN $WHERE $MODE; test $TOKEN = hunter2"]);
    action.environment = vec![
        ("TOKEN".into(), Secret::File(file.clone())),
        ("WHERE".into(), Secret::Variable("PATH".into())),
        ("MODE".into(), Secret::Plain("active".into())),
    ];
    let call = Call::Exec(action);
    let ended = run(&call, &about()).await;
    assert_eq!(ended.outcome, Outcome::Done, "{ended:?}");
    assert_eq!(ended.output, "(not shown) (not shown) active\n");
    assert_eq!(ended.words, "exit code 0: (not shown) (not shown) active");
    // Read anew each time.
    fs::write(&file, "another").unwrap();
    assert_eq!(run(&call, &about()).await.outcome, Outcome::Failed);
}

#[tokio::test]
async fn a_missing_secret_fails_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    for (secret, why) in [
        (Secret::File("/no/such/token".into()), "/no/such/token"),
        (Secret::Variable("NO_SUCH_VARIABLE".into()), "NO_SUCH_VARIABLE"),
    ] {
        let mut action = exec(&["touch", made.to_str().unwrap()]);
        action.environment = vec![("TOKEN".into(), secret)];
        let ended = run(&Call::Exec(action), &about()).await;
        assert_eq!(ended.outcome, Outcome::Failed);
        assert!(ended.words.contains(why), "{ended:?}");
    }
    assert!(!made.exists());
}

#[tokio::test]
async fn an_exit_code_is_the_outcome_and_the_first_line_the_words() {
    for (text, outcome, words) in [
        ("exit 0", Outcome::Done, "exit code 0"),
        (
            "echo; echo no database >&2; echo more; exit 75",
            Outcome::Failed,
            "exit code 75: no database",
        ),
        (r"printf '\033[2Jred\r\n'; exit 2", Outcome::Failed, "exit code 2: [2Jred"),
        ("kill -SEGV $$", Outcome::Failed, "killed by signal 11 (SIGSEGV)"),
    ] {
        let ended = run(&script(text), &about()).await;
        assert_eq!((ended.outcome, &*ended.words), (outcome, words), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_has_not_begun() {
    let ended = run(&Call::Exec(exec(&["/no/such/program"])), &about()).await;
    assert_eq!(ended.outcome, Outcome::Failed, "that says nothing of whom it is about");
    assert!(ended.words.starts_with("/no/such/program cannot be run: "), "{ended:?}");
}

#[tokio::test]
async fn much_output_holds_nobody_up_and_is_not_kept() {
    let mut action = exec(&["sh", "-c", "head -c 2000000 /dev/zero | tr '\\0' x; exit 3"]);
    action.output_bytes = 10;
    let ended = run(&Call::Exec(action), &about()).await;
    assert_eq!(
        (ended.words, ended.output),
        ("exit code 3: xxxxxxxxxx".into(), "xxxxxxxxxx".into())
    );
}

#[tokio::test]
async fn at_its_deadline_the_whole_group_is_killed_and_nobody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let call = family(&file);
    // Time enough to start; the longest time in which it might not have is no failure of this test.
    for ms in [300, 1500, 6000] {
        let _ = fs::remove_file(&file);
        let tries = Tries { deadline: Duration::from_millis(ms), ..ONCE };
        let ended = hooks::run(&call, &about(), &tries, false).await;
        assert_eq!(ended.outcome, Outcome::Unknown, "{ended:?}");
        if lines(&file).len() == 3 {
            assert_eq!(ended.words, "killed at its deadline");
            break;
        }
    }
    let processes = lines(&file);
    assert_eq!(processes.len(), 3);
    for process in &processes {
        until("it is killed", || is_dead(process)).await;
    }
}

#[tokio::test]
async fn a_hook_that_is_dropped_kills_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("processes");
    let (call, about) = (family(&file), about());
    tokio::select! {
        ended = run(&call, &about) => panic!("{ended:?}"),
        () = until("they run", || lines(&file).len() == 3) => {}
    }
    for process in &lines(&file) {
        until("it is killed", || is_dead(process)).await;
    }
}

#[tokio::test]
async fn none_stays_as_a_zombie() {
    for text in ["echo $$", "echo $$; exit 1", "echo $$; kill -9 $$"] {
        let ended = run(&script(text), &about()).await;
        let process = ended.output.trim().to_owned();
        assert!(!process.is_empty());
        until("it is seen off", || is_gone(&process)).await;
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_in_its_group_is_killed() {
    let ended = run(&script("sleep 3600 & echo $!; exit 0"), &about()).await;
    assert_eq!(ended.outcome, Outcome::Done);
    assert!(ended.took < DEADLINE, "nobody waited for it");
    let child = ended.output.trim().to_owned();
    until("the child is killed", || is_dead(&child)).await;
}
