//! The balancer before stand-ins: applications as they are, not origins that answer anything.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::condition::wait_for;
use benches::understudy::Understudy;
use serde_json::Value;
use standins::Standin;
use tempfile::TempDir;

use crate::operator::{Said, said, understudy};
use crate::stage::{PATIENCE, alone, binary, standins_binary};

/// A folder with everything of one balancer; its config is the same in all its lives.
pub(crate) struct House {
    folder: TempDir,
    /// `None`: somebody else sees to it that no other test runs.
    _alone: Option<File>,
}

impl House {
    /// When no other test runs.
    pub(crate) fn new() -> Self {
        let alone = Some(alone());
        Self { folder: tempfile::tempdir().expect("a folder"), _alone: alone }
    }

    /// Without waiting for that.
    pub(crate) fn among_others() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), _alone: None }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A stand-in that lives here; its arguments have spaces between them.
    pub(crate) fn standin(&self, kind: &str, name: &str, arguments: &str) -> Standin {
        Standin::start(&standins_binary(), self.path(), kind, name, arguments)
    }

    /// Runs the balancer with this config, of which the listener, the folder of the state and the admin
    /// side are known: they come first.
    pub(crate) fn open(&self, yaml: &str) -> Understudy {
        let folder = self.path().display();
        let yaml = format!(
            "workers: 2\nstate_dir: \"{folder}/state\"\nlisteners:\n  - address: \"127.0.0.1:0\"\n\
             admin:\n  address: \"127.0.0.1:0\"\n  socket: \"{folder}/admin.sock\"\n{yaml}"
        );
        fs::write(self.file("understudy.yaml"), yaml).expect("a config");
        self.open_again()
    }

    /// The same once more.
    pub(crate) fn open_again(&self) -> Understudy {
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(self.file("understudy.yaml"));
        Understudy::start(command)
    }

    /// A command at the socket, its arguments with spaces between them.
    pub(crate) fn cli(&self, args: &str) -> Said {
        let mut command = understudy(args);
        command.arg("--socket").arg(self.file("admin.sock"));
        said(command)
    }

    /// One that is done: what it said.
    pub(crate) fn done(&self, args: &str) -> String {
        self.cli(args).done()
    }

    /// Every event of this kind, the oldest first.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let lines = self.done("events --json --limit 1000");
        let events = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        events.filter(|event: &Value| event["kind"] == kind).collect()
    }
}

/// A config's backends, in this order.
pub(crate) fn backends(scheme: &str, all: &[&Standin]) -> String {
    let one = |standin: &&Standin| {
        let (name, address) = (standin.name(), standin.address());
        format!("      - {{ name: {name}, url: \"{scheme}://{address}\" }}\n")
    };
    all.iter().map(one).collect()
}

/// Waits until it has written this down so often.
pub(crate) fn wait_noted(standin: &Standin, what: &str, count: usize) {
    wait_for(PATIENCE, &format!("{} notes {what:?} {count} times", standin.name()), || {
        let noted = standin.noted(what).len();
        if noted >= count { Ok(()) } else { Err(noted) }
    });
}
