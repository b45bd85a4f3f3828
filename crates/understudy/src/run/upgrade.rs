//! SIGUSR2: starts whatever program is at our path now, with our arguments, to take over from us.

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

/// The flag by which a new process asks to take over.
const TAKEOVER: &str = "--takeover";

pub(super) struct Upgrade {
    /// Our path as it was at the start: the new version will be there.
    program: PathBuf,
    arguments: Vec<OsString>,
    successor: Option<Child>,
}

impl Upgrade {
    pub(super) fn new() -> io::Result<Self> {
        let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if !arguments.iter().any(|argument| argument == TAKEOVER) {
            arguments.push(TAKEOVER.into());
        }
        Ok(Self { program: std::env::current_exe()?, arguments, successor: None })
    }

    /// Starts the successor, unless one is starting already.
    pub(super) fn begin(&mut self) {
        if self.successor.is_some() {
            tracing::warn!("SIGUSR2: a successor is starting already");
            return;
        }
        let mut command = Command::new(&self.program);
        // It gets its sockets from us, not from whoever started us; and the watchdog, which names us, is
        // for it from then on.
        for variable in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        match command.args(&self.arguments).spawn() {
            Ok(child) => {
                tracing::info!(pid = child.id(), "SIGUSR2: a successor starts");
                self.successor = Some(child);
            }
            Err(error) => {
                let program = self.program.display();
                tracing::error!("SIGUSR2: cannot start {program}: {error}; this process goes on");
            }
        }
    }

    /// Returns when the successor has ended before it took over.
    pub(super) async fn failed(&mut self) {
        let Some(successor) = &mut self.successor else { return pending().await };
        let status = successor.wait().await;
        self.successor = None;
        let status = status.map_or_else(|error| error.to_string(), |status| words(&status));
        tracing::error!(
            "the successor has ended ({status}) and did not take over; this process goes on"
        );
    }
}

fn words(status: &ExitStatus) -> String {
    status.to_string()
}
