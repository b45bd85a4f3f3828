//! Handles of `origin` processes: start, fail in many ways, revive, and ask what arrived.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::build;
use crate::fetch;
use crate::journal::{self, Entry, Span};
use crate::process::Process;

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A door of an origin that speaks TLS.
#[derive(Clone, Debug)]
struct Tls {
    /// PEM files.
    certificate: PathBuf,
    key: PathBuf,
    address: SocketAddr,
}

/// One origin; its process ends when this is dropped.
#[derive(Debug)]
pub struct Origin {
    binary: PathBuf,
    name: String,
    address: SocketAddr,
    tls: Option<Tls>,
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
        Self::start_at(binary, folder, name, ANY_PORT)
    }

    /// The same at this address.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start_at(binary: &Path, folder: &Path, name: &str, address: SocketAddr) -> Self {
        Self::launch(binary, folder, name, address, None)
    }

    /// The same with a second door, for TLS with this certificate and key (PEM files): that one is in
    /// its URL, the first is for [`Origin::control`] and [`Origin::stats`].
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start_tls(
        binary: &Path,
        folder: &Path,
        name: &str,
        certificate: &Path,
        key: &Path,
    ) -> Self {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let tls = Tls { certificate, key, address: ANY_PORT };
        Self::launch(binary, folder, name, ANY_PORT, Some(tls))
    }

    fn launch(
        binary: &Path,
        folder: &Path,
        name: &str,
        listen: SocketAddr,
        mut tls: Option<Tls>,
    ) -> Self {
        let journal = folder.join(format!("{name}.journal"));
        let (process, address) = launch(binary, name, listen, tls.as_mut(), &journal);
        Self { binary: binary.to_owned(), name: name.to_owned(), address, tls, journal, process }
    }

    /// Where it listens; the same after [`Origin::revive`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL as a proxy's backend.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.tls {
            None => format!("http://{}", self.address),
            Some(tls) => format!("https://{}", tls.address),
        }
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
            launch(&self.binary, &self.name, self.address, self.tls.as_mut(), &self.journal);
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

    /// The same with values of any kind.
    ///
    /// # Panics
    ///
    /// When it refuses.
    pub fn tell(&self, settings: &Value) {
        let body = settings.to_string();
        let answer = fetch::request(self.address, "PUT", "/control", &[], body.as_bytes());
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

    /// How long every request of the traffic was there, over all its lives.
    ///
    /// # Panics
    ///
    /// When the record cannot be read.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        journal::read_spans(&self.journal.with_extension("spans"))
            .unwrap_or_else(|error| panic!("spans of {}: {error}", self.name))
    }
}

/// Starts the process; its address, and that of the TLS door in `tls`.
fn launch(
    binary: &Path,
    name: &str,
    listen: SocketAddr,
    mut tls: Option<&mut Tls>,
    journal: &Path,
) -> (Process, SocketAddr) {
    let mut command = Command::new(binary);
    command.args(["--name", name, "--listen", &listen.to_string(), "--journal"]).arg(journal);
    command.arg("--spans").arg(journal.with_extension("spans"));
    if let Some(tls) = tls.as_deref() {
        command.arg("--tls-certificate").arg(&tls.certificate).arg("--tls-key").arg(&tls.key);
        command.args(["--tls-listen", &tls.address.to_string()]);
    }
    let mut process = Process::start(&format!("origin {name}"), command);
    let mut address = |prefix| {
        let text = process.wait_line(prefix);
        text.parse().unwrap_or_else(|error| panic!("origin {name}: {prefix}{text:?}: {error}"))
    };
    if let Some(tls) = &mut tls {
        tls.address = address("TLS on ");
    }
    let address = address("listening on ");
    (process, address)
}

/// The origin's binary in `folder` (a profile's folder in a target directory), built with `cargo` if
/// it is missing or older than its source.
///
/// # Errors
///
/// When it cannot be built.
pub fn binary(folder: &Path, cargo: &str) -> io::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    build::binary(folder, cargo, "benches", "origin", &[&here.join("origin"), &here.join("src")])
}
