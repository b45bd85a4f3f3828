//! Every key about probes, and about what else is heard of backends, arrives in its own place of the
//! model; what they may keep secret stays out of messages.

use std::path::Path;
use std::time::Duration;

use config::load;
use config::model::{
    AgentProbe, Config, DrainRule, ErrorRule, ExecProbe, ExitRule, GrpcProbe, HttpProbe, JsonTest,
    Level, Probe, ProbeKind, Readiness, Role, RoleSource, Service, StatusSet, TcpProbe, Witness,
};

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn config(service: &str, keys: &str) -> Config {
    let text = format!(
        "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ], {service} }} }}\n{keys}"
    );
    match load("test.yaml", &text, Path::new("/etc")) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// A config with one service that has these keys below `health`.
fn service(health: &str) -> Service {
    config(&format!("health: {{ {health} }}"), "").services.remove(0)
}

fn only(health: &str) -> Probe {
    let mut probes = service(health).health.probes;
    assert_eq!(probes.len(), 1, "{health}");
    probes.remove(0)
}

fn http(keys: &str) -> HttpProbe {
    match only(&format!("http: {{ {keys} }}")).kind {
        ProbeKind::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

fn shown(set: &StatusSet) -> Vec<(u16, u16)> {
    set.0.iter().map(|range| (*range.start(), *range.end())).collect()
}

#[test]
fn one_probe_by_its_own_key() {
    let plain = only("");
    assert!(matches!(plain.kind, ProbeKind::Http(_)));
    assert_eq!((plain.level, plain.interval, plain.timeout), (Level::Ready, None, None));
    assert_eq!(&*plain.name, "probe");
    let tcp = |send: &[u8]| TcpProbe { send: send.to_vec(), expect: None };
    assert_eq!(only("tcp: {}").kind, ProbeKind::Tcp(tcp(b"")));
    assert_eq!(only("tcp: { send: \"A\\r\\n\" }").kind, ProbeKind::Tcp(tcp(b"A\r\n")));
    let ProbeKind::Tcp(tcp) = only("tcp: { expect: '^[+]PONG' }").kind else { panic!("no tcp") };
    assert_eq!(tcp.expect.map(|expect| expect.0.is_match(b"+PONG\r\n")), Some(true));
    let grpc = |service: &str| ProbeKind::Grpc(GrpcProbe { service: service.into() });
    assert_eq!(only("grpc: {}").kind, grpc(""));
    assert_eq!(only("grpc: { service: a.B }").kind, grpc("a.B"));
}

#[test]
fn http_probes() {
    let plain = http("");
    assert_eq!((plain.method.as_str(), plain.path.as_str(), &*plain.body), ("GET", "/", ""));
    assert_eq!((plain.body_bytes, plain.redirects), (64 << 10, 0));
    assert_eq!((plain.role, plain.host), (None, None));
    assert!(!plain.expect.reads_body() && plain.expect.headers.is_empty());
    assert_eq!(shown(&plain.status), [(200, 499)]);
    let given = http(
        "method: POST, path: '/a?b', host: h, headers: { X-A: b }, body: c, status: [ 200, 300-301 ],
        body_bytes: 7B, redirects: 3",
    );
    assert_eq!((given.method.as_str(), given.path.as_str(), &*given.body), ("POST", "/a?b", "c"));
    assert_eq!((given.body_bytes, given.redirects), (7, 3));
    assert_eq!(given.host.as_ref().map(http::HeaderValue::as_bytes), Some(&b"h"[..]));
    assert_eq!(given.headers.get("x-a").map(http::HeaderValue::as_bytes), Some(&b"b"[..]));
    assert_eq!(shown(&given.status), [(200, 200), (300, 301)]);
    // A body goes with any method.
    assert_eq!(&*http("body: x").body, "x");
}

#[test]
fn expectations() {
    let one = http("expect: { text: a, regex: b }").expect;
    assert_eq!((one.text.len(), one.regex.len()), (1, 1));
    assert!(one.reads_body());
    let given = http(
        "expect: { text: [ a, b ], regex: [ '^c', d ], headers: { X-B: e, X-A: f }, json: [
        { pointer: '', exists: true }, { pointer: /a, equals: 1 }, { pointer: /a, not: null },
        { pointer: /a, below: 2 }, { pointer: /a, above: 0.5 }, { pointer: /a, matches: g },
        { pointer: /a, equals: 'true' }, { pointer: /a, equals: true } ] }",
    )
    .expect;
    let texts: Vec<&str> = given.text.iter().map(|text| &**text).collect();
    assert_eq!(texts, ["a", "b"]);
    let patterns: Vec<&str> = given.regex.iter().map(|pattern| pattern.0.as_str()).collect();
    assert_eq!(patterns, ["^c", "d"]);
    let fields: Vec<_> =
        given.headers.iter().map(|(name, is)| (name.as_str(), is.0.as_str())).collect();
    assert_eq!(fields, [("x-b", "e"), ("x-a", "f")]);
    let tests: Vec<&JsonTest> = given.json.iter().map(|rule| &rule.is).collect();
    let JsonTest::Matches(pattern) = tests[5] else { panic!("{tests:?}") };
    assert_eq!((&*given.json[0].pointer, &*given.json[1].pointer), ("", "/a"));
    assert_eq!(pattern.0.as_str(), "g");
    let expected = [
        &JsonTest::Exists,
        &JsonTest::Equals(1.into()),
        &JsonTest::Not(serde_json::Value::Null),
        &JsonTest::Below(2.0),
        &JsonTest::Above(0.5),
    ];
    assert_eq!(tests[..5], expected);
    assert_eq!(tests[6], &JsonTest::Equals("true".into()));
    assert_eq!(tests[7], &JsonTest::Equals(true.into()));
}

#[test]
fn roles() {
    let rule = |keys: &str| http(&format!("role: {{ {keys} }}")).role;
    let told = |keys: &str| {
        let Some(rule) = rule(keys) else { panic!("no role: {keys}") };
        let values: Vec<_> =
            rule.values.iter().map(|(value, role)| (value.to_string(), *role)).collect();
        (rule.by, values)
    };
    assert_eq!(http("role: off").role, None);
    let (by, values) = told("by: { header: X-Role }");
    assert_eq!(by, RoleSource::Header(http::HeaderName::from_static("x-role")));
    let words = [
        ("active".to_owned(), Role::Active),
        ("standby".to_owned(), Role::Standby),
        ("promoting".to_owned(), Role::Promoting),
        ("fenced".to_owned(), Role::Fenced),
    ];
    assert_eq!(values, words);
    let (by, values) = told(
        "by: { pointer: /r }, active: [ a, 1 ], standby: active, promoting: [], fenced: false",
    );
    assert_eq!(by, RoleSource::Pointer("/r".into()));
    let expected = [
        ("a".to_owned(), Role::Active),
        ("1".to_owned(), Role::Active),
        ("active".to_owned(), Role::Standby),
        ("false".to_owned(), Role::Fenced),
    ];
    assert_eq!(values, expected);
    // Who gives a word another meaning takes it from where it is by default.
    let (_, values) = told("by: { header: X-Role }, active: [ standby ]");
    assert_eq!(values[0], ("standby".to_owned(), Role::Active));
    assert_eq!(values.len(), 3);
    let (by, values) = told("by: status, active: 200, standby: [ 429 ]");
    assert_eq!(by, RoleSource::Status);
    let expected = [("200".to_owned(), Role::Active), ("429".to_owned(), Role::Standby)];
    assert_eq!(values, expected);
    // A status that asks for a drain passes, too.
    assert_eq!(
        http("role: { by: status, active: 200, standby: 503 }, drain: { status: 503 }")
            .role
            .map(|rule| rule.values.len()),
        Some(2)
    );
}

#[test]
fn a_role_is_required_where_one_is_told() {
    let required = |keys: &str| service(keys).policy.required_role;
    let told = "http: { role: { by: { header: X-Role } } }";
    assert_eq!(required(""), None);
    assert_eq!(required("required_role: off"), None);
    assert_eq!(required(told), Some(Role::Active));
    assert_eq!(required(&format!("{told}, required_role: off")), None);
    assert_eq!(required(&format!("{told}, required_role: standby")), Some(Role::Standby));
    assert_eq!(
        required(&format!("probes: [ {{ name: a, tcp: {{}} }}, {{ name: b, {told} }} ]")),
        Some(Role::Active)
    );
}

#[test]
fn drains() {
    let usual = Some(http::HeaderName::from_static("understudy-drain"));
    let plain = DrainRule { header: usual, status: StatusSet::default() };
    assert_eq!(http("").drain, plain);
    assert_eq!(http("drain: {}").drain, plain);
    assert_eq!(http("drain: { header: off }").drain, DrainRule { header: None, ..plain });
    let given = http("drain: { header: X-D, status: [ 404, 500-599 ] }").drain;
    assert_eq!(given.header, Some(http::HeaderName::from_static("x-d")));
    assert_eq!(shown(&given.status), [(404, 404), (500, 599)]);
    assert_eq!(shown(&http("drain: { status: 404 }").drain.status), [(404, 404)]);
}

#[test]
fn programs() {
    let exec = |keys: &str| match only(&format!("exec: {{ {keys} }}")).kind {
        ProbeKind::Exec(exec) => exec,
        other => panic!("{other:?}"),
    };
    let plain = ExecProbe {
        command: vec!["ping".into()],
        environment: vec![],
        directory: None,
        output_bytes: 4 << 10,
        exit: ExitRule { pass: vec![0], drain: vec![], inconclusive: vec![] },
        at_a_time: 2,
    };
    assert_eq!(exec("command: [ ping ]"), plain);
    assert_eq!(exec("command: [ ping ], directory: /"), plain);
    let given = exec(
        "command: [ bin/ping, '', '{host}' ], environment: { B: c, A: '' }, directory: d, output_bytes: 5B,
        exit: { pass: [ 1, 2 ], drain: [ 3 ], inconclusive: [ 255 ] }, at_a_time: 4",
    );
    let expected = ExecProbe {
        command: vec!["/etc/bin/ping".into(), "".into(), "{host}".into()],
        environment: vec![("B".into(), "c".into()), ("A".into(), "".into())],
        directory: Some("/etc/d".into()),
        output_bytes: 5,
        exit: ExitRule { pass: vec![1, 2], drain: vec![3], inconclusive: vec![255] },
        at_a_time: 4,
    };
    assert_eq!(given, expected);
    assert_eq!(&*exec("command: [ /bin/ping ]").command[0], "/bin/ping");
}

#[test]
fn several_probes() {
    let service = service(
        "quorum: 2, probes: [ { name: port, level: alive, tcp: {}, timeout: 2s },
        { name: query, level: ready, exec: { command: [ q ] }, interval: 10s },
        { name: page, http: { path: /p } }, { name: rpc, grpc: {} },
        { name: agent, agent: { port: 5, host: H, send: s } }, { name: last, agent: { port: 6 } } ]",
    );
    let health = service.health;
    assert_eq!(health.quorum, Some(2));
    let shown: Vec<_> = health
        .probes
        .iter()
        .map(|probe| (&*probe.name, probe.level, probe.interval, probe.timeout))
        .collect();
    let expected = [
        ("port", Level::Alive, None, Some(secs(2))),
        ("query", Level::Ready, Some(secs(10)), None),
        ("page", Level::Ready, None, None),
        ("rpc", Level::Ready, None, None),
        ("agent", Level::Ready, None, None),
        ("last", Level::Ready, None, None),
    ];
    assert_eq!(shown, expected);
    let ProbeKind::Http(page) = &health.probes[2].kind else { panic!("no page") };
    assert_eq!(page.path.as_str(), "/p");
    let agent = AgentProbe { host: Some("h".into()), port: 5, send: "s".into() };
    assert_eq!(health.probes[4].kind, ProbeKind::Agent(agent));
    let last = AgentProbe { host: None, port: 6, send: "".into() };
    assert_eq!(health.probes[5].kind, ProbeKind::Agent(last));
}

#[test]
fn when_probes_are_asked() {
    let plain = service("");
    let health = &plain.health;
    let times = (health.interval, health.timeout, health.confirm_interval, health.stall_after);
    assert_eq!(times, (secs(1), secs(1), ms(100), ms(500)));
    assert_eq!((plain.policy.rise, plain.policy.fall, health.quorum), (2, 3, None));
    let usual = [500..=500, 502..=502, 503..=503, 504..=504];
    let errors = ErrorRule { status: StatusSet(usual.to_vec()), count: 10, within: secs(1) };
    assert_eq!(health.errors, Some(errors.clone()));
    assert_eq!(service("errors: {}").health.errors, Some(errors));
    assert_eq!(service("errors: off").health.errors, None);
    let given = service(
        "interval: 2s, timeout: 3s, confirm_interval: 4ms, stall_after: 5s, rise: 6, fall: 7, quorum: off,
        errors: { status: 503-504, count: 8, within: 9s }",
    );
    let health = &given.health;
    let times = (health.interval, health.timeout, health.confirm_interval, health.stall_after);
    assert_eq!(times, (secs(2), secs(3), ms(4), secs(5)));
    assert_eq!((given.policy.rise, given.policy.fall), (6, 7));
    let errors = ErrorRule { status: StatusSet(vec![503..=504]), count: 8, within: secs(9) };
    assert_eq!(health.errors, Some(errors));
}

#[test]
fn readiness_and_witnesses() {
    let readiness = |keys: &str| config(keys, "").services.remove(0).readiness;
    let plain =
        Readiness { certificate: secs(168 * 3600), clock_skew: Some(secs(5)), last_drill: None };
    assert_eq!(readiness(""), plain);
    assert_eq!(readiness("readiness: {}"), plain);
    let given = readiness("readiness: { certificate: 1h, clock_skew: 2s, last_drill: 3h }");
    let expected = Readiness {
        certificate: secs(3600),
        clock_skew: Some(secs(2)),
        last_drill: Some(secs(3 * 3600)),
    };
    assert_eq!(given, expected);
    assert_eq!(readiness("readiness: { clock_skew: off }").clock_skew, None);
    let witness = |host: &str, port| Witness { host: host.into(), port };
    assert_eq!(config("", "").witnesses, []);
    assert_eq!(
        config("", "witnesses: [ '[::1]:53', Gateway:443 ]").witnesses,
        [witness("::1", 53), witness("gateway", 443)]
    );
    let shown = config("", "witnesses: [ '[::1]:53' ]").witnesses[0].to_string();
    assert_eq!(shown, "[::1]:53");
}

#[test]
fn no_message_repeats_a_secret() {
    for health in [
        "http: { headers: { Authorization: \"correct-horse\\n\" }, nonsense: 1 }",
        "http: { headers: { \"bad name\": correct-horse } }",
        "http: { headers: \"Authorization: correct-horse\" }",
        "http: { headers: [ correct-horse ] }",
        "http: { headers: { A: [ correct-horse ] } }",
        "http: { headers: { Connection: correct-horse } }",
        "http: { header: { Authorization: correct-horse } }",
        "http: { body: [ correct-horse ] }",
        "http: { bodi: correct-horse }",
        "http: { headers: { A: 4271 } }",
        "http: { body: 4271 }",
        "exec: { command: [ a ], environment: { A: 4271 } }",
        "exec: { command: [ a ], environment: { A: \"correct-horse\\0\" } }",
        "exec: { command: [ a ], environment: { UNDERSTUDY_A: correct-horse } }",
        "exec: { command: [ a ], environment: { 1A: correct-horse } }",
        "exec: { command: [ a ], environment: correct-horse }",
        "exec: { command: [ a ], enviroment: { A: correct-horse } }",
        "tcp: { send: [ correct-horse ] }",
        "tcp: { sned: correct-horse }",
        "probes: [ { name: a, agent: { port: 1, send: { x: correct-horse } } } ]",
        "\n    http:\n      headers:\n        A: x\n        Connection:\n          correct-horse\n",
    ] {
        let text = format!(
            "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ], health: {{ {health} }} }} }}"
        );
        let text = if health.starts_with('\n') {
            format!(
                "listeners: [ ':1' ]\nservices:\n web:\n  backends: [ http://a ]\n  health:{health}"
            )
        } else {
            text
        };
        let Err(problems) = load("test.yaml", &text, Path::new("/etc")) else {
            panic!("{health} was accepted");
        };
        let shown = format!("{problems} {problems:?}");
        assert!(!shown.contains("horse") && !shown.contains("4271"), "{health}: {shown}");
    }
}

#[test]
fn what_is_sound_gets_no_warning() {
    for (health, keys) in [
        ("http: { body: x }", ""),
        ("http: { role: { by: { header: X-Role } } }", "hold: { timeout: 20s }"),
        ("http: { role: { by: { header: X-Role } } }, required_role: off", ""),
        ("http: { drain: { status: [ 404, 503 ] } }", ""),
        ("exec: { command: [ awk, '{print $1}', '{\"a\": {}}', '{host}' ] }", ""),
        (
            "probes: [ { name: a, exec: { command: [ a ] }, interval: 10s, timeout: 5s }, { name: b, tcp: {} } ]",
            "",
        ),
        ("probes: [ { name: a, tcp: {} }, { name: b, http: {} } ]", ""),
        ("probes: [ { name: a, tcp: {} }, { name: b, agent: { port: 1 } } ], quorum: 1", ""),
    ] {
        let text = format!(
            "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ], health: {{ {health} }}, {keys} }} }}\nwitnesses: [ gateway:53 ]"
        );
        let loaded = load("test.yaml", &text, Path::new("/etc"));
        let warnings = loaded.map(|loaded| loaded.warnings);
        assert_eq!(warnings.as_deref(), Ok(&[][..]), "{text}");
    }
}
