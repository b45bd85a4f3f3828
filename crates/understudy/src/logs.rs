//! Where log lines go: text on a terminal, JSON otherwise, always to standard error; not the same line
//! a thousand times, and nobody waits for whoever reads them.

use std::io::{self, IsTerminal as _};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
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

/// Most lines that wait to be written. Further ones are dropped, and counted.
const MOST_WAITING: usize = 10_000;

/// What writes the lines, from the first to the last.
static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

struct Writer {
    lost: ErrorCounter,
    /// How many of them have been said.
    said: usize,
    /// Writes what waits when it is dropped, for a second at most.
    _thread: WorkerGuard,
}

/// Begins to log what `filter` says, else what RUST_LOG says, else from `info` up.
pub(crate) fn init(filter: Option<&str>) -> Result<(), Failure> {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let text = filter.unwrap_or(&variable);
    let wanted = if text.is_empty() { "info" } else { text };
    let filter = builder.parse(format!("{QUIET},{wanted}")).map_err(|error| {
        Failure::Config(format!("understudy: bad log filter {text:?}: {error}"))
    })?;
    let (lines, thread) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MOST_WAITING)
        .thread_name("log")
        .finish(io::stderr());
    let lost = lines.error_counter();
    *writer() = Some(Writer { lost, said: 0, _thread: thread });
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    let limiter = Limiter::new(&LIMITS);
    if io::stderr().is_terminal() {
        logs.finish().with(limiter).init();
    } else {
        logs.json().flatten_event(true).finish().with(limiter).init();
    }
    Ok(())
}

/// Writes what waits to be written. Nothing is logged any more after that.
pub(crate) fn finish() {
    drop(writer().take());
}

fn writer() -> std::sync::MutexGuard<'static, Option<Writer>> {
    WRITER.lock().unwrap_or_else(PoisonError::into_inner)
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
    let lost = writer().as_mut().map_or(0, |writer| {
        let all = writer.lost.dropped_lines();
        all - std::mem::replace(&mut writer.said, all)
    });
    if lost > 0 {
        tracing::warn!(
            lost,
            "lines of this log were dropped: whoever reads standard error is too slow"
        );
    }
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
