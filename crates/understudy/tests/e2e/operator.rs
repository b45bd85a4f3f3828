//! The operator in charge: the real commands against the real balancer before real backends.

mod access;
mod drill;
mod failback;
mod moves;
mod record;
mod settings;
mod streams;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use benches::condition::wait_for;
use benches::fetch::{Answer, get};
use benches::origin::Origin;
use benches::understudy::Understudy;
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{PATIENCE, alone, binary, origin_binary};

/// Verdicts within some tens of milliseconds.
const HEALTH: &str = "health: { http: { path: /healthz }, interval: 100ms, confirm_interval: 20ms, rise: 2, fall: 2 }";

/// Two backends and the balancer with the service `web`, its decisions kept in a folder, and a socket
/// for operators.
pub(crate) struct Bridge {
    pub(crate) understudy: Understudy,
    pub(crate) a: Origin,
    pub(crate) b: Origin,
    config: PathBuf,
    socket: PathBuf,
    pub(crate) folder: TempDir,
    // Last: the next test begins when all the others are gone.
    _alone: File,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// It was done: what it said.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// It was not done, and said nothing of having done it: why.
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(3), ""), "{self:?}");
        self.err
    }
}

impl Bridge {
    /// With these lines for the service, `a` active and `b` up.
    pub(crate) fn new(service: &str) -> Self {
        Self::guarded(tempfile::tempdir().expect("a folder"), "", service)
    }

    /// The same with further lines for the admin side, which may name files in this folder.
    fn guarded(folder: TempDir, admin: &str, service: &str) -> Self {
        let bridge = Self::before(folder, admin, service, |_, _| ());
        bridge.done("wait --active a --timeout 20s");
        bridge.done("wait --healthy b --timeout 20s");
        bridge
    }

    /// With these lines for the service, before backends that are made ready like this first. Nobody
    /// need be active.
    pub(crate) fn prepared(service: &str, prepare: impl FnOnce(&Origin, &Origin)) -> Self {
        Self::before(tempfile::tempdir().expect("a folder"), "", service, prepare)
    }

    fn before(
        folder: TempDir,
        admin: &str,
        service: &str,
        prepare: impl FnOnce(&Origin, &Origin),
    ) -> Self {
        let alone = alone();
        let start = |name: &str| Origin::start(&origin_binary(), folder.path(), name);
        let (a, b) = (start("a"), start("b"));
        prepare(&a, &b);
        let (config, socket) = (folder.path().join("web.yaml"), folder.path().join("admin.sock"));
        fs::write(&config, yaml(&folder, [&a, &b], admin, service)).expect("a config");
        let understudy = run(&config);
        Self { understudy, a, b, config, socket, folder, _alone: alone }
    }

    /// Puts another config in the place of the one that runs; nobody is told.
    fn write(&self, service: &str) {
        let new = self.folder.path().join("new.yaml");
        fs::write(&new, yaml(&self.folder, [&self.a, &self.b], "", service)).expect("a config");
        fs::rename(&new, &self.config).expect("rename");
    }

    /// Kills the balancer.
    fn crash(&mut self) {
        self.understudy.process.kill();
    }

    /// Starts it again.
    fn start(&mut self) {
        self.understudy = run(&self.config);
    }

    /// A command at the socket, its arguments with spaces between them.
    pub(crate) fn cli(&self, args: &str) -> Said {
        said(self.command(args))
    }

    /// One that is done: what it said.
    pub(crate) fn done(&self, args: &str) -> String {
        self.cli(args).done()
    }

    /// One that goes on.
    fn begin(&self, args: &str) -> Talk {
        Talk::begin(self.command(args))
    }

    fn command(&self, args: &str) -> Command {
        let mut command = understudy(args);
        command.arg("--socket").arg(&self.socket);
        command
    }

    /// What `status --json` says of the service.
    pub(crate) fn service(&self) -> Value {
        let said = self.cli("status web --json");
        let mut status: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| {
            panic!("{error}: {said:?}\n{}", self.understudy.process.stderr())
        });
        status["services"][0].take()
    }

    /// Every event of this kind, the oldest first.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let lines = self.done("events --json --limit 1000");
        let events = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        events.filter(|event: &Value| event["kind"] == kind).collect()
    }

    /// The incidents in full, the newest first.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        let list: Value = serde_json::from_str(&self.done("incidents --json")).expect("JSON");
        let ids = list["incidents"].as_array().expect("a list").iter();
        let one = |id: &Value| self.done(&format!("incidents {id} --json"));
        ids.map(|one_of| serde_json::from_str(&one(&one_of["id"])).expect("JSON")).collect()
    }

    /// Waits until `status` says this.
    pub(crate) fn wait_says(&self, words: &str) -> String {
        wait_for(PATIENCE, &format!("status says {words:?}"), || {
            let out = self.cli("status").out;
            if out.contains(words) { Ok(out) } else { Err(out) }
        })
    }

    /// Who answers a client.
    pub(crate) fn served_by(&self) -> Option<String> {
        self.get("/").header("x-origin").map(str::to_owned)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.understudy.address(), path).expect("an answer")
    }
}

fn run(config: &PathBuf) -> Understudy {
    let mut command = Command::new(binary());
    command.args(["run", "-c"]).arg(config);
    Understudy::start(command)
}

/// The config of one service; `admin` are further keys of the admin side.
fn yaml(folder: &TempDir, origins: [&Origin; 2], admin: &str, service: &str) -> String {
    let folder = folder.path().display();
    let backends =
        origins.map(|o| format!("      - {{ name: {}, url: \"{}\" }}\n", o.name(), o.url()));
    let indented = |lines: &str, by: &str| -> String {
        lines.lines().map(|line| format!("{by}{line}\n")).collect()
    };
    let (admin, service) = (indented(admin, "  "), indented(service, "    "));
    let health =
        if service.contains("health:") { String::new() } else { format!("    {HEALTH}\n") };
    format!(
        "workers: 2\nstate_dir: \"{folder}/state\"\nlisteners:\n  - address: \"127.0.0.1:0\"\n\
         admin:\n  address: \"127.0.0.1:0\"\n  socket: \"{folder}/admin.sock\"\n{admin}\
         services:\n  web:\n    backends:\n{}{health}{service}",
        backends.concat()
    )
}

/// The program with these arguments, which have spaces between them, and no environment of ours.
pub(crate) fn understudy(args: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(args.split_whitespace()).stdin(Stdio::null());
    for name in ["UNDERSTUDY_SOCKET", "UNDERSTUDY_URL", "UNDERSTUDY_TOKEN"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn said(mut command: Command) -> Said {
    let output = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A command that goes on, and says a line now and then. Killed when dropped.
struct Talk {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Talk {
    fn begin(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (say, lines) = channel();
        thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| say.send(line))
        });
        Self { child, lines, heard: Vec::new() }
    }

    /// The next line with these words, and what was said before it.
    fn wait(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.heard.push(line);
                    if let Some(line) = self.heard.last().filter(|line| line.contains(words)) {
                        return line.clone();
                    }
                }
                Err(why @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                    panic!("{words:?}: {why}; heard {:#?}", self.heard)
                }
            }
        }
    }

    /// Waits for its end.
    fn exit_code(mut self) -> Option<i32> {
        wait_for(PATIENCE, "the command ends", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}")),
        })
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
