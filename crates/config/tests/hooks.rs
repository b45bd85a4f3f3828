//! Every key of gates, jobs and notifiers arrives in its own place, and what is left out is as it
//! should be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

use std::path::Path;
use std::time::Duration;

use config::model::{
    Action, At, Channel, Config, ExecAction, Gate, GateAction, HttpAction, Job, JobTarget, MailTls,
    MaxAge, Notifier, Role, Schedule, Scheme, Secret, Service, Tries, Trust,
};
use config::{EVENT_KINDS, load};
use routing::failover::{self, Direction, Need, OnFailure};

const SECOND: Duration = Duration::from_secs(1);

fn config(text: &str) -> Config {
    let loaded = load("test", text, Path::new("/etc/understudy"));
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

fn unusual() -> Config {
    config(include_str!("hooks/unusual.yaml"))
}

/// A service with these further keys.
fn service(keys: &str) -> Service {
    let text = format!(
        "listeners: [ ':1' ]\nservices:\n  web:\n    backends: [ http://10.0.0.1, http://10.0.0.2 ]\n{keys}"
    );
    config(&text).services.remove(0)
}

fn gate(list: &[Gate], which: failover::Gate) -> &Gate {
    list.iter().find(|gate| gate.rule.gate == which).unwrap()
}

fn http(gate: &Gate) -> &HttpAction {
    match &gate.action {
        GateAction::Call(Action::Http(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn exec(action: &Action) -> &ExecAction {
    match action {
        Action::Exec(exec) => exec,
        Action::Http(request) => panic!("{request:?}"),
    }
}

#[test]
fn a_request_of_a_gate() {
    let gates = &unusual().services[0].gates;
    let fence = gate(&gates.failover, failover::Gate::Fence);
    assert_eq!(fence.rule.need, Need::IfReachable);
    assert_eq!(fence.rule.on_failure, OnFailure::NextStandby);
    assert!(fence.rule.idempotent);
    let tries = Tries {
        deadline: Duration::from_millis(1500),
        retries: 2,
        back_off: Duration::from_millis(1),
    };
    assert_eq!(fence.tries, tries);
    let request = http(fence);
    assert_eq!(request.method, "PUT");
    assert_eq!(request.at, At::From);
    assert_eq!(&*request.path, "/a/{service}?x={epoch}%20");
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let expected = [
        ("x-one", &Secret::Plain("a \"b\" \\ c".into())),
        ("x-two", &Secret::File("/etc/understudy/to \"k\".en".into())),
        ("x-three", &Secret::Variable("A_b1".into())),
    ];
    assert_eq!(headers, expected);
    assert_eq!(&*request.body, "{\"to\": \"{to}\", é\n}");
    assert_eq!(request.status.0, [204..=204, 300..=399]);
    assert_eq!(request.output_bytes, 1);
}

#[test]
fn a_program_of_a_gate() {
    let gates = &unusual().services[0].gates;
    let promote = gate(&gates.failover, failover::Gate::Promote);
    assert_eq!(promote.rule.need, Need::BestEffort);
    assert_eq!(promote.rule.on_failure, OnFailure::Continue);
    let GateAction::Call(action) = &promote.action else { panic!("{promote:?}") };
    let program = exec(action);
    let command: Vec<&str> = program.command.iter().map(|argument| &**argument).collect();
    assert_eq!(command, ["/etc/understudy/bin/promote", "{to}", "", "x \"#\""]);
    let expected = [
        ("A".into(), Secret::Plain("x: # \n".into())),
        ("B".into(), Secret::File("/b".into())),
        ("_c".into(), Secret::Variable("C".into())),
    ];
    assert_eq!(program.environment, expected);
    assert_eq!(program.directory.as_deref(), Some(Path::new("/etc/understudy/a b")));
    assert_eq!(program.output_bytes, 1 << 20);
}

#[test]
fn gates_run_in_their_order_whatever_order_they_are_written_in() {
    let gates = &unusual().services[0].gates;
    let order = |list: &[Gate]| list.iter().map(|gate| gate.rule.gate).collect::<Vec<_>>();
    use failover::Gate::{Demote, Fence, Promote, Sync, Verify};
    assert_eq!(order(&gates.failover), [Fence, Promote, Verify]);
    assert_eq!(order(&gates.failback), [Demote, Sync, Promote]);
    assert_eq!(order(&gates.switchover), []);
    let verify = gate(&gates.failover, Verify);
    assert_eq!(verify.action, GateAction::Role(Role::Active));
    assert!(verify.rule.idempotent, "to look twice does no harm");
    assert_eq!(http(gate(&gates.failback, Demote)).at, At::Backend);
    assert_eq!(http(gate(&gates.failback, Promote)).at, At::To);
    let At::Elsewhere { url, tls } = &http(gate(&gates.failback, Sync)).at else { panic!() };
    assert_eq!((url.scheme, url.place()), (Scheme::Https, "[::1]:8443".to_owned()));
    assert_eq!(tls.trust, Trust::Ca("/etc/understudy/ca.pem".into()));
    assert_eq!(tls.server_name.as_deref(), Some("x"));
}

#[test]
fn the_rules_of_gates_are_part_of_the_policy() {
    let service = unusual().services.remove(0);
    for (direction, list) in [
        (Direction::Failover, &service.gates.failover),
        (Direction::Failback, &service.gates.failback),
        (Direction::Switchover, &service.gates.switchover),
    ] {
        let rules: Vec<_> = list.iter().map(|gate| gate.rule).collect();
        assert_eq!(service.policy.gates.of(direction), rules);
    }
}

#[test]
fn gates_have_defaults() {
    let service = service("    gates: { failover: { fence: { http: { url: /x } } } }");
    let fence = gate(&service.gates.failover, failover::Gate::Fence);
    assert_eq!(fence.rule.need, Need::Required);
    assert_eq!(fence.rule.on_failure, OnFailure::Abort);
    assert!(!fence.rule.idempotent);
    let tries = Tries { deadline: 10 * SECOND, retries: 0, back_off: Duration::from_millis(500) };
    assert_eq!(fence.tries, tries);
    let request = http(fence);
    assert_eq!((request.method.as_str(), &*request.body), ("POST", ""));
    assert_eq!(request.status.0, [200..=299]);
    assert_eq!(request.output_bytes, 16 << 10);
    assert!(request.headers.is_empty());
}

#[test]
fn a_direction_that_is_left_out_is_as_the_one_before_it() {
    let fence = "{ fence: { http: { url: /x } } }";
    let demote = "{ demote: { http: { url: /x } } }";
    let kinds = |keys: &str| {
        let gates = service(&format!("    gates: {{ {keys} }}")).gates;
        [gates.failover, gates.failback, gates.switchover].map(|list| match list.as_slice() {
            [] => "none",
            [Gate { rule, .. }] if rule.gate == failover::Gate::Fence => "fence",
            _ => "demote",
        })
    };
    assert_eq!(kinds(""), ["none"; 3]);
    assert_eq!(kinds(&format!("failover: {fence}")), ["fence"; 3]);
    let check = |keys: String, expected| assert_eq!(kinds(&keys), expected, "{keys}");
    check(format!("failover: {fence}, failback: {demote}"), ["fence", "demote", "demote"]);
    check(format!("failover: {fence}, failback: {{}}"), ["fence", "none", "none"]);
    check(format!("failover: {fence}, switchover: {{}}"), ["fence", "fence", "none"]);
    check(format!("failover: {fence}, switchover: {demote}"), ["fence", "fence", "demote"]);
    check(format!("failback: {demote}"), ["none", "demote", "demote"]);
}

#[test]
fn a_service_with_gates_is_exclusive_unless_it_says_otherwise() {
    let exclusive = |keys: &str| service(keys).policy.exclusive.map(|exclusive| exclusive.drain);
    let gates = "    gates: { failover: { fence: { http: { url: /x } } } }\n";
    assert_eq!(exclusive(""), None);
    assert_eq!(exclusive("    gates: {}\n"), None);
    assert_eq!(exclusive(gates), Some(5 * SECOND));
    assert_eq!(exclusive(&format!("{gates}    exclusive: false\n")), None);
    let own = format!("{gates}    exclusive: {{ drain: 1s }}\n");
    assert_eq!(exclusive(&own), Some(SECOND));
}

#[test]
fn whoever_is_promoted_need_not_be_active_yet() {
    let health = "    health: { http: { role: { by: { header: X-Role } } } }\n";
    let role = |keys: &str| service(&format!("{health}{keys}")).policy.required_role;
    assert_eq!(role(""), Some(Role::Active));
    let fence = "    gates: { failover: { fence: { http: { url: /x } } } }\n";
    assert_eq!(role(fence), Some(Role::Active));
    assert_eq!(role(&fence.replace("fence", "promote")), None);
}

#[test]
fn a_job() {
    let jobs = unusual().services.remove(0).jobs;
    let names: Vec<&str> = jobs.iter().map(|job| &*job.name).collect();
    assert_eq!(names, ["b:[c].d", "night", "daily", "by-order"]);
    let job = &jobs[0];
    assert_eq!(&*exec(&job.action).command[0], "ping");
    let expected = Job {
        name: "b:[c].d".into(),
        action: job.action.clone(),
        tries: Tries { deadline: 30 * SECOND, retries: 100, back_off: 60 * SECOND },
        idempotent: true,
        schedule: Schedule::Every(90 * SECOND),
        jitter: Duration::from_millis(1500),
        to: JobTarget::Standbys { role: Some(Role::Standby) },
        catch_up: false,
        move_waits: Duration::ZERO,
        max_age: Some(MaxAge { age: 3600 * SECOND, blocks: true }),
    };
    assert_eq!(*job, expected);
    let Schedule::Cron(night) = &jobs[1].schedule else { panic!("{:?}", jobs[1]) };
    assert_eq!(night.pattern(), "*/20  1-3 * * mon,Sat#1");
    assert_eq!(night.time_zone(), "America/New_York");
    assert_eq!(jobs[1].to, JobTarget::Active);
    let Schedule::Cron(daily) = &jobs[2].schedule else { panic!("{:?}", jobs[2]) };
    assert_eq!(daily.time_zone(), "UTC");
    assert_eq!(jobs[2].max_age, Some(MaxAge { age: 25 * 3600 * SECOND, blocks: false }));
    assert_eq!(jobs[3].schedule, Schedule::Never);
}

#[test]
fn jobs_have_defaults() {
    let job = service("    jobs: { a: { exec: { command: [ a ] } } }").jobs.remove(0);
    assert_eq!(job.to, JobTarget::Standbys { role: None });
    assert!(job.catch_up && !job.idempotent);
    assert_eq!((job.jitter, job.move_waits, job.max_age), (Duration::ZERO, 30 * SECOND, None));
    assert_eq!(job.tries, Tries { deadline: 300 * SECOND, retries: 0, back_off: SECOND });
    let program = exec(&job.action);
    assert_eq!((program.directory.as_deref(), program.output_bytes), (None, 16 << 10));
}

fn notifier<'a>(config: &'a Config, name: &str) -> &'a Notifier {
    config.notify.iter().find(|notifier| *notifier.name == *name).unwrap()
}

#[test]
fn a_webhook() {
    let config = unusual();
    let hook = notifier(&config, "hook");
    let texts =
        |list: &[std::sync::Arc<str>]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    assert_eq!(texts(&hook.events), ["locked", "active_changed"]);
    assert_eq!(texts(&hook.services), ["web"]);
    assert_eq!(hook.deadline, Duration::from_millis(1500));
    assert_eq!(hook.give_up_after, 1800 * SECOND);
    let Channel::Webhook { request, key } = &hook.channel else { panic!("{hook:?}") };
    assert_eq!(*key, Some(Secret::Variable("KEY".into())));
    assert_eq!(request.headers[0].1, Secret::File("/etc/understudy/token".into()));
    assert_eq!((request.method.as_str(), &*request.path), ("POST", "/a?b=c"));
    let At::Elsewhere { url, tls } = &request.at else { panic!("{request:?}") };
    assert_eq!(url.to_string(), "https://hooks.example.com:8443");
    assert_eq!(tls.trust, Trust::Insecure);
    let plain = notifier(&config, "plain");
    assert!(plain.events.is_empty() && plain.services.is_empty());
    assert_eq!((plain.deadline, plain.give_up_after), (10 * SECOND, 24 * 3600 * SECOND));
    let Channel::Webhook { request, .. } = &plain.channel else { panic!("{plain:?}") };
    assert_eq!(&*request.path, "/");
}

#[test]
fn chats_and_alerts() {
    let config = unusual();
    let slack = |name| match &notifier(&config, name).channel {
        Channel::Slack(slack) => slack.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(slack("slack").url, Secret::File("/etc/understudy/slack".into()));
    assert_eq!(slack("slack").tls.trust, Trust::Ca("/etc/understudy/a.pem".into()));
    assert_eq!(slack("chat").url, Secret::Plain("https://hooks.example.com/secret".into()));
    let path = |name| match &notifier(&config, name).channel {
        Channel::Alertmanager(request) => request.path.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(path("am"), "/prefix/api/v2/alerts");
    assert_eq!(path("am2"), "/api/v2/alerts");
}

#[test]
fn mails() {
    let config = unusual();
    let mail = |name| match &notifier(&config, name).channel {
        Channel::Mail(mail) => mail.clone(),
        other => panic!("{other:?}"),
    };
    let one = mail("mail");
    assert_eq!((&*one.host, one.port, one.tls), ("mail.example.com", 587, MailTls::StartTls));
    assert_eq!(one.ca.as_deref(), Some(Path::new("/etc/understudy/m.pem")));
    assert_eq!(one.login, Some(("a@b".into(), Secret::Variable("P".into()))));
    assert_eq!(&*one.from, "u@example.com");
    assert_eq!(one.to, ["a+b@example.com".into(), "c@localhost".into()]);
    let two = mail("mail2");
    assert_eq!((&*two.host, two.port, two.tls), ("::1", 2525, MailTls::Off));
    assert_eq!(two.login, None);
}

/// Whatever is wrong around them, what is secret is not shown.
#[test]
fn secrets_are_never_shown() {
    const SECRET: &str = "hunter2";
    let texts = [
        "gates: { failover: { fence: { http: { url: /x, headers: { 'a b': hunter2 } } } } }",
        "gates: { failover: { fence: { http: { url: /x, headres: { a: hunter2 } } } } }",
        "gates: { failover: { fence: { http: { url: /x, headers: { a: { value: hunter2 } } } } } }",
        "gates: { failover: { fence: { http: { url: /x, headers: { a: \"hunter2\\n\" } } } } }",
        "gates: { failover: { fence: { http: { url: /x, body: 'hunter2 {nobody}' } } } }",
        "gates: { failover: { fence: { exec: { command: [ a ], environment: { 'A-': hunter2 } } } } }",
        "gates: { failover: { fence: { exec: { command: [ a ], environment: { A: \"hunter2\\0\" } } } } }",
        "gates: { failover: { fence: { exec: { command: [ a ], environment: { A: { file: a, plain: hunter2 } } } } } }",
    ];
    let services = |keys: &str, notify: &str| {
        format!(
            "listeners: [ ':1' ]\nservices:\n  web:\n    backends: [ http://10.0.0.1 ]\n    {keys}\n{notify}"
        )
    };
    let notifiers = [
        "notify: { a: { slack: { url: hunter2 } } }",
        "notify: { a: { slack: { url: 'https://x/hunter2 {service}' } } }",
        "notify: { a: { slack: { url: { value: hunter2 } } } }",
        "notify: { a: { slack: { ulr: 'https://x/hunter2' } } }",
        "notify: { a: { webhook: { url: 'https://x', key: { vault: hunter2 } } } }",
        "notify: { a: { webhook: { url: 'https://x', kye: hunter2 } } }",
        "notify: { a: { mail: { host: m, password: hunter2, from: a@b, to: [ c@d ] } } }",
        "notify: { a: { mail: { host: m, user: a, passwd: hunter2, from: a@b, to: [ c@d ] } } }",
    ];
    let texts = texts.iter().map(|keys| services(keys, ""));
    for text in texts.chain(notifiers.iter().map(|keys| services("", keys))) {
        let problems = load("test", &text, Path::new("")).expect_err(&text).to_string();
        assert!(!problems.contains(SECRET), "{text}\n{problems}");
    }
    let config = unusual();
    let shown = format!("{config:?}\n{}", config::explain(&config));
    for secret in ["a \"b\" \\\\ c", "hooks.example.com/secret", "a: \\\"b\\\""] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn kinds_of_events_have_names_of_their_own() {
    let mut kinds = EVENT_KINDS.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), EVENT_KINDS.len());
}
