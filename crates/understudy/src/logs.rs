//! Where log lines go: text on a terminal, JSON otherwise, always to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::files::Failure;

/// Libraries that say something about every frame or record: who wants that names them.
const QUIET: &str = "h2=info,hyper=info,rustls=info";

/// Begins to log what `filter` says, else what RUST_LOG says, else from `info` up.
pub(crate) fn init(filter: Option<&str>) -> Result<(), Failure> {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let text = filter.unwrap_or(&variable);
    let wanted = if text.is_empty() { "info" } else { text };
    let filter = builder.parse(format!("{QUIET},{wanted}")).map_err(|error| {
        Failure::Config(format!("understudy: bad log filter {text:?}: {error}"))
    })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        logs.init();
    } else {
        logs.json().flatten_event(true).init();
    }
    Ok(())
}
