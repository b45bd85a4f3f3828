//! Where log lines go: text on a terminal, JSON otherwise, always to standard error; not the same line
//! a thousand times.

use std::io::{self, IsTerminal as _};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::limits::{LeftOut, Limiter, Limits};
use crate::files::Failure;

mod limits;

/// Libraries that say something about every frame or record: who wants that names them.
const QUIET: &str = "h2=info,hyper=info,rustls=info";

/// How often it is said what was left out.
const SUM_UP_EVERY: Duration = Duration::from_secs(10);

/// Of the whole process, as its log is.
static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

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
    let limiter = Limiter::new(&LIMITS);
    if io::stderr().is_terminal() {
        logs.finish().with(limiter).init();
    } else {
        logs.json().flatten_event(true).finish().with(limiter).init();
    }
    Ok(())
}

/// Says now and then what was left out, until it is aborted.
pub(crate) async fn sum_up() {
    let mut ticks = tokio::time::interval(SUM_UP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        say_left_out();
    }
}

/// Says what was left out since the last time.
pub(crate) fn say_left_out() {
    say(LIMITS.take_left_out(Instant::now()));
}

fn say(left_out: Vec<LeftOut>) {
    for LeftOut { level, place, like, count, over } in left_out {
        let within_s = over.as_secs_f64().round().max(1.0);
        match level {
            Level::ERROR => {
                tracing::error!(place, like, "{count} more like this in the last {within_s} s");
            }
            Level::WARN => {
                tracing::warn!(place, like, "{count} more like this in the last {within_s} s");
            }
            Level::INFO | Level::DEBUG | Level::TRACE => {
                tracing::info!(place, like, "{count} more like this in the last {within_s} s");
            }
        }
    }
}

#[cfg(test)]
mod tests;
