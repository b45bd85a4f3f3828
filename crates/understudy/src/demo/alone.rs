//! `demo-backend`: one backend by itself, until it is asked to end.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::backend::{Backend, HEALTH_PATH};
use crate::cli::DemoBackend;

/// Answers until SIGTERM or SIGINT. In a container it is the first process, which no signal ends that
/// it does not listen to.
pub(crate) fn backend(args: &DemoBackend) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // As long as the process, like the names of the demo's own.
    let name = String::leak(args.name.clone());
    let backend = Backend::start_at(args.listen, name)
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    // Whoever started us may wait for it; nobody needs to listen.
    let _ = writeln!(
        io::stdout(),
        "backend {} on {}; probes ask for {HEALTH_PATH}",
        backend.name,
        backend.address
    );
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    Ok(ExitCode::SUCCESS)
}
