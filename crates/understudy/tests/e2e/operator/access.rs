//! Who may: tokens over TLS, the record of who did what, and what is refused.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::{Bridge, Said, Talk, said, understudy};
use crate::stage::binary;

/// What `understudy token` says: the token in a file, and its line for the config.
fn token(folder: &TempDir, name: &str, access: &str) -> (PathBuf, String) {
    let out = said(understudy(&format!("token --name {name} --access {access}"))).done();
    let file = folder.path().join(format!("{name}.token"));
    fs::write(&file, out.lines().next().expect("a token")).expect("a file");
    (file, out.lines().last().expect("a line").trim_start().to_owned())
}

/// A certificate for loopback, as lines for the admin side.
fn tls(folder: &TempDir) -> String {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(folder.path().join("admin.pem"), cert.pem()).expect("a file");
    fs::write(folder.path().join("admin.key"), signing_key.serialize_pem()).expect("a file");
    "tls: { cert: admin.pem, key: admin.key }\n".to_owned()
}

impl Bridge {
    /// A command over HTTPS.
    fn remote(&self, args: &str, token: Option<&PathBuf>) -> Said {
        let mut command = understudy(args);
        command.arg("--url").arg(format!("https://{}", self.understudy.admin()));
        command.arg("--ca").arg(self.folder.path().join("admin.pem"));
        if let Some(token) = token {
            command.arg("--token-file").arg(token);
        }
        said(command)
    }
}

#[test]
fn tokens_say_who_may_what_and_who_did_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ops, ops_line) = token(&folder, "ops", "write");
    let (eyes, eyes_line) = token(&folder, "eyes", "read");
    let (stranger, _) = token(&folder, "stranger", "write");
    let admin = format!("{}tokens:\n  {ops_line}\n  {eyes_line}", tls(&folder));
    let bridge = Bridge::guarded(folder, &admin, "failback: manual");

    let said = bridge.remote("switchover --to b --reason from-afar", Some(&ops)).done();
    assert!(said.starts_with("web: a -> b, epoch "), "{said}");
    let by = bridge.incidents()[0]["by"].clone();
    assert_eq!((by["who"].as_str(), by["why"].as_str()), (Some("ops"), Some("from-afar")));
    assert!(by["from"].as_str().is_some_and(|from| from.starts_with("127.0.0.1")), "{by}");
    assert_eq!(bridge.remote("status", Some(&eyes)).code, Some(10));
    assert_eq!(bridge.remote("active", Some(&eyes)).done(), "b\n");
    assert!(!bridge.remote("incidents", Some(&eyes)).done().is_empty());

    // Refused by the rules: on record with who and why. Refused at the door: nothing has happened.
    bridge.remote("maintenance a --reason swap", Some(&ops)).done();
    let said = bridge.remote("switchover --to a --reason hopeful", Some(&ops)).refused();
    assert!(said.contains("not eligible"), "{said}");
    let orders = bridge.events("ordered");
    let hopeful = orders.iter().find(|order| order["by"]["why"] == "hopeful").expect("a record");
    assert_eq!(
        (hopeful["done"].as_bool(), hopeful["by"]["who"].as_str()),
        (Some(false), Some("ops"))
    );
    for write in [
        "pin",
        "unpin",
        "lock",
        "ready a",
        "switchover --to a",
        "drill --for 1s",
        "reload",
        "switchover --cancel",
    ] {
        for (token, words) in [(Some(&eyes), "write"), (Some(&stranger), "token"), (None, "token")]
        {
            let said = bridge.remote(write, token);
            assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{write}: {said:?}");
            assert!(said.err.contains(words), "{write}: {words}: {said:?}");
        }
    }
    for token in [Some(&stranger), None] {
        let said = bridge.remote("status", token);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    }
    assert_eq!(bridge.events("ordered").len(), orders.len());
    let service = bridge.service();
    assert_eq!((service["active"].as_str(), service["locked"].as_bool()), (Some("b"), Some(false)));
    let log = bridge.understudy.process.stderr();
    assert!(!log.contains("understudy_"), "a token in the log: {log}");

    // Whoever answers must be who the authority says; and a token is not shown to anybody else.
    let mut command = understudy("status");
    command.arg("--url").arg(format!("https://{}", bridge.understudy.admin()));
    command.arg("--token-file").arg(&ops);
    let said = super::said(command);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("certificate"), "{said:?}");
}

/// The same words over HTTPS as at the socket.
#[test]
fn every_command_works_from_afar() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ops, line) = token(&folder, "ops", "write");
    let admin = format!("{}tokens:\n  {line}", tls(&folder));
    let bridge = Bridge::guarded(folder, &admin, "failback: manual");
    let commands = [
        ("status", "a is active (primary)"),
        ("status web --json", "\"on_primary\": true"),
        ("active", "a\n"),
        ("explain --live", "a is the primary"),
        ("pin --reason far", "stays on a"),
        ("unpin", "not pinned any more"),
        ("lock", "locked: no automatic move"),
        ("unlock", "not locked any more"),
        ("probe b", "pass"),
        ("probe b --now -v", "> GET /healthz"),
        ("wait --healthy b", "b is up"),
        ("wait --drained b", "b has no requests"),
        ("switchover --to b --dry-run", "a -> b: would be done"),
        ("switchover --to b --at +1h", "will move to b then"),
        ("switchover --cancel", "cancelled"),
        ("switchover --to b", "web: a -> b, epoch "),
        ("wait --active b", "b is active"),
        ("failback --dry-run", "b -> a: would be done"),
        ("failback --verify 0s", "web: b -> a, epoch "),
        ("drill --for 1s", "  b -> a: "),
        ("drain b", "b gets no new requests"),
        ("maintenance b", "b is in maintenance"),
        ("ready b", "b may have the traffic again"),
        ("reload", "reloaded: the file says what is in force already"),
        ("events --limit 1000", "ops (127.0.0.1"),
        ("incidents", "drill"),
        ("incidents 1", "nobody -> a (startup)"),
    ];
    for (command, words) in commands {
        let said = bridge.remote(command, Some(&ops)).done();
        assert!(said.contains(words), "{command}: {said}");
    }
    let orders = bridge.events("ordered");
    assert!(orders.iter().all(|order| order["by"]["who"] == "ops"), "{orders:#?}");
    assert_eq!(orders.len(), 13, "one for each that changes something: {orders:#?}");

    // Those that go on, with the token from the environment.
    let token = fs::read_to_string(&ops).expect("a file");
    let talk = |args: &str| {
        let mut command = understudy(args);
        command.arg("--url").arg(format!("https://{}", bridge.understudy.admin()));
        command.arg("--ca").arg(bridge.folder.path().join("admin.pem"));
        command.env("UNDERSTUDY_TOKEN", token.trim());
        Talk::begin(command)
    };
    let (mut events, mut status) = (talk("events --follow"), talk("status --watch"));
    // Once it follows, it hears of whatever happens.
    status.wait("web: a is active (primary)");
    events.wait("reload");
    bridge.remote("pin --reason from-afar", Some(&ops)).done();
    events.wait("pin (from-afar)");
    status.wait("web: a is active (primary), pinned");
    bridge.remote("switchover --to b", Some(&ops)).done();
    events.wait("switchover: a -> b (epoch ");
    status.wait("web: b is active (standby)");
}

#[test]
fn without_tokens_loopback_may_read_and_the_socket_may_write() {
    let bridge = Bridge::new("failback: manual");
    let plain = |args: &str| {
        let mut command = understudy(args);
        command.arg("--url").arg(format!("http://{}", bridge.understudy.admin()));
        said(command)
    };
    assert_eq!(plain("active").done(), "a\n");
    let said = plain("pin");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.contains("understudy token"), "it says what to do: {said:?}");
    assert_eq!(bridge.service()["pinned"], false);
    bridge.done("pin");
    let order = bridge.events("ordered").pop().expect("an order");
    assert_eq!((order["command"].as_str(), order["by"]["why"].as_str()), (Some("pin"), Some("")));
    assert!(order["by"]["from"].as_str().is_some_and(|from| from.starts_with("unix socket, pid ")));
}

#[test]
fn beyond_loopback_nothing_starts_without_tls_and_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let tls = tls(&folder);
    let (_, line) = token(&folder, "ops", "write");
    let tokens = format!("tokens:\n  {line}\n");
    let file = folder.path().join("web.yaml");
    for (keys, missing) in
        [(String::new(), "admin.tls"), (tls, "admin.tokens"), (tokens, "admin.tls")]
    {
        let keys: String = keys.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!(
            "listeners: [{{ address: \"127.0.0.1:0\" }}]\nadmin:\n  address: \"0.0.0.0:0\"\n  \
             socket: off\n{keys}services: {{ web: {{ backends: [\"http://127.0.0.1:1\"] }} }}\n"
        );
        fs::write(&file, &text).expect("a file");
        for command in ["run", "check"] {
            let output = Command::new(binary()).args([command, "-c"]).arg(&file).output();
            let output = output.expect("it runs");
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command}: {text}{err}");
            assert!(
                err.contains("from other machines") && err.contains(missing),
                "{command}: {text}{err}"
            );
        }
    }
}
