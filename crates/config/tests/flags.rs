//! A command line becomes the same validated config as a file.

use std::path::Path;
use std::time::Duration;

use config::model::AdminSocket;
use config::{Flags, load};
use routing::failover::Failback;

fn flags() -> Flags {
    Flags {
        listen: vec!["127.0.0.1:8080".to_owned()],
        primary: "http://127.0.0.1:9001".to_owned(),
        standby: vec!["http://127.0.0.1:9002".to_owned(), "http://127.0.0.1:9003".to_owned()],
        ..Flags::default()
    }
}

#[test]
fn every_flag_arrives() {
    let flags = Flags {
        health_path: Some("/healthz?x='1'".to_owned()),
        failback_after: Some("5s".to_owned()),
        admin: Some("127.0.0.1:9999".to_owned()),
        state_dir: Some("/var/lib/understudy".to_owned()),
        workers: Some("2".to_owned()),
        ..flags()
    };
    let config = load("command line", &flags.to_yaml(), Path::new("")).unwrap().config;
    assert_eq!(config.workers, config::model::Workers::Count(2));
    assert_eq!(config.listeners[0].address.tcp(), "127.0.0.1:8080".parse().ok());
    assert_eq!(config.default_service, Some(0));
    let service = &config.services[0];
    let urls: Vec<String> =
        service.backends.iter().map(|backend| backend.url.to_string()).collect();
    let expected = ["http://127.0.0.1:9001", "http://127.0.0.1:9002", "http://127.0.0.1:9003"];
    assert_eq!(urls, expected);
    let Failback::Auto(conditions) = &service.policy.failback else { panic!("not auto") };
    assert_eq!(conditions.hold_down, Duration::from_secs(5));
    let config::model::ProbeKind::Http(probe) = &service.health.probes[0].kind else {
        panic!("not http")
    };
    assert_eq!(probe.path.as_str(), "/healthz?x='1'");
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/var/lib/understudy")));
    assert_eq!(config.admin.address, "127.0.0.1:9999".parse().ok());
}

#[test]
fn without_options_the_rest_is_default() {
    let from_flags = load("command line", &flags().to_yaml(), Path::new("")).unwrap().config;
    let file = "listeners: [ '127.0.0.1:8080' ]
services: { default: { backends: [ 'http://127.0.0.1:9001', 'http://127.0.0.1:9002', 'http://127.0.0.1:9003' ] } }
";
    assert_eq!(from_flags, load("file", file, Path::new("")).unwrap().config);
}

#[test]
fn sockets_of_unix_are_places_like_any_other() {
    let flags = Flags {
        listen: vec!["unix:/run/understudy.sock".to_owned()],
        primary: "unix:/run/a.sock".to_owned(),
        standby: vec!["unix:/run/b.sock".to_owned()],
        ..flags()
    };
    let config = load("command line", &flags.to_yaml(), Path::new("")).unwrap().config;
    assert_eq!(config.listeners[0].address.to_string(), "unix:/run/understudy.sock");
    let names: Vec<&str> =
        config.services[0].backends.iter().map(|backend| &*backend.name).collect();
    assert_eq!(names, ["a.sock", "b.sock"]);
}

#[test]
fn admin_can_be_switched_off() {
    let flags = Flags { admin: Some("off".to_owned()), ..flags() };
    let admin = load("command line", &flags.to_yaml(), Path::new("")).unwrap().config.admin;
    assert_eq!((admin.address, admin.socket), (None, AdminSocket::Off));
}

#[test]
fn an_admin_address_for_everybody_needs_a_file() {
    let flags = Flags { admin: Some("0.0.0.0:9900".to_owned()), ..flags() };
    let problems = load("command line", &flags.to_yaml(), Path::new("")).unwrap_err();
    let [problem] = problems.problems.as_slice() else { panic!("{problems}") };
    assert_eq!(problem.path, "admin.address");
    let advice = problem.advice.as_deref().unwrap_or_default();
    assert!(advice.contains("a config file with `admin.tls` and `admin.tokens`"), "{advice}");
}

#[test]
fn wrong_values_are_refused_and_cannot_smuggle_keys() {
    let flags = Flags {
        listen: vec!["8080".to_owned()],
        primary: "127.0.0.1:9001\"\n    all_down: keep_last".to_owned(),
        failback_after: Some("30".to_owned()),
        workers: Some("many".to_owned()),
        ..flags()
    };
    let problems = load("command line", &flags.to_yaml(), Path::new("")).unwrap_err();
    let paths: Vec<&str> = problems.problems.iter().map(|problem| problem.path.as_str()).collect();
    let expected = [
        "workers",
        "listeners[0]",
        "services.default.backends[0]",
        "services.default.failback.auto.hold_down",
    ];
    assert_eq!(paths, expected);
    assert!(problems.to_string().contains("--> command line:"), "{problems}");
}
