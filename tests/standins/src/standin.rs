//! A stand-in's process: start it, fail it, revive it, and ask what it wrote down.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::build;
use benches::fetch::{self, Answer};
use benches::process::Process;

use crate::journal::{self, Note};

/// One stand-in; its process ends when this is dropped.
#[derive(Debug)]
pub struct Standin {
    program: PathBuf,
    arguments: Vec<OsString>,
    name: String,
    address: SocketAddr,
    journal: PathBuf,
    /// The process, to be killed, stopped and resumed.
    pub process: Process,
}

impl Standin {
    /// Starts `program` as this kind of stand-in (`scheduler`, …), on a free port of the loopback
    /// interface; its journal is `<name>.notes` in `folder`. `arguments` have spaces between them.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(program: &Path, folder: &Path, kind: &str, name: &str, arguments: &str) -> Self {
        Self::start_on(program, folder, kind, name, "127.0.0.1:0", arguments)
    }

    /// The same at this address.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start_on(
        program: &Path,
        folder: &Path,
        kind: &str,
        name: &str,
        listen: &str,
        arguments: &str,
    ) -> Self {
        let journal = folder.join(format!("{name}.notes"));
        let mut words: Vec<OsString> = [kind, "--name", name].map(OsString::from).to_vec();
        words.push("--journal".into());
        words.push(journal.clone().into());
        words.extend(arguments.split_whitespace().map(OsString::from));
        let program = program.to_owned();
        let (process, address) = launch(&program, name, listen, &words);
        Self { program, arguments: words, name: name.to_owned(), address, journal, process }
    }

    /// Where it listens; the same after [`Standin::revive`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it again at the same address, with the same journal; kills it before if it runs.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn revive(&mut self) {
        self.process.kill();
        let listen = self.address.to_string();
        (self.process, _) = launch(&self.program, &self.name, &listen, &self.arguments);
    }

    /// One request, not through the balancer.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    #[must_use]
    pub fn ask(&self, method: &str, target: &str) -> Answer {
        fetch::request(self.address, method, target, &[], b"")
            .unwrap_or_else(|error| panic!("{method} {target} of {}: {error}", self.name))
    }

    /// All that it wrote down, over all its lives.
    ///
    /// # Panics
    ///
    /// When the journal cannot be read.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        journal::read(&self.journal).unwrap_or_else(|error| panic!("of {}: {error}", self.name))
    }

    /// Where it writes it down.
    #[must_use]
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Those of this kind.
    ///
    /// # Panics
    ///
    /// When the journal cannot be read.
    #[must_use]
    pub fn noted(&self, what: &str) -> Vec<Note> {
        self.notes().into_iter().filter(|note| note.what == what).collect()
    }
}

fn launch(
    program: &Path,
    name: &str,
    listen: &str,
    arguments: &[OsString],
) -> (Process, SocketAddr) {
    let mut command = Command::new(program);
    command.args(arguments).args(["--listen", listen]);
    let mut process = Process::start(&format!("stand-in {name}"), command);
    let text = process.wait_line("listening on ");
    let address = text.parse().unwrap_or_else(|error| panic!("{name}: {text:?}: {error}"));
    (process, address)
}

/// The program in `folder` (a profile's folder in a target directory), built with `cargo` if it is
/// missing or older than its source.
///
/// # Errors
///
/// When it cannot be built.
pub fn binary(folder: &Path, cargo: &str) -> io::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    build::binary(folder, cargo, "standins", "standins", &[&source])
}
