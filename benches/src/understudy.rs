//! Handles of the product's process: run it, ask its admin listener, wait for its decisions.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::condition::wait_for;
use crate::fetch;
use crate::process::Process;
use crate::scrape::Scrape;

/// Within this time a decision that is due has been made, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running balancer with one listener; its process ends when this is dropped.
#[derive(Debug)]
pub struct Understudy {
    /// The process, to be signalled and stopped.
    pub process: Process,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Understudy {
    /// Runs `binary` with `arguments` and waits until it has printed where it listens.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn run<A: AsRef<OsStr>>(binary: &Path, arguments: &[A]) -> Self {
        let mut command = Command::new(binary);
        command.args(arguments);
        Self::start(command)
    }

    /// The same for a command that ends by running the balancer, for example under a limit.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(command: Command) -> Self {
        Self::of(Process::start("understudy", command))
    }

    /// The same for a process that has just been started.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn of(mut process: Process) -> Self {
        let mut address = |prefix| {
            let text = process.wait_line(prefix);
            text.trim().parse().unwrap_or_else(|error| panic!("{prefix}{text:?}: {error}"))
        };
        let (address, admin) = (address("listening on "), address("admin on "));
        Self { process, address, admin }
    }

    /// Where it accepts clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener is.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What `/status` says of its (first) service.
    ///
    /// # Panics
    ///
    /// When it does not answer with JSON.
    #[must_use]
    pub fn service(&self) -> Value {
        let answer = self.ask("/status");
        let mut status: Value = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|error| panic!("/status: {error}: {}", answer.text()));
        status["services"][0].take()
    }

    /// What `/metrics` says.
    ///
    /// # Panics
    ///
    /// When it does not answer, or not in the text format.
    #[must_use]
    pub fn metrics(&self) -> Scrape {
        Scrape::parse(&self.ask("/metrics").text())
    }

    /// The name of the active.
    #[must_use]
    pub fn active(&self) -> Option<String> {
        self.service()["active"].as_str().map(str::to_owned)
    }

    /// Changes of the active so far.
    ///
    /// # Panics
    ///
    /// When `/status` does not say.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        let service = self.service();
        service["epoch"].as_u64().unwrap_or_else(|| panic!("no epoch: {service}"))
    }

    /// The health of a backend: `unknown`, `up` or `down`; empty if there is no such backend.
    #[must_use]
    pub fn health(&self, backend: &str) -> String {
        let service = self.service();
        let mut backends = service["backends"].as_array().into_iter().flatten();
        let found = backends.find(|known| known["name"] == backend);
        found.and_then(|known| known["health"].as_str()).unwrap_or_default().to_owned()
    }

    /// Waits until this backend is the active.
    ///
    /// # Panics
    ///
    /// When it does not become the active in time; the message has the status and the log.
    pub fn wait_active(&self, backend: &str) {
        self.wait_service(&format!("{backend} is active"), |service| service["active"] == backend);
    }

    /// Waits until this backend has this health.
    ///
    /// # Panics
    ///
    /// When it does not get it in time; the message has the status and the log.
    pub fn wait_health(&self, backend: &str, health: &str) {
        self.wait_service(&format!("{backend} is {health}"), |service| {
            let mut backends = service["backends"].as_array().into_iter().flatten();
            backends.any(|known| known["name"] == backend && known["health"] == health)
        });
    }

    /// Waits until the service's status is as `look` wants it.
    ///
    /// # Panics
    ///
    /// When it is not in time; the message has the status and the log.
    pub fn wait_service(&self, what: &str, look: impl Fn(&Value) -> bool) {
        wait_for(PATIENCE, what, || {
            let service = self.service();
            let log = || format!("{service}\n{}", self.process.stderr());
            if look(&service) { Ok(()) } else { Err(log()) }
        });
    }

    /// Waits until a metric's sum is as `look` wants it.
    ///
    /// # Panics
    ///
    /// When it is not in time.
    pub fn wait_metric(&self, name: &str, labels: &[(&str, &str)], look: impl Fn(f64) -> bool) {
        wait_for(PATIENCE, &format!("{name}{labels:?} is as wanted"), || {
            let sum = self.metrics().sum(name, labels);
            if look(sum) { Ok(()) } else { Err(sum) }
        });
    }

    fn ask(&self, path: &str) -> fetch::Answer {
        match fetch::get(self.admin, path) {
            Ok(answer) if answer.status == 200 => answer,
            other => panic!("{path}: {other:?}\n{}", self.process.stderr()),
        }
    }
}
