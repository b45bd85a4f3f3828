//! What makes a backend the same one, what changes mean, what cannot be built.

use super::build::{PROBED_AT_ONCE, hsts};
use super::*;
use config::model::Hsts;

fn config(text: &str) -> Config {
    let loaded = config::load("test.yaml", text, std::path::Path::new(""));
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

const TWO: &str = r#"
listeners: [{ address: "127.0.0.1:0" }]
services:
  web:
    backends:
      - { name: a, url: "http://127.0.0.1:9001" }
      - { name: b, url: "http://127.0.0.1:9002" }
    health: { http: { path: /ok }, interval: 1s }
"#;

/// The ids of the first service's backends when `text` follows on [`TWO`].
fn ids_after(text: &str) -> [Vec<u32>; 2] {
    let before = Blueprint::build(config(TWO), None).unwrap();
    let after = Blueprint::build(config(text), Some(&before)).unwrap();
    [before, after].map(|blueprint| blueprint.backends().map(|b| b.id.0).collect())
}

#[test]
fn what_is_asked_of_whom_makes_a_backend_the_same_one() {
    assert_eq!(ids_after(TWO), [[1, 2], [1, 2]]);
    for (same, text) in [
        (vec![1, 2], TWO.replace("interval: 1s", "interval: 2s, fall: 5")),
        (vec![1, 2], TWO.replace("health:", "failback: manual\n    health:")),
        (vec![3, 2], TWO.replace("9001", "9003")),
        (vec![3, 2], TWO.replace("name: a", "name: c")),
        (vec![3, 4], TWO.replace("/ok", "/healthz")),
        // How a probe gets there and talks; in the clear `auto` is HTTP/1.1 already.
        (vec![1, 2], TWO.replace("health:", "protocol: http1\n    health:")),
        (vec![3, 4], TWO.replace("health:", "protocol: http2\n    health:")),
        (vec![3, 4], TWO.replace("health:", "proxy_protocol: v2\n    health:")),
        (vec![1, 2], TWO.replace("health:", "tls: { insecure: true }\n    health:")),
        (vec![3, 4], TWO.replace("web:", "shop:")),
    ] {
        assert_eq!(ids_after(&text)[1], same, "{text}");
    }
}

#[test]
fn when_a_probe_is_asked_does_not_make_another_backend() {
    let probe = |times: &str| {
        let probes = format!("health: {{ probes: [ {{ name: a, http: {{ path: /ok }}{times} }} ]");
        TWO.replace("health: { http: { path: /ok }", &probes)
    };
    let before = Blueprint::build(config(&probe("")), None).unwrap();
    for times in [", interval: 5s", ", timeout: 700ms", ", interval: 9s, timeout: 2s"] {
        let after = Blueprint::build(config(&probe(times)), Some(&before)).unwrap();
        let ids: Vec<u32> = after.backends().map(|backend| backend.id.0).collect();
        assert_eq!(ids, [1, 2], "{times}");
        let alike = after.backends().zip(before.backends()).all(|(a, b)| a.probes_like(b));
        assert!(!alike, "{times}: it has to be asked at other times");
    }
}

#[test]
fn what_only_the_traffic_notices_does_not_make_another_backend() {
    let of = |text: &str, after: &str| {
        let before = Blueprint::build(config(text), None).unwrap();
        let after = Blueprint::build(config(after), Some(&before)).unwrap();
        let ids: Vec<u32> = after.backends().map(|backend| backend.id.0).collect();
        let probes_alike = after.backends().zip(before.backends()).all(|(a, b)| a.probes_like(b));
        (ids, probes_alike, after.same_as(&before))
    };
    let https = TWO
        .replace("http://", "https://")
        .replace("health: {", "tls: { insecure: true }\n    health: {");
    let other = |text: &str| text.replace("insecure: true", "insecure: true, server_name: x.test");
    assert_eq!(of(&https, &other(&https)), (vec![3, 4], false, false));
    // Probes have settings of their own.
    let own = https.replace("http: {", "tls: { server_name: probe.test }, http: {");
    assert_eq!(of(&own, &other(&own)), (vec![1, 2], true, false));
    let other_own = own.replace("probe.test", "other.test");
    assert_eq!(of(&own, &other_own), (vec![3, 4], false, false));

    let tcp = https.replace("http: { path: /ok }", "tcp: {}");
    let http2 =
        other(&tcp).replace("health:", "protocol: http2\n    proxy_protocol: v1\n    health:");
    assert_eq!(of(&tcp, &http2).0, [1, 2], "a probe that only connects says nothing");
}

#[test]
fn probes_may_have_tls_settings_of_their_own() {
    let text = TWO
        .replace("http://", "https://")
        .replace("health: {", "tls: { insecure: true, server_name: web.test }\n    health: { tls: { server_name: probe.test },");
    let blueprint = Blueprint::build(config(&text), None).unwrap();
    let backend = &blueprint.services[0].backends[0];
    let name = |destination: &Destination| {
        destination.tls.as_ref().map(|tls| tls.server_name.to_str().into_owned())
    };
    assert_eq!(name(&backend.destination).as_deref(), Some("web.test"));
    assert_eq!(name(&backend.subject.destination).as_deref(), Some("probe.test"));
    let in_the_clear = Blueprint::build(config(TWO), None).unwrap();
    assert!(in_the_clear.services[0].backends[0].subject.destination.tls.is_none());
}

#[test]
fn browsers_are_told_what_the_config_says() {
    let hsts = |subdomains, preload| {
        let max_age = Duration::from_secs(8760 * 3600);
        hsts(Hsts { max_age, subdomains, preload }).to_str().unwrap().to_owned()
    };
    assert_eq!(hsts(false, false), "max-age=31536000");
    assert_eq!(hsts(true, true), "max-age=31536000; includeSubDomains; preload");
}

#[test]
fn a_number_is_never_given_out_twice() {
    let without_b: String = TWO
        .lines()
        .filter(|l| !l.contains("name: b"))
        .fold(String::new(), |text, line| text + line + "\n");
    let first = Blueprint::build(config(TWO), None).unwrap();
    let second = Blueprint::build(config(&without_b), Some(&first)).unwrap();
    let third = Blueprint::build(config(TWO), Some(&second)).unwrap();
    let ids = |blueprint: &Blueprint| blueprint.backends().map(|b| b.id.0).collect::<Vec<_>>();
    assert_eq!([ids(&first), ids(&second), ids(&third)], [vec![1, 2], vec![1], vec![1, 3]]);
    assert_eq!(first.services[0].id, third.services[0].id);
}

#[test]
fn a_leaving_backend_stays_known_until_its_traffic_has_moved() {
    let before = Blueprint::build(config(TWO), None).unwrap();
    let after = Blueprint::build(config(&TWO.replace("9001", "9003")), Some(&before)).unwrap();
    let overlap = after.overlap(&before).unwrap();
    let ids: Vec<u32> = overlap.services[0].backends.iter().map(|b| b.id.0).collect();
    assert_eq!(ids, [3, 2, 1]);
    let slower = Blueprint::build(config(&TWO.replace("1s", "2s")), Some(&before)).unwrap();
    assert!(slower.overlap(&before).is_none());
}

#[test]
fn changes_are_said_in_words() {
    let before = Blueprint::build(config(TWO), None).unwrap();
    let changes = |text: &str| {
        let after = Blueprint::build(config(text), Some(&before)).unwrap();
        (after.same_as(&before), after.changes_from(&before))
    };
    assert!(changes(TWO).0);
    assert!(changes(&format!("{TWO}# a comment\n")).0);
    let said = |text: &str| {
        let (same, words) = changes(text);
        assert!(!same, "{text}");
        words
    };
    let interval = "settings (services.web.health.interval)";
    assert_eq!(said(&TWO.replace("1s", "2s")), interval);
    assert_eq!(said(&TWO.replace("9001", "9003")), "backend web/a replaced");
    assert_eq!(
        said(&TWO.replace("name: a", "name: c")),
        "backend web/c added, backend web/a removed"
    );
    assert_eq!(
        said(&TWO.replace("127.0.0.1:0", "127.0.0.1:8088")),
        "listener 127.0.0.1:8088 opened, listener 127.0.0.1:0 closed"
    );
}

#[test]
fn a_few_are_probed_at_once_and_many_are_spread_over_an_interval() {
    let with = |count: usize| {
        let backend = |n| format!("      - {{ name: b{n}, url: \"http://127.0.0.1:{n}\" }}\n");
        let backends: String = (1000..1000 + count).map(backend).collect();
        let text = format!(
            "listeners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  web:\n    backends:\n{backends}"
        );
        let blueprint = Blueprint::build(config(&text), None).unwrap();
        blueprint.backends().map(|b| b.delay).collect::<Vec<_>>()
    };
    assert!(with(PROBED_AT_ONCE).iter().all(Duration::is_zero));
    let many = with(PROBED_AT_ONCE + 4);
    assert!(many.is_sorted_by(|a, b| a < b), "{many:?}");
    assert!(*many.last().unwrap() < Duration::from_secs(1));
}

#[test]
fn what_cannot_be_bound_leaves_nothing_bound() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    // Found free, and let go again.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listeners = format!(r#"{{ address: "{free}" }}, {{ address: "{taken}" }}"#);
    let text = TWO.replace(r#"{ address: "127.0.0.1:0" }"#, &listeners);
    let error = Blueprint::build(config(&text), None)
        .unwrap()
        .bind(1, None, &mut Inherited::default())
        .unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(&format!("cannot listen on {taken}: ")), "{said}");
    assert!(said.contains("ss -ltnp"), "{said}");
    assert!(std::net::TcpListener::bind(free).is_ok());
}

#[test]
fn what_hooks_will_lack_is_said_before_they_run() {
    let text = "listeners: [{ address: \"127.0.0.1:0\" }]\nservices:\n  web:\n    backends: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    gates: { failover: { promote: { exec: { command: [/no/such/promote] }, idempotent: true } } }\n    jobs: { copy: { http: { url: /copy, headers: { X-Token: { file: /no/such/token } } } } }\nnotify: { ops: { slack: { url: { env: UNDERSTUDY_NO_SUCH_VARIABLE } } } }\n";
    let loaded = ::config::load("test.yaml", text, std::path::Path::new("/"));
    let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
    let warnings = check(&config).expect("it can be built").warnings;
    for expected in [
        // The failback and the switchover have the same.
        "services.web.gates.failover.promote and 2 more: the program /no/such/promote cannot be",
        "services.web.jobs.copy: the file /no/such/token cannot be read",
        "notify.ops: the environment variable UNDERSTUDY_NO_SUCH_VARIABLE is not set here",
    ] {
        let said = warnings.iter().filter(|said| said.starts_with(expected));
        assert_eq!(said.count(), 1, "{expected}: {warnings:?}");
    }
}

#[test]
fn the_advice_about_a_log_fits_what_went_wrong() {
    let said = |kind: io::ErrorKind| {
        let error = access::OpenError { to: "/var/log".to_owned(), why: kind.into() };
        BuildError::Log(error).to_string()
    };
    let folder = said(io::ErrorKind::IsADirectory);
    assert!(folder.ends_with(". That is a folder: name a file in it"), "{folder}");
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
        assert!(said(kind).ends_with(". Its folder must exist, and be ours to write to"), "{kind}");
    }
    assert!(said(io::ErrorKind::TimedOut).ends_with("timed out"));
}

#[test]
fn of_many_changed_keys_the_first_are_named() {
    let keys: Vec<String> = ["a", "b", "c", "d", "e", "f", "g", "h"].map(str::to_owned).into();
    assert_eq!(settings(&keys), "settings (a, b, c, d, e, f and 2 more)");
    assert_eq!(settings(&keys[..6]), "settings (a, b, c, d, e, f)");
    assert_eq!(settings(&[]), "settings");
}
