//! `understudy init` as its users meet it: by flags, by answers, and when something is wrong.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use config::model::Config;
use tempfile::TempDir;

const RECIPES: [&str; 9] = [
    "generic-http",
    "websocket",
    "grpc",
    "grafana",
    "rundeck",
    "license-manager",
    "virtual-dataport",
    "failover-cluster",
    "scheduler",
];

/// What came of a run in a folder of its own.
struct Ran {
    folder: TempDir,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// With `answers` on standard input.
    fn new(args: &[&str], answers: &str) -> Self {
        Self::within(tempfile::tempdir().expect("a folder"), args, answers)
    }

    fn within(folder: TempDir, args: &[&str], answers: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command.arg("init").args(args).current_dir(folder.path()).env_remove("RUST_LOG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        // Who needs no answers may have ended before.
        let _ = child.stdin.take().expect("stdin").write_all(answers.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self { folder, code: output.status.code(), stdout, stderr }
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join(name)).ok()
    }

    /// What was written, loaded.
    fn config(&self, name: &str) -> Config {
        let text = self.file(name).unwrap_or_else(|| panic!("no file: {}", self.stderr));
        loaded(&text)
    }

    /// It was refused with these words, and wrote nothing.
    fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
        let files: Vec<_> = std::fs::read_dir(self.folder.path()).expect("a folder").collect();
        assert_eq!(files.len(), 0, "{files:?}");
    }
}

fn loaded(text: &str) -> Config {
    let loaded = config::load("written", text, Path::new("/etc/understudy"));
    loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}")).config
}

fn backends(config: &Config) -> Vec<String> {
    let backends = config.services[0].backends.iter();
    backends.map(|backend| format!("{}={}", backend.name, backend.url)).collect()
}

#[test]
fn every_recipe_is_written_from_flags() {
    for recipe in RECIPES {
        let (a, b) = ("one=https://10.1.2.3:1234", "two=https://10.1.2.4:1234");
        let args = ["--recipe", recipe, "--backend", a, "--backend", b];
        let ran = Ran::new(&args, "");
        assert_eq!(ran.code, Some(0), "{recipe}: {}", ran.stderr);
        assert_eq!(backends(&ran.config("understudy.yaml")), [a, b], "{recipe}");
        for line in ["understudy check -c understudy.yaml", "understudy run -c understudy.yaml"] {
            assert!(ran.stdout.contains(line), "{}", ran.stdout);
        }
        let text = ran.file("understudy.yaml").unwrap_or_default();
        assert!(text.starts_with("# "), "{recipe} lost its comments:\n{text}");
    }
}

#[test]
fn every_flag_arrives() {
    let ran = Ran::new(
        &[
            "--recipe",
            "generic-http",
            "--backend",
            "http://10.1.2.3:1234",
            "--backend",
            "b=http://10.1.2.4",
            "--backend",
            "unix:/run/c.sock",
            "--listen",
            ":81",
            "--host",
            "app.example.com",
            "--health-path",
            "/ready",
            "--state-dir",
            "state",
            "-o",
            "a b.yaml",
        ],
        "",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let config = ran.config("a b.yaml");
    let expected =
        ["10.1.2.3:1234=http://10.1.2.3:1234", "b=http://10.1.2.4:80", "c.sock=unix:/run/c.sock"];
    assert_eq!(backends(&config), expected);
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:81");
    assert_eq!(config.routes[0].path, "/");
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/etc/understudy/state")));
    let text = ran.file("a b.yaml").unwrap_or_default();
    assert!(text.contains("host: app.example.com"), "{text}");
    assert!(text.contains("path: /ready"), "{text}");
}

#[test]
fn a_dash_prints_and_writes_nothing() {
    let ran = Ran::new(&["--recipe", "grpc", "--backend", "http://10.1.2.3", "-o", "-"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(backends(&loaded(&ran.stdout)), ["10.1.2.3:80=http://10.1.2.3:80"]);
    assert!(ran.file("understudy.yaml").is_none());
    assert!(ran.stderr.contains("has no standby"), "warnings are shown: {}", ran.stderr);
}

#[test]
fn recipes_are_listed() {
    let ran = Ran::new(&["--list"], "");
    assert_eq!(ran.code, Some(0));
    for recipe in RECIPES {
        assert!(ran.stdout.contains(recipe), "{}", ran.stdout);
    }
    assert_eq!(ran.stdout.lines().count(), RECIPES.len());
}

#[test]
fn a_file_is_replaced_only_by_force() {
    let args = ["--recipe", "grpc", "--backend", "http://10.1.2.3", "-o", "x.yaml"];
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("x.yaml"), "mine").expect("a file");
    let ran = Ran::within(folder, &args, "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("x.yaml is there already"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(ran.file("x.yaml").as_deref(), Some("mine"));
    let ran = Ran::within(ran.folder, &[&args[..], &["--force"]].concat(), "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(backends(&ran.config("x.yaml")).len(), 1);
}

#[test]
fn without_flags_and_without_a_terminal_it_says_which_flags() {
    Ran::new(&[], "").refused(&["--recipe", "--backend", "--ask", "scheduler"]);
    Ran::new(&["--recipe", "grpc"], "").refused(&["there is no backend", "--backend"]);
    Ran::new(&["--backend", "http://10.0.0.1"], "").refused(&["--recipe"]);
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let with = |recipe: &str, further: &[&str]| {
        let args = [&["--recipe", recipe, "--backend", "http://10.0.0.1"], further].concat();
        Ran::new(&args, "")
    };
    with("nonsense", &[]).refused(&["no recipe \"nonsense\"", "generic-http"]);
    with("grpc", &["--health-path", "/x"]).refused(&["grpc has no path", "--health-path"]);
    with("grpc", &["--backend", "10.0.0.2:80"])
        .refused(&["the scheme is missing", "nothing was written"]);
    with("grpc", &["--backend", "http://10.0.0.1"]).refused(&["already a backend"]);
    with("grpc", &["--backend", "a b=http://10.0.0.2"]).refused(&["`a b` is not a name"]);
    with("grpc", &["--backend", "=http://10.0.0.2"]).refused(&["write NAME=URL"]);
    with("grpc", &["--listen", "nowhere"]).refused(&["`nowhere` is not an address"]);
    with("generic-http", &["--health-path", "x"]).refused(&["`x` is not a path"]);
    with("generic-http", &["--host", "a/b"]).refused(&["a/b"]);
    // Text that would be more than a value stays one.
    with("grpc", &["--listen", ":80\nstate_dir: /tmp"]).refused(&["is not an address"]);
}

#[test]
fn answers_are_as_good_as_flags() {
    let answers = "license-manager\n:9\nlm1=https://10.0.0.1:10091\nlm2=https://10.0.0.2:10091\n\nx.example.com\n/ping\ny\n";
    let ran = Ran::new(&["--ask"], answers);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let config = ran.config("understudy.yaml");
    let expected = ["lm1=https://10.0.0.1:10091", "lm2=https://10.0.0.2:10091"];
    assert_eq!(backends(&config), expected);
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:9");
    assert_eq!(config.services[0].tls.server_name.as_deref(), Some("x.example.com"));
    let text = ran.file("understudy.yaml").unwrap_or_default();
    assert!(text.contains("path: /ping\n"), "{text}");
    assert!(ran.stderr.contains(&text), "it is shown before: {}", ran.stderr);
    assert!(ran.stderr.contains("understudy check -c understudy.yaml"), "{}", ran.stderr);
}

#[test]
fn return_takes_what_is_offered_and_flags_are_not_asked_for() {
    let ran = Ran::new(&["--ask", "--backend", "http://10.0.0.1"], "\n\n\n\n");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let config = ran.config("understudy.yaml");
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8080");
    assert_eq!(backends(&config), ["10.0.0.1:80=http://10.0.0.1:80"]);
    assert!(!ran.stderr.contains("The primary"), "{}", ran.stderr);
}

#[test]
fn a_bad_answer_is_asked_for_again() {
    let answers =
        "nonsense\ngrpc\nnowhere\n:9\n\n10.0.0.1\nhttp://10.0.0.1\nhttp://10.0.0.1\n\nmaybe\nyes\n";
    let ran = Ran::new(&["--ask"], answers);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let said = [
        "no recipe \"nonsense\"",
        "`nowhere` is not an address",
        "there must be one",
        "the scheme is missing",
        "already a backend",
        "write `y` or `n`",
    ];
    for words in said {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert_eq!(backends(&ran.config("understudy.yaml")), ["10.0.0.1:80=http://10.0.0.1:80"]);
}

#[test]
fn whoever_says_no_or_nothing_gets_no_file() {
    let ran = Ran::new(&["--ask", "--recipe", "grpc", "--backend", "http://10.0.0.1"], "\nn\n");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("Nothing was written"), "{}", ran.stderr);
    assert!(ran.file("understudy.yaml").is_none());
    Ran::new(&["--ask"], "grpc\n").refused(&["standard input ended", "nothing was written"]);
    let never = "nonsense\n".repeat(9);
    Ran::new(&["--ask"], &never).refused(&["no usable answer"]);
}

/// Every recipe has a page that says how to try it, with flags that exist; every page has a recipe.
#[test]
fn every_recipe_has_a_page_and_every_page_a_recipe() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes");
    let mut pages: Vec<String> = std::fs::read_dir(&folder)
        .expect("pages")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    pages.sort_unstable();
    let mut expected: Vec<String> = RECIPES.iter().map(|name| format!("{name}.md")).collect();
    expected.push("README.md".to_owned());
    expected.sort_unstable();
    assert_eq!(pages, expected);
    let overview = std::fs::read_to_string(folder.join("README.md")).expect("a page");
    for recipe in RECIPES {
        assert!(overview.contains(&format!("({recipe}.md)")), "{recipe}");
        let page = std::fs::read_to_string(folder.join(recipe).with_extension("md"));
        let page = page.expect("a page").replace("\\\n", " ");
        let sections =
            ["## What the pair needs", "## Try it", "## Update the pair", "## What it cannot do"];
        for section in sections {
            assert!(page.contains(section), "{recipe}: {section}");
        }
        let line = page.lines().find_map(|line| line.strip_prefix("understudy init "));
        let args: Vec<&str> = line.expect("how to begin").split_whitespace().collect();
        let ran = Ran::new(&args, "");
        assert_eq!(ran.code, Some(0), "{recipe}: {}", ran.stderr);
        let written = ran.config("understudy.yaml");
        for command in page.lines().filter_map(|line| line.strip_prefix("understudy ")) {
            let words: Vec<&str> = command.split_whitespace().collect();
            if let ["maintenance" | "ready" | "drain", backend, ..]
            | ["switchover", "--to", backend, ..]
            | ["wait", "--drained" | "--healthy", backend, ..] = words.as_slice()
            {
                let known =
                    written.services[0].backends.iter().any(|known| *known.name == **backend);
                assert!(known, "{recipe}: understudy {command}");
            }
        }
    }
}

#[test]
fn configs_in_pages_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("pages") {
        let page = std::fs::read_to_string(entry.expect("a page").path()).expect("text");
        for block in page.split("```yaml\n").skip(1) {
            let (text, _) = block.split_once("```").expect("an end");
            let loaded = config::load("page", text, Path::new(""));
            let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert_eq!(loaded.warnings, [], "{text}");
            found += 1;
        }
    }
    assert!(found > 0, "no page shows a config");
}
