//! Somebody is told what happens, also over a restart.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::model::{Channel, ExecAction, Notifier};
use control::{Control, Inherited, Operator, Source};
use tokio::time::{sleep, timeout};

use crate::harness::{Backend, PATIENCE, config, wait_for_active};

/// Writes number and words of each event into a file.
fn notifier(file: &Path) -> Notifier {
    let script = "printf '%s %s\\n' \"$UNDERSTUDY_ID\" \"$UNDERSTUDY_TEXT\" >>\"$0\"";
    let command = ["/bin/sh", "-c", script, file.to_str().expect("UTF-8")];
    Notifier {
        name: "file".into(),
        events: Vec::new(),
        services: vec!["web".into()],
        channel: Channel::Exec(ExecAction {
            command: command.iter().map(|&argument| argument.into()).collect(),
            environment: Vec::new(),
            directory: None,
            output_bytes: 100,
        }),
        deadline: PATIENCE,
        give_up_after: Duration::from_secs(3600),
    }
}

async fn start(text: &str, state_dir: &Path, file: &Path) -> Control {
    let loaded = config::load("test.yaml", text, &PathBuf::new()).expect("it is valid");
    let mut config = loaded.config;
    config.state_dir = Some(state_dir.to_owned());
    config.notify = vec![notifier(file)];
    let source = Source { file: "test.yaml".into(), ..Source::default() };
    Control::start(config, source, Inherited::default()).await.expect("it starts")
}

/// Number and words of what was told so far.
fn told(file: &Path) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let (id, words) = line.split_once(' ').expect("an id and words");
        let number = id.split('-').nth(1).expect("a number");
        (number.parse().expect("a number"), words.to_owned())
    });
    lines.collect()
}

async fn until_told(file: &Path, part: &str) {
    let heard = async {
        while !told(file).iter().any(|(_, words)| words.contains(part)) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let heard = timeout(PATIENCE, heard).await;
    assert!(heard.is_ok(), "{part}: {:#?}", told(file));
}

#[tokio::test]
async fn what_happens_is_told_in_order_and_once_also_over_a_restart() {
    let (mut a, b) = (Backend::start("a").await, Backend::start("b").await);
    let folder = tempfile::tempdir().expect("a folder");
    let (state, file) = (folder.path().join("state"), folder.path().join("told"));
    let text = config(&[&a, &b], "failback: manual");

    let control = start(&text, &state, &file).await;
    wait_for_active(&control, "a").await;
    a.kill().await;
    wait_for_active(&control, "b").await;
    until_told(&file, "web: failover: a -> b").await;
    control.shut_down().await;
    drop(control);

    let control = start(&text, &state, &file).await;
    wait_for_active(&control, "b").await;
    a.revive().await;
    until_told(&file, "web: a is up").await;
    let by = || Operator::local("test");
    let test = control.test_notifier("file", by()).await.expect("it is there");
    assert_eq!((test.told, &*test.answer), (true, "exit code 0"));
    until_told(&file, "a test of the notifier file, asked for by test").await;
    let known = control.test_notifier("other", by()).await.expect_err("it is not there");
    assert_eq!(known, ["file"]);
    control.shut_down().await;

    let mut told = told(&file);
    // The test is no event.
    told.retain(|(number, _)| *number > 0);
    assert!(told.is_sorted_by_key(|(number, _)| *number), "{told:#?}");
    // What was just being told when it stopped may have been told already.
    let lines = told.len();
    told.dedup();
    assert!(lines - told.len() <= 1, "{told:#?}");
    let failovers = told.iter().filter(|(_, words)| words.contains("failover: a -> b"));
    assert_eq!(failovers.count(), 1, "{told:#?}");
    assert!(told.iter().any(|(_, words)| words.starts_with("web: startup: ")), "{told:#?}");
}
