//! Handles of `origin` processes: start, fail in many ways, revive, and ask what arrived.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use crate::fetch;
use crate::journal::{self, Entry};
use crate::process::Process;

/// One origin; its process ends when this is dropped.
#[derive(Debug)]
pub struct Origin {
    binary: PathBuf,
    name: String,
    address: SocketAddr,
    journal: PathBuf,
    /// The process, to be killed, stopped and resumed.
    pub process: Process,
}

impl Origin {
    /// Starts an origin on a free port; its journal is `<name>.journal` in `folder`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(binary: &Path, folder: &Path, name: &str) -> Self {
        let journal = folder.join(format!("{name}.journal"));
        let (process, address) = launch(binary, name, "127.0.0.1:0", &journal);
        Self { binary: binary.to_owned(), name: name.to_owned(), address, journal, process }
    }

    /// Where it listens; the same after [`Origin::revive`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL as a proxy's backend.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its name, as it says in `x-origin`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it again at the same address, with the same journal.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn revive(&mut self) {
        self.process.kill();
        let (process, address) =
            launch(&self.binary, &self.name, &self.address.to_string(), &self.journal);
        assert_eq!(address, self.address, "{} is where it was", self.name);
        self.process = process;
    }

    /// Changes how it behaves, for example `health=503&delay_ms=20`.
    ///
    /// # Panics
    ///
    /// When it refuses.
    pub fn control(&self, settings: &str) {
        let answer = fetch::request(self.address, "PUT", &format!("/control?{settings}"), &[], b"");
        match answer {
            Ok(answer) if answer.status == 204 => {}
            other => panic!("control {} {settings}: {other:?}", self.name),
        }
    }

    /// Its own counts.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    #[must_use]
    pub fn stats(&self) -> Value {
        let answer = fetch::get(self.address, "/stats")
            .unwrap_or_else(|error| panic!("stats of {}: {error}", self.name));
        serde_json::from_slice(&answer.body)
            .unwrap_or_else(|error| panic!("stats of {}: {error}", self.name))
    }

    /// Every request of the traffic that arrived (no probes), over all its lives.
    ///
    /// # Panics
    ///
    /// When the journal cannot be read.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        journal::read(&self.journal)
            .unwrap_or_else(|error| panic!("journal of {}: {error}", self.name))
    }
}

fn launch(binary: &Path, name: &str, listen: &str, journal: &Path) -> (Process, SocketAddr) {
    let mut command = Command::new(binary);
    command.args(["--listen", listen, "--name", name, "--journal"]).arg(journal);
    let mut process = Process::start(&format!("origin {name}"), command);
    let address = process.wait_line("listening on ");
    let address =
        address.parse().unwrap_or_else(|error| panic!("origin {name} at {address:?}: {error}"));
    (process, address)
}

/// The origin's binary in `folder` (a profile's folder in a target directory), built with `cargo` if
/// it is missing or older than its source.
///
/// # Errors
///
/// When it cannot be built.
pub fn binary(folder: &Path, cargo: &str) -> io::Result<PathBuf> {
    let binary = folder.join("origin");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = newest(&here.join("origin"))?.max(newest(&here.join("src"))?);
    if fs::metadata(&binary).and_then(|file| file.modified()).is_ok_and(|built| built >= source) {
        return Ok(binary);
    }
    let mut build = Command::new(cargo);
    build.current_dir(here).args(["build", "--quiet", "-p", "benches", "--bin", "origin"]);
    // The folder of the `dev` profile is called `debug`; every other has the profile's name.
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            build.args(["--profile", profile]);
        }
    }
    if let Some(target) = folder.parent() {
        build.arg("--target-dir").arg(target);
    }
    let status = build.status()?;
    if status.success() {
        Ok(binary)
    } else {
        Err(io::Error::other(format!("{build:?}: {status}")))
    }
}

/// When the newest file of a flat folder was changed.
fn newest(folder: &Path) -> io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for file in fs::read_dir(folder)? {
        newest = newest.max(file?.metadata()?.modified()?);
    }
    Ok(newest)
}
