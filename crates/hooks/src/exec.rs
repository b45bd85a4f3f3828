//! A program that is run once, and what its end means.

use std::path::Path;

use config::model::ExecAction;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::ended::{Outcome, Tried};
use crate::placeholders::filled;
use crate::process::{NotStarted, Program, how};
use crate::secret::Hidden;
use crate::told::Told;
use crate::words::with_first_line;

/// Most programs of hooks that run at a time; those of probes have permits of their own, so that
/// neither starves the other.
const MOST_PROGRAMS: usize = 32;

static PROGRAMS: Semaphore = Semaphore::const_new(MOST_PROGRAMS);

/// Runs the program once. Ends at `deadline` at the latest, and kills the program and its whole process
/// group then, or when it is dropped. Exit code 0 is success.
pub async fn run_program(action: &ExecAction, told: &Told, deadline: Instant) -> Tried {
    let mut hidden = Hidden::default();
    let mut environment: Vec<_> =
        told.variables.iter().map(|(name, value)| ((*name).into(), value.into())).collect();
    for (name, secret) in &action.environment {
        match hidden.reveal(name, secret, deadline).await {
            Ok(text) => environment.push(((&**name).into(), text.to_string().into())),
            Err(words) => return Tried::ended(Outcome::Failed, words),
        }
    }
    let program = Program {
        command: action.command.iter().map(|text| filled(text, &told.placeholders)).collect(),
        environment,
        directory: action.directory.as_deref().unwrap_or(Path::new("/")),
        output_bytes: action.output_bytes,
    };
    let Ok(Ok(permit)) = timeout_at(deadline, PROGRAMS.acquire()).await else {
        let words = format!("{MOST_PROGRAMS} programs run already, it did not get its turn");
        return Tried::ended(Outcome::Failed, words);
    };
    let mut process = match timeout_at(deadline, program.start(permit)).await {
        Ok(Ok(process)) => process,
        // Nothing has begun, but that says nothing of whom it is about.
        Ok(Err(
            NotStarted::Exhausted(words)
            | NotStarted::BeingWritten(words)
            | NotStarted::Impossible(words),
        )) => return Tried::ended(Outcome::Failed, words),
        // It is killed when it has started after all, and may have done something by then.
        Err(_) => return Tried::ended(Outcome::Unknown, "it was not started in time".to_owned()),
    };
    let ended = process.ended(deadline).await;
    let output = hidden.shown(process.written());
    let (outcome, what) = match ended {
        Some(Ok(status)) if status.success() => (Outcome::Done, how(status)),
        Some(Ok(status)) => (Outcome::Failed, how(status)),
        Some(Err(error)) => (Outcome::Unknown, format!("its end was not seen: {error}").into()),
        None => (Outcome::Unknown, "killed at its deadline".into()),
    };
    Tried { outcome, words: with_first_line(&what, &output), output, status: None }
}
