//! Where a load balancer is asked: sockets, addresses, TLS and tokens.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::fake::{Fake, json, outcome, problem, understudy};
use crate::status;

fn calm() -> Fake {
    Fake::new(|_, _| json(&status(Some("a"))))
}

/// A server's side, and its certificate, which is its own authority.
fn certified(name: &str) -> (Arc<ServerConfig>, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a config");
    (Arc::new(config), cert.pem())
}

#[test]
fn a_socket_comes_from_a_flag_or_the_environment() {
    let fake = calm();
    assert_eq!(fake.run(&["active"]).1, "a\n");
    let mut command = understudy(&["active"]);
    command.env("UNDERSTUDY_SOCKET", fake.at_socket());
    assert_eq!(outcome(command).1, "a\n");
}

#[test]
fn a_config_names_its_socket() {
    let fake = calm();
    let file = fake.folder().join("a.yaml");
    let ask = |admin: &str| {
        let rest = "listeners: [{ address: \"127.0.0.1:0\" }]\nservices: { web: { backends: \
                    [{ name: a, url: \"http://127.0.0.1:1\" }] } }\n";
        std::fs::write(&file, format!("admin: {admin}\n{rest}")).expect("a file");
        let mut command = understudy(&["active", "-c"]);
        command.arg(&file);
        outcome(command)
    };
    let socket = fake.at_socket();
    let named = ask(&format!("{{ socket: {} }}", socket.display()));
    assert_eq!(named, (0, "a\n".to_owned(), String::new()), "also without the file's warnings");
    let (code, _, stderr) = ask("{ socket: off }");
    assert_eq!(code, 2);
    assert!(stderr.contains("`admin.socket` is off") && stderr.contains("--url"), "{stderr}");
    // A broken file keeps nobody from asking where it says.
    let (code, stdout, stderr) = ask(&format!("{{ socket: {}, sockets: x }}", socket.display()));
    assert_eq!((code, stdout.as_str()), (0, "a\n"), "{stderr}");
    assert!(stderr.starts_with("warning: ") && stderr.contains("understudy check"), "{stderr}");
}

#[test]
fn an_address_is_asked_in_the_clear_on_this_machine() {
    let fake = calm();
    let url = format!("http://{}", fake.at_port(None));
    let mut command = understudy(&["active", "--url", &url]);
    command.env("UNDERSTUDY_TOKEN", "understudy_t1");
    assert_eq!(outcome(command).1, "a\n");
    let asked = fake.last("GET");
    assert_eq!(asked.fields["authorization"], "Bearer understudy_t1");
    assert_eq!(format!("http://{}", asked.fields["host"]), url);
    let mut command = understudy(&["active"]);
    command.env("UNDERSTUDY_URL", &url);
    assert_eq!(outcome(command).1, "a\n");
    assert!(!fake.last("GET").fields.contains_key("authorization"));
}

#[test]
fn a_token_goes_over_tls_to_whom_the_authority_vouches_for() {
    let fake = calm();
    let (tls, authority) = certified("localhost");
    let port = fake.at_port(Some(tls)).port();
    let file = |name: &str, text: &str| {
        let path = fake.folder().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let token = file("token", "understudy_t2\n");
    let ca = file("ca.pem", &authority);
    let ask = |url: &str, ca: &str| {
        outcome(understudy(&["active", "--url", url, "--token-file", &token, "--ca", ca]))
    };
    let url = format!("https://localhost:{port}");
    assert_eq!(ask(&url, &ca), (0, "a\n".to_owned(), String::new()));
    assert_eq!(fake.last("GET").fields["authorization"], "Bearer understudy_t2");

    // Nobody else: not for another name, not under another authority. And nothing was sent.
    let (_, stranger) = certified("localhost");
    let stranger = file("stranger.pem", &stranger);
    for (url, ca) in [(&format!("https://127.0.0.1:{port}"), &ca), (&url, &stranger)] {
        let (code, stdout, stderr) = ask(url, ca);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains("certificate") && stderr.contains("--ca FILE"), "{stderr}");
    }
    let (code, _, stderr) = ask(&url, &file("empty.pem", ""));
    assert_eq!(code, 2, "{stderr}");
    assert_eq!(fake.lines().len(), 1);
}

#[test]
fn a_token_is_not_sent_in_the_clear_to_another_machine() {
    let mut command = understudy(&["active", "--url", "http://192.0.2.1:9900"]);
    command.env("UNDERSTUDY_TOKEN", "understudy_t3");
    let (code, stdout, stderr) = outcome(command);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("a token is not sent to http://192.0.2.1:9900"), "{stderr}");
    assert!(!stderr.contains("t3"), "{stderr}");
}

#[test]
fn when_nobody_answers_it_says_where_it_looked_and_what_to_try() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.sock");
    let (code, stdout, stderr) = asked_at(&missing);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let said =
        format!("understudy: cannot ask unix socket {}: it does not exist", missing.display());
    assert!(stderr.starts_with(&said), "{stderr}");
    assert!(stderr.contains("is Understudy running?") && stderr.contains("-c FILE"), "{stderr}");

    let stale = folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
    let (code, _, stderr) = asked_at(&stale);
    assert_eq!(code, 1);
    assert!(stderr.contains("nobody answers there"), "{stderr}");

    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", port.local_addr().expect("an address"));
    drop(port);
    let (code, _, stderr) = outcome(understudy(&["status", "--url", &url]));
    assert_eq!(code, 1);
    assert!(stderr.contains(&url) && stderr.contains("`admin.address`"), "{stderr}");
}

fn asked_at(socket: &Path) -> (i32, String, String) {
    let mut command = understudy(&["status"]);
    command.arg("--socket").arg(socket);
    outcome(command)
}

#[test]
fn without_a_token_it_says_where_one_comes_from() {
    let fake = Fake::new(|_, _| problem(401, "Unauthorized", "this needs a token"));
    let (code, _, stderr) = fake.run(&["status"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("this needs a token (a token comes from --token-file"), "{stderr}");
}
