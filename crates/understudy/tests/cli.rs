//! The command line as its users meet it: exit codes, messages, signals.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far more than anything here takes, so that only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(30);

const GOOD: &str = r#"
admin: { address: "127.0.0.1:0" }
listeners:
  - address: "127.0.0.1:0"
services:
  web:
    backends:
      - { name: a, url: "http://127.0.0.1:9001" }
      - { name: b, url: "http://127.0.0.1:9002" }
"#;

fn understudy(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs to the end, with `input` on standard input.
fn with_input(args: &[&str], input: &str) -> Output {
    let mut command = understudy(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

/// Exit code, standard output, standard error.
fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    outcome(&understudy(args).output().expect("it starts"))
}

fn file(name: &str, text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

// === Files ===

#[test]
fn wrong_use_is_2_and_help_is_0() {
    for args in [
        &[][..],
        &["nonsense"],
        &["run"],
        &["run", "-c", "a.yaml", "--listen", "127.0.0.1:0"],
        &["check"],
        &["demo", "--for", "soon"],
    ] {
        let (code, _, stderr) = run(args);
        assert_eq!(code, Some(2), "{args:?}");
        assert!(stderr.contains("Usage:") || stderr.contains("error:"), "{args:?}: {stderr}");
    }
    for args in [["--help"], ["--version"]] {
        assert_eq!(run(&args).0, Some(0), "{args:?}");
    }
}

#[test]
fn a_good_file_is_said_to_be_good() {
    let (_folder, path) = file("good.yaml", GOOD);
    let (code, stdout, stderr) = run(&["check", "-c", &path]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("{path}: ok, 1 service, 2 backends\n"));
    assert_eq!(run(&["check", &path]), (Some(0), stdout, String::new()));
    for args in [&["check", "-c", "-"][..], &["check", "-"]] {
        let (code, stdout, _) = outcome(&with_input(args, GOOD));
        let expected = "standard input: ok, 1 service, 2 backends\n";
        assert_eq!((code, stdout.as_str()), (Some(0), expected));
    }
}

#[test]
fn a_bad_file_gets_all_its_problems_with_their_places() {
    let bad = GOOD.replace("backends:", "backend:").replace("- address:", "- adress:");
    let (_folder, path) = file("bad.yaml", &bad);
    for command in [&["check", "-c"][..], &["explain", "-c"], &["run", "-c"]] {
        let (code, stdout, stderr) = run(&[command, &[&path]].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command:?}");
        assert!(stderr.contains(&format!("{path}:4:")), "{stderr}");
        assert!(stderr.contains(&format!("{path}:7:")), "{stderr}");
        assert!(stderr.contains("address") && stderr.contains("backends"), "{stderr}");
        assert!(stderr.contains('^'), "{stderr}");
    }
}

#[test]
fn a_warning_does_not_fail_a_check() {
    let one = GOOD.lines().filter(|line| !line.contains("name: b")).collect::<Vec<_>>().join("\n");
    let (_folder, path) = file("one.yaml", &one);
    let (code, stdout, stderr) = run(&["check", "-c", &path]);
    assert_eq!(code, Some(0));
    assert!(stderr.starts_with("warning:"), "{stderr}");
    assert!(stdout.ends_with("ok, 1 service, 1 backend\n"), "{stdout}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.yaml");
    for path in [missing.as_path(), folder.path()] {
        let path = path.to_str().expect("UTF-8");
        for command in ["check", "run"] {
            let (code, _, stderr) = run(&[command, "-c", path]);
            assert_eq!(code, Some(2), "{command}");
            assert!(stderr.starts_with(&format!("understudy: cannot read {path}: ")), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
}

#[test]
fn a_certificate_authority_that_is_not_there_is_named() {
    let text = GOOD
        .replace("http:", "https:")
        .replace("    backends:", "    tls: { ca: company.pem }\n    backends:");
    let (folder, path) = file("tls.yaml", &text);
    let authority = folder.path().join("company.pem");
    for command in ["check", "run"] {
        let (code, _, stderr) = run(&[command, "-c", &path]);
        assert_eq!(code, Some(2), "{command}: {stderr}");
        assert!(stderr.contains(authority.to_str().expect("UTF-8")), "{stderr}");
        assert!(stderr.contains("web"), "{stderr}");
    }
    std::fs::write(&authority, "not a certificate").expect("a file");
    let (code, _, stderr) = run(&["check", "-c", &path]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("there is no `BEGIN CERTIFICATE` in it"), "{stderr}");
}

/// A config whose listener has these certificates, as YAML.
fn with_certificates(certificates: &str) -> String {
    let tls =
        format!("  - address: \"127.0.0.1:0\"\n    tls: {{ certificates: [{certificates}] }}\n");
    GOOD.replace("  - address: \"127.0.0.1:0\"\n", &tls)
}

/// Writes a certificate for `names` that is valid until the beginning of `year`, and its key.
fn write_pair(folder: &Path, stem: &str, names: &[&str], year: i32) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).expect("parameters");
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(folder.join(stem).with_extension("pem"), certificate.pem()).expect("a file");
    let file = folder.join(stem).with_extension("key");
    std::fs::write(&file, key.serialize_pem()).expect("a file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a file");
}

#[test]
fn check_lists_certificates_with_the_time_they_have_left() {
    let text = with_certificates("{ cert: a.pem, key: a.key }, { cert: old.pem, key: old.key }");
    let (folder, path) = file("tls.yaml", &text);
    write_pair(folder.path(), "a", &["a.test", "*.a.test"], 2999);
    write_pair(folder.path(), "old", &["old.test"], 2020);
    let open = folder.path().join("old.key");
    std::fs::set_permissions(&open, Permissions::from_mode(0o644)).expect("a file");
    let (code, stdout, stderr) = run(&["check", &path]);
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].ends_with("tls.yaml: ok, 1 service, 2 backends"), "{stdout}");
    let begins = "  listener certificate of a.test, *.a.test: expires on 2999-01-01, ";
    assert!(lines[1].starts_with(begins) && lines[1].ends_with("a.pem)"), "{stdout}");
    let begins = "  listener certificate of old.test: expired on 2020-01-01, ";
    assert!(lines[2].starts_with(begins) && lines[2].contains("days ago ("), "{stdout}");
    assert_eq!(lines.len(), 3);
    assert!(stderr.contains("warning: the certificate of old.test in "), "{stderr}");
    assert!(stderr.contains("old.pem has expired"), "{stderr}");
    assert!(stderr.contains("old.key (mode 644)"), "{stderr}");
    assert!(!stderr.contains("a.test in"), "{stderr}");
}

#[test]
fn check_says_everything_that_is_wrong_with_files_at_once() {
    let text = with_certificates("{ cert: a.pem, key: b.key }, { cert: c.pem, key: a.key }");
    let text = text.replace("http:", "https:");
    let text = text.replace("    backends:", "    tls: { ca: company.pem }\n    backends:");
    let (folder, path) = file("tls.yaml", &text);
    write_pair(folder.path(), "a", &["a.test"], 2999);
    write_pair(folder.path(), "b", &["b.test"], 2999);
    let (code, stdout, stderr) = run(&["check", &path]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    for (line, place, what) in [
        (5, "listeners[0].tls.certificates[0].key", "b.key is not the private key of "),
        (5, "listeners[0].tls.certificates[1].cert", "c.pem: No such file"),
        (8, "services.web.tls.ca", "company.pem: No such file"),
    ] {
        let (line, place) = (format!("tls.yaml:{line}:"), format!("({place})"));
        let is_place = |said: &str| said.contains(&line) && said.ends_with(&place);
        assert!(stderr.lines().any(is_place) && stderr.contains(what), "{stderr}");
    }
    assert!(stderr.contains("= help: a path that does not begin with `/` starts at"), "{stderr}");
    assert_eq!(stderr.matches("error: ").count(), 3, "{stderr}");
    let (code, _, stderr) = run(&["run", "-c", &path]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("b.key is not") && stderr.contains("company.pem"), "{stderr}");
}

#[test]
fn the_schema_is_json() {
    let (code, stdout, _) = run(&["schema"]);
    assert_eq!(code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert!(schema["$schema"].as_str().is_some_and(|url| url.contains("json-schema.org")));
    assert!(schema["properties"]["services"].is_object());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (_folder, path) = file("good.yaml", GOOD);
    for args in [&["schema"][..], &["check", "-c", &path], &["demo", "--for", "10s"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = understudy(args).stdout(writer).stderr(Stdio::piped()).output();
        let (code, _, stderr) = outcome(&output.expect("it starts"));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn explain_names_the_backends() {
    let (_folder, path) = file("good.yaml", GOOD);
    let (code, stdout, _) = run(&["explain", "-c", &path]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("web") && stdout.contains("9001"), "{stdout}");
}

#[test]
fn flags_and_the_file_printed_from_them_are_the_same_config() {
    let flags = [
        &["run", "--listen", "127.0.0.1:8080", "--primary", "http://127.0.0.1:9001"][..],
        &["--standby", "http://127.0.0.1:9002", "--standby", "http://127.0.0.1:9003"],
        &["--health-path", "/healthz", "--failback-after", "7s", "--admin", "127.0.0.1:9901"],
        &["--workers", "3", "--print-config"],
    ]
    .concat();
    let (code, printed, stderr) = run(&flags);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for said in ["127.0.0.1:8080", "9001", "9002", "9003", "/healthz", "7s", "127.0.0.1:9901"] {
        assert!(printed.contains(said), "{said} is not in\n{printed}");
    }
    let again = with_input(&["run", "-c", "-", "--print-config"], &printed);
    assert_eq!(outcome(&again), (Some(0), printed.clone(), String::new()));
    let (code, stdout, _) = outcome(&with_input(&["check", "-c", "-"], &printed));
    assert_eq!((code, stdout.as_str()), (Some(0), "standard input: ok, 1 service, 3 backends\n"));
}

#[test]
fn a_printed_config_means_the_same_in_another_folder() {
    let text = GOOD.replace("http:", "https:");
    let text = text.replace("    backends:", "    tls: { ca: certs/company.pem }\n    backends:");
    let (folder, path) = file("tls.yaml", &text);
    let folder = folder.path().canonicalize().expect("a folder");
    let absolute = folder.join("certs/company.pem").to_str().expect("UTF-8").to_owned();
    let mut from_file = understudy(&["run", "-c", "tls.yaml", "--print-config"]);
    let (code, printed, _) = outcome(&from_file.current_dir(&folder).output().expect("it starts"));
    assert_eq!(code, Some(0));
    assert!(printed.contains(&absolute), "{printed}");

    let mut from_stdin = understudy(&["run", "-c", "-", "--print-config"]);
    from_stdin.current_dir(&folder).stdin(std::fs::File::open(&path).expect("the file"));
    let again = outcome(&from_stdin.output().expect("it starts"));
    assert_eq!(again, (Some(0), printed.clone(), String::new()));
    let elsewhere = with_input(&["run", "-c", "-", "--print-config"], &printed);
    assert_eq!(outcome(&elsewhere), (Some(0), printed, String::new()));
}

#[test]
fn a_bad_flag_is_a_bad_config() {
    let (code, _, stderr) = run(&["run", "--listen", "nowhere", "--primary", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("nowhere"), "{stderr}");
}

// === Running ===

#[test]
fn a_busy_port_is_1_and_says_which() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let free = "127.0.0.1:0";
    for (listen, admin) in [(taken.as_str(), free), (free, taken.as_str())] {
        let flags = ["run", "--listen", listen, "--primary", "http://127.0.0.1:1"];
        let (code, stdout, stderr) = run(&[&flags[..], &["--admin", admin]].concat());
        // One backend is worth a warning, which comes first.
        let last = stderr.lines().last().unwrap_or_default();
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(last.starts_with(&format!("understudy: cannot listen on {taken}")), "{stderr}");
        assert!(last.contains("in use") && last.contains("ss -ltnp"), "{stderr}");
    }
}

#[test]
fn a_bad_log_filter_is_2() {
    let flags = ["run", "--listen", "127.0.0.1:0", "--primary", "http://127.0.0.1:1"];
    let (code, _, stderr) = run(&[&flags[..], &["--log", "control=loud"]].concat());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("control=loud"), "{stderr}");
}

/// A load balancer in front of two backends that refuse; killed when dropped.
struct Running {
    child: Child,
    listener: SocketAddr,
    admin: SocketAddr,
    log: Receiver<String>,
}

impl Running {
    fn start() -> Self {
        let refusing = || {
            let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
            format!("http://{}", socket.local_addr().expect("an address"))
        };
        let (primary, standby) = (refusing(), refusing());
        let child = understudy(&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--workers", "1", "--primary", &primary, "--standby", &standby])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("it starts");
        let out = lines(child.stdout.take().expect("stdout"));
        let log = lines(child.stderr.take().expect("stderr"));
        let address = |said: &str| {
            let line = out.recv_timeout(PATIENCE).expect("a line");
            let address = line.strip_prefix(said).unwrap_or_else(|| panic!("{line:?}"));
            address.parse::<SocketAddr>().expect("an address")
        };
        let (listener, admin) = (address("listening on "), address("admin on "));
        Self { child, listener, admin, log }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill starts");
        assert!(sent.success(), "{name}");
    }

    fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line =
                self.log.recv_timeout(left).unwrap_or_else(|_| panic!("no {text:?} in time"));
            if line.contains(text) {
                return;
            }
        }
    }

    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it did not end in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has usually ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, read on a thread so that one can wait for them with a deadline.
fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn it_says_where_it_listens_and_ends_when_asked() {
    for signal in ["TERM", "INT"] {
        let mut running = Running::start();
        assert!(TcpStream::connect(running.listener).is_ok());
        assert!(get(running.admin, "/livez").starts_with("HTTP/1.1 200"));
        running.signal(signal);
        assert_eq!(running.exit_code(), Some(0), "{signal}");
    }
}

#[test]
fn a_hangup_without_a_file_ends_nothing() {
    let mut running = Running::start();
    running.signal("HUP");
    running.wait_for_log("nothing to reload");
    assert!(get(running.admin, "/livez").starts_with("HTTP/1.1 200"));
    running.signal("TERM");
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut running = Running::start();
    // Nobody is up, so this request waits, and so would a stop.
    let mut waiting = TcpStream::connect(running.listener).expect("it accepts");
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
    let held = || {
        let metrics = get(running.admin, "/metrics");
        metrics
            .lines()
            .any(|line| line.starts_with("understudy_requests_waiting{") && line.ends_with(" 1"))
    };
    let deadline = Instant::now() + PATIENCE;
    while !held() {
        assert!(Instant::now() < deadline, "the request is not held");
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal("TERM");
    running.wait_for_log("stopping");
    let asked = Instant::now();
    running.signal("TERM");
    assert_eq!(running.exit_code(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}
