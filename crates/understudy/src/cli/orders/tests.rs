//! What is typed becomes what is sent.

use super::*;
use crate::cli::{Cli, Command};

fn parse(args: &str) -> Result<Order, String> {
    let args = ["understudy"].into_iter().chain(args.split_whitespace());
    match Cli::read(args).map_err(|error| error.to_string())?.command {
        Command::Order(order) => Ok(order),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_command_takes_the_same_place() {
    for command in [
        "switchover --to b",
        "failback",
        "pin",
        "unpin",
        "lock",
        "unlock",
        "drain a",
        "maintenance a",
        "ready a",
        "wait --active a",
        "status",
        "active",
        "events",
        "incidents",
        "drill --for 10s",
        "gate done",
        "probe a",
        "notify test ops",
        "reload",
    ] {
        let order = parse(command).expect(command);
        assert!(order.place().is_default(), "{command}");
        let order = parse(&format!("{command} --socket /s")).expect(command);
        assert_eq!(order.place().socket.as_deref(), Some(std::path::Path::new("/s")), "{command}");
        for both in ["--socket /s --url http://a", "-c a.yaml --socket /s", "-c a --url http://a"] {
            assert!(parse(&format!("{command} {both}")).is_err(), "{command} {both}");
        }
        let error = parse(&format!("{command} --token x")).expect_err("it would show in ps");
        assert!(error.contains("--token"), "{error}");
    }
}

#[test]
fn what_changes_something_takes_a_reason_and_what_asks_does_not() {
    for command in [
        "job run sync",
        "job run web/sync --no-wait",
        "switchover --to b",
        "switchover --cancel",
        "failback",
        "pin",
        "unpin",
        "lock",
        "unlock",
        "drain a",
        "maintenance a",
        "ready a",
        "drill --for 10s",
        "drill --stop",
        "gate failed web",
        "notify test ops",
        "reload",
    ] {
        assert!(parse(&format!("{command} --reason because")).is_ok(), "{command}");
    }
    let asking = ["wait --active a", "status", "active", "events", "incidents", "probe a"];
    for command in asking.into_iter().chain(["job list", "job show sync"]) {
        assert!(parse(&format!("{command} --reason because")).is_err(), "{command}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for wrong in [
        "job",
        "job run",
        "job run a/b/c",
        "switchover",
        "switchover --to b --cancel",
        "switchover --cancel --dry-run",
        "switchover --to b --at soon",
        "switchover --to b --verify 10",
        "drain",
        "drain a/b/c",
        "wait",
        "wait --active a --healthy b",
        "wait --active",
        "wait --active a --timeout 5",
        "events --limit 0",
        "events --limit 1001",
        "events --after x",
        "incidents x",
        "incidents 1 --service web",
        "drill",
        "drill --for 10s --stop",
        "drill --for 0s",
        "drill --for 25h",
        "drill --for 10s --to b",
        "drill --for 10s --tagged :",
        "gate",
        "gate perhaps",
        "probe",
        "probe a -v",
        "notify",
        "notify test",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_wait_is_for_one_thing() {
    let what = |args: &str| match parse(&format!("wait {args}")) {
        Ok(Order::Wait(wait)) => (wait.service.clone(), wait.what(), wait.timeout.as_secs()),
        other => panic!("{args}: {other:?}"),
    };
    let name = |name: &str| name.to_owned();
    let web = Some(name("web"));
    assert_eq!(what("web --active a"), (web.clone(), WaitFor::Active(name("a")), 60));
    let healthy = (None, WaitFor::Healthy(name("a")), 5);
    assert_eq!(what("--healthy a --timeout 5s"), healthy);
    let drained = (web.clone(), WaitFor::Drained(Some(name("a"))), 60);
    assert_eq!(what("web --drained a"), drained);
    assert_eq!(what("web --drained"), (web, WaitFor::Drained(None), 60));
}
