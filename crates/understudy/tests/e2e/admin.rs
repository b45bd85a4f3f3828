//! The admin listener and the command line, as an operator meets them.

use std::process::Command;

use benches::fetch::get;
use benches::origin::Origin;
use benches::understudy::Understudy;

use crate::stage::{Stage, alone, binary, origin_binary};

#[test]
fn flags_alone_make_a_running_service() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let a = Origin::start(&origin_binary(), folder.path(), "a");
    let b = Origin::start(&origin_binary(), folder.path(), "b");
    let arguments = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--primary",
        &a.url(),
        "--standby",
        &b.url(),
        "--health-path",
        "/healthz",
        "--failback-after",
        "30s",
        "--admin",
        "127.0.0.1:0",
        "--workers",
        "1",
    ];
    let understudy = Understudy::run(binary(), &arguments);
    let answer = get(understudy.address(), "/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")));
    assert_eq!(b.journal(), []);
}

#[test]
fn health_endpoints_and_status_describe_the_service() {
    let stage = Stage::with_defaults();
    let status = |path| get(stage.understudy.admin(), path).expect("an answer").status;
    assert_eq!((status("/livez"), status("/readyz")), (200, 200));
    assert_eq!(status("/no-such-path"), 404);
    let service = stage.understudy.service();
    assert_eq!((service["name"].as_str(), service["active"].as_str()), (Some("web"), Some("a")));
    for (position, (name, url)) in [("a", stage.a.url()), ("b", stage.b.url())].iter().enumerate() {
        let backend = &service["backends"][position];
        assert_eq!(
            (backend["name"].as_str(), backend["health"].as_str()),
            (Some(*name), Some("up"))
        );
        assert_eq!(backend["admin"], "ready");
        assert!(backend["url"].as_str().is_some_and(|u| u.starts_with(url.as_str())), "{backend}");
    }
}

#[test]
fn a_bad_config_is_refused_with_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.yaml");
    std::fs::write(&file, "listeners: []\nserivces: {}\n").expect("a file");
    let run =
        |arguments: &[&str]| Command::new(binary()).args(arguments).output().expect("it runs");
    let file = file.to_str().expect("UTF-8");
    for command in ["run", "check"] {
        let output = run(&[command, "-c", file]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command}: {text}");
        assert!(text.contains("serivces") && text.contains("bad.yaml"), "{command}: {text}");
    }
    assert_eq!(run(&["run", "--no-such-flag"]).status.code(), Some(2));
}
