//! Signals: to stop, to reload, to be replaced by a new version.

use std::future::pending;
use std::io;
use std::path::PathBuf;

use control::{Control, Reloading};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::upgrade::Upgrade;

/// Why the process ends.
pub(super) enum Reason {
    /// A signal of this name.
    Signal(&'static str),
    /// Another process has taken over.
    Succeeded,
}

/// The signals that ask us to end, or to be replaced.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The files of the logs were renamed.
    reopen: Signal,
    upgrade: Signal,
    upgrades: Upgrade,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
            upgrades: Upgrade::new()?,
        })
    }

    /// Waits for the next one that ends us; carries out those that do not.
    pub(super) async fn next(&mut self, control: &Control) -> Reason {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return Reason::Signal("SIGTERM"),
                Some(()) = self.interrupt.recv() => return Reason::Signal("SIGINT"),
                Some(()) = self.upgrade.recv() => self.upgrades.begin(),
                Some(()) = self.reopen.recv() => control.reopen_logs(),
                () = self.upgrades.failed() => {}
                else => pending().await,
            }
        }
    }

    /// Waits until somebody asks twice for an end that has begun: a service manager asks both processes
    /// of a takeover once.
    pub(super) async fn insist(&mut self) {
        for words in
            ["stopping already: running requests may finish", "asked twice: ending at once"]
        {
            let signal = self.stop().await;
            tracing::warn!(signal, "{words}");
        }
    }

    /// Waits for the next one that asks us to end.
    pub(super) async fn stop(&mut self) -> &'static str {
        tokio::select! {
            Some(()) = self.terminate.recv() => "SIGTERM",
            Some(()) = self.interrupt.recv() => "SIGINT",
            else => pending().await,
        }
    }
}

/// Reasons to reload.
pub(super) enum Reloads {
    File(Box<control::Follow>),
    /// The config is in no file: SIGHUP has nothing to read, but must not end us either.
    Never(Signal, fn(Reloading)),
}

impl Reloads {
    /// `tell` hears of every reload.
    pub(super) fn new(file: Option<(PathBuf, String)>, tell: fn(Reloading)) -> io::Result<Self> {
        Ok(match file {
            Some((file, loaded)) => {
                Self::File(Box::new(control::follow(&file, loaded)?.telling(tell)))
            }
            None => Self::Never(signal(SignalKind::hangup())?, tell),
        })
    }

    pub(super) async fn run(self, control: Control) {
        match self {
            Self::File(follow) => follow.run(control).await,
            Self::Never(mut hangups, tell) => {
                while hangups.recv().await.is_some() {
                    // A manager that has asked for it waits for both.
                    tell(Reloading::Begins);
                    tell(Reloading::Ended);
                    tracing::warn!("SIGHUP: the config is in no file, nothing to reload");
                }
            }
        }
    }
}
