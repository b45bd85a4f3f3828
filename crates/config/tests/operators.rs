//! Every key about who is in charge arrives in its own place of the model: failback, exclusive moves,
//! verify, the epoch, state and admin.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::model::{Access, Admin, AdminSocket, CertificateFiles, Config, Service, Token};
use config::{Finding, load, locate};
use routing::failover::{Conditions, Damping, Exclusive, Failback, LockRule};

/// Of nothing that anybody knows.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$pU3KGCUwux1tEyze1iN7Lg$2R4/ch/LGXEXRJTWSTydXDRgvjEgHmn+2qDu6LmZf1w";

const fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A config with these keys at its top.
fn config(keys: &str) -> Config {
    let text = format!(
        "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ] }} }}\n{keys}"
    );
    match load("test.yaml", &text, Path::new("/etc")) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

/// A config with one service that has these keys.
fn service(keys: &str) -> Service {
    let text = format!(
        "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ], {keys} }} }}"
    );
    match load("test.yaml", &text, Path::new("/etc")) {
        Ok(mut loaded) => loaded.config.services.remove(0),
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn failback() {
    let plain =
        Conditions { hold_down: secs(30), passes: 0, in_flight_below: None, windowed: false };
    let damping = Damping { window: secs(600), cap: secs(3600) };
    for keys in ["", "failback: auto", "failback: {}", "failback: { auto: {} }"] {
        let service = service(keys);
        assert_eq!(service.policy.failback, Failback::Auto(plain), "{keys}");
        assert_eq!(service.policy.damping, damping, "{keys}");
        assert_eq!((service.policy.lock, service.failback_window), (None, None), "{keys}");
    }
    for (keys, expected) in
        [("failback: manual", Failback::Manual), ("failback: never", Failback::Never)]
    {
        let service = service(keys);
        assert_eq!(service.policy.failback, expected);
        assert_eq!((service.policy.lock, service.failback_window), (None, None), "{keys}");
    }
    let given = service(
        "failback: { auto: { hold_down: 1s, passes: 2, in_flight_below: 3, damping_window: 4s,
        hold_down_cap: 5s, lock_after: { switches: 6, within: 7s },
        window: { cron: '8 9 * * *', length: 10m, time_zone: Europe/Madrid } } }",
    );
    let expected =
        Conditions { hold_down: secs(1), passes: 2, in_flight_below: Some(3), windowed: true };
    assert_eq!(given.policy.failback, Failback::Auto(expected));
    assert_eq!(given.policy.damping, Damping { window: secs(4), cap: secs(5) });
    assert_eq!(given.policy.lock, Some(LockRule { switches: 6, within: secs(7) }));
    let Some(window) = given.failback_window else { panic!("no window") };
    let shown = (window.cron(), window.length(), window.time_zone());
    assert_eq!(shown, ("8 9 * * *", secs(600), "Europe/Madrid"));
    let off = service("failback: { auto: { in_flight_below: off, window: off, lock_after: off } }");
    assert_eq!(off.policy.failback, Failback::Auto(plain));
    assert_eq!((off.policy.lock, off.failback_window), (None, None));
    let here = service("failback: { auto: { window: { cron: '@daily', length: 1h } } }");
    assert_eq!(
        here.failback_window.map(|window| window.time_zone().to_owned()),
        Some("UTC".into())
    );
}

#[test]
fn exclusive_moves() {
    let exclusive = |keys: &str| service(keys).policy.exclusive;
    assert_eq!(exclusive(""), None);
    assert_eq!(exclusive("exclusive: false"), None);
    assert_eq!(exclusive("exclusive: true"), Some(Exclusive { drain: secs(5) }));
    assert_eq!(exclusive("exclusive: {}"), Some(Exclusive { drain: secs(5) }));
    assert_eq!(exclusive("exclusive: { drain: 7s }"), Some(Exclusive { drain: secs(7) }));
    assert_eq!(exclusive("exclusive: { drain: 0s }"), Some(Exclusive { drain: secs(0) }));
}

#[test]
fn orders_are_verified_and_backends_told_the_epoch() {
    assert_eq!(service("").verify, secs(10));
    assert_eq!(service("verify: 0s").verify, secs(0));
    assert_eq!(service("verify: 3s").verify, secs(3));
    let field = |keys: &str| service(keys).epoch_header.map(|name| name.as_str().to_owned());
    assert_eq!(field("").as_deref(), Some("x-understudy-epoch"));
    assert_eq!(field("epoch_header: X-Fence").as_deref(), Some("x-fence"));
    assert_eq!(field("epoch_header: off"), None);
}

#[test]
fn state() {
    let folder = |keys: &str| config(keys).state_dir;
    assert_eq!(folder(""), None);
    assert_eq!(folder("state_dir: off"), None);
    assert_eq!(folder("state_dir: /var/lib/x"), Some(PathBuf::from("/var/lib/x")));
    assert_eq!(folder("state_dir: state"), Some(PathBuf::from("/etc/state")));
    assert_eq!(folder("state_dir: ./off"), Some(PathBuf::from("/etc/./off")));
}

#[test]
fn admin() {
    let plain = Admin {
        address: "127.0.0.1:9900".parse().ok(),
        socket: AdminSocket::Auto,
        tls: None,
        tokens: Vec::new(),
    };
    for keys in ["", "admin:", "admin: {}", "admin: { socket: auto, tokens: [] }"] {
        assert_eq!(config(keys).admin, plain, "{keys}");
    }
    let nothing = Admin { address: None, socket: AdminSocket::Off, ..plain.clone() };
    assert_eq!(config("admin: off").admin, nothing);
    assert_eq!(config("admin: { address: off, socket: off }").admin, nothing);
    assert_eq!(config("admin: { address: off }").admin, Admin { address: None, ..plain });
    let socket = |text: &str| config(&format!("admin: {{ socket: {text} }}")).admin.socket;
    assert_eq!(socket("admin.sock"), AdminSocket::Path("/etc/admin.sock".into()));
    assert_eq!(socket("../run/a"), AdminSocket::Path("/etc/../run/a".into()));
    let given = config(&format!(
        "admin:
  address: '0.0.0.0:2'
  socket: /run/a.sock
  tls: {{ cert: a.pem, key: /a.key }}
  tokens: [ {{ name: a, access: read, hash: '{HASH}' }}, {{ name: b, access: write, hash: '{HASH}' }} ]"
    ));
    let token = |name: &str, access| Token { name: name.into(), access, hash: HASH.into() };
    let expected = Admin {
        address: "0.0.0.0:2".parse().ok(),
        socket: AdminSocket::Path("/run/a.sock".into()),
        tls: Some(CertificateFiles { cert: "/etc/a.pem".into(), key: "/a.key".into() }),
        tokens: vec![token("a", Access::Read), token("b", Access::Write)],
    };
    assert_eq!(given.admin, expected);
    let shown = format!("{given:?}");
    assert!(!shown.contains("argon2"), "hashes are not for logs");
}

#[test]
fn beyond_loopback_there_are_tls_and_tokens() {
    let accepted = |keys: &str| {
        let text = format!(
            "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ] }} }}\nadmin: {{ {keys} }}"
        );
        load("test.yaml", &text, Path::new("/etc")).is_ok()
    };
    let tls = "tls: { cert: a.pem, key: a.key }";
    let tokens = format!("tokens: [ {{ name: a, access: read, hash: '{HASH}' }} ]");
    for (address, local) in [
        ("127.0.0.1:9900", true),
        ("'[::1]:9900'", true),
        ("127.8.8.8:9900", true),
        ("':9900'", false),
        ("'[::]:9900'", false),
        ("192.0.2.1:9900", false),
    ] {
        let address = format!("address: {address}");
        assert_eq!(accepted(&address), local, "{address}");
        assert_eq!(accepted(&format!("{address}, {tls}")), local, "{address} with TLS");
        assert_eq!(accepted(&format!("{address}, {tokens}")), local, "{address} with tokens");
        assert!(accepted(&format!("{address}, {tls}, {tokens}")), "{address} with both");
    }
    assert!(accepted(&tokens), "tokens in the clear on loopback");
}

#[test]
fn no_message_repeats_a_secret() {
    for token in [
        "{ name: a, access: write, hash: correct-horse }",
        "{ name: a b, access: writer, extra: 1, hash: correct-horse }",
        "{ name: a, hash: [ correct-horse ] }",
        "{ name: a, access: write, hash: { secret: correct-horse } }",
    ] {
        let text = format!(
            "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ] }} }}\nadmin: {{ tokens: [ {token} ] }}"
        );
        let Err(problems) = load("test.yaml", &text, Path::new("/etc")) else {
            panic!("{token} was accepted");
        };
        let shown = format!("{problems} {problems:?}");
        assert!(!shown.contains("horse"), "{shown}");
    }
}

#[test]
fn what_is_sound_gets_no_warning() {
    let check = |service: &str, keys: &str| {
        let text = format!(
            "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://a, http://b ], {service} }} }}\n{keys}"
        );
        let loaded = load("test.yaml", &text, Path::new("/etc"));
        let warnings = loaded.map(|loaded| loaded.warnings);
        assert_eq!(warnings.as_deref(), Ok(&[][..]), "{text}");
    };
    check("failback: manual", "state_dir: s");
    check("failback: never", "state_dir: s");
    check("failback: { auto: { lock_after: { switches: 3, within: 1h } } }", "");
    check("exclusive: true", "");
    check("exclusive: { drain: 8s }", "");
    check("exclusive: true, streams: { failback: close }", "");
    // A hold-down that is longer than the window has passed before it opens.
    check(
        "failback: { auto: { hold_down: 3h, hold_down_cap: 3h, window: { cron: '0 2 * * *', length: 1m } } }",
        "",
    );
    check("failback: { auto: { window: { cron: '0 0 * * sat', length: 48h } } }", "");
    check("failback: { auto: { window: { cron: '*/5 0-16 * * *', length: 5m } } }", "");
    check("failback: { auto: { in_flight_below: 1 } }", "");
    check("epoch_header: off, verify: 0s", "admin: { address: off }");
}

#[test]
fn what_is_wrong_outside_of_the_text_is_shown_in_it() {
    let text = format!(
        "listeners:
  - address: ':1'
    tls:
      certificates:
        - cert: a.pem
          key: a.key
services: {{ web: {{ backends: [ http://a ] }} }}
admin: {{ tls: {{ cert: b.pem, key: b.key }}, tokens: [ {{ name: a, access: read, hash: '{HASH}' }} ] }}
"
    );
    let shown = |path: &str| {
        let (path, advice) = (path.to_owned(), Some("make it".to_owned()));
        let finding = Finding { path, message: "it is not there".to_owned(), advice };
        locate("u.yaml", &text, Path::new("/etc"), vec![finding]).to_string()
    };
    let expected = "\
error: it is not there
  --> u.yaml:6:16 (listeners[0].tls.certificates[0].key)
  |
6 |           key: a.key
  |                ^^^^^
  = help: make it";
    assert_eq!(shown("listeners[0].tls.certificates[0].key"), expected);
    // As far as it is given, and without the line when there is a secret in it.
    let key = shown("listeners[0].tls.client_auth.ca");
    assert!(key.contains("u.yaml:3:5 (listeners[0].tls.client_auth.ca)"), "{key}");
    let key = shown("admin.tls.key");
    assert!(key.contains("u.yaml:8:") && !key.contains("argon2"), "{key}");
}
