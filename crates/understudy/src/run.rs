//! `understudy run`: wires everything together, and takes it apart again on a signal.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use config::model::Config;
use control::{BuildError, Control, Source, StartError};
use tokio::sync::oneshot;

use self::doors::Doors;
use self::inherit::Wish;
use self::signals::{Reason, Reloads, Signals};
use self::traces::Exporting;
use crate::cli::Run;
use crate::files::{Failure, Text, print};
use crate::logs;

mod doors;
mod inherit;
mod service_manager;
mod signals;
pub(crate) mod traces;
mod upgrade;

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
    let wish = Wish::of(args.takeover, &config)?;
    // Control gets the main thread; each worker has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let source = Source { file: text.name, base: text.base, path: text.file.clone() };
    let file = text.file.map(|file| (file, text.text));
    let ended = runtime.block_on(serve(config, source, file, wish));
    logs::finish();
    ended
}

/// Ends at once, whatever goes on.
fn give_up() -> ! {
    logs::finish();
    std::process::exit(1)
}

/// Runs until a signal or a successor, then lets running requests finish. `file` is what to follow, and
/// what it said.
async fn serve(
    config: Config,
    source: Source,
    file: Option<(PathBuf, String)>,
    wish: Wish,
) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let reloads = Reloads::new(file, service_manager::reloading)?;
    let mut inherited = wish.inherit(&config)?;
    let mut doors = Doors::open(&config, &mut inherited)?;
    let traces = config.traces.clone();
    let control = Control::start(config, source, inherited).await?;
    let exporting = Exporting::start(&control, traces.as_ref())?;
    doors.take_over();
    let offer = doors.offer(&control);
    announce(&control, &doors)?;
    service_manager::ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    let watchdog = tokio::spawn(service_manager::keep_watchdog(control.clone()));

    let reloading = tokio::spawn(reloads.run(control.clone()));
    let summing_up = tokio::spawn(logs::sum_up());
    let (stop_admin, admin_stopped) = oneshot::channel::<()>();
    let admin = doors.serve(control.clone(), async { drop(admin_stopped.await) });
    let admin = tokio::spawn(admin);

    let reason = tokio::select! {
        reason = signals.next(&control) => reason,
        () = control.until_succeeded() => Reason::Succeeded,
    };
    reloading.abort();
    // A manager watches nobody who ends, and after a takeover the other process.
    watchdog.abort();
    summing_up.abort();
    logs::say_left_out();
    let (stop_admin, ending) = match reason {
        // The other process answers from now on.
        Reason::Succeeded => {
            tracing::info!("another process has taken over: running requests may finish");
            drop(stop_admin);
            let cut_off = tokio::select! {
                cut_off = control.retire() => cut_off,
                () = signals.insist() => give_up(),
            };
            (None, cut_off)
        }
        Reason::Signal(signal) => {
            service_manager::stopping();
            tracing::info!(signal, "stopping: running requests may finish");
            // Metrics and readiness are answered until the last request is done.
            let cut_off = tokio::select! {
                cut_off = control.shut_down() => cut_off,
                signal = signals.stop() => {
                    tracing::warn!(signal, "asked twice: ending at once");
                    give_up();
                }
            };
            (Some(stop_admin), cut_off)
        }
    };
    // The workers have ended: there is nothing more to export than what is there.
    exporting.stop().await;
    drop(stop_admin);
    admin.await.context("the admin side panicked").map_err(Failure::Other)??;
    drop(offer);
    tracing::info!(cut_off = ending, "stopped");
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
fn announce(control: &Control, doors: &Doors) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for listening in control.listening().iter() {
        let _ = writeln!(out, "listening on {}", listening.local);
    }
    for address in doors.addresses()? {
        let _ = writeln!(out, "admin on {address}");
    }
    let _ = out.flush();
    Ok(())
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Build(error @ BuildError::Tls(_)) => {
                Self::Config(format!("understudy: {error}"))
            }
            StartError::Build(BuildError::Bind { .. } | BuildError::Log(_))
            | StartError::Workers(_)
            | StartError::Lost(_)
            | StartError::InUse(_)
            | StartError::Takeover(_) => Self::Other(error.into()),
        }
    }
}
