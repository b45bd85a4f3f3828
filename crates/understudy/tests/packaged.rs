//! What packages and containers need of the program: `healthy`, `man`, `completions`, `demo-backend`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far more than anything here takes, so that only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

fn understudy(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// A process that ends with this.
struct Running(Child);

impl Running {
    /// Starts it, and waits for a line with these words.
    fn start(args: &[&str], words: &str) -> (Self, String) {
        let mut child = understudy(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let running = Self(child);
        let (said, heard) = channel();
        thread::spawn(move || {
            // Whoever waited may have given up.
            out.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = heard.recv_timeout(left).expect("it says so before it ends");
            if line.contains(words) {
                return (running, line);
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill runs").success(), "{name}");
    }

    fn wait_exit(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().expect("it can be waited for") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a test that needs a program goes on; it says so when not.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        let must_run = std::env::var("UNDERSTUDY_NO_SKIP").is_ok_and(|value| value == "1");
        assert!(!must_run, "this test needs {program}");
        // Not `eprintln!`, which is not shown when the test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: this test needs {program}");
    }
    found
}

// === healthy ===

/// A running balancer with its socket in a folder; its backends are not there.
fn balancer() -> (Running, TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin.sock");
    let config = folder.path().join("understudy.yaml");
    let yaml = format!(
        "listeners: [\"127.0.0.1:0\"]\nadmin: {{ address: \"127.0.0.1:0\", socket: {} }}\n\
         services: {{ web: {{ backends: [http://127.0.0.1:1, http://127.0.0.1:2] }} }}\n",
        socket.display()
    );
    fs::write(&config, yaml).expect("a config");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (running, _) = Running::start(&["run", "-c", &path(&config)], "admin on unix:");
    (running, folder, path(&socket))
}

#[test]
fn healthy_is_who_works_however_its_backends_are() {
    let (running, _folder, socket) = balancer();
    let (code, stdout, stderr) = run(&mut understudy(&["healthy", "--socket", &socket]));
    assert_eq!((code, stdout.as_str()), (Some(0), "ok\n"), "{stderr}");
    // Ready once the verdicts are there, though they are bad ones.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, stdout, stderr) =
            run(&mut understudy(&["healthy", "--ready", "--socket", &socket]));
        if code == Some(0) {
            assert_eq!(stdout, "ready\n");
            break;
        }
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            stderr.contains("/readyz says 503: not ready: service web: no verdict yet"),
            "{stderr}"
        );
        assert!(Instant::now() < deadline, "{stderr}");
    }
    // One that hangs takes connections all the same.
    running.signal("STOP");
    let asked = Instant::now();
    let hung = ["healthy", "--within", "300ms", "--socket", &socket];
    let (code, _, stderr) = run(&mut understudy(&hung));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("gave no answer"), "{stderr}");
    assert!(asked.elapsed() >= Duration::from_millis(300) && asked.elapsed() < PATIENCE);
}

#[test]
fn nobody_there_is_not_healthy() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("nobody.sock");
    let socket = socket.to_str().expect("UTF-8");
    let (code, stdout, stderr) = run(&mut understudy(&["healthy", "--socket", socket]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("is Understudy running?"), "{stderr}");
}

// === demo-backend ===

#[test]
fn a_backend_alone_answers_until_it_is_asked_to_end() {
    let args = ["demo-backend", "--name", "left", "--listen", "127.0.0.1:0"];
    let (mut backend, line) = Running::start(&args, "backend left on ");
    let (_, rest) = line.split_once(" on ").expect("an address");
    let (address, path) = rest.split_once("; probes ask for ").expect("a path");
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    };
    assert!(ask(path).starts_with("HTTP/1.1 200"), "{}", ask(path));
    let answer = ask("/some/where");
    assert!(answer.contains("x-served-by: left"), "{answer}");
    assert!(answer.contains(r#""backend":"left""#), "{answer}");
    assert!(answer.contains(r#""path":"/some/where""#), "{answer}");
    backend.signal("TERM");
    assert_eq!(backend.wait_exit(), Some(0));
}

#[test]
fn a_backend_says_why_it_cannot_listen() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, stderr) = run(&mut understudy(&["demo-backend", "--listen", &address]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
    let (code, _, stderr) = run(&mut understudy(&["demo-backend", "--name", "a b"]));
    assert_eq!(code, Some(2), "{stderr}");
}

// === man ===

/// The names of commands, as `help` lists them.
fn commands() -> Vec<String> {
    let (_, help, _) = run(&mut understudy(&["help"]));
    let (_, list) = help.split_once("Commands:\n").expect("a list");
    let (list, _) = list.split_once("\n\n").expect("its end");
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_page_that_man_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("new").join("man");
    let (code, stdout, stderr) = run(understudy(&["man", "--out"]).arg(&pages));
    assert_eq!(code, Some(0), "{stderr}");
    let names = commands();
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        assert!(pages.join(format!("understudy-{name}.1")).is_file(), "{name}");
    }
    for name in ["understudy.1", "understudy-job-run.1", "understudy.yaml.5"] {
        assert!(pages.join(name).is_file(), "{name}");
    }
    let written = fs::read_dir(&pages).expect("pages").count();
    assert!(stdout.starts_with(&format!("{written} pages in ")), "{stdout}");
    if !has("man") {
        return;
    }
    for page in fs::read_dir(&pages).expect("pages") {
        let page = page.expect("a page").path();
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(&page);
        let (code, text, complaints) = run(man.env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8"));
        assert_eq!((code, complaints.as_str()), (Some(0), ""), "{}", page.display());
        assert!(text.contains("NAME") && text.len() > 200, "{}: {text}", page.display());
    }
}

#[test]
fn one_page_is_printed() {
    let (code, stdout, _) = run(&mut understudy(&["man"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains(".TH understudy 1"), "{stdout}");
    let (code, stdout, _) = run(&mut understudy(&["man", "job", "run"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains(".TH understudy-job-run 1"), "{stdout}");
    let (code, stdout, _) = run(&mut understudy(&["man", "understudy.yaml"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains(".TH understudy.yaml 5"), "{stdout}");
    assert!(stdout.contains("\\fBservices.NAME.backends\\fR"), "{stdout}");
    let (code, _, stderr) = run(&mut understudy(&["man", "nonsense"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("there is no command \"nonsense\""), "{stderr}");
}

// === completions ===

#[test]
fn bash_completes_commands_and_flags() {
    if !has("bash") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("understudy.bash");
    let (code, stdout, stderr) = run(&mut understudy(&["completions", "bash"]));
    assert_eq!(code, Some(0), "{stderr}");
    fs::write(&script, stdout).expect("a script");
    // What bash does when somebody presses the key after these words.
    let complete = |words: &str| {
        let program = format!(
            "source {}\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             $(complete -p understudy | sed -n 's/.*-F \\([^ ]*\\) .*/\\1/p') understudy \
             \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$((COMP_CWORD - 1))]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let (code, out, err) = run(Command::new("bash").args(["--norc", "-c", &program]));
        assert_eq!(code, Some(0), "{words}: {err}");
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("understudy switcho"), ["switchover"]);
    assert_eq!(complete("understudy switchover --dry"), ["--dry-run"]);
    assert_eq!(complete("understudy job r"), ["run"]);
    assert_eq!(complete("understudy completions fi"), ["fish"]);
}

#[test]
fn other_shells_have_completions_too() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (code, stdout, stderr) = run(&mut understudy(&["completions", shell]));
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains("switchover") && stdout.contains("dry-run"), "{shell}");
    }
    assert_eq!(run(&mut understudy(&["completions", "nonsense"])).0, Some(2));
}
