//! `understudy demo`: two backends, the balancer and a light load in one process, to watch and to
//! break.
//!
//! Nothing here is part of the balancer; it is started as `understudy run` would start it. At a
//! terminal a person breaks and revives the backends by key; without one, or for a given time, a
//! script does, and the exit code says whether every request was answered.

mod alone;
mod backend;
mod balancer;
mod journal;
mod ledger;
mod load;
mod script;
mod snapshot;
mod stage;
mod summary;
mod tally;
mod terminal;
mod text;
mod view;

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(crate) use alone::backend;
use script::Plan;
use stage::Stage;
use text::count;

/// How long a scripted play is when nobody says.
const USUAL_PLAY: Duration = Duration::from_secs(20);
/// How long a revived primary waits when a person plays.
const HOLD_DOWN: Duration = Duration::from_secs(5);
/// The exit code for it.
const WRONG_USE: u8 = 2;
/// How long running requests may take when a person quits.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// Runs the demo: for a person when there is a terminal and no `play_for`, else as a script. The
/// script exits with 0 only if no request failed and the traffic moved away and back, and with 2 if
/// `play_for` is too short for that. It ends with 0, too, when its reader (`head`) has seen enough.
///
/// # Errors
/// When a port or a thread cannot be had, or nothing can be printed.
pub(crate) fn run(play_for: Option<Duration>) -> anyhow::Result<ExitCode> {
    let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    match play_for {
        None if terminal => watch(),
        _ => match Plan::new(play_for.unwrap_or(USUAL_PLAY)) {
            Ok(plan) => play(&plan).or_else(unless_unread),
            Err(too_short) => {
                eprintln!("understudy: {too_short}");
                Ok(ExitCode::from(WRONG_USE))
            }
        },
    }
}

/// Ends well after all when the reader of standard output is gone.
fn unless_unread(error: anyhow::Error) -> anyhow::Result<ExitCode> {
    match error.downcast_ref::<io::Error>() {
        Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Some(_) | None => Err(error),
    }
}

fn watch() -> anyhow::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut stage = Stage::open(HOLD_DOWN, Arc::clone(&interrupted))?;
    let shown = terminal::show(&mut stage, &interrupted);
    let counts = stage.close(LAST_ANSWERS);
    shown?;
    let figures = counts.figures;
    println!(
        "{} requests answered, {} failed, {} waiting, {} replayed, {} POSTs twice",
        count(figures.answered),
        count(figures.failed),
        count(figures.unanswered),
        count(counts.replayed),
        count(counts.twice),
    );
    Ok(ExitCode::SUCCESS)
}

fn play(plan: &Plan) -> anyhow::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let stage = Stage::open(plan.hold_down, Arc::clone(&interrupted))?;
    let mut out = io::stdout().lock();
    let look = stage.look();
    writeln!(out, "Understudy: two backends, one active, {} requests a second\n", load::RATE)?;
    writeln!(out, "  try    curl -i {}", look.service)?;
    writeln!(out, "  watch  {0}/  {0}/metrics\n", look.admin)?;
    let record = script::play(stage, plan, &interrupted, &mut out)?;
    writeln!(out, "\n{}", record.to_text())?;
    let problems = record.problems();
    for problem in &problems {
        writeln!(out, "FAILED: {problem}")?;
    }
    if problems.is_empty() {
        writeln!(out, "OK: the primary died and came back, and every request was answered")?;
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}
