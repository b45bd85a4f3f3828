//! `understudy run`: wires everything together, and takes it apart again on a signal.

use std::future::pending;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use config::model::Config;
use control::{BuildError, Control, Source, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::cli::Run;
use crate::files::{Failure, Text, print};
use crate::logs;

pub(crate) fn run(args: &Run) -> Result<ExitCode, Failure> {
    let text = match &args.file {
        Some(file) => Text::read(file)?,
        None => Text::without_file("command line", args.flags.to_yaml()),
    };
    let config = text.load()?;
    if args.print_config {
        return print(&config::to_yaml(&config));
    }
    logs::init(args.log.as_deref())?;
    raise_open_files(&config);
    // Control gets the main thread; each worker has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let source = Source { file: text.name, base: text.base, path: text.file.clone() };
    let file = text.file.map(|file| (file, text.text));
    runtime.block_on(serve(config, source, file))
}

/// Runs until a signal, then lets running requests finish. `file` is what to follow, and what it said.
async fn serve(
    config: Config,
    source: Source,
    file: Option<(PathBuf, String)>,
) -> Result<ExitCode, Failure> {
    let mut stops = Stops::new()?;
    let reloads = Reloads::new(file)?;
    let admin = config.admin.address.map(bind_admin).transpose()?;
    let control = Control::start(config, source).await?;
    announce(&control, admin.as_ref())?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");

    let reloading = tokio::spawn(reloads.run(control.clone()));
    let (stop_admin, admin_stopped) = oneshot::channel::<()>();
    let admin = admin.map(|listener| {
        let stop = async { drop(admin_stopped.await) };
        let endpoints = vec![admin::Endpoint::Tcp(listener)];
        let settings = admin::Settings::default();
        tokio::spawn(admin::serve(endpoints, settings, control.clone(), stop))
    });

    tracing::info!(signal = stops.next().await, "stopping: running requests may finish");
    reloading.abort();
    // Metrics and readiness are answered until the last request is done.
    let cut_off = tokio::select! {
        cut_off = control.shut_down() => cut_off,
        signal = stops.next() => {
            tracing::warn!(signal, "asked twice: ending at once");
            std::process::exit(1);
        }
    };
    drop(stop_admin);
    if let Some(admin) = admin {
        admin.await.context("the admin listener panicked").map_err(Failure::Other)??;
    }
    tracing::info!(cut_off, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// Takes as many file descriptors as the system allows: shells and service managers begin with 1024,
/// and one client could use them up. Says so when even that is too few for the limits configured.
fn raise_open_files(config: &Config) {
    // When it cannot be raised, what there is counts.
    let Ok(allowed) = rlimit::increase_nofile_limit(u64::MAX) else { return };
    let clients = config.listeners.iter().map(|listener| listener.limits.connections as u64);
    // One more for the connection to a backend, and some for probes, files and metrics.
    let wanted = 2 * clients.sum::<u64>() + RESERVED_FILES;
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "fewer open files are allowed than `limits.connections` may need: raise LimitNOFILE \
             (systemd) or `ulimit -Hn`, or lower the limits"
        );
    }
}

/// Descriptors for other things than connections of clients and those to backends for them.
const RESERVED_FILES: u64 = 200;

/// Says on standard output where clients and operators find us. For whoever started us and waits
/// for it; nobody needs to listen.
fn announce(control: &Control, admin: Option<&TcpListener>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for listening in control.listening().iter() {
        let _ = writeln!(out, "listening on {}", listening.local);
    }
    if let Some(admin) = admin {
        let _ = writeln!(out, "admin on {}", admin.local_addr()?);
    }
    let _ = out.flush();
    Ok(())
}

fn bind_admin(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        let error = BuildError::Bind { address: address.into(), why: error };
        Failure::Other(anyhow!("{error} (for `admin`)"))
    })
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Build(error @ BuildError::Tls(_)) => {
                Self::Config(format!("understudy: {error}"))
            }
            StartError::Build(BuildError::Bind { .. })
            | StartError::Workers(_)
            | StartError::Lost(_) => Self::Other(error.into()),
        }
    }
}

/// The signals that ask us to end.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            Some(()) = self.terminate.recv() => "SIGTERM",
            Some(()) = self.interrupt.recv() => "SIGINT",
            else => pending().await,
        }
    }
}

/// Reasons to reload.
enum Reloads {
    File(Box<control::Follow>),
    /// The config is in no file: SIGHUP has nothing to read, but must not end us either.
    Never(Signal),
}

impl Reloads {
    fn new(file: Option<(PathBuf, String)>) -> io::Result<Self> {
        Ok(match file {
            Some((file, loaded)) => Self::File(Box::new(control::follow(&file, loaded)?)),
            None => Self::Never(signal(SignalKind::hangup())?),
        })
    }

    async fn run(self, control: Control) {
        match self {
            Self::File(follow) => follow.run(control).await,
            Self::Never(mut hangups) => {
                while hangups.recv().await.is_some() {
                    tracing::warn!("SIGHUP: the config is in no file, nothing to reload");
                }
            }
        }
    }
}
